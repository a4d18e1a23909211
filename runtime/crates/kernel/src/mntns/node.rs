//! A node of the mounted tree: an in-memory inode or something on the host. The few calls that the walk and the path calls need,
//! with one meaning for both. Owns no state.

use std::sync::Arc;

use super::hostfile::HostFile;
use super::hostpath::HostNode;
use super::inode::{Body, Ctx, Inode};
use super::tmpfs::{Busy, New};
use super::types::{Owner, SetTime, Stat};
use crate::file::FileType;
use crate::{Errno, Result};

/// What a path leads to.
#[derive(Clone)]
pub(crate) enum Node {
    Mem(Arc<Inode>),
    Host(Arc<HostNode>),
}

/// What a mount point is known by within its mount.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NodeKey {
    Mem(usize, u64),
    Host(String),
}

impl Node {
    pub(crate) fn key(&self) -> NodeKey {
        match self {
            Self::Mem(inode) => {
                let (fs, ino) = inode.key();
                NodeKey::Mem(fs, ino)
            }
            Self::Host(node) => NodeKey::Host(node.path.clone()),
        }
    }

    pub(crate) fn file_type(&self) -> FileType {
        match self {
            Self::Mem(inode) => inode.file_type(),
            Self::Host(node) => node.file_type(),
        }
    }

    pub(crate) fn is_dir(&self) -> bool {
        self.file_type() == FileType::Directory
    }

    pub(crate) fn owner(&self) -> Result<Owner> {
        match self {
            Self::Mem(inode) => Ok(inode.owner()),
            Self::Host(node) => node.owner(),
        }
    }

    pub(crate) fn stat(&self, dev: u64) -> Result<Stat> {
        match self {
            Self::Mem(inode) => Ok(inode.stat(dev)),
            Self::Host(node) => node.stat(dev),
        }
    }

    pub(crate) fn lookup(&self, name: &str) -> Result<Node> {
        match self {
            Self::Mem(inode) => inode.lookup(name).map(Self::Mem),
            Self::Host(node) => node.lookup(name).map(Self::Host),
        }
    }

    pub(crate) fn readlink(&self) -> Result<String> {
        match self {
            Self::Mem(inode) => match &inode.body {
                Body::Symlink { target, .. } => Ok(target.to_string()),
                _ => Err(Errno::Inval),
            },
            Self::Host(node) => node.readlink(),
        }
    }

    pub(crate) fn make(&self, ctx: &Ctx<'_>, name: &str, new: &New<'_>) -> Result<Node> {
        match self {
            Self::Mem(inode) => inode.make(ctx, name, new).map(Self::Mem),
            Self::Host(node) => {
                self.check_host_change(ctx)?;
                match new {
                    New::File { mode } => drop(node.make_file(name, *mode)?),
                    New::Dir { mode } => node.make_dir(name, *mode)?,
                    New::Symlink { target } => node.make_symlink(name, target)?,
                }
                node.lookup(name).map(Self::Host)
            }
        }
    }

    /// Makes a regular file that is to be opened. A file of the host comes opened: its mode may forbid that later.
    pub(crate) fn make_open(&self, ctx: &Ctx<'_>, name: &str, mode: u32) -> Result<(Node, Option<HostFile>)> {
        match self {
            Self::Mem(_) => Ok((self.make(ctx, name, &New::File { mode })?, None)),
            Self::Host(node) => {
                self.check_host_change(ctx)?;
                let file = node.make_file(name, mode)?;
                Ok((Self::Host(node.lookup(name)?), Some(file)))
            }
        }
    }

    pub(crate) fn link(&self, ctx: &Ctx<'_>, name: &str, file: &Node) -> Result<()> {
        match (self, file) {
            (Self::Mem(dir), Self::Mem(file)) => dir.link(ctx, name, file),
            (Self::Host(dir), Self::Host(file)) => {
                self.check_host_change(ctx)?;
                dir.link(name, file)
            }
            _ => Err(Errno::XDev),
        }
    }

    /// Removes a name; `directory` says of what kind.
    pub(crate) fn remove(&self, ctx: &Ctx<'_>, name: &str, directory: bool, busy: &Busy) -> Result<()> {
        match self {
            Self::Mem(inode) if directory => inode.rmdir(ctx, name, busy),
            Self::Mem(inode) => inode.unlink(ctx, name, busy),
            Self::Host(node) => {
                self.check_host_change(ctx)?;
                if directory { node.rmdir(name) } else { node.unlink(name) }
            }
        }
    }

    pub(crate) fn rename(&self, ctx: &Ctx<'_>, old: &str, to: &Node, new: &str, busy: &Busy) -> Result<()> {
        match (self, to) {
            (Self::Mem(from), Self::Mem(to)) => from.rename(ctx, old, to, new, busy),
            (Self::Host(from), Self::Host(into)) => {
                self.check_host_change(ctx)?;
                to.check_host_change(ctx)?;
                from.rename(old, into, new)
            }
            _ => Err(Errno::XDev),
        }
    }

    pub(crate) fn set_times(&self, ctx: &Ctx<'_>, atime: SetTime, mtime: SetTime) -> Result<()> {
        match self {
            Self::Mem(inode) => inode.set_times(ctx, atime, mtime),
            Self::Host(node) => {
                ctx.cred.check_owner(node.owner()?)?;
                node.set_times(atime, mtime, ctx.now)
            }
        }
    }

    pub(crate) fn chmod(&self, ctx: &Ctx<'_>, mode: u32) -> Result<()> {
        match self {
            Self::Mem(inode) => inode.chmod(ctx, mode),
            Self::Host(node) => {
                ctx.cred.check_owner(node.owner()?)?;
                node.chmod(mode)
            }
        }
    }

    /// The in-memory trees check this under their own locks.
    fn check_host_change(&self, ctx: &Ctx<'_>) -> Result<()> {
        ctx.cred.check(self.owner()?, super::types::MAY_WRITE | super::types::MAY_EXEC)
    }

    /// True if both are the same object now.
    pub(crate) fn same(&self, other: &Node) -> bool {
        match (self, other) {
            (Self::Mem(a), Self::Mem(b)) => Arc::ptr_eq(a, b),
            (Self::Host(a), Self::Host(b)) => match (a.stat(0), b.stat(0)) {
                (Ok(a), Ok(b)) => a.ino == b.ino,
                _ => false,
            },
            _ => false,
        }
    }
}
