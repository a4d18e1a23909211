//! What a program is handed at start: the directories of its mount namespace and, for preview 1, a listening socket for each
//! container port, announced as systemd does (`sd_listen_fds(3)`). Owns the choice; not the directories.
//!
//! Descriptors of a preview 1 program, behind stdin, stdout and stderr:
//! 1. one listening socket for each port, from 3 on, as `sd_listen_fds(3)` promises. They must not hide the directories behind
//!    them: see `fd_prestat_get` in [`crate::p1`];
//! 2. the directories.
//!
//! # The working directory
//! Preview 1 has none. wasi-libc strips `/` and `./` off paths and off the names of pre-opened directories alike, and takes the
//! longest name that matches, the last one of equals: `/data/x` and `data/x` are the same path to it. So with workingDir `/`
//! relative and absolute paths are the same, and with another one there is a choice to make. What is handed over then is `/`, each
//! directory in it by its own name, each mount, and last the working directory as `.`, which is what every other path is looked up in.
//!
//! A program may also look for a directory by the name that its user gave it (`app .`, `app data`), without a C library. So the
//! working directory is handed over as `.` when it is `/` too, and each volume below the working directory also by its relative
//! name, unless that would hide an absolute path.
//! - `notes.txt`, `./a/b` and `.` are in the working directory; `/etc/hosts`, `/tmp/x` and `/data/y` are where they say.
//! - Limits: a relative path whose first part is also a directory of `/` (`etc/x`) is taken for the absolute one; an absolute path
//!   whose first part is not a directory of `/` when the program starts (`/new`, and files like `/app.conf`) is taken for a
//!   relative one; `..` does not lead out of the working directory; of the directories in `/` only [`MAX_TOP_LEVEL`] are handed
//!   over.
//! - Go resolves paths itself and knows neither limit: it asks for PWD, which is therefore set unless the program has one.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use wasmpod_kernel::file::{Description, Descriptor, FileType};
use wasmpod_kernel::mntns::{OpenFile, OpenOptions};
use wasmpod_kernel::netns::{Family, TcpSocket};
use wasmpod_kernel::process::Process;
use wasmpod_kernel::{Errno, Result};

/// The first descriptor after stdin, stdout and stderr (`SD_LISTEN_FDS_START`).
pub const FIRST_PREOPEN: u32 = 3;
/// The most directories of `/` that are handed over for the sake of a working directory: a root file system has about twenty, and
/// each costs the program two calls at its start and one of its descriptors.
pub const MAX_TOP_LEVEL: usize = 128;
/// The most ports that one program listens on from the start, so that enough descriptors are left.
pub const MAX_PORTS: usize = 256;
/// How many connections wait to be accepted: `SOMAXCONN` of Linux.
const BACKLOG: u32 = 4096;
/// How many names of `/` are read at once.
const BATCH: usize = 128;

/// A TCP port that a program listens on from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenPort {
    /// What LISTEN_FDNAMES calls it; "unknown" if it has no name, as systemd does.
    pub name: Option<String>,
    /// The port.
    pub port: u16,
}

/// What was handed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installed {
    /// What is to be added to the program's environment ([`crate::Ctx::extra_env`]).
    pub env: Vec<(String, String)>,
}

/// Why a program cannot be handed what it needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreopenError {
    /// Another container of the pod has the port.
    #[error("listen tcp :{port}: bind: {}", Errno::AddrInUse.to_string().to_lowercase())]
    AddrInUse {
        /// The port.
        port: u16,
    },
    /// The socket could not be made for another reason.
    #[error("listen tcp :{port}: {errno}")]
    Listen {
        /// The port.
        port: u16,
        /// The reason.
        errno: Errno,
    },
    /// There are more ports than a program is handed.
    #[error("{0} ports to listen on; at most {MAX_PORTS} are possible")]
    TooManyPorts(usize),
    /// The working directory cannot be opened.
    #[error("chdir to cwd (\"{path}\") set in config.json failed: {}", .errno.to_string().to_lowercase())]
    WorkingDirectory {
        /// The directory.
        path: String,
        /// The reason.
        errno: Errno,
    },
    /// A directory could not be handed over.
    #[error("pre-opened directories: {0}")]
    Directories(Errno),
}

