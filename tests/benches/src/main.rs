//! Numbers: each is measured against a peer, or against a limit, in one run of this program. `docs/BENCHMARKS.md` has the targets, how each is
//! measured, and the results; nothing here fails because something is slow.
//!
//! A map of the code:
//! - [`node`]: wasmpod in this process, as `wasmpod play` puts it together.
//! - [`peer`]: the same guests on wasmtime-wasi, and on our system calls without metering.
//! - [`report`]: samples, alternating rounds, the table.
//! - [`tcp`], [`fuel`], [`share`], [`start`], [`fs`], [`hour`], [`density`], [`idle`], [`ipc`]: one file per number.
#![forbid(unsafe_code)]

mod density;
mod fs;
mod fuel;
mod hour;
mod idle;
mod ipc;
mod node;
mod peer;
mod report;
mod share;
mod start;
mod tcp;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use report::Report;

/// Measure wasmpod against its peers.
#[derive(Debug, Parser)]
#[command(name = "wasmpod-benches", max_term_width = 120)]
struct Args {
    /// What to measure (default: all)
    #[arg(value_enum)]
    only: Vec<Bench>,
    /// Few and short rounds: says that everything works, in half a minute; the numbers mean little
    #[arg(long)]
    quick: bool,
    /// Print the table as Markdown
    #[arg(long)]
    markdown: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// TCP between two containers, against the host's loopback
    Tcp,
    /// Metered against not metered
    Fuel,
    /// 4 KiB of a file, against the host's file system
    Fs,
    /// From a manifest to running containers
    Start,
    /// A whole process
    Process,
    /// An hour of sleep in virtual time
    Hour,
    /// CPU limits over 10 seconds
    Share,
    /// A thousand idle pods
    Density,
    /// Message queues, semaphores and shared memory between two containers
    Ipc,
    /// An idle node in virtual time, and the journal
    Idle,
}

/// How long to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// To see that it works.
    Quick,
    /// To publish.
    Full,
}

impl Effort {
    /// One of two values.
    pub fn pick<T>(self, quick: T, full: T) -> T {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let effort = if args.quick { Effort::Quick } else { Effort::Full };
    let mut report = Report::default();
    let mut failed = false;
    for bench in Bench::value_variants() {
        if !args.only.is_empty() && !args.only.contains(bench) {
            continue;
        }
        eprintln!("measuring {}…", format!("{bench:?}").to_lowercase());
        let outcome = match bench {
            Bench::Tcp => tcp::run(effort, &mut report),
            Bench::Fuel => fuel::run(effort, &mut report),
            Bench::Fs => fs::run(effort, &mut report),
            Bench::Start => start::in_process(effort, &mut report),
            Bench::Process => start::whole_process(effort, &mut report),
            Bench::Hour => hour::run(effort, &mut report),
            Bench::Share => share::run(effort, &mut report),
            Bench::Density => density::run(effort, &mut report),
            Bench::Ipc => ipc::run(effort, &mut report),
            Bench::Idle => idle::run(effort, &mut report),
        };
        if let Err(error) = outcome {
            eprintln!("{bench:?} could not be measured: {error:#}");
            failed = true;
        }
    }
    if args.markdown {
        report.print_markdown()
    } else {
        report.print()
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The project's directory.
pub fn project() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A built guest.
pub fn guest(name: &str) -> PathBuf {
    project().join("guest-examples/dist").join(format!("{name}.wasm"))
}
