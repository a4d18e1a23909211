//! Virtual time: how fast an idle node's time passes, and what the journal costs.

use std::time::Duration;

use anyhow::{Context, ensure};
use wasmpod_sim::Sim;

use crate::Effort;
use crate::hour;
use crate::node::{Node, Settings, container, pod};
use crate::report::{Report, Rounds, Samples, Target};

/// Pods of the idle node.
const PODS: usize = 100;
/// Each wakes once in this time, as a program with a timer does.
const TICK: Duration = Duration::from_secs(10);

/// Sleeps ten seconds, for ever.
const TICKS: &str = r#"(module
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "\01\00\00\00\00\00\00\00\00\e4\0b\54\02\00\00\00")
    (func (export "_start")
        (loop $again (drop (call $poll (i32.const 0) (i32.const 128) (i32.const 1) (i32.const 256))) (br $again))))"#;

/// Measures both.
///
/// # Errors
/// If a pod does not run.
pub fn run(effort: Effort, report: &mut Report) -> anyhow::Result<()> {
    idle(effort, report)?;
    journal(effort, report)
}

fn idle(effort: Effort, report: &mut Report) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let image = dir.path().join("ticks.wasm");
    std::fs::write(&image, wat::parse_str(TICKS)?)?;
    let cache = dir.path().join("cache");
    let manifest: String =
        (0..PODS).map(|turn| pod(&format!("idle-{turn}"), &[container("c", &image, &[], "")])).collect();
    let span = Duration::from_secs(effort.pick(1_000, 20_000));
    let real = Sim::new_real(None, 1)?; // for its clock
    let mut samples = Samples::default();
    for round in 0..effort.pick(2, 6) {
        let sim = Sim::new_virtual(round);
        let node = Node::new(&sim, &Settings { cpus: 4, cache: Some(&cache), ..Settings::default() })?;
        let handles = node.play(manifest.as_bytes())?;
        let clock = sim.clock().clone();
        let took = sim.block_on(async {
            for handle in &handles {
                handle.sandbox().await.context("the pod has a sandbox")?;
            }
            clock.sleep(TICK).await; // all have started
            let begin = real.clock().now();
            clock.sleep(span).await;
            anyhow::Ok(real.clock().now().saturating_since(begin))
        })??;
        ensure!(handles.iter().all(|handle| handle.ended().is_none()), "a pod ended");
        if round > 0 {
            samples.push(span.as_secs_f64() / took.as_secs_f64());
        }
    }
    let detail = format!("virtual seconds a second; {PODS} pods, each wakes every {} s", TICK.as_secs());
    report.add("an idle node in virtual time", samples.median(), "s/s", Target::Least(10_000.0), detail);
    Ok(())
}

fn journal(effort: Effort, report: &mut Report) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let cache = dir.path().join("cache");
    let manifest = hour::manifest();
    let real = Sim::new_real(None, 1)?;
    let once = |journal: bool| -> anyhow::Result<f64> {
        let sim = Sim::new_virtual(1);
        if journal {
            let file = std::fs::File::create(dir.path().join("journal"))?;
            sim.journal().set_sink(Box::new(std::io::BufWriter::new(file)));
        }
        let node = Node::new(&sim, &Settings { cpus: 4, cache: Some(&cache), ..Settings::default() })?;
        let begin = real.clock().now();
        node.run(&manifest)?;
        sim.journal().finish()?;
        Ok(real.clock().now().saturating_since(begin).as_secs_f64() * 1e3)
    };
    let rounds = Rounds::alternate(effort.pick(3, 15), || once(true), || once(false))?;
    let lines = std::fs::read_to_string(dir.path().join("journal"))?.lines().count();
    report.ratio(format!("a run with a journal of {lines} lines"), &rounds, Target::Most(1.3), "no journal", |ms| {
        format!("{ms:.0} ms")
    });
    Ok(())
}
