//! Reads and writes of 4 KiB by a guest: a container's writable layer against a directory of the host through wasmtime-wasi, with its
//! default (another thread does the work) and with its tool's (in place).

use anyhow::anyhow;
use wasmpod_sim::Sim;

use crate::node::{Measured, Node, Settings, container, pod};
use crate::peer::{HostWasi, Root};
use crate::report::{Report, Rounds, Target};
use crate::{Effort, guest};

/// The file, in the container and in the directory.
const FILE: &str = "/bench.dat";
/// What a call may cost of the peer's.
const TARGET: Target = Target::Most(0.2);

/// Measures pread and pwrite.
///
/// # Errors
/// If a guest fails.
pub fn run(effort: Effort, report: &mut Report) -> anyhow::Result<()> {
    let sim = Sim::new_real(None, 2)?;
    let node = Node::new(&sim, &Settings { cpus: 2, speed: None, cache: None, ..Settings::default() })?;
    let wasi = HostWasi::new()?;
    let path = guest("bench_fs_p2");
    let program = wasi.load(&path)?;
    let count = effort.pick("1000", "20000");
    let manifest = pod("fs", &[container("guest", &path, &[FILE, count], "")]);
    for in_place in [false, true] {
        let (mut read, mut write) = (Rounds::default(), Rounds::default());
        for round in 0..=effort.pick(2, 9) {
            let dir = tempfile::tempdir()?;
            let root = Root { dir: dir.path().to_owned(), in_place };
            let peer = sim.spawn("peer", program.clone().run(vec![FILE.to_owned(), count.to_owned()], Some(root)));
            let peer = sim.block_on(peer)?.map_err(|error| anyhow!("{error}"))??;
            let ours = node.run(&manifest)?;
            if round == 0 {
                continue;
            }
            for (line, rounds) in [("fs_read", &mut read), ("fs_write", &mut write)] {
                rounds.add(Measured::find(&ours, line)?.per_round(), Measured::find(&peer, line)?.per_round());
            }
        }
        for (what, rounds) in [("read", read), ("write", write)] {
            let (what, target) = match in_place {
                false => (format!("VFS {what} of 4 KiB, preview 2"), TARGET),
                true => (format!("VFS {what}, peer blocks its thread"), Target::None),
            };
            report.ratio(what, &rounds, target, "wasmtime-wasi", |ns| format!("{:.2} µs", ns / 1e3));
        }
    }
    Ok(())
}
