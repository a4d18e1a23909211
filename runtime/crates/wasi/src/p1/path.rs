//! Calls that take a path relative to an open directory. The walk, its permissions and its limits are the kernel's; this is the
//! meaning of the flags, as wasmtime gives it.

use wasmpod_kernel::file::{Description, Descriptor};
use wasmpod_kernel::mntns::OpenOptions;

use super::PATH_FUEL;
use super::errno::{Fail, WasiErrno};
use super::fd::{described, directory};
use super::memory::Guest;
use super::sock::room_for_one;
use super::types::{
    FDFLAG_APPEND, FDFLAG_DSYNC, FDFLAG_NONBLOCK, FDFLAG_RSYNC, FDFLAG_SYNC, FDFLAGS, OFLAG_CREAT, OFLAG_DIRECTORY,
    OFLAG_EXCL, OFLAG_TRUNC, OFLAGS, check_bits, filestat, follow, rights, set_times,
};

/// Permissions of what a program makes: WASI has none to give, so those of a Linux program under the usual umask of 022.
const FILE_MODE: u32 = 0o644;
/// As [`FILE_MODE`].
const DIRECTORY_MODE: u32 = 0o755;

fn charge(guest: &mut Guest<'_>, len: u32) {
    guest.ctx.charge(PATH_FUEL + u64::from(len));
}

pub(super) fn create_directory(guest: &mut Guest<'_>, fd: u32, path: u32, len: u32) -> Result<(), Fail> {
    charge(guest, len);
    let directory = directory(guest.ctx, fd)?;
    let path = guest.memory.path(path, len)?;
    Ok(directory.mkdir_at(&guest.ctx.process.spec.cred, path, DIRECTORY_MODE)?)
}

pub(super) fn filestat_get(
    guest: &mut Guest<'_>,
    fd: u32,
    flags: u32,
    path: u32,
    len: u32,
    out: u32,
) -> Result<(), Fail> {
    charge(guest, len);
    let follow = follow(flags)?;
    let directory = directory(guest.ctx, fd)?;
    let path = guest.memory.path(path, len)?;
    let stat = directory.stat_at(&guest.ctx.process.spec.cred, path, follow)?;
    Ok(guest.memory.put(out, &filestat(&stat), 8)?)
}

#[expect(clippy::too_many_arguments, reason = "the ABI has them")]
pub(super) fn filestat_set_times(
    guest: &mut Guest<'_>,
    fd: u32,
    flags: u32,
    path: u32,
    len: u32,
    atime: u64,
    mtime: u64,
    times: u32,
) -> Result<(), Fail> {
    charge(guest, len);
    let follow = follow(flags)?;
    let (atime, mtime) = set_times(atime, mtime, times)?;
    let directory = directory(guest.ctx, fd)?;
    let path = guest.memory.path(path, len)?;
    Ok(directory.set_times_at(&guest.ctx.process.spec.cred, path, follow, atime, mtime)?)
}

#[expect(clippy::too_many_arguments, reason = "the ABI has them")]
pub(super) fn link(
    guest: &mut Guest<'_>,
    old_fd: u32,
    flags: u32,
    old: u32,
    old_len: u32,
    new_fd: u32,
    new: u32,
    new_len: u32,
) -> Result<(), Fail> {
    charge(guest, old_len.saturating_add(new_len));
    let follow = follow(flags)?;
    let old_directory = directory(guest.ctx, old_fd)?;
    let new_directory = directory(guest.ctx, new_fd)?;
    let (old, new) = (guest.memory.path(old, old_len)?, guest.memory.path(new, new_len)?);
    if follow {
        return Err(WasiErrno::Inval.into()); // as wasmtime: a link to a symbolic link is a link to that
    }
    Ok(old_directory.link_at(&guest.ctx.process.spec.cred, old, false, &new_directory, new)?)
}

