//! The seam to the world: time, randomness, tasks and the journal. Nothing else in wasmpod reads a clock, draws a random
//! number or starts a thread (clippy's `disallowed-methods` enforces it), so one run can be repeated from a seed.
//!
//! A map of the code:
//! - [`Sim`]: the handle that everything is given; real or virtual, chosen once at start.
//! - [`time`]: [`Instant`], [`Clock`] and [`Sleep`].
//! - [`entropy`]: named random streams, so that one more draw in one place does not shift the others.
//! - [`task`]: [`TaskHandle`]: join, abort, and panics that end one task only.
//! - [`journal`]: one line per event; the record that two equal runs agree on.
//! - `virt`: the virtual backend: one thread, idle time skipped, the next task chosen by the seed.
//! - `real`: the real backend over tokio (feature `real`); `handoff`: tasks that wake each other stay on one thread.
//!
//! It does not know what a pod or a guest is.
#![forbid(unsafe_code)]

pub mod entropy;
#[cfg(feature = "real")]
mod handoff;
pub mod journal;
#[cfg(feature = "real")]
mod real;
pub mod task;
pub mod time;
mod virt;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use entropy::{Entropy, Stream};
pub use journal::Journal;
#[cfg(feature = "real")]
pub use real::{HostSignal, HostSignals};
pub use task::{TaskError, TaskHandle};
pub use time::{Clock, Elapsed, Instant, Sleep, UnixNanos};

/// How fast one virtual CPU runs when nothing else is said: fuel units per second. In virtual time compute costs
/// `fuel / speed`; the value is a constant because it must be the same on every machine.
pub const DEFAULT_FUEL_PER_SECOND: u64 = 1_000_000_000;

