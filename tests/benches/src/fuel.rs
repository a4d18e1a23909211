//! What metering costs: a container, in slices of fuel and under its cgroup, against the same program on the same system calls with
//! wasmtime's fuel off.

use anyhow::anyhow;
use wasmpod_sim::Sim;

use crate::node::{Measured, Node, Settings, container, pod};
use crate::peer::Unmetered;
use crate::report::{Report, Rounds, Target};
use crate::{Effort, guest};

/// Measures a hash function and an interpreter that branches.
///
/// # Errors
/// If a guest fails.
pub fn run(effort: Effort, report: &mut Report) -> anyhow::Result<()> {
    let sim = Sim::new_real(None, 2)?;
    let node = Node::new(&sim, &Settings { cpus: 2, speed: None, cache: None, ..Settings::default() })?;
    let unmetered = Unmetered::new()?;
    let rounds = effort.pick(2, 15);
    // each round takes some 200 ms
    let kernels = [
        ("sha", "bench_sha", effort.pick("300", "1200"), "SHA-256", 1.10),
        ("branchy", "bench_branchy", effort.pick("6000", "24000"), "an interpreter", 1.25),
    ];
    for (line, name, count, what, most) in kernels {
        let path = guest(name);
        let program = std::sync::Arc::new(unmetered.load(&path)?);
        let manifest = pod("fuel", &[container("guest", &path, &[count], "")]);
        let millis = |output: &str| anyhow::Ok(Measured::find(output, line)?.nanos / 1e6);
        let measured = Rounds::alternate(
            rounds,
            || millis(&node.run(&manifest)?),
            || {
                // on a worker, as the container
                let (program, world) = (program.clone(), sim.clone());
                let task = sim.spawn("unmetered", async move { program.run(&world, &[count]).await });
                millis(&sim.block_on(task)?.map_err(|error| anyhow!("{error}"))??)
            },
        )?;
        let what = format!("fuel metering of {what}");
        report.ratio(what, &measured, Target::Most(most), "no metering", |ms| format!("{ms:.0} ms"));
    }
    Ok(())
}
