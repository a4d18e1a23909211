//! The tests, one file per subject; `wasmpod_suite` has what they share.

mod abuse;
mod cli;
mod cpu;
mod determinism;
mod docs;
mod exits;
mod faults;
mod host;
mod inspect;
mod invalid;
mod ipc;
mod isolation;
mod layout;
mod net;
mod pods;
mod processes;
#[cfg(unix)]
mod signals;
mod third_party;
mod wasi;
