//! The mount namespace: what a container sees as its files (`mount_namespaces(7)`).
pub mod etc;
mod layer;
mod mount;
mod openfile;
mod quota;
mod synthetic;
mod types;
mod volume;

pub use layer::{Layer, LayerEntry, LayerEntryKind, LayerError, LayerLimits};
pub use mount::{MountError, MountNs, MountNsBuilder, MountOptions};
pub use openfile::{OpenFile, SeekFrom};
pub use quota::{DEFAULT_INODES_MAX, Quota, QuotaHold};
pub use synthetic::{DevOptions, Device, ProcOptions, Provider, RandomSource, Synthetic};
pub use types::{
    Cred, DirEntry, FILE_SIZE_MAX, MODE_MASK, NAME_MAX, OpenOptions, PATH_MAX, SYMLINKS_MAX, SetTime, Stat, Usage,
};
pub use volume::{FileEntry, FileOptions, TmpfsOptions, Volume};
