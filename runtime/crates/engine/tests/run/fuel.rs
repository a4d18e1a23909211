//! Fuel as CPU time: exact usage, quota per period, weights on a busy node, and time that passes while a program computes.

use wasmpod_kernel::cgroup::Limits;

use crate::harness::{Node, SPEED, sleep, spin};

/// Fuel of [`spin`] with this many turns; measured once with an unlimited program, so that the tests below do not depend on the price
/// of an operator.
fn cost(turns: u64) -> u64 {
    let node = Node::new(1);
    let (_, cgroup) = node.run(&spin(turns), Limits::default());
    cgroup.cpu_usage_fuel()
}

#[test]
fn the_cost_of_a_loop_is_proportional_to_its_turns() {
    let (small, large) = (cost(1_000), cost(1_001_000));
    assert_eq!((large - small) % 1_000_000, 0, "every turn costs the same: {small}, {large}");
    assert!(large > small);
}

#[test]
fn compute_takes_virtual_time_and_is_charged_as_usage() {
    let node = Node::new(1);
    let (exit, cgroup) = node.run(&spin(10_000_000), Limits::default());
    assert!(exit.status.is_success());
    let usage = cgroup.cpu_stats().usage_usec;
    let elapsed = node.sim.clock().now().as_nanos() / 1000;
    assert!(usage.abs_diff(elapsed) <= 2, "used {usage} us, {elapsed} us passed");
    assert_eq!(usage, cgroup.cpu_usage_fuel() * 1_000_000 / SPEED);
}

#[test]
fn a_quarter_of_a_cpu_takes_four_times_as_long_and_is_throttled_each_period() {
    let node = Node::new(1);
    let limits = Limits { cpu_quota_millis: Some(250), ..Limits::default() };
    let (_, cgroup) = node.run(&spin(100_000_000), limits);
    let stats = cgroup.cpu_stats();
    let elapsed = node.sim.clock().now().as_nanos() / 1000;
    let ratio = elapsed as f64 / stats.usage_usec as f64;
    assert!((3.5..4.2).contains(&ratio), "{elapsed} us for {} us of work", stats.usage_usec);
    let periods = stats.usage_usec / 25_000; // 25 ms of each 100 ms
    assert!(stats.nr_throttled.abs_diff(periods) <= 1, "{stats:?}");
    assert!(stats.throttled_usec.abs_diff(periods * 75_000) <= 76_000, "{stats:?}");
}

#[test]
fn a_slow_cpu_is_throttled_as_often_as_a_fast_one() {
    let node = Node::with_speed(1, 10_000_000); // a period of a quarter of it is worth 250,000 fuel
    let limits = Limits { cpu_quota_millis: Some(250), ..Limits::default() };
    let (_, cgroup) = node.run(&spin(1_000_000), limits);
    let stats = cgroup.cpu_stats();
    let periods = stats.usage_usec / 25_000;
    assert!(periods >= 8 && stats.nr_throttled.abs_diff(periods) <= 1, "{stats:?}");
}

#[test]
fn on_a_busy_node_weights_decide() {
    let node = Node::new(1);
    let weight = |cpu_weight| Limits { cpu_weight, ..Limits::default() };
    let (heavy, light) = (node.cgroup("heavy", weight(300)), node.cgroup("light", weight(100)));
    node.sim
        .block_on(async {
            let program = node.load(&spin(u64::MAX)).await;
            let (a, b) = (node.start(&program, &heavy), node.start(&program, &light));
            node.sim.clock().sleep(std::time::Duration::from_secs(4)).await;
            a.killer().kill();
            b.killer().kill();
            (a.wait().await, b.wait().await)
        })
        .expect("no deadlock");
    let ratio = heavy.cpu_usage_fuel() as f64 / light.cpu_usage_fuel() as f64;
    assert!((2.9..3.1).contains(&ratio), "{ratio}");
}

#[test]
fn a_sleeping_program_uses_nothing_and_an_hour_passes_at_once() {
    let node = Node::new(1);
    let (exit, cgroup) = node.run(&sleep(3_600_000_000_000), Limits::default());
    assert!(exit.status.is_success());
    assert!(cgroup.cpu_stats().usage_usec < 100);
    let seconds = node.sim.clock().now().as_nanos() / 1_000_000_000;
    assert_eq!(seconds, 3600);
}

#[test]
fn two_equal_runs_end_at_the_same_nanosecond() {
    let run = || {
        let node = Node::new(1);
        let (a, b) = (node.cgroup("a", Limits::default()), node.cgroup("b", Limits::default()));
        node.sim
            .block_on(async {
                let (long, short) = (node.load(&spin(3_000_000)).await, node.load(&spin(1_000_000)).await);
                let (first, second) = (node.start(&long, &a), node.start(&short, &b));
                (first.wait().await, second.wait().await)
            })
            .expect("no deadlock");
        (node.sim.clock().now(), a.cpu_usage_fuel(), b.cpu_usage_fuel())
    };
    assert_eq!(run(), run());
}
