//! The virtual world as its users see it: time, order, tasks that end in every way, and the report of a deadlock.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;
use wasmpod_sim::time::VIRTUAL_EPOCH_NANOS;
use wasmpod_sim::{BlockOnError, Elapsed, Instant, Sim, TaskError};

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, what: impl Into<String>) {
        self.0.lock().push(what.into());
    }
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

/// Yields to the other tasks once.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn idle_time_is_skipped_and_the_wall_clock_moves_along() {
    let sim = Sim::new_virtual(1);
    assert_eq!((sim.clock().now(), sim.clock().wall()), (Instant::ZERO, VIRTUAL_EPOCH_NANOS));
    let year = Duration::from_secs(365 * 86_400);
    sim.block_on(sim.clock().sleep(year)).expect("time passes");
    assert_eq!(sim.clock().now(), Instant::ZERO + year);
    assert_eq!(sim.clock().wall(), VIRTUAL_EPOCH_NANOS + 365 * 86_400 * 1_000_000_000);
    sim.block_on(sim.clock().sleep_until(Instant::from_nanos(5))).expect("the past is now");
    assert_eq!(sim.clock().now(), Instant::ZERO + year);
}

#[test]
fn compute_takes_fuel_over_speed_rounded_up() {
    let sim = Sim::new_virtual(1);
    for (speed, fuel, nanos) in
        [(1_000, 500, 500_000_000), (0, 2, 2_000_000_000), (u64::MAX, 1, 1), (3, 1, 333_333_334)]
    {
        sim.set_fuel_per_second(speed);
        let before = sim.clock().now();
        sim.block_on(sim.compute(fuel)).expect("time passes");
        assert_eq!((sim.clock().now() - before).as_nanos(), nanos, "{fuel} at {speed}");
    }
    let before = sim.clock().now();
    sim.block_on(sim.compute(0)).expect("nothing to wait for");
    assert_eq!(sim.clock().now(), before);
}

#[test]
fn a_timeout_ends_what_takes_too_long_and_nothing_else() {
    let sim = Sim::new_virtual(1);
    let clock = sim.clock().clone();
    let result = sim.block_on(async {
        let late = clock.timeout(Duration::from_millis(5), clock.sleep(Duration::from_millis(6))).await;
        let same_time = clock.timeout(Duration::from_millis(5), clock.sleep(Duration::from_millis(5))).await;
        let never = clock.timeout(Duration::from_millis(5), std::future::pending::<()>()).await;
        let at_once = clock.timeout(Duration::ZERO, async { 7 }).await;
        (late, same_time, never, at_once, clock.now())
    });
    let expected = (Err(Elapsed), Ok(()), Err(Elapsed), Ok(7), Instant::from_nanos(15_000_000));
    assert_eq!(result.expect("it ends"), expected);
}

