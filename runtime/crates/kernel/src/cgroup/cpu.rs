//! The CPU controller as its users see it: [`CpuClient`] asks for a CPU, holds it for a slice and gives it back. Fuel is the
//! currency: one CPU is worth `fuel_per_cpu_second`. Owns the lock around the scheduler and calls the wakers outside of it.
//!
//! ```text
//!            poll_acquire: Run            release, nobody waits; or used less than granted
//!   Idle ───────────────────────► Running ─────────────────────────────────────────────► Idle
//!    │ poll_acquire: Queued          ▲  └── release of a used-up slice while others wait ──┐
//!    ▼                               │                                                      │
//!   Queued ── least vruntime ──► Granted (waker called; next poll_acquire runs)             │
//!    ▲                                                                                      │
//!    └──────────────────────────────────────────────────────────────────────────────────────┘
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use wasmpod_sim::{Clock, Instant, Sleep};

use super::sched::{ClientId, Decision, GroupId, Sched};
use super::{Cgroup, Limits, RootConfig, kubernetes};

/// The period of `cpu.max`.
pub const CPU_PERIOD: Duration = Duration::from_nanos(super::bandwidth::PERIOD_NANOS);
/// The longest a client runs before it must ask again, as time of one CPU. The kernel's `sched_cfs_bandwidth_slice_us` is the same.
pub const CPU_SLICE: Duration = Duration::from_millis(5);
/// The least fuel that is granted, as time of one CPU: less is not worth the switch. What the quota lacks for it becomes debt.
pub const CPU_MIN_SLICE: Duration = Duration::from_micros(20);

/// The answer to [`CpuClient::poll_acquire`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuDecision {
    /// A CPU is held until [`CpuClient::release`].
    Run {
        /// The most fuel to use before that. More is debt.
        fuel: u64,
    },
    /// The quota is used up. Ask again at `until`, or when woken, because the limit was changed ([`CpuClient::acquire`] does both).
    Throttled {
        /// The start of the period in which there is quota again.
        until: Instant,
    },
    /// All CPUs are busy. The task is woken when it is its turn.
    Queued,
}

/// The numbers of `cpu.stat`; `bandwidth` defines them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuStats {
    /// CPU time used here and below, in microseconds.
    pub usage_usec: u64,
    /// Periods with a limit and something runnable.
    pub nr_periods: u64,
    /// Periods at whose end the cgroup was throttled.
    pub nr_throttled: u64,
    /// Time for which it was.
    pub throttled_usec: u64,
}

/// The CPUs of a tree of cgroups.
pub(super) struct Cpu {
    clock: Clock,
    fuel_per_second: u64,
    sched: Mutex<Sched>,
}

impl Cpu {
    pub(super) fn new(config: RootConfig, clock: Clock) -> (Arc<Self>, GroupId) {
        let fuel_per_second = config.fuel_per_cpu_second.max(1);
        let slice = fuel_of(CPU_SLICE, fuel_per_second).max(1);
        let min_slice = fuel_of(CPU_MIN_SLICE, fuel_per_second).max(1);
        let (sched, root) = Sched::new(config.cpus.max(1), slice, min_slice);
        (Arc::new(Self { clock, fuel_per_second, sched: Mutex::new(sched) }), root)
    }

    pub(super) fn add_group(&self, parent: GroupId, limits: &Limits) -> GroupId {
        let quota = self.quota_fuel(limits);
        self.sched.lock().add_group(parent, limits.cpu_weight, quota, self.clock.now())
    }

    pub(super) fn remove_group(&self, group: GroupId) {
        self.sched.lock().remove_group(group);
    }

    pub(super) fn set_limits(&self, group: GroupId, limits: &Limits) {
        let quota = self.quota_fuel(limits);
        self.locked(|sched| sched.set_limits(group, limits.cpu_weight, quota, self.clock.now()));
    }

    /// Fuel per period.
    fn quota_fuel(&self, limits: &Limits) -> Option<u64> {
        let usec = limits.cpu_quota_millis.and_then(kubernetes::milli_cpu_to_quota)?;
        let fuel = u128::from(usec) * u128::from(self.fuel_per_second) / 1_000_000;
        Some(u64::try_from(fuel).unwrap_or(u64::MAX).max(1))
    }

    /// Runs `change` under the lock and calls the wakers that it leaves, without the lock.
    fn locked<T>(&self, change: impl FnOnce(&mut Sched) -> T) -> T {
        let (result, afterwards) = {
            let mut sched = self.sched.lock();
            let result = change(&mut sched);
            (result, sched.afterwards())
        };
        afterwards.wake.into_iter().for_each(Waker::wake);
        result
    }
}

fn fuel_of(time: Duration, fuel_per_second: u64) -> u64 {
    u64::try_from(time.as_nanos() * u128::from(fuel_per_second) / 1_000_000_000).unwrap_or(u64::MAX)
}

impl Cgroup {
    /// Makes a runnable of this cgroup; one per process that computes.
    pub fn cpu_client(self: &Arc<Self>) -> CpuClient {
        let id = self.cpu.sched.lock().add_client(self.group);
        CpuClient { cgroup: self.clone(), id, look_again: None }
    }

    /// CPU counters of this cgroup and all below, as of now.
    pub fn cpu_stats(&self) -> CpuStats {
        let now = self.cpu.clock.now();
        let (usage, stats) = self.cpu.sched.lock().stats(self.group, now);
        let usage_usec = u128::from(usage) * 1_000_000 / u128::from(self.cpu.fuel_per_second);
        CpuStats { usage_usec: u64::try_from(usage_usec).unwrap_or(u64::MAX), ..stats }
    }

