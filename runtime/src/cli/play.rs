//! `wasmpod play`: run the pods of a manifest in the foreground.
//!
//! - [`args`]: what may be typed
//! - [`check`]: the same run twice, and where the two differ
//! - [`reproduce`]: the command line that gives a run again
//! - [`manifests`]: reading the inputs
//! - [`faults`]: what goes wrong on purpose
//! - [`images`]: what an `image:` means
//! - [`prepare`]: everything that can be wrong, found before anything is started
//! - [`world`]: the simulator, the engine, the runtime and the node agent
//! - [`session`]: the pods at work, until they end, time out or are stopped
//! - [`output`]: what is printed
//! - [`pcap`]: the file of packets

mod args;
mod check;
mod faults;
mod images;
mod manifests;
mod output;
mod pcap;
mod prepare;
mod reproduce;
mod session;
mod world;

use std::io::Write;

use wasmpod_node::volumes::host_path::HostPaths;

pub use args::Args;

use crate::exit::Exit;
use args::CpuSpeed;
use output::{Printer, Style, sink::Sink};

/// Runs the pods.
pub fn run(args: &Args) -> Exit {
    match if args.check_determinism { check::run(args) } else { start(args) } {
        Ok(exit) => exit,
        Err(Failure { exit, lines }) => {
            let mut stderr = std::io::stderr();
            for line in lines {
                // a manifest may hold escape sequences, and its errors quote it
                let line = output::sanitize::message_for_terminal(&line);
                let _ = writeln!(stderr, "{line}"); // nobody is left to tell if this fails
            }
            exit
        }
    }
}

/// Why nothing was started.
struct Failure {
    exit: Exit,
    lines: Vec<String>,
}

impl Failure {
    fn usage(line: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, lines: vec![line.into()] }
    }
}

fn start(args: &Args) -> Result<Exit, Failure> {
    if args.virtual_time && args.cpu_speed == Some(CpuSpeed::Auto) {
        let why = "a measured speed would differ from run to run; give a number, or leave it out";
        return Err(Failure::usage(format!("error: --cpu-speed auto cannot be used with --virtual-time: {why}")));
    }
    refuse_publish(args)?;
    let usage = |lines| Failure { exit: Exit::Usage, lines };
    let manifests = manifests::read(&args.inputs).map_err(usage)?;
    let host_paths = HostPaths::open_all(&args.allow_hostpath)
        .map_err(|error| Failure::usage(format!("error: --allow-hostpath: {error}")))?;
    let machine = |line| Failure { exit: Exit::Machine, lines: vec![line] };
    let sim = world::sim(args).map_err(machine)?;
    let rules = prepare::Rules { max_pods: args.max_pods, nondeterminism: args.allow_nondeterminism };
    let prepared = prepare::prepare(manifests, &host_paths, &sim, rules).map_err(usage)?;
    let (faults, fault_warnings) = faults::read(&args.faults, &prepared.pods).map_err(usage)?;
    let targets = session::publish_targets(&args.publish, &prepared.pods).map_err(usage)?;
    world::open_journal(args, &sim).map_err(Failure::usage)?;
    let pcap = pcap::open(args).map_err(Failure::usage)?;

    let names = prepared.names();
    let containers = names.iter().map(|(_, names)| names.len()).sum();
    let style = Style::of(args, containers);
    let printer = Printer::new(sim.clock().clone(), style, Sink::of_process(style.stdout, style.stderr), &names);
    for warning in prepared.warnings.iter().chain(&fault_warnings) {
        printer.say(&warning.to_string());
    }
    let logs = world::log_dir().map_err(machine)?;
    let mut world = world::World::new(args, &sim, prepared.objects, host_paths, printer.clone(), logs)
        .map_err(|error| Failure { exit: Exit::Internal, lines: vec![format!("wasmpod: {error}")] })?;
    world.write_packets(pcap);
    Ok(session::run(args, &sim, &world, &printer, prepared.pods, targets, faults))
}

/// Simulated time skips whatever it waits for, and takes host sockets for nothing: what comes from outside would never be heard.
fn refuse_publish(args: &Args) -> Result<(), Failure> {
    let flag = if args.check_determinism { "--check-determinism" } else { "--virtual-time" };
    if (args.virtual_time || args.check_determinism) && !args.publish.is_empty() {
        let why = "simulated time does not wait for this machine's network, and what comes from it cannot be repeated";
        return Err(Failure::usage(format!("error: --publish cannot be used with {flag}: {why}")));
    }
    Ok(())
}
