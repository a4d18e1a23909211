//! A container's mount namespace: a root and what is mounted over it. It is built once, before the container starts, and does not
//! change (Kubernetes adds no mounts later), so nothing here needs a lock. Owns the mount table and the making of mount points.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use wasmpod_sim::Clock;

use super::inode::Ctx;
use super::node::{Node, NodeKey};
use super::openfile::OpenFile;
use super::overlay;
use super::synthetic::{MountTexts, Synthetic};
use super::tmpfs::{Busy, New};
use super::types::{Cred, Usage};
use super::volume::Volume;
use super::walk::{Walk, check_path};
use super::{Layer, Quota};
use crate::cgroup::Cgroup;
use crate::{Errno, Result};

/// The most mounts of a container. Kubernetes has no limit of its own; the manifest's size has one.
pub const MOUNTS_MAX: usize = 1000;

/// How a volume is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MountOptions {
    /// Refuse every change with EROFS.
    pub read_only: bool,
    /// Mount this file or directory of the volume instead of its root. It is made, as a directory, if there is none; `..` and
    /// absolute paths are refused, and links in the volume are followed only as long as they stay in it (F1, F3).
    pub sub_path: Option<String>,
}

/// Why a namespace could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mount {path}: {step}: {errno}")]
pub struct MountError {
    /// The mount point.
    pub path: String,
    /// What was being done: `mount point`, `subPath …`.
    pub step: String,
    /// Why it failed.
    pub errno: Errno,
}

/// One mount, for inspection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountInfo {
    /// Where.
    pub path: String,
    /// The kind of file system, as `/proc/mounts` names it.
    pub kind: &'static str,
    /// Changes are refused.
    pub read_only: bool,
    /// It is a directory, not a single file.
    pub directory: bool,
    /// How full it is, where that is counted.
    pub usage: Usage,
}

/// A place in the mounted tree.
#[derive(Clone)]
pub(crate) struct Location {
    pub(crate) mount: u32,
    pub(crate) node: Node,
}

struct Mount {
    path: String,
    root: Node,
    read_only: bool,
    kind: &'static str,
    /// What stat calls the file system; the same for every mount of one volume.
    dev: u64,
    parent: u32,
    /// Something is mounted in it.
    covers: bool,
    quota: Option<Arc<Quota>>,
}

/// The mounts of a namespace, the root first, each after the one that it is mounted in.
#[derive(Default)]
pub(crate) struct MountTable {
    mounts: Vec<Mount>,
    covered: BTreeMap<(u32, NodeKey), u32>,
    busy: Busy,
    identities: Vec<usize>,
}

impl MountTable {
    /// Only the root of a volume, to walk within it.
    pub(crate) fn of_volume(volume: &Volume) -> Self {
        let mut table = Self::default();
        table.push(volume_mount(String::new(), volume, volume.node().clone(), false), volume.identity());
        table
    }

    pub(crate) fn root(&self) -> Location {
        Location { mount: 0, node: self.mounts[0].root.clone() }
    }

    /// What is called `name` in `here`, with what is mounted on it.
    pub(crate) fn child(&self, here: &Location, name: &str) -> Result<Location> {
        let mut at = Location { mount: here.mount, node: here.node.lookup(name)? };
        // a mount on a mount on a mount: each is later in the table than the one under it
        while self.mounts[at.mount as usize].covers
            && let Some(mount) = self.covered.get(&(at.mount, at.node.key()))
        {
            at = Location { mount: *mount, node: self.mounts[*mount as usize].root.clone() };
        }
        Ok(at)
    }

    pub(crate) fn read_only(&self, mount: u32) -> bool {
        self.mounts[mount as usize].read_only
    }

    pub(crate) fn dev(&self, mount: u32) -> u64 {
        self.mounts[mount as usize].dev
    }

    pub(crate) fn busy(&self) -> &Busy {
        &self.busy
    }

    /// True if something is mounted on `node`, or if it is the root of a mount.
    pub(crate) fn is_mount_point(&self, parent_mount: u32, at: &Location) -> bool {
        at.mount != parent_mount || self.covered.contains_key(&(at.mount, at.node.key()))
    }

