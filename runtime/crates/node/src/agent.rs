//! The agent of a node: takes pods, gives each a worker, and lets others watch and stop them.
//!
//! Owns what all workers share. Does not own decisions ([`crate::lifecycle`]) or effects (`worker`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use parking_lot::Mutex;
use wasmpod_cri::{ImageSource, PodInspection, Runtime, Sandbox};
use wasmpod_sim::{Sim, TaskHandle};

use crate::events::{Event, EventLog, Observer};
use crate::lifecycle::phase::Phase;
use crate::lifecycle::status::Epoch;
use crate::mailbox::Mailbox;
use crate::objects::{NodeFacts, Objects, PodRef};
use crate::volumes::VolumeSources;
use crate::volumes::host_path::HostPaths;
use crate::worker::{Message, Worker};

/// The node's name until it has another.
pub const DEFAULT_NODE_NAME: &str = "wasmpod";
/// The domain of cluster names.
pub const DEFAULT_CLUSTER_DOMAIN: &str = "cluster.local";

/// How to make an [`Agent`].
pub struct AgentConfig {
    /// The node.
    pub node: NodeFacts,
    /// The directories of the host that pods may mount.
    pub host_paths: HostPaths,
    /// The ConfigMaps and Secrets that exist.
    pub objects: Objects,
    /// Who is told what happens.
    pub observer: Arc<dyn Observer>,
}

/// A pod to run.
pub struct PodRequest {
    /// The manifest, defaulted and validated, with a uid.
    pub pod: Pod,
    /// Where each `image` of the manifest comes from.
    pub images: BTreeMap<String, ImageSource>,
}

/// The node agent. Cheap to clone.
#[derive(Clone)]
pub struct Agent {
    shared: Arc<Shared>,
}

/// What all workers of a node use.
pub(crate) struct Shared {
    pub sim: Sim,
    pub runtime: Runtime,
    pub node: NodeFacts,
    pub objects: Objects,
    pub volumes: VolumeSources,
    pub observer: Arc<dyn Observer>,
    pub epoch: Epoch,
}

impl Agent {
    /// An agent over `runtime`, without pods.
    pub fn new(sim: &Sim, runtime: Runtime, config: AgentConfig) -> Self {
        let clock = sim.clock();
        let epoch = Epoch(clock.wall().saturating_sub(clock.now().as_nanos()));
        let volumes = VolumeSources { host_paths: Arc::new(config.host_paths), storage: runtime.storage().clone() };
        let (node, objects, observer) = (config.node, config.objects, config.observer);
        Self { shared: Arc::new(Shared { sim: sim.clone(), runtime, node, objects, volumes, observer, epoch }) }
    }

    /// Runs a pod. Its worker goes on when the handle is dropped.
    pub fn run_pod(&self, request: PodRequest) -> PodHandle {
        let reference = PodRef::of(&request.pod);
        let (mailbox, record) = (Mailbox::new(), Arc::new(PodRecord::default()));
        let name = format!("{}/{} (worker)", reference.namespace, reference.name);
        let worker = Worker::new(self.shared.clone(), request, mailbox.clone(), record.clone());
        let task = self.shared.sim.spawn(name, worker.run());
        PodHandle { reference, mailbox, record, task: Mutex::new(Some(task)) }
    }
}

/// What is known of a pod outside of its worker. The worker is its only writer.
#[derive(Default)]
pub(crate) struct PodRecord {
    inner: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    status: PodStatus,
    phase: Option<Phase>,
    events: EventLog,
    sandbox: SandboxKnown,
    waiters: Vec<Waker>,
}

#[derive(Default, Clone)]
enum SandboxKnown {
    #[default]
    NotYet,
    Up(Arc<Sandbox>),
    Gone,
}

impl PodRecord {
    pub(crate) fn set_status(&self, status: PodStatus) {
        self.inner.lock().status = status;
    }

    pub(crate) fn push_event(&self, event: Event) {
        self.inner.lock().events.push(event);
    }

    pub(crate) fn set_sandbox(&self, sandbox: Arc<Sandbox>) {
        self.change(|known| known.sandbox = SandboxKnown::Up(sandbox));
    }

    pub(crate) fn clear_sandbox(&self) {
        self.change(|known| known.sandbox = SandboxKnown::Gone);
    }

