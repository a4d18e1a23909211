//! Compiled programs on disk: `<key>.cwasm` beside `<key>.sum`, where the key is the hash of the program, of the configuration and of
//! wasmtime's version. A file is used only if its hash is the one written beside it; anything else is compiled again.
//!
//! This is the only module with `unsafe` code: loading machine code is trusting it. What is trusted: the directory is private to the
//! user (0700 on Unix; below the user's profile on Windows), its files are written by us alone, and each is checked for damage
//! through the same open file that is mapped. Who can write there can run code as the user already.
#![expect(unsafe_code, reason = "machine code that we wrote ourselves is mapped into memory; see the module's text")]

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Module;
use wasmtime::component::Component;

/// The most programs that are kept; the least recently written go first. 512 programs of 3 MiB are 1.5 GiB.
const MAX_ENTRIES: usize = 512;

pub(crate) struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// Opens the cache, making its directory if it is absent.
    pub(crate) fn open(dir: &Path) -> std::io::Result<Self> {
        create_private_dir(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// The compiled module, if a sound one is there.
    pub(crate) fn module(&self, engine: &wasmtime::Engine, key: &str) -> Option<Module> {
        let file = self.sound_file(key)?;
        // SAFETY: the file's content is what we wrote (module text); wasmtime checks its own version and settings.
        report(key, unsafe { Module::deserialize_open_file(engine, file) })
    }

    /// The compiled component, if a sound one is there.
    pub(crate) fn component(&self, engine: &wasmtime::Engine, key: &str) -> Option<Component> {
        let mut file = self.sound_file(key)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        // SAFETY: as above.
        report(key, unsafe { Component::deserialize(engine, &bytes) })
    }

    /// Keeps a compiled program. Failing to is not an error of the run: it is compiled again next time.
    pub(crate) fn store(&self, key: &str, compiled: &[u8]) {
        let sum = hex::encode(Sha256::digest(compiled));
        let written = self
            .replace(&self.path(key, "cwasm"), compiled)
            .and_then(|()| self.replace(&self.path(key, "sum"), sum.as_bytes()));
        if let Err(error) = written {
            tracing::warn!(%error, dir = %self.dir.display(), "a compiled program could not be kept");
        }
        self.prune();
    }

    fn path(&self, key: &str, extension: &str) -> PathBuf {
        self.dir.join(format!("{key}.{extension}"))
    }

    /// The open file of an entry whose content has the hash that was written beside it, rewound.
    fn sound_file(&self, key: &str) -> Option<File> {
        let wanted = std::fs::read_to_string(self.path(key, "sum")).ok()?;
        let mut file = File::open(self.path(key, "cwasm")).ok()?;
        let mut hasher = Sha256::new();
        std::io::copy(&mut file, &mut hasher).ok()?;
        if hex::encode(hasher.finalize()) != wanted.trim() {
            tracing::warn!(key, "a compiled program on disk is damaged; it is compiled again");
            return None;
        }
        std::io::Seek::rewind(&mut file).ok()?;
        Some(file)
    }

    /// Writes a whole file, or nothing: other processes see the old content or the new one.
    fn replace(&self, path: &Path, content: &[u8]) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(content)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    fn prune(&self) {
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return };
        let mut found: Vec<_> = entries
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "cwasm"))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        if found.len() <= MAX_ENTRIES {
            return;
        }
        found.sort();
        for (_, path) in &found[..found.len() - MAX_ENTRIES] {
            let _ = std::fs::remove_file(path.with_extension("sum"));
            let _ = std::fs::remove_file(path);
        }
    }
}

fn report<T>(key: &str, loaded: wasmtime::Result<T>) -> Option<T> {
    loaded
        .inspect_err(
            |error| tracing::debug!(key, %error, "a compiled program on disk does not fit; it is compiled again"),
        )
        .ok()
}

#[cfg(unix)]
fn create_private_dir(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // an older or foreign directory may be open to others
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
}

#[cfg(not(unix))]
fn create_private_dir(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir) // below the user's profile, which others cannot read
}
