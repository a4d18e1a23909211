//! Runs one WebAssembly program per process: compiles it, meters it in slices of fuel against the container's CPU cgroup, charges its
//! memory, and says how it ended in the words of Linux.
//!
//! A map of the code:
//! - [`config`]: every setting of wasmtime, each with its reason.
//! - [`Engine`] and [`Program`] (`program`): compile once, off the main threads, under a size cap and a deadline.
//! - `cache`: compiled programs on disk, addressed by content; the only module with `unsafe`.
//! - [`census`]: what costs too much to compile is refused before.
//! - `lanes`: how many programs are compiled at once, and those that nobody waits for any more.
//! - `limiter`: memories and tables charged to the memory cgroup; past the limit the program is killed, it never sees -1.
//! - `meter`: how much fuel was used, exactly.
//! - [`Running`] (`run`): slices, throttling, out-of-memory, kill.
//! - [`exit`]: traps and exits as exit statuses.
//! - `calibrate`: how fast this host runs fuel.
//!
//! It knows no manifest and no restart policy. Only this crate and `wasi` import wasmtime.

mod cache;
mod calibrate;
pub mod census;
pub mod config;
pub mod exit;
mod lanes;
mod limiter;
mod meter;
mod program;
mod run;

pub use config::EngineConfig;
pub use exit::{Exit, ExitReason};
pub use program::{Engine, EngineError, LoadError, Program, ProgramKind};
pub use run::{Killer, Running};
