//! The pod's phase (pkg/kubelet/kubelet_pods.go `getPhase`; kubelet-semantics section 5), without sidecars, which are refused.

use std::fmt;

use super::plan::{PodPlan, Slot};
use super::state::{Cause, ContainerRecord, PodState, Run, Stage};

/// `status.phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not all containers have started.
    Pending,
    /// Something runs or will run again.
    Running,
    /// All containers ended with exit code 0. Final.
    Succeeded,
    /// A container failed for good, or the pod was ended. Final.
    Failed,
}

impl Phase {
    /// As Kubernetes writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }

    /// True if it never changes again.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The phase to report. A pod is not reported as ended while anything of it may still run.
pub fn reported(plan: &PodPlan, state: &PodState) -> Phase {
    match state.stage {
        Stage::Terminated { cause: Cause::DeadlineExceeded } => Phase::Failed,
        Stage::Terminated { cause: Cause::Stopped } => ended(state),
        Stage::Terminated { cause: Cause::Finished } => computed(plan, state),
        Stage::Syncing | Stage::Terminating { .. } => match computed(plan, state) {
            phase if phase.is_terminal() => active(state),
            phase => phase,
        },
    }
}

/// The phase that the containers alone give.
pub fn computed(plan: &PodPlan, state: &PodState) -> Phase {
    let policy = plan.restart_policy;
    let mut pending_init = false;
    for (index, record) in state.init.iter().enumerate() {
        match initialised(record) {
            Init::Pending => pending_init = true,
            Init::Done => {}
            Init::Failed if plan.policy(Slot::Init(index)).restarts(1) => pending_init = true,
            Init::Failed => return Phase::Failed,
        }
    }
    let (mut waiting, mut running, mut stopped, mut succeeded, mut restarts) = (0, 0, 0, 0, 0);
    for record in &state.containers {
        match &record.run {
            Run::None => waiting += 1,
            Run::Running { .. } => running += 1,
            Run::Exited(exit) => {
                stopped += 1;
                succeeded += usize::from(exit.is_success());
                restarts += usize::from(policy.restarts(exit.code));
            }
        }
    }
    match () {
        () if pending_init || waiting > 0 => Phase::Pending,
        () if running > 0 => Phase::Running,
        () if stopped == 0 => Phase::Pending,
        () if restarts > 0 => Phase::Running,
        () if succeeded == stopped => Phase::Succeeded,
        () => Phase::Failed,
    }
}

/// The phase of a pod that somebody stopped: it succeeded if every regular container ended with exit code 0.
fn ended(state: &PodState) -> Phase {
    if state.containers.iter().all(ContainerRecord::succeeded) { Phase::Succeeded } else { Phase::Failed }
}

/// What is shown of a pod that has come to its end while it is still being taken down.
fn active(state: &PodState) -> Phase {
    if state.containers.iter().any(|record| record.run != Run::None) { Phase::Running } else { Phase::Pending }
}

enum Init {
    Pending,
    Done,
    Failed,
}

fn initialised(record: &ContainerRecord) -> Init {
    match &record.run {
        Run::Exited(exit) if exit.is_success() => Init::Done,
        Run::Exited(_) => Init::Failed,
        Run::None | Run::Running { .. } => Init::Pending,
    }
}
