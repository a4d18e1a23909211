//! Many pods at once: what one costs in memory, how fast they start, and what is left when they have ended.

use std::time::Duration;

use anyhow::{Context, ensure};
use wasmpod_node::PodHandle;
use wasmpod_sim::Sim;

use crate::Effort;
use crate::node::{Node, Settings, container, pod};
use crate::report::{Report, Target};

/// Longer than any start.
const PATIENCE: Duration = Duration::from_secs(60);
/// Memory of the node: more than all guests together ask for.
const NODE_MEMORY: u64 = 64 << 30;
/// Pods that are measured.
const PODS: usize = 1_000;
/// Pods that must run.
const MOST_PODS: usize = 5_000;
/// What the guest touches of its memory: the page of its poll.
const TOUCHED: f64 = 4096.0;

/// Waits for ever: a poll on a clock that is due in a century. It has one page of memory and touches 4 KiB of it.
const IDLE: &str = r#"(module
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 16) "\01\00\00\00\00\00\00\00\00\00\ac\d3\7d\d6\c3\2b")
    (func (export "_start") (drop (call $poll (i32.const 0) (i32.const 128) (i32.const 1) (i32.const 256)))))"#;

/// Measures.
///
/// # Errors
/// If a pod does not start or end, or this host does not say how much memory a process has.
pub fn run(effort: Effort, report: &mut Report) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let image = dir.path().join("idle.wasm");
    std::fs::write(&image, wat::parse_str(IDLE)?)?;
    let cache = dir.path().join("cache");
    let sim = Sim::new_real(None, 2)?;
    let settings =
        Settings { cache: Some(&cache), max_pods: MOST_PODS, memory_bytes: NODE_MEMORY, ..Settings::default() };
    let node = Node::new(&sim, &settings)?;
    let manifest = |turn: usize| pod(&format!("idle-{turn}"), &[container("idle", &image, &[], "")]);
    let start = |count: usize| -> anyhow::Result<(Vec<PodHandle>, f64)> {
        let begin = sim.clock().now();
        let mut handles = Vec::with_capacity(count);
        for turn in 0..count {
            handles.extend(node.play(manifest(turn).as_bytes())?);
        }
        for _ in 0..count {
            node.started.recv_timeout(PATIENCE).context("a container did not start")?;
        }
        Ok((handles, sim.clock().now().saturating_since(begin).as_secs_f64()))
    };
    let end = |handles: Vec<PodHandle>| -> anyhow::Result<()> {
        handles.iter().for_each(|handle| handle.kill());
        sim.block_on(async {
            for handle in &handles {
                handle.wait().await.map_err(|error| anyhow::anyhow!("{error}"))?;
            }
            anyhow::Ok(())
        })?
    };
    let count = effort.pick(100, PODS);
    end(start(count / 50)?.0)?; // what the node keeps for all pods is there now
    settle(&sim)?;
    let before = Host::now()?;
    let (handles, seconds) = start(count)?;
    settle(&sim)?;
    let full = Host::now()?;
    end(handles)?;
    settle(&sim)?;
    let after = Host::now()?;
    let each = (full.resident - before.resident) / count as f64 - TOUCHED;
    let detail = format!(
        "{count} pods; {:.1} memory mappings and {:.2} descriptors each",
        full.maps_over(&before, count),
        (full.descriptors - before.descriptors) / count as f64
    );
    report.add(
        "memory of an idle pod beyond what its guest touched",
        each / 1024.0,
        "KiB",
        Target::Most(100.0),
        detail,
    );
    report.add(
        "containers started a second",
        count as f64 / seconds,
        "/s",
        Target::Least(1000.0),
        format!("{count} in {:.0} ms, from YAML to Started", seconds * 1e3),
    );
    let left = (after.resident - before.resident) / 1024.0;
    for _ in 0..3 {
        end(start(count)?.0)?;
        settle(&sim)?;
    }
    let later = Host::now()?;
    let detail = format!(
        "of {:.0} KiB, by the allocator; {:+.0} KiB after three more such crowds; {:+} descriptors, {:+} mappings",
        (full.resident - before.resident) / 1024.0,
        (later.resident - after.resident) / 1024.0,
        later.descriptors - before.descriptors,
        later.maps - before.maps,
    );
    report.add("memory kept when they have ended", left, "KiB", Target::None, detail);
    ensure!(node.runtime.node_cgroup().memory_stats().current == 0, "the node's memory is still charged");
    let many = effort.pick(200, MOST_PODS);
    let (handles, seconds) = start(many)?;
    settle(&sim)?;
    let running = Host::now()?;
    report.add(
        "pods that run at once",
        handles.len() as f64,
        "pods",
        Target::Least(many as f64),
        format!("started in {seconds:.1} s; {:.0} MiB resident in all", running.resident / 1048576.0),
    );
    end(handles)?;
    Ok(())
}

/// Lets ended and parked tasks come to rest.
fn settle(sim: &Sim) -> anyhow::Result<()> {
    Ok(sim.block_on(sim.clock().sleep(Duration::from_millis(300)))?)
}

/// What this process has of the host.
struct Host {
    resident: f64,
    descriptors: f64,
    maps: f64,
}

impl Host {
    fn now() -> anyhow::Result<Self> {
        let statm = std::fs::read_to_string("/proc/self/statm").context("this host has no /proc/self/statm")?;
        let pages: f64 = statm.split(' ').nth(1).context("statm has fields")?.parse()?;
        let descriptors = std::fs::read_dir("/proc/self/fd")?.count() as f64;
        let maps = std::fs::read_to_string("/proc/self/maps")?.lines().count() as f64;
        Ok(Self { resident: pages * 4096.0, descriptors, maps })
    }

    fn maps_over(&self, before: &Self, count: usize) -> f64 {
        (self.maps - before.maps) / count as f64
    }
}
