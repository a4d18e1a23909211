//! `wasi:clocks`, `wasi:io/poll` and `wasi:random`, in virtual time, where a timer is exact.

mod p2_support;

use std::time::Duration;

use p2_support::{World, b, own};
use wasmpod_sim::time::VIRTUAL_EPOCH_NANOS;
use wasmpod_wasi::p2::bindings::clocks::{monotonic_clock, timezone, wall_clock};
use wasmpod_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi_io::bindings::wasi::io::poll::{Host as _, HostPollable as _};

const MILLI: u64 = 1_000_000;

#[test]
fn timers_end_at_their_nanosecond_and_the_earliest_wins() {
    let (world, mut ctx) = World::lone();
    let sim = world.sim.clone();
    sim.block_on(async {
        let late = monotonic_clock::Host::subscribe_duration(&mut ctx, 50 * MILLI).unwrap();
        let soon = monotonic_clock::Host::subscribe_instant(&mut ctx, 20 * MILLI).unwrap();
        let never = monotonic_clock::Host::subscribe_instant(&mut ctx, u64::MAX).unwrap();
        assert!(!ctx.ready(b(&soon)).await.unwrap());
        let ready = ctx.poll(vec![b(&late), b(&never), b(&soon), b(&soon)]).await.unwrap();
        assert_eq!(ready, [2, 3]);
        assert_eq!(monotonic_clock::Host::now(&mut ctx).unwrap(), 20 * MILLI);
        assert!(ctx.ready(b(&soon)).await.unwrap() && !ctx.ready(b(&late)).await.unwrap());
        ctx.block(b(&late)).await.unwrap();
        assert_eq!(monotonic_clock::Host::now(&mut ctx).unwrap(), 50 * MILLI);
        for pollable in [late, soon, never] {
            ctx.drop(own(&pollable)).unwrap();
        }
        assert!(ctx.table.is_empty());
    })
    .unwrap();
}

#[test]
fn a_timer_of_zero_lets_another_task_run_first() {
    let (world, mut ctx) = World::lone();
    let sim = world.sim.clone();
    sim.block_on(async {
        let ran = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let other = ran.clone();
        let task = sim.spawn("other", async move { other.store(true, std::sync::atomic::Ordering::Relaxed) });
        // the order of tasks is drawn from the seed, so a few turns may be needed; a guest that starves others needs them all
        for _ in 0..64 {
            let now = monotonic_clock::Host::subscribe_duration(&mut ctx, 0).unwrap();
            assert_eq!(ctx.poll(vec![b(&now)]).await.unwrap(), [0]);
            ctx.drop(now).unwrap();
        }
        assert!(ran.load(std::sync::atomic::Ordering::Relaxed));
        assert_eq!(monotonic_clock::Host::now(&mut ctx).unwrap(), 0);
        drop(task);
    })
    .unwrap();
}

#[test]
fn a_pollable_outlives_many_polls_and_bad_lists_trap() {
    let (world, mut ctx) = World::lone();
    let sim = world.sim.clone();
    sim.block_on(async {
        let timer = monotonic_clock::Host::subscribe_duration(&mut ctx, MILLI).unwrap();
        for _ in 0..100 {
            assert!(!ctx.ready(b(&timer)).await.unwrap());
        }
        assert!(ctx.poll(Vec::new()).await.is_err());
        let flood = (0..=64 * 1024).map(|_| b(&timer)).collect();
        assert!(ctx.poll(flood).await.unwrap_err().to_string().contains("too long"));
        assert!(ctx.take_host_fuel() > 0);
    })
    .unwrap();
}

#[test]
fn the_wall_clock_moves_with_virtual_time_and_is_in_utc() {
    let (world, mut ctx) = World::lone();
    let sim = world.sim.clone();
    sim.block_on(async {
        sim.clock().sleep(Duration::from_millis(1500)).await;
        let now = wall_clock::Host::now(&mut ctx).unwrap();
        assert_eq!(now.seconds, VIRTUAL_EPOCH_NANOS / 1_000_000_000 + 1);
        assert_eq!(now.nanoseconds, 500_000_000);
        assert_eq!(timezone::Host::display(&mut ctx, now).unwrap().name, "UTC");
        assert_eq!(timezone::Host::utc_offset(&mut ctx, now).unwrap(), 0);
    })
    .unwrap();
}

#[test]
fn random_bytes_are_of_the_process_and_bounded() {
    let (world, mut ctx) = World::lone();
    let first = random::Host::get_random_bytes(&mut ctx, 32).unwrap();
    assert_ne!(first, random::Host::get_random_bytes(&mut ctx, 32).unwrap());
    assert_ne!(
        insecure::Host::get_insecure_random_u64(&mut ctx).unwrap(),
        random::Host::get_random_u64(&mut ctx).unwrap()
    );
    let seed = insecure_seed::Host::insecure_seed(&mut ctx).unwrap();
    assert_ne!(seed.0, seed.1);
    assert_eq!(insecure_seed::Host::insecure_seed(&mut ctx).unwrap(), seed, "the WIT: the same each time");
    assert!(random::Host::get_random_bytes(&mut ctx, 0).unwrap().is_empty());
    assert_eq!(random::Host::get_random_bytes(&mut ctx, wasmpod_wasi::MAX_RANDOM).unwrap().len(), 1 << 20);
    assert!(random::Host::get_random_bytes(&mut ctx, wasmpod_wasi::MAX_RANDOM + 1).is_err());
    assert!(insecure::Host::get_insecure_random_bytes(&mut ctx, u64::MAX).is_err());

    // the same world again gives the same bytes, another process others
    let (_again, mut twin) = World::lone();
    assert_eq!(random::Host::get_random_bytes(&mut twin, 32).unwrap(), first);
    let net = world.pod("other");
    let mut other = world.process("other", &net);
    assert_ne!(random::Host::get_random_bytes(&mut other, 32).unwrap(), first);
}
