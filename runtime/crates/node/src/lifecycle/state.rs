//! What has happened to a pod so far. The pod worker is its only writer; the decisions read it.

use std::net::IpAddr;
use std::time::Duration;

use wasmpod_sim::Instant;

use super::back_off::BackOff;
use super::plan::{PodPlan, Slot};

/// How a run of a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// The runtime's id of the run.
    pub id: String,
    /// The exit code, 128 + n for signal n.
    pub code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, ….
    pub reason: String,
    /// What the container or the runtime said at its end; may be empty.
    pub message: String,
    /// When it started.
    pub started_at: Instant,
    /// When it ended.
    pub finished_at: Instant,
}

impl Exit {
    /// True for exit code 0.
    pub const fn is_success(&self) -> bool {
        self.code == 0
    }
}

/// The newest run of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Run {
    /// There was none.
    #[default]
    None,
    /// It runs.
    Running {
        /// The runtime's id of the run.
        id: String,
        /// When it started.
        started_at: Instant,
    },
    /// It ended.
    Exited(Exit),
}

impl Run {
    /// True while it runs.
    pub const fn is_running(&self) -> bool {
        matches!(self, Self::Running { .. })
    }

    /// Its end, if it has ended.
    pub const fn exit(&self) -> Option<&Exit> {
        match self {
            Self::Exited(exit) => Some(exit),
            _ => None,
        }
    }
}

/// Why a container that should run does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// `CrashLoopBackOff`, `CreateContainerConfigError`, ….
    pub reason: &'static str,
    /// The error.
    pub message: String,
    /// When it is tried again.
    pub until: Instant,
}

/// A container's history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerRecord {
    /// The newest run.
    pub run: Run,
    /// The end of the run before it.
    pub last: Option<Exit>,
    /// How many runs came after the first.
    pub restarts: u32,
    /// Why the next start has not happened.
    pub waiting: Option<Waiting>,
    /// The crash loop's delay.
    pub back_off: BackOff,
    /// The image's id, once known.
    pub image_id: String,
}

impl ContainerRecord {
    /// True if the newest run ended with exit code 0.
    pub fn succeeded(&self) -> bool {
        self.run.exit().is_some_and(Exit::is_success)
    }

    /// The number of the next run, from 0.
    pub const fn next_attempt(&self) -> u32 {
        match self.run {
            Run::None => self.restarts,
            _ => self.restarts.saturating_add(1),
        }
    }

    /// Notes that a run began.
    pub fn note_started(&mut self, id: String, started_at: Instant) {
        self.begin(started_at);
        self.run = Run::Running { id, started_at };
    }

    /// Notes a run that ended before its program ran (`RunContainerError`).
    pub fn note_failed_start(&mut self, exit: Exit) {
        self.begin(exit.started_at);
        self.run = Run::Exited(exit);
    }

    /// Notes the end of the newest run.
    pub fn note_exit(&mut self, exit: Exit) {
        self.run = Run::Exited(exit);
    }

    fn begin(&mut self, now: Instant) {
        self.restarts = self.next_attempt();
        if let Run::Exited(exit) = std::mem::take(&mut self.run) {
            self.back_off.advance(exit.finished_at, now);
            self.last = Some(exit);
        }
        self.waiting = None;
    }
}

/// Why a pod's containers are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its containers have ended for good; what is left is taken down.
    Finished,
    /// `activeDeadlineSeconds` has passed.
    DeadlineExceeded,
    /// Somebody asked for it.
    Stopped,
}

/// Where a pod is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// It is being brought to what its manifest says.
    #[default]
    Syncing,
    /// Its containers are being stopped.
    Terminating {
        /// Why.
        cause: Cause,
        /// Time between SIGTERM and SIGKILL.
        grace: Duration,
    },
    /// Nothing of it runs, and never will again.
    Terminated {
        /// Why it came to its end.
        cause: Cause,
    },
}

/// The volumes of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Volumes {
    /// Not tried yet.
    #[default]
    Unmounted,
    /// One of them could not be set up.
    Failed {
        /// Why.
        message: String,
        /// The delay of this retry.
        delay: Duration,
        /// When it is tried again.
        until: Instant,
    },
    /// All there.
    Mounted,
}

/// The sandbox of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SandboxState {
    /// Not made yet.
    #[default]
    None,
    /// Could not be made.
    Failed {
        /// Why.
        message: String,
        /// When it is tried again.
        until: Instant,
    },
    /// Up, with these addresses.
    Ready {
        /// IPv4 first.
        ips: Vec<IpAddr>,
    },
    /// Taken down; the addresses it had.
    Stopped {
        /// IPv4 first.
        ips: Vec<IpAddr>,
    },
}

impl SandboxState {
    /// The addresses it has or had.
    pub fn ips(&self) -> &[IpAddr] {
        match self {
            Self::Ready { ips } | Self::Stopped { ips } => ips,
            _ => &[],
        }
    }
}

/// All that has happened to a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodState {
    /// Where it is in its life.
    pub stage: Stage,
    /// When the node first saw it.
    pub started_at: Instant,
    /// Its volumes.
    pub volumes: Volumes,
    /// Its sandbox.
    pub sandbox: SandboxState,
    /// The init containers' histories, in the plan's order.
    pub init: Vec<ContainerRecord>,
    /// The regular containers' histories, in the plan's order.
    pub containers: Vec<ContainerRecord>,
}

impl PodState {
    /// A pod of which nothing has happened, first seen at `now`.
    pub fn new(plan: &PodPlan, now: Instant) -> Self {
        Self {
            stage: Stage::Syncing,
            started_at: now,
            volumes: Volumes::Unmounted,
            sandbox: SandboxState::None,
            init: vec![ContainerRecord::default(); plan.init.len()],
            containers: vec![ContainerRecord::default(); plan.containers.len()],
        }
    }

    /// The history of the container of `slot`.
    pub fn record(&self, slot: Slot) -> &ContainerRecord {
        match slot {
            Slot::Init(index) => &self.init[index],
            Slot::Main(index) => &self.containers[index],
        }
    }

    /// The history of the container of `slot`, to change it.
    pub fn record_mut(&mut self, slot: Slot) -> &mut ContainerRecord {
        match slot {
            Slot::Init(index) => &mut self.init[index],
            Slot::Main(index) => &mut self.containers[index],
        }
    }

    /// Each container's slot and history, init containers first.
    pub fn records(&self) -> impl Iterator<Item = (Slot, &ContainerRecord)> {
        let init = self.init.iter().enumerate().map(|(index, record)| (Slot::Init(index), record));
        init.chain(self.containers.iter().enumerate().map(|(index, record)| (Slot::Main(index), record)))
    }

    /// True while any container runs.
    pub fn any_running(&self) -> bool {
        self.records().any(|(_, record)| record.run.is_running())
    }
}
