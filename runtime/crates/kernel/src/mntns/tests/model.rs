//! The file system against a model: random calls on a small tree, the same answers, and every byte and name given back at the end.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::testing::{ROOT, Words, clock, layer, memory};
use super::super::{MountNs, MountOptions, OpenOptions, Quota, TmpfsOptions, Volume};
use crate::file::FileType;
use crate::{Errno, Result};

#[derive(Debug, Clone)]
enum Call {
    Mkdir(String),
    Rmdir(String),
    Unlink(String),
    Write(String, Vec<u8>),
    Append(String, Vec<u8>),
    Cut(String, u64),
    Rename(String, String),
    Link(String, String),
    Symlink(String),
}

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec("[abc]", 1..4).prop_map(|names| names.join("/"))
}

fn call() -> impl Strategy<Value = Call> {
    let bytes = || (any::<u8>(), 0usize..6000).prop_map(|(fill, length)| vec![fill; length]);
    prop_oneof![
        3 => path().prop_map(Call::Mkdir),
        1 => path().prop_map(Call::Rmdir),
        1 => path().prop_map(Call::Unlink),
        2 => (path(), bytes()).prop_map(|(path, bytes)| Call::Write(path, bytes)),
        2 => (path(), bytes()).prop_map(|(path, bytes)| Call::Append(path, bytes)),
        1 => (path(), 0u64..9000).prop_map(|(path, size)| Call::Cut(path, size)),
        3 => (path(), path()).prop_map(|(old, new)| Call::Rename(old, new)),
        2 => (path(), path()).prop_map(|(old, new)| Call::Link(old, new)),
        1 => path().prop_map(Call::Symlink),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Dir,
    File(usize),
    /// To nowhere: the model follows no links.
    Link(usize),
}

/// Paths in a map: as simple as can be.
#[derive(Default)]
struct Model {
    names: BTreeMap<String, Kind>,
    contents: Vec<Vec<u8>>,
}

impl Model {
    fn get(&self, path: &str) -> Option<Kind> {
        if path.is_empty() { Some(Kind::Dir) } else { self.names.get(path).copied() }
    }

    /// Walks the directories above `path`.
    fn parent(&self, path: &str) -> Result<()> {
        for (end, _) in path.match_indices('/') {
            match self.get(&path[..end]) {
                None | Some(Kind::Link(_)) => return Err(Errno::NoEnt),
                Some(Kind::File(_)) => return Err(Errno::NotDir),
                Some(Kind::Dir) => {}
            }
        }
        Ok(())
    }

    fn existing(&self, path: &str) -> Result<Kind> {
        self.parent(path)?;
        self.get(path).ok_or(Errno::NoEnt)
    }

    fn is_empty(&self, path: &str) -> bool {
        !self.names.keys().any(|name| name.starts_with(&format!("{path}/")))
    }

    fn file(&mut self, path: &str) -> Result<&mut Vec<u8>> {
        self.parent(path)?;
        let id = match self.get(path) {
            Some(Kind::File(id)) => id,
            Some(Kind::Dir) => return Err(Errno::IsDir),
            Some(Kind::Link(_)) => return Err(Errno::Loop),
            None => {
                self.contents.push(Vec::new());
                self.names.insert(path.to_owned(), Kind::File(self.contents.len() - 1));
                self.contents.len() - 1
            }
        };
        Ok(&mut self.contents[id])
    }

    fn call(&mut self, call: &Call) -> Result<()> {
        match call {
            Call::Mkdir(path) => match self.existing(path) {
                Ok(_) => Err(Errno::Exist),
                Err(Errno::NoEnt) if self.parent(path).is_ok() => {
                    self.names.insert(path.clone(), Kind::Dir);
                    Ok(())
                }
                Err(errno) => Err(errno),
            },
            Call::Symlink(path) => match self.existing(path) {
                Ok(_) => Err(Errno::Exist),
                Err(Errno::NoEnt) if self.parent(path).is_ok() => {
                    self.contents.push(Vec::new());
                    self.names.insert(path.clone(), Kind::Link(self.contents.len() - 1));
                    Ok(())
                }
                Err(errno) => Err(errno),
            },
            Call::Rmdir(path) => match self.existing(path)? {
                Kind::Dir if self.is_empty(path) => {
                    self.names.remove(path);
                    Ok(())
                }
                Kind::Dir => Err(Errno::NotEmpty),
                _ => Err(Errno::NotDir),
            },
            Call::Unlink(path) => match self.existing(path)? {
                Kind::Dir => Err(Errno::IsDir),
                _ => {
                    self.names.remove(path);
                    Ok(())
                }
            },
            Call::Write(path, bytes) => self.file(path).map(|content| content.clone_from(bytes)),
            Call::Append(path, bytes) => self.file(path).map(|content| content.extend(bytes)),
            Call::Cut(path, size) => self.file(path).map(|content| content.resize(*size as usize, 0)),
            Call::Link(old, new) => {
                let kind = self.existing(old)?;
                match self.existing(new) {
                    Ok(_) => Err(Errno::Exist),
                    Err(Errno::NoEnt) if self.parent(new).is_ok() => match kind {
                        Kind::Dir => Err(Errno::Perm),
                        kind => {
                            self.names.insert(new.clone(), kind);
                            Ok(())
                        }
                    },
                    Err(errno) => Err(errno),
                }
            }
            Call::Rename(old, new) => self.rename(old, new),
        }
    }

    fn rename(&mut self, old: &str, new: &str) -> Result<()> {
        self.parent(old)?;
        self.parent(new)?;
        let moved = self.existing(old)?;
        let target = self.get(new);
        if moved == Kind::Dir && new.starts_with(&format!("{old}/")) {
            return Err(Errno::Inval);
        }
        if old == new || (moved != Kind::Dir && target == Some(moved)) {
            return Ok(());
        }
        match (moved, target) {
            (Kind::Dir, Some(Kind::Dir)) if !self.is_empty(new) => return Err(Errno::NotEmpty),
            (Kind::Dir, Some(Kind::Dir)) => {}
            (Kind::Dir, Some(_)) => return Err(Errno::NotDir),
            (_, Some(Kind::Dir)) if old.starts_with(&format!("{new}/")) => return Err(Errno::NotEmpty),
            (_, Some(Kind::Dir)) => return Err(Errno::IsDir),
            _ => {}
        }
        let inside = format!("{old}/");
        let taken: Vec<String> =
            self.names.keys().filter(|name| *name == old || name.starts_with(&inside)).cloned().collect();
        for name in taken {
            if let Some(kind) = self.names.remove(&name) {
                self.names.insert(format!("{new}{}", &name[old.len()..]), kind);
            }
        }
        Ok(())
    }
}

fn real(base: &super::super::OpenFile, call: &Call) -> Result<()> {
    let open = OpenOptions { follow_symlinks: false, ..OpenOptions::read_write_create() };
    let write = |path: &str, bytes: &[u8], options| {
        let file = base.open(path, options)?;
        assert_eq!(file.write(bytes), Ok(bytes.len()));
        Ok(())
    };
    match call {
        Call::Mkdir(path) => base.mkdir(path),
        Call::Symlink(path) => base.symlink_at(ROOT, "nowhere", path),
        Call::Rmdir(path) => base.rmdir_at(ROOT, path),
        Call::Unlink(path) => base.unlink_at(ROOT, path),
        Call::Write(path, bytes) => write(path, bytes, OpenOptions { truncate: true, ..open }),
        Call::Append(path, bytes) => write(path, bytes, OpenOptions { append: true, ..open }),
        Call::Cut(path, size) => base.open(path, open)?.set_len(*size),
        Call::Rename(old, new) => base.rename_at(ROOT, old, base, new),
        Call::Link(old, new) => base.link_at(ROOT, old, false, base, new),
    }
}

/// Everything in the tree is what the model says, with link counts and nothing beside it.
fn compare(base: &super::super::OpenFile, model: &Model, directory_links: bool) {
    for (path, kind) in &model.names {
        let stat = base.stat_at(ROOT, path, false).unwrap();
        let names = model.names.values().filter(|other| *other == kind).count() as u64;
        match kind {
            Kind::Dir => {
                let inside = format!("{path}/");
                let children: Vec<(&str, Kind)> = model
                    .names
                    .iter()
                    .filter_map(|(name, kind)| Some((name.strip_prefix(&inside)?, *kind)))
                    .filter(|(name, _)| !name.contains('/'))
                    .collect();
                let dirs = children.iter().filter(|(_, kind)| *kind == Kind::Dir).count() as u64;
                assert_eq!(stat.file_type, FileType::Directory, "{path}");
                assert!(!directory_links || stat.nlink == 2 + dirs, "{path}: {}", stat.nlink);
                let children: Vec<&str> = children.into_iter().map(|(name, _)| name).collect();
                assert_eq!(base.names(path).unwrap(), children, "{path}");
            }
            Kind::File(id) => {
                let content = &model.contents[*id];
                assert_eq!((stat.size, stat.nlink), (content.len() as u64, names), "{path}");
                let mut read = vec![0; content.len() + 1];
                let file = base.open(path, OpenOptions::read_only()).unwrap();
                assert_eq!(file.read(&mut read), Ok(content.len()));
                assert_eq!(&read[..content.len()], content, "{path}");
            }
            Kind::Link(_) => assert_eq!((stat.file_type, stat.nlink), (FileType::Symlink, names), "{path}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_tmpfs_behaves_like_a_map_of_paths(calls in proptest::collection::vec(call(), 1..60)) {
        let (quota, memory) = (Quota::root("node", None, None), memory());
        let volume = Volume::tmpfs(TmpfsOptions { memory_backed: true, quota: Some(quota.clone()), ..Default::default() });
        let ns = MountNs::builder(clock(), memory.clone()).root(vec![], Quota::root("u", None, None));
        let base = ns.mount("/v", volume.clone(), MountOptions::default()).build().unwrap().root_dir().dir("v");
        let mut model = Model::default();
        for call in &calls {
            prop_assert_eq!(real(&base, call), model.call(call), "{:?}", call);
        }
        compare(&base, &model, true);
        prop_assert_eq!(volume.usage().inodes, model.names.len() as u64);
        drop((base, volume));
        prop_assert_eq!((quota.usage().bytes, quota.usage().inodes, memory.memory_stats().current), (0, 0, 0));
    }

    #[test]
    fn an_image_behaves_like_the_tree_that_it_merges_to(calls in proptest::collection::vec(call(), 1..60)) {
        let layers = vec![
            layer(&[("a/a", "low"), ("a/b/c", "low"), ("b/x", "hidden"), ("c", "low")]),
            layer(&[("a/a", "high"), ("b/", "opaque"), ("b/a", "high"), ("!c", "")]),
        ];
        let quota = Quota::root("upper", None, None);
        let ns = MountNs::builder(clock(), memory()).root(layers, quota.clone()).build().unwrap();
        let base = ns.root_dir();
        let mut model = Model::default();
        for (path, content) in [("a", ""), ("a/a", "high"), ("a/b", ""), ("a/b/c", "low"), ("b", ""), ("b/a", "high")] {
            if content.is_empty() {
                model.names.insert(path.into(), Kind::Dir);
            } else {
                model.contents.push(content.into());
                model.names.insert(path.into(), Kind::File(model.contents.len() - 1));
            }
        }
        for call in &calls {
            prop_assert_eq!(real(&base, call), model.call(call), "{:?}", call);
        }
        compare(&base, &model, true);
        drop((base, ns));
        prop_assert_eq!((quota.usage().bytes, quota.usage().inodes), (0, 0));
    }
}

#[cfg(target_os = "linux")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Linux itself is the judge of the model, and hostPath behaves like the trees in memory.
    #[test]
    fn a_directory_of_linux_behaves_like_a_map_of_paths(calls in proptest::collection::vec(call(), 1..60)) {
        let host = tempfile::tempdir().unwrap();
        let dir = cap_std::fs::Dir::open_ambient_dir(host.path(), cap_std::ambient_authority()).unwrap();
        let ns = MountNs::builder(clock(), memory()).root(vec![], Quota::root("u", None, None));
        let ns = ns.mount("/v", Volume::host(dir, false), MountOptions::default()).build().unwrap();
        let base = ns.root_dir().dir("v");
        let mut model = Model::default();
        for call in &calls {
            prop_assert_eq!(real(&base, call), model.call(call), "{:?}", call);
        }
        compare(&base, &model, false); // not every file system counts the links of directories
    }
}
