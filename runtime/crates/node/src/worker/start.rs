//! How a container is made and started (kuberuntime_container.go `startContainer`): image, configuration, create, start. Each step
//! has its own error, reason and event.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use k8s_openapi::api::core::v1::Container as ContainerSpec;
use parking_lot::Mutex;
use wasmpod_cri::container::{MAX_TERMINATION_MESSAGE, START_ERROR_CODE};
use wasmpod_cri::{Container, ContainerConfig, ContainerState, CriError, Image, OutputSink, Port, Protocol, StdStream};

use super::{Message, RETRY, Worker};
use crate::env::{self, ConfigError};
use crate::events::{ContainerChange, EventType, Observer, OutputStream};
use crate::lifecycle::plan::Slot;
use crate::lifecycle::state::{Exit, Stage};
use crate::objects::{PodContext, PodRef};
use crate::{resources, security, volumes};

/// Where a container leaves its last words when the manifest does not say.
const DEFAULT_TERMINATION_LOG: &str = "/dev/termination-log";

/// The termination messages of a pod's containers together (kubelet: 12 KiB, divided evenly).
const MAX_POD_MESSAGES: usize = 12 * 1024;
/// How much of the log stands in for a termination message (kubelet: MaxContainerTerminationMessageLogLines and -Length).
const FALLBACK_LINES: usize = 80;
/// See [`FALLBACK_LINES`].
const FALLBACK_BYTES: usize = 2048;

impl Worker {
    /// Starts the next run of the container of `slot`; what fails is noted in its record.
    pub(super) async fn start(&mut self, slot: Slot) {
        let Some(spec) = self.container_spec(slot) else { return };
        let image = match self.image(&spec).await {
            Some(Ok(image)) => image,
            Some(Err((reason, message))) => return self.fail(slot, &spec, reason, message, RETRY),
            None => return,
        };
        let config = match self.container_config(slot, &spec, image) {
            Ok(config) => config,
            Err(error) => return self.fail(slot, &spec, "CreateContainerConfigError", error.to_string(), RETRY),
        };
        let Some(sandbox) = self.sandbox.clone() else { return };
        let attempt = config.attempt;
        let announce = Announce::new(&self.reference, &spec.name, attempt, self.shared.observer.clone());
        let config = ContainerConfig { output: Some(Arc::new(Output { announce: announce.clone() })), ..config };
        self.state.record_mut(slot).image_id.clone_from(&config.image.id);
        let (runtime, of) = (self.shared.runtime.clone(), sandbox.clone());
        // includes compiling the program, which can take a while
        let container = match self.unless_stopped(async move { runtime.create_container(&of, config).await }).await {
            Some(Ok(container)) => container,
            None => return,
            Some(Err(error)) => return self.fail(slot, &spec, "CreateContainerError", error.to_string(), RETRY),
        };
        self.logs.entry(slot).or_default().keep(container.log().clone());
        self.event(Some(&spec.name), EventType::Normal, "Created", "Container created".to_owned());
        let started_at = self.now();
        match container.start() {
            Ok(()) => {
                self.event(Some(&spec.name), EventType::Normal, "Started", "Container started".to_owned());
                self.state.record_mut(slot).note_started(container.id().to_owned(), started_at);
                announce.started();
                self.watch(slot, &spec, container.clone());
                self.containers.insert(slot, container);
            }
            Err(error) => self.failed_to_start(slot, &spec, &container, &error, attempt),
        }
    }

    fn container_spec(&self, slot: Slot) -> Option<ContainerSpec> {
        let spec = self.request.pod.spec.as_ref()?;
        match slot {
            Slot::Init(index) => spec.init_containers.as_ref()?.get(index).cloned(),
            Slot::Main(index) => spec.containers.get(index).cloned(),
        }
    }

    /// The image, or why there is none as reason and message; `None` if the pod is being stopped.
    async fn image(&mut self, spec: &ContainerSpec) -> Option<Result<Arc<Image>, (&'static str, String)>> {
        let reference = spec.image.clone().unwrap_or_default();
        let Some(source) = self.request.images.get(&reference).cloned() else {
            let message = format!("Container image {reference:?} is not present with pull policy of Never");
            return Some(Err(("ErrImageNeverPull", message)));
        };
        let (runtime, name) = (self.shared.runtime.clone(), reference.clone());
        let loaded = self.unless_stopped(async move { runtime.load_image(&source, &name).await }).await?;
        Some(match loaded {
            Ok(image) => {
                let message =
                    format!("Container image {reference:?} already present on machine and can be accessed by the pod");
                self.event(Some(&spec.name), EventType::Normal, "Pulled", message);
                Ok(image)
            }
            Err(error) => {
                let message = format!("Failed to pull image {reference:?}: {error}");
                self.event(Some(&spec.name), EventType::Warning, "Failed", message);
                Err(("ErrImagePull", error.to_string()))
            }
        })
    }