/// The rights asked for say how to open: FD_WRITE for writing, FD_READ for reading, no FD_WRITE for reading too; OFLAGS_CREAT and
/// OFLAGS_TRUNC open for writing as well. Other rights mean nothing. That is wasmtime's reading. Opening `/dev/stdout` and its like gives another number for that descriptor of the process.
#[expect(clippy::too_many_arguments, reason = "the ABI has them")]
pub(super) fn open(
    guest: &mut Guest<'_>,
    fd: u32,
    lookup: u32,
    path: u32,
    len: u32,
    oflags: u32,
    base: u64,
    _inheriting: u64,
    fdflags: u32,
    out: u32,
) -> Result<(), Fail> {
    charge(guest, len);
    let follow_symlinks = follow(lookup)?;
    check_bits(oflags, OFLAGS)?;
    check_bits(fdflags, FDFLAGS)?;
    let path = guest.memory.path(path, len)?;
    let directory = match described(guest.ctx, fd)?.0 {
        Description::File(file) if file.is_dir() => file,
        Description::File(_) => return Err(WasiErrno::NotDir.into()),
        _ => return Err(WasiErrno::BadF.into()),
    };
    if fdflags & (FDFLAG_DSYNC | FDFLAG_RSYNC | FDFLAG_SYNC) != 0 {
        return Err(WasiErrno::NotSup.into());
    }
    if oflags & OFLAG_DIRECTORY != 0 && oflags & (OFLAG_CREAT | OFLAG_EXCL | OFLAG_TRUNC) != 0 {
        return Err(WasiErrno::Inval.into());
    }
    room_for_one(guest.ctx)?;
    let write = base & rights::FD_WRITE != 0;
    let options = OpenOptions {
        read: base & rights::FD_READ != 0 || !write,
        write: write || oflags & (OFLAG_CREAT | OFLAG_TRUNC) != 0,
        append: fdflags & FDFLAG_APPEND != 0,
        create: oflags & OFLAG_CREAT != 0,
        exclusive: oflags & OFLAG_EXCL != 0,
        truncate: oflags & OFLAG_TRUNC != 0,
        directory: oflags & OFLAG_DIRECTORY != 0,
        follow_symlinks,
        mode: FILE_MODE,
    };
    let opened = directory.open_at(&guest.ctx.process.spec.cred, path, options)?;
    let description = match opened.stdio() {
        // a link to a descriptor that is closed leads nowhere
        Some(stdio) => described(guest.ctx, stdio).map_err(|_| WasiErrno::NoEnt)?.0,
        None => Description::File(opened),
    };
    let nonblocking = fdflags & FDFLAG_NONBLOCK != 0;
    let descriptor = Descriptor { nonblocking, ..Descriptor::new(description) };
    let opened = guest.ctx.process.fds.lock().insert(descriptor)?;
    Ok(guest.memory.put_u32(out, opened)?)
}

pub(super) fn readlink(
    guest: &mut Guest<'_>,
    fd: u32,
    path: u32,
    len: u32,
    buffer: u32,
    buffer_len: u32,
    out: u32,
) -> Result<(), Fail> {
    charge(guest, len);
    let directory = directory(guest.ctx, fd)?;
    let path = guest.memory.path(path, len)?;
    let target = directory.readlink_at(&guest.ctx.process.spec.cred, path)?;
    // what does not fit is cut off, as readlink(2) does
    let cut = target.len().min(buffer_len as usize);
    guest.memory.put(buffer, &target.as_bytes()[..cut], 1)?;
    Ok(guest.memory.put_u32(out, cut as u32)?) // at most `buffer_len`
}

pub(super) fn remove_directory(guest: &mut Guest<'_>, fd: u32, path: u32, len: u32) -> Result<(), Fail> {
    charge(guest, len);
    let directory = directory(guest.ctx, fd)?;
    let path = guest.memory.path(path, len)?;
    Ok(directory.rmdir_at(&guest.ctx.process.spec.cred, path)?)
}

pub(super) fn rename(
    guest: &mut Guest<'_>,
    old_fd: u32,
    old: u32,
    old_len: u32,
    new_fd: u32,
    new: u32,
    new_len: u32,
) -> Result<(), Fail> {
    charge(guest, old_len.saturating_add(new_len));
    let old_directory = directory(guest.ctx, old_fd)?;
    let new_directory = directory(guest.ctx, new_fd)?;
    let (old, new) = (guest.memory.path(old, old_len)?, guest.memory.path(new, new_len)?);
    Ok(old_directory.rename_at(&guest.ctx.process.spec.cred, old, &new_directory, new)?)
}

pub(super) fn symlink(
    guest: &mut Guest<'_>,
    target: u32,
    target_len: u32,
    fd: u32,
    path: u32,
    len: u32,
) -> Result<(), Fail> {
    charge(guest, target_len.saturating_add(len));
    let directory = directory(guest.ctx, fd)?;
    let (target, path) = (guest.memory.path(target, target_len)?, guest.memory.path(path, len)?);
    if target.starts_with('/') {
        return Err(WasiErrno::Perm.into()); // `old-path` of the WIT's symlink-at; wasmtime refuses it for preview 1 too
    }
    Ok(directory.symlink_at(&guest.ctx.process.spec.cred, target, path)?)
}

pub(super) fn unlink_file(guest: &mut Guest<'_>, fd: u32, path: u32, len: u32) -> Result<(), Fail> {
    charge(guest, len);
    let directory = directory(guest.ctx, fd)?;
    let path = guest.memory.path(path, len)?;
    Ok(directory.unlink_at(&guest.ctx.process.spec.cred, path)?)
}
