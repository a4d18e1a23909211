//! Faults at work: each is a task that waits for its time, takes its pods, does what it says, and undoes it when its duration is over.
//!
//! ```text
//!   wait (time, or an event of the journal) ─► draw pods ─► inject ─► duration ─► recover
//! ```
//! Every injection and recovery is an event of the journal, of the subject `fault`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wasmpod_api::k8s_openapi::api::core::v1::Pod;
use wasmpod_cri::fault::{self, CpuStress, FullDisk, MemoryStress, SkewedClock};
use wasmpod_cri::{Container, Runtime};
use wasmpod_node::PodHandle;
use wasmpod_sim::journal::Watch;
use wasmpod_sim::{Sim, Stream};

use super::super::output::Printer;
use super::super::output::text::label;
use super::network::Effects;
use super::{Direction, Fault, Kind, Size, Start};

/// A pod of the run: what the manifest says, and its handle.
pub type Target = (Pod, Arc<PodHandle>);

/// A fault and, if it waits for an event, the wait.
pub type Armed = (Fault, Option<Watch>);

/// Begins to look for the events that faults wait for; to be called before anything runs, so that none is missed.
pub fn arm(sim: &Sim, faults: Vec<Fault>) -> Vec<Armed> {
    let one = |fault: Fault| {
        let seen = match &fault.start {
            Start::When(text, _) => Some(sim.journal().watch(text.clone())),
            Start::At(..) => None,
        };
        (fault, seen)
    };
    faults.into_iter().map(one).collect()
}

/// Starts all faults. They go on until the run ends.
pub fn start(sim: &Sim, runtime: &Runtime, printer: &Arc<Printer>, pods: Vec<Target>, faults: Vec<Armed>) {
    let world = World {
        sim: sim.clone(),
        runtime: runtime.clone(),
        printer: printer.clone(),
        pods: Arc::new(pods),
        effects: Arc::default(),
    };
    for (fault, seen) in faults {
        let world = world.clone();
        sim.spawn(format!("fault {}", fault.name), async move {
            let mut random = world.sim.entropy().stream(&format!("fault/{}", fault.name));
            let clock = world.sim.clock().clone();
            if let Some(seen) = seen {
                seen.await;
            }
            clock.sleep(delay(&fault.start, &mut random)).await;
            world.run(&fault, &mut random).await;
        });
    }
}

fn delay(start: &Start, random: &mut Stream) -> Duration {
    match start {
        Start::When(_, after) => *after,
        Start::At(from, to) => {
            let range = u64::try_from((*to - *from).as_nanos()).unwrap_or(u64::MAX);
            *from + Duration::from_nanos(if range == 0 { 0 } else { random.below(range) })
        }
    }
}

#[derive(Clone)]
struct World {
    sim: Sim,
    runtime: Runtime,
    printer: Arc<Printer>,
    pods: Arc<Vec<Target>>,
    effects: Arc<Mutex<Effects>>,
}

/// What a fault holds until it recovers.
#[expect(dead_code, reason = "guards are held for what they undo when they are dropped")]
enum Held {
    Cpu(CpuStress),
    Memory(MemoryStress),
    Disk(FullDisk),
    Clock(SkewedClock),
}

impl World {
    async fn run(&self, fault: &Fault, random: &mut Stream) {
        let pods = self.take(&fault.select, random);
        if pods.is_empty() {
            return self.tell(fault, "not injected: no pod that it selects runs");
        }
        match &fault.kind {
            Kind::Network { effect, direction, target } => {
                let others = match target {
                    Some(target) => self.take(target, random),
                    None => self.pods.iter().map(|(_, handle)| handle.clone()).collect(),
                };
                let (from, to) = (addresses(&pods).await, addresses(&others).await);
                let mut links = Vec::new();
                for ((a, _), (b, _)) in from.iter().flat_map(|a| to.iter().map(move |b| (a, b))) {
                    if a != b {
                        links.extend((*direction != Direction::From).then_some((*a, *b)));
                        links.extend((*direction != Direction::To).then_some((*b, *a)));
                    }
                }
                links.sort_unstable();
                links.dedup();
                {
                    let mut effects = self.effects.lock();
                    for (a, b) in &links {
                        effects.add(&self.runtime, &fault.name, *a, *b, *effect);
                    }
                }
                self.tell(fault, &format!("injected: {effect:?} on {} links of {}", links.len(), names(&pods)));
                self.lasts(fault).await;
                self.effects.lock().remove(&self.runtime, &fault.name);
                self.tell(fault, "recovered");
            }
            Kind::PodKill(grace) => {
                self.tell(fault, &format!("injected: pod-kill of {}", names(&pods)));
                pods.iter().for_each(|pod| pod.stop(Some(*grace)));
            }
            Kind::ContainerKill => {
                let containers = self.containers(fault, &pods);
                self.tell(fault, &format!("injected: container-kill of {}", container_names(&containers)));
                containers.iter().for_each(|container| container.kill());
            }
            _ => {
                let containers = self.containers(fault, &pods);
                let held: Vec<Held> = containers.iter().flat_map(|container| self.hold(fault, container)).collect();
                self.tell(fault, &format!("injected: {} of {}", what(&fault.kind), container_names(&containers)));
                self.lasts(fault).await;
                drop(held);
                self.tell(fault, "recovered");
            }
        }
    }

