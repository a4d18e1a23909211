//! The system-call surface: WASI preview 1 and preview 2 over the simulated kernel. Every interface is linked by itself and backed by
//! [`wasmpod_kernel`]; no host socket, file, clock or random source can be reached through it, not even by omission.
//!
//! A map of the code:
//! - [`Ctx`]: what one process' system calls work on; the engine keeps it in the store.
//! - [`p1`]: `wasi_snapshot_preview1`, for core modules.
//! - [`p2`]: `wasi:cli/command` 0.2.x, for components.
//! - [`preopen`]: the directories and sockets that a program is handed at start.
//!
//! It owns no scheduling, no fuel and no memory limit: that is `engine`.
#![forbid(unsafe_code)]

pub mod p1;
pub mod p2;
pub mod preopen;

use std::sync::Arc;

use wasmpod_kernel::process::Process;
use wasmpod_kernel::signal::{Control, Sender, Signal, SignalInfo};

/// The most that one read or receive hands to a guest, so that a guest cannot size a host buffer: a read may be short, and
/// 64 KiB is what a pipe holds.
pub const MAX_READ: usize = 64 * 1024;
/// The most random bytes of one call (`getrandom` of larger requests is an error of the program, not a host allocation).
pub const MAX_RANDOM: u64 = 1024 * 1024;
/// The most handles of one component (`ResourceTable` capacity): streams, pollables, sockets, descriptors.
pub const MAX_HANDLES: usize = 16 * 1024;

/// The program asked to end. Raised as an error through the wasm stack and found again by the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the program exited with code {0}")]
pub struct ProcExit(pub u32);

/// A signal that the program sent itself ends it. Raised and found again as [`ProcExit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the program was ended by {0}")]
pub struct SignalExit(pub Signal);

/// Sends `process` the SIGPIPE of a write that nobody reads.
///
/// # Errors
/// [`SignalExit`] if that ends it.
pub(crate) fn raise_sigpipe(process: &Process) -> Result<(), SignalExit> {
    process.signal(SignalInfo { signal: Signal::Pipe, sender: Sender::Kernel });
    still_runs(process)
}

/// # Errors
/// [`SignalExit`] if a signal has ended the process: what it called does not return.
pub(crate) fn still_runs(process: &Process) -> Result<(), SignalExit> {
    match process.signals().control() {
        Control::Ended(signal) => Err(SignalExit(signal)),
        Control::Run | Control::Stopped => Ok(()),
    }
}

/// What the system calls of one process work on.
pub struct Ctx {
    /// The process.
    pub process: Arc<Process>,
    /// A component's handles.
    pub table: wasmtime::component::ResourceTable,
    /// Variables added to the environment that the process was made with (LISTEN_FDS and its like).
    pub extra_env: Vec<(String, String)>,
    /// What `wasi:random/insecure-seed` said.
    insecure_seed: Option<(u64, u64)>,
    /// Fuel owed for work done by the host on the guest's behalf; the engine takes it at the end of a slice.
    host_fuel: u64,
}

impl Ctx {
    /// The context of `process`.
    pub fn new(process: Arc<Process>) -> Self {
        let mut table = wasmtime::component::ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        Self { process, table, extra_env: Vec::new(), insecure_seed: None, host_fuel: 0 }
    }

    /// Charges the guest for `fuel` units of host work, so that a system call is never free.
    pub fn charge(&mut self, fuel: u64) {
        self.host_fuel = self.host_fuel.saturating_add(fuel);
    }

    /// Takes what is owed.
    pub fn take_host_fuel(&mut self) -> u64 {
        std::mem::take(&mut self.host_fuel)
    }
}

/// A store's data that holds a [`Ctx`].
pub trait HasCtx: Send + 'static {
    /// The context.
    fn ctx(&mut self) -> &mut Ctx;
}
