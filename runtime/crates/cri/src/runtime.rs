//! The node as the runtime sees it: its cgroups, the fabric of its pods, its storage, and the sandboxes on it. Owns what outlives a pod.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use wasmpod_engine::Engine;
use wasmpod_kernel::cgroup::kubernetes::QosClass;
use wasmpod_kernel::cgroup::{Cgroup, Limits, RootConfig};
use wasmpod_kernel::fabric::{Fabric, FabricConfig};
use wasmpod_kernel::mntns::Quota;
use wasmpod_sim::Sim;

use crate::container::Container;
use crate::events::{ContainerEvent, Events, Publisher};
use crate::image::{Image, ImageError, ImageSource};
use crate::log::LogLimits;
use crate::sandbox::{Sandbox, SandboxConfig};
use crate::{ContainerConfig, CriError};

/// Bytes of writable layers and disk-backed volumes of all pods together. They live in this process' memory, so this is what
/// keeps a guest from filling it: the simulated node's disk.
pub const NODE_STORAGE_BYTES: u64 = 2 << 30;
/// Names in all writable layers and disk-backed volumes together.
pub const NODE_STORAGE_INODES: u64 = 1_000_000;
/// The number of the first namespace, as on Linux (fs/proc/generic.c: PROC_DYNAMIC_FIRST).
const FIRST_NAMESPACE: u64 = 0xf000_0000;
/// Most pods on a node that is not told otherwise, as the kubelet's default for maxPods.
pub const DEFAULT_MAX_PODS: usize = 110;

/// What the simulated node has.
#[derive(Debug, Clone, Copy)]
pub struct NodeConfig {
    /// Programs that may run at once.
    pub cpus: u32,
    /// Memory for all pods, in bytes.
    pub memory_bytes: u64,
    /// What one CPU does in a second, in fuel.
    pub fuel_per_cpu_second: u64,
    /// Most pods at once.
    pub max_pods: usize,
}

/// How to make a [`Runtime`].
#[derive(Debug, Clone)]
pub struct RuntimeConfig {
    /// The directory for logs. It must not be reachable by any guest.
    pub state_dir: PathBuf,
    /// The node.
    pub node: NodeConfig,
    /// How much of each container's log is kept.
    pub log: LogLimits,
}

/// The container runtime of one node. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub sim: Sim,
    pub engine: Engine,
    pub config: RuntimeConfig,
    pub fabric: Arc<Fabric>,
    pub root: Arc<Cgroup>,
    qos: BTreeMap<QosClass, Arc<Cgroup>>,
    pub storage: Arc<Quota>,
    pub events: Publisher,
    sandboxes: Mutex<BTreeMap<String, Arc<Sandbox>>>,
    images: Mutex<BTreeMap<ImageSource, Arc<Image>>>,
    next_id: AtomicU64,
    next_namespace: AtomicU64,
}

