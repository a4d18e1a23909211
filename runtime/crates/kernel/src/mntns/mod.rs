//! The mount namespace: what a container sees as its files (`mount_namespaces(7)`, `path_resolution(7)`). One VFS for each container,
//! with the semantics of Linux on every host. Owns no descriptors and no processes.
//!
//! A map of the code, from the guest inwards:
//! - `openfile`, `io`, `paths`: [`OpenFile`], the calls on a description and the calls that take a path.
//! - `walk`: from a path to a place: across mounts and links, never out of the directory it starts from.
//! - `mount`, `builder`: [`MountNs`] and how it is put together; `node`: what a path can lead to.
//! - `inode`, `dir`, `pages`, `tmpfs`: in-memory trees: metadata, names, content, changes.
//! - `overlay`, `layer`, `layer_host`: an image's read-only [`Layer`]s under such a tree.
//! - `hostpath`, `hostfile`, `hosterror`: a directory of the host, through a capability.
//! - `synthetic`, `dev`, [`proc`]: files that are made, not stored: `/dev`, `/proc`, `/sys/fs/cgroup`.
//! - `volume`, `files`: [`Volume`]s and the configMap layout; [`etc`]: the text of `/etc/hosts` and the like.
//! - `quota`: what every byte and name is counted against; `types`: the words of the calls.
//!
//! Paths are relative to an open directory and stay beneath it: an absolute path, a `..` that leaves the directory and a link
//! that leads out of it are [`Errno::Perm`](crate::Errno::Perm). From the namespace's root, links with absolute targets begin at the root, as
//! images need it.

mod builder;
mod dev;
mod dir;
pub mod etc;
mod files;
mod hosterror;
mod hostfile;
mod hostpath;
mod inode;
mod io;
mod layer;
mod layer_host;
mod mount;
mod node;
mod openfile;
mod overlay;
mod pages;
mod paths;
pub mod proc;
mod proc_pid;
mod quota;
mod synthetic;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tmpfs;
mod types;
mod volume;
mod walk;

pub use builder::{MOUNTS_MAX, MountError, MountNsBuilder, MountOptions};
pub use dev::DevOptions;
pub use files::FileEntry;
pub use layer::{Layer, LayerEntry, LayerEntryKind, LayerError, LayerLimits};
pub use mount::{MountInfo, MountNs};
pub use openfile::{OpenFile, READ_DIR_MAX, SeekFrom};
pub use proc::ProcOptions;
pub use quota::{DEFAULT_INODES_MAX, Quota, QuotaHold};
pub use synthetic::{Device, Provider, RandomSource, Synthetic};
pub use types::{
    Cred, DirEntry, FILE_SIZE_MAX, MODE_MASK, NAME_MAX, OpenOptions, PATH_MAX, SYMLINKS_MAX, SetTime, Stat, Usage,
};
pub(crate) use types::{MAY_READ, MAY_WRITE, Owner};
pub use volume::{FileOptions, TmpfsOptions, Volume};
