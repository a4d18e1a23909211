//! The state of a pod as Kubernetes shows it (pkg/kubelet/kubelet_pods.go `generateAPIPodStatus`, `convertToAPIContainerStatuses`).
//!
//! Owns phase, reason, addresses, start time and container statuses. Conditions are not made yet: they come with probes.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use wasmpod_sim::{Instant, UnixNanos};

use super::phase;
use super::plan::{PodPlan, Slot};
use super::state::{Cause, ContainerRecord, Exit, PodState, Run, Stage};

/// `status.reason` of a pod past its `activeDeadlineSeconds`.
pub const DEADLINE_REASON: &str = "DeadlineExceeded";
/// `status.message` of a pod past its `activeDeadlineSeconds`.
pub const DEADLINE_MESSAGE: &str = "Pod was active on the node longer than the specified deadline";
/// The scheme of a container's id.
pub const ID_SCHEME: &str = "wasmpod://";

/// The wall clock at which the run began: what turns an [`Instant`] into a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(pub UnixNanos);

impl Epoch {
    /// `at` as Kubernetes writes times; beyond the calendar's end, its end.
    pub fn time(self, at: Instant) -> Time {
        Time(self.timestamp(at))
    }

    /// `at` on the wall clock.
    pub fn timestamp(self, at: Instant) -> Timestamp {
        let nanos = i128::from(self.0) + i128::from(at.as_nanos());
        Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::MAX)
    }
}

/// The status of a pod.
pub fn pod_status(plan: &PodPlan, state: &PodState, epoch: Epoch, host_ip: Option<&str>) -> core::PodStatus {
    let deadline = matches!(state.stage, Stage::Terminated { cause: Cause::DeadlineExceeded });
    let ips: Vec<String> = state.sandbox.ips().iter().map(ToString::to_string).collect();
    let list = |slots: Vec<Slot>| -> Vec<core::ContainerStatus> {
        slots.into_iter().map(|slot| container_status(plan, state, slot, epoch)).collect()
    };
    let init = list((0..plan.init.len()).map(Slot::Init).collect());
    let mut containers = list((0..plan.containers.len()).map(Slot::Main).collect());
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    core::PodStatus {
        phase: Some(phase::reported(plan, state).name().to_owned()),
        reason: deadline.then(|| DEADLINE_REASON.to_owned()),
        message: deadline.then(|| DEADLINE_MESSAGE.to_owned()),
        start_time: Some(epoch.time(state.started_at)),
        host_ip: host_ip.map(str::to_owned),
        pod_ip: ips.first().cloned(),
        pod_ips: (!ips.is_empty()).then(|| ips.into_iter().map(|ip| core::PodIP { ip }).collect()),
        init_container_statuses: (!init.is_empty()).then_some(init),
        container_statuses: (!containers.is_empty()).then_some(containers),
        ..Default::default()
    }
}

fn container_status(plan: &PodPlan, state: &PodState, slot: Slot, epoch: Epoch) -> core::ContainerStatus {
    let (container, record) = (plan.container(slot), state.record(slot));
    let running = record.run.is_running();
    let ready = match slot {
        Slot::Init(_) => record.succeeded(),
        Slot::Main(_) => running,
    };
    core::ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone(),
        image_id: record.image_id.clone(),
        container_id: match &record.run {
            Run::None => None,
            Run::Running { id, .. } => Some(format!("{ID_SCHEME}{id}")),
            Run::Exited(exit) => Some(format!("{ID_SCHEME}{}", exit.id)),
        },
        ready,
        started: Some(running),
        restart_count: i32::try_from(record.restarts).unwrap_or(i32::MAX),
        state: Some(current(plan, state, record, epoch)),
        last_state: last(record).map(|exit| terminated(exit, epoch)),
        ..Default::default()
    }
}

/// The run before the one that `state` shows: while the container waits to start again, that is the one that ended.
fn last(record: &ContainerRecord) -> Option<&Exit> {
    match (&record.waiting, &record.run) {
        (Some(_), Run::Exited(exit)) => Some(exit),
        _ => record.last.as_ref(),
    }
}

fn current(plan: &PodPlan, state: &PodState, record: &ContainerRecord, epoch: Epoch) -> core::ContainerState {
    let live = matches!(state.stage, Stage::Syncing);
    match (&record.run, &record.waiting) {
        (Run::Running { started_at, .. }, _) => {
            let running = core::ContainerStateRunning { started_at: Some(epoch.time(*started_at)) };
            core::ContainerState { running: Some(running), ..Default::default() }
        }
        (Run::Exited(_) | Run::None, Some(why)) if live => waiting(why.reason, &why.message),
        (Run::Exited(exit), _) => terminated(exit, epoch),
        (Run::None, Some(why)) => waiting(why.reason, &why.message),
        (Run::None, None) if plan.init.is_empty() => waiting("ContainerCreating", ""),
        (Run::None, None) => waiting("PodInitializing", ""),
    }
}

