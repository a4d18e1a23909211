//! hostPath: a directory of the host that the user allowed, reached through a capability (`cap_std::fs::Dir`) and never by an
//! absolute path. Every step of a path walk opens one directory without following links and goes on from its handle, so nothing
//! that is swapped meanwhile leads out (F2, F4, F5); links are followed by our own walk, which stays in the namespace.
//!
//! The files look as if everything belonged to uid 0 of the container: the host's own user is root there, as with rootless
//! runtimes, and the mode bits decide for other uids.

use std::collections::BTreeMap;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::Arc;

use cap_fs_ext::{
    DirExt as _, FollowSymlinks, MetadataExt as _, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _, SystemTimeSpec,
};
use cap_std::fs::{Dir, File, Metadata, OpenOptions};
use parking_lot::Mutex;
use wasmpod_sim::UnixNanos;

use super::hosterror::{errno, refuse_name};
use super::tmpfs::check_target;
use super::types::{DirEntry, FILE_SIZE_MAX, MODE_MASK, Owner, PATH_MAX, SetTime, Stat, check_name};
use crate::file::FileType;
use crate::{Errno, Result};

/// Cookies of real entries begin here; `.` and `..` have 0 and 1.
const FIRST_COOKIE: u64 = 2;

/// A directory of the host, or something in one.
pub(crate) struct HostNode {
    /// The path from the volume's root by which it was reached; what mount points are known by.
    pub(crate) path: String,
    kind: HostKind,
}

enum HostKind {
    Dir(Dir),
    Leaf { parent: Arc<HostNode>, name: String, file_type: FileType },
}

impl HostNode {
    /// The root of a volume.
    pub(crate) fn root(dir: Dir) -> Arc<Self> {
        Arc::new(Self { path: String::new(), kind: HostKind::Dir(dir) })
    }

    pub(crate) fn file_type(&self) -> FileType {
        match &self.kind {
            HostKind::Dir(_) => FileType::Directory,
            HostKind::Leaf { file_type, .. } => *file_type,
        }
    }

    fn dir(&self) -> Result<&Dir> {
        match &self.kind {
            HostKind::Dir(dir) => Ok(dir),
            HostKind::Leaf { .. } => Err(Errno::NotDir),
        }
    }