    /// Waits for `work`, and hears the mailbox meanwhile; `None`, with the work given up, once the pod is being stopped.
    async fn unless_stopped<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mailbox = self.mailbox.clone();
        loop {
            match select(work.as_mut(), pin!(mailbox.recv())).await {
                Either::Left((done, _)) => return Some(done),
                Either::Right((message, _)) => self.handle(message),
            }
            if !matches!(self.state.stage, Stage::Syncing) {
                return None;
            }
        }
    }

    fn container_config(
        &self,
        slot: Slot,
        spec: &ContainerSpec,
        image: Arc<Image>,
    ) -> Result<ContainerConfig, ConfigError> {
        let pod_spec = self.request.pod.spec.as_ref().ok_or_else(|| ConfigError::NoContainer(spec.name.clone()))?;
        let context = PodContext {
            pod: &self.request.pod,
            reference: &self.reference,
            pod_ips: self.state.sandbox.ips(),
            node: &self.shared.node,
            objects: &self.shared.objects,
        };
        let env = env::environment(&context, spec)?;
        let cred = security::cred(pod_spec, spec, &self.reference)?;
        let mounts = volumes::mounts(spec, &self.volumes, &env)?;
        Ok(ContainerConfig {
            name: spec.name.clone(),
            attempt: self.state.record(slot).next_attempt(),
            image,
            command: env::expand_all(spec.command.as_ref(), &env),
            args: env::expand_all(spec.args.as_ref(), &env),
            env: env.into_iter().collect(),
            working_dir: spec.working_dir.clone().unwrap_or_default(),
            cred,
            limits: resources::container_limits(spec),
            mounts,
            ports: ports(spec),
            termination_message_path: spec
                .termination_message_path
                .clone()
                .filter(|path| !path.is_empty())
                .unwrap_or_else(|| DEFAULT_TERMINATION_LOG.to_owned()),
            ephemeral_storage_limit: resources::ephemeral_storage_limit(spec),
            read_only_root: spec.security_context.as_ref().and_then(|s| s.read_only_root_filesystem) == Some(true),
            output: None,
        })
    }

    /// Notes that the container cannot be made now and when it is tried again.
    fn fail(&mut self, slot: Slot, spec: &ContainerSpec, reason: &'static str, message: String, retry: Duration) {
        let told = match reason {
            "ErrImagePull" | "ErrImageNeverPull" => format!("Error: {reason}"),
            _ => format!("Error: {message}"),
        };
        self.event(Some(&spec.name), EventType::Warning, "Failed", told);
        let until = self.now() + retry;
        self.wait(slot, reason, message, until);
    }

    /// The container was made and its program does not run: an exit like any other for the restart policy.
    fn failed_to_start(
        &mut self,
        slot: Slot,
        spec: &ContainerSpec,
        container: &Container,
        error: &CriError,
        attempt: u32,
    ) {
        let message = error.to_string();
        self.event(Some(&spec.name), EventType::Warning, "Failed", format!("Error: {message}"));
        let (code, reason) = match container.state() {
            ContainerState::Exited(exited) => (exited.exit_code, exited.reason),
            ContainerState::Created | ContainerState::Running { .. } => (START_ERROR_CODE, "StartError"),
        };
        let (now, id) = (self.now(), container.id().to_owned());
        let reason = reason.to_owned();
        let change = ContainerChange::Exited { attempt, code, reason: reason.clone(), message: message.clone() };
        let exit = Exit { id, code, reason, message, started_at: now, finished_at: now };
        self.state.record_mut(slot).note_failed_start(exit);
        self.shared.observer.container(&self.reference, &spec.name, &change);
    }

    /// Sends the end of a run to the mailbox.
    fn watch(&self, slot: Slot, spec: &ContainerSpec, container: Arc<Container>) {
        let mailbox = self.mailbox.clone();
        let name = format!("{}/{} (watch)", self.reference.name, container.name());
        let from_log = spec.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
        let containers = self.plan.init.len() + self.plan.containers.len();
        let limit = (MAX_POD_MESSAGES / containers.max(1)).min(MAX_TERMINATION_MESSAGE);
        self.shared.sim.spawn(name, async move {
            let exited = container.wait().await;
            let mut message = container.termination_message();
            if message.is_empty() && from_log && exited.exit_code != 0 {
                message = container.log().tail(FALLBACK_LINES, FALLBACK_BYTES);
            }
            message.truncate(limit);
            let message = String::from_utf8_lossy(&message).into_owned();
            mailbox.send(Message::Exited { slot, id: container.id().to_owned(), exited, message });
        });
    }
}

fn ports(spec: &ContainerSpec) -> Vec<Port> {
    let one = |port: &k8s_openapi::api::core::v1::ContainerPort| {
        let protocol = if port.protocol.as_deref() == Some("UDP") { Protocol::Udp } else { Protocol::Tcp };
        let number = u16::try_from(port.container_port).ok()?;
        Some(Port { name: port.name.clone().filter(|name| !name.is_empty()), port: number, protocol })
    };
    spec.ports.iter().flatten().filter_map(one).collect()
}

/// Tells the observer once that a run has started: the worker does, or the first line of output, if that is faster. So nobody
/// hears from a container that has not started.
struct Announce {
    pod: PodRef,
    container: String,
    attempt: u32,
    observer: Arc<dyn Observer>,
    done: Mutex<bool>,
}

impl Announce {
    fn new(pod: &PodRef, container: &str, attempt: u32, observer: Arc<dyn Observer>) -> Arc<Self> {
        let (pod, container) = (pod.clone(), container.to_owned());
        Arc::new(Self { pod, container, attempt, observer, done: Mutex::new(false) })
    }

    fn started(&self) {
        let mut done = self.done.lock(); // held while telling, so that the one who comes second comes after it
        if !std::mem::replace(&mut *done, true) {
            self.observer.container(&self.pod, &self.container, &ContainerChange::Started { attempt: self.attempt });
        }
    }
}

/// Passes a container's lines on to the observer.
struct Output {
    announce: Arc<Announce>,
}

impl OutputSink for Output {
    fn line(&self, stream: StdStream, line: &[u8], partial: bool) {
        let stream = match stream {
            StdStream::Stdout => OutputStream::Stdout,
            StdStream::Stderr => OutputStream::Stderr,
        };
        self.announce.started();
        let Announce { pod, container, observer, .. } = &*self.announce;
        observer.output(pod, container, stream, line, partial);
    }
}
