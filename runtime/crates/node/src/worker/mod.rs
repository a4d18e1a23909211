//! The worker of one pod: the only one who changes its state. It asks [`crate::lifecycle::actions`] what to do, does the first
//! thing, notes what came of it, and asks again; when there is nothing to do it waits for its mailbox or the next timer.
//!
//! - `start`: how a container is made and started
//! - `gc`: what dead containers leave behind
//!
//! ```text
//!   Stop, Kill ──┐                       ┌── set up volumes, sandbox
//!   exits ───────┼─► mailbox ─► state ──►│   start, stop containers
//!   timer ───────┘       ▲    actions    └── clean up ──► ended
//!                        └─────────────────────┘
//! ```

mod gc;
mod start;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use k8s_openapi::api::core::v1::PodStatus;
use wasmpod_cri::{Container, Exited, Sandbox, SandboxConfig};
use wasmpod_sim::Instant;

use crate::agent::{PodRecord, PodRequest, Shared};
use crate::events::{ContainerChange, Event, EventType};
use crate::lifecycle::actions::{Action, actions};
use crate::lifecycle::back_off::go_duration;
use crate::lifecycle::phase;
use crate::lifecycle::plan::{MIN_GRACE, PodPlan, Slot};
use crate::lifecycle::state::{Cause, Exit, PodState, SandboxState, Stage, Volumes, Waiting};
use crate::lifecycle::status::{DEADLINE_MESSAGE, DEADLINE_REASON, pod_status};
use crate::mailbox::Mailbox;
use crate::objects::PodContext;
use crate::resources::{pod_limits, qos_class};
use crate::volumes::{self, PodVolumes};
use crate::{dns, objects};

/// How long after an error of the sandbox or of a container's configuration it is tried again (kubelet: the pod worker's
/// back-off period).
const RETRY: Duration = Duration::from_secs(10);

/// What a worker is told.
pub(crate) enum Message {
    /// A run of a container has ended.
    Exited { slot: Slot, id: String, exited: Exited, message: String },
    /// Stop the pod, with the manifest's grace or less.
    Stop { grace: Option<Duration> },
    /// End the pod now.
    Kill,
}

/// One pod at work.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    request: PodRequest,
    reference: objects::PodRef,
    plan: PodPlan,
    state: PodState,
    mailbox: Mailbox<Message>,
    record: Arc<PodRecord>,
    sandbox: Option<Arc<Sandbox>>,
    volumes: PodVolumes,
    /// The newest run of each container.
    containers: BTreeMap<Slot, Arc<Container>>,
    /// The logs of each container's newest runs.
    logs: BTreeMap<Slot, gc::KeptLogs>,
    told: Option<PodStatus>,
}

