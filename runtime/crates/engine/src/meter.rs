//! How much fuel a program has used. wasmtime keeps the count inside of the running call, where it cannot be read from outside; a call
//! hook copies it out at each border between program and host, and a yield between two borders is worth one quantum. Owns the
//! count; not the limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use wasmtime::{AsContextMut, CallHook, Store};

/// The store's fuel at start: never runs out; a limit is enforced by not polling.
const FUEL_START: u64 = u64::MAX;

/// Read by the run loop, written by the hook. The store is driven by one task at a time, so the order of these is the program's.
pub(crate) struct Meter {
    /// Fuel used by the program as of the last border, exact.
    exact: AtomicU64,
    /// Fuel used as of the last yield, at least.
    boundary: AtomicU64,
    /// Fuel charged by the host for system calls.
    host: AtomicU64,
    /// True while the program is in a system call, or not running.
    in_host: AtomicBool,
    quantum: u64,
}

impl Meter {
    pub(crate) fn new(quantum: u64) -> Arc<Self> {
        Arc::new(Self {
            exact: AtomicU64::new(0),
            boundary: AtomicU64::new(0),
            host: AtomicU64::new(0),
            in_host: AtomicBool::new(true),
            quantum: quantum.max(1),
        })
    }

    /// Makes `store` count into this meter and yield each quantum. `host_fuel` takes what system calls charged.
    pub(crate) fn install<T: 'static>(
        self: &Arc<Self>,
        store: &mut Store<T>,
        host_fuel: impl Fn(&mut T) -> u64 + Send + Sync + 'static,
    ) -> wasmtime::Result<()> {
        store.set_fuel(FUEL_START)?;
        store.fuel_async_yield_interval(Some(self.quantum))?;
        let meter = self.clone();
        store.call_hook(move |mut context, hook| {
            match hook {
                CallHook::CallingHost | CallHook::ReturningFromWasm => {
                    let used = FUEL_START - context.as_context_mut().get_fuel()?;
                    meter.exact.store(used, Ordering::Relaxed);
                    meter.in_host.store(true, Ordering::Relaxed);
                }
                CallHook::ReturningFromHost | CallHook::CallingWasm => {
                    let owed = host_fuel(context.data_mut());
                    if owed > 0 {
                        meter.host.fetch_add(owed, Ordering::Relaxed);
                    }
                    meter.in_host.store(false, Ordering::Relaxed);
                }
            }
            Ok(())
        });
        Ok(())
    }

    /// True if the program waits in a system call; false if it merely yielded.
    pub(crate) fn in_host(&self) -> bool {
        self.in_host.load(Ordering::Relaxed)
    }

    /// Notes that the program yielded between two borders: it used one more quantum since the last yield.
    pub(crate) fn yielded(&self) {
        let exact = self.exact.load(Ordering::Relaxed);
        let boundary = self.boundary.load(Ordering::Relaxed);
        // the hook may have seen more than the yields counted: an operator may overshoot the end of a quantum
        let floor = exact.saturating_sub(self.quantum).max(boundary);
        self.boundary.store(floor.saturating_add(self.quantum), Ordering::Relaxed);
    }

    /// Fuel used so far, the host's charges included.
    pub(crate) fn used(&self) -> u64 {
        let program = self.exact.load(Ordering::Relaxed).max(self.boundary.load(Ordering::Relaxed));
        program.saturating_add(self.host.load(Ordering::Relaxed))
    }
}