fn waiting(reason: &str, message: &str) -> core::ContainerState {
    let message = (!message.is_empty()).then(|| message.to_owned());
    let waiting = core::ContainerStateWaiting { reason: Some(reason.to_owned()), message };
    core::ContainerState { waiting: Some(waiting), ..Default::default() }
}

fn terminated(exit: &Exit, epoch: Epoch) -> core::ContainerState {
    let terminated = core::ContainerStateTerminated {
        container_id: Some(format!("{ID_SCHEME}{}", exit.id)),
        exit_code: exit.code,
        finished_at: Some(epoch.time(exit.finished_at)),
        message: (!exit.message.is_empty()).then(|| exit.message.clone()),
        reason: Some(exit.reason.clone()),
        signal: None,
        started_at: Some(epoch.time(exit.started_at)),
    };
    core::ContainerState { terminated: Some(terminated), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::plan::RestartPolicy;
    use super::super::plan::tests::plan;
    use super::super::state::{SandboxState, Waiting};
    use super::*;

    const EPOCH: Epoch = Epoch(wasmpod_sim::time::VIRTUAL_EPOCH_NANOS);

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn exit(code: i32) -> Exit {
        let (id, reason, message) = ("r1".to_owned(), "Error".to_owned(), "boom".to_owned());
        Exit { id, code, reason, message, started_at: at(1), finished_at: at(2) }
    }

    fn show(plan: &PodPlan, state: &PodState) -> serde_json::Value {
        serde_json::to_value(pod_status(plan, state, EPOCH, Some("192.168.0.1"))).unwrap()
    }

    #[test]
    fn a_new_pod_is_pending_and_says_why() {
        let plan = plan(RestartPolicy::Always, 0, 1);
        let status = show(&plan, &PodState::new(&plan, at(0)));
        assert_eq!(status["phase"], "Pending");
        assert_eq!(status["startTime"], "2026-01-01T00:00:00Z");
        assert_eq!(
            status["containerStatuses"][0]["state"],
            serde_json::json!({"waiting": {"reason": "ContainerCreating"}})
        );
    }

    #[test]
    fn a_crash_loop_shows_the_wait_and_the_last_exit() {
        let plan = plan(RestartPolicy::Always, 0, 1);
        let mut state = PodState::new(&plan, at(0));
        state.sandbox = SandboxState::Ready { ips: vec!["10.244.0.2".parse().unwrap()] };
        state.containers[0].note_started("r1".into(), at(1));
        state.containers[0].note_exit(exit(1));
        let status = show(&plan, &state);
        assert_eq!(status["containerStatuses"][0]["state"]["terminated"]["exitCode"], 1, "until the kubelet looks");
        let message = "back-off 10s restarting failed container=c0 pod=p_default(u)".to_owned();
        state.containers[0].waiting =
            Some(Waiting { reason: "CrashLoopBackOff", message: message.clone(), until: at(12) });
        let status = show(&plan, &state);
        assert_eq!((&status["phase"], &status["podIP"]), (&"Running".into(), &"10.244.0.2".into()));
        let container = &status["containerStatuses"][0];
        assert_eq!(
            container["state"]["waiting"],
            serde_json::json!({"reason": "CrashLoopBackOff", "message": message})
        );
        assert_eq!(container["lastState"]["terminated"]["exitCode"], 1);
        assert_eq!(container["lastState"]["terminated"]["finishedAt"], "2026-01-01T00:00:02Z");
        assert_eq!(container["containerID"], "wasmpod://r1");
    }

    #[test]
    fn the_deadline_is_told_at_the_end_only() {
        let plan = plan(RestartPolicy::Always, 0, 1);
        let mut state = PodState::new(&plan, at(0));
        state.containers[0].note_started("r1".into(), at(1));
        state.stage = Stage::Terminating { cause: Cause::DeadlineExceeded, grace: Duration::from_secs(30) };
        assert_eq!(show(&plan, &state)["phase"], "Running");
        state.containers[0].note_exit(exit(0));
        state.stage = Stage::Terminated { cause: Cause::DeadlineExceeded };
        let status = show(&plan, &state);
        assert_eq!((&status["phase"], &status["reason"]), (&"Failed".into(), &DEADLINE_REASON.into()));
        assert_eq!(status["message"], DEADLINE_MESSAGE);
    }
}
