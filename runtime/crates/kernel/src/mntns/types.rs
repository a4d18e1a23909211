//! The words of the file system calls: credentials, `stat`, open flags, directory entries. Owns no behaviour but the permission
//! check of `path_resolution(7)`.

use wasmpod_sim::UnixNanos;

use crate::file::FileType;
use crate::{Errno, Result};

/// The longest name in a directory, in bytes (NAME_MAX).
pub const NAME_MAX: usize = 255;
/// The longest path, in bytes (PATH_MAX).
pub const PATH_MAX: usize = 4096;
/// The most symbolic links that one path walk follows (Linux' MAXSYMLINKS).
pub const SYMLINKS_MAX: u32 = 40;
/// The largest file size and offset, in bytes (`loff_t`).
pub const FILE_SIZE_MAX: u64 = i64::MAX as u64;
/// The permission bits, with set-user-id, set-group-id and sticky.
pub const MODE_MASK: u32 = 0o7777;

/// Who makes a call (`credentials(7)`). The default is root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cred {
    /// The user; 0 passes every permission check.
    pub uid: u32,
    /// The primary group.
    pub gid: u32,
    /// The supplementary groups, fsGroup among them.
    pub groups: Vec<u32>,
}

impl Cred {
    /// The superuser.
    pub const fn root() -> Self {
        Self { uid: 0, gid: 0, groups: Vec::new() }
    }

    /// True if `gid` is one of this process' groups.
    pub fn in_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }

    /// Checks `want` (a combination of [`MAY_READ`], [`MAY_WRITE`] and [`MAY_EXEC`]) against a file's owner and mode.
    ///
    /// # Errors
    /// [`Errno::Acces`] if the mode forbids it. For uid 0 only the execution of a file that nobody may execute is forbidden.
    pub(crate) fn check(&self, owner: Owner, want: u32) -> Result<()> {
        let Owner { uid, gid, mode, directory } = owner;
        if self.uid == 0 {
            let refused = want & MAY_EXEC != 0 && !directory && mode & 0o111 == 0;
            return if refused { Err(Errno::Acces) } else { Ok(()) };
        }
        let class = if self.uid == uid {
            mode >> 6
        } else if self.in_group(gid) {
            mode >> 3
        } else {
            mode
        };
        if class & want == want { Ok(()) } else { Err(Errno::Acces) }
    }

    /// Checks that this process owns the file, which changes of mode and times need.
    pub(crate) fn check_owner(&self, owner: Owner) -> Result<()> {
        if self.uid == 0 || self.uid == owner.uid { Ok(()) } else { Err(Errno::Perm) }
    }
}

/// Permission to read.
pub(crate) const MAY_READ: u32 = 4;
/// Permission to write.
pub(crate) const MAY_WRITE: u32 = 2;
/// Permission to execute a file or to search a directory.
pub(crate) const MAY_EXEC: u32 = 1;

/// What a permission check looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
    pub(crate) directory: bool,
}

/// What `stat(2)` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    /// The file system, counted from 1 in the order of mounts.
    pub dev: u64,
    /// The inode.
    pub ino: u64,
    /// What it is.
    pub file_type: FileType,
    /// Permission bits, set-id bits and sticky bit; not the type.
    pub mode: u32,
    /// Number of names; of a directory 2 and one for each subdirectory.
    pub nlink: u64,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Bytes; of a symbolic link the length of its target.
    pub size: u64,
    /// Last read. Kept as by mount option `relatime`: only moved when it is older than a change.
    pub atime: UnixNanos,
    /// Last change of the content.
    pub mtime: UnixNanos,
    /// Last change of content or metadata.
    pub ctime: UnixNanos,
}

/// What to do with a timestamp (`utimensat(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SetTime {
    /// Leave it (UTIME_OMIT).
    Keep,
    /// The time of the call (UTIME_NOW).
    Now,
    /// This time.
    At(UnixNanos),
}

impl SetTime {
    /// The new value of a timestamp that is now `old`.
    pub(crate) fn apply(self, old: UnixNanos, now: UnixNanos) -> UnixNanos {
        match self {
            Self::Keep => old,
            Self::Now => now,
            Self::At(at) => at,
        }
    }
}

