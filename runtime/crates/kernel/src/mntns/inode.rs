//! An in-memory inode and the file system it belongs to. All in-memory trees are made of these: tmpfs, the writable layer over
//! an image, configMaps, `/proc` and `/dev`. Owns metadata and content; the operations on trees are in `tmpfs.rs`.
//!
//! Lock order: [`MemFs::tree`], then directories, then metadata. Who holds `tree` may lock several directories; everybody else
//! locks one at a time, so there is no cycle.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use wasmpod_sim::UnixNanos;

use super::dir::{Dir, Entry};
use super::overlay::{self, HardLinked, LowerDir};
use super::pages::{PAGE, PageHold, Pages, Payer};
use super::quota::{Quota, QuotaHold};
use super::synthetic::{Device, Provider};
use super::types::{Cred, MODE_MASK, NAME_MAX, Owner, PATH_MAX, Stat};
use crate::cgroup::Charge;
use crate::file::FileType;
use crate::{Errno, Result};

/// What a name with its inode is charged to the memory cgroup, where the file system is memory-backed.
const NAME_BYTES: u64 = 512;
/// Symbolic links up to this length live in the inode (tmpfs: SHORT_SYMLINK_LEN); longer ones take a page.
const SHORT_SYMLINK: usize = 128;
const _: () = assert!(PATH_MAX <= PAGE && NAME_MAX < SHORT_SYMLINK * 2, "a long target fits into one page");

/// Who makes a call, when, and who pays. What the node does itself is done by root and paid by nobody.
#[derive(Clone, Copy)]
pub(crate) struct Ctx<'a> {
    pub(crate) cred: &'a Cred,
    pub(crate) now: UnixNanos,
    pub(crate) payer: Payer<'a>,
}

impl Ctx<'static> {
    /// The node itself.
    pub(crate) fn node(now: UnixNanos) -> Self {
        static ROOT: Cred = Cred::root();
        Self { cred: &ROOT, now, payer: None }
    }
}

/// What the inodes of one file system share.
#[derive(Debug)]
pub(crate) struct MemFs {
    /// What kind it is, as `/proc/mounts` names it.
    pub(crate) kind: &'static str,
    pub(crate) quota: Arc<Quota>,
    pub(crate) memory_backed: bool,
    /// The tree cannot be changed by guests, though its files may be writable: `/proc`, `/dev`, single files (F15).
    pub(crate) sealed: bool,
    /// Held by whoever changes the tree.
    pub(crate) tree: Mutex<()>,
    /// Inodes of image files that have several names.
    pub(crate) hard_linked: Mutex<HardLinked>,
    next_ino: AtomicU64,
}

impl MemFs {
    pub(crate) fn new(kind: &'static str, quota: Arc<Quota>, memory_backed: bool, sealed: bool) -> Arc<Self> {
        Arc::new(Self {
            kind,
            quota,
            memory_backed,
            sealed,
            tree: Mutex::new(()),
            hard_linked: Mutex::default(),
            next_ino: AtomicU64::new(1),
        })
    }

    /// A page holder for a file of this file system.
    pub(crate) fn page_hold(&self) -> PageHold {
        PageHold::new(self.quota.clone(), self.memory_backed)
    }

    /// Counts one name.
    pub(crate) fn hold_name(&self, payer: Payer<'_>) -> Result<NameHold> {
        let names = self.quota.hold(0, 1)?;
        let memory = payer.filter(|_| self.memory_backed).map(|cgroup| cgroup.charge(NAME_BYTES)).transpose()?;
        Ok(NameHold { _names: names, _memory: memory })
    }
}

/// The room that a name takes.
pub(crate) struct NameHold {
    _names: QuotaHold,
    _memory: Option<Charge>,
}

/// One file, directory, link or device.
pub(crate) struct Inode {
    pub(crate) fs: Arc<MemFs>,
    pub(crate) ino: u64,
    pub(crate) meta: Mutex<Meta>,
    pub(crate) body: Body,
}

/// What `stat(2)` tells and calls change.
#[derive(Debug, Clone)]
pub(crate) struct Meta {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Names of a file; 0 for a directory that was removed. The links of a directory are counted by its content.
    pub(crate) nlink: u64,
    pub(crate) atime: UnixNanos,
    pub(crate) mtime: UnixNanos,
    pub(crate) ctime: UnixNanos,
}

impl Meta {
    pub(crate) fn new(mode: u32, uid: u32, gid: u32, now: UnixNanos) -> Self {
        Self { mode: mode & MODE_MASK, uid, gid, nlink: 1, atime: now, mtime: now, ctime: now }
    }
}

/// What an inode holds.
pub(crate) enum Body {
    File(RwLock<Pages>),
    Dir(RwLock<Dir>),
    Symlink {
        target: Box<str>,
        _page: Option<QuotaHold>,
    },
    /// A read-only file whose content is made when it is opened.
    Provider(Provider),
    Device(Device),
}

impl Body {
    /// A link to `target`.
    pub(crate) fn symlink(fs: &MemFs, target: &str) -> Result<Self> {
        let page = (target.len() > SHORT_SYMLINK).then(|| fs.quota.hold(PAGE as u64, 0)).transpose()?;
        Ok(Self::Symlink { target: target.into(), _page: page })
    }

