//! Volumes: what outlives a container and is mounted into one or several. emptyDir is [`Volume::tmpfs`]; configMap, secret,
//! projected and downwardAPI are [`Volume::files`]; hostPath is [`Volume::host`]; `/etc/hosts` and the like are
//! [`Volume::file`]. Owns their making, limits and updates; the trees are of `inode.rs` or `hostpath.rs`.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use wasmpod_sim::UnixNanos;

use super::Quota;
use super::files::{FileEntry, FilesState};
use super::hostpath::HostNode;
use super::inode::{Body, Ctx, Inode, MemFs, Meta};
use super::mount::MountTable;
use super::node::Node;
use super::quota::DEFAULT_INODES_MAX;
use super::synthetic::Synthetic;
use super::types::Usage;
use super::walk::Walk;
use crate::{Errno, Result};

/// What an emptyDir is like.
#[derive(Debug, Clone)]
pub struct TmpfsOptions {
    /// sizeLimit in bytes, counted in pages. Reaching it is ENOSPC.
    pub size_limit: Option<u64>,
    /// The most names in it; `None` is [`DEFAULT_INODES_MAX`].
    pub inodes_limit: Option<u64>,
    /// `medium: Memory`: pages and names are charged to the cgroup of the container that makes them.
    pub memory_backed: bool,
    /// The mode of its root directory.
    pub mode: u32,
    /// The owner of its root directory.
    pub uid: u32,
    /// The group of its root directory: the pod's fsGroup.
    pub gid: u32,
    /// What it counts against beside its own limit: the pod's ephemeral storage, the node's disk.
    pub quota: Option<Arc<Quota>>,
}

impl Default for TmpfsOptions {
    /// As the kubelet makes an emptyDir: mode 0777, no limit of its own.
    fn default() -> Self {
        Self { size_limit: None, inodes_limit: None, memory_backed: false, mode: 0o777, uid: 0, gid: 0, quota: None }
    }
}

/// What a single-file volume is like.
#[derive(Debug, Clone)]
pub struct FileOptions {
    /// The file's mode.
    pub mode: u32,
    /// How large a container may make it, in bytes, rounded up to a page (F14).
    pub size_limit: u64,
    /// What is written counts against this too.
    pub quota: Option<Arc<Quota>>,
}

impl Default for FileOptions {
    /// Mode 0644 and 64 KiB: far more than `/etc/hosts` and a termination message need.
    fn default() -> Self {
        Self { mode: 0o644, size_limit: 64 * 1024, quota: None }
    }
}

/// A volume. Cheap to clone; the content goes when the last clone, mount and open file are gone.
#[derive(Clone)]
pub struct Volume(Arc<Inner>);

struct Inner {
    node: Node,
    kind: &'static str,
    read_only: bool,
    quota: Option<Arc<Quota>>,
    files: Option<Mutex<FilesState>>,
}

impl Volume {
    /// An empty directory in memory.
    pub fn tmpfs(options: TmpfsOptions) -> Self {
        let TmpfsOptions { size_limit, inodes_limit, memory_backed, mode, uid, gid, quota } = options;
        let inodes_limit = Some(inodes_limit.unwrap_or(DEFAULT_INODES_MAX));
        let quota = match quota {
            Some(above) => above.child("emptyDir", size_limit, inodes_limit),
            None => Quota::root("emptyDir", size_limit, inodes_limit),
        };
        let fs = MemFs::new("tmpfs", quota.clone(), memory_backed, false);
        let root = Inode::new_root(&fs, Meta::new(mode, uid, gid, 0), Vec::new());
        Self::new(Node::Mem(root), "tmpfs", false, Some(quota), None)
    }

    /// A read-only tree of small files with the kubelet's layout (pkg/volume/util/atomic_writer.go): each name is a link into
    /// `..data`, which is a link to a directory named after the time; [`Volume::update`] swaps that.
    ///
    /// # Errors
    /// [`Errno::Inval`] for a path that is absolute, empty, begins with `..` or holds a `..`; [`Errno::NameTooLong`]; [`Errno::Exist`] or
    /// [`Errno::NotDir`] for paths that exclude each other.
    pub fn files(entries: Vec<FileEntry>, now: UnixNanos) -> Result<Self> {
        Self::files_of_group(entries, None, now)
    }

    /// As [`Volume::files`], for a pod with an fsGroup: the files belong to that group, which may read them.
    ///
    /// # Errors
    /// As [`Volume::files`].
    pub fn files_of_group(entries: Vec<FileEntry>, fs_group: Option<u32>, now: UnixNanos) -> Result<Self> {
        let fs = MemFs::new("tmpfs", Quota::unlimited(), false, false);
        let root = Inode::new_root(&fs, Meta::new(0o777, 0, 0, now), Vec::new());
        let state = FilesState::new(&root, entries, fs_group, now)?;
        Ok(Self::new(Node::Mem(root), "tmpfs", true, None, Some(Mutex::new(state))))
    }

