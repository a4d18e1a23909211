//! The words of the preview 1 ABI: numbers, bits and the layout of records in guest memory, as `typenames.witx` of
//! `wasi_snapshot_preview1` fixes them. Owns no behaviour but the checks of bits and enums that the ABI demands.

use wasmpod_kernel::file::{Description, FileType};
use wasmpod_kernel::mntns::{SetTime, Stat};

use super::errno::Fail;
use crate::p1::errno::WasiErrno;

/// `$clockid`.
pub(super) const CLOCK_REALTIME: u32 = 0;
pub(super) const CLOCK_MONOTONIC: u32 = 1;
pub(super) const CLOCK_PROCESS_CPUTIME: u32 = 2;
pub(super) const CLOCK_THREAD_CPUTIME: u32 = 3;

/// `$rights`, bit by bit in the order of the witx file.
pub(super) mod rights {
    pub(crate) const FD_DATASYNC: u64 = 1 << 0;
    pub(crate) const FD_READ: u64 = 1 << 1;
    pub(crate) const FD_SEEK: u64 = 1 << 2;
    pub(crate) const FD_FDSTAT_SET_FLAGS: u64 = 1 << 3;
    pub(crate) const FD_SYNC: u64 = 1 << 4;
    pub(crate) const FD_TELL: u64 = 1 << 5;
    pub(crate) const FD_WRITE: u64 = 1 << 6;
    pub(crate) const FD_ADVISE: u64 = 1 << 7;
    pub(crate) const FD_ALLOCATE: u64 = 1 << 8;
    pub(crate) const PATH_CREATE_DIRECTORY: u64 = 1 << 9;
    pub(crate) const PATH_CREATE_FILE: u64 = 1 << 10;
    pub(crate) const PATH_LINK_SOURCE: u64 = 1 << 11;
    pub(crate) const PATH_LINK_TARGET: u64 = 1 << 12;
    pub(crate) const PATH_OPEN: u64 = 1 << 13;
    pub(crate) const FD_READDIR: u64 = 1 << 14;
    pub(crate) const PATH_READLINK: u64 = 1 << 15;
    pub(crate) const PATH_RENAME_SOURCE: u64 = 1 << 16;
    pub(crate) const PATH_RENAME_TARGET: u64 = 1 << 17;
    pub(crate) const PATH_FILESTAT_GET: u64 = 1 << 18;
    pub(crate) const PATH_FILESTAT_SET_SIZE: u64 = 1 << 19;
    pub(crate) const PATH_FILESTAT_SET_TIMES: u64 = 1 << 20;
    pub(crate) const FD_FILESTAT_GET: u64 = 1 << 21;
    pub(crate) const FD_FILESTAT_SET_SIZE: u64 = 1 << 22;
    pub(crate) const FD_FILESTAT_SET_TIMES: u64 = 1 << 23;
    pub(crate) const PATH_SYMLINK: u64 = 1 << 24;
    pub(crate) const PATH_REMOVE_DIRECTORY: u64 = 1 << 25;
    pub(crate) const PATH_UNLINK_FILE: u64 = 1 << 26;
    pub(crate) const POLL_FD_READWRITE: u64 = 1 << 27;
    pub(crate) const SOCK_SHUTDOWN: u64 = 1 << 28;
    pub(crate) const SOCK_ACCEPT: u64 = 1 << 29;
    /// Every right there is.
    pub(crate) const ALL: u64 = (1 << 30) - 1;

    /// What is reported for a pre-opened directory: what userlands expect of one.
    pub(crate) const PREOPEN: u64 = PATH_CREATE_DIRECTORY
        | PATH_CREATE_FILE
        | PATH_LINK_SOURCE
        | PATH_LINK_TARGET
        | PATH_OPEN
        | FD_READDIR
        | PATH_READLINK
        | PATH_RENAME_SOURCE
        | PATH_RENAME_TARGET
        | PATH_SYMLINK
        | PATH_REMOVE_DIRECTORY
        | PATH_UNLINK_FILE
        | PATH_FILESTAT_GET
        | PATH_FILESTAT_SET_TIMES
        | FD_FILESTAT_GET
        | FD_FILESTAT_SET_TIMES;
    /// What is opened below a pre-opened directory may have these.
    pub(crate) const PREOPEN_INHERITING: u64 = PREOPEN
        | FD_DATASYNC
        | FD_READ
        | FD_SEEK
        | FD_FDSTAT_SET_FLAGS
        | FD_SYNC
        | FD_TELL
        | FD_WRITE
        | FD_ADVISE
        | FD_ALLOCATE
        | FD_FILESTAT_SET_SIZE
        | POLL_FD_READWRITE;
    /// What is reported for a socket.
    pub(crate) const SOCKET: u64 =
        FD_READ | FD_WRITE | FD_FDSTAT_SET_FLAGS | FD_FILESTAT_GET | POLL_FD_READWRITE | SOCK_SHUTDOWN | SOCK_ACCEPT;
}

