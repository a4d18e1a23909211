//! A node with one pod, and programs given as text.

use std::sync::Arc;

use wasmpod_engine::{Engine, EngineConfig, Exit, Program, Running};
use wasmpod_kernel::cgroup::{Cgroup, Limits, RootConfig};
use wasmpod_kernel::fabric::{Fabric, FabricConfig, PodIdentity};
use wasmpod_kernel::ipcns::IpcNs;
use wasmpod_kernel::mntns::{Cred, Layer, LayerLimits, MountNs, Quota};
use wasmpod_kernel::netns::NetNs;
use wasmpod_kernel::process::{Process, ProcessSpec};
use wasmpod_kernel::utsns::UtsNs;
use wasmpod_sim::Sim;

/// Fuel per second of one CPU of the node, unless a test says otherwise.
pub const SPEED: u64 = wasmpod_sim::DEFAULT_FUEL_PER_SECOND;

pub struct Node {
    pub sim: Sim,
    pub engine: Engine,
    pub root: Arc<Cgroup>,
    net: Arc<NetNs>,
    _fabric: Arc<Fabric>,
}

impl Node {
    pub fn new(cpus: u32) -> Self {
        Self::of(Sim::new_virtual(1), cpus, EngineConfig::default())
    }

    pub fn with_speed(cpus: u32, fuel_per_second: u64) -> Self {
        let sim = Sim::new_virtual(1);
        sim.set_fuel_per_second(fuel_per_second);
        Self::of(sim, cpus, EngineConfig::default())
    }

    pub fn of(sim: Sim, cpus: u32, config: EngineConfig) -> Self {
        let engine = Engine::new(&sim, config).expect("an engine");
        let root = RootConfig { cpus, memory_bytes: 1 << 30, fuel_per_cpu_second: sim.fuel_per_second() };
        let root = Cgroup::root(root, sim.clock().clone());
        let fabric = Fabric::new(&sim, FabricConfig::default()).expect("a fabric");
        let pod = PodIdentity { name: "pod".into(), namespace: "default".into(), ..PodIdentity::default() };
        let net = fabric.attach(pod).expect("a pod");
        Self { sim, engine, root, net, _fabric: fabric }
    }

    pub fn cgroup(&self, name: &str, limits: Limits) -> Arc<Cgroup> {
        self.root.child(name, limits)
    }

    pub async fn load(&self, text: &str) -> Program {
        let bytes = wat::parse_str(text).expect("well-formed text");
        self.engine.load(&bytes).await.expect("a program")
    }

    pub fn process(&self, cgroup: &Arc<Cgroup>) -> Arc<Process> {
        let layer = Layer::from_entries([], &LayerLimits::default()).expect("an empty layer");
        let mnt = MountNs::builder(self.sim.clock().clone(), cgroup.clone())
            .root(vec![layer], Quota::unlimited())
            .build()
            .expect("a file system");
        let spec = ProcessSpec {
            pids: wasmpod_kernel::pidns::PidNs::new(),
            ppid: 0,
            name: format!("pod/{}", cgroup.name()),
            args: vec!["program".into()],
            env: vec![],
            cwd: "/".into(),
            cred: Cred::root(),
            mnt,
            net: self.net.clone(),
            uts: Arc::new(UtsNs::new("pod", None, None, "default.svc.cluster.local", false).expect("a name")),
            ipc: IpcNs::new(),
            cgroup: cgroup.clone(),
        };
        Process::new(spec, &self.sim).expect("a process")
    }

    pub fn start(&self, program: &Program, cgroup: &Arc<Cgroup>) -> Running {
        self.engine.start(program, &self.process(cgroup), vec![])
    }

    /// Runs one program to its end.
    pub fn run(&self, text: &str, limits: Limits) -> (Exit, Arc<Cgroup>) {
        let cgroup = self.cgroup("c", limits);
        let exit = self.sim.block_on(async {
            let program = self.load(text).await;
            self.start(&program, &cgroup).wait().await
        });
        (exit.expect("no deadlock"), cgroup)
    }
}

/// A program whose `_start` has this body.
pub fn program(body: &str) -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (table 4 funcref)
            (type $void (func))
            (func $recurse (param i64) (result i64) (i64.add (i64.const 1) (call $recurse (local.get 0))))
            (func (export "_start") (local $i i64) {body}))"#
    )
}

/// Turns `turns` times round a loop of 4 fuel a turn: add, compare, branch, and the loop's own.
pub fn spin(turns: u64) -> String {
    program(&format!(
        "(loop $l (local.set $i (i64.add (local.get $i) (i64.const 1)))
            (br_if $l (i64.lt_u (local.get $i) (i64.const {turns}))))"
    ))
}

/// Waits `nanos` on the monotonic clock.
pub fn sleep(nanos: u64) -> String {
    program(&format!(
        "(i32.store (i32.const 16) (i32.const 1))
         (i64.store (i32.const 24) (i64.const {nanos}))
         (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))"
    ))
}
