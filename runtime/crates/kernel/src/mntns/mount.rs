//! A container's mount namespace: a root and what is mounted over it. It is built once, before the container starts, and does not
//! change (Kubernetes adds no mounts later), so nothing here needs a lock. Owns the mount table; it is filled by `builder.rs`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use wasmpod_sim::Clock;

use super::builder::MountNsBuilder;
use super::inode::Ctx;
use super::node::{Node, NodeKey};
use super::openfile::OpenFile;
use super::synthetic::MountTexts;
use super::tmpfs::Busy;
use super::types::{Cred, Usage};
use super::volume::Volume;
use super::{Layer, Quota};
use crate::Result;
use crate::cgroup::Cgroup;

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

pub(crate) struct Mount {
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

impl Mount {
    /// A mount that is not in a table yet.
    pub(crate) fn new(
        path: impl Into<String>,
        root: Node,
        read_only: bool,
        kind: &'static str,
        quota: Option<Arc<Quota>>,
    ) -> Self {
        Self { path: path.into(), root, read_only, kind, dev: 0, parent: 0, covers: false, quota }
    }

    /// `root`, the root of a volume or a place in it.
    pub(crate) fn of_volume(path: impl Into<String>, volume: &Volume, root: Node, read_only: bool) -> Self {
        Self::new(path, root, read_only || volume.read_only(), volume.kind(), volume.quota().cloned())
    }
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
        table.push(Mount::of_volume("", volume, volume.node().clone(), false), volume.identity());
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

    /// Where `mount` is and what kind it is.
    pub(crate) fn place(&self, mount: u32) -> (&str, &'static str) {
        let mount = &self.mounts[mount as usize];
        (&mount.path, mount.kind)
    }

    pub(crate) fn busy(&self) -> &Busy {
        &self.busy
    }

    /// True if something is mounted on `node`, or if it is the root of a mount.
    pub(crate) fn is_mount_point(&self, parent_mount: u32, at: &Location) -> bool {
        at.mount != parent_mount || self.covered.contains_key(&(at.mount, at.node.key()))
    }

    pub(crate) fn push(&mut self, mut mount: Mount, identity: usize) {
        let first = self.identities.iter().position(|known| *known == identity).unwrap_or(self.identities.len());
        mount.dev = first as u64 + 1;
        self.identities.push(identity);
        self.mounts.push(mount);
    }

    pub(crate) fn cover(&mut self, at: &Location, mount: Mount, identity: usize) {
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
    pub(crate) fn new(
        clock: Clock,
        memory: Arc<Cgroup>,
        table: MountTable,
        upper: Arc<Quota>,
        layers: Vec<Arc<Layer>>,
    ) -> Arc<Self> {
        let texts = texts_of(&table);
        Arc::new(Self { clock, memory, table, upper, texts, _layers: layers })
    }

    /// Begins a namespace. Timestamps come from `clock`; memory-backed pages and open files' buffers are charged to `memory`.
    pub fn builder(clock: Clock, memory: Arc<Cgroup>) -> MountNsBuilder {
        MountNsBuilder::new(clock, memory)
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

/// The lines of `/proc/mounts` and `/proc/self/mountinfo` (`proc(5)`).
pub(crate) fn texts_of(table: &MountTable) -> MountTexts {
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
