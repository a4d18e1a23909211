//! hostPath: directories and files of this machine, off unless the user allows a directory. What is allowed is opened once, as a
//! capability: no path or symbolic link in a manifest or of a guest leads out of it (cap-std).

use std::path::{Component, Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

/// Why a hostPath cannot be mounted.
#[derive(Debug, thiserror::Error)]
pub enum HostPathError {
    /// It is in no allowed directory.
    #[error(
        "hostPath {path} is not allowed; start wasmpod with --allow-hostpath DIR to allow the directory DIR and what is in it"
    )]
    NotAllowed {
        /// The path.
        path: String,
    },
    /// It has a `..`, or is not absolute.
    #[error("hostPath {path} must be an absolute path without \"..\"")]
    BadPath {
        /// The path.
        path: String,
    },
    /// It is not what `type` says, in the kubelet's words.
    #[error("hostPath type check failed: {path} is not a {kind}")]
    NotA {
        /// The path.
        path: String,
        /// `directory` or `file`.
        kind: &'static str,
    },
    /// A type that this version does not have.
    #[error("hostPath type {0:?} is not supported by this version of wasmpod")]
    Type(String),
    /// The host's file system failed.
    #[error("hostPath {path}: {source}")]
    Io {
        /// The path.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The allowed directories.
#[derive(Debug, Default)]
pub struct HostPaths {
    /// Each under the name that the user gave, made absolute, and, where that differs, under its real name.
    allowed: Vec<(Vec<PathBuf>, Dir)>,
}

/// What a hostPath is.
#[derive(Debug)]
pub struct HostPath {
    /// The directory, or the one that the file is in.
    pub dir: Dir,
    /// The file's name, if it is a file.
    pub file: Option<String>,
}

impl HostPaths {
    /// Opens the directories that the user allows.
    ///
    /// # Errors
    /// [`HostPathError::Io`] for the first that cannot be opened.
    pub fn open_all(directories: &[PathBuf]) -> Result<Self, HostPathError> {
        let open = |path: &PathBuf| {
            let io = |source| HostPathError::Io { path: path.display().to_string(), source };
            let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(io)?;
            let mut names = vec![std::path::absolute(path).map_err(io)?];
            let real = std::fs::canonicalize(path).map_err(io)?;
            if !names.contains(&real) {
                names.push(real);
            }
            Ok((names, dir))
        };
        Ok(Self { allowed: directories.iter().map(open).collect::<Result<_, _>>()? })
    }

    /// Says whether `path` may be used, without looking at it.
    ///
    /// # Errors
    /// [`HostPathError::NotAllowed`] or [`HostPathError::BadPath`].
    pub fn check(&self, path: &str) -> Result<(), HostPathError> {
        self.find(path).map(|_| ())
    }

    /// Opens `path` as `kind`, a manifest's `type`, demands.
    ///
    /// # Errors
    /// [`HostPathError`] says why not.
    pub fn open(&self, path: &str, kind: &str) -> Result<HostPath, HostPathError> {
        let (dir, relative) = self.find(path)?;
        let io = |source| HostPathError::Io { path: path.to_owned(), source };
        let found = match dir.metadata(&relative) {
            Ok(metadata) => Some(metadata.is_dir()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(io(error)),
        };
        let not_a = |kind| HostPathError::NotA { path: path.to_owned(), kind };
        match (kind, found) {
            // without a type the kubelet checks nothing, and the runtime makes what is missing
            ("" | "DirectoryOrCreate", None) => {
                dir.create_dir_all(&relative).map_err(io)?;
                open_dir(dir, &relative).map_err(io)
            }
            ("" | "Directory" | "DirectoryOrCreate", Some(true)) => open_dir(dir, &relative).map_err(io),
            ("" | "File" | "FileOrCreate", Some(false)) => open_file(dir, &relative).map_err(io),
            ("FileOrCreate", None) => {
                dir.open_with(&relative, cap_std::fs::OpenOptions::new().write(true).create(true)).map_err(io)?;
                open_file(dir, &relative).map_err(io)
            }
            ("Directory" | "DirectoryOrCreate", _) => Err(not_a("directory")),
            ("File" | "FileOrCreate", _) => Err(not_a("file")),
            (other, _) => Err(HostPathError::Type(other.to_owned())),
        }
    }

    /// The allowed directory that `path` is in, and the way from there.
    fn find(&self, path: &str) -> Result<(&Dir, PathBuf), HostPathError> {
        let wanted = Path::new(path);
        if !wanted.is_absolute() || wanted.components().any(|part| part == Component::ParentDir) {
            return Err(HostPathError::BadPath { path: path.to_owned() });
        }
        for (names, dir) in &self.allowed {
            if let Some(relative) = names.iter().find_map(|name| wanted.strip_prefix(name).ok()) {
                let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
                return Ok((dir, relative.to_owned()));
            }
        }
        Err(HostPathError::NotAllowed { path: path.to_owned() })
    }
}

fn open_dir(dir: &Dir, relative: &Path) -> std::io::Result<HostPath> {
    Ok(HostPath { dir: dir.open_dir(relative)?, file: None })
}

fn open_file(dir: &Dir, relative: &Path) -> std::io::Result<HostPath> {
    let parent = relative.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = relative.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let name = name.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
    Ok(HostPath { dir: dir.open_dir(parent)?, file: Some(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> (tempfile::TempDir, HostPaths, String) {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("ok")).unwrap();
        std::fs::write(temp.path().join("ok/file"), "x").unwrap();
        std::fs::write(temp.path().join("secret"), "x").unwrap();
        let paths = HostPaths::open_all(&[temp.path().join("ok")]).unwrap();
        let base = temp.path().join("ok").display().to_string();
        (temp, paths, base)
    }

    #[test]
    fn only_what_is_allowed() {
        let (temp, paths, base) = fixture();
        assert!(paths.open(&base, "Directory").unwrap().file.is_none());
        let outside = temp.path().join("secret").display().to_string();
        assert!(matches!(paths.open(&outside, ""), Err(HostPathError::NotAllowed { .. })));
        assert!(matches!(paths.open(&format!("{base}/../secret"), ""), Err(HostPathError::BadPath { .. })));
        assert!(matches!(paths.open("ok", ""), Err(HostPathError::BadPath { .. })));
        assert!(matches!(HostPaths::default().check("/etc"), Err(HostPathError::NotAllowed { .. })));
        // a name that only starts like an allowed one
        assert!(matches!(paths.check(&format!("{base}2")), Err(HostPathError::NotAllowed { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_does_not_lead_out() {
        let (temp, paths, base) = fixture();
        std::os::unix::fs::symlink(temp.path(), temp.path().join("ok/up")).unwrap();
        assert!(matches!(paths.open(&format!("{base}/up"), ""), Err(HostPathError::Io { .. })));
        assert!(matches!(paths.open(&format!("{base}/up/secret"), "File"), Err(HostPathError::Io { .. })));
    }

    #[test]
    fn types_are_checked_and_created() {
        let (temp, paths, base) = fixture();
        assert_eq!(paths.open(&format!("{base}/file"), "File").unwrap().file.as_deref(), Some("file"));
        let text = |path: &str, kind| paths.open(&format!("{base}/{path}"), kind).unwrap_err().to_string();
        assert_eq!(text("file", "Directory"), format!("hostPath type check failed: {base}/file is not a directory"));
        assert_eq!(text("none", "File"), format!("hostPath type check failed: {base}/none is not a file"));
        assert!(text("file", "Socket").contains("not supported by this version"));
        paths.open(&format!("{base}/a/b"), "DirectoryOrCreate").unwrap();
        assert!(temp.path().join("ok/a/b").is_dir());
        paths.open(&format!("{base}/new"), "FileOrCreate").unwrap();
        assert!(temp.path().join("ok/new").is_file());
        let before = std::fs::read(temp.path().join("ok/file")).unwrap();
        paths.open(&format!("{base}/file"), "FileOrCreate").unwrap();
        assert_eq!(std::fs::read(temp.path().join("ok/file")).unwrap(), before, "an existing file keeps its content");
    }
}