    /// CPU used here and below, in fuel.
    pub fn cpu_usage_fuel(&self) -> u64 {
        self.cpu.sched.lock().usage(self.group)
    }

    /// What one CPU does in a second, in fuel.
    pub fn fuel_per_cpu_second(&self) -> u64 {
        self.cpu.fuel_per_second
    }
}

/// Something of a cgroup that computes. Dropping it gives back what it holds and leaves the queue.
pub struct CpuClient {
    cgroup: Arc<Cgroup>,
    id: ClientId,
    /// Wakes the task while it watches over a CPU that is kept for another (see `sched`).
    look_again: Option<Sleep>,
}

impl CpuClient {
    /// Asks for a CPU. `now` must not go back between calls. Who was told to wait and is woken asks again, or gives its turn up by
    /// [`CpuClient::park`] or by being dropped: until then the CPU is kept for it.
    pub fn poll_acquire(&mut self, cx: &mut Context<'_>, now: Instant) -> CpuDecision {
        match self.cgroup.cpu.locked(|sched| sched.acquire(self.id, cx.waker(), now)) {
            Decision::Run { fuel } => {
                self.look_again = None;
                CpuDecision::Run { fuel }
            }
            Decision::Throttled { until } => {
                self.look_again = None;
                CpuDecision::Throttled { until }
            }
            Decision::Queued { look_again } => {
                self.look_again = look_again.map(|at| self.cgroup.cpu.clock.sleep_until(at));
                if let Some(sleep) = &mut self.look_again
                    && Pin::new(sleep).poll(cx).is_ready()
                {
                    cx.waker().wake_by_ref();
                }
                CpuDecision::Queued
            }
        }
    }

    /// Gives the CPU back and charges `used_fuel` here and in every cgroup above. Without a CPU it only charges.
    ///
    /// A client that has used up its slice while others wait is taken to want more: it competes for the next slice at once, as a
    /// task that is preempted does on Linux, and should ask again soon. If it does not within a millisecond, or at once after
    /// [`CpuClient::park`], others have its turn.
    pub fn release(&mut self, used_fuel: u64, now: Instant) {
        self.cgroup.cpu.locked(|sched| sched.release(self.id, used_fuel, now));
    }

    /// [`CpuClient::release`] and [`CpuClient::park`] at once: the guest waits for something else than a CPU.
    pub fn release_and_park(&mut self, used_fuel: u64, now: Instant) {
        self.cgroup.cpu.locked(|sched| sched.release_and_park(self.id, used_fuel, now));
    }

    /// [`CpuClient::poll_acquire`] at the time of the clock, which is read only if it matters.
    pub fn poll_acquire_now(&mut self, cx: &mut Context<'_>) -> CpuDecision {
        let resumed = self.cgroup.cpu.sched.lock().try_resume(self.id);
        match resumed {
            Some(fuel) => CpuDecision::Run { fuel },
            None => {
                let now = self.cgroup.cpu.clock.now();
                self.poll_acquire(cx, now)
            }
        }
    }

    /// [`CpuClient::release_and_park`] at the time of the clock, which is read only if it matters.
    pub fn release_and_park_now(&mut self, used_fuel: u64) {
        let parked = self.cgroup.cpu.sched.lock().try_park(self.id, used_fuel);
        if !parked {
            let now = self.cgroup.cpu.clock.now();
            self.release_and_park(used_fuel, now);
        }
    }

    /// Leaves the queue and gives up a turn that was granted and not taken, because the guest waits for something else.
    pub fn park(&mut self, now: Instant) {
        self.cgroup.cpu.locked(|sched| sched.park(self.id, now));
    }

    /// Waits until a CPU is held, through throttling and queueing, and returns the fuel of the slice. Dropped before that, it
    /// gives up its turn.
    pub fn acquire(&mut self) -> Acquire<'_> {
        Acquire { client: self, sleep: None, asked: false }
    }

    /// What it belongs to.
    pub fn cgroup(&self) -> &Arc<Cgroup> {
        &self.cgroup
    }
}

impl Drop for CpuClient {
    fn drop(&mut self) {
        let now = self.cgroup.cpu.clock.now();
        self.cgroup.cpu.locked(|sched| sched.remove_client(self.id, now));
    }
}

impl std::fmt::Debug for CpuClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CpuClient").field("cgroup", &self.cgroup.path()).finish()
    }
}

/// Waits for a CPU; made by [`CpuClient::acquire`].
#[must_use = "nothing is acquired until it is polled"]
pub struct Acquire<'a> {
    client: &'a mut CpuClient,
    sleep: Option<(Instant, Sleep)>,
    /// It was told to wait.
    asked: bool,
}

impl Future for Acquire<'_> {
    type Output = u64;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u64> {
        let this = self.get_mut();
        loop {
            let clock = this.client.cgroup.cpu.clock.clone();
            match this.client.poll_acquire(cx, clock.now()) {
                CpuDecision::Run { fuel } => {
                    this.asked = false;
                    return Poll::Ready(fuel);
                }
                CpuDecision::Queued => {
                    this.asked = true;
                    this.sleep = None;
                    return Poll::Pending;
                }
                CpuDecision::Throttled { until } => {
                    this.asked = true;
                    let sleep = match &mut this.sleep {
                        Some((deadline, sleep)) if *deadline == until => sleep,
                        other => &mut other.insert((until, clock.sleep_until(until))).1,
                    };
                    if Pin::new(sleep).poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    this.sleep = None;
                }
            }
        }
    }
}

impl Drop for Acquire<'_> {
    fn drop(&mut self) {
        if self.asked {
            let now = self.client.cgroup.cpu.clock.now();
            self.client.park(now);
        }
    }
}

impl std::fmt::Debug for Acquire<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acquire").field("client", &self.client).finish()
    }
}
