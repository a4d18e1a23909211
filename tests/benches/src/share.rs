//! CPU limits: four spinning containers over ten seconds, each against its quota.

use std::time::Duration;

use anyhow::Context;
use wasmpod_kernel::cgroup::{CpuStats, kubernetes};
use wasmpod_sim::{Clock, Sim};

use crate::node::{Node, Settings, container, pod};
use crate::report::{Report, Target};
use crate::{Effort, guest};

/// What one CPU of the node is worth, in fuel a second. So little that all limits together fit on a busy host: it must not be what
/// limits.
const SPEED: u64 = 200_000_000;
/// CPUs of the node.
const CPUS: u32 = 4;
/// limits.cpu of each container, in thousandths of a CPU.
const LIMITS: [u64; 4] = [500, 250, 1000, 250];
/// cpu.max's period.
const PERIOD: Duration = Duration::from_millis(100);
/// Where in a period the counters are read: late, when the quota is used up and nobody runs.
const PHASE: Duration = Duration::from_millis(80);
/// More rounds of the spinner than fit.
const FOR_EVER: &str = "1000000000";

/// Measures use against quota over whole periods.
///
/// # Errors
/// If a pod does not start.
pub fn run(effort: Effort, report: &mut Report) -> anyhow::Result<()> {
    let sim = Sim::new_real(None, 2)?;
    let node = Node::new(&sim, &Settings { cpus: CPUS, speed: Some(SPEED), cache: None, ..Settings::default() })?;
    let path = guest("bench_spin");
    node.run(&pod("warm", &[container("c", &path, &["1"], "")]))?;
    let containers = LIMITS.iter().enumerate().map(|(index, milli)| {
        let more = format!(", resources: {{limits: {{cpu: {milli}m, memory: 64Mi}}}}");
        container(&format!("c{index}"), &path, &[FOR_EVER], &more)
    });
    let manifest = pod("share", &containers.collect::<Vec<_>>());
    let handle = node.play(manifest.as_bytes())?.pop().context("one pod")?;
    let clock = sim.clock().clone();
    let periods: u32 = effort.pick(20, 100);
    let (before, after) = sim.block_on(async {
        let sandbox = handle.sandbox().await.context("the pod has a sandbox")?;
        clock.sleep(5 * PERIOD).await;
        let read = || {
            let mut groups = sandbox.cgroup().children();
            groups.sort_by(|a, b| a.name().cmp(b.name()));
            groups.iter().map(|group| (group.cpu_usage_fuel(), group.cpu_stats())).collect::<Vec<_>>()
        };
        let first = wait_for_phase(&clock).await;
        let before = read();
        clock.sleep_until(first + PERIOD * periods).await;
        anyhow::Ok((before, read()))
    })??;
    handle.kill();
    sim.block_on(handle.wait())?.map_err(|error| anyhow::anyhow!("{error}"))?;
    for ((milli, before), after) in LIMITS.iter().zip(&before).zip(&after) {
        one(*milli, periods, *before, *after, report);
    }
    Ok(())
}

/// Sleeps until the next [`PHASE`] of a period; periods begin at whole multiples of the clock.
async fn wait_for_phase(clock: &Clock) -> wasmpod_sim::Instant {
    let period = PERIOD.as_nanos() as u64;
    let next = (clock.now().as_nanos() / period + 1) * period + PHASE.as_nanos() as u64;
    let next = wasmpod_sim::Instant::from_nanos(next);
    clock.sleep_until(next).await;
    next
}

fn one(milli: u64, periods: u32, before: (u64, CpuStats), after: (u64, CpuStats), report: &mut Report) {
    let quota_usec = kubernetes::milli_cpu_to_quota(milli).unwrap_or(0) * u64::from(periods);
    let quota = quota_usec as f64 * SPEED as f64 / 1e6;
    let used = (after.0 - before.0) as f64;
    let stats = |pick: fn(&CpuStats) -> u64| pick(&after.1) - pick(&before.1);
    let detail = format!(
        "of {} ms CPU; nr_periods {}, nr_throttled {}, throttled {:.2} s of {:.1} s",
        quota_usec / 1000,
        stats(|s| s.nr_periods),
        stats(|s| s.nr_throttled),
        stats(|s| s.throttled_usec) as f64 / 1e6,
        (PERIOD * periods).as_secs_f64(),
    );
    let error = (used / quota - 1.0).abs() * 100.0;
    report.add(format!("CPU use of a spinner at {milli}m, off its limit"), error, "%", Target::Most(0.5), detail);
}