    pub(crate) fn set_ended(&self, phase: Phase) {
        self.change(|known| known.phase = Some(phase));
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        let waiters = {
            let mut known = self.inner.lock();
            change(&mut known);
            std::mem::take(&mut known.waiters)
        };
        waiters.into_iter().for_each(Waker::wake);
    }

    async fn until<T>(&self, ready: impl Fn(&Known) -> Option<T>) -> T {
        std::future::poll_fn(|cx| {
            let mut known = self.inner.lock();
            match ready(&known) {
                Some(value) => Poll::Ready(value),
                None => {
                    if !known.waiters.iter().any(|waker| waker.will_wake(cx.waker())) {
                        known.waiters.push(cx.waker().clone());
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// A pod on the node.
pub struct PodHandle {
    reference: PodRef,
    mailbox: Mailbox<Message>,
    record: Arc<PodRecord>,
    task: Mutex<Option<TaskHandle<()>>>,
}

impl PodHandle {
    /// Its names.
    pub fn reference(&self) -> &PodRef {
        &self.reference
    }

    /// Asks it to stop: SIGTERM, `grace` (the manifest's if `None`), SIGKILL. A second request may only shorten the grace.
    pub fn stop(&self, grace: Option<Duration>) {
        self.mailbox.send(Message::Stop { grace });
    }

    /// Ends it at once: SIGKILL.
    pub fn kill(&self) {
        self.mailbox.send(Message::Kill);
    }

    /// Waits until nothing of it runs any more.
    ///
    /// # Errors
    /// The message of the worker's panic, which is an internal bug; what the pod runs has then no worker.
    pub async fn wait(&self) -> Result<Phase, String> {
        let task = self.task.lock().take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            self.record.change(|known| {
                known.phase = Some(Phase::Failed);
                known.sandbox = SandboxKnown::Gone;
            });
            return Err(error.to_string());
        }
        Ok(self.record.until(|known| known.phase).await)
    }

    /// Its phase at its end, if it has ended.
    pub fn ended(&self) -> Option<Phase> {
        self.record.inner.lock().phase
    }

    /// Its status.
    pub fn status(&self) -> PodStatus {
        self.record.inner.lock().status.clone()
    }

    /// Its newest events.
    pub fn events(&self) -> EventLog {
        self.record.inner.lock().events.clone()
    }

    /// What is inside of it now; `None` before its sandbox is up and after it is gone.
    pub fn inspect(&self) -> Option<PodInspection> {
        let sandbox = match &self.record.inner.lock().sandbox {
            SandboxKnown::Up(sandbox) => sandbox.clone(),
            SandboxKnown::NotYet | SandboxKnown::Gone => return None,
        };
        Some(sandbox.inspect())
    }

    /// Its sandbox, once it is up; `None` if the pod ended without one.
    pub async fn sandbox(&self) -> Option<Arc<Sandbox>> {
        self.record
            .until(|known| match &known.sandbox {
                SandboxKnown::NotYet => None,
                SandboxKnown::Up(sandbox) => Some(Some(sandbox.clone())),
                SandboxKnown::Gone => Some(None),
            })
            .await
    }
}

impl std::fmt::Debug for PodHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PodHandle").field("pod", &self.reference).field("ended", &self.ended()).finish()
    }
}

/// The facts of a node with this much CPU and memory.
pub fn node_facts(milli_cpu: u64, memory_bytes: u64, ephemeral_bytes: u64, host_ips: Vec<IpAddr>) -> NodeFacts {
    NodeFacts {
        name: DEFAULT_NODE_NAME.to_owned(),
        host_ips,
        milli_cpu,
        memory_bytes,
        ephemeral_bytes,
        cluster_domain: DEFAULT_CLUSTER_DOMAIN.to_owned(),
    }
}

/// A uid in the form of a version 4 UUID, from the run's randomness. `turn` tells objects of one name apart.
pub fn new_uid(sim: &Sim, namespace: &str, name: &str, turn: u64) -> String {
    let mut bytes = [0; 16];
    sim.entropy().stream(&format!("uid/{namespace}/{name}/{turn}")).fill(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_uuids_and_repeat_with_the_seed() {
        let uid = |seed, turn| new_uid(&Sim::new_virtual(seed), "ns", "p", turn);
        let first = uid(1, 0);
        assert_eq!((first.len(), first.as_bytes()[14]), (36, b'4'));
        assert_eq!(first, uid(1, 0));
        assert!(first != uid(1, 1) && first != uid(2, 0));
    }
}