    pub(crate) fn lookup(self: &Arc<Self>, name: &str) -> Result<Arc<HostNode>> {
        check_name(name)?;
        refuse_name(name).map_err(|_| Errno::NoEnt)?;
        let dir = self.dir()?;
        let found = type_of(&dir.symlink_metadata(name).map_err(errno)?);
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}/{name}", self.path) };
        let kind = match found {
            FileType::Directory => HostKind::Dir(dir.open_dir_nofollow(name).map_err(errno)?),
            file_type => HostKind::Leaf { parent: self.clone(), name: name.to_owned(), file_type },
        };
        Ok(Arc::new(Self { path, kind }))
    }

    fn metadata(&self) -> Result<Metadata> {
        match &self.kind {
            HostKind::Dir(dir) => dir.dir_metadata(),
            HostKind::Leaf { parent, name, .. } => parent.dir()?.symlink_metadata(name),
        }
        .map_err(errno)
    }

    pub(crate) fn owner(&self) -> Result<Owner> {
        let metadata = self.metadata()?;
        Ok(Owner { uid: 0, gid: 0, mode: mode_of(&metadata), directory: metadata.is_dir() })
    }

    pub(crate) fn stat(&self, dev: u64) -> Result<Stat> {
        Ok(stat_of(&self.metadata()?, dev))
    }

    pub(crate) fn readlink(&self) -> Result<String> {
        match &self.kind {
            HostKind::Leaf { parent, name, file_type: FileType::Symlink } => {
                let target = parent.dir()?.read_link_contents(name).map_err(errno)?;
                let target = target.into_os_string().into_string().map_err(|_| Errno::IlSeq)?;
                // on Windows a target is written with backslashes
                let target = if cfg!(windows) { target.replace('\\', "/") } else { target };
                if target.len() > PATH_MAX { Err(Errno::NameTooLong) } else { Ok(target) }
            }
            _ => Err(Errno::Inval),
        }
    }

    /// Opens a regular file. Nothing else of the host can be opened: a pipe could block this thread, and devices are not the
    /// container's.
    pub(crate) fn open(&self, read: bool, write: bool) -> Result<HostFile> {
        let HostKind::Leaf { parent, name, file_type: FileType::Regular } = &self.kind else {
            return Err(Errno::Acces);
        };
        let mut options = OpenOptions::new();
        // nonblock: what was a file a moment ago may be a pipe now
        options.read(read || !write).write(write).follow(FollowSymlinks::No).nonblock(true);
        let file = parent.dir()?.open_with(name, &options).map_err(errno)?;
        if !file.metadata().map_err(errno)?.is_file() {
            return Err(Errno::Acces);
        }
        Ok(HostFile(Mutex::new(file)))
    }

    pub(crate) fn make_file(self: &Arc<Self>, name: &str, mode: u32) -> Result<()> {
        check_name(name)?;
        refuse_name(name)?;
        let dir = self.dir()?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).follow(FollowSymlinks::No);
        drop(dir.open_with(name, &options).map_err(errno)?);
        set_mode(dir, name, mode)
    }

    pub(crate) fn make_dir(self: &Arc<Self>, name: &str, mode: u32) -> Result<()> {
        check_name(name)?;
        refuse_name(name)?;
        let dir = self.dir()?;
        dir.create_dir(name).map_err(errno)?;
        set_mode(dir, name, mode)
    }

    /// Makes a symbolic link. An absolute target would mean another file to the host than to the guest, and lead the host's own
    /// programs astray: EPERM.
    pub(crate) fn make_symlink(self: &Arc<Self>, name: &str, target: &str) -> Result<()> {
        check_name(name)?;
        refuse_name(name)?;
        check_target(target)?;
        if target.starts_with(['/', '\\']) {
            return Err(Errno::Perm);
        }
        self.dir()?.symlink(target, name).map_err(errno)
    }

    pub(crate) fn link(self: &Arc<Self>, name: &str, file: &HostNode) -> Result<()> {
        check_name(name)?;
        refuse_name(name)?;
        let HostKind::Leaf { parent, name: old, file_type } = &file.kind else { return Err(Errno::Perm) };
        if *file_type != FileType::Regular {
            return Err(Errno::Perm);
        }
        parent.dir()?.hard_link(old, self.dir()?, name).map_err(errno)
    }

    pub(crate) fn unlink(&self, name: &str) -> Result<()> {
        let dir = self.dir()?;
        if dir.symlink_metadata(name).map_err(errno)?.is_dir() {
            return Err(Errno::IsDir);
        }
        dir.remove_file_or_symlink(name).map_err(errno)
    }

    pub(crate) fn rmdir(&self, name: &str) -> Result<()> {
        let dir = self.dir()?;
        if !dir.symlink_metadata(name).map_err(errno)?.is_dir() {
            return Err(Errno::NotDir);
        }
        dir.remove_dir(name).map_err(errno)
    }

    pub(crate) fn rename(&self, old: &str, to: &HostNode, new: &str) -> Result<()> {
        check_name(new)?;
        refuse_name(new)?;
        let (from, into) = (self.dir()?, to.dir()?);
        let moved = from.symlink_metadata(old).map_err(errno)?;
        // the answers of rename(2) that hosts give differently
        if let Ok(target) = into.symlink_metadata(new) {
            match (moved.is_dir(), target.is_dir()) {
                (true, false) => return Err(Errno::NotDir),
                (false, true) => return Err(Errno::IsDir),
                _ => {}
            }
        }
        from.rename(old, into, new).map_err(errno)
    }

    pub(crate) fn set_times(&self, atime: SetTime, mtime: SetTime, now: UnixNanos) -> Result<()> {
        let (atime, mtime) = (spec_of(atime, now), spec_of(mtime, now));
        match &self.kind {
            HostKind::Dir(dir) => dir.set_times(".", atime, mtime),
            HostKind::Leaf { parent, name, .. } => parent.dir()?.set_symlink_times(name, atime, mtime),
        }
        .map_err(errno)
    }

    pub(crate) fn chmod(&self, mode: u32) -> Result<()> {
        match &self.kind {
            HostKind::Dir(dir) => set_mode(dir, ".", mode),
            HostKind::Leaf { file_type: FileType::Symlink, .. } => Err(Errno::OpNotSupp),
            HostKind::Leaf { parent, name, .. } => set_mode(parent.dir()?, name, mode),
        }
    }

    /// Reads entries from `cookie` on. The host's directories have no stable positions, so the cookie is a hash of the name and
    /// the order that of the hashes: survivors keep their place whatever comes and goes. Names that are not UTF-8 are left out.
    pub(crate) fn read_dir(&self, cookie: u64, max: usize) -> Result<Vec<DirEntry>> {
        let dir = self.dir()?;
        let own = self.metadata()?;
        let special = |name: &str, next_cookie| DirEntry {
            name: name.to_owned(),
            ino: own.ino(),
            file_type: FileType::Directory,
            next_cookie,
        };
        let mut found: Vec<DirEntry> = Vec::new();
        if cookie == 0 {
            found.push(special(".", 1));
        }
        if cookie <= 1 {
            found.push(special("..", FIRST_COOKIE));
        }
        // only the `max` first are kept, whatever the size of the directory
        let mut first: BTreeMap<(u64, String), FileType> = BTreeMap::new();
        for entry in dir.entries().map_err(errno)? {
            let entry = entry.map_err(errno)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if refuse_name(&name).is_err() {
                continue;
            }
            let hash = cookie_of(&name);
            if hash < cookie {
                continue;
            }
            let file_type = entry.file_type().map_or(FileType::Regular, |found| {
                if found.is_dir() {
                    FileType::Directory
                } else if found.is_symlink() {
                    FileType::Symlink
                } else if found.is_file() {
                    FileType::Regular
                } else {
                    FileType::CharDevice
                }
            });
            first.insert((hash, name), file_type);
            if first.len() > max {
                first.pop_last();
            }
        }
        for ((hash, name), file_type) in first {
            // an entry may be gone by now; its number is then not known and it is left out
            let Ok(metadata) = dir.symlink_metadata(&name) else { continue };
            found.push(DirEntry { name, ino: metadata.ino(), file_type, next_cookie: hash + 1 });
        }
        found.truncate(max);
        Ok(found)
    }
}

