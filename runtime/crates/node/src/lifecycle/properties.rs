//! Random manifests and random ends of containers: what never may happen, does not.

use std::time::Duration;

use proptest::prelude::*;
use wasmpod_sim::Instant;

use super::actions::{Action, actions};
use super::phase::{self, Phase};
use super::plan::{PodPlan, RestartPolicy, Slot, tests::plan};
use super::state::{Cause, Exit, PodState, SandboxState, Stage, Volumes, Waiting};

/// What happens when the worker waits.
#[derive(Debug, Clone)]
enum Happens {
    /// The n-th running container ends with this code after so many seconds.
    Exit(usize, i32, u64),
    /// Time passes.
    Wait(u64),
    /// Somebody stops the pod.
    Stop,
}

/// How an effect turns out.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Works,
    Fails,
    /// The container is created, and its program cannot be started.
    StartError,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        8 => (0usize..4, prop_oneof![Just(0), Just(1), Just(137)], 0u64..700).prop_map(|(n, c, s)| Happens::Exit(n, c, s)),
        3 => (0u64..400).prop_map(Happens::Wait),
        1 => Just(Happens::Stop),
    ]
}

fn policy() -> impl Strategy<Value = RestartPolicy> {
    prop_oneof![Just(RestartPolicy::Always), Just(RestartPolicy::OnFailure), Just(RestartPolicy::Never)]
}

/// A worker whose effects are made up.
struct Model {
    plan: PodPlan,
    state: PodState,
    now: Instant,
    outcomes: Vec<Outcome>,
    starts: Vec<(Slot, Instant)>,
}

impl Model {
    fn exit(&self, code: i32) -> Exit {
        let (id, reason, message) = ("i".to_owned(), "Error".to_owned(), String::new());
        Exit { id, code, reason, message, started_at: self.now, finished_at: self.now }
    }

    /// Does everything there is to do now; returns when to look again.
    fn settle(&mut self) -> Option<Instant> {
        for _ in 0..64 {
            let list = actions(&self.plan, &self.state, self.now);
            let wake = list.iter().filter_map(|a| if let Action::WakeAt(at) = a { Some(*at) } else { None }).min();
            assert!(wake.is_none_or(|at| at > self.now), "a wake-up in the past would spin");
            let before = self.state.clone();
            for action in list {
                self.apply(action);
            }
            if self.state == before {
                return wake;
            }
        }
        panic!("the worker never comes to rest: {:?}", self.state);
    }

    fn apply(&mut self, action: Action) {
        let until = self.now + Duration::from_secs(10);
        let message = String::new();
        let outcome = self.outcomes.pop().unwrap_or(Outcome::Works);
        match (action, outcome) {
            (Action::MountVolumes, Outcome::Works) => self.state.volumes = Volumes::Mounted,
            (Action::MountVolumes, _) => {
                self.state.volumes = Volumes::Failed { message, delay: Duration::from_secs(10), until };
            }
            (Action::CreateSandbox, Outcome::Works) => self.state.sandbox = SandboxState::Ready { ips: Vec::new() },
            (Action::CreateSandbox, _) => self.state.sandbox = SandboxState::Failed { message, until },
            (Action::Start(slot), outcome) => self.start(slot, outcome, until),
            (Action::BackOff { slot, until, .. }, _) => {
                self.state.record_mut(slot).waiting = Some(Waiting { reason: "CrashLoopBackOff", message, until });
            }
            (Action::Terminate { cause, grace }, _) => {
                self.state.stage = Stage::Terminating { cause, grace };
                let running: Vec<Slot> =
                    self.state.records().filter(|(_, record)| record.run.is_running()).map(|(slot, _)| slot).collect();
                for slot in running {
                    let exit = self.exit(143);
                    self.state.record_mut(slot).note_exit(exit);
                }
            }
            (Action::CleanUp, _) => {
                let Stage::Terminating { cause, .. } = self.state.stage else { panic!("clean-up of a live pod") };
                assert!(!self.state.any_running(), "cleaned up under a running container");
                self.state.stage = Stage::Terminated { cause };
            }
            (Action::WakeAt(_), _) => {}
        }
    }

