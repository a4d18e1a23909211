//! skeleton
use std::sync::Arc;
use wasmpod_sim::Clock;
use crate::{Errno, cgroup::Cgroup};
use super::{Layer, OpenFile, Quota, Synthetic, Usage, Volume};

/// How a volume is mounted.
#[derive(Debug, Clone, Default)]
pub struct MountOptions {
    /// Refuse every change with EROFS.
    pub read_only: bool,
    /// Mount this file or directory of the volume instead of its root.
    pub sub_path: Option<String>,
}
/// Why a namespace could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mount {path}: {errno}")]
pub struct MountError {
    /// Where.
    pub path: String,
    /// Why.
    pub errno: Errno,
}
/// A container's file system.
pub struct MountNs {}
/// Builder.
pub struct MountNsBuilder {}
impl MountNs {
    /// Starts a namespace.
    pub fn builder(_clock: Clock, _memory: Arc<Cgroup>) -> MountNsBuilder { MountNsBuilder {} }
    /// `/`, opened for reading
    pub fn root_dir(self: &Arc<Self>) -> Arc<OpenFile> { OpenFile::skeleton() }
    /// All mount points but `/`, sorted.
    pub fn mount_points(&self) -> Vec<String> { vec![] }
    /// Usage of the writable layer.
    pub fn upper_usage(&self) -> Usage { Usage::default() }
    /// The text of /proc/mounts
    pub fn mounts_text(&self) -> &str { "" }
}
impl MountNsBuilder {
    /// Image layers, lowest first
    #[must_use]
    pub fn root(self, _layers: Vec<Arc<Layer>>, _upper_quota: Arc<Quota>) -> Self { self }
    /// readOnlyRootFilesystem
    #[must_use]
    pub fn read_only_root(self, _read_only: bool) -> Self { self }
    /// Mounts a volume.
    #[must_use]
    pub fn mount(self, _path: impl Into<String>, _volume: Volume, _options: MountOptions) -> Self { self }
    /// Mounts a synthetic tree, unless a volume is mounted at the same path.
    #[must_use]
    pub fn synthetic(self, _path: impl Into<String>, _tree: Synthetic) -> Self { self }
    /// Builds it.
    pub fn build(self) -> Result<Arc<MountNs>, MountError> { Ok(Arc::new(MountNs {})) }
}
