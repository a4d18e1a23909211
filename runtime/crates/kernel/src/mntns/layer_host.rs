//! A layer from a directory of the host, read once through a capability when an image is resolved. Links stay links and are not
//! followed; what is neither file, directory nor link is refused.

use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _, OpenOptionsSyncExt as _};
use cap_std::fs::{Dir, Metadata, OpenOptions};

use super::hosterror::refuse_name;
use super::layer::{Layer, LayerBuilder, LayerEntry, LayerEntryKind, LayerError, LayerLimits};

/// The deepest directory of an image on the host: the directories above the one that is read are held open.
const DEPTH_MAX: usize = 64;

impl Layer {
    /// Reads a directory of the host. Everything belongs to root; execute bits are kept (on Windows, which has none, `.wasm`
    /// files get them).
    ///
    /// # Errors
    /// [`LayerError`] beyond the limits, for names that are not UTF-8 or mean a device on Windows, for sockets, pipes and devices,
    /// for links with absolute targets outside of reason, and for what the host refuses.
    pub fn from_host_dir(dir: &Dir, limits: &LayerLimits) -> Result<Arc<Self>, LayerError> {
        let mut builder = LayerBuilder::new(*limits);
        let root = dir.try_clone().map_err(|error| LayerError::new(".", error.to_string()))?;
        let mut left = vec![Level { dir: Arc::new(root), path: String::new(), names: None }];
        while let Some(level) = left.last_mut() {
            let names = match &mut level.names {
                Some(names) => names,
                none => none.insert(sorted_names(&level.dir, &level.path, limits)?),
            };
            let Some(name) = names.pop() else {
                left.pop();
                continue;
            };
            let path = if level.path.is_empty() { name.clone() } else { format!("{}/{name}", level.path) };
            let dir = level.dir.clone();
            if let Some(child) = add(&mut builder, &dir, &name, &path)? {
                if left.len() >= DEPTH_MAX {
                    return Err(LayerError::new(path, format!("deeper than {DEPTH_MAX} directories")));
                }
                left.push(Level { dir: Arc::new(child), path, names: None });
            }
        }
        Ok(builder.finish())
    }
}

/// A directory that is being read.
struct Level {
    dir: Arc<Dir>,
    path: String,
    /// What is left to read, the first at the end.
    names: Option<Vec<String>>,
}

/// The names in a directory, the last first, so that layers are the same whatever order the host lists in.
fn sorted_names(dir: &Dir, path: &str, limits: &LayerLimits) -> Result<Vec<String>, LayerError> {
    let failed = |error: std::io::Error| LayerError::new(if path.is_empty() { "." } else { path }, error.to_string());
    let mut names = Vec::new();
    for entry in dir.entries().map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name
            .into_string()
            .map_err(|name| LayerError::new(format!("{path}/{}", name.display()), "the name is not UTF-8"))?;
        if refuse_name(&name).is_err() {
            return Err(LayerError::new(format!("{path}/{name}"), "the name means a device on Windows"));
        }
        names.push(name);
        if names.len() as u64 > limits.entries_max {
            return Err(LayerError::new(path, format!("more than {} entries", limits.entries_max)));
        }
    }
    names.sort_by(|a, b| b.cmp(a));
    Ok(names)
}

/// Adds what is called `name`, and opens it if it is a directory.
fn add(builder: &mut LayerBuilder, dir: &Dir, name: &str, path: &str) -> Result<Option<Dir>, LayerError> {
    let failed = |error: std::io::Error| LayerError::new(path, error.to_string());
    let metadata = dir.symlink_metadata(name).map_err(failed)?;
    let file_type = metadata.file_type();
    let (kind, child) = if file_type.is_dir() {
        (LayerEntryKind::Directory { opaque: false }, Some(dir.open_dir_nofollow(name).map_err(failed)?))
    } else if file_type.is_symlink() {
        let target = dir.read_link_contents(name).map_err(failed)?;
        let target = target.to_str().ok_or_else(|| LayerError::new(path, "the link's target is not UTF-8"))?;
        (LayerEntryKind::Symlink(if cfg!(windows) { target.replace('\\', "/") } else { target.to_owned() }), None)
    } else if file_type.is_file() {
        (LayerEntryKind::File(read_file(builder, dir, name, path)?), None)
    } else {
        return Err(LayerError::new(path, "neither a file, a directory nor a symbolic link"));
    };
    let mtime = if builder.limits.keep_mtime { mtime_of(&metadata) } else { 0 };
    let mode = mode_of(&metadata, name);
    builder.add(LayerEntry { path: path.to_owned(), kind, mode, uid: 0, gid: 0, mtime })?;
    Ok(child)
}

/// Reads a file that may grow or change its kind meanwhile: never more than the layer has room for, and never blocking.
fn read_file(builder: &LayerBuilder, dir: &Dir, name: &str, path: &str) -> Result<Bytes, LayerError> {
    let failed = |error: std::io::Error| LayerError::new(path, error.to_string());
    let mut options = OpenOptions::new();
    options.read(true).follow(FollowSymlinks::No).nonblock(true);
    let file = dir.open_with(name, &options).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(LayerError::new(path, "changed while it was read"));
    }
    let mut content = Vec::new();
    file.take(builder.bytes_left().saturating_add(1)).read_to_end(&mut content).map_err(failed)?;
    Ok(Bytes::from(content))
}

fn mtime_of(metadata: &Metadata) -> u64 {
    let since = metadata.modified().ok().and_then(|time| time.into_std().duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(unix)]
fn mode_of(metadata: &Metadata, _name: &str) -> u32 {
    use cap_std::fs::PermissionsExt as _;
    metadata.permissions().mode()
}

/// Windows has no execute bits: directories and programs get them.
#[cfg(not(unix))]
fn mode_of(metadata: &Metadata, name: &str) -> u32 {
    if metadata.is_symlink() {
        0o777
    } else if metadata.is_dir() || name.to_ascii_lowercase().ends_with(".wasm") {
        0o755
    } else {
        0o644
    }
}
