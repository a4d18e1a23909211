//! What each fuzz target does with its input: build something hostile of the bytes, run it against the code under test and a model
//! of it, and panic where they disagree. Owns no fuzzer: `tests/fuzz` hands these bodies to libFuzzer, and the tests of this
//! package run each of them over the seeds and over a few hundred inputs of a seeded generator.
//!
//! A map of the code:
//! - [`manifest`]: bytes to `api::decode`; what is valid stays what it is when it is written and read again.
//! - [`quantity`]: texts and sums of quantities against schoolbook arithmetic on decimal digits.
//! - [`vfs`]: calls with paths against a model of a tree with links and mounts.
//! - [`net`]: socket calls in three pods over links that change.
//! - `p1`, with feature `wasm`: system calls of core modules with any arguments.
//! - `load`, with feature `wasm`: any bytes and random modules as programs.
//! - [`generate`]: inputs without a fuzzer.
//!
//! A body takes any bytes, is deterministic, and ends within a moment.
#![forbid(unsafe_code)]

pub mod generate;
#[cfg(feature = "wasm")]
pub mod load;
pub mod manifest;
pub mod net;
#[cfg(feature = "wasm")]
pub mod p1;
pub mod quantity;
pub mod vfs;

/// One fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: that of the binary in `tests/fuzz`, and of its folder in `tests/fuzz/seeds`.
    pub name: &'static str,
    /// What it does with an input. It panics if the input shows a bug.
    pub run: fn(&[u8]),
    /// Whether its inputs are texts (and not choices for a generator), so that random inputs are best made of seeds.
    pub text: bool,
    /// How many generated inputs the ordinary tests give it: what takes a second or two.
    pub generated: u32,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "manifest", run: manifest::run, text: true, generated: 300 },
    Target { name: "quantity", run: quantity::run, text: false, generated: 5000 },
    Target { name: "vfs", run: vfs::run, text: false, generated: 1500 },
    Target { name: "net", run: net::run, text: false, generated: 200 },
    #[cfg(feature = "wasm")]
    Target { name: "p1", run: p1::run, text: false, generated: 300 },
    #[cfg(feature = "wasm")]
    Target { name: "load", run: load::run, text: false, generated: 300 },
];