    /// Replaces the content of a [`Volume::files`] at once: a reader sees all of the old or all of the new.
    ///
    /// # Errors
    /// [`Errno::OpNotSupp`] for another kind of volume; else as [`Volume::files`], and nothing has changed then.
    pub fn update(&self, entries: Vec<FileEntry>, now: UnixNanos) -> Result<()> {
        match (&self.0.files, &self.0.node) {
            (Some(state), Node::Mem(root)) => state.lock().update(root, entries, now),
            _ => Err(Errno::OpNotSupp),
        }
    }

    /// A directory of the host. Which one may be mounted is for the node to decide, before it opens it.
    pub fn host(dir: cap_std::fs::Dir, read_only: bool) -> Self {
        Self::new(Node::Host(HostNode::root(dir)), "hostpath", read_only, None, None)
    }

    /// One file, with the default [`FileOptions`].
    pub fn file(data: impl Into<Bytes>) -> Self {
        Self::file_with(data, FileOptions::default())
    }

    /// One file that can be written, but not replaced.
    pub fn file_with(data: impl Into<Bytes>, options: FileOptions) -> Self {
        let FileOptions { mode, size_limit, quota } = options;
        let quota = match quota {
            Some(above) => above.child("file", Some(round_up(size_limit)), None),
            None => Quota::root("file", Some(round_up(size_limit)), None),
        };
        let fs = MemFs::new("tmpfs", quota.clone(), false, true);
        let body = Body::file(&fs, data.into());
        let file = Inode::new(&fs, Meta::new(mode, 0, 0, 0), body);
        Self::new(Node::Mem(file), "tmpfs", false, Some(quota), None)
    }

    pub(crate) fn synthetic(tree: Synthetic) -> Self {
        let kind = tree.root.fs.kind;
        // a guest finds cgroup files read-only on a cluster as well; the others refuse changes by themselves
        Self::new(Node::Mem(tree.root), kind, kind == "cgroup2", None, None)
    }

    fn new(
        node: Node,
        kind: &'static str,
        read_only: bool,
        quota: Option<Arc<Quota>>,
        files: Option<Mutex<FilesState>>,
    ) -> Self {
        Self(Arc::new(Inner { node, kind, read_only, quota, files }))
    }

    /// How full it is. Nothing is counted for the kinds that guests cannot write, and for hostPath.
    pub fn usage(&self) -> Usage {
        self.0.quota.as_ref().map(|quota| quota.usage()).unwrap_or_default()
    }

    /// Reads at most the first `max` bytes of a file of the volume, for the node itself; `path` is empty for a single-file
    /// volume. Links are followed within the volume.
    ///
    /// # Errors
    /// Those of a path walk; [`Errno::IsDir`] and [`Errno::Inval`] for what is no regular file.
    pub fn read_file(&self, path: &str, max: usize) -> Result<Vec<u8>> {
        let node = if path.is_empty() {
            self.0.node.clone()
        } else {
            let table = MountTable::of_volume(self);
            let (start, ctx) = (table.root(), Ctx::node(0));
            let walk = Walk { table: &table, start: &start, cred: ctx.cred, rooted: false };
            walk.resolve(path, true)?.existing()?.node.clone()
        };
        match &node {
            Node::Mem(inode) => match &inode.body {
                Body::File(pages) => Ok(pages.read().to_vec(max)),
                Body::Dir(_) => Err(Errno::IsDir),
                _ => Err(Errno::Inval),
            },
            Node::Host(node) => {
                let file = node.open(true, false)?;
                let mut content = vec![0; usize::try_from(file.size()?).unwrap_or(usize::MAX).min(max)];
                let mut done = 0;
                while done < content.len() {
                    match file.read_at(&mut content[done..], done as u64)? {
                        0 => break,
                        read => done += read,
                    }
                }
                content.truncate(done);
                Ok(content)
            }
        }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.0.node
    }

    /// The kind of file system, as `/proc/mounts` names it.
    pub fn kind(&self) -> &'static str {
        self.0.kind
    }

    pub(crate) fn read_only(&self) -> bool {
        self.0.read_only
    }

    /// Makes it full, or lets its limits decide again ([`Quota::set_full`]). False if it takes no bytes of the node: a directory of the host,
    /// or files that only the node writes.
    pub fn set_full(&self, full: bool) -> bool {
        self.0.quota.as_ref().map(|quota| quota.set_full(full)).is_some()
    }

    pub(crate) fn quota(&self) -> Option<&Arc<Quota>> {
        self.0.quota.as_ref()
    }

    /// What two mounts of one volume have in common.
    pub(crate) fn identity(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }
}

impl std::fmt::Debug for Volume {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Volume").field("kind", &self.0.kind).field("usage", &self.usage()).finish()
    }
}

fn round_up(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(super::pages::PAGE as u64).unwrap_or(u64::MAX)
}
