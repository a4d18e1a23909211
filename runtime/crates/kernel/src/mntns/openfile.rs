//! An open file description: a place in the mounted tree, an offset and how it may be used (`open(2)`, `read(2)`, `lseek(2)`).
//! Owns opening, seeking, metadata and listing; reading and writing are
//! in `io.rs`, the calls that take a path in `paths.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;

use parking_lot::Mutex;

use super::hostfile::HostFile;
use super::inode::Body;
use super::mount::{Location, MountNs};
use super::node::Node;
use super::synthetic::{Device, PROVIDED_MAX};
use super::types::{Cred, DirEntry, FILE_SIZE_MAX, MAY_READ, OpenOptions, SetTime, Stat};
use crate::cgroup::Charge;
use crate::file::FileType;
use crate::wait::Ready;
use crate::{Errno, Result};

/// The most entries that one [`OpenFile::read_dir`] returns, whatever was asked for.
pub const READ_DIR_MAX: usize = 1024;

/// Where to seek to (`lseek(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekFrom {
    /// From the start (SEEK_SET).
    Start(u64),
    /// From the current offset (SEEK_CUR).
    Current(i64),
    /// From the end (SEEK_END).
    End(i64),
}

/// An open file description. Dropping the last reference closes it; a file without a name goes then.
pub struct OpenFile {
    pub(super) ns: Arc<MountNs>,
    pub(super) at: Location,
    /// It is the namespace's root: absolute links begin here.
    pub(super) rooted: bool,
    pub(super) backing: Backing,
    pub(super) offset: Mutex<u64>,
    pub(super) readable: bool,
    pub(super) writable: bool,
    append: AtomicBool,
    /// Who opened it may list it; for directories.
    may_list: bool,
    /// Who opened it.
    opener: Cred,
}

/// What reads and writes go to, beside the node itself.
pub(super) enum Backing {
    /// An in-memory file, or any directory.
    Node,
    /// A file of the host.
    Host(HostFile),
    /// What a provider said when it was opened, and its price.
    Provided(Vec<u8>, #[expect(dead_code, reason = "held as long as the content is")] Charge),
}

impl OpenFile {
    pub(super) fn root(ns: Arc<MountNs>, at: Location) -> Arc<Self> {
        Arc::new(Self {
            ns,
            at,
            rooted: true,
            backing: Backing::Node,
            offset: Mutex::new(0),
            readable: true,
            writable: false,
            append: AtomicBool::new(false),
            may_list: true,
            opener: Cred::root(),
        })
    }

    /// Opens what is at `at`; `made` is a file of the host that was just made there. Permissions have been checked.
    pub(super) fn open(
        ns: &Arc<MountNs>,
        at: Location,
        cred: &Cred,
        options: &OpenOptions,
        made: Option<HostFile>,
    ) -> Result<Arc<Self>> {
        let directory = at.node.is_dir();
        let backing = match &at.node {
            _ if directory => Backing::Node,
            Node::Host(node) => Backing::Host(match made {
                Some(file) => file,
                None => node.open(options.read, options.write)?,
            }),
            Node::Mem(inode) => match &inode.body {
                Body::Provider(provider) => {
                    let mut content = provider();
                    content.truncate(PROVIDED_MAX);
                    let charge = ns.memory().charge(content.len() as u64)?;
                    Backing::Provided(content, charge)
                }
                Body::Device(device) => {
                    device.check_open()?;
                    Backing::Node
                }
                _ => Backing::Node,
            },
        };
        let may_list = directory && at.node.owner().is_ok_and(|owner| cred.check(owner, MAY_READ).is_ok());
        let root = ns.table().root();
        let rooted = at.mount == root.mount && directory && at.node.same(&root.node);
        Ok(Arc::new(Self {
            ns: ns.clone(),
            at,
            rooted,
            backing,
            offset: Mutex::new(0),
            readable: options.read,
            writable: options.write,
            append: AtomicBool::new(options.append),
            may_list,
            opener: cred.clone(),
        }))
    }

    /// What it is.
    pub fn file_type(&self) -> FileType {
        self.at.node.file_type()
    }