/// An open regular file of the host.
pub(crate) struct HostFile(Mutex<File>);

impl HostFile {
    pub(crate) fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        let mut file = self.0.lock();
        file.seek(SeekFrom::Start(offset.min(FILE_SIZE_MAX))).map_err(errno)?;
        file.read(buf).map_err(errno)
    }

    pub(crate) fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize> {
        if offset >= FILE_SIZE_MAX {
            return Err(Errno::FBig);
        }
        let mut file = self.0.lock();
        file.seek(SeekFrom::Start(offset)).map_err(errno)?;
        file.write(buf).map_err(errno)
    }

    /// Writes at the end and returns where the end is now.
    pub(crate) fn append(&self, buf: &[u8]) -> Result<(usize, u64)> {
        let mut file = self.0.lock();
        let end = file.seek(SeekFrom::End(0)).map_err(errno)?;
        let written = file.write(buf).map_err(errno)?;
        Ok((written, end.saturating_add(written as u64)))
    }

    pub(crate) fn size(&self) -> Result<u64> {
        Ok(self.0.lock().metadata().map_err(errno)?.len())
    }

    pub(crate) fn set_len(&self, size: u64) -> Result<()> {
        if size > FILE_SIZE_MAX {
            return Err(Errno::FBig);
        }
        self.0.lock().set_len(size).map_err(errno)
    }

    /// Extends the file to `offset + length`; the host's disk is not reserved.
    pub(crate) fn allocate(&self, offset: u64, length: u64) -> Result<()> {
        let end = offset.checked_add(length).ok_or(Errno::FBig)?;
        if length == 0 {
            return Err(Errno::Inval);
        }
        if self.size()? < end { self.set_len(end) } else { Ok(()) }
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.0.lock().sync_all().map_err(errno)
    }

    pub(crate) fn stat(&self, dev: u64) -> Result<Stat> {
        Ok(stat_of(&self.0.lock().metadata().map_err(errno)?, dev))
    }

    pub(crate) fn set_times(&self, atime: SetTime, mtime: SetTime, now: UnixNanos) -> Result<()> {
        let at = |time: SetTime| match time {
            SetTime::Keep => None,
            SetTime::Now => Some(system_time(now)),
            SetTime::At(at) => Some(system_time(at)),
        };
        let mut times = std::fs::FileTimes::new();
        if let Some(atime) = at(atime) {
            times = times.set_accessed(atime);
        }
        if let Some(mtime) = at(mtime) {
            times = times.set_modified(mtime);
        }
        let file = self.0.lock().try_clone().map_err(errno)?.into_std();
        file.set_times(times).map_err(errno)
    }
}

