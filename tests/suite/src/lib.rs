//! Tests of the whole: the binary `wasmpod` as a user runs it, and the rules that the sources keep.
//!
//! - [`binary`]: which `wasmpod` is tested
//! - [`play`]: one run of `wasmpod play`, with a limit on its time
//! - [`outcome`]: what a run printed, by container, and its journal
//! - [`manifest`]: pods for tests, in a few words
//!
//! The tests are in `tests/`, one file per subject.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

pub mod binary;
pub mod manifest;
pub mod outcome;
pub mod play;

/// The checkout.
pub fn root() -> PathBuf {
    xtask::root()
}

/// The built file of a guest.
///
/// # Panics
/// There is none.
pub fn guest(name: &str) -> PathBuf {
    let path = xtask::guests::wasm_path(&xtask::guests::folder(&root()), name);
    assert!(path.is_file(), "{} is not there: `cargo xtask guests` builds it", path.display());
    path
}

/// A manifest of `specs/pods`.
pub fn spec(name: &str) -> PathBuf {
    root().join("specs/pods").join(name)
}

/// Calls `each` with every file below a folder, in the order of their names. What is hidden or built is left out.
///
/// # Panics
/// A folder cannot be listed.
pub fn walk(folder: &Path, each: &mut dyn FnMut(&Path)) {
    let listed = std::fs::read_dir(folder).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut entries = listed.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            walk(&path, each);
        } else if path.is_file() {
            each(&path);
        }
    }
}

/// A file as text.
///
/// # Panics
/// It cannot be read.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
