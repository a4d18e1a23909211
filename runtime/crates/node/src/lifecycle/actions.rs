//! What a pod worker does next (pkg/kubelet/kuberuntime/kuberuntime_manager.go `computePodActions`), as a pure function of the
//! plan, the state and the time. The worker carries the actions out in order, notes what came of them and asks again.

use std::time::Duration;

use wasmpod_sim::Instant;

use super::phase;
use super::plan::{PodPlan, Slot};
use super::state::{Cause, ContainerRecord, PodState, Run, SandboxState, Stage, Volumes};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Set all volumes up.
    MountVolumes,
    /// Make the sandbox: network, hostname, cgroup.
    CreateSandbox,
    /// Create and start a container.
    Start(Slot),
    /// Note that a container waits for its back-off, and say so.
    BackOff {
        /// The container.
        slot: Slot,
        /// The whole delay.
        delay: Duration,
        /// When it ends.
        until: Instant,
    },
    /// Stop what runs, and leave the syncing stage.
    Terminate {
        /// Why.
        cause: Cause,
        /// Time between SIGTERM and SIGKILL.
        grace: Duration,
    },
    /// Take the sandbox and the volumes down: the end.
    CleanUp,
    /// Look again at this time, if nothing happens before.
    WakeAt(Instant),
}

/// What to do at `now`. Nothing to do means: wait until something happens.
pub fn actions(plan: &PodPlan, state: &PodState, now: Instant) -> Vec<Action> {
    match state.stage {
        Stage::Syncing => sync(plan, state, now),
        Stage::Terminating { .. } if state.any_running() => Vec::new(),
        Stage::Terminating { .. } => vec![Action::CleanUp],
        Stage::Terminated { .. } => Vec::new(),
    }
}

fn sync(plan: &PodPlan, state: &PodState, now: Instant) -> Vec<Action> {
    let deadline = plan.active_deadline.map(|limit| state.started_at + limit);
    if phase::computed(plan, state).is_terminal() {
        return vec![Action::Terminate { cause: Cause::Finished, grace: plan.grace }];
    }
    if deadline.is_some_and(|at| at <= now) {
        return vec![Action::Terminate { cause: Cause::DeadlineExceeded, grace: plan.grace }];
    }
    let mut out = next_steps(plan, state, now);
    if let Some(at) = deadline {
        out.push(Action::WakeAt(at));
    }
    out
}

fn next_steps(plan: &PodPlan, state: &PodState, now: Instant) -> Vec<Action> {
    match &state.volumes {
        Volumes::Failed { until, .. } if *until > now => return vec![Action::WakeAt(*until)],
        Volumes::Unmounted | Volumes::Failed { .. } => return vec![Action::MountVolumes],
        Volumes::Mounted => {}
    }
    match &state.sandbox {
        SandboxState::Failed { until, .. } if *until > now => return vec![Action::WakeAt(*until)],
        SandboxState::None | SandboxState::Failed { .. } => return vec![Action::CreateSandbox],
        SandboxState::Ready { .. } => {}
        SandboxState::Stopped { .. } => return Vec::new(),
    }
    let mut out = Vec::new();
    // one init container at a time: the first that has not succeeded
    if let Some(index) = state.init.iter().position(|record| !record.succeeded()) {
        start_if_due(plan, &state.init[index], Slot::Init(index), now, &mut out);
        return out;
    }
    for (index, record) in state.containers.iter().enumerate() {
        start_if_due(plan, record, Slot::Main(index), now, &mut out);
    }
    out
}

