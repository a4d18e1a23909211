//! skeleton
use std::sync::Arc;
use wasmpod_sim::UnixNanos;
use crate::Result;
use super::{Quota, Usage, Synthetic};

/// emptyDir options
#[derive(Debug, Clone)]
pub struct TmpfsOptions {
    /// Limit on bytes.
    pub size_limit: Option<u64>,
    /// Limit on names; `None` is [`super::DEFAULT_INODES_MAX`].
    pub inodes_limit: Option<u64>,
    /// medium: Memory: pages are charged to the cgroup of the container that writes them.
    pub memory_backed: bool,
    /// Mode of the root directory.
    pub mode: u32,
    /// Owner of the root directory.
    pub uid: u32,
    /// Group of the root directory (fsGroup).
    pub gid: u32,
    /// What it counts against besides its own limit (ephemeral storage).
    pub quota: Option<Arc<Quota>>,
}
impl Default for TmpfsOptions { fn default() -> Self { Self { size_limit: None, inodes_limit: None, memory_backed: false, mode: 0o777, uid: 0, gid: 0, quota: None } } }
/// One file of a configMap, secret, projected or downwardAPI volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Relative path.
    pub path: String,
    /// Content.
    pub data: bytes::Bytes,
    /// Mode.
    pub mode: u32,
}
/// Options of a single-file volume.
#[derive(Debug, Clone)]
pub struct FileOptions {
    /// Mode.
    pub mode: u32,
    /// Largest size in bytes that a guest may make it.
    pub size_limit: u64,
    /// What it counts against.
    pub quota: Option<Arc<Quota>>,
}
impl Default for FileOptions { fn default() -> Self { Self { mode: 0o644, size_limit: 1 << 20, quota: None } } }
/// A volume.
#[derive(Clone)]
pub struct Volume(Arc<()>);
impl Volume {
    /// emptyDir
    pub fn tmpfs(_options: TmpfsOptions) -> Self { Self(Arc::new(())) }
    /// configMap...
    pub fn files(_entries: Vec<FileEntry>, _now: UnixNanos) -> Result<Self> { Ok(Self(Arc::new(()))) }
    /// Swaps the content of a [`Volume::files`].
    pub fn update(&self, _entries: Vec<FileEntry>, _now: UnixNanos) -> Result<()> { Ok(()) }
    /// hostPath
    pub fn host(_dir: cap_std::fs::Dir, _read_only: bool) -> Self { Self(Arc::new(())) }
    /// single file, default options
    pub fn file(_data: impl Into<bytes::Bytes>) -> Self { Self(Arc::new(())) }
    /// single file
    pub fn file_with(_data: impl Into<bytes::Bytes>, _options: FileOptions) -> Self { Self(Arc::new(())) }
    /// synthetic
    pub fn synthetic(_tree: Synthetic) -> Self { Self(Arc::new(())) }
    /// Usage.
    pub fn usage(&self) -> Usage { Usage::default() }
    /// Reads a file of the volume; path "" for a single-file volume. At most `max` bytes from the start.
    pub fn read_file(&self, _path: &str, _max: usize) -> Result<Vec<u8>> { Ok(vec![]) }
}
