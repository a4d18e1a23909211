//! The calls that take a path relative to an open directory (`openat(2)` and its relatives). Each walks once and then works on
//! what it found. Owns the order of checks; the walk is in `walk.rs`, the changes in `tmpfs.rs` and `hostpath.rs`.

use std::sync::Arc;

use super::inode::{Body, Ctx};
use super::mount::Location;
use super::node::Node;
use super::openfile::OpenFile;
use super::tmpfs::New;
use super::types::{Cred, MAY_READ, MAY_WRITE, OpenOptions, SetTime, Stat};
use super::walk::{Found, Walk};
use crate::file::FileType;
use crate::{Errno, Result};

/// How often an open begins again because others made or removed the file meanwhile.
const OPEN_TRIES: u32 = 8;

impl OpenFile {
    /// Opens `path`, and makes the file if `options` say so.
    ///
    /// # Errors
    /// Those of a path walk (see [`crate::mntns`]); [`Errno::Exist`], [`Errno::IsDir`], [`Errno::NotDir`], [`Errno::Loop`] for a link that is
    /// not followed, [`Errno::Acces`], [`Errno::RoFs`], [`Errno::NoSpc`].
    pub fn open_at(&self, cred: &Cred, path: &str, options: OpenOptions) -> Result<Arc<OpenFile>> {
        if options.create && options.directory {
            return Err(Errno::Inval);
        }
        let follow = options.follow_symlinks && !(options.create && options.exclusive);
        for _ in 0..OPEN_TRIES {
            let found = self.find(cred, path, follow)?;
            match &found.at {
                Some(at) => return self.open_existing(cred, at, options),
                None if !options.create => return Err(Errno::NoEnt),
                None => match self.open_new(cred, &found, &options) {
                    // somebody else made it since the walk
                    Err(Errno::Exist) if !options.exclusive => {}
                    opened => return opened,
                },
            }
        }
        Err(Errno::Busy)
    }

    fn open_new(&self, cred: &Cred, found: &Found, options: &OpenOptions) -> Result<Arc<OpenFile>> {
        let name = found.name.as_deref().ok_or(Errno::NoEnt)?;
        if found.must_be_dir {
            return Err(Errno::IsDir);
        }
        self.check_writable_mount(&found.parent)?;
        let ctx = self.ns.ctx(cred);
        // who makes a file may use it as asked, whatever its mode says
        let (node, made) = found.parent.node.make_open(&ctx, name, options.mode)?;
        OpenFile::open(&self.ns, Location { mount: found.parent.mount, node }, cred, options, made)
    }

    fn open_existing(&self, cred: &Cred, at: &Location, options: OpenOptions) -> Result<Arc<OpenFile>> {
        if options.create && options.exclusive {
            return Err(Errno::Exist);
        }
        let file_type = at.node.file_type();
        let writes = options.write || options.truncate;
        match file_type {
            FileType::Symlink => return Err(Errno::Loop),
            FileType::Directory if writes || options.create => return Err(Errno::IsDir),
            FileType::Directory => {}
            _ if options.directory => return Err(Errno::NotDir),
            _ => {}
        }
        // devices can be written on a read-only mount: nothing of the mount changes
        if writes && file_type == FileType::Regular {
            self.check_writable_mount(at)?;
        }
        let want = if options.read { MAY_READ } else { 0 } | if writes { MAY_WRITE } else { 0 };
        cred.check(at.node.owner()?, want)?;
        if writes && matches!(&at.node, Node::Mem(inode) if matches!(inode.body, Body::Provider(_))) {
            return Err(Errno::Acces);
        }
        if options.truncate && file_type == FileType::Regular {
            let cut = OpenOptions { write: true, ..options };
            let opened = OpenFile::open(&self.ns, at.clone(), cred, &cut, None)?;
            opened.set_len(0)?;
            if options.write {
                return Ok(opened);
            }
        }
        OpenFile::open(&self.ns, at.clone(), cred, &options, None)
    }