    fn start(&mut self, slot: Slot, outcome: Outcome, until: Instant) {
        assert!(matches!(self.state.stage, Stage::Syncing), "start in {:?}", self.state.stage);
        let policy = self.plan.policy(slot);
        let record = self.state.record(slot);
        assert!(!record.run.is_running(), "{slot:?} started twice");
        if let Some(exit) = record.run.exit() {
            assert!(policy.restarts(exit.code), "{slot:?} restarted against its policy");
            let (restarts, since) = (record.restarts, self.now.saturating_since(exit.finished_at));
            assert!(record.back_off.holds(exit.finished_at, self.now).is_none(), "{restarts} {since:?}");
        }
        let inits_done = self.state.init.iter().all(|record| record.succeeded());
        match slot {
            Slot::Main(_) => assert!(inits_done, "an app container before its init containers"),
            Slot::Init(n) => {
                assert!(self.state.init[..n].iter().all(|record| record.succeeded()), "init containers out of order");
            }
        }
        self.starts.push((slot, self.now));
        let (now, exit) = (self.now, self.exit(128));
        let record = self.state.record_mut(slot);
        match outcome {
            Outcome::Works => record.note_started("i".into(), now),
            Outcome::StartError => record.note_failed_start(exit),
            Outcome::Fails => {
                record.waiting = Some(Waiting { reason: "CreateContainerConfigError", message: String::new(), until });
            }
        }
    }

    fn happens(&mut self, what: Happens, wake: Option<Instant>) {
        match what {
            Happens::Exit(n, code, after) => {
                let running: Vec<Slot> =
                    self.state.records().filter(|(_, record)| record.run.is_running()).map(|(slot, _)| slot).collect();
                self.now = self.now + Duration::from_secs(after);
                if !running.is_empty() {
                    let exit = self.exit(code);
                    self.state.record_mut(running[n % running.len()]).note_exit(exit);
                }
            }
            Happens::Wait(seconds) => {
                let at = self.now + Duration::from_secs(seconds);
                self.now = wake.map_or(at, |wake| wake.min(at)).max(self.now);
            }
            Happens::Stop => {
                if matches!(self.state.stage, Stage::Syncing) {
                    self.apply(Action::Terminate { cause: Cause::Stopped, grace: self.plan.grace });
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn no_impossible_life(
        policy in policy(),
        init in 0usize..3,
        main in 1usize..4,
        deadline in proptest::option::of(1u64..2_000),
        outcomes in proptest::collection::vec(
            prop_oneof![6 => Just(Outcome::Works), 1 => Just(Outcome::Fails), 1 => Just(Outcome::StartError)], 0..40),
        story in proptest::collection::vec(happens(), 0..60),
    ) {
        let mut plan = plan(policy, init, main);
        plan.active_deadline = deadline.map(Duration::from_secs);
        let state = PodState::new(&plan, Instant::ZERO);
        let mut model = Model { plan, state, now: Instant::ZERO, outcomes, starts: Vec::new() };
        let mut last: Option<Phase> = None;
        let mut restarts = vec![0; init + main];
        for what in story {
            let wake = model.settle();
            let phase = phase::reported(&model.plan, &model.state);
            if let Some(last) = last.filter(|phase| phase.is_terminal()) {
                prop_assert_eq!(last, phase, "a terminal phase changed");
            }
            prop_assert_eq!(phase.is_terminal(), matches!(model.state.stage, Stage::Terminated { .. }));
            let now: Vec<u32> = model.state.records().map(|(_, record)| record.restarts).collect();
            prop_assert!(restarts.iter().zip(&now).all(|(before, now)| before <= now), "restartCount fell");
            if policy == RestartPolicy::Never {
                prop_assert!(now.iter().all(|n| *n == 0), "Never restarts never");
            }
            (last, restarts) = (Some(phase), now);
            model.happens(what, wake);
        }
    }

    /// A container that always fails after `run` seconds meets the kubelet's delays, counted from its exits.
    #[test]
    fn delays_never_shrink_while_it_fails_fast(run in 0u64..250) {
        let plan = plan(RestartPolicy::OnFailure, 0, 1);
        let state = PodState::new(&plan, Instant::ZERO);
        let mut model = Model { plan, state, now: Instant::ZERO, outcomes: Vec::new(), starts: Vec::new() };
        for _ in 0..10 {
            while let Some(wake) = model.settle() {
                model.now = wake;
            }
            model.happens(Happens::Exit(0, 1, run), None);
        }
        let waits: Vec<u64> = model.starts.windows(2).map(|w| (w[1].1 - w[0].1).as_secs().saturating_sub(run)).collect();
        prop_assert_eq!(&waits[..9], &[0, 10, 20, 40, 80, 160, 300, 300, 300]);
    }
}