/// `$fdflags`.
pub(super) const FDFLAG_APPEND: u32 = 1 << 0;
pub(super) const FDFLAG_DSYNC: u32 = 1 << 1;
pub(super) const FDFLAG_NONBLOCK: u32 = 1 << 2;
pub(super) const FDFLAG_RSYNC: u32 = 1 << 3;
pub(super) const FDFLAG_SYNC: u32 = 1 << 4;
pub(super) const FDFLAGS: u32 = (1 << 5) - 1;

/// `$oflags`.
pub(super) const OFLAG_CREAT: u32 = 1 << 0;
pub(super) const OFLAG_DIRECTORY: u32 = 1 << 1;
pub(super) const OFLAG_EXCL: u32 = 1 << 2;
pub(super) const OFLAG_TRUNC: u32 = 1 << 3;
pub(super) const OFLAGS: u32 = (1 << 4) - 1;

/// `$lookupflags`.
pub(super) const LOOKUP_SYMLINK_FOLLOW: u32 = 1 << 0;

/// `$fstflags`.
const FST_ATIM: u32 = 1 << 0;
const FST_ATIM_NOW: u32 = 1 << 1;
const FST_MTIM: u32 = 1 << 2;
const FST_MTIM_NOW: u32 = 1 << 3;
const FSTFLAGS: u32 = (1 << 4) - 1;

/// `$riflags`, `$roflags` and `$sdflags`.
pub(super) const RECV_PEEK: u32 = 1 << 0;
pub(super) const RECV_WAITALL: u32 = 1 << 1;
pub(super) const RECV_DATA_TRUNCATED: u16 = 1 << 0;
pub(super) const SHUT_RD: u32 = 1 << 0;
pub(super) const SHUT_WR: u32 = 1 << 1;

/// `$whence`.
pub(super) const WHENCE_SET: u32 = 0;
pub(super) const WHENCE_CUR: u32 = 1;
pub(super) const WHENCE_END: u32 = 2;

/// The number of `$advice`s and of `$signal`s.
pub(super) const ADVICES: u32 = 6;
pub(super) const SIGNALS: u32 = 31;

/// `$eventtype`, the tag of a subscription and of an event.
pub(super) const EVENT_CLOCK: u8 = 0;
pub(super) const EVENT_FD_READ: u8 = 1;
pub(super) const EVENT_FD_WRITE: u8 = 2;
/// `$subclockflags` and `$eventrwflags`.
pub(super) const CLOCK_ABSTIME: u16 = 1 << 0;
pub(super) const READWRITE_HANGUP: u16 = 1 << 0;

/// `$preopentype`: a directory, and a number that the witx file does not give out (see [`super::fd::prestat_get`]).
pub(super) const PREOPEN_DIR: u8 = 0;
pub(super) const PREOPEN_OTHER: u8 = 1;

/// Sizes in guest memory.
pub(super) const IOVEC_SIZE: u32 = 8;
pub(super) const FDSTAT_SIZE: u32 = 24;
pub(super) const FILESTAT_SIZE: u32 = 64;
pub(super) const PRESTAT_SIZE: u32 = 8;
pub(super) const DIRENT_SIZE: usize = 24;
pub(super) const SUBSCRIPTION_SIZE: u32 = 48;
pub(super) const EVENT_SIZE: u32 = 32;

const UNKNOWN: u8 = 0;
const CHARACTER_DEVICE: u8 = 2;

/// `$filetype` of a name in a directory. There is no number for a FIFO.
pub(super) fn filetype(kind: FileType) -> u8 {
    match kind {
        FileType::Fifo | FileType::Anonymous => UNKNOWN,
        FileType::CharDevice => CHARACTER_DEVICE,
        FileType::Directory => 3,
        FileType::Regular => 4,
        FileType::SocketDgram => 5,
        FileType::SocketStream => 6,
        FileType::Symlink => 7,
    }
}