/// The place of a name among the cookies: FNV-1a, cut so that neither the first cookies nor an overflow are met.
fn cookie_of(name: &str) -> u64 {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash >> 2) + FIRST_COOKIE
}

fn type_of(metadata: &Metadata) -> FileType {
    let file_type = metadata.file_type();
    if file_type.is_dir() {
        FileType::Directory
    } else if file_type.is_symlink() {
        FileType::Symlink
    } else if file_type.is_file() {
        FileType::Regular
    } else {
        FileType::CharDevice
    }
}

fn stat_of(metadata: &Metadata, dev: u64) -> Stat {
    let nanos = |time: std::io::Result<cap_std::time::SystemTime>| {
        let since = time.ok().and_then(|time| time.into_std().duration_since(std::time::UNIX_EPOCH).ok());
        since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    };
    let mtime = nanos(metadata.modified());
    Stat {
        dev,
        ino: metadata.ino(),
        file_type: type_of(metadata),
        mode: mode_of(metadata),
        nlink: metadata.nlink(),
        uid: 0,
        gid: 0,
        size: metadata.len(),
        atime: nanos(metadata.accessed()),
        mtime,
        ctime: mtime, // not every host has one
    }
}

#[cfg(unix)]
fn mode_of(metadata: &Metadata) -> u32 {
    use cap_std::fs::PermissionsExt as _;
    metadata.permissions().mode() & MODE_MASK
}

/// Windows has no mode: directories can be searched, read-only files not be written, and programs be run.
#[cfg(not(unix))]
fn mode_of(metadata: &Metadata) -> u32 {
    let write = if metadata.permissions().readonly() { 0 } else { 0o200 };
    let rest = if metadata.is_dir() { 0o555 } else { 0o444 };
    (rest | write) & MODE_MASK
}

/// Sets the permission bits. Set-id bits never reach the host: there they would be the host user's.
#[cfg(unix)]
fn set_mode(dir: &Dir, name: &str, mode: u32) -> Result<()> {
    use cap_std::fs::{Permissions, PermissionsExt as _};
    dir.set_permissions(name, Permissions::from_mode(mode & 0o777)).map_err(errno)
}

/// Windows has no mode to set.
#[cfg(not(unix))]
fn set_mode(_dir: &Dir, _name: &str, _mode: u32) -> Result<()> {
    Ok(())
}

fn system_time(nanos: UnixNanos) -> std::time::SystemTime {
    std::time::UNIX_EPOCH + std::time::Duration::from_nanos(nanos)
}

fn spec_of(time: SetTime, now: UnixNanos) -> Option<SystemTimeSpec> {
    let at = |nanos| Some(SystemTimeSpec::Absolute(cap_std::time::SystemTime::from_std(system_time(nanos))));
    match time {
        SetTime::Keep => None,
        SetTime::Now => at(now),
        SetTime::At(nanos) => at(nanos),
    }
}