    fn push(&mut self, mut mount: Mount, identity: usize) {
        let first = self.identities.iter().position(|known| *known == identity).unwrap_or(self.identities.len());
        mount.dev = first as u64 + 1;
        self.identities.push(identity);
        self.mounts.push(mount);
    }

    fn cover(&mut self, at: &Location, mount: Mount, identity: usize) {
        let index = self.mounts.len() as u32; // at most MOUNTS_MAX
        if let Node::Mem(inode) = &at.node {
            self.busy.insert(inode.key());
        }
        self.covered.insert((at.mount, at.node.key()), index);
        self.mounts[at.mount as usize].covers = true;
        self.push(Mount { parent: at.mount, ..mount }, identity);
    }
}

/// What a container sees as its files. One for each container, shared by its processes.
pub struct MountNs {
    clock: Clock,
    memory: Arc<Cgroup>,
    table: MountTable,
    upper: Arc<Quota>,
    texts: MountTexts,
    /// The inodes read from these as long as there is a container.
    _layers: Vec<Arc<Layer>>,
}

impl MountNs {
    /// Begins a namespace. Timestamps come from `clock`; memory-backed pages and open files' buffers are charged to `memory`.
    pub fn builder(clock: Clock, memory: Arc<Cgroup>) -> MountNsBuilder {
        MountNsBuilder { clock, memory, root: None, read_only_root: false, pending: Vec::new() }
    }

    /// The root directory, opened.
    pub fn root_dir(self: &Arc<Self>) -> Arc<OpenFile> {
        OpenFile::root(self.clone(), self.table.root())
    }

    /// The mount points that are directories, but for `/`, sorted: what is preopened for a guest beside `/`.
    pub fn mount_points(&self) -> Vec<String> {
        let directories = self.table.mounts.iter().skip(1).filter(|mount| mount.root.is_dir());
        let mut paths: Vec<String> = directories.map(|mount| mount.path.clone()).collect();
        paths.sort();
        paths
    }

    /// Every mount, the root first, in the order in which they were made.
    pub fn mounts(&self) -> Vec<MountInfo> {
        let info = |mount: &Mount| MountInfo {
            path: mount.path.clone(),
            kind: mount.kind,
            read_only: mount.read_only,
            directory: mount.root.is_dir(),
            usage: mount.quota.as_ref().map(|quota| quota.usage()).unwrap_or_default(),
        };
        self.table.mounts.iter().map(info).collect()
    }

    /// How full the writable layer is.
    pub fn upper_usage(&self) -> Usage {
        self.upper.usage()
    }

    /// The text of `/proc/mounts`.
    pub fn mounts_text(&self) -> &str {
        &self.texts.mounts
    }

    pub(crate) fn table(&self) -> &MountTable {
        &self.table
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn memory(&self) -> &Arc<Cgroup> {
        &self.memory
    }

    pub(crate) fn ctx<'a>(&'a self, cred: &'a Cred) -> Ctx<'a> {
        Ctx { cred, now: self.clock.wall(), payer: Some(&self.memory) }
    }
}

impl std::fmt::Debug for MountNs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.table.mounts.iter().map(|mount| &mount.path)).finish()
    }
}

/// Puts a namespace together.
pub struct MountNsBuilder {
    clock: Clock,
    memory: Arc<Cgroup>,
    root: Option<(Vec<Arc<Layer>>, Arc<Quota>)>,
    read_only_root: bool,
    pending: Vec<Pending>,
}

struct Pending {
    path: String,
    volume: Volume,
    options: MountOptions,
    texts: Option<Arc<OnceLock<MountTexts>>>,
    failed: Option<Errno>,
}

impl MountNsBuilder {
    /// The image's layers, the lowest first, and what is counted of the writable layer over them.
    #[must_use]
    pub fn root(mut self, layers: Vec<Arc<Layer>>, upper_quota: Arc<Quota>) -> Self {
        self.root = Some((layers, upper_quota));
        self
    }

