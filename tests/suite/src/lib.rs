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

/// A file as text.
///
/// # Panics
/// It cannot be read.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
