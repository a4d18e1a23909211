//! Finding the program that a container runs (`execvp(3)`): by path, or by name along PATH, in the container's own file system. Owns the
//! search and its errors, which are those of a container runtime.

use wasmpod_engine::config::MAX_PROGRAM_BYTES;
use wasmpod_kernel::Errno;
use wasmpod_kernel::mntns::{Cred, MountNs, OpenFile, OpenOptions};

use std::sync::Arc;

/// PATH when the image and the manifest set none, as containerd's.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why there is nothing to run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecError {
    /// No such program (a shell's 127).
    #[error("exec: \"{0}\": executable file not found in $PATH")]
    NotFound(String),
    /// The path leads nowhere (127).
    #[error("exec: \"{0}\": stat {0}: no such file or directory")]
    NoEntry(String),
    /// It is there but cannot be executed (126).
    #[error("exec: \"{path}\": {reason}")]
    NotExecutable {
        /// The path.
        path: String,
        /// Why.
        reason: String,
    },
}

/// A program found in a file system.
#[derive(Debug)]
pub struct Executable {
    /// Its path.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Finds and reads `name`. `path` is the value of PATH; `cwd` is where a relative path starts.
///
/// # Errors
/// [`ExecError`], with the texts of a container runtime.
pub fn find(mnt: &Arc<MountNs>, cred: &Cred, name: &str, path: &str, cwd: &str) -> Result<Executable, ExecError> {
    let candidates: Vec<String> = if name.contains('/') {
        vec![absolute(name, cwd)]
    } else {
        path.split(':')
            .map(|dir| absolute(&format!("{}/{name}", if dir.is_empty() { "." } else { dir }), cwd))
            .collect()
    };
    let mut refused = None;
    for candidate in candidates {
        match open(mnt, cred, &candidate) {
            Ok(file) => return read(&file, candidate),
            Err(ExecError::NoEntry(_)) => {}
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or_else(|| {
        if name.contains('/') { ExecError::NoEntry(name.to_owned()) } else { ExecError::NotFound(name.to_owned()) }
    }))
}

fn absolute(path: &str, cwd: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", cwd.trim_end_matches('/')) }
}

fn open(mnt: &Arc<MountNs>, cred: &Cred, path: &str) -> Result<Arc<OpenFile>, ExecError> {
    let refuse = |reason: &str| ExecError::NotExecutable { path: path.to_owned(), reason: reason.to_owned() };
    let relative = normalize(path);
    let root = mnt.root_dir();
    let stat = match root.stat_at(cred, &relative, true) {
        Ok(stat) => stat,
        Err(Errno::NoEnt | Errno::NotDir) => return Err(ExecError::NoEntry(path.to_owned())),
        Err(errno) => return Err(refuse(&errno.to_string().to_lowercase())),
    };
    if stat.file_type != wasmpod_kernel::file::FileType::Regular {
        return Err(refuse("is a directory"));
    }
    if stat.mode & 0o111 == 0 {
        return Err(refuse("permission denied"));
    }
    if stat.size > MAX_PROGRAM_BYTES as u64 {
        return Err(refuse("file too large"));
    }
    // execution needs no right to read, but the program is read here: by the runtime, not by the user
    root.open_at(&Cred::root(), &relative, OpenOptions::read_only())
        .map_err(|errno| refuse(&errno.to_string().to_lowercase()))
}

/// The path from the root, with `.` and `..` taken out as the root directory does (`/..` is `/`).
fn normalize(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

fn read(file: &OpenFile, path: String) -> Result<Executable, ExecError> {
    let refuse =
        |errno: Errno| ExecError::NotExecutable { path: path.clone(), reason: errno.to_string().to_lowercase() };
    let size = usize::try_from(file.stat().map_err(refuse)?.size).unwrap_or(usize::MAX).min(MAX_PROGRAM_BYTES);
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while filled < size {
        match file.read_at(&mut bytes[filled..], filled as u64).map_err(refuse)? {
            0 => break,
            count => filled += count,
        }
    }
    bytes.truncate(filled);
    Ok(Executable { path, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_from_the_working_directory_and_the_root() {
        assert_eq!(absolute("bin/app", "/srv/"), "/srv/bin/app");
        assert_eq!(absolute("/bin/app", "/srv"), "/bin/app");
        assert_eq!(normalize("/srv/./../../bin//app"), "bin/app");
        assert_eq!(normalize("/.."), ".");
    }
}
