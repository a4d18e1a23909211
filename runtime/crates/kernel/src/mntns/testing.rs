//! What the tests of this module share: a cgroup, a clock, a namespace over one tmpfs.

use std::sync::Arc;

use wasmpod_sim::{Clock, Sim};

use crate::cgroup::{Cgroup, RootConfig};

pub(crate) fn clock() -> Clock {
    Sim::new_virtual(1).clock().clone()
}

/// A cgroup with plenty of memory.
pub(crate) fn memory() -> Arc<Cgroup> {
    memory_of(1 << 40)
}

pub(crate) fn memory_of(bytes: u64) -> Arc<Cgroup> {
    Cgroup::root(RootConfig { cpus: 1, memory_bytes: bytes, fuel_per_cpu_second: 1_000_000_000 }, clock())
}
