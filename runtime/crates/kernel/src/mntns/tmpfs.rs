//! Changes of an in-memory tree: make, link, rename and remove, with the permission rules of `path_resolution(7)` and Linux'
//! `fs/namei.c`. What a volume is and how large it may be is in `volume.rs`; this file is the same for all of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::dir::{Dir, Entry};
use super::inode::{Body, Ctx, Inode, Meta};
use super::types::{Cred, MAY_EXEC, MAY_WRITE, MODE_MASK, Owner, PATH_MAX, SetTime, check_name};
use crate::{Errno, Result};

/// The most names of one file (ext4's EXT4_LINK_MAX).
const LINKS_MAX: u64 = 65_000;
/// The deepest directory that can be made. Linux has no such limit; here it bounds the work of a rename, which must look for a
/// directory among the ancestors of its target.
const DEPTH_MAX: u32 = 8192;
const STICKY: u32 = 0o1000;
const SET_GID: u32 = 0o2000;

/// What to make.
pub(crate) enum New<'a> {
    File { mode: u32 },
    Dir { mode: u32 },
    Symlink { target: &'a str },
}

/// The inodes of a namespace that something is mounted on, which stay where they are.
pub(crate) type Busy = BTreeSet<(usize, u64)>;

impl Inode {
    /// What identifies the inode while its file system lives.
    pub(crate) fn key(&self) -> (usize, u64) {
        (Arc::as_ptr(&self.fs) as usize, self.ino)
    }

    /// Makes `name` in this directory.
    ///
    /// # Errors
    /// [`Errno::Exist`], [`Errno::Acces`], [`Errno::Perm`] in a sealed tree, [`Errno::NoSpc`], [`Errno::NoEnt`] if this directory
    /// was removed.
    pub(crate) fn make(self: &Arc<Self>, ctx: &Ctx<'_>, name: &str, new: &New<'_>) -> Result<Arc<Inode>> {
        check_name(name)?;
        let _tree = self.fs.tree.lock();
        if self.dir()?.get(name).is_some() {
            return Err(Errno::Exist);
        }
        self.may_change(ctx)?;
        let hold = self.fs.hold_name(ctx.payer)?;
        let owner = self.owner();
        // a set-group-id directory gives its group to what is made in it, and to directories the bit as well
        let inherited = owner.mode & SET_GID;
        let gid = if inherited != 0 { owner.gid } else { ctx.cred.gid };
        let mut dir = self.dir_mut()?;
        if dir.dead {
            return Err(Errno::NoEnt);
        }
        let (mode, body) = match new {
            New::File { mode } => (*mode, Body::file(&self.fs, Bytes::new())),
            New::Dir { mode } => {
                if dir.depth >= DEPTH_MAX {
                    return Err(Errno::NameTooLong);
                }
                (mode | inherited, Body::dir(Arc::downgrade(self), dir.depth + 1, Vec::new()))
            }
            New::Symlink { target } => {
                check_target(target)?;
                (0o777, Body::symlink(&self.fs, target)?)
            }
        };
        let made = Inode::new(&self.fs, Meta::new(mode, ctx.cred.uid, gid, ctx.now), body);
        dir.insert(Entry { name: name.into(), inode: made.clone(), hold: Some(hold) });
        drop(dir);
        self.touch_write(ctx.now);
        Ok(made)
    }

    /// Adds a name for `file`, which is in the same file system.
    ///
    /// # Errors
    /// [`Errno::Perm`] for a directory, [`Errno::MLink`], [`Errno::NoEnt`] if the file has no name any more; else as [`Inode::make`].
    pub(crate) fn link(self: &Arc<Self>, ctx: &Ctx<'_>, name: &str, file: &Arc<Inode>) -> Result<()> {
        check_name(name)?;
        let _tree = self.fs.tree.lock();
        if self.dir()?.get(name).is_some() {
            return Err(Errno::Exist);
        }
        self.may_change(ctx)?;
        if file.is_dir() {
            return Err(Errno::Perm);
        }
        let hold = self.fs.hold_name(ctx.payer)?;
        let mut dir = self.dir_mut()?;
        if dir.dead {
            return Err(Errno::NoEnt);
        }
        {
            let mut meta = file.meta.lock();
            match meta.nlink {
                0 => return Err(Errno::NoEnt),
                LINKS_MAX.. => return Err(Errno::MLink),
                _ => meta.nlink += 1,
            }
            meta.ctime = ctx.now;
        }
        dir.insert(Entry { name: name.into(), inode: file.clone(), hold: Some(hold) });
        drop(dir);
        self.touch_write(ctx.now);
        Ok(())
    }

