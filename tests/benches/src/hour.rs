//! Virtual time: an hour of pods that sleep, in real milliseconds.

use std::time::Duration;

use anyhow::{bail, ensure};
use wasmpod_sim::Sim;

use crate::node::{Node, Settings, container, pod};
use crate::report::{Report, Samples, Target};
use crate::{Effort, guest};

/// An hour.
const HOUR: Duration = Duration::from_secs(3600);
/// Steps of the pod that sleeps by the second.
const STEPS: &str = "3601";

/// Measures four pods: two sleep the hour in one go (preview 1 and 2), one sleeps 3600 times a second and writes a line each time, and one
/// has ten containers that sleep six minutes each, one after the other.
///
/// # Errors
/// If a pod fails, or less than an hour passed.
pub fn run(effort: Effort, report: &mut Report) -> anyhow::Result<()> {
    let cache = tempfile::tempdir()?;
    let manifest = manifest();
    let real = Sim::new_real(None, 1)?; // for its clock
    let mut samples = Samples::default();
    let mut virtual_time = Duration::ZERO;
    for round in 0..=effort.pick(3, 30) {
        let sim = Sim::new_virtual(round);
        let node = Node::new(
            &sim,
            &Settings { cpus: 4, speed: Some(1_000_000_000), cache: Some(cache.path()), ..Settings::default() },
        )?;
        let begin = real.clock().now();
        let output = node.run(&manifest)?;
        let took = real.clock().now().saturating_since(begin);
        virtual_time = Duration::from_nanos(sim.clock().now().as_nanos());
        ensure!(virtual_time >= HOUR, "only {virtual_time:?} passed");
        if !output.lines().any(|line| line == "writer finished") {
            bail!("the writer did not finish");
        }
        if round > 0 {
            samples.push(took.as_secs_f64() * 1e3); // the first one compiles
        }
    }
    let detail = format!(
        "p50; p95 {:.1} ms; {:.1} s of virtual time, 4 pods, 13 containers, 3612 sleeps",
        samples.percentile(0.95),
        virtual_time.as_secs_f64()
    );
    report.add("an hour of sleeping pods in virtual time", samples.median(), "ms", Target::Most(100.0), detail);
    Ok(())
}

/// The four pods.
pub fn manifest() -> String {
    let hour = HOUR.as_millis().to_string();
    let tenth = (HOUR / 10).as_millis().to_string();
    let (p1, p2) = (guest("sleep_for_p1"), guest("sleep_for_p2"));
    let mut inits = String::from("  initContainers:\n");
    for turn in 0..9 {
        inits += &container(&format!("init{turn}"), if turn % 2 == 0 { &p1 } else { &p2 }, &[&tenth], "");
    }
    [
        pod("once1", &[container("sleep", &p1, &[&hour], "")]),
        pod("once2", &[container("sleep", &p2, &[&hour], "")]),
        pod("steps", &[container("writer", &guest("fs_writer"), &["/log", STEPS, "1000"], "")]),
        pod("chain", &[container("last", &p2, &[&tenth], "")]) + &inits,
    ]
    .concat()
}
