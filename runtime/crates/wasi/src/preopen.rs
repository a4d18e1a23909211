//! What a program is handed at start: the directories of its mount namespace and, for preview 1, a listening socket for each
//! container port, announced as systemd does (`sd_listen_fds(3)`). Owns the choice; not the directories.

use std::sync::Arc;

use wasmpod_kernel::file::{Description, Descriptor};
use wasmpod_kernel::mntns::{OpenFile, OpenOptions};
use wasmpod_kernel::netns::TcpSocket;
use wasmpod_kernel::process::Process;
use wasmpod_kernel::{Errno, Result};

/// The first descriptor after stdin, stdout and stderr (`SD_LISTEN_FDS_START`).
pub const FIRST_PREOPEN: u32 = 3;

/// The directories handed to the program: `/` and each mount point, in the order of their paths.
///
/// # Errors
/// What opening a mount point gives; a mount point that has gone is an error of the caller.
pub fn directories(process: &Process) -> Result<Vec<(String, Arc<OpenFile>)>> {
    let root = process.spec.mnt.root_dir();
    let mut found = vec![("/".to_owned(), root.clone())];
    for path in process.spec.mnt.mount_points() {
        let relative = path.trim_start_matches('/');
        if relative.is_empty() {
            continue;
        }
        let options = OpenOptions { read: true, follow_symlinks: true, ..OpenOptions::default() };
        let opened = root.open_at(&process.spec.cred, relative, options)?;
        if opened.is_dir() {
            found.push((path, opened));
        }
    }
    Ok(found)
}
