//! IPC between two containers of a pod, as they measure it themselves: a message to and fro, a semaphore, and copies of shared memory. There
//! is no peer: WASI has nothing of the kind.

use wasmpod_sim::Sim;

use crate::node::{Measured, Node, Settings, container, pod};
use crate::report::{Report, Samples, Target};
use crate::{Effort, guest};

/// One number: who runs, and what they print.
struct Number {
    what: &'static str,
    sides: &'static [&'static str],
    line: &'static str,
    rounds: [&'static str; 2],
    target: Target,
}

const NUMBERS: [Number; 4] = [
    Number {
        what: "message queue round trip of 64 bytes between two containers",
        sides: &["mq-ping", "mq-pong"],
        line: "mq_ping",
        rounds: ["2000", "50000"],
        target: Target::Most(3.0),
    },
    Number {
        what: "semaphore post and wait, one container",
        sides: &["sem-alone"],
        line: "sem_alone",
        rounds: ["2000", "200000"],
        target: Target::Most(1.5),
    },
    Number {
        what: "semaphore post and wait to and fro between two containers",
        sides: &["sem-ping", "sem-pong"],
        line: "sem_ping",
        rounds: ["2000", "50000"],
        target: Target::None,
    },
    Number {
        what: "shared memory, copies of 1 MiB",
        sides: &["shm"],
        line: "shm_copy",
        rounds: ["20", "1000"],
        target: Target::Least(5.0),
    },
];

/// Measures all on two workers, for both WASIs; only preview 1 has targets, as components copy what they pass once more.
///
/// # Errors
/// If a guest fails.
pub fn run(effort: Effort, report: &mut Report) -> anyhow::Result<()> {
    let sim = Sim::new_real(None, 2)?;
    let node = Node::new(&sim, &Settings { cpus: 2, ..Settings::default() })?;
    for (program, wasi) in [("ipc_bench_p1", "preview 1"), ("ipc_bench_p2", "preview 2")] {
        for number in &NUMBERS {
            let mut samples = Samples::default();
            for round in 0..=effort.pick(2, 9) {
                let value = number.value(&node, program, effort)?;
                if round > 0 {
                    samples.push(value);
                }
            }
            let target = if program.ends_with("p1") { number.target } else { Target::None };
            let unit = if number.line == "shm_copy" { "GB/s" } else { "µs" };
            let detail = format!("{:.2} to {:.2} {unit}", samples.percentile(0.0), samples.percentile(1.0));
            report.add(format!("{}, {wasi}", number.what), samples.median(), unit, target, detail);
        }
    }
    Ok(())
}

impl Number {
    /// Microseconds of a round, or gigabytes a second.
    fn value(&self, node: &Node, program: &str, effort: Effort) -> anyhow::Result<f64> {
        let [quick, full] = self.rounds;
        let one = |side: &&str| container(side, &guest(program), &[side, effort.pick(quick, full)], "");
        let containers: Vec<String> = self.sides.iter().map(one).collect();
        let measured = Measured::find(&node.run(&pod("ipc", &containers))?, self.line)?;
        Ok(if self.line == "shm_copy" { measured.megabytes_per_second() / 1e3 } else { measured.per_round() / 1e3 })
    }
}