    /// True for a directory.
    pub fn is_dir(&self) -> bool {
        self.at.node.is_dir()
    }

    /// True if it was opened for reading.
    pub fn readable(&self) -> bool {
        self.readable
    }

    /// True if it was opened for writing.
    pub fn writable(&self) -> bool {
        self.writable
    }

    /// True if every write goes to the end.
    pub fn append(&self) -> bool {
        self.append.load(Ordering::Relaxed)
    }

    /// Sets whether every write goes to the end (`fcntl(2)` F_SETFL).
    pub fn set_append(&self, append: bool) {
        self.append.store(append, Ordering::Relaxed);
    }

    /// If it is `/dev/stdin`, `/dev/stdout` or `/dev/stderr`: the descriptor of the process that it stands for.
    pub fn stdio(&self) -> Option<u32> {
        match self.device() {
            Some(Device::Stdio(fd, _)) => Some(*fd),
            _ => None,
        }
    }

    /// True if `isatty(3)` would say so.
    pub fn is_terminal(&self) -> bool {
        self.device().and_then(Device::stream).is_some_and(|stream| stream.is_terminal())
    }

    /// Readiness as of `poll(2)`: files and directories never block, devices may.
    pub fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        match self.device().and_then(Device::stream) {
            Some(stream) => stream.poll_ready(interest, cx),
            None => (Ready::READ | Ready::WRITE).answering(interest),
        }
    }

