//! Putting a mount namespace together: which mounts there are, in which order, on which mount points, and what a subPath means.
//! Everything here happens before the container starts, on behalf of the node; the guests' trees are hostile all the same, since
//! other containers may have written them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use wasmpod_sim::Clock;

use super::inode::Ctx;
use super::mount::{Location, Mount, MountNs, MountTable, texts_of};
use super::node::Node;
use super::overlay;
use super::synthetic::{MountTexts, Synthetic};
use super::tmpfs::New;
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
    pub(crate) fn new(clock: Clock, memory: Arc<Cgroup>) -> Self {
        Self { clock, memory, root: None, read_only_root: false, pending: Vec::new() }
    }

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
        let root = Node::Mem(root);
        stamp(&root, now);
        table.push(Mount::new("/", root, self.read_only_root, "overlay", Some(upper.clone())), identity);

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
            table.cover(&at, Mount::of_volume(path, &volume, node, options.read_only), volume.identity());
            text_slots.extend(texts);
        }
        for slot in text_slots {
            // a tree that is mounted twice keeps the text of the first; the trees are made for one container each
            let _kept = slot.set(texts_of(&table));
        }
        Ok(MountNs::new(self.clock, self.memory, table, upper, layers))
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
                // a container's own root is made ready before it turns read-only
                let own_root = rooted && found.parent.mount == 0;
                if table.read_only(found.parent.mount) && !own_root {
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