    /// Refuses changes of the root (readOnlyRootFilesystem). Mount points are made in it all the same.
    #[must_use]
    pub fn read_only_root(mut self, read_only: bool) -> Self {
        self.read_only_root = read_only;
        self
    }

    /// Mounts a volume at an absolute path. Of two mounts at one path the later wins.
    #[must_use]
    pub fn mount(mut self, path: impl Into<String>, volume: Volume, options: MountOptions) -> Self {
        self.pending.push(Pending { path: path.into(), volume, options, texts: None, failed: None });
        self
    }

    /// Mounts a synthetic tree at an absolute path, unless a volume is mounted there.
    #[must_use]
    pub fn synthetic(mut self, path: impl Into<String>, tree: Synthetic) -> Self {
        let (texts, failed) = (Some(tree.texts.clone()), tree.failed);
        let volume = Volume::synthetic(tree);
        let pending = Pending { path: path.into(), volume, options: MountOptions::default(), texts, failed };
        self.pending.insert(0, pending);
        self
    }

    /// Makes the mount points and the namespace.
    ///
    /// # Errors
    /// [`MountError`] if a path is not absolute or holds `..`, a mount point or subPath cannot be made, or leads out.
    pub fn build(self) -> Result<Arc<MountNs>, MountError> {
        let now = self.clock.wall();
        let fail = |path: &str, step: &str, errno| MountError { path: path.to_owned(), step: step.to_owned(), errno };
        let (layers, upper) = self.root.ok_or_else(|| fail("/", "root file system", Errno::NoDev))?;
        let mut table = MountTable::default();
        let root = overlay::new_root(&layers, upper.clone());
        let identity = root.key().0;
        let root = Mount {
            path: "/".to_owned(),
            root: Node::Mem(root),
            read_only: self.read_only_root,
            kind: "overlay",
            dev: 0,
            parent: 0,
            covers: false,
            quota: Some(upper.clone()),
        };
        stamp(&root.root, now);
        table.push(root, identity);

        let mut by_path: BTreeMap<(usize, String), Pending> = BTreeMap::new();
        for pending in self.pending {
            let path = normalize(&pending.path).map_err(|errno| fail(&pending.path, "path", errno))?;
            if let Some(errno) = pending.failed {
                return Err(fail(&path, "synthetic tree", errno));
            }
            by_path.insert((path.matches('/').count(), path), pending);
        }
        if by_path.len() >= MOUNTS_MAX {
            return Err(fail("/", "more mounts than a container may have", Errno::NoSpc));
        }
        let mut text_slots = Vec::new();
        for ((_, path), pending) in by_path {
            let Pending { volume, options, texts, .. } = pending;
            let node = match &options.sub_path {
                None => volume.node().clone(),
                Some(sub_path) => sub_node(&volume, sub_path, now)
                    .map_err(|errno| fail(&path, &format!("subPath {sub_path}"), errno))?,
            };
            stamp(volume.node(), now);
            let at =
                mount_point(&table, &path, node.is_dir(), now).map_err(|errno| fail(&path, "mount point", errno))?;
            table.cover(&at, volume_mount(path, &volume, node, options.read_only), volume.identity());
            text_slots.extend(texts);
        }
        for slot in text_slots {
            // a tree that is mounted twice keeps the text of the first; the trees are made for one container each
            let _kept = slot.set(texts_of(&table));
        }
        let texts = texts_of(&table);
        Ok(Arc::new(MountNs { clock: self.clock, memory: self.memory, table, upper, texts, _layers: layers }))
    }
}

fn volume_mount(path: String, volume: &Volume, root: Node, read_only: bool) -> Mount {
    Mount {
        path,
        root,
        read_only: read_only || volume.read_only(),
        kind: volume.kind(),
        dev: 0,
        parent: 0,
        covers: false,
        quota: volume.quota().cloned(),
    }
}

/// A volume knows no clock when it is made; its root gets its times when it is first mounted.
fn stamp(root: &Node, now: u64) {
    if let Node::Mem(inode) = root {
        let mut meta = inode.meta.lock();
        if meta.mtime == 0 {
            (meta.atime, meta.mtime, meta.ctime) = (now, now, now);
        }
    }
}

