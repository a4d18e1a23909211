//! What the project does with itself: building guests, getting the toolchain for that, running every check.
//!
//! - [`guests`]: the table of guests, what each is built from, and whether `guest-examples/dist` agrees; needs no toolchain
//! - [`toolchain`]: finding or making a compiler for WASI
//! - [`build`]: guests from source into dist
//! - [`coreutils`]: a third-party program for the tests, built once into `target/third-party`
//! - [`wasi_testsuite`]: foreign WASI tests, through `wasmpod play`
//! - [`run`]: child processes, loudly
//!
//! It is a library too, so that the test suite asks the same questions as `cargo xtask`. It knows nothing of wasmpod but its command line.
#![forbid(unsafe_code)]

pub mod build;
pub mod coreutils;
pub mod fuzz;
pub mod guests;
pub mod run;
pub mod toolchain;
pub mod wasi_testsuite;

use std::path::{Path, PathBuf};

/// The root of the checkout this was built from.
#[must_use]
pub fn root() -> PathBuf {
    // .../tests/xtask, two levels up; the test tool runs where it was built
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}