    /// What `path` is.
    ///
    /// # Errors
    /// Those of a path walk.
    pub fn stat_at(&self, cred: &Cred, path: &str, follow: bool) -> Result<Stat> {
        let found = self.find(cred, path, follow)?;
        let at = found.existing()?;
        at.node.stat(self.ns.table().dev(at.mount))
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// [`Errno::Exist`], [`Errno::RoFs`], [`Errno::Acces`], [`Errno::NoSpc`], and those of a path walk.
    pub fn mkdir_at(&self, cred: &Cred, path: &str, mode: u32) -> Result<()> {
        // what is made is a directory, with or without a slash after its name
        let name = path.trim_end_matches('/');
        let found = self.walk(cred).resolve(if name.is_empty() { path } else { name }, false)?;
        self.make(cred, &found, &New::Dir { mode })
    }

    /// Makes a symbolic link to `target`, which may be any text.
    ///
    /// # Errors
    /// As [`OpenFile::mkdir_at`]; [`Errno::NoEnt`] for an empty target or a slash at the end of `path`; [`Errno::NameTooLong`].
    pub fn symlink_at(&self, cred: &Cred, target: &str, path: &str) -> Result<()> {
        let found = self.walk(cred).resolve(path, false)?;
        if found.must_be_dir && found.at.is_none() {
            return Err(Errno::NoEnt);
        }
        self.make(cred, &found, &New::Symlink { target })
    }

    fn make(&self, cred: &Cred, found: &Found, new: &New<'_>) -> Result<()> {
        let name = self.free_name(found)?;
        found.parent.node.make(&self.ns.ctx(cred), name, new).map(drop)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`Errno::NotEmpty`], [`Errno::NotDir`], [`Errno::Busy`] for a mount point, [`Errno::Inval`] for `.`, and as [`OpenFile::mkdir_at`].
    pub fn rmdir_at(&self, cred: &Cred, path: &str) -> Result<()> {
        self.remove(cred, path, true)
    }

    /// Removes a name of a file, link or device. The file lives on while it is open.
    ///
    /// # Errors
    /// [`Errno::IsDir`], [`Errno::Busy`] for a mount point, and as [`OpenFile::mkdir_at`].
    pub fn unlink_at(&self, cred: &Cred, path: &str) -> Result<()> {
        self.remove(cred, path, false)
    }

    fn remove(&self, cred: &Cred, path: &str, directory: bool) -> Result<()> {
        let found = self.walk(cred).resolve(path, false)?;
        let at = found.existing()?;
        let Some(name) = &found.name else {
            return Err(match directory {
                true if path.trim_end_matches('/').ends_with("..") => Errno::NotEmpty,
                true => Errno::Inval,
                false => Errno::IsDir,
            });
        };
        self.check_not_mount_point(&found, at)?;
        self.check_writable_mount(&found.parent)?;
        found.parent.node.remove(&self.ns.ctx(cred), name, directory, self.ns.table().busy())
    }

    /// The target of a symbolic link.
    ///
    /// # Errors
    /// [`Errno::Inval`] if it is none, and those of a path walk.
    pub fn readlink_at(&self, cred: &Cred, path: &str) -> Result<String> {
        self.find(cred, path, false)?.existing()?.node.readlink()
    }

    /// Adds the name `new` for what `old` is.
    ///
    /// # Errors
    /// [`Errno::XDev`] across mounts, [`Errno::Perm`] for a directory, [`Errno::MLink`], and as [`OpenFile::mkdir_at`].
    pub fn link_at(&self, cred: &Cred, old: &str, follow: bool, new_dir: &OpenFile, new: &str) -> Result<()> {
        let source = self.find(cred, old, follow)?;
        let source = source.existing()?;
        let found = new_dir.walk(cred).resolve(new, false)?;
        if found.must_be_dir && found.at.is_none() {
            return Err(Errno::NoEnt);
        }
        self.check_same_mount(source, new_dir, &found.parent)?;
        let name = new_dir.free_name(&found)?;
        found.parent.node.link(&self.ns.ctx(cred), name, &source.node)
    }

    /// Moves `old` to `new`, over what is there.
    ///
    /// # Errors
    /// [`Errno::XDev`] across mounts, [`Errno::Inval`] for a directory into itself, [`Errno::NotEmpty`], [`Errno::IsDir`], [`Errno::NotDir`],
    /// [`Errno::Busy`] for mount points, `.` and `..`, and as [`OpenFile::mkdir_at`].
    pub fn rename_at(&self, cred: &Cred, old: &str, new_dir: &OpenFile, new: &str) -> Result<()> {
        let from = self.walk(cred).resolve(old, false)?;
        let to = new_dir.walk(cred).resolve(new, false)?;
        let (Some(old_name), Some(new_name)) = (&from.name, &to.name) else {
            return Err(Errno::Busy);
        };
        self.check_same_mount(&from.parent, new_dir, &to.parent)?;
        let moved = from.existing()?;
        self.check_writable_mount(&from.parent)?;
        self.check_not_mount_point(&from, moved)?;
        if let Some(target) = &to.at {
            self.check_not_mount_point(&to, target)?;
        }
        if to.must_be_dir && !moved.node.is_dir() {
            return Err(Errno::NotDir);
        }
        let busy = self.ns.table().busy();
        from.parent.node.rename(&self.ns.ctx(cred), old_name, &to.parent.node, new_name, busy)
    }

    /// Sets the timestamps of what `path` is (`utimensat(2)`).
    ///
    /// # Errors
    /// [`Errno::Perm`] for other times than now if it is somebody else's, [`Errno::RoFs`], and those of a path walk.
    pub fn set_times_at(&self, cred: &Cred, path: &str, follow: bool, atime: SetTime, mtime: SetTime) -> Result<()> {
        self.change(cred, path, follow, |ctx, node| node.set_times(ctx, atime, mtime))
    }

    /// Sets the permission bits of what `path` is (`fchmodat(2)`).
    ///
    /// # Errors
    /// [`Errno::Perm`] if it is somebody else's or synthetic, [`Errno::RoFs`], and those of a path walk.
    pub fn chmod_at(&self, cred: &Cred, path: &str, follow: bool, mode: u32) -> Result<()> {
        self.change(cred, path, follow, |ctx, node| node.chmod(ctx, mode))
    }

    fn change(
        &self,
        cred: &Cred,
        path: &str,
        follow: bool,
        change: impl FnOnce(&Ctx<'_>, &Node) -> Result<()>,
    ) -> Result<()> {
        let found = self.find(cred, path, follow)?;
        let at = found.existing()?;
        self.check_writable_mount(at)?;
        change(&self.ns.ctx(cred), &at.node)
    }

    fn walk<'a>(&'a self, cred: &'a Cred) -> Walk<'a> {
        Walk { table: self.ns.table(), start: &self.at, cred, rooted: self.rooted }
    }

    /// Walks to what a path means, for calls that do not work on its last name: a slash after a link follows it.
    fn find(&self, cred: &Cred, path: &str, follow: bool) -> Result<Found> {
        self.walk(cred).resolve(path, follow || path.ends_with('/'))
    }

    /// The name under which something can be made.
    fn free_name<'a>(&self, found: &'a Found) -> Result<&'a str> {
        if found.at.is_some() {
            return Err(Errno::Exist);
        }
        self.check_writable_mount(&found.parent)?;
        found.name.as_deref().ok_or(Errno::Exist)
    }

    fn check_writable_mount(&self, at: &Location) -> Result<()> {
        if self.ns.table().read_only(at.mount) { Err(Errno::RoFs) } else { Ok(()) }
    }

    fn check_not_mount_point(&self, found: &Found, at: &Location) -> Result<()> {
        if self.ns.table().is_mount_point(found.parent.mount, at) { Err(Errno::Busy) } else { Ok(()) }
    }

    fn check_same_mount(&self, from: &Location, other: &OpenFile, to: &Location) -> Result<()> {
        if Arc::ptr_eq(&self.ns, &other.ns) && from.mount == to.mount { Ok(()) } else { Err(Errno::XDev) }
    }
}