    /// Moves the offset and returns it. Beyond the end is allowed.
    ///
    /// # Errors
    /// [`Errno::Inval`] before the start or beyond the largest offset, [`Errno::SPipe`] for a terminal.
    pub fn seek(&self, to: SeekFrom) -> Result<u64> {
        if let Some(device) = self.device() {
            return if device.stream().is_some() { Err(Errno::SPipe) } else { Ok(0) };
        }
        let mut offset = self.offset.lock();
        let (base, by) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::Current(by) => (*offset, by),
            SeekFrom::End(by) => (self.size()?, by),
        };
        let target = base.checked_add_signed(by).filter(|target| *target <= FILE_SIZE_MAX).ok_or(Errno::Inval)?;
        *offset = target;
        Ok(target)
    }

    /// The offset.
    ///
    /// # Errors
    /// [`Errno::SPipe`] for a terminal.
    pub fn tell(&self) -> Result<u64> {
        self.seek(SeekFrom::Current(0))
    }

    fn size(&self) -> Result<u64> {
        match &self.backing {
            Backing::Provided(content, _) => Ok(content.len() as u64),
            Backing::Host(file) => file.size(),
            Backing::Node => match &self.at.node {
                Node::Mem(inode) => match &inode.body {
                    Body::File(pages) => Ok(pages.read().size()),
                    _ => Ok(0),
                },
                Node::Host(_) => Ok(0),
            },
        }
    }

    /// The mount it is in: where that is, and the kind of file system. A file has no path of its own: it may have been renamed.
    pub fn mounted_at(&self) -> (&str, &'static str) {
        self.ns.table().place(self.at.mount)
    }

    /// How it was opened: for reading, for writing.
    pub const fn access(&self) -> (bool, bool) {
        (self.readable, self.writable)
    }

    /// What `fstat(2)` tells.
    ///
    /// # Errors
    /// What the host says, for hostPath.
    pub fn stat(&self) -> Result<Stat> {
        let dev = self.ns.table().dev(self.at.mount);
        match &self.backing {
            Backing::Host(file) => file.stat(dev),
            _ => self.at.node.stat(dev),
        }
    }

    /// Hears how the file will be used (`posix_fadvise(2)`) and makes nothing of it.
    ///
    /// # Errors
    /// [`Errno::IsDir`] for a directory, [`Errno::SPipe`] for a terminal.
    pub fn advise(&self, _offset: u64, _length: u64) -> Result<()> {
        match self.device() {
            _ if self.is_dir() => Err(Errno::IsDir),
            Some(device) if device.stream().is_some() => Err(Errno::SPipe),
            _ => Ok(()),
        }
    }

    /// Sets the timestamps (`futimens(3)`), on behalf of who opened it.
    ///
    /// # Errors
    /// [`Errno::Perm`] and [`Errno::Acces`] if the file is somebody else's; [`Errno::RoFs`] on a read-only mount; what the host says, for hostPath.
    pub fn set_times(&self, atime: SetTime, mtime: SetTime) -> Result<()> {
        if self.ns.table().read_only(self.at.mount) {
            return Err(Errno::RoFs);
        }
        let ctx = self.ns.ctx(&self.opener);
        match &self.backing {
            Backing::Host(file) => {
                // the host's files are root's, and this one may have no name to look its owner up by
                if self.opener.uid != 0 {
                    return Err(Errno::Perm);
                }
                file.set_times(atime, mtime, ctx.now)
            }
            _ => self.at.node.set_times(&ctx, atime, mtime),
        }
    }

    /// Lists a directory from `cookie` on: 0 for the start, else the `next_cookie` of the entry after which to go on. At most
    /// `max` entries, and at most [`READ_DIR_MAX`]; none at the end. `.` and `..` come first. Cookies stay good while the
    /// directory changes: what survives is met once.
    ///
    /// # Errors
    /// [`Errno::NotDir`], [`Errno::Acces`] if whoever opened it may not read it.
    pub fn read_dir(&self, cookie: u64, max: usize) -> Result<Vec<DirEntry>> {
        if !self.is_dir() {
            return Err(Errno::NotDir);
        }
        if !self.may_list {
            return Err(Errno::Acces);
        }
        let max = max.min(READ_DIR_MAX);
        let inode = match &self.at.node {
            Node::Mem(inode) => inode,
            Node::Host(node) => return node.read_dir(cookie, max),
        };
        inode.touch_read(|| self.ns.clock().wall());
        let dir = inode.dir()?;
        // a directory that was removed has not even these
        let parent = dir.parent.upgrade().map_or(inode.ino, |parent| parent.ino);
        let special = [(".", inode.ino, 1), ("..", parent, super::dir::FIRST_COOKIE)];
        let skip = usize::try_from(cookie).unwrap_or(usize::MAX).min(2) + if dir.dead { 2 } else { 0 };
        let special = special.into_iter().skip(skip).map(|(name, ino, next_cookie)| DirEntry {
            name: name.to_owned(),
            ino,
            file_type: FileType::Directory,
            next_cookie,
        });
        let real = dir.iter_from(cookie).map(|(cookie, entry)| DirEntry {
            name: entry.name.to_string(),
            ino: entry.inode.ino,
            file_type: entry.inode.file_type(),
            next_cookie: cookie + 1,
        });
        Ok(special.chain(real).take(max).collect())
    }

    /// True if both are open on the same object.
    pub fn same_object(&self, other: &OpenFile) -> bool {
        match (&self.at.node, &other.at.node) {
            (Node::Mem(a), Node::Mem(b)) => Arc::ptr_eq(a, b),
            (Node::Host(_), Node::Host(_)) => match (self.stat(), other.stat()) {
                (Ok(a), Ok(b)) => (a.dev, a.ino) == (b.dev, b.ino),
                _ => false,
            },
            _ => false,
        }
    }

    /// A number that is the same for descriptions of the same object, and differs between objects; the same in every run.
    pub fn object_hash(&self) -> (u64, u64) {
        let (dev, ino) = self.stat().map(|stat| (stat.dev, stat.ino)).unwrap_or_default();
        let mix = |basis: u64| {
            let bytes = dev.to_le_bytes().into_iter().chain(ino.to_le_bytes());
            bytes.fold(basis, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
        };
        (mix(0xcbf2_9ce4_8422_2325), mix(0x6c62_272e_07bb_0142))
    }

    pub(super) fn device(&self) -> Option<&Device> {
        match &self.at.node {
            Node::Mem(inode) => match &inode.body {
                Body::Device(device) => Some(device),
                _ => None,
            },
            Node::Host(_) => None,
        }
    }
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile").field("type", &self.file_type()).field("writable", &self.writable).finish()
    }
}
