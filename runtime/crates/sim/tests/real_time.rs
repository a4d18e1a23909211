//! The real world: the same promises as in virtual time, but for the order of tasks and the speed of the clock. Nothing here
//! measures time; waits are a millisecond, so that the timer is used at all.
#![cfg(feature = "real")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wasmpod_sim::{Elapsed, HostSignal, HostSignals, Instant, Sim, TaskError};

fn world() -> Sim {
    Sim::new_real(Some(1), 2).expect("a runtime starts")
}

#[test]
fn a_sleep_waits_and_may_be_made_outside_of_the_runtime() {
    let sim = world();
    let before = sim.clock().now();
    let sleep = sim.clock().sleep(Duration::from_millis(1));
    sim.block_on(sleep).expect("it runs");
    assert!(sim.clock().now() >= before + Duration::from_millis(1));
    assert!(!sim.is_virtual());
}

#[test]
fn a_timeout_ends_what_never_ends() {
    let sim = world();
    let clock = sim.clock().clone();
    let result = sim.block_on(async {
        let never = clock.timeout(Duration::from_millis(1), clock.sleep_until(Instant::FAR_FUTURE)).await;
        let at_once = clock.timeout(Duration::from_secs(3_600), async { 7 }).await;
        (never, at_once)
    });
    assert_eq!(result.expect("it runs"), (Err(Elapsed), Ok(7)));
}

#[test]
fn tasks_end_well_by_panic_or_by_abort() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    let (sim, dropped) = (world(), Arc::new(AtomicBool::new(false)));
    let guard = Dropped(dropped.clone());
    let well = sim.spawn("well", async { 5 });
    let panics = sim.spawn("panics", async { panic!("bad {}", 1) });
    let victim = sim.spawn("victim", async move {
        let _guard = guard;
        std::future::pending::<()>().await;
    });
    victim.abort();
    let result: (Result<i32, _>, Result<(), _>, Result<(), _>, bool) = sim
        .block_on(async {
            let (well, panics, victim) = (well.await, panics.await, victim.await);
            (well, panics, victim, dropped.load(Ordering::Acquire))
        })
        .expect("it runs");
    assert_eq!(result, (Ok(5), Err(TaskError::Panicked("bad 1".to_owned())), Err(TaskError::Aborted), true));
}

#[test]
fn a_destructor_that_panics_ends_its_own_task_only() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    let sim = world();
    let bomb = Bomb;
    let victim = sim.spawn("victim", async move {
        let _bomb = bomb;
        std::future::pending::<()>().await;
    });
    let lives = sim.spawn("lives", async { 5 });
    let result = sim.block_on(async {
        victim.abort();
        (victim.await, lives.await)
    });
    assert_eq!(result.expect("both are heard of"), (Err(TaskError::Aborted), Ok(5)));
}

#[test]
fn blocking_work_runs_elsewhere_and_its_panic_is_contained() {
    let sim = world();
    let here = std::thread::current().id();
    let result = sim.block_on(async {
        let thread = sim.spawn_blocking(|| std::thread::current().id()).await;
        (thread.is_ok_and(|thread| thread != here), sim.spawn_blocking(|| -> u8 { panic!("bad") }).await)
    });
    assert_eq!(result.expect("it runs"), (true, Err(TaskError::Panicked("bad".to_owned()))));
}

#[test]
fn tasks_that_are_left_are_told_when_the_world_ends() {
    let sim = world();
    let handle = sim.spawn("left", std::future::pending::<()>());
    drop(sim);
    assert!(handle.is_finished());
}

#[test]
fn compute_takes_no_time_of_its_own_and_streams_follow_the_seed() {
    let sim = world();
    sim.block_on(sim.compute(u64::MAX)).expect("the host has already computed");
    let same = Sim::new_virtual(1);
    assert_eq!(sim.entropy().stream("a").next_u64(), same.entropy().stream("a").next_u64());
    let (one, two) = (Sim::new_real(None, 0).expect("starts"), Sim::new_real(None, 1).expect("starts"));
    assert_ne!(one.entropy().stream("a").next_u64(), two.entropy().stream("a").next_u64());
}

/// Not run, for it would take Ctrl-C away from the test runner; it must compile on every system.
#[expect(dead_code, reason = "compiled only")]
async fn signals_of_the_host(mut signals: HostSignals) -> bool {
    let again = HostSignals::listen().is_ok();
    matches!(signals.next().await, HostSignal::Interrupt | HostSignal::Terminate) && again
}
