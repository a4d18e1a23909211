//! The memory controller: `memory.max`, `memory.current`, `memory.peak` and `memory.events` (cgroup-v2.rst). Owns the counters
//! and the guards that hold charges; not the memory itself, and not the killing of a container that ran out of it.
//!
//! A charge counts in its own cgroup and in every one above it, or in none. Where Linux would look for a victim among all tasks
//! below the limit that was hit, the cgroup that asked is the victim here (`vm.oom_kill_allocating_task`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use super::Cgroup;
use crate::wait::WaitQueue;
use crate::{Errno, Result};

/// `memory.max` without a limit.
pub(super) const UNLIMITED: u64 = u64::MAX;

/// What `memory.events` counts. As in cgroup v2, an event below is counted in every cgroup above as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryEvents {
    /// How often usage was about to go over `memory.max`.
    pub max: u64,
    /// How often that could not be helped, so that the charge failed.
    pub oom: u64,
    /// How many processes were killed for it.
    pub oom_kill: u64,
}

/// The memory of one cgroup and all below it, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryStats {
    /// `memory.current`.
    pub current: u64,
    /// `memory.peak`: the highest `current` so far.
    pub peak: u64,
    /// `memory.max`; `None` is no limit.
    pub max: Option<u64>,
    /// `memory.events`.
    pub events: MemoryEvents,
}

#[derive(Debug)]
pub(super) struct Memory {
    current: AtomicU64,
    peak: AtomicU64,
    max: AtomicU64,
    events_max: AtomicU64,
    events_oom: AtomicU64,
    events_oom_kill: AtomicU64,
    /// This cgroup ran out of memory and has not been acted upon.
    oom: AtomicBool,
    oom_waiters: WaitQueue,
}

impl Memory {
    pub(super) fn new(max: Option<u64>) -> Self {
        Self {
            current: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            max: AtomicU64::new(max.unwrap_or(UNLIMITED)),
            events_max: AtomicU64::new(0),
            events_oom: AtomicU64::new(0),
            events_oom_kill: AtomicU64::new(0),
            oom: AtomicBool::new(false),
            oom_waiters: WaitQueue::new(),
        }
    }

    pub(super) fn set_max(&self, max: Option<u64>) {
        self.max.store(max.unwrap_or(UNLIMITED), Ordering::Release);
    }

    pub(super) fn current(&self) -> u64 {
        self.current.load(Ordering::Acquire)
    }

    pub(super) fn is_over(&self) -> bool {
        self.current() > self.max.load(Ordering::Acquire)
    }

    /// Adds `bytes` if that stays within the limit.
    fn try_add(&self, bytes: u64) -> bool {
        let max = self.max.load(Ordering::Acquire);
        self.current
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |current| {
                current.checked_add(bytes).filter(|&sum| sum <= max)
            })
            .is_ok()
    }

    fn subtract(&self, bytes: u64) {
        let update = |current: u64| {
            debug_assert!(current >= bytes, "more memory is given back ({bytes}) than was charged ({current})");
            Some(current.saturating_sub(bytes))
        };
        // the closure always answers, so this cannot fail
        let _ = self.current.fetch_update(Ordering::AcqRel, Ordering::Acquire, update);
    }

    fn raise_oom(&self) {
        self.oom.store(true, Ordering::Release);
        self.oom_waiters.wake_all();
    }
}

impl Cgroup {
    /// Charges `bytes` here and in every cgroup above; the charge lasts as long as the guard. Zero bytes always succeed.
    ///
    /// # Errors
    /// [`Errno::NoMem`] if a `memory.max` on the way up would be exceeded. Then nothing is charged, the events of the cgroup with
    /// that limit and of all above it are counted, and this cgroup has an OOM to act on ([`Cgroup::oom_poll`]).
    pub fn charge(self: &Arc<Self>, bytes: u64) -> Result<Charge> {
        let mut charge = Charge { cgroup: self.clone(), bytes: 0 };
        charge.grow(bytes)?;
        Ok(charge)
    }

    /// As [`Cgroup::charge`], but a failure is the caller's to handle: it counts as `max` in the events and is no OOM. For
    /// buffers that a system call may refuse with ENOBUFS or ENOMEM.
    ///
    /// # Errors
    /// [`Errno::NoMem`] if a `memory.max` on the way up would be exceeded.
    pub fn try_charge(self: &Arc<Self>, bytes: u64) -> Result<Charge> {
        let mut charge = Charge { cgroup: self.clone(), bytes: 0 };
        charge.try_grow(bytes)?;
        Ok(charge)
    }

