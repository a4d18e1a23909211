//! wasmpod in this process, put together as `wasmpod play` does it: simulator, engine, runtime, node agent. Owns no measuring but the time
//! at which an observer hears of something.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::{Context, bail};
use parking_lot::Mutex;
use wasmpod_api::k8s_openapi::api::core::v1::PodStatus;
use wasmpod_api::{Object, decode};
use wasmpod_cri::runtime::{DEFAULT_MAX_PODS, NODE_STORAGE_BYTES};
use wasmpod_cri::{ImageSource, NodeConfig, Runtime, RuntimeConfig};
use wasmpod_engine::{Engine, EngineConfig};
use wasmpod_node::agent::{new_uid, node_facts};
use wasmpod_node::events::{ContainerChange, Event, Observer, OutputStream};
use wasmpod_node::lifecycle::phase::Phase;
use wasmpod_node::objects::{Objects, PodRef};
use wasmpod_node::volumes::host_path::HostPaths;
use wasmpod_node::{Agent, AgentConfig, PodHandle, PodRequest, fields};
use wasmpod_sim::{Instant, Sim};

/// Memory of the node.
const MEMORY_BYTES: u64 = 4 << 30;
/// The node's address.
const NODE_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 244, 0, 1));

/// A node to measure.
pub struct Node {
    /// Its world.
    pub sim: Sim,
    /// Its runtime.
    pub runtime: Runtime,
    agent: Agent,
    collector: Arc<Collector>,
    /// Times at which containers started, in the world's clock.
    pub started: Receiver<(String, Instant)>,
    turn: AtomicU64,
    _state: tempfile::TempDir,
}

/// How to make one.
pub struct Settings<'a> {
    /// CPUs of the node.
    pub cpus: u32,
    /// What one of them is worth; measured if `None`.
    pub speed: Option<u64>,
    /// Where compiled programs are kept.
    pub cache: Option<&'a Path>,
    /// Most pods of the node.
    pub max_pods: usize,
    /// Memory of the node, in bytes.
    pub memory_bytes: u64,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Self {
            cpus: 2,
            speed: Some(1_000_000_000),
            cache: None,
            max_pods: DEFAULT_MAX_PODS,
            memory_bytes: MEMORY_BYTES,
        }
    }
}

impl Node {
    /// A node in `sim`.
    ///
    /// # Errors
    /// If the host refuses.
    pub fn new(sim: &Sim, settings: &Settings<'_>) -> anyhow::Result<Self> {
        let state = tempfile::tempdir()?;
        let config = EngineConfig { cache_dir: settings.cache.map(Path::to_owned), ..EngineConfig::default() };
        let engine = Engine::new(sim, config)?;
        let speed = match settings.speed {
            Some(speed) => speed,
            None => engine.calibrate()?,
        };
        sim.set_fuel_per_second(speed);
        let memory_bytes = settings.memory_bytes;
        let node =
            NodeConfig { cpus: settings.cpus, memory_bytes, fuel_per_cpu_second: speed, max_pods: settings.max_pods };
        let config = RuntimeConfig { state_dir: state.path().to_owned(), node, log: Default::default() };
        let runtime = Runtime::new(config, sim, engine)?;
        let facts = node_facts(u64::from(settings.cpus) * 1000, memory_bytes, NODE_STORAGE_BYTES, vec![NODE_IP]);
        let (sender, started) = channel();
        let collector = Arc::new(Collector { sim: sim.clone(), started: Mutex::new(sender), lines: Mutex::default() });
        let config = AgentConfig {
            node: facts,
            host_paths: HostPaths::default(),
            objects: Objects::default(),
            observer: collector.clone(),
        };
        let agent = Agent::new(sim, runtime.clone(), config);
        Ok(Self { sim: sim.clone(), runtime, agent, collector, started, turn: AtomicU64::new(0), _state: state })
    }