#[test]
fn equal_deadlines_wake_in_the_order_in_which_they_were_set() {
    // one task holds all timers, so that the seeded choice among tasks has no part in it
    let sim = Sim::new_virtual(3);
    let clock = sim.clock().clone();
    struct Noted(Log, usize);
    impl std::task::Wake for Noted {
        fn wake(self: Arc<Self>) {
            self.0.add(self.1.to_string());
        }
    }
    let log = Log::default();
    let mut sleeps: Vec<_> = (0..4).map(|_| clock.sleep(Duration::from_secs(1))).collect();
    for (number, sleep) in sleeps.iter_mut().enumerate() {
        let waker = Arc::new(Noted(log.clone(), number)).into();
        assert!(pin!(sleep).poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    }
    sim.block_on(clock.sleep(Duration::from_secs(2))).expect("time passes");
    assert_eq!(log.take(), ["0", "1", "2", "3"]);
}

fn order_of_ten(seed: u64) -> Vec<String> {
    let (sim, log) = (Sim::new_virtual(seed), Log::default());
    let handles: Vec<_> = (0..10)
        .map(|number| {
            let log = log.clone();
            sim.spawn(format!("{number}"), async move {
                log.add(format!("{number}a"));
                yield_now().await;
                log.add(format!("{number}b"));
            })
        })
        .collect();
    sim.block_on(async {
        for handle in handles {
            handle.await.expect("ends well");
        }
    })
    .expect("all end");
    log.take()
}

#[test]
fn the_order_of_tasks_is_the_seed_s() {
    assert_eq!(order_of_ten(42), order_of_ten(42));
    let orders: std::collections::BTreeSet<_> = (0..8).map(order_of_ten).collect();
    assert_eq!(orders.len(), 8);
}

#[test]
fn a_deadlock_names_the_time_and_the_tasks() {
    let sim = Sim::new_virtual(1);
    let clock = sim.clock().clone();
    drop(sim.spawn("reader of pod/a", std::future::pending::<()>()));
    drop(sim.spawn("ends", async {}));
    drop(sim.spawn("writer of pod/b", async move {
        clock.sleep(Duration::from_millis(1_500)).await;
        std::future::pending::<()>().await;
    }));
    let error = sim.block_on(std::future::pending::<()>()).expect_err("nothing can happen");
    assert_eq!(
        error.to_string(),
        "deadlock at 1.500000000: nothing is runnable and no timer is set; waiting tasks: reader of pod/a, writer of pod/b"
    );
    let BlockOnError::Deadlock { at, .. } = error else { panic!("{error}") };
    assert_eq!(at, Instant::from_nanos(1_500_000_000));
}

#[test]
fn a_wait_for_ever_and_a_dropped_sleep_leave_no_timer() {
    let sim = Sim::new_virtual(1);
    let clock = sim.clock().clone();
    drop(sim.spawn("drops its sleep", async move {
        let mut sleep = Box::pin(clock.sleep(Duration::from_secs(60)));
        poll_fn(|cx| {
            assert!(sleep.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(sleep);
        clock.sleep_until(Instant::FAR_FUTURE).await;
    }));
    let error = sim.block_on(std::future::pending::<()>()).expect_err("nothing can happen");
    assert!(matches!(error, BlockOnError::Deadlock { at: Instant::ZERO, .. }), "{error}");
}

/// Sets a flag when dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_aborted_task_is_dropped_before_anyone_hears_of_it() {
    let sim = Sim::new_virtual(1);
    let dropped = Arc::new(AtomicBool::new(false));
    let guard = Dropped(dropped.clone());
    let handle = sim.spawn("victim", async move {
        let _guard = guard;
        std::future::pending::<()>().await;
    });
    let result = sim.block_on(async {
        yield_now().await;
        assert!(!handle.is_finished());
        handle.abort();
        let result = handle.await;
        (result, dropped.load(Ordering::Relaxed))
    });
    assert_eq!(result.expect("the abort is heard of"), (Err(TaskError::Aborted), true));
}

#[test]
fn an_abort_after_the_end_changes_nothing_and_a_second_wait_says_aborted() {
    let sim = Sim::new_virtual(1);
    let mut handle = sim.spawn("quick", async { 5 });
    let result = sim.block_on(async {
        yield_now().await;
        while !handle.is_finished() {
            yield_now().await;
        }
        handle.abort();
        ((&mut handle).await, (&mut handle).await)
    });
    assert_eq!(result.expect("both are answered"), (Ok(5), Err(TaskError::Aborted)));
}

#[test]
fn a_panic_ends_its_own_task_only() {
    let sim = Sim::new_virtual(1);
    let panics = sim.spawn("panics", async {
        yield_now().await;
        panic!("number {}", 7);
    });
    let lives = sim.spawn("lives", async {
        yield_now().await;
        "well"
    });
    let result = sim.block_on(async { (panics.await, lives.await) }).expect("both are heard of");
    assert_eq!(result, (Err(TaskError::Panicked("number 7".to_owned())), Ok("well")));
}

#[test]
fn a_destructor_that_panics_ends_its_own_task_only() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    let sim = Sim::new_virtual(1);
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
fn blocking_work_runs_in_place_and_its_panic_is_contained() {
    let sim = Sim::new_virtual(1);
    let here = std::thread::current().id();
    let result = sim.block_on(async {
        let thread = sim.spawn_blocking(|| std::thread::current().id()).await;
        let panic = sim.spawn_blocking(|| -> u8 { panic!("bad") }).await;
        (thread, panic, sim.clock().now())
    });
    let expected = (Ok(here), Err(TaskError::Panicked("bad".to_owned())), Instant::ZERO);
    assert_eq!(result.expect("it ends"), expected);
}

#[test]
fn tasks_that_are_left_are_dropped_with_the_run_also_those_that_their_end_starts() {
    let sim = Sim::new_virtual(1);
    let (first, second) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    struct SpawnsWhenDropped(Sim, Option<Dropped>);
    impl Drop for SpawnsWhenDropped {
        fn drop(&mut self) {
            let guard = self.1.take();
            drop(self.0.spawn("last", async move {
                let _guard = guard;
                std::future::pending::<()>().await;
            }));
        }
    }
    let (guard, last) = (Dropped(first.clone()), SpawnsWhenDropped(sim.clone(), Some(Dropped(second.clone()))));
    let handle = sim.spawn("left over", async move {
        let _held = (guard, last);
        std::future::pending::<()>().await;
    });
    sim.block_on(yield_now()).expect("it ends");
    assert!(first.load(Ordering::Relaxed) && second.load(Ordering::Relaxed));
    assert!(handle.is_finished());
    // and the same world can run again
    sim.block_on(sim.clock().sleep(Duration::from_secs(1))).expect("time passes");
    assert_eq!(sim.clock().now(), Instant::from_nanos(1_000_000_000));
}

#[test]
fn a_wake_from_another_thread_is_seen() {
    let sim = Sim::new_virtual(1);
    let shared = Arc::new(Mutex::new((false, None::<std::task::Waker>)));
    let (theirs, clock) = (shared.clone(), sim.clock().clone());
    let result = sim.block_on(async {
        // a task that is always runnable keeps the world from calling this a deadlock
        let busy = sim.spawn("busy", async move {
            loop {
                clock.sleep(Duration::from_millis(1)).await;
            }
        });
        let other = std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut guard = theirs.lock();
                guard.0 = true;
                if let Some(waker) = guard.1.take() {
                    waker.wake();
                }
            });
            poll_fn(|cx| {
                let mut guard = shared.lock();
                if guard.0 {
                    return Poll::Ready(());
                }
                guard.1 = Some(cx.waker().clone());
                Poll::Pending
            })
        });
        other.await;
        busy.abort();
    });
    result.expect("the wake is seen");
}

