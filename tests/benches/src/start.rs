//! From a manifest to running containers, in this process; and a whole `wasmpod play` as a process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use wasmpod_sim::Sim;

use crate::node::{Node, Settings, container, pod};
use crate::report::{Report, Samples, Target};
use crate::{Effort, guest, project};

/// Longer than any start.
const PATIENCE: Duration = Duration::from_secs(10);

/// Two containers of different programs: with the programs linked in memory, and with a new node that finds them compiled on disk.
///
/// # Errors
/// If a pod fails.
pub fn in_process(effort: Effort, report: &mut Report) -> anyhow::Result<()> {
    let cache = tempfile::tempdir()?;
    let images = [guest("hello_rust_p2"), guest("hello_rust_p1")];
    let manifest = pod("two", &[container("a", &images[0], &[], ""), container("b", &images[1], &[], "")]);
    let iterations: u32 = effort.pick(20, 300);
    let sim = Sim::new_real(None, 2)?;
    let settings = Settings { cpus: 2, speed: Some(1_000_000_000), cache: Some(cache.path()), ..Settings::default() };
    let node = Node::new(&sim, &settings)?;
    node.run(&manifest)?;
    let mut warm = Samples::default();
    for _ in 0..iterations {
        warm.push(once(&node, &manifest)?);
    }
    let mut cold = Samples::default();
    for _ in 0..iterations.div_ceil(3) {
        cold.push(once(&Node::new(&sim, &settings)?, &manifest)?);
    }
    let spread = |samples: &Samples| format!("p50; p95 {:.2} ms", samples.percentile(0.95));
    let target = Target::Most(5.0);
    report.add("two containers running, programs in memory", warm.median(), "ms", target, spread(&warm));
    report.add("two containers running, programs on disk", cold.median(), "ms", target, spread(&cold));
    Ok(())
}

/// Milliseconds from the manifest's bytes until the second container runs. Then waits for the pod's end.
fn once(node: &Node, manifest: &str) -> anyhow::Result<f64> {
    let begin = node.sim.clock().now();
    let handles = node.play(manifest.as_bytes())?;
    let mut last = begin;
    for _ in 0..2 {
        let (_, at) = node.started.recv_timeout(PATIENCE).context("a container did not start")?;
        last = last.max(at);
    }
    for handle in handles {
        let ended = node.sim.block_on(handle.wait())?;
        ended.map_err(|error| anyhow::anyhow!("a worker failed: {error}"))?;
    }
    Ok(last.saturating_since(begin).as_secs_f64() * 1e3)
}

/// `wasmpod play specs/pods/hello.yaml`, from fork to exit, compiled programs cached.
///
/// # Errors
/// If the binary is not built or the pod fails.
pub fn whole_process(effort: Effort, report: &mut Report) -> anyhow::Result<()> {
    let binary = binary()?;
    let home = tempfile::tempdir()?;
    let manifest = project().join("specs/pods/hello.yaml");
    let sim = Sim::new_real(None, 1)?;
    let clock = sim.clock();
    let (mut play, mut floor) = (Samples::default(), Samples::default());
    for round in 0..=effort.pick(5, 30) {
        let begin = clock.now();
        exec(&binary, &["version"], home.path())?;
        let middle = clock.now();
        exec(&binary, &["play", &manifest.display().to_string()], home.path())?;
        if round > 0 {
            floor.push(middle.saturating_since(begin).as_secs_f64() * 1e3);
            play.push(clock.now().saturating_since(middle).as_secs_f64() * 1e3);
        }
    }
    let detail = format!("p50; p95 {:.1} ms; `wasmpod version` {:.1} ms", play.percentile(0.95), floor.median());
    report.add("whole process `wasmpod play hello.yaml`", play.median(), "ms", Target::Most(60.0), detail);
    Ok(())
}

/// The binary of the same profile as this program.
fn binary() -> anyhow::Result<PathBuf> {
    let me = std::env::current_exe()?;
    let path =
        me.parent().context("this program is in a directory")?.join(format!("wasmpod{}", std::env::consts::EXE_SUFFIX));
    if !path.is_file() {
        bail!("{} is not built; run `cargo build --release` first", path.display());
    }
    Ok(path)
}

fn exec(binary: &Path, args: &[&str], home: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(binary);
    // where compiled programs are kept, on each platform
    command.env("HOME", home).env("XDG_CACHE_HOME", home).env("LOCALAPPDATA", home);
    let output = command.args(args).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("{} {}: {}", binary.display(), args.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