    /// Memory counters of this cgroup and all below.
    pub fn memory_stats(&self) -> MemoryStats {
        let memory = &self.memory;
        let max = memory.max.load(Ordering::Acquire);
        MemoryStats {
            current: memory.current(),
            peak: memory.peak.load(Ordering::Acquire),
            max: (max != UNLIMITED).then_some(max),
            events: MemoryEvents {
                max: memory.events_max.load(Ordering::Relaxed),
                oom: memory.events_oom.load(Ordering::Relaxed),
                oom_kill: memory.events_oom_kill.load(Ordering::Relaxed),
            },
        }
    }

    /// Ready while this cgroup has run out of memory and [`Cgroup::note_oom_kill`] has not been called for it; otherwise the task
    /// of `cx` is woken when it has.
    pub fn oom_poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_oom() {
            return Poll::Ready(());
        }
        self.memory.oom_waiters.register(cx);
        // raised between the check and the registration
        if self.is_oom() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// True while this cgroup has an OOM to act on.
    pub fn is_oom(&self) -> bool {
        self.memory.oom.load(Ordering::Acquire)
    }

    /// Records that a process of this cgroup was killed for its OOM, which is dealt with by that.
    pub fn note_oom_kill(&self) {
        self.memory.oom.store(false, Ordering::Release);
        for cgroup in self.path_up() {
            cgroup.memory.events_oom_kill.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an OOM at this cgroup's limit and gives it to `victim`.
    pub(super) fn out_of_memory(&self, victim: &Cgroup) {
        for cgroup in self.path_up() {
            cgroup.memory.events_oom.fetch_add(1, Ordering::Relaxed);
        }
        victim.memory.raise_oom();
    }

    /// Charges the whole way up. On failure, the cgroup whose limit is in the way, with nothing charged.
    fn charge_path(&self, bytes: u64) -> std::result::Result<(), &Cgroup> {
        for limiting in self.path_up() {
            if limiting.memory.try_add(bytes) {
                continue;
            }
            for charged in self.path_up().take_while(|cgroup| !std::ptr::eq(*cgroup, limiting)) {
                charged.memory.subtract(bytes);
            }
            for cgroup in limiting.path_up() {
                cgroup.memory.events_max.fetch_add(1, Ordering::Relaxed);
            }
            return Err(limiting);
        }
        for cgroup in self.path_up() {
            // includes these bytes, which nobody can have given back yet
            let current = cgroup.memory.current();
            if current > cgroup.memory.peak.load(Ordering::Relaxed) {
                cgroup.memory.peak.fetch_max(current, Ordering::AcqRel);
            }
        }
        Ok(())
    }
}

/// Memory charged to a cgroup, given back when dropped. It keeps its cgroup alive.
#[derive(Debug)]
#[must_use = "the memory is given back when the charge is dropped"]
pub struct Charge {
    cgroup: Arc<Cgroup>,
    bytes: u64,
}

impl Charge {
    /// How much is charged.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is charged.
    pub fn cgroup(&self) -> &Arc<Cgroup> {
        &self.cgroup
    }

    /// Charges `more` bytes.
    ///
    /// # Errors
    /// As [`Cgroup::charge`]; the charge is then as it was.
    pub fn grow(&mut self, more: u64) -> Result<()> {
        self.add(more, true)
    }

    /// Charges `more` bytes; a failure is no OOM.
    ///
    /// # Errors
    /// As [`Cgroup::try_charge`]; the charge is then as it was.
    pub fn try_grow(&mut self, more: u64) -> Result<()> {
        self.add(more, false)
    }

    /// Gives `less` bytes back, at most all of them.
    pub fn shrink(&mut self, less: u64) {
        let less = less.min(self.bytes);
        self.bytes -= less;
        if less > 0 {
            for cgroup in self.cgroup.path_up() {
                cgroup.memory.subtract(less);
            }
        }
    }

    /// Grows or shrinks to `bytes`.
    ///
    /// # Errors
    /// As [`Charge::grow`].
    pub fn resize(&mut self, bytes: u64) -> Result<()> {
        if bytes > self.bytes {
            return self.grow(bytes - self.bytes);
        }
        self.shrink(self.bytes - bytes);
        Ok(())
    }

    fn add(&mut self, more: u64, oom: bool) -> Result<()> {
        if more == 0 {
            return Ok(());
        }
        // `current` is at least `bytes`, so this sum cannot overflow if the charge succeeds
        if let Err(limiting) = self.cgroup.charge_path(more) {
            if oom {
                limiting.out_of_memory(&self.cgroup);
            }
            return Err(Errno::NoMem);
        }
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}