impl Worker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        request: PodRequest,
        mailbox: Mailbox<Message>,
        record: Arc<PodRecord>,
    ) -> Self {
        let plan = PodPlan::of(&request.pod);
        let state = PodState::new(&plan, shared.sim.clock().now());
        Self {
            reference: plan.pod.clone(),
            shared,
            request,
            plan,
            state,
            mailbox,
            record,
            sandbox: None,
            volumes: PodVolumes::new(),
            containers: BTreeMap::new(),
            logs: BTreeMap::new(),
            told: None,
        }
    }

    /// Runs the pod to its end.
    pub(crate) async fn run(mut self) {
        let (namespace, name) = (&self.reference.namespace, &self.reference.name);
        let node = &self.shared.node.name;
        self.event(None, EventType::Normal, "Scheduled", format!("Successfully assigned {namespace}/{name} to {node}"));
        loop {
            while let Some(message) = self.mailbox.try_recv() {
                self.handle(message);
            }
            let mut wake = Instant::FAR_FUTURE;
            let mut next = None;
            for action in actions(&self.plan, &self.state, self.now()) {
                match action {
                    Action::WakeAt(at) => wake = wake.min(at),
                    action => next = next.or(Some(action)),
                }
            }
            if let Some(action) = next {
                // in a box of its own while it lasts: a pod that runs has no use for the room that starting takes
                Box::pin(self.apply(action)).await;
                self.tell_status();
                continue;
            }
            self.tell_status();
            if let Stage::Terminated { .. } = self.state.stage {
                break;
            }
            let sleep = self.shared.sim.clock().sleep_until(wake);
            let received = match select(std::pin::pin!(self.mailbox.recv()), sleep).await {
                Either::Left((message, _)) => Some(message),
                Either::Right(_) => None,
            };
            if let Some(message) = received {
                self.handle(message);
                self.tell_status();
            }
        }
        self.record.set_ended(phase::reported(&self.plan, &self.state));
    }

    fn now(&self) -> Instant {
        self.shared.sim.clock().now()
    }

    async fn apply(&mut self, action: Action) {
        match action {
            Action::MountVolumes => self.mount_volumes().await,
            Action::CreateSandbox => self.create_sandbox(),
            Action::Start(slot) => self.start(slot).await,
            Action::BackOff { slot, delay, until } => self.back_off(slot, delay, until),
            Action::Terminate { cause, grace } => self.terminate(cause, grace),
            Action::CleanUp => self.clean_up().await,
            Action::WakeAt(_) => {}
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Exited { slot, id, exited, message } => self.exited(slot, &id, &exited, message),
            Message::Stop { grace } => {
                let grace = grace.unwrap_or(self.plan.grace).max(MIN_GRACE);
                match self.state.stage {
                    Stage::Syncing => self.terminate(Cause::Stopped, grace),
                    Stage::Terminating { cause, grace: now } if grace < now => {
                        self.state.stage = Stage::Terminating { cause, grace };
                        self.stop_running(grace);
                    }
                    Stage::Terminating { .. } | Stage::Terminated { .. } => {}
                }
            }
            Message::Kill => {
                if matches!(self.state.stage, Stage::Syncing) {
                    self.terminate(Cause::Stopped, MIN_GRACE);
                }
                for container in self.containers.values() {
                    container.kill();
                }
            }
        }
    }

    async fn mount_volumes(&mut self) {
        let (shared, pod, reference) = (self.shared.clone(), self.request.pod.clone(), self.reference.clone());
        let set_up = move || {
            let (node, objects) = (&shared.node, &shared.objects);
            let context = PodContext { pod: &pod, reference: &reference, pod_ips: &[], node, objects };
            volumes::set_up(&context, &shared.volumes, shared.sim.clock().wall())
        };
        // a hostPath may be on a slow disk: away from the tasks; without one it is not worth a thread
        let spec = self.request.pod.spec.as_ref();
        let on_host = spec.is_some_and(|s| s.volumes.iter().flatten().any(|volume| volume.host_path.is_some()));
        let result = if on_host {
            match self.shared.sim.spawn_blocking(set_up).await {
                Ok(result) => result,
                Err(error) => {
                    let volume = "*".to_owned();
                    Err(volumes::MountFailure { volume, reason: error.to_string() })
                }
            }
        } else {
            set_up()
        };
        match result {
            Ok(volumes) => {
                self.volumes = volumes;
                self.state.volumes = Volumes::Mounted;
            }
            Err(failure) => {
                let delay = match &self.state.volumes {
                    Volumes::Failed { delay, .. } => (*delay * 2).min(volumes::RETRY_MAX),
                    _ => volumes::RETRY_INITIAL,
                };
                let message = failure.to_string();
                self.event(None, EventType::Warning, "FailedMount", message.clone());
                self.state.volumes = Volumes::Failed { message, delay, until: self.now() + delay };
            }
        }
    }

    fn create_sandbox(&mut self) {
        let spec = self.request.pod.spec.clone().unwrap_or_default();
        let domain = &self.shared.node.cluster_domain;
        let aliases = spec
            .host_aliases
            .iter()
            .flatten()
            .filter_map(|alias| Some((alias.ip.parse().ok()?, alias.hostnames.clone().unwrap_or_default())));
        let config = SandboxConfig {
            name: self.reference.name.clone(),
            namespace: self.reference.namespace.clone(),
            uid: self.reference.uid.clone(),
            hostname: spec.hostname.clone(),
            subdomain: spec.subdomain.clone(),
            fqdn_as_hostname: spec.set_hostname_as_fqdn == Some(true),
            cluster_domain: domain.clone(),
            qos: qos_class(&spec).1,
            limits: pod_limits(&spec),
            host_aliases: aliases.collect(),
            dns: dns::settings(&spec, &self.reference.namespace, domain),
            share_process_namespace: spec.share_process_namespace == Some(true),
        };
        match self.shared.runtime.run_pod_sandbox(config) {
            Ok(sandbox) => {
                let ips = vec![sandbox.ipv4().into(), sandbox.ipv6().into()];
                self.state.sandbox = SandboxState::Ready { ips };
                self.record.set_sandbox(sandbox.clone());
                self.sandbox = Some(sandbox);
            }
            Err(error) => {
                let message = format!("Failed to create pod sandbox: {error}");
                self.event(None, EventType::Warning, "FailedCreatePodSandBox", message.clone());
                self.state.sandbox = SandboxState::Failed { message, until: self.now() + RETRY };
            }
        }
    }

    fn back_off(&mut self, slot: Slot, delay: Duration, until: Instant) {
        let container = self.plan.container(slot).name.clone();
        let pod = &self.reference;
        let message = format!("back-off {} restarting failed container={container} pod={pod}", go_duration(delay));
        let told = format!("Back-off restarting failed container {container} in pod {pod}");
        self.event(Some(&container), EventType::Warning, "BackOff", told);
        self.wait(slot, "CrashLoopBackOff", message, until);
    }

    /// Notes why a container does not run, and says so.
    fn wait(&mut self, slot: Slot, reason: &'static str, message: String, until: Instant) {
        let container = self.plan.container(slot).name.clone();
        let change = ContainerChange::Waiting { reason, message: message.clone() };
        self.state.record_mut(slot).waiting = Some(Waiting { reason, message, until });
        self.shared.observer.container(&self.reference, &container, &change);
    }

    fn exited(&mut self, slot: Slot, id: &str, exited: &Exited, said: String) {
        let now = self.now();
        let record = self.state.record_mut(slot);
        let crate::lifecycle::state::Run::Running { id: running, started_at } = &record.run else { return };
        if running != id {
            return; // an older run, which the record has forgotten
        }
        let message = match (exited.message.as_deref().unwrap_or_default(), said.as_str()) {
            ("", said) => said.to_owned(),
            (runtime, "") => runtime.to_owned(),
            (runtime, said) => format!("{runtime}: {said}"),
        };
        let exit = Exit {
            id: id.to_owned(),
            code: exited.exit_code,
            reason: exited.reason.to_owned(),
            message,
            started_at: *started_at,
            finished_at: now,
        };
        let change = ContainerChange::Exited {
            attempt: record.restarts,
            code: exit.code,
            reason: exit.reason.clone(),
            message: exit.message.clone(),
        };
        record.note_exit(exit);
        let container = &self.plan.container(slot).name;
        self.shared.observer.container(&self.reference, container, &change);
    }

    fn terminate(&mut self, cause: Cause, grace: Duration) {
        if cause == Cause::DeadlineExceeded {
            self.event(None, EventType::Normal, DEADLINE_REASON, DEADLINE_MESSAGE.to_owned());
        }
        self.state.stage = Stage::Terminating { cause, grace };
        for slot in self.running() {
            let container = self.plan.container(slot).name.clone();
            self.event(Some(&container), EventType::Normal, "Killing", format!("Stopping container {container}"));
        }
        self.stop_running(grace);
    }

    fn running(&self) -> Vec<Slot> {
        self.state.records().filter(|(_, record)| record.run.is_running()).map(|(slot, _)| slot).collect()
    }

    /// Starts to stop all that runs; their ends come by the mailbox.
    fn stop_running(&self, grace: Duration) {
        for slot in self.running() {
            if let Some(container) = self.containers.get(&slot).cloned() {
                let name = format!("{}/{} (stop)", self.reference.name, container.name());
                self.shared.sim.spawn(name, async move {
                    container.stop(grace).await;
                });
            }
        }
    }

    async fn clean_up(&mut self) {
        if let Some(sandbox) = self.sandbox.take() {
            self.shared.observer.ending(&self.reference, &sandbox);
            sandbox.stop().await;
        }
        self.containers.clear();
        self.volumes.clear();
        if let SandboxState::Ready { ips } = &self.state.sandbox {
            self.state.sandbox = SandboxState::Stopped { ips: ips.clone() };
        }
        self.record.clear_sandbox();
        if let Stage::Terminating { cause, .. } = self.state.stage {
            self.state.stage = Stage::Terminated { cause };
        }
    }

    /// Passes the status on, if it has changed.
    fn tell_status(&mut self) {
        let host_ip = self.shared.node.host_ips.first().map(ToString::to_string);
        let mut status = pod_status(&self.plan, &self.state, self.shared.epoch, host_ip.as_deref());
        status.qos_class = self.request.pod.spec.as_ref().map(|spec| qos_class(spec).0.to_string());
        if self.told.as_ref() == Some(&status) {
            return;
        }
        let phase = |status: &PodStatus| status.phase.clone().unwrap_or_default();
        if self.told.as_ref().map(phase) != Some(phase(&status)) {
            self.journal(format_args!("phase {}", phase(&status)));
        }
        self.record.set_status(status.clone());
        self.shared.observer.status(&self.reference, &status);
        self.told = Some(status);
    }

    fn event(&self, container: Option<&str>, kind: EventType, reason: &'static str, message: String) {
        let of = container.map(|name| format!(" container {name}")).unwrap_or_default();
        self.journal(format_args!("event {} {reason}{of}: {message}", kind.name()));
        let event = Event { at: self.now(), kind, reason, message, container: container.map(str::to_owned) };
        self.shared.observer.event(&self.reference, &event);
        self.record.push_event(event);
    }

    fn journal(&self, what: std::fmt::Arguments<'_>) {
        self.shared.sim.journal().event(&self.reference.name, what);
    }
}
