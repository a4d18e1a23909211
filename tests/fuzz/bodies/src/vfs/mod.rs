//! The path walk and the calls that take a path, against a model: an image with links of every kind, volumes mounted in it, beside
//! each other and twice, and random calls from several open directories, some of which were removed or moved meanwhile. Both must
//! answer the same, lead to the same objects, and everything is given back at the end.

mod model;

use std::collections::BTreeMap;
use std::sync::Arc;

use arbitrary::{Result as Input, Unstructured};
use wasmpod_kernel::cgroup::{Cgroup, RootConfig};
use wasmpod_kernel::file::FileType;
use wasmpod_kernel::mntns::{
    Cred, Layer, LayerEntry, LayerEntryKind, LayerLimits, MountNs, MountOptions, NAME_MAX, OpenFile, OpenOptions,
    Quota, TmpfsOptions, Volume,
};
use wasmpod_kernel::{Errno, Result};
use wasmpod_sim::Sim;

use self::model::{Id, Kind, Model, Open, Place};

const ROOT: &Cred = &Cred::root();
/// Calls of one input: more make no new states.
const CALLS: usize = 150;
/// Open directories at a time.
const BASES: usize = 6;
/// Links of the image: relative, absolute, out of the tree, to a file with a dot behind it, in a circle, to nothing.
const LINKS: [(&str, &str); 9] = [
    ("l", "a"),
    ("abs", "/a/f"),
    ("up", "../../a"),
    ("a/up", ".."),
    ("fdot", "a/f/."),
    ("loop", "loop"),
    ("gone", "v/new/."),
    ("vol", "/v/./b/"),
    ("here", "."),
];

/// Runs the calls that the bytes describe.
///
/// # Panics
/// If the file system and the model disagree.
pub fn run(data: &[u8]) {
    let mut world = World::new();
    let mut u = Unstructured::new(data);
    for _ in 0..CALLS {
        if u.is_empty() || world.call(&mut u).is_err() {
            break;
        }
    }
    world.end();
}

struct World {
    model: Model,
    ns: Arc<MountNs>,
    /// Open directories, and where the model has them.
    bases: Vec<(Arc<OpenFile>, Place)>,
    /// What `stat` calls a node of the model, both ways.
    seen: BTreeMap<(u64, u64), Id>,
    known: BTreeMap<Id, (u64, u64)>,
    memory: Arc<Cgroup>,
    quota: Arc<Quota>,
    volume: Volume,
}

impl World {
    fn new() -> Self {
        let clock = Sim::new_virtual(1).clock().clone();
        let config = RootConfig { cpus: 1, memory_bytes: 1 << 40, fuel_per_cpu_second: 1_000_000_000 };
        let memory = Cgroup::root(config, clock.clone());
        let quota = Quota::root("node", None, None);
        let tmpfs = || {
            Volume::tmpfs(TmpfsOptions { memory_backed: true, quota: Some(quota.clone()), ..TmpfsOptions::default() })
        };
        let (volume, shared, inner) = (tmpfs(), tmpfs(), tmpfs());
        let plain = MountOptions::default;
        let read_only = MountOptions { read_only: true, ..plain() };
        let sub = MountOptions { sub_path: Some("s".into()), ..plain() };
        let ns = MountNs::builder(clock, memory.clone())
            .root(vec![image()], quota.clone())
            .mount("/v", volume.clone(), plain())
            .mount("/w", volume.clone(), sub)
            .mount("/ro", shared.clone(), read_only)
            .mount("/rw", shared, plain())
            .mount("/v/n", inner, plain())
            .build()
            .expect("the mounts are in order");
        let model = model_of_the_image();
        let root = (ns.root_dir(), model.root());
        let (seen, known) = (BTreeMap::new(), BTreeMap::new());
        Self { model, ns, bases: vec![root], seen, known, memory, quota, volume }
    }

    fn call(&mut self, u: &mut Unstructured<'_>) -> Input<()> {
        let (base, at) = u.choose(&self.bases)?.clone();
        let path = path(u)?;
        let mut other_path = String::new();
        let call = u.int_in_range(0..=15)?;
        let (real, model) = match call {
            0 | 1 => (base.mkdir_at(ROOT, &path, 0o755), self.model.mkdir(at, &path)),
            2 => (base.rmdir_at(ROOT, &path), self.model.remove(at, &path, true)),
            3 => (base.unlink_at(ROOT, &path), self.model.remove(at, &path, false)),
            4 | 5 => {
                let target = path_or_more(u)?;
                (base.symlink_at(ROOT, &target, &path), self.model.symlink(at, &target, &path))
            }
            6..=8 => {
                let ((other, to), new) = (u.choose(&self.bases)?.clone(), self::path(u)?);
                other_path.clone_from(&new);
                (base.rename_at(ROOT, &path, &other, &new), self.model.rename(at, &path, to, &new))
            }
            9 => {
                let ((other, to), new) = (u.choose(&self.bases)?.clone(), self::path(u)?);
                other_path.clone_from(&new);
                let follow = u.arbitrary()?;
                (base.link_at(ROOT, &path, follow, &other, &new), self.model.link(at, &path, follow, to, &new))
            }
            10 => {
                let real = base.readlink_at(ROOT, &path);
                assert_eq!(real.as_deref().map_err(|e| *e), self.model.readlink(at, &path), "the target of {path:?}");
                return Ok(());
            }
            11 => {
                let follow = u.arbitrary()?;
                self.same(
                    base.stat_at(ROOT, &path, follow).map(|stat| Seen::of(&stat)),
                    self.model.stat(at, &path, follow),
                    &path,
                );
                return Ok(());
            }
            12 if self.bases.len() > 1 => {
                let gone = u.int_in_range(1..=self.bases.len() - 1)?;
                drop(self.bases.swap_remove(gone));
                return Ok(());
            }
            _ => {
                self.open(u, &base, at, &path)?;
                return Ok(());
            }
        };
        assert_eq!(real, model, "call {call} of {path:?}, {other_path:?}");
        Ok(())
    }