/// An absolute path without `.`, empty names and a slash at its end.
fn normalize(path: &str) -> Result<String> {
    check_path(path)?;
    if !path.starts_with('/') || path.split('/').any(|name| name == "..") {
        return Err(Errno::Inval);
    }
    let names: Vec<&str> = path.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    if names.is_empty() { Err(Errno::Busy) } else { Ok(format!("/{}", names.join("/"))) }
}

/// What `sub_path` means in a volume, made if it is not there. The walk never leaves the volume.
fn sub_node(volume: &Volume, sub_path: &str, now: u64) -> Result<Node> {
    if sub_path.starts_with('/') || sub_path.split('/').any(|name| name == "..") {
        return Err(Errno::Inval);
    }
    if sub_path.is_empty() {
        return Ok(volume.node().clone());
    }
    let table = MountTable::of_volume(volume);
    let mode = volume.node().owner()?.mode;
    ensure(&table, false, sub_path, true, mode, now).map(|at| at.node)
}

/// The place to mount on, made if it is not there, through the links of the image.
fn mount_point(table: &MountTable, path: &str, directory: bool, now: u64) -> Result<Location> {
    let at = ensure(table, true, path.trim_start_matches('/'), directory, 0o755, now)?;
    match (at.node.is_dir(), directory) {
        (true, false) => Err(Errno::IsDir),
        (false, true) => Err(Errno::NotDir),
        _ => Ok(at),
    }
}

/// Walks `path` from the root of `table` and makes what is missing: directories, and an empty file at the end if not `directory`.
fn ensure(table: &MountTable, rooted: bool, path: &str, directory: bool, mode: u32, now: u64) -> Result<Location> {
    let ctx = Ctx::node(now);
    let start = table.root();
    let walk = Walk { table, start: &start, cred: ctx.cred, rooted };
    let mut at = start.clone();
    let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
    for end in ends {
        let last = end == path.len();
        let prefix = &path[..end];
        if prefix.is_empty() {
            continue;
        }
        let found = walk.resolve(prefix, true)?;
        at = match (found.at, found.name) {
            (Some(at), _) => at,
            (None, Some(name)) => {
                let parent = &table.mounts[found.parent.mount as usize];
                // a container's own root is made ready before it turns read-only
                if parent.read_only && found.parent.mount != 0 || parent.read_only && !rooted {
                    return Err(Errno::RoFs);
                }
                let new = if last && !directory { New::File { mode: 0o644 } } else { New::Dir { mode } };
                let node = found.parent.node.make(&ctx, &name, &new)?;
                Location { mount: found.parent.mount, node }
            }
            (None, None) => return Err(Errno::NoEnt),
        };
    }
    Ok(at)
}

/// The lines of `/proc/mounts` and `/proc/self/mountinfo` (`proc(5)`).
fn texts_of(table: &MountTable) -> MountTexts {
    let mut texts = MountTexts::default();
    for (index, mount) in table.mounts.iter().enumerate() {
        let Mount { kind, dev, parent, .. } = mount;
        let path = escape(&mount.path);
        let access = if mount.read_only { "ro" } else { "rw" };
        let size = mount.quota.as_ref().and_then(|quota| quota.usage().bytes_limit);
        let size = size.map(|size| format!(",size={}k", size / 1024)).unwrap_or_default();
        let _infallible = writeln!(texts.mounts, "{kind} {path} {kind} {access},relatime{size} 0 0");
        let (id, parent) = (index + 1, if index == 0 { 0 } else { parent + 1 });
        let _infallible = writeln!(
            texts.mountinfo,
            "{id} {parent} 0:{dev} / {path} {access},relatime - {kind} {kind} {access}{size}"
        );
    }
    texts
}

/// Spaces and the like are octal in these files.
fn escape(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for character in path.chars() {
        match character {
            ' ' => text.push_str("\\040"),
            '\t' => text.push_str("\\011"),
            '\n' => text.push_str("\\012"),
            '\\' => text.push_str("\\134"),
            other => text.push(other),
        }
    }
    text
}