    /// Pods that the selector takes and that have not ended, some of them drawn.
    fn take(&self, select: &super::select::Select, random: &mut Stream) -> Vec<Arc<PodHandle>> {
        let alive = |at: &usize| select.selects(&self.pods[*at].0) && self.pods[*at].1.ended().is_none();
        let drawn = select.mode.draw((0..self.pods.len()).filter(alive).collect(), random);
        drawn.into_iter().map(|at| self.pods[at].1.clone()).collect()
    }

    /// The containers of `pods` that the fault names and that run.
    fn containers(&self, fault: &Fault, pods: &[Arc<PodHandle>]) -> Vec<Arc<Container>> {
        let mut all = Vec::new();
        for pod in pods {
            let sandboxes = self.runtime.sandboxes();
            let sandbox = sandboxes.iter().find(|sandbox| sandbox.uid() == pod.reference().uid);
            all.extend(sandbox.into_iter().flat_map(|sandbox| sandbox.containers()));
        }
        let meant = |container: &Arc<Container>| {
            fault.containers.is_empty() || fault.containers.iter().any(|name| name == container.name())
        };
        all.retain(|container| meant(container) && fault::runs(container));
        all
    }

    fn hold(&self, fault: &Fault, container: &Arc<Container>) -> Vec<Held> {
        let mut held = Vec::new();
        match &fault.kind {
            Kind::Stress { cpu, memory } => {
                if let Some((workers, load)) = cpu {
                    held.push(Held::Cpu(CpuStress::start(&self.runtime, container, *workers, *load)));
                }
                if let Some(size) = memory {
                    let (stress, fits) = MemoryStress::start(&self.runtime, container, self.bytes(*size, container));
                    held.push(Held::Memory(stress));
                    if !fits {
                        self.tell(fault, &format!("is out of memory in {}", container.process().spec.name));
                    }
                }
            }
            Kind::DiskFull(path) => match FullDisk::fill(container, path) {
                Some(disk) => held.push(Held::Disk(disk)),
                None => {
                    let name = &container.process().spec.name;
                    self.tell(fault, &format!("does nothing in {name}: no writable volume is mounted at {path}"));
                }
            },
            Kind::ClockSkew(nanos) => held.push(Held::Clock(SkewedClock::skew(container, *nanos))),
            Kind::Network { .. } | Kind::PodKill(_) | Kind::ContainerKill => {}
        }
        held
    }

    fn bytes(&self, size: Size, container: &Container) -> u64 {
        match size {
            Size::Bytes(bytes) => bytes,
            Size::Percent(percent) => {
                let limit = container.cgroup().memory_stats().max;
                let limit = limit.or(self.runtime.node_cgroup().memory_stats().max).unwrap_or(0);
                limit / 100 * percent
            }
        }
    }

    async fn lasts(&self, fault: &Fault) {
        match fault.duration {
            Some(duration) => self.sim.clock().sleep(duration).await,
            None => std::future::pending().await,
        }
    }

    fn tell(&self, fault: &Fault, what: &str) {
        self.sim.journal().event("fault", format_args!("{} {what}", fault.name));
        self.printer.say(&format!("fault {} {what}", fault.name));
    }
}

fn what(kind: &Kind) -> String {
    match kind {
        Kind::Stress { cpu, memory } => {
            let cpu = cpu.map(|(workers, load)| format!("cpu stress ({workers} workers, {load} %)"));
            let memory = memory.map(|size| match size {
                Size::Bytes(bytes) => format!("memory stress ({bytes} bytes)"),
                Size::Percent(percent) => format!("memory stress ({percent} % of the limit)"),
            });
            cpu.into_iter().chain(memory).collect::<Vec<_>>().join(" and ")
        }
        Kind::DiskFull(path) => format!("disk full at {path}"),
        Kind::ClockSkew(nanos) => format!("clock skew ({} ms)", nanos / 1_000_000),
        Kind::Network { .. } | Kind::PodKill(_) | Kind::ContainerKill => String::new(),
    }
}

/// The pods' addresses, once they have them, and their names.
async fn addresses(pods: &[Arc<PodHandle>]) -> Vec<(IpAddr, String)> {
    let mut found = Vec::new();
    for pod in pods {
        if let Some(sandbox) = pod.sandbox().await {
            found.push((IpAddr::V4(sandbox.ipv4()), sandbox.name().to_owned()));
        }
    }
    found
}

fn names(pods: &[Arc<PodHandle>]) -> String {
    pods.iter().map(|pod| label(pod.reference(), None)).collect::<Vec<_>>().join(", ")
}

fn container_names(containers: &[Arc<Container>]) -> String {
    if containers.is_empty() {
        return "no container: none that it selects runs".to_owned();
    }
    containers.iter().map(|container| container.process().spec.name.clone()).collect::<Vec<_>>().join(", ")
}