    fn open(&mut self, u: &mut Unstructured<'_>, base: &OpenFile, at: Place, path: &str) -> Input<()> {
        let [write, create, exclusive, directory, follow] =
            [u.arbitrary()?, u.arbitrary()?, u.ratio(1, 4)?, u.ratio(1, 3)?, u.ratio(3, 4)?];
        let how = Open { write, create, exclusive, directory, follow };
        let options = OpenOptions {
            read: true,
            write,
            create,
            exclusive,
            directory,
            follow_symlinks: follow,
            mode: 0o644,
            ..OpenOptions::default()
        };
        let real = base.open_at(ROOT, path, options);
        let model = self.model.open(at, path, how);
        let seen = real.as_ref().map(|file| Seen::of(&file.stat().expect("an open file"))).map_err(|errno| *errno);
        self.same(seen, model, path);
        if let (Ok(file), Ok(place)) = (real, model) {
            if file.is_dir() && self.bases.len() < BASES {
                self.bases.push((file, place));
            } else if let (true, Kind::File(content)) = (write, &mut self.model.nodes[place.1]) {
                let more = vec![u.arbitrary()?; u.int_in_range(0..=5000)?];
                assert_eq!(file.write_at(&more, content.len() as u64), Ok(more.len()));
                content.extend(more);
            }
        }
        Ok(())
    }

    /// Both lead to the same object, whatever way was taken, and it looks the same.
    fn same(&mut self, real: Result<Seen>, model: Result<Place>, path: &str) {
        let (seen, id) = match (real, model) {
            (Ok(seen), Ok((_, id))) => (seen, id),
            (real, model) => {
                assert_eq!(real.map(drop), model.map(drop), "{path:?}");
                return;
            }
        };
        assert_eq!(*self.seen.entry(seen.key).or_insert(id), id, "{path:?} leads to another object");
        assert_eq!(*self.known.entry(id).or_insert(seen.key), seen.key, "{path:?} leads to another object");
        assert_eq!((seen.file_type, seen.nlink), (self.model.file_type(id), self.model.links(id)), "{path:?}");
        match &self.model.nodes[id] {
            Kind::File(content) => assert_eq!(seen.size, content.len() as u64, "{path:?}"),
            Kind::Link(target) => assert_eq!(seen.size, target.len() as u64, "{path:?}"),
            Kind::Dir { .. } => {}
        }
    }

    /// Every tree is what the model says, and nothing is held when all is closed.
    fn end(mut self) {
        for (base, at) in std::mem::take(&mut self.bases) {
            self.compare(&base, at, 0);
        }
        let Self { ns, memory, quota, volume, .. } = self;
        drop((ns, volume));
        assert_eq!((quota.usage().bytes, quota.usage().inodes), (0, 0), "something is still counted");
        assert_eq!(memory.memory_stats().current, 0, "something is still charged");
    }

    fn compare(&mut self, dir: &OpenFile, at: Place, depth: u32) {
        let Some((names, dead)) = self.model.names(at.1) else { return };
        let names: Vec<(String, FileType)> =
            names.iter().map(|(name, id)| (name.clone(), self.model.file_type(*id))).collect();
        assert_eq!(list(dir, dead), names, "the names of a directory");
        // a mount shows other names than the directory under it, and a volume that is mounted twice comes twice
        for (name, _) in names.into_iter().filter(|_| depth < 6) {
            let stat = dir.stat_at(ROOT, &name, false).map(|stat| Seen::of(&stat));
            let place = self.model.stat(at, &name, false);
            self.same(stat, place, &name);
            let Ok(place) = place else { continue };
            let opened = dir.open_at(ROOT, &name, OpenOptions { follow_symlinks: false, ..OpenOptions::read_only() });
            match &self.model.nodes[place.1] {
                Kind::Dir { .. } => self.compare(&opened.expect("a directory opens"), place, depth + 1),
                Kind::Link(_) => assert_eq!(opened.map(drop), Err(Errno::Loop)),
                Kind::File(content) => {
                    let mut read = vec![0; content.len() + 1];
                    let file = opened.expect("a file opens");
                    let mut length = 0;
                    while let Ok(more @ 1..) = file.read_at(&mut read[length..], length as u64) {
                        length += more;
                    }
                    assert!(read[..length] == content[..], "the content of {name:?} differs");
                }
            }
        }
    }
}