    /// From the bytes of a manifest to workers, as `play` does it. Images are paths of `.wasm` files.
    ///
    /// # Errors
    /// If the manifest is wrong.
    pub fn play(&self, manifest: &[u8]) -> anyhow::Result<Vec<PodHandle>> {
        let decoded = decode("bench.yaml", manifest).map_err(|problems| anyhow::anyhow!("{problems}"))?;
        let mut handles = Vec::new();
        for decoded in decoded.objects {
            let Object::Pod(pod) = decoded.object else { bail!("a bench runs pods only") };
            let findings = fields::check(&serde_json::to_value(&*pod)?);
            if let Some(finding) = findings.first() {
                bail!("{}: {}", finding.field, finding.message);
            }
            let mut images = BTreeMap::new();
            let spec = pod.spec.as_ref().context("a pod has a spec")?;
            for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
                let image = container.image.clone().unwrap_or_default();
                images.insert(image.clone(), ImageSource::WasmFile(image.into()));
            }
            let mut pod = *pod;
            let reference = PodRef::of(&pod);
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            pod.metadata.uid = Some(new_uid(&self.sim, &reference.namespace, &reference.name, turn));
            handles.push(self.agent.run_pod(PodRequest { pod, images }));
        }
        Ok(handles)
    }

    /// Plays a manifest to its end and returns what its containers wrote; the pods must succeed.
    ///
    /// # Errors
    /// If a pod fails; with what it wrote.
    pub fn run(&self, manifest: &str) -> anyhow::Result<String> {
        let handles = self.play(manifest.as_bytes())?;
        let ended = self.sim.block_on(async {
            let mut ended = Vec::new();
            for handle in &handles {
                ended.push(handle.wait().await);
            }
            ended
        })?;
        let lines = std::mem::take(&mut *self.collector.lines.lock());
        while self.started.try_recv().is_ok() {}
        if ended.iter().any(|phase| *phase != Ok(Phase::Succeeded)) {
            bail!("a pod failed: {ended:?}\n{lines}");
        }
        Ok(lines)
    }
}

/// Keeps what containers write, and tells when they start.
struct Collector {
    sim: Sim,
    started: Mutex<Sender<(String, Instant)>>,
    lines: Mutex<String>,
}

impl Observer for Collector {
    fn event(&self, _pod: &PodRef, _event: &Event) {}

    fn container(&self, _pod: &PodRef, container: &str, change: &ContainerChange) {
        if matches!(change, ContainerChange::Started { .. }) {
            let _ = self.started.lock().send((container.to_owned(), self.sim.clock().now()));
        }
    }

    fn status(&self, _pod: &PodRef, _status: &PodStatus) {}

    fn output(&self, _pod: &PodRef, _container: &str, _stream: OutputStream, line: &[u8], _partial: bool) {
        let mut lines = self.lines.lock();
        lines.push_str(&String::from_utf8_lossy(line));
        lines.push('\n');
    }
}

/// A container of a manifest, one line of YAML.
pub fn container(name: &str, image: &Path, args: &[&str], more: &str) -> String {
    let args: Vec<String> = args.iter().map(|arg| format!("{arg:?}")).collect();
    format!("    - {{name: {name}, image: {:?}, args: [{}]{more}}}\n", image.display().to_string(), args.join(", "))
}

/// A pod of these containers, which is not restarted.
pub fn pod(name: &str, containers: &[String]) -> String {
    format!(
        "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  containers:\n{}",
        containers.concat()
    )
}

/// What a guest printed as `NAME ns_total=N rounds=N bytes=N`.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Time in all, in nanoseconds.
    pub nanos: f64,
    /// How many times.
    pub rounds: f64,
    /// Bytes moved.
    pub bytes: f64,
}

impl Measured {
    /// Finds it in a guest's output.
    ///
    /// # Errors
    /// If it is not there.
    pub fn find(output: &str, name: &str) -> anyhow::Result<Self> {
        let line = output.lines().find(|line| line.split(' ').next() == Some(name));
        let line = line.with_context(|| format!("no line {name:?} in {output:?}"))?;
        let field = |key: &str| -> anyhow::Result<f64> {
            let value = line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
            Ok(value.with_context(|| format!("no {key} in {line:?}"))?.parse()?)
        };
        Ok(Self { nanos: field("ns_total")?, rounds: field("rounds")?, bytes: field("bytes")? })
    }

    /// Nanoseconds of one round.
    pub fn per_round(&self) -> f64 {
        self.nanos / self.rounds
    }

    /// Megabytes a second.
    pub fn megabytes_per_second(&self) -> f64 {
        self.bytes * 1e3 / self.nanos
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_s_numbers_are_found() {
        let output = "listening\nfs_write ns_total=2000 rounds=4 bytes=1000\n";
        let found = Measured::find(output, "fs_write").expect("it is there");
        assert_eq!((found.per_round(), found.megabytes_per_second()), (500.0, 500.0));
        assert!(Measured::find(output, "fs_read").is_err());
        assert!(Measured::find("fs_read ns_total=x rounds=1 bytes=1", "fs_read").is_err());
    }
}