fn start_if_due(plan: &PodPlan, record: &ContainerRecord, slot: Slot, now: Instant, out: &mut Vec<Action>) {
    let held = record.waiting.as_ref().filter(|waiting| waiting.until > now).map(|waiting| waiting.until);
    match &record.run {
        Run::Running { .. } => {}
        Run::None => out.push(held.map_or(Action::Start(slot), Action::WakeAt)),
        Run::Exited(exit) if !plan.policy(slot).restarts(exit.code) => {}
        Run::Exited(_) if held.is_some() => out.extend(held.map(Action::WakeAt)),
        Run::Exited(exit) => match record.back_off.holds(exit.finished_at, now) {
            Some((delay, until)) => {
                out.push(Action::BackOff { slot, delay, until });
                out.push(Action::WakeAt(until));
            }
            None => out.push(Action::Start(slot)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::RestartPolicy;
    use super::super::plan::tests::plan;
    use super::super::state::Exit;
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn exited(code: i32, finished_at: Instant) -> Run {
        let (id, reason, message) = ("i".to_owned(), "Error".to_owned(), String::new());
        Run::Exited(Exit { id, code, reason, message, started_at: finished_at, finished_at })
    }

    fn ready(plan: &PodPlan) -> PodState {
        let mut state = PodState::new(plan, at(0));
        state.volumes = Volumes::Mounted;
        state.sandbox = SandboxState::Ready { ips: Vec::new() };
        state
    }

    #[test]
    fn a_pod_comes_up_in_order() {
        let plan = plan(RestartPolicy::Always, 2, 2);
        let mut state = PodState::new(&plan, at(0));
        assert_eq!(actions(&plan, &state, at(0)), [Action::MountVolumes]);
        state.volumes = Volumes::Mounted;
        assert_eq!(actions(&plan, &state, at(0)), [Action::CreateSandbox]);
        state.sandbox = SandboxState::Ready { ips: Vec::new() };
        assert_eq!(actions(&plan, &state, at(0)), [Action::Start(Slot::Init(0))]);
        state.init[0].note_started("a".into(), at(1));
        assert_eq!(actions(&plan, &state, at(1)), []);
        state.init[0].run = exited(0, at(2));
        assert_eq!(actions(&plan, &state, at(2)), [Action::Start(Slot::Init(1))]);
        state.init[1].run = exited(0, at(3));
        assert_eq!(actions(&plan, &state, at(3)), [Action::Start(Slot::Main(0)), Action::Start(Slot::Main(1))]);
    }

    #[test]
    fn an_init_container_that_fails_is_tried_again_or_ends_the_pod() {
        for (policy, expected) in [
            (RestartPolicy::Always, Action::Start(Slot::Init(0))),
            (RestartPolicy::OnFailure, Action::Start(Slot::Init(0))),
            (RestartPolicy::Never, Action::Terminate { cause: Cause::Finished, grace: Duration::from_secs(30) }),
        ] {
            let plan = plan(policy, 1, 1);
            let mut state = ready(&plan);
            state.init[0].run = exited(1, at(1));
            assert_eq!(actions(&plan, &state, at(1)), [expected], "{policy:?}");
        }
    }

    #[test]
    fn a_crash_loop_backs_off_from_its_second_exit() {
        let plan = plan(RestartPolicy::Always, 0, 1);
        let mut state = ready(&plan);
        state.containers[0].run = exited(1, at(1));
        assert_eq!(actions(&plan, &state, at(1)), [Action::Start(Slot::Main(0))]);
        state.containers[0].note_started("b".into(), at(1));
        state.containers[0].run = exited(1, at(2));
        let (delay, until) = (Duration::from_secs(10), at(12));
        let held = [Action::BackOff { slot: Slot::Main(0), delay, until }, Action::WakeAt(until)];
        assert_eq!(actions(&plan, &state, at(2)), held);
        assert_eq!(actions(&plan, &state, at(12)), [Action::Start(Slot::Main(0))]);
    }

    #[test]
    fn the_deadline_ends_an_active_pod_but_not_a_finished_one() {
        let mut plan = plan(RestartPolicy::Never, 0, 1);
        plan.active_deadline = Some(Duration::from_secs(5));
        let mut state = ready(&plan);
        state.containers[0].note_started("a".into(), at(0));
        assert_eq!(actions(&plan, &state, at(1)), [Action::WakeAt(at(5))]);
        let ended = |cause| [Action::Terminate { cause, grace: Duration::from_secs(30) }];
        assert_eq!(actions(&plan, &state, at(5)), ended(Cause::DeadlineExceeded));
        state.containers[0].run = exited(0, at(4));
        assert_eq!(actions(&plan, &state, at(5)), ended(Cause::Finished));
    }

    #[test]
    fn a_pod_that_ends_waits_for_what_runs_and_then_cleans_up() {
        let plan = plan(RestartPolicy::Always, 0, 2);
        let mut state = ready(&plan);
        state.containers[0].note_started("a".into(), at(0));
        state.containers[1].run = exited(1, at(0));
        state.stage = Stage::Terminating { cause: Cause::Stopped, grace: plan.grace };
        assert_eq!(actions(&plan, &state, at(1)), []);
        state.containers[0].run = exited(0, at(2));
        assert_eq!(actions(&plan, &state, at(2)), [Action::CleanUp]);
        state.stage = Stage::Terminated { cause: Cause::Stopped };
        assert_eq!(actions(&plan, &state, at(3)), []);
    }
}