/// What `stat` says, as far as the model knows it.
struct Seen {
    key: (u64, u64),
    file_type: FileType,
    nlink: u64,
    size: u64,
}

impl Seen {
    fn of(stat: &wasmpod_kernel::mntns::Stat) -> Self {
        Self { key: (stat.dev, stat.ino), file_type: stat.file_type, nlink: stat.nlink, size: stat.size }
    }
}

/// The names in a directory, a few at a time, sorted; a directory that was removed has not even dots.
fn list(dir: &OpenFile, dead: bool) -> Vec<(String, FileType)> {
    let (mut names, mut dots, mut cookie) = (Vec::new(), 0, 0);
    loop {
        let entries = dir.read_dir(cookie, 3).expect("an open directory lists");
        let Some(last) = entries.last() else { break };
        assert!(last.next_cookie > cookie, "a cookie that goes back");
        cookie = last.next_cookie;
        for entry in entries {
            if matches!(entry.name.as_str(), "." | "..") {
                dots += 1;
            } else {
                names.push((entry.name, entry.file_type));
            }
        }
    }
    assert_eq!(dots, if dead { 0 } else { 2 }, "dots");
    names.sort_by(|a, b| a.0.cmp(&b.0));
    names
}

fn image() -> Arc<Layer> {
    let entry = |path: &str, kind, mode| LayerEntry { path: path.into(), kind, mode, uid: 0, gid: 0, mtime: 7 };
    let mut entries = vec![
        entry("a", LayerEntryKind::Directory { opaque: false }, 0o755),
        entry("a/f", LayerEntryKind::File("image".into()), 0o644),
    ];
    entries.extend(LINKS.map(|(path, target)| entry(path, LayerEntryKind::Symlink(target.into()), 0o777)));
    Layer::from_entries(entries, &LayerLimits::default()).expect("the image is in order")
}

fn model_of_the_image() -> Model {
    let mut model = Model::default();
    let root = model.dir();
    model.mount((usize::MAX, root), root, false);
    let a = model.put(root, "a", Kind::Dir { names: BTreeMap::new(), dead: false });
    model.put(a, "f", Kind::File(b"image".to_vec()));
    for (path, target) in LINKS {
        let (dir, name) = path.strip_prefix("a/").map_or((root, path), |name| (a, name));
        model.put(dir, name, Kind::Link(target.into()));
    }
    let dir = || Kind::Dir { names: BTreeMap::new(), dead: false };
    let (volume, shared, inner) = (model.dir(), model.dir(), model.dir());
    let sub = model.put(volume, "s", dir());
    let n = model.put(volume, "n", dir());
    let mut v = 0;
    // in the order in which they are mounted: by depth, then by name
    for (name, tree, read_only) in
        [("ro", shared, true), ("rw", shared, false), ("v", volume, false), ("w", sub, false)]
    {
        let over = model.put(root, name, dir());
        let mount = model.mount((0, over), tree, read_only);
        v = if name == "v" { mount } else { v };
    }
    model.mount((v, n), inner, false);
    model
}

fn path(u: &mut Unstructured<'_>) -> Input<String> {
    let mut path = String::new();
    for _ in 0..u.int_in_range(0..=5)? {
        if !path.is_empty() || u.ratio(1, 40)? {
            path.push('/');
        }
        match u.int_in_range(0..=23)? {
            0 => path.push_str(".."),
            1 => path.push('.'),
            2 => path.push_str(u.choose(&["", "x\0y", "\u{1f980}", ".x", "..x", "\n"])?),
            3 => path.extend(std::iter::repeat_n('n', NAME_MAX + usize::from(u.arbitrary::<bool>()?))),
            4 => path.push_str(u.choose(&LINKS.map(|(link, _)| link))?),
            5 | 6 => path.push_str(u.choose(&["v", "w", "ro", "rw", "v/n", "s"])?),
            letter => path.push(char::from(b'a' + (letter % 4))),
        }
    }
    if u.ratio(1, 6)? {
        path.push_str(u.choose(&["/", "//", "/.", "/./"])?);
    }
    Ok(path)
}

/// The target of a link: any path, absolute ones and long ones.
fn path_or_more(u: &mut Unstructured<'_>) -> Input<String> {
    Ok(match u.int_in_range(0..=9)? {
        0 | 1 => format!("/{}", path(u)?),
        2 => "../".repeat(u.int_in_range(0..=1500)?),
        3 => format!("{}{}", "a/../".repeat(u.int_in_range(0..=900)?), path(u)?),
        _ => path(u)?,
    })
}
