//! What one process has used (`getrusage(2)`). Written by the `engine`, read by an
//! onlooker. Owns the numbers of one process; what a container used in all is its cgroup's.

use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of a process. Each is right by itself; two of them read together need not be of the same moment in real time.
#[derive(Debug, Default)]
pub struct ProcessUsage {
    fuel: AtomicU64,
    memory: AtomicU64,
}

impl ProcessUsage {
    /// Adds compute.
    pub fn add_fuel(&self, fuel: u64) {
        // one task drives a process, so nobody else adds meanwhile; `fetch_add` would wrap
        let sum = self.fuel.load(Ordering::Relaxed).saturating_add(fuel);
        self.fuel.store(sum, Ordering::Relaxed);
    }

    /// Sets the bytes of its linear memories and tables.
    pub fn set_memory(&self, bytes: u64) {
        self.memory.store(bytes, Ordering::Relaxed);
    }

    /// Compute used, in fuel.
    pub fn fuel(&self) -> u64 {
        self.fuel.load(Ordering::Relaxed)
    }

    /// Bytes of its linear memories and tables; 0 before it runs and after its end.
    pub fn memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compute_adds_up_and_does_not_wrap() {
        let usage = ProcessUsage::default();
        usage.add_fuel(3);
        usage.add_fuel(4);
        assert_eq!(usage.fuel(), 7);
        usage.add_fuel(u64::MAX);
        assert_eq!(usage.fuel(), u64::MAX);
    }
}