impl Runtime {
    /// A node without pods.
    ///
    /// # Errors
    /// [`CriError::Sandbox`] if the fabric cannot be made.
    pub fn new(config: RuntimeConfig, sim: &Sim, engine: Engine) -> Result<Self, CriError> {
        let node = &config.node;
        let root = Cgroup::root(
            RootConfig {
                cpus: node.cpus,
                memory_bytes: node.memory_bytes,
                fuel_per_cpu_second: node.fuel_per_cpu_second,
            },
            sim.clock().clone(),
        );
        let fabric = Fabric::new(sim, FabricConfig::default())
            .map_err(|errno| CriError::Sandbox(format!("the pod network cannot be made: {errno}")))?;
        let qos = qos_cgroups(&root);
        let storage = Quota::root("nodefs", Some(NODE_STORAGE_BYTES), Some(NODE_STORAGE_INODES));
        let inner = Inner {
            sim: sim.clone(),
            engine,
            config,
            fabric,
            root,
            qos,
            storage,
            events: Publisher::default(),
            sandboxes: Mutex::default(),
            images: Mutex::default(),
            next_id: AtomicU64::new(1),
            next_namespace: AtomicU64::new(FIRST_NAMESPACE),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The world's handle.
    pub fn sim(&self) -> &Sim {
        &self.inner.sim
    }

    /// What runs the programs.
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// What joins the pods.
    pub fn fabric(&self) -> &Arc<Fabric> {
        &self.inner.fabric
    }

    /// Shows every packet of the pods to `tap`. To be called before the first pod runs.
    pub fn set_tap(&self, tap: Arc<dyn wasmpod_kernel::fabric::tap::Tap>) {
        self.inner.fabric.set_tap(tap);
    }

    /// The root of the cgroup tree.
    pub fn node_cgroup(&self) -> &Arc<Cgroup> {
        &self.inner.root
    }

    /// The cgroup under which a class' pods live.
    pub fn qos_cgroup(&self, qos: QosClass) -> &Arc<Cgroup> {
        self.inner.qos.get(&qos).unwrap_or(&self.inner.root)
    }

    /// What disk-backed volumes and writable layers count against.
    pub fn storage(&self) -> &Arc<Quota> {
        &self.inner.storage
    }

    /// Events of all containers from now on.
    pub fn subscribe(&self) -> Events {
        self.inner.events.subscribe()
    }

    /// Reads an image, or finds it read before: pods of one run see one content.
    ///
    /// # Errors
    /// [`ImageError`] says what is wrong with it.
    pub async fn load_image(&self, source: &ImageSource, reference: &str) -> Result<Arc<Image>, ImageError> {
        if let Some(image) = self.inner.images.lock().get(source) {
            return Ok(image.clone());
        }
        let (owned, name) = (source.clone(), reference.to_owned());
        let loaded = self.inner.sim.spawn_blocking(move || Image::load(&owned, &name)).await;
        let image = Arc::new(loaded.unwrap_or_else(|error| {
            let path = source.path().display().to_string();
            Err(ImageError::Layer { path, reason: format!("internal error: {error}") })
        })?);
        self.inner.images.lock().insert(source.clone(), image.clone());
        Ok(image)
    }

    /// Makes a sandbox: network, names and cgroup of a pod.
    ///
    /// # Errors
    /// [`CriError::Sandbox`], with the reason.
    pub fn run_pod_sandbox(&self, config: SandboxConfig) -> Result<Arc<Sandbox>, CriError> {
        let mut sandboxes = self.inner.sandboxes.lock();
        if sandboxes.contains_key(&config.uid) {
            return Err(CriError::Sandbox(format!("a sandbox for the pod with UID {} is already there", config.uid)));
        }
        let max_pods = self.inner.config.node.max_pods;
        if sandboxes.len() >= max_pods {
            return Err(CriError::Sandbox(format!("the node runs {max_pods} pods already")));
        }
        let sandbox = Sandbox::create(self, config)?;
        sandboxes.insert(sandbox.uid().to_owned(), sandbox.clone());
        Ok(sandbox)
    }

    /// Makes a container in a sandbox; it does not run yet.
    ///
    /// # Errors
    /// [`CriError::Create`], with the reason.
    pub async fn create_container(
        &self,
        sandbox: &Arc<Sandbox>,
        config: ContainerConfig,
    ) -> Result<Arc<Container>, CriError> {
        Container::create(self, sandbox, config).await
    }

    /// The sandboxes, by UID.
    pub fn sandboxes(&self) -> Vec<Arc<Sandbox>> {
        self.inner.sandboxes.lock().values().cloned().collect()
    }

    pub(crate) fn sandbox(&self, uid: &str) -> Option<Arc<Sandbox>> {
        self.inner.sandboxes.lock().get(uid).cloned()
    }

    pub(crate) fn forget_sandbox(&self, uid: &str) {
        let gone = self.inner.sandboxes.lock().remove(uid);
        drop(gone);
    }

    pub(crate) fn publish_event(&self, event: &ContainerEvent) {
        self.inner.events.send(event);
    }

    /// A number for a namespace, unique on this node.
    pub(crate) fn new_namespace_id(&self) -> u64 {
        self.inner.next_namespace.fetch_add(1, Ordering::Relaxed)
    }

    /// A new id, unique on this node: 64 hexadecimal digits as containerd's, drawn from the seed.
    pub(crate) fn new_id(&self, kind: &str) -> String {
        let turn = self.inner.next_id.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [0; 32];
        self.inner.sim.entropy().stream(&format!("id/{kind}/{turn}")).fill(&mut bytes);
        hex::encode(bytes)
    }
}

/// `kubepods`, `kubepods/burstable` and `kubepods/besteffort`, each made once.
fn qos_cgroups(root: &Arc<Cgroup>) -> BTreeMap<QosClass, Arc<Cgroup>> {
    let mut made: BTreeMap<String, Arc<Cgroup>> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for qos in [QosClass::Guaranteed, QosClass::Burstable, QosClass::BestEffort] {
        let mut at = root.clone();
        let mut path = String::new();
        for name in qos.cgroup_path() {
            path = format!("{path}/{name}");
            at = made.entry(path.clone()).or_insert_with(|| at.child(name, limits_of(qos, name))).clone();
        }
        found.insert(qos, at);
    }
    found
}

/// A class' own weight: best-effort pods get the least there is when the node is busy (kubelet: 2 shares).
fn limits_of(qos: QosClass, name: &str) -> Limits {
    let weight = match qos {
        QosClass::BestEffort if name == "besteffort" => wasmpod_kernel::cgroup::kubernetes::pod_weight(0),
        _ => wasmpod_kernel::cgroup::DEFAULT_WEIGHT,
    };
    Limits { cpu_weight: weight, ..Limits::default() }
}
