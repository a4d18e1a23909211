//! The pids controller: `pids.max`, `pids.current`, `pids.events` (cgroup-v1/pids.rst, the same in v2). Owns the count of processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Cgroup;
use crate::{Errno, Result};

/// `pids.max` without a limit.
const UNLIMITED: u64 = u64::MAX;

/// The processes of one cgroup and all below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PidsStats {
    /// `pids.current`.
    pub current: u64,
    /// `pids.max`; `None` is no limit.
    pub max: Option<u64>,
    /// `pids.events`: how often a process could not be started for this limit.
    pub events_max: u64,
}

#[derive(Debug)]
pub(super) struct Pids {
    current: AtomicU64,
    max: AtomicU64,
    events_max: AtomicU64,
}

impl Pids {
    pub(super) fn new(max: Option<u64>) -> Self {
        let max = AtomicU64::new(max.unwrap_or(UNLIMITED));
        Self { current: AtomicU64::new(0), max, events_max: AtomicU64::new(0) }
    }

    pub(super) fn set_max(&self, max: Option<u64>) {
        self.max.store(max.unwrap_or(UNLIMITED), Ordering::Release);
    }
}

impl Cgroup {
    /// Counts one more process here and in every cgroup above, as long as the guard lives.
    ///
    /// # Errors
    /// [`Errno::Again`] at a `pids.max` on the way up, as `fork(2)` says.
    pub fn pids_charge(self: &Arc<Self>) -> Result<PidCharge> {
        for limiting in self.path_up() {
            let max = limiting.pids.max.load(Ordering::Acquire);
            let up = |current: u64| current.checked_add(1).filter(|&sum| sum <= max);
            if limiting.pids.current.fetch_update(Ordering::AcqRel, Ordering::Acquire, up).is_err() {
                for charged in self.path_up().take_while(|cgroup| !std::ptr::eq(*cgroup, limiting)) {
                    charged.pids.current.fetch_sub(1, Ordering::AcqRel);
                }
                limiting.pids.events_max.fetch_add(1, Ordering::Relaxed);
                return Err(Errno::Again);
            }
        }
        Ok(PidCharge { cgroup: self.clone() })
    }

    /// Process counters of this cgroup and all below.
    pub fn pids_stats(&self) -> PidsStats {
        let max = self.pids.max.load(Ordering::Acquire);
        PidsStats {
            current: self.pids.current.load(Ordering::Acquire),
            max: (max != UNLIMITED).then_some(max),
            events_max: self.pids.events_max.load(Ordering::Relaxed),
        }
    }
}

/// One process counted in a cgroup, until dropped.
#[derive(Debug)]
#[must_use = "the process is no longer counted when the charge is dropped"]
pub struct PidCharge {
    cgroup: Arc<Cgroup>,
}

impl Drop for PidCharge {
    fn drop(&mut self) {
        for cgroup in self.cgroup.path_up() {
            cgroup.pids.current.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
