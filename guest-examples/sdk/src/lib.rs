//! What a program in a pod of wasmpod can ask of it beyond WASI. One API for both WASIs: it is a core module's imports on
//! wasm32-wasip1, and the packages of `specs/wit` on wasm32-wasip2.
//!
//! - [`process`]: processes and signals.
//! - [`Error`]: why a call failed, by the names of errno(3).
//! - [`ipc`]: message queues, semaphores and shared memory of the pod.
//! - [`poll`]: waiting for several things at once.
//!
//! Nothing here works outside of wasmpod: another runtime refuses a program that imports these calls.

#![cfg(target_os = "wasi")]

mod error;
pub mod ipc;
pub mod poll;
pub mod process;

#[cfg(target_env = "p1")]
#[path = "p1/mod.rs"]
mod sys;
#[cfg(target_env = "p2")]
#[path = "p2/mod.rs"]
mod sys;

pub use error::{Error, Result};