    /// Removes a name of something that is no directory.
    ///
    /// # Errors
    /// [`Errno::IsDir`], [`Errno::NoEnt`], [`Errno::Busy`] for a mount point; else as [`Inode::make`].
    pub(crate) fn unlink(self: &Arc<Self>, ctx: &Ctx<'_>, name: &str, busy: &Busy) -> Result<()> {
        let removed = {
            let _tree = self.fs.tree.lock();
            let target = self.lookup(name)?;
            self.may_remove(ctx, &target, busy)?;
            if target.is_dir() {
                return Err(Errno::IsDir);
            }
            let removed = self.dir_mut()?.remove(name);
            drop_link(&target, ctx);
            removed
        };
        self.touch_write(ctx.now);
        drop(removed); // outside of the locks: the last name of a large file takes its pages along
        Ok(())
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`Errno::NotEmpty`], [`Errno::NotDir`], [`Errno::NoEnt`], [`Errno::Busy`] for a mount point; else as [`Inode::make`].
    pub(crate) fn rmdir(self: &Arc<Self>, ctx: &Ctx<'_>, name: &str, busy: &Busy) -> Result<()> {
        let removed = {
            let _tree = self.fs.tree.lock();
            let target = self.lookup(name)?;
            if !target.is_dir() {
                return Err(Errno::NotDir);
            }
            self.may_remove(ctx, &target, busy)?;
            target.bury(ctx)?;
            self.dir_mut()?.remove(name)
        };
        self.touch_write(ctx.now);
        drop(removed);
        Ok(())
    }

    /// Moves `old` of this directory to `new` of `to`, over what is there (`rename(2)`).
    ///
    /// # Errors
    /// [`Errno::Inval`] for a directory into itself, [`Errno::NotEmpty`], [`Errno::IsDir`], [`Errno::NotDir`], [`Errno::Busy`] for mount
    /// points, [`Errno::XDev`] to another file system; else as [`Inode::make`].
    pub(crate) fn rename(
        self: &Arc<Self>,
        ctx: &Ctx<'_>,
        old: &str,
        to: &Arc<Inode>,
        new: &str,
        busy: &Busy,
    ) -> Result<()> {
        check_name(new)?;
        if !Arc::ptr_eq(&self.fs, &to.fs) {
            return Err(Errno::XDev);
        }
        let replaced;
        {
            let _tree = self.fs.tree.lock();
            let moved = self.lookup(old)?;
            self.may_remove(ctx, &moved, busy)?;
            let target = to.dir()?.get(new).map(|entry| entry.inode.clone());
            match &target {
                Some(target) => to.may_remove(ctx, target, busy)?,
                None => to.may_change(ctx)?,
            }
            if to.dir()?.dead {
                return Err(Errno::NoEnt);
            }
            if moved.is_dir() {
                moved.check_not_above(to)?;
                if !Arc::ptr_eq(self, to) {
                    ctx.cred.check(moved.owner(), MAY_WRITE)?; // its `..` changes
                }
            }
            if let Some(target) = &target {
                if Arc::ptr_eq(target, &moved) {
                    return Ok(()); // two names of one file: nothing to do, and both stay
                }
                match (moved.is_dir(), target.is_dir()) {
                    (true, false) => return Err(Errno::NotDir),
                    // the directory that the file is in is first of all not empty
                    (false, true) => {
                        return Err(target.check_not_above(self).map_or(Errno::NotEmpty, |()| Errno::IsDir));
                    }
                    (true, true) => target.bury(ctx)?,
                    (false, false) => drop_link(target, ctx),
                }
            }
            replaced = if Arc::ptr_eq(self, to) {
                let mut dir = self.dir_mut()?;
                move_entry(&mut dir, None, old, new)
            } else {
                let mut from = self.dir_mut()?;
                let mut into = to.dir_mut()?;
                if let Body::Dir(content) = &moved.body {
                    let mut content = content.write();
                    content.parent = Arc::downgrade(to);
                    content.depth = into.depth.saturating_add(1);
                }
                move_entry(&mut from, Some(&mut into), old, new)
            };
            moved.touch_change(ctx.now);
        }
        self.touch_write(ctx.now);
        to.touch_write(ctx.now);
        drop(replaced);
        Ok(())
    }

    /// Changes the timestamps. To set another time than now one must own the file.
    pub(crate) fn set_times(&self, ctx: &Ctx<'_>, atime: SetTime, mtime: SetTime) -> Result<()> {
        let owner = self.owner();
        if matches!((atime, mtime), (SetTime::Now, SetTime::Now)) && ctx.cred.check_owner(owner).is_err() {
            ctx.cred.check(owner, MAY_WRITE)?;
        } else if (atime, mtime) != (SetTime::Keep, SetTime::Keep) {
            ctx.cred.check_owner(owner)?;
        }
        let mut meta = self.meta.lock();
        meta.atime = atime.apply(meta.atime, ctx.now);
        meta.mtime = mtime.apply(meta.mtime, ctx.now);
        meta.ctime = ctx.now;
        Ok(())
    }

