//! skeleton
use std::sync::Arc;
use std::task::Context;
use crate::{Errno, Result, file::FileType, wait::Ready};
use super::types::{Cred, DirEntry, OpenOptions, SetTime, Stat};

/// Where to seek
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekFrom {
    /// SEEK_SET
    Start(u64),
    /// SEEK_CUR
    Current(i64),
    /// SEEK_END
    End(i64),
}
/// An open file description.
pub struct OpenFile {}
#[expect(clippy::missing_errors_doc, reason = "skeleton")]
#[expect(missing_docs, reason = "skeleton")]
impl OpenFile {
    pub(crate) fn skeleton() -> Arc<Self> { Arc::new(Self {}) }
    pub fn file_type(&self) -> FileType { FileType::Directory }
    pub fn is_dir(&self) -> bool { true }
    pub fn poll_ready(&self, interest: Ready, _cx: &mut Context<'_>) -> Ready { interest }
    pub fn open_at(&self, _cred: &Cred, _path: &str, _options: OpenOptions) -> Result<Arc<OpenFile>> { Err(Errno::NoSys) }
    pub fn stat_at(&self, _cred: &Cred, _path: &str, _follow: bool) -> Result<Stat> { Err(Errno::NoSys) }
    pub fn mkdir_at(&self, _cred: &Cred, _path: &str, _mode: u32) -> Result<()> { Err(Errno::NoSys) }
    pub fn rmdir_at(&self, _cred: &Cred, _path: &str) -> Result<()> { Err(Errno::NoSys) }
    pub fn unlink_at(&self, _cred: &Cred, _path: &str) -> Result<()> { Err(Errno::NoSys) }
    pub fn readlink_at(&self, _cred: &Cred, _path: &str) -> Result<String> { Err(Errno::NoSys) }
    pub fn symlink_at(&self, _cred: &Cred, _target: &str, _path: &str) -> Result<()> { Err(Errno::NoSys) }
    pub fn link_at(&self, _cred: &Cred, _old: &str, _follow: bool, _new_dir: &OpenFile, _new: &str) -> Result<()> { Err(Errno::NoSys) }
    pub fn rename_at(&self, _cred: &Cred, _old: &str, _new_dir: &OpenFile, _new: &str) -> Result<()> { Err(Errno::NoSys) }
    pub fn set_times_at(&self, _cred: &Cred, _path: &str, _follow: bool, _atime: SetTime, _mtime: SetTime) -> Result<()> { Err(Errno::NoSys) }
    pub fn chmod_at(&self, _cred: &Cred, _path: &str, _follow: bool, _mode: u32) -> Result<()> { Err(Errno::NoSys) }
    pub fn read(&self, _buf: &mut [u8]) -> Result<usize> { Err(Errno::NoSys) }
    pub fn write(&self, _buf: &[u8]) -> Result<usize> { Err(Errno::NoSys) }
    pub fn read_at(&self, _buf: &mut [u8], _offset: u64) -> Result<usize> { Err(Errno::NoSys) }
    pub fn write_at(&self, _buf: &[u8], _offset: u64) -> Result<usize> { Err(Errno::NoSys) }
    pub fn seek(&self, _to: SeekFrom) -> Result<u64> { Err(Errno::NoSys) }
    pub fn tell(&self) -> Result<u64> { Err(Errno::NoSys) }
    pub fn stat(&self) -> Result<Stat> { Err(Errno::NoSys) }
    pub fn set_len(&self, _size: u64) -> Result<()> { Err(Errno::NoSys) }
    pub fn allocate(&self, _offset: u64, _len: u64) -> Result<()> { Err(Errno::NoSys) }
    pub fn sync(&self) -> Result<()> { Err(Errno::NoSys) }
    pub fn advise(&self, _offset: u64, _len: u64) -> Result<()> { Err(Errno::NoSys) }
    pub fn set_times(&self, _atime: SetTime, _mtime: SetTime) -> Result<()> { Err(Errno::NoSys) }
    pub fn read_dir(&self, _cookie: u64, _max: usize) -> Result<Vec<DirEntry>> { Err(Errno::NoSys) }
    pub fn readable(&self) -> bool { true }
    pub fn writable(&self) -> bool { false }
    pub fn append(&self) -> bool { false }
    pub fn set_append(&self, _append: bool) {}
    /// If this is /dev/stdin, stdout or stderr: which descriptor of the process it stands for.
    pub fn stdio(&self) -> Option<u32> { None }
    pub fn is_terminal(&self) -> bool { false }
    pub fn same_object(&self, _other: &OpenFile) -> bool { false }
    pub fn object_hash(&self) -> (u64, u64) { (0, 0) }
}