/// How to open a path (`open(2)`). The default opens nothing for reading or writing, as O_PATH does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenOptions {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// Every write goes to the end (O_APPEND). Implies nothing about `write`.
    pub append: bool,
    /// Make a regular file if there is none (O_CREAT).
    pub create: bool,
    /// With `create`: fail if there is one (O_EXCL).
    pub exclusive: bool,
    /// Cut the file to nothing (O_TRUNC). Needs the right to write, whatever `write` says.
    pub truncate: bool,
    /// Fail if it is not a directory (O_DIRECTORY).
    pub directory: bool,
    /// Follow a symbolic link at the end of the path; without it such a link is ELOOP (O_NOFOLLOW).
    pub follow_symlinks: bool,
    /// Permission bits of a file that is made. The caller has applied its umask.
    pub mode: u32,
}

impl OpenOptions {
    /// For reading, links followed.
    pub const fn read_only() -> Self {
        Self {
            read: true,
            write: false,
            append: false,
            create: false,
            exclusive: false,
            truncate: false,
            directory: false,
            follow_symlinks: true,
            mode: 0,
        }
    }

    /// For reading and writing; the file is made with mode 0644 if there is none. Links followed.
    pub const fn read_write_create() -> Self {
        Self { write: true, create: true, mode: 0o644, ..Self::read_only() }
    }
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name.
    pub name: String,
    /// The inode.
    pub ino: u64,
    /// What it is.
    pub file_type: FileType,
    /// Where to go on: the cookie of what comes after this entry.
    pub next_cookie: u64,
}

/// How full a volume or a writable layer is (`statfs(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes held by files, in whole pages.
    pub bytes: u64,
    /// The limit on `bytes`.
    pub bytes_limit: Option<u64>,
    /// Names in use.
    pub inodes: u64,
    /// The limit on `inodes`.
    pub inodes_limit: Option<u64>,
}

/// Checks one name.
///
/// # Errors
/// [`Errno::NameTooLong`] beyond [`NAME_MAX`]; [`Errno::Inval`] for NUL, `/`, the empty name, `.` and `..`.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.len() > NAME_MAX {
        return Err(Errno::NameTooLong);
    }
    if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
        return Err(Errno::Inval);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(mode: u32) -> Owner {
        Owner { uid: 10, gid: 20, mode, directory: false }
    }

    #[test]
    fn the_most_specific_class_decides_even_if_it_allows_less() {
        let owner = Cred { uid: 10, gid: 20, groups: vec![] };
        assert_eq!(owner.check(file(0o077), MAY_READ), Err(Errno::Acces));
        let member = Cred { uid: 11, gid: 1, groups: vec![20] };
        assert_eq!(member.check(file(0o707), MAY_READ), Err(Errno::Acces));
        assert_eq!(member.check(file(0o070), MAY_READ | MAY_WRITE), Ok(()));
        let other = Cred { uid: 11, gid: 1, groups: vec![] };
        assert_eq!(other.check(file(0o770), MAY_READ), Err(Errno::Acces));
        assert_eq!(other.check(file(0o004), MAY_READ), Ok(()));
    }

    #[test]
    fn root_passes_but_for_files_that_nobody_executes() {
        let root = Cred::root();
        assert_eq!(root.check(file(0), MAY_READ | MAY_WRITE), Ok(()));
        assert_eq!(root.check(file(0o666), MAY_EXEC), Err(Errno::Acces));
        assert_eq!(root.check(file(0o001), MAY_EXEC), Ok(()));
        assert_eq!(root.check(Owner { directory: true, ..file(0) }, MAY_EXEC), Ok(()));
    }

    #[test]
    fn names_are_bounded_and_hold_no_separator() {
        assert_eq!(check_name(&"n".repeat(255)), Ok(()));
        assert_eq!(check_name(&"n".repeat(256)), Err(Errno::NameTooLong));
        for bad in ["", ".", "..", "a/b", "a\0"] {
            assert_eq!(check_name(bad), Err(Errno::Inval), "{bad:?}");
        }
    }
}
