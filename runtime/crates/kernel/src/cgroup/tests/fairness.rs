//! What each of many gets of a busy node, against a model of cgroup v2's rules.

use super::cpu::{run_for, spin};
use super::*;

/// A pod's weight and its containers' weights and quotas, in CPUs.
type PodShares = (u64, Vec<(u64, f64)>);

/// What cgroup v2 gives each spinner of a node with `cpus`: at most one CPU and its quota each, and what others cannot use goes
/// round by weight.
fn fair(cpus: f64, pods: &[PodShares]) -> Vec<Vec<f64>> {
    let caps: Vec<f64> =
        pods.iter().map(|(_, containers)| containers.iter().map(|(_, cap)| cap.min(1.0)).sum()).collect();
    let weights: Vec<u64> = pods.iter().map(|(weight, _)| *weight).collect();
    let of_pod = fill(cpus, &weights, &caps);
    let one = |((_, containers), share): (&PodShares, f64)| {
        let weights: Vec<u64> = containers.iter().map(|(weight, _)| *weight).collect();
        let caps: Vec<f64> = containers.iter().map(|(_, cap)| cap.min(1.0)).collect();
        fill(share, &weights, &caps)
    };
    pods.iter().zip(of_pod).map(one).collect()
}

/// Shares by weight, where nobody gets more than its cap and nothing is left while somebody wants more.
fn fill(total: f64, weights: &[u64], caps: &[f64]) -> Vec<f64> {
    let mut shares = vec![0.0; weights.len()];
    let mut open: Vec<usize> = (0..weights.len()).collect();
    let mut left = total;
    loop {
        let sum: u64 = open.iter().map(|&at| weights[at]).sum();
        let part = |at: usize| left * weights[at] as f64 / sum as f64;
        let full: Vec<usize> = open.iter().copied().filter(|&at| part(at) >= caps[at]).collect();
        if full.is_empty() {
            open.iter().for_each(|&at| shares[at] = part(at));
            return shares;
        }
        for at in full {
            shares[at] = caps[at];
            left -= caps[at];
            open.retain(|&other| other != at);
        }
    }
}

#[test]
fn a_hundred_spinners_get_what_cgroup_v2_gives() {
    const SECONDS: u64 = 60;
    const SLICE_FUEL: f64 = 1e6;
    let sim = Sim::new_virtual(21);
    sim.set_fuel_per_second(SPEED);
    let node = tree(&sim, 4);
    let mut random = sim.entropy().stream("test/limits");
    let mut draw = |from: u64, below: u64| from + random.below(below - from);
    let pods: Vec<PodShares> = (0..20)
        .map(|_| {
            let container = |_| {
                let millis = if draw(0, 2) == 0 { 1_000 } else { draw(10, 100) };
                (draw(20, 2_000), millis as f64 / 1_000.0)
            };
            let containers: Vec<_> = (0..5).map(container).collect();
            (draw(20, 2_000), containers)
        })
        .collect();
    let mut used = Vec::new();
    for (share, containers) in &pods {
        let pod = node.child("pod", weight(*share));
        used.extend(containers.iter().map(|(share, cap)| {
            let quota = (*cap < 1.0).then_some((cap * 1_000.0).round() as u64);
            spin(&sim, &pod.child("c", Limits { cpu_quota_millis: quota, ..weight(*share) }), at(SECONDS * 1_000))
        }));
    }
    run_for(&sim, Duration::from_secs(SECONDS));
    let fair: Vec<f64> = fair(4.0, &pods).concat();
    assert!((fair.iter().sum::<f64>() - 4.0).abs() < 1e-9, "the node is busy");
    let quotas = pods.iter().flat_map(|(_, containers)| containers).zip(&fair).filter(|((_, cap), fair)| cap == *fair);
    assert!(quotas.count() >= 10, "some are held by their quota");
    for (at, (used, fair)) in used.iter().zip(&fair).enumerate() {
        let (used, fair) = (used.load(Ordering::Relaxed) as f64, fair * (SECONDS * SPEED) as f64);
        // a program runs in whole slices of 1 ms, which is more than 1 % for those that run 100 ms in a minute
        let room = (fair / 100.0).max(2.0 * SLICE_FUEL);
        assert!((used - fair).abs() <= room, "{at}: {used} instead of {fair} of {:?}", pods[at / 5]);
    }
}

#[test]
fn a_small_container_beside_spinners_is_not_late() {
    let sim = Sim::new_virtual(8);
    sim.set_fuel_per_second(SPEED);
    let node = tree(&sim, 2);
    let small = node.child("small", Limits { cpu_quota_millis: Some(50), ..weight(2) });
    for number in 0..3 {
        spin(&sim, &node.child("spinner", weight(100 * (number + 1))), at(60_000));
    }
    let (world, mut client) = (sim.clone(), small.cpu_client());
    let delays = sim.spawn("small", async move {
        let mut delays = Vec::new();
        while world.clock().now() < at(60_000) {
            world.clock().sleep(Duration::from_millis(17)).await;
            let wanted = world.clock().now();
            client.acquire().await;
            delays.push(world.clock().now().saturating_since(wanted));
            world.compute(ms(1) / 2).await; // half a millisecond each 17, of five in a hundred
            client.release_and_park(ms(1) / 2, world.clock().now());
        }
        delays.sort();
        delays
    });
    let delays = sim.block_on(delays).expect("time passes").expect("it ends");
    let p99 = delays[delays.len() * 99 / 100];
    assert!(p99 <= CPU_PERIOD, "p99 {p99:?}");
}

#[test]
fn two_that_take_turns_save_no_credit() {
    let sim = Sim::new_virtual(5);
    sim.set_fuel_per_second(SPEED);
    let node = tree(&sim, 1);
    // for a second they answer each other, one a hundred times as long as the other, then both compute
    let sides = [(1_000, 2_000_000), (100_000, 4_000_000)].map(|(fuel, end)| {
        let (sim, cgroup) = (sim.clone(), node.child("c", Limits::default()));
        let (mut client, begun) = (cgroup.cpu_client(), cgroup.clone());
        drop(sim.clone().spawn("talks", async move {
            while sim.clock().now() < at(1_000) {
                let decision = std::future::poll_fn(|cx| match client.poll_acquire_now(cx) {
                    CpuDecision::Queued => Poll::Pending,
                    decision => Poll::Ready(decision),
                });
                assert!(matches!(decision.await, CpuDecision::Run { .. }));
                sim.compute(fuel).await;
                client.release_and_park_now(fuel);
                sim.clock().sleep(Duration::from_nanos(end / 20)).await;
            }
            spin(&sim, &begun, at(3_000));
        }));
        cgroup
    });
    let used = || sides.each_ref().map(|cgroup| cgroup.cpu_usage_fuel());
    let (before, after) = sim
        .block_on(async {
            sim.clock().sleep_until(at(990)).await;
            let talked = used();
            assert!(talked[1] > 20 * talked[0], "one did more while they talked: {talked:?}");
            sim.clock().sleep_until(at(1_050)).await;
            let before = used();
            sim.clock().sleep_until(at(2_950)).await;
            (before, used())
        })
        .expect("time passes");
    let spun = [after[0] - before[0], after[1] - before[1]];
    assert!(spun[0].abs_diff(spun[1]) <= ms(15), "what one did before does not count now: {spun:?}");
}
