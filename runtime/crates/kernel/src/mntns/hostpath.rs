//! hostPath: a directory of the host that the user allowed, reached through a capability (`cap_std::fs::Dir`) and never by an
//! absolute path. Every step of a path walk opens one directory without following links and goes on from its handle, so nothing
//! that is swapped meanwhile leads out (F2, F4, F5); links are followed by our own walk, which stays in the namespace.
//!
//! The files look as if everything belonged to uid 0 of the container: the host's own user is root there, as with rootless
//! runtimes, and the mode bits decide for other uids.

use std::collections::BTreeMap;
use std::sync::Arc;

use cap_fs_ext::{DirExt as _, FollowSymlinks, MetadataExt as _, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _};
use cap_std::fs::{Dir, Metadata, OpenOptions};
use wasmpod_sim::UnixNanos;

use super::hosterror::{errno, refuse_name};
use super::hostfile::{HostFile, mode_of, set_mode, spec_of, stat_of, type_of};
use super::tmpfs::check_target;
use super::types::{DirEntry, Owner, PATH_MAX, SetTime, Stat, check_name};
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
        Ok(HostFile::new(file))
    }

    /// Makes a file and opens it for reading and writing, which its mode need not allow.
    pub(crate) fn make_file(self: &Arc<Self>, name: &str, mode: u32) -> Result<HostFile> {
        check_name(name)?;
        refuse_name(name)?;
        let dir = self.dir()?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).follow(FollowSymlinks::No);
        let file = dir.open_with(name, &options).map_err(errno)?;
        set_mode(dir, name, mode)?;
        Ok(HostFile::new(file))
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
        if !matches!(file_type, FileType::Regular | FileType::Symlink) {
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
        // what rename(2) answers by itself, other systems have to be asked
        if !cfg!(unix)
            && let Ok(target) = into.symlink_metadata(new)
        {
            match (from.symlink_metadata(old).map_err(errno)?.is_dir(), target.is_dir()) {
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

    /// Reads entries from `cookie` on. The host's directories have no stable positions, so the cookie is made of a hash of the name and
    /// the order is that of the hashes: survivors keep their place whatever comes and goes. A cookie fits into 31 bits, because
    /// `telldir(3)` of wasi-libc has no more; names of one hash are told apart by their order. Names that are not UTF-8 are left out.
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
            let place = place_of(&name);
            if place < cookie >> GROUP_BITS {
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
            first.insert((place, name), file_type);
            if first.len() > max.saturating_add(GROUP as usize) {
                first.pop_last(); // those before `cookie` in its own group are passed over below
            }
        }
        let (mut group, mut index) = (0, 0);
        for ((place, name), file_type) in first {
            index = if place == group { (index + 1).min(GROUP - 1) } else { 0 };
            group = place;
            let here = place << GROUP_BITS | index;
            if here < cookie {
                continue;
            }
            // an entry may be gone by now; its number is then not known and it is left out
            let Ok(metadata) = dir.symlink_metadata(&name) else { continue };
            found.push(DirEntry { name, ino: metadata.ino(), file_type, next_cookie: here + 1 });
        }
        found.truncate(max);
        Ok(found)
    }
}

/// How many names of one hash have cookies of their own. Of more, which only somebody can make who wants to miss them, some are not met.
const GROUP: u64 = 1 << GROUP_BITS;
const GROUP_BITS: u32 = 4;
/// How many hashes there are, so that a cookie has 31 bits.
const PLACES: u64 = (1 << 27) - 1;

/// The place of a name: FNV-1a, and not 0, where the first cookies are.
fn place_of(name: &str) -> u64 {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    hash % PLACES + 1
}
