//! What pods run in: the simulator, the engine, the runtime and the node agent, put together as the command line says.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use wasmpod_cri::runtime::NODE_STORAGE_BYTES;
use wasmpod_cri::{NodeConfig, Runtime, RuntimeConfig};
use wasmpod_engine::{Engine, EngineConfig, EngineError};
use wasmpod_node::agent::node_facts;
use wasmpod_node::objects::Objects;
use wasmpod_node::volumes::host_path::HostPaths;
use wasmpod_node::{Agent, AgentConfig};
use wasmpod_sim::{DEFAULT_FUEL_PER_SECOND, Sim};

use super::args::{Args, CpuSpeed, OutputFormat};
use super::output::Printer;
use super::pcap::Pcap;

/// The seed of a virtual run that names none.
pub const DEFAULT_SEED: u64 = 0;
/// The environment variable with the directory for compiled programs.
pub const CACHE_VARIABLE: &str = "WASMPOD_CACHE_DIR";
/// CPUs of the node in virtual time, where the host's must not matter.
const VIRTUAL_CPUS: u32 = 4;
/// Memory of the node, for all pods together.
const NODE_MEMORY_BYTES: u64 = 4 << 30;
/// The node's address, in the pods' network.
const NODE_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 244, 0, 1));

/// The simulator.
///
/// # Errors
/// The sentence for the user, if the host gives no threads.
pub fn sim(args: &Args) -> Result<Sim, String> {
    if args.virtual_time {
        return Ok(Sim::new_virtual(args.seed.unwrap_or(DEFAULT_SEED)));
    }
    Sim::new_real(args.seed, host_cpus()).map_err(|error| format!("wasmpod: {error}"))
}

/// Opens the journal, if one is asked for. In simulated time a program that reads our JSON is told the journal's hash in any case.
///
/// # Errors
/// The sentence for the user, if the file cannot be made.
pub fn open_journal(args: &Args, sim: &Sim) -> Result<(), String> {
    if let Some(path) = &args.journal {
        let file =
            std::fs::File::create(path).map_err(|error| format!("error: --journal {}: {error}", path.display()))?;
        sim.journal().set_sink(Box::new(std::io::BufWriter::new(file)));
    } else if args.virtual_time && args.output == OutputFormat::Json {
        sim.journal().set_sink(Box::new(std::io::sink()));
    }
    Ok(())
}

/// The directory of this run's logs; it goes with the run.
///
/// # Errors
/// The sentence for the user, if the machine has no place for temporary files.
pub fn log_dir() -> Result<tempfile::TempDir, String> {
    let place = std::env::temp_dir();
    let made = tempfile::Builder::new().prefix("wasmpod-").tempdir_in(&place);
    made.map_err(|error| format!("wasmpod: no directory for logs can be made in {}: {error}", place.display()))
}

/// What pods run in. The logs' directory goes with it.
pub struct World {
    /// The node agent.
    pub agent: Agent,
    /// The container runtime below it.
    pub runtime: Runtime,
    /// Where packets go.
    pub pcap: Option<Arc<Pcap>>,
    _logs: tempfile::TempDir,
}

impl World {
    /// Puts it together.
    ///
    /// # Errors
    /// The sentence for the user.
    pub fn new(
        args: &Args,
        sim: &Sim,
        objects: Objects,
        host_paths: HostPaths,
        printer: Arc<Printer>,
        logs: tempfile::TempDir,
    ) -> Result<Self, String> {
        let engine = engine(sim, &printer)?;
        let speed = match args.cpu_speed {
            Some(CpuSpeed::Fixed(speed)) => speed,
            None if args.virtual_time => DEFAULT_FUEL_PER_SECOND,
            None | Some(CpuSpeed::Auto) => engine.calibrate().map_err(|error| error.to_string())?,
        };
        sim.set_fuel_per_second(speed);
        let cpus = if args.virtual_time { VIRTUAL_CPUS } else { u32::try_from(host_cpus()).unwrap_or(u32::MAX) };
        let node =
            NodeConfig { cpus, memory_bytes: NODE_MEMORY_BYTES, fuel_per_cpu_second: speed, max_pods: args.max_pods };
        let config = RuntimeConfig { state_dir: logs.path().to_owned(), node, log: Default::default() };
        let runtime = Runtime::new(config, sim, engine).map_err(|error| error.to_string())?;
        let facts = node_facts(u64::from(cpus) * 1000, NODE_MEMORY_BYTES, NODE_STORAGE_BYTES, vec![NODE_IP]);
        let config = AgentConfig { node: facts, host_paths, objects, observer: printer };
        Ok(Self { agent: Agent::new(sim, runtime.clone(), config), runtime, pcap: None, _logs: logs })
    }

    /// Has every packet written to `pcap`. To be called before the first pod runs.
    pub fn write_packets(&mut self, pcap: Option<Arc<Pcap>>) {
        if let Some(pcap) = &pcap {
            self.runtime.set_tap(pcap.clone());
        }
        self.pcap = pcap;
    }
}

/// The engine. Where compiled programs cannot be kept, as with a home directory that cannot be written, they are compiled each time.
fn engine(sim: &Sim, printer: &Printer) -> Result<Engine, String> {
    let config = |cache_dir| EngineConfig { cache_dir, ..EngineConfig::default() };
    let engine = match Engine::new(sim, config(cache_dir())) {
        Err(error @ EngineError::Cache { .. }) => {
            printer.say(&format!("warning: {error}; programs are compiled again on every run"));
            Engine::new(sim, config(None))
        }
        engine => engine,
    };
    engine.map_err(|error| error.to_string())
}

/// Threads that this process may use.
fn host_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Where compiled programs are kept: where [`CACHE_VARIABLE`] says, else the platform's place for caches. Without a home directory they
/// are kept in memory only.
fn cache_dir() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os(CACHE_VARIABLE).filter(|dir| !dir.is_empty()) {
        return Some(PathBuf::from(dir));
    }
    directories::ProjectDirs::from("", "", "wasmpod").map(|dirs| dirs.cache_dir().join("modules"))
}
