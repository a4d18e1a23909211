//! Images: a `.wasm` file, or a directory that becomes the root filesystem. Owns reading and hashing them; what the programs in them
//! mean is [`crate::exec`]'s. Registries and the image store come later.
//!
//! A directory is read whole when it is loaded: a container never looks at the host's directory again, and a change of it does not
//! reach a running pod.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmpod_engine::config::MAX_PROGRAM_BYTES;
use wasmpod_kernel::mntns::{Layer, LayerEntry, LayerEntryKind, LayerLimits};

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageSource {
    /// One program; it becomes `/<file name>` and the entry point.
    WasmFile(PathBuf),
    /// A directory; the manifest's `command` names the program in it.
    Directory(PathBuf),
}

impl ImageSource {
    /// The path on the host.
    pub fn path(&self) -> &Path {
        match self {
            Self::WasmFile(path) | Self::Directory(path) => path,
        }
    }
}

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It cannot be read.
    #[error("failed to read image {path}: {source}")]
    Read {
        /// The image.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It has more than the size cap.
    #[error("image {path} has more than {max} bytes")]
    TooBig {
        /// The image.
        path: String,
        /// The cap.
        max: usize,
    },
    /// Its tree cannot be a root filesystem.
    #[error("image {path} cannot be a root filesystem: {reason}")]
    Layer {
        /// The image.
        path: String,
        /// Why.
        reason: String,
    },
}

/// An image that is ready to be a container's root.
#[derive(Debug)]
pub struct Image {
    /// What the manifest calls it.
    pub reference: String,
    /// `sha256:<digest>` of its content.
    pub id: String,
    /// Its layers, lowest first.
    pub layers: Vec<Arc<Layer>>,
    /// The program to run when the manifest names none, as a path in the root filesystem.
    pub entrypoint: Option<String>,
}

impl Image {
    /// Reads an image. Blocks on the host's file system.
    ///
    /// # Errors
    /// [`ImageError`] says what is wrong with it.
    pub fn load(source: &ImageSource, reference: &str) -> Result<Self, ImageError> {
        match source {
            ImageSource::WasmFile(path) => Self::load_file(path, reference),
            ImageSource::Directory(path) => Self::load_directory(path, reference),
        }
    }

    fn load_file(path: &Path, reference: &str) -> Result<Self, ImageError> {
        let shown = path.display().to_string();
        let read = |source| ImageError::Read { path: shown.clone(), source };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(read)?;
        file.take(MAX_PROGRAM_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(read)?;
        if bytes.len() > MAX_PROGRAM_BYTES {
            return Err(ImageError::TooBig { path: shown, max: MAX_PROGRAM_BYTES });
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("program.wasm").to_owned();
        let id = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        let entry = LayerEntry {
            path: name.clone(),
            kind: LayerEntryKind::File(bytes.into()),
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: 0,
        };
        let layer = Layer::from_entries([entry], &LayerLimits::default())
            .map_err(|error| ImageError::Layer { path: shown, reason: error.to_string() })?;
        Ok(Self { reference: reference.to_owned(), id, layers: vec![layer], entrypoint: Some(format!("/{name}")) })
    }

    fn load_directory(path: &Path, reference: &str) -> Result<Self, ImageError> {
        let shown = path.display().to_string();
        let dir = cap_std::fs::Dir::open_ambient_dir(path, cap_std::ambient_authority())
            .map_err(|source| ImageError::Read { path: shown.clone(), source })?;
        let layer = Layer::from_host_dir(&dir, &LayerLimits::default())
            .map_err(|error| ImageError::Layer { path: shown, reason: error.to_string() })?;
        let mut hasher = Sha256::new();
        layer.encode(|piece| hasher.update(piece));
        let id = format!("sha256:{}", hex::encode(hasher.finalize()));
        Ok(Self { reference: reference.to_owned(), id, layers: vec![layer], entrypoint: None })
    }
}
