//! Programs: any bytes, and modules put together at random, are loaded or refused with a reason; what was loaded runs until it ends
//! or is killed, and gives back what it had.

mod module;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::Unstructured;
use wasmpod_engine::{Engine, EngineConfig, LoadError, Program};
use wasmpod_kernel::cgroup::{Cgroup, Limits, RootConfig};
use wasmpod_kernel::fabric::{Fabric, FabricConfig, PodIdentity};
use wasmpod_kernel::ipcns::IpcNs;
use wasmpod_kernel::mntns::{Cred, MountNs, Quota};
use wasmpod_kernel::netns::NetNs;
use wasmpod_kernel::pidns::PidNs;
use wasmpod_kernel::process::{Process, ProcessSpec};
use wasmpod_kernel::utsns::UtsNs;
use wasmpod_sim::Sim;

/// The largest program that is tried: small, so that one input takes a moment.
const PROGRAM_MAX: usize = 1 << 14;
/// What the program may use.
const MEMORY_MAX: u64 = 16 << 20;
/// How long a program may run before it is killed, in virtual time.
const PATIENCE: Duration = Duration::from_millis(2);
/// Programs that one engine keeps: all that it ever loaded.
const PROGRAMS: u32 = 200;
/// The longest words about what is wrong with a program.
const WORDS_MAX: usize = 64 << 10;

/// Loads and runs the bytes, or, where they do not begin as a program does, a module made by their choices.
///
/// # Panics
/// If something panics, fails by a bug or leaves something charged.
pub fn run(data: &[u8]) {
    NODE.with_borrow_mut(|node| {
        let node = node.get_or_insert_with(Node::new);
        match data.starts_with(b"\0asm") {
            true => node.try_program(data),
            false => {
                if let Ok(bytes) = module::generate(&mut Unstructured::new(data)) {
                    node.try_program(&bytes);
                }
            }
        }
        node.programs += 1;
    });
    NODE.with_borrow_mut(|node| drop(node.take_if(|node| node.programs >= PROGRAMS)));
}

thread_local! {
    /// An engine takes a while to set up, so many inputs share one.
    static NODE: RefCell<Option<Node>> = const { RefCell::new(None) };
}

struct Node {
    sim: Sim,
    engine: Engine,
    root: Arc<Cgroup>,
    net: Arc<NetNs>,
    _fabric: Arc<Fabric>,
    programs: u32,
}

impl Node {
    fn new() -> Self {
        let sim = Sim::new_virtual(1);
        let config = EngineConfig { max_program_bytes: PROGRAM_MAX, ..EngineConfig::default() };
        let engine = Engine::new(&sim, config).expect("an engine");
        let config = RootConfig { cpus: 1, memory_bytes: 1 << 30, fuel_per_cpu_second: sim.fuel_per_second() };
        let root = Cgroup::root(config, sim.clock().clone());
        let fabric = Fabric::new(&sim, FabricConfig::default()).expect("a fabric");
        let pod = PodIdentity { name: "pod".into(), namespace: "default".into(), ..PodIdentity::default() };
        let net = fabric.attach(pod).expect("a pod");
        Self { sim, engine, root, net, _fabric: fabric, programs: 0 }
    }

    fn try_program(&self, bytes: &[u8]) {
        let sim = self.sim.clone();
        let loaded = sim.block_on(self.engine.load(bytes)).expect("loading waits for nothing");
        match loaded {
            Ok(program) => self.start(&program),
            Err(LoadError::Internal(said)) => panic!("the engine fails: {said}"),
            Err(LoadError::Deadline { .. }) => panic!("virtual time passes while compiling"),
            Err(LoadError::TooBig { size, max }) => assert!(size > max && size == bytes.len()),
            Err(refused) => {
                let said = refused.to_string();
                assert!(!said.is_empty() && said.len() <= WORDS_MAX, "{} bytes of words", said.len());
            }
        }
    }

    fn start(&self, program: &Program) {
        let cgroup = self.root.child("c", Limits { memory_max: Some(MEMORY_MAX), ..Limits::default() });
        let exit = self.sim.block_on(async {
            let running = self.engine.start(program, &self.process(&cgroup), Vec::new());
            let killer = running.killer();
            let mut ended = std::pin::pin!(running.wait());
            match self.sim.clock().timeout(PATIENCE, ended.as_mut()).await {
                Ok(exit) => exit,
                Err(_) => {
                    killer.kill();
                    ended.await
                }
            }
        });
        drop(exit.expect("a killed program ends"));
        assert_eq!(cgroup.memory_stats().current, 0, "something is still charged");
    }

    fn process(&self, cgroup: &Arc<Cgroup>) -> Arc<Process> {
        let root = MountNs::builder(self.sim.clock().clone(), cgroup.clone()).root(Vec::new(), Quota::unlimited());
        let spec = ProcessSpec {
            pids: PidNs::new(),
            ppid: 0,
            name: "pod/c".into(),
            args: vec!["program".into()],
            env: Vec::new(),
            cwd: "/".into(),
            cred: Cred::root(),
            mnt: root.build().expect("a file system"),
            net: self.net.clone(),
            uts: Arc::new(UtsNs::new("pod", None, None, "default.svc.cluster.local", false).expect("a name")),
            ipc: IpcNs::new(),
            cgroup: cgroup.clone(),
        };
        Process::new(spec, &self.sim).expect("a process")
    }
}
