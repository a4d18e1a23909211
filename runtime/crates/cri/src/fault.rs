//! What can be done to a container from outside, to see what comes of it: its CPU and memory taken, its disk full, its clock wrong. Each
//! lasts as long as its guard. Owns the mechanisms; when and to whom is the caller's.

use std::sync::Arc;

use wasmpod_kernel::cgroup::{Cgroup, Charge};
use wasmpod_kernel::mntns::{Quota, Volume};
use wasmpod_kernel::process::Process;
use wasmpod_sim::{Sim, TaskHandle};

use crate::container::{Container, ContainerState};
use crate::runtime::Runtime;

/// Most workers of one CPU stress: each is a runnable of its cgroup, and more of them than CPUs change nothing but the weight. stress-ng,
/// which Chaos Mesh uses, takes 8192.
pub const MAX_STRESS_WORKERS: u32 = 64;

/// Takes CPU time of a container's cgroup until it is dropped.
#[derive(Debug)]
pub struct CpuStress(Vec<TaskHandle<()>>);

impl CpuStress {
    /// Starts `workers` runnables in the container's cgroup, which hold a CPU for `load` percent of the time they can get. They count against
    /// its limit and its share like a program; the host computes nothing for them.
    pub fn start(runtime: &Runtime, container: &Arc<Container>, workers: u32, load: u32) -> Self {
        let load = load.clamp(0, 100);
        let one = |worker| {
            let (sim, cgroup) = (runtime.sim().clone(), container.cgroup().clone());
            let name = format!("{} (cpu stress {worker})", container.process().spec.name);
            let container = container.clone();
            runtime.sim().spawn(name, async move {
                let stress = std::pin::pin!(hold_cpu(&sim, &cgroup, load));
                // what runs in a container ends with it
                futures_util::future::select(std::pin::pin!(container.wait()), stress).await;
            })
        };
        Self((0..workers.min(MAX_STRESS_WORKERS)).map(one).collect())
    }
}

async fn hold_cpu(sim: &Sim, cgroup: &Arc<Cgroup>, load: u32) {
    if load == 0 {
        return std::future::pending().await;
    }
    let mut client = cgroup.cpu_client();
    loop {
        let fuel = client.acquire().await;
        let busy = sim.compute_time(fuel);
        sim.clock().sleep(busy).await;
        if load == 100 {
            client.release(fuel, sim.clock().now());
        } else {
            client.release_and_park(fuel, sim.clock().now());
            sim.clock().sleep(busy * (100 - load) / load).await;
        }
    }
}

impl Drop for CpuStress {
    fn drop(&mut self) {
        self.0.iter().for_each(TaskHandle::abort);
    }
}

/// Memory charged to a container's cgroup until it is dropped, or the container ends.
#[derive(Debug)]
pub struct MemoryStress(Option<TaskHandle<()>>);

impl MemoryStress {
    /// Charges `bytes`. Past the limit this is an OOM of the container, and nothing stays charged; false then.
    pub fn start(runtime: &Runtime, container: &Arc<Container>, bytes: u64) -> (Self, bool) {
        let charge: Charge = match container.cgroup().charge(bytes) {
            Ok(charge) => charge,
            Err(_) => return (Self(None), false),
        };
        let name = format!("{} (memory stress)", container.process().spec.name);
        let container = container.clone();
        let task = runtime.sim().spawn(name, async move {
            container.wait().await; // what is killed gives its memory back
            drop(charge);
        });
        (Self(Some(task)), true)
    }
}

impl Drop for MemoryStress {
    fn drop(&mut self) {
        self.0.iter().for_each(TaskHandle::abort);
    }
}

/// A file system that takes nothing more, until it is dropped.
pub struct FullDisk(Disk);

enum Disk {
    Upper(Arc<Quota>),
    Volume(Volume),
}

impl FullDisk {
    /// Fills what the container has mounted at `path`; `/` is its writable layer. None if nothing is mounted there, or what is does not take
    /// bytes of this node.
    pub fn fill(container: &Container, path: &str) -> Option<Self> {
        let plain = |path: &str| path.trim_end_matches('/').to_owned();
        if plain(path).is_empty() {
            let upper = container.upper_quota().clone();
            upper.set_full(true);
            return Some(Self(Disk::Upper(upper)));
        }
        let mount = container.config().mounts.iter().find(|mount| plain(&mount.path) == plain(path))?;
        mount.volume.set_full(true).then(|| Self(Disk::Volume(mount.volume.clone())))
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        match &self.0 {
            Disk::Upper(quota) => quota.set_full(false),
            Disk::Volume(volume) => drop(volume.set_full(false)),
        }
    }
}

impl std::fmt::Debug for FullDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FullDisk")
    }
}

/// The wall clocks of a container's processes, wrong until it is dropped.
#[derive(Debug)]
pub struct SkewedClock(Vec<Arc<Process>>);

impl SkewedClock {
    /// Makes them wrong by `nanos`. Processes that start later have the right time.
    pub fn skew(container: &Container, nanos: i64) -> Self {
        let processes = container.processes();
        processes.iter().for_each(|process| process.set_wall_offset(nanos));
        Self(processes)
    }
}

impl Drop for SkewedClock {
    fn drop(&mut self) {
        self.0.iter().for_each(|process| process.set_wall_offset(0));
    }
}

/// True if the container's program runs: only then can something be done to it.
pub fn runs(container: &Container) -> bool {
    matches!(container.state(), ContainerState::Running { .. })
}