    /// Changes the permission bits.
    pub(crate) fn chmod(&self, ctx: &Ctx<'_>, mode: u32) -> Result<()> {
        ctx.cred.check_owner(self.owner())?;
        if self.fs.sealed {
            return Err(Errno::Perm);
        }
        let mut meta = self.meta.lock();
        meta.mode = mode & MODE_MASK;
        meta.ctime = ctx.now;
        Ok(())
    }

    /// Checks that names may be made in this directory.
    fn may_change(&self, ctx: &Ctx<'_>) -> Result<()> {
        if self.fs.sealed && ctx.payer.is_some() {
            return Err(Errno::Perm); // a guest; the node itself makes mount points here
        }
        ctx.cred.check(self.owner(), MAY_WRITE | MAY_EXEC)
    }

    /// Checks that the name of `target` may be taken out of this directory.
    fn may_remove(&self, ctx: &Ctx<'_>, target: &Inode, busy: &Busy) -> Result<()> {
        self.may_change(ctx)?;
        let (dir, file) = (self.owner(), target.owner());
        if dir.mode & STICKY != 0 && !owns(ctx.cred, dir) && !owns(ctx.cred, file) {
            return Err(Errno::Perm);
        }
        if busy.contains(&target.key()) { Err(Errno::Busy) } else { Ok(()) }
    }

    /// Marks an empty directory as removed. The caller holds the tree lock, so nothing is made in it meanwhile.
    fn bury(self: &Arc<Self>, ctx: &Ctx<'_>) -> Result<()> {
        let mut dir = self.dir_mut()?;
        if !dir.is_empty() {
            return Err(Errno::NotEmpty);
        }
        dir.dead = true;
        drop(dir);
        let mut meta = self.meta.lock();
        meta.nlink = 0;
        meta.ctime = ctx.now;
        Ok(())
    }

    /// Checks that this directory is not `dir` or above it. The caller holds the tree lock, so parents stay as they are.
    fn check_not_above(self: &Arc<Self>, dir: &Arc<Inode>) -> Result<()> {
        let mut at = Some(dir.clone());
        // twice the depth, for what was moved since it was made
        for _ in 0..=DEPTH_MAX * 2 {
            let Some(inode) = at else { return Ok(()) };
            if Arc::ptr_eq(&inode, self) {
                return Err(Errno::Inval);
            }
            at = inode.dir()?.parent.upgrade();
        }
        Err(Errno::NameTooLong)
    }
}

fn owns(cred: &Cred, file: Owner) -> bool {
    cred.uid == 0 || cred.uid == file.uid
}

/// Takes one name from a file's count.
fn drop_link(file: &Inode, ctx: &Ctx<'_>) {
    let mut meta = file.meta.lock();
    meta.nlink = meta.nlink.saturating_sub(1);
    meta.ctime = ctx.now;
}

/// Moves an entry within a directory or to another one, and returns what it replaced.
fn move_entry(from: &mut Dir, into: Option<&mut Dir>, old: &str, new: &str) -> Option<Entry> {
    let entry = from.remove(old)?;
    let entry = Entry { name: new.into(), ..entry };
    into.unwrap_or(from).insert(entry)
}

/// Checks the target of a symbolic link, which may be anything but empty, too long or with NUL.
pub(crate) fn check_target(target: &str) -> Result<()> {
    match target {
        "" => Err(Errno::NoEnt),
        _ if target.len() >= PATH_MAX => Err(Errno::NameTooLong),
        _ if target.contains('\0') => Err(Errno::Inval),
        _ => Ok(()),
    }
}

/// Makes a directory if it is not there: what the node does to prepare a tree.
pub(crate) fn ensure_dir(at: &Arc<Inode>, ctx: &Ctx<'_>, name: &str, mode: u32) -> Result<Arc<Inode>> {
    match at.make(ctx, name, &New::Dir { mode }) {
        Err(Errno::Exist) => at.lookup(name),
        made => made,
    }
}

/// Takes `name` out of a synthetic tree with all below it. Who has it open keeps it.
pub(crate) fn take_out(at: &Arc<Inode>, name: &str) {
    let removed = {
        let _tree = at.fs.tree.lock();
        let Ok(mut dir) = at.dir_mut() else { return };
        let removed = dir.remove(name);
        if let Some(entry) = &removed
            && let Ok(mut gone) = entry.inode.dir_mut()
        {
            gone.dead = true;
        }
        removed
    };
    drop(removed);
}

/// Puts a ready-made inode into a directory: what synthetic trees are built with. It is not counted.
pub(crate) fn place(at: &Arc<Inode>, name: &str, inode: Arc<Inode>) -> Result<()> {
    check_name(name)?;
    let _tree = at.fs.tree.lock();
    let replaced = at.dir_mut()?.insert(Entry { name: name.into(), inode, hold: None });
    drop(replaced);
    Ok(())
}