/// `$filetype` of a descriptor. A stream is a character device only if it is a terminal: wasi-libc's `isatty` takes any
/// character device that cannot seek for one, and programs then buffer and colour their output as for a person.
pub(super) fn filetype_of(description: &Description) -> u8 {
    match description {
        Description::Stream(stream) if stream.is_terminal() => CHARACTER_DEVICE,
        Description::Stream(_) => UNKNOWN,
        other => filetype(other.file_type()),
    }
}

/// A `$filestat` as it lies in memory.
pub(super) fn filestat(stat: &Stat) -> [u8; FILESTAT_SIZE as usize] {
    filestat_of(
        filetype(stat.file_type),
        [stat.dev, stat.ino, stat.nlink, stat.size, stat.atime, stat.mtime, stat.ctime],
    )
}

/// A `$filestat` of something that is not a file: only its type is known.
pub(super) fn filestat_of_stream(filetype: u8) -> [u8; FILESTAT_SIZE as usize] {
    filestat_of(filetype, [0; 7])
}

fn filestat_of(filetype: u8, numbers: [u64; 7]) -> [u8; FILESTAT_SIZE as usize] {
    let [dev, ino, nlink, size, atime, mtime, ctime] = numbers;
    let mut out = [0; FILESTAT_SIZE as usize];
    for (at, number) in [(0, dev), (8, ino), (24, nlink), (32, size), (40, atime), (48, mtime), (56, ctime)] {
        out[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
    out[16] = filetype;
    out
}

/// What `$fstflags` say of the two timestamps.
///
/// # Errors
/// EINVAL for unknown bits and for a time that is both given and "now".
pub(super) fn set_times(atime: u64, mtime: u64, flags: u32) -> Result<(SetTime, SetTime), Fail> {
    check_bits(flags, FSTFLAGS)?;
    let one = |set: bool, now: bool, at: u64| match (set, now) {
        (true, true) => Err(Fail::from(WasiErrno::Inval)),
        (true, false) => Ok(SetTime::At(at)),
        (false, true) => Ok(SetTime::Now),
        (false, false) => Ok(SetTime::Keep),
    };
    let atime = one(flags & FST_ATIM != 0, flags & FST_ATIM_NOW != 0, atime)?;
    let mtime = one(flags & FST_MTIM != 0, flags & FST_MTIM_NOW != 0, mtime)?;
    Ok((atime, mtime))
}

/// What `$lookupflags` say: follow a symbolic link at the end of the path.
///
/// # Errors
/// EINVAL for unknown bits.
pub(super) fn follow(flags: u32) -> Result<bool, Fail> {
    check_bits(flags, LOOKUP_SYMLINK_FOLLOW)?;
    Ok(flags & LOOKUP_SYMLINK_FOLLOW != 0)
}

/// Refuses bits that have no meaning.
///
/// # Errors
/// EINVAL.
pub(super) fn check_bits(flags: u32, known: u32) -> Result<(), Fail> {
    if flags & !known == 0 { Ok(()) } else { Err(WasiErrno::Inval.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filestat_lies_in_memory_as_the_witx_file_says() {
        let stat = Stat {
            dev: 1,
            ino: 2,
            file_type: FileType::Regular,
            mode: 0o644,
            nlink: 3,
            uid: 0,
            gid: 0,
            size: 4,
            atime: 5,
            mtime: 6,
            ctime: 7,
        };
        let bytes = filestat(&stat);
        let at = |offset: usize| bytes[offset];
        assert_eq!([at(0), at(8), at(16), at(24), at(32), at(40), at(48), at(56)], [1, 2, 4, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_time_is_given_or_now_but_not_both() {
        assert_eq!(set_times(1, 2, 0).unwrap(), (SetTime::Keep, SetTime::Keep));
        assert_eq!(set_times(1, 2, FST_ATIM | FST_MTIM_NOW).unwrap(), (SetTime::At(1), SetTime::Now));
        assert_eq!(set_times(1, 2, FST_MTIM).unwrap(), (SetTime::Keep, SetTime::At(2)));
        for bad in [FST_ATIM | FST_ATIM_NOW, FST_MTIM | FST_MTIM_NOW, 16, u32::MAX] {
            assert!(matches!(set_times(0, 0, bad), Err(Fail::Errno(WasiErrno::Inval))), "{bad:#x}");
        }
    }

    #[test]
    fn rights_are_numbered_as_the_witx_file_does() {
        assert_eq!(rights::SOCK_ACCEPT, 1 << 29);
        assert_eq!(rights::ALL & rights::PREOPEN_INHERITING, rights::PREOPEN_INHERITING);
        assert_eq!(rights::PREOPEN & rights::FD_SEEK, 0);
    }
}
