//! skeleton
use std::sync::Arc;
use bytes::Bytes;

/// What a layer may hold at most.
#[derive(Debug, Clone, Copy)]
pub struct LayerLimits {
    /// Bytes of all files together.
    pub bytes_max: u64,
    /// Entries.
    pub entries_max: u64,
    /// Keep the host's modification times; otherwise they are the Unix epoch.
    pub keep_mtime: bool,
}
impl Default for LayerLimits { fn default() -> Self { Self { bytes_max: 2 << 30, entries_max: 200_000, keep_mtime: false } } }
/// One entry.
#[derive(Debug, Clone)]
pub struct LayerEntry {
    /// Path from the root, e.g. `usr/bin/env`
    pub path: String,
    /// Kind.
    pub kind: LayerEntryKind,
    /// Mode.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// mtime
    pub mtime: wasmpod_sim::UnixNanos,
}
/// What an entry is.
#[derive(Debug, Clone)]
pub enum LayerEntryKind {
    /// dir
    Directory {
        /// hides lower layers
        opaque: bool },
    /// file
    File(Bytes),
    /// symlink
    Symlink(String),
    /// hard link to an earlier path
    HardLink(String),
    /// whiteout
    Whiteout,
}
/// Why a layer was refused.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct LayerError {
    /// path
    pub path: String,
    /// reason
    pub reason: String,
}
/// A read-only tree.
#[derive(Debug)]
pub struct Layer {}
impl Layer {
    /// From entries.
    pub fn from_entries(_entries: impl IntoIterator<Item = LayerEntry>, _limits: &LayerLimits) -> Result<Arc<Self>, LayerError> { Ok(Arc::new(Self {})) }
    /// From a host directory.
    pub fn from_host_dir(_dir: &cap_std::fs::Dir, _limits: &LayerLimits) -> Result<Arc<Self>, LayerError> { Ok(Arc::new(Self {})) }
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 { 0 }
    /// Number of entries.
    pub fn entries(&self) -> u64 { 0 }
}