#[test]
fn instants_saturate_and_print_seconds() {
    let instant = Instant::from_nanos(1_000_000_001);
    assert_eq!(instant.to_string(), "1.000000001");
    assert_eq!(format!("{instant:?}"), "1.000000001s");
    assert_eq!(instant - Instant::from_nanos(5_000_000_000), Duration::ZERO);
    assert_eq!(instant + Duration::MAX, Instant::FAR_FUTURE);
}

proptest! {
    #[test]
    fn timers_fire_at_their_time_and_in_order(seed: u64, delays in prop::collection::vec(0u64..2_000, 1..40)) {
        let sim = Sim::new_virtual(seed);
        let fired = Arc::new(Mutex::new(Vec::new()));
        let handles: Vec<_> = delays.iter().map(|&delay| {
            let (fired, clock) = (fired.clone(), sim.clock().clone());
            sim.spawn("sleeper", async move {
                clock.sleep(Duration::from_nanos(delay)).await;
                fired.lock().push((delay, clock.now().as_nanos()));
            })
        }).collect();
        sim.block_on(async { for handle in handles { handle.await.expect("ends"); } }).expect("all end");
        let fired = fired.lock();
        prop_assert!(fired.iter().all(|(delay, at)| delay == at));
        prop_assert!(fired.is_sorted_by_key(|(_, at)| *at));
        prop_assert_eq!(fired.len(), delays.len());
    }
}

#[test]
fn the_hash_of_the_order_is_the_same_for_one_seed_and_another_for_another_order() {
    let run = |seed| {
        let sim = Sim::new_virtual(seed);
        let clock = sim.clock().clone();
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let clock = clock.clone();
                sim.spawn(format!("task {n}"), async move { clock.sleep(Duration::from_millis(1)).await })
            })
            .collect();
        sim.block_on(async {
            for task in tasks {
                task.await.expect("it ends");
            }
        })
        .expect("no deadlock");
        sim.order().expect("time is virtual")
    };
    let (polls, hash) = run(1);
    assert!(polls >= 16, "{polls}");
    assert_eq!(run(1), (polls, hash));
    assert_ne!(run(2).1, hash);
}
