//! Control groups: what a container may use of the node's CPU, memory and process numbers, and what it has used. Follows cgroup
//! v2 (Documentation/admin-guide/cgroup-v2.rst) in meaning and in the text of its files; the tree is the kubelet's:
//! node → QoS class → pod → container. Owns accounting and admission; the `engine` runs guests by what it is told here.
//!
//! A map of the code:
//! - [`memory`]: charges up the tree, OOM events.
//! - [`pids`]: how many processes.
//! - [`cpu`]: what a runnable holds and asks: run, wait for quota, wait for a CPU.
//! - `sched`: who is next when all CPUs are busy: weights, level by level.
//! - `bandwidth`: one cgroup's quota per period, its debt, its throttling statistics.
//! - `files`: the text of `cpu.stat` and the others.
//! - [`kubernetes`]: from requests and limits to quota, shares, weight and oom_score_adj.
//!
//! Memory and process counters are atomics without a lock. The CPU controller of a whole tree has one lock, held for tens of
//! nanoseconds; no waker is called under it.

mod bandwidth;
pub mod cpu;
mod files;
pub mod kubernetes;
pub mod memory;
pub mod pids;
mod sched;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use wasmpod_sim::Clock;

pub use cpu::{Acquire, CPU_PERIOD, CPU_SLICE, CpuClient, CpuDecision, CpuStats};
pub use memory::{Charge, MemoryEvents, MemoryStats};
pub use pids::{PidCharge, PidsStats};

/// The weight of a cgroup that says nothing (cgroup v2's `CGROUP_WEIGHT_DFL`), and of each process beside child cgroups.
pub const DEFAULT_WEIGHT: u64 = 100;
/// cgroup v2's `CGROUP_WEIGHT_MIN`.
pub const MIN_WEIGHT: u64 = 1;
/// cgroup v2's `CGROUP_WEIGHT_MAX`.
pub const MAX_WEIGHT: u64 = 10_000;

/// What the node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootConfig {
    /// How many processes may run at once; 0 is read as 1.
    pub cpus: u32,
    /// All memory there is, in bytes.
    pub memory_bytes: u64,
    /// What one CPU does in a second, in fuel; 0 is read as 1.
    pub fuel_per_cpu_second: u64,
}

/// The limits of one cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `cpu.max` in thousandths of a CPU. `None` and 0 are no limit; what is below Kubernetes' least quota of 1 ms per period is
    /// raised to it.
    pub cpu_quota_millis: Option<u64>,
    /// `cpu.weight`, 1 to 10000; values beyond are brought into that range.
    pub cpu_weight: u64,
    /// `memory.max`, in bytes.
    pub memory_max: Option<u64>,
    /// `pids.max`.
    pub pids_max: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cpu_quota_millis: None, cpu_weight: DEFAULT_WEIGHT, memory_max: None, pids_max: None }
    }
}

/// One control group. It lives as long as anyone holds it: its guards, its clients and the cgroups below it do.
pub struct Cgroup {
    name: String,
    path: String,
    parent: Option<Arc<Cgroup>>,
    children: Mutex<Vec<Weak<Cgroup>>>,
    limits: Mutex<Limits>,
    memory: memory::Memory,
    pids: pids::Pids,
    cpu: Arc<cpu::Cpu>,
    group: sched::GroupId,
}

impl Cgroup {
    /// The root of a tree: the node.
    pub fn root(config: RootConfig, clock: Clock) -> Arc<Self> {
        let limits = Limits { memory_max: Some(config.memory_bytes), ..Limits::default() };
        let (cpu, group) = cpu::Cpu::new(config, clock);
        Arc::new(Self {
            name: String::new(),
            path: "/".to_owned(),
            parent: None,
            children: Mutex::default(),
            limits: Mutex::new(limits),
            memory: memory::Memory::new(limits.memory_max),
            pids: pids::Pids::new(None),
            cpu,
            group,
        })
    }

    /// Makes a cgroup below this one. It is gone from the tree once nobody holds it. Two children of one name are two cgroups:
    /// a container that restarts may have its next cgroup before the last user of the old one is gone.
    pub fn child(self: &Arc<Self>, name: &str, limits: Limits) -> Arc<Self> {
        let child = Arc::new(Self {
            name: name.to_owned(),
            path: format!("{}/{name}", self.path.trim_end_matches('/')),
            parent: Some(self.clone()),
            children: Mutex::default(),
            limits: Mutex::new(limits),
            memory: memory::Memory::new(limits.memory_max),
            pids: pids::Pids::new(limits.pids_max),
            cpu: self.cpu.clone(),
            group: self.cpu.add_group(self.group, &limits),
        });
        let mut children = self.children.lock();
        children.retain(|child| child.strong_count() > 0);
        children.push(Arc::downgrade(&child));
        child
    }

    /// The last part of [`Cgroup::path`]; empty for the root.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is in the tree, e.g. `/kubepods/burstable/pod<uid>/<container>`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The cgroup above, none for the root.
    pub fn parent(&self) -> Option<&Arc<Self>> {
        self.parent.as_ref()
    }

    /// The cgroups below that are in use, in the order in which they were made.
    pub fn children(&self) -> Vec<Arc<Self>> {
        self.children.lock().iter().filter_map(Weak::upgrade).collect()
    }

    /// The limits as last set.
    pub fn limits(&self) -> Limits {
        *self.limits.lock()
    }

    /// Changes the limits of a cgroup in use. What it has used of its CPU quota in this period stays used. As on Linux, a
    /// `memory.max` below what is in use is set all the same and is an OOM at once, for the cgroup at or below this one that uses
    /// most (of those without children).
    pub fn set_limits(&self, limits: Limits) {
        *self.limits.lock() = limits;
        self.cpu.set_limits(self.group, &limits);
        self.pids.set_max(limits.pids_max);
        self.memory.set_max(limits.memory_max);
        if self.memory.is_over() {
            match self.largest_below() {
                Some(victim) => self.out_of_memory(&victim),
                None => self.out_of_memory(self),
            }
        }
    }

    /// The leaf below this cgroup that uses most memory.
    fn largest_below(&self) -> Option<Arc<Self>> {
        let children = self.children();
        let leaves = children.into_iter().map(|child| child.largest_below().unwrap_or(child));
        leaves.max_by_key(|leaf| leaf.memory.current())
    }

    /// This cgroup, then the one above, up to the root.
    fn path_up(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |cgroup| cgroup.parent.as_deref())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        self.cpu.remove_group(self.group);
    }
}

impl fmt::Debug for Cgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cgroup").field("path", &self.path).field("limits", &*self.limits.lock()).finish()
    }
}
