//! What a program in a pod of wasmpod can ask of it beyond WASI. One API for both WASIs: it is a core module's imports on
//! wasm32-wasip1, and the packages of `specs/wit` on wasm32-wasip2.
//!
//! - [`Error`]: why a call failed, by the names of errno(3).
//!
//! Nothing here works outside of wasmpod: another runtime refuses a program that imports these calls.

mod error;

pub use error::{Error, Result};

#[cfg(all(target_os = "wasi", target_env = "p2"))]
mod p2;