    /// A file with this content.
    pub(crate) fn file(fs: &MemFs, content: Bytes) -> Self {
        Self::File(RwLock::new(Pages::new(content, fs.page_hold())))
    }

    /// A directory; `lower` are the image's directories under it, topmost first.
    pub(crate) fn dir(parent: Weak<Inode>, depth: u32, lower: Vec<LowerDir>) -> Self {
        Self::Dir(RwLock::new(Dir::new(parent, depth, lower)))
    }
}

impl Inode {
    pub(crate) fn new(fs: &Arc<MemFs>, meta: Meta, body: Body) -> Arc<Self> {
        let ino = fs.next_ino.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { fs: fs.clone(), ino, meta: Mutex::new(meta), body })
    }

    /// The root directory of a file system.
    pub(crate) fn new_root(fs: &Arc<MemFs>, meta: Meta, lower: Vec<LowerDir>) -> Arc<Self> {
        Self::new(fs, meta, Body::dir(Weak::new(), 0, lower))
    }

    pub(crate) fn file_type(&self) -> FileType {
        match &self.body {
            Body::File(_) | Body::Provider(_) => FileType::Regular,
            Body::Dir(_) => FileType::Directory,
            Body::Symlink { .. } => FileType::Symlink,
            Body::Device(_) => FileType::CharDevice,
        }
    }

    pub(crate) fn is_dir(&self) -> bool {
        matches!(self.body, Body::Dir(_))
    }

    pub(crate) fn owner(&self) -> Owner {
        let meta = self.meta.lock();
        Owner { uid: meta.uid, gid: meta.gid, mode: meta.mode, directory: self.is_dir() }
    }

    /// The content of a directory, to read it.
    ///
    /// # Errors
    /// [`Errno::NotDir`] if it is something else.
    pub(crate) fn dir(self: &Arc<Self>) -> Result<RwLockReadGuard<'_, Dir>> {
        let Body::Dir(lock) = &self.body else { return Err(Errno::NotDir) };
        let dir = lock.read();
        if dir.lower.is_empty() {
            return Ok(dir);
        }
        drop(dir);
        drop(self.dir_mut()?);
        Ok(lock.read())
    }

    /// The content of a directory, to change it.
    ///
    /// # Errors
    /// [`Errno::NotDir`] if it is something else.
    pub(crate) fn dir_mut(self: &Arc<Self>) -> Result<RwLockWriteGuard<'_, Dir>> {
        let Body::Dir(lock) = &self.body else { return Err(Errno::NotDir) };
        let mut dir = lock.write();
        if !dir.lower.is_empty() {
            overlay::merge(self, &mut dir);
        }
        Ok(dir)
    }

    /// The inode called `name`; not `.` or `..`.
    ///
    /// # Errors
    /// [`Errno::NoEnt`], or [`Errno::NotDir`].
    pub(crate) fn lookup(self: &Arc<Self>, name: &str) -> Result<Arc<Inode>> {
        self.dir()?.get(name).map(|entry| entry.inode.clone()).ok_or(Errno::NoEnt)
    }

    /// The file system's number is the caller's to know.
    pub(crate) fn stat(self: &Arc<Self>, dev: u64) -> Stat {
        let (size, links) = match &self.body {
            Body::File(pages) => (pages.read().size(), None),
            Body::Symlink { target, .. } => (target.len() as u64, None),
            Body::Dir(_) => (PAGE as u64, self.dir().ok().map(|dir| 2 + dir.subdirs)),
            Body::Provider(_) | Body::Device(_) => (0, None),
        };
        let Meta { mode, uid, gid, nlink, atime, mtime, ctime } = self.meta.lock().clone();
        let nlink = links.filter(|_| nlink > 0).unwrap_or(nlink);
        Stat { dev, ino: self.ino, file_type: self.file_type(), mode, nlink, uid, gid, size, atime, mtime, ctime }
    }

    /// Notes a read, as mount option `relatime` does: only if there was a change since the last one.
    pub(crate) fn touch_read(&self, now: impl FnOnce() -> UnixNanos) {
        let mut meta = self.meta.lock();
        if meta.atime <= meta.mtime || meta.atime <= meta.ctime {
            meta.atime = now().max(meta.atime);
        }
    }

    /// Notes a change of the content.
    pub(crate) fn touch_write(&self, now: UnixNanos) {
        let mut meta = self.meta.lock();
        meta.mtime = now;
        meta.ctime = now;
    }

    /// Notes a change of the metadata.
    pub(crate) fn touch_change(&self, now: UnixNanos) {
        self.meta.lock().ctime = now;
    }
}

impl Drop for Inode {
    /// Takes a tree apart without recursion: a guest chooses how deep it is.
    fn drop(&mut self) {
        let Body::Dir(dir) = &mut self.body else { return };
        let mut left: Vec<Entry> = dir.get_mut().take_all();
        while let Some(entry) = left.pop() {
            if let Some(mut inode) = Arc::into_inner(entry.inode)
                && let Body::Dir(dir) = &mut inode.body
            {
                left.extend(dir.get_mut().take_all());
            }
        }
    }
}

impl std::fmt::Debug for Inode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{} {:?}", self.fs.kind, self.ino, self.file_type())
    }
}