/// Lets those tasks run first that were woken on this thread and wait for it, as a process that looks for an answer it has just asked for is
/// preempted by the one that gives it. False, and at once, if there are none, and in virtual time, where the seed decides who runs.
pub async fn let_woken_run() -> bool {
    #[cfg(feature = "real")]
    {
        let mut stayed = false;
        std::future::poll_fn(|cx| {
            if stayed || !handoff::others_wait() {
                return std::task::Poll::Ready(stayed);
            }
            stayed = true;
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await
    }
    #[cfg(not(feature = "real"))]
    false
}

/// Why [`Sim::block_on`] gave up.
#[derive(Debug, thiserror::Error)]
pub enum BlockOnError {
    /// Virtual time only: no task can run and no timer is set, so nothing will ever happen again.
    #[error("deadlock at {at}: nothing is runnable and no timer is set; waiting tasks: {}", .waiting.join(", "))]
    Deadlock {
        /// The virtual time at which everything stopped.
        at: Instant,
        /// The names of the tasks that wait, in the order in which they were spawned.
        waiting: Vec<String>,
        /// What the caller's own report said while they still waited ([`Sim::block_on_or`]).
        report: Vec<String>,
    },
    /// The real backend could not be started.
    #[error("the runtime could not be started: {0}")]
    Start(#[from] std::io::Error),
}

/// The handle to time, randomness, tasks and the journal. Cheap to clone.
#[derive(Clone)]
pub struct Sim {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Backend,
    clock: Clock,
    entropy: Entropy,
    journal: Journal,
    /// Fuel per second of one virtual CPU; only virtual time uses it here.
    fuel_per_second: AtomicU64,
}

enum Backend {
    Virtual(Arc<virt::Core>),
    #[cfg(feature = "real")]
    Real(real::Runtime),
}

impl Sim {
    /// A virtual world: one thread, a clock that skips idle time, everything drawn from `seed`.
    pub fn new_virtual(seed: u64) -> Self {
        let core = virt::Core::new(&Entropy::from_seed(seed));
        let clock = Clock::virtual_clock(core.clone());
        Self::assemble(Backend::Virtual(core), clock, Entropy::from_seed(seed))
    }

    /// The real world: tokio's multi-threaded runtime and the host's clocks. `seed` fixes the random streams (order and
    /// time stay the host's); without one they come from the system. `workers` is the number of threads, at least 1.
    #[cfg(feature = "real")]
    pub fn new_real(seed: Option<u64>, workers: usize) -> Result<Self, BlockOnError> {
        let runtime = real::Runtime::new(workers)?;
        let entropy = match seed {
            Some(seed) => Entropy::from_seed(seed),
            None => Entropy::from_os(),
        };
        Ok(Self::assemble(Backend::Real(runtime), Clock::real_clock(), entropy))
    }

    fn assemble(backend: Backend, clock: Clock, entropy: Entropy) -> Self {
        let journal = Journal::new(clock.clone());
        let fuel_per_second = AtomicU64::new(DEFAULT_FUEL_PER_SECOND);
        Self { inner: Arc::new(Inner { backend, clock, entropy, journal, fuel_per_second }) }
    }

    /// True if time is virtual.
    pub fn is_virtual(&self) -> bool {
        matches!(self.inner.backend, Backend::Virtual(_))
    }

    /// The clock of this world.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The root of the random streams.
    pub fn entropy(&self) -> &Entropy {
        &self.inner.entropy
    }

    /// The order in which tasks ran so far: how often one was polled, and a hash over which and at what time. Two runs with the same
    /// numbers went through the same steps, whether the steps left a line in the journal or not. Nothing in real time.
    pub fn order(&self) -> Option<(u64, u64)> {
        match &self.inner.backend {
            Backend::Virtual(core) => Some(core.trace()),
            #[cfg(feature = "real")]
            Backend::Real(_) => None,
        }
    }

    /// The journal of this run.
    pub fn journal(&self) -> &Journal {
        &self.inner.journal
    }

    /// Sets what one virtual CPU is worth, in fuel per second; 0 is read as 1.
    pub fn set_fuel_per_second(&self, fuel_per_second: u64) {
        self.inner.fuel_per_second.store(fuel_per_second.max(1), Ordering::Relaxed);
    }

    /// What one virtual CPU is worth, in fuel per second.
    pub fn fuel_per_second(&self) -> u64 {
        self.inner.fuel_per_second.load(Ordering::Relaxed)
    }

    /// How long `fuel` units of compute take in virtual time: `fuel / speed`, rounded up to the nanosecond, so that time passes for a
    /// guest that computes little and often.
    pub fn compute_time(&self, fuel: u64) -> std::time::Duration {
        let nanos = (u128::from(fuel) * 1_000_000_000).div_ceil(u128::from(self.fuel_per_second()));
        std::time::Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Accounts for `fuel` units of compute that just happened: in virtual time, waits [`Sim::compute_time`]; in real time the
    /// host's clock has already moved, so this is ready at once.
    pub async fn compute(&self, fuel: u64) {
        if self.is_virtual() && fuel > 0 {
            self.clock().sleep(self.compute_time(fuel)).await;
        }
    }

    /// Starts a task. `name` is what a deadlock report and the journal call it. A panic in it ends that task only and is
    /// found in the handle. Dropping the handle lets the task run on.
    pub fn spawn<F>(&self, name: impl Into<String>, future: F) -> TaskHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (wrapped, handle) = task::wrap(future);
        match &self.inner.backend {
            Backend::Virtual(core) => core.spawn(name.into(), Box::pin(wrapped)),
            #[cfg(feature = "real")]
            Backend::Real(runtime) => runtime.spawn(wrapped),
        }
        handle
    }

    /// Runs `work`, which blocks or computes for long, away from the tasks. In virtual time it runs in place: it takes no
    /// virtual time, and the order of events cannot depend on the host's threads.
    pub async fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, TaskError> {
        match &self.inner.backend {
            Backend::Virtual(_) => std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
                .map_err(|payload| TaskError::panicked(&*payload)),
            #[cfg(feature = "real")]
            Backend::Real(runtime) => runtime.spawn_blocking(work).await,
        }
    }

    /// Runs `main` to its end on this thread, and everything it spawned beside it. Tasks that are left when `main` ends are
    /// dropped (virtual) or shut down in the background (real).
    ///
    /// # Errors
    /// [`BlockOnError::Deadlock`] in virtual time, if nothing can ever happen again.
    pub fn block_on<F: Future>(&self, main: F) -> Result<F::Output, BlockOnError> {
        self.block_on_or(main, &Vec::new)
    }

    /// [`Sim::block_on`]; in a deadlock `report` is asked for more, before the tasks that wait are dropped.
    ///
    /// # Errors
    /// As [`Sim::block_on`].
    pub fn block_on_or<F: Future>(&self, main: F, report: &dyn Fn() -> Vec<String>) -> Result<F::Output, BlockOnError> {
        match &self.inner.backend {
            Backend::Virtual(core) => core.block_on(main, report),
            #[cfg(feature = "real")]
            Backend::Real(runtime) => Ok(runtime.block_on(main)),
        }
    }

    /// Enters the real runtime, so that tokio's sockets can be made from this thread. Nothing in virtual time.
    #[cfg(feature = "real")]
    pub fn enter(&self) -> Option<tokio::runtime::EnterGuard<'_>> {
        match &self.inner.backend {
            Backend::Virtual(_) => None,
            Backend::Real(runtime) => Some(runtime.enter()),
        }
    }
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim").field("virtual", &self.is_virtual()).field("now", &self.clock().now()).finish()
    }
}
