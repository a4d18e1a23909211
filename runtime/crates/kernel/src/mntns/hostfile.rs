//! Open files of a hostPath, and the host's metadata in our words. Owns what differs between host systems.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use cap_fs_ext::{MetadataExt as _, SystemTimeSpec};
use cap_std::fs::{Dir, File, Metadata};
use parking_lot::Mutex;
use wasmpod_sim::UnixNanos;

use super::hosterror::errno;
use super::types::{FILE_SIZE_MAX, MODE_MASK, SetTime, Stat};
use crate::file::FileType;
use crate::{Errno, Result};

/// An open regular file of the host.
pub(crate) struct HostFile(Mutex<File>);

impl HostFile {
    /// A file that was opened as a regular file of the host.
    pub(crate) fn new(file: File) -> Self {
        Self(Mutex::new(file))
    }

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

pub(crate) fn type_of(metadata: &Metadata) -> FileType {
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

pub(crate) fn stat_of(metadata: &Metadata, dev: u64) -> Stat {
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
pub(crate) fn mode_of(metadata: &Metadata) -> u32 {
    use cap_std::fs::PermissionsExt as _;
    metadata.permissions().mode() & MODE_MASK
}

/// Windows has no mode: directories can be searched, read-only files not be written, and programs be run.
#[cfg(not(unix))]
pub(crate) fn mode_of(metadata: &Metadata) -> u32 {
    let write = if metadata.permissions().readonly() { 0 } else { 0o200 };
    let rest = if metadata.is_dir() { 0o555 } else { 0o444 };
    (rest | write) & MODE_MASK
}

/// Sets the permission bits. Set-id bits never reach the host: there they would be the host user's.
#[cfg(unix)]
pub(crate) fn set_mode(dir: &Dir, name: &str, mode: u32) -> Result<()> {
    use cap_std::fs::{Permissions, PermissionsExt as _};
    dir.set_permissions(name, Permissions::from_mode(mode & 0o777)).map_err(errno)
}

/// Windows has no mode to set.
#[cfg(not(unix))]
pub(crate) fn set_mode(_dir: &Dir, _name: &str, _mode: u32) -> Result<()> {
    Ok(())
}

fn system_time(nanos: UnixNanos) -> std::time::SystemTime {
    std::time::UNIX_EPOCH + std::time::Duration::from_nanos(nanos)
}

pub(crate) fn spec_of(time: SetTime, now: UnixNanos) -> Option<SystemTimeSpec> {
    let at = |nanos| Some(SystemTimeSpec::Absolute(cap_std::time::SystemTime::from_std(system_time(nanos))));
    match time {
        SetTime::Keep => None,
        SetTime::Now => at(now),
        SetTime::At(nanos) => at(nanos),
    }
}