/// The directories handed to the program: `/` and each mount point, in the order of their paths. One that the process may not read
/// is left out, and so is one over which something else was mounted that is no directory.
///
/// # Errors
/// What opening a mount point gives; a mount point that has gone is an error of the caller.
pub fn directories(process: &Process) -> Result<Vec<(String, Arc<OpenFile>)>> {
    let root = process.spec.mnt.root_dir();
    let mut found = vec![("/".to_owned(), root.clone())];
    for path in process.spec.mnt.mount_points() {
        match open_directory(process, &root, &path) {
            Ok(Some(opened)) => found.push((path, opened)),
            Ok(None) | Err(Errno::Acces) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(found)
}

/// The directory at an absolute path; nothing for `/` and for what is no directory.
fn open_directory(process: &Process, root: &OpenFile, path: &str) -> Result<Option<Arc<OpenFile>>> {
    let relative = path.trim_matches('/');
    if relative.is_empty() {
        return Ok(None);
    }
    let opened = root.open_at(&process.spec.cred, relative, OpenOptions::read_only())?;
    Ok(opened.is_dir().then_some(opened))
}

/// Hands a preview 1 program, whose stdin, stdout and stderr are installed, its sockets and directories.
///
/// # Errors
/// A [`PreopenError`]; the program must then not be started. What was installed up to then stays until the process is closed.
pub fn install(process: &Process, ports: &[ListenPort]) -> Result<Installed, PreopenError> {
    if ports.len() > MAX_PORTS {
        return Err(PreopenError::TooManyPorts(ports.len()));
    }
    let mut env = Vec::new();
    for port in ports {
        let listener = listen(process, port.port)?;
        hand_over(process, Description::Tcp(listener), port.name.clone().unwrap_or_default())
            .map_err(|errno| PreopenError::Listen { port: port.port, errno })?;
    }
    if !ports.is_empty() {
        let names: Vec<String> = ports.iter().map(announced_name).collect();
        env.push(("LISTEN_FDS".to_owned(), ports.len().to_string()));
        env.push(("LISTEN_PID".to_owned(), process.pid().to_string()));
        env.push(("LISTEN_FDNAMES".to_owned(), names.join(":")));
    }
    for (path, directory) in preopened(process)? {
        hand_over(process, Description::File(directory), path).map_err(PreopenError::Directories)?;
    }
    let given = |name: &str| process.spec.env.iter().any(|(given, _)| given == name);
    if !is_root(&process.spec.cwd) && !given("PWD") {
        env.push(("PWD".to_owned(), process.spec.cwd.clone()));
    }
    Ok(Installed { env })
}

/// A name may not hold what separates the names.
fn announced_name(port: &ListenPort) -> String {
    port.name.as_deref().filter(|name| !name.is_empty()).unwrap_or("unknown").replace(':', "_")
}

fn hand_over(process: &Process, description: Description, name: String) -> Result<u32> {
    let descriptor = Descriptor { preopen: Some(name), ..Descriptor::new(description) };
    process.fds.lock().insert(descriptor)
}

fn is_root(path: &str) -> bool {
    path.trim_matches('/').is_empty()
}

/// The directories of [`directories`], and for a working directory other than `/` what the module documents. A component's C library
/// looks paths up in the same way, and does not ask for its initial directory either.
///
/// # Errors
/// [`PreopenError::WorkingDirectory`] if there is no such directory; [`PreopenError::Directories`] as [`directories`].
pub fn preopened(process: &Process) -> Result<Vec<(String, Arc<OpenFile>)>, PreopenError> {
    let mut found = directories(process).map_err(PreopenError::Directories)?;
    let cwd = &process.spec.cwd;
    let root = process.spec.mnt.root_dir();
    if is_root(cwd) {
        let volumes = volumes_below(process, "", &found);
        found.extend(volumes);
        found.push((".".to_owned(), root));
        return Ok(found);
    }
    let mut known: BTreeSet<String> = found.iter().map(|(path, _)| path.clone()).collect();
    for name in top_level(&root).map_err(PreopenError::Directories)? {
        let path = format!("/{name}");
        if known.contains(&path) {
            continue;
        }
        // a dangling link, a file, a directory that the process may not read: nothing to hand over
        if let Ok(Some(opened)) = open_directory(process, &root, &path) {
            known.insert(path.clone());
            found.push((path, opened));
        }
    }
    let opened = open_directory(process, &root, cwd).and_then(|opened| opened.ok_or(Errno::NotDir));
    let opened = opened.map_err(|errno| PreopenError::WorkingDirectory { path: cwd.clone(), errno })?;
    let volumes = volumes_below(process, cwd, &found);
    // `data` is what wasi-libc makes of `/data` too
    let hides = |name: &str| known.contains(&format!("/{}", name.split('/').next().unwrap_or(name)));
    found.extend(volumes.into_iter().filter(|(name, _)| !hides(name)));
    found.push((".".to_owned(), opened));
    Ok(found)
}

/// The volumes among the `found` mounts that are below the working directory, by their names relative to it. What the runtime mounts
/// by itself (`/dev`, `/proc`, `/sys/fs/cgroup`) nobody asks for by such a name.
fn volumes_below(process: &Process, cwd: &str, found: &[(String, Arc<OpenFile>)]) -> Vec<(String, Arc<OpenFile>)> {
    let cwd = format!("{}/", cwd.trim_end_matches('/'));
    let own = |path: &str| ["/dev", "/proc", "/sys"].iter().any(|top| Path::new(path).starts_with(top));
    let mounts: BTreeSet<String> = process.spec.mnt.mount_points().into_iter().collect();
    let volumes = found.iter().filter(|(path, _)| mounts.contains(path) && !own(path));
    volumes.filter_map(|(path, opened)| Some((path.strip_prefix(&cwd)?.to_owned(), opened.clone()))).collect()
}

/// Names in `/` that are directories or may lead to one.
fn top_level(root: &OpenFile) -> Result<Vec<String>> {
    let (mut names, mut cookie) = (Vec::new(), 0);
    loop {
        let entries = root.read_dir(cookie, BATCH)?;
        let Some(last) = entries.last() else { return Ok(names) };
        cookie = last.next_cookie;
        for entry in entries {
            let leads_on = matches!(entry.file_type, FileType::Directory | FileType::Symlink);
            if leads_on && !matches!(entry.name.as_str(), "." | "..") {
                names.push(entry.name);
            }
            if names.len() == MAX_TOP_LEVEL {
                return Ok(names);
            }
        }
    }
}

/// A socket that listens on `port` at every address of the pod, IPv4 and IPv6.
fn listen(process: &Process, port: u16) -> Result<Arc<TcpSocket>, PreopenError> {
    let made = || {
        let memory = process.spec.cgroup.clone();
        let (socket, any) = match process.spec.net.tcp_socket(Family::V6, memory.clone()) {
            Ok(socket) => {
                socket.set_v6only(false)?;
                (socket, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
            }
            Err(Errno::AfNoSupport) => {
                let socket = process.spec.net.tcp_socket(Family::V4, memory)?;
                (socket, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
            }
            Err(errno) => return Err(errno),
        };
        socket.set_reuseaddr(true)?; // a container that restarts finds its old connections in TIME_WAIT
        socket.bind(any)?;
        socket.listen(BACKLOG)?;
        Ok(socket)
    };
    made().map_err(|errno| match errno {
        Errno::AddrInUse => PreopenError::AddrInUse { port },
        errno => PreopenError::Listen { port, errno },
    })
}
