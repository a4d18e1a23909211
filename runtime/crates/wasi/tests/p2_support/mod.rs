//! What the tests of preview 2 share: a node in virtual time with pods on a fabric, and processes in them. The tests call the
//! host traits as the linker would, with handles of a real table; no wasm is needed.
#![expect(dead_code, reason = "each test file uses a part")]

use std::sync::Arc;

use wasmpod_kernel::cgroup::{Cgroup, Limits, RootConfig};
use wasmpod_kernel::fabric::{Fabric, FabricConfig, PodIdentity};
use wasmpod_kernel::ipcns::IpcNs;
use wasmpod_kernel::mntns::{Cred, DevOptions, MountNs, MountOptions, Quota, Synthetic, TmpfsOptions, Volume};
use wasmpod_kernel::netns::NetNs;
use wasmpod_kernel::process::{Process, ProcessSpec};
use wasmpod_kernel::utsns::UtsNs;
use wasmpod_sim::Sim;
use wasmpod_wasi::Ctx;
use wasmpod_wasi::p2::filesystem::FsError;
use wasmpod_wasi::p2::sockets::SocketError;
use wasmtime::component::Resource;

pub use wasmpod_wasi::p2::bindings::filesystem::types::ErrorCode as FsCode;
pub use wasmpod_wasi::p2::bindings::sockets::network::ErrorCode as NetCode;

/// A node in virtual time.
pub struct World {
    pub sim: Sim,
    pub node: Arc<Cgroup>,
    pub fabric: Arc<Fabric>,
}

impl World {
    pub fn new() -> Self {
        let sim = Sim::new_virtual(7);
        let config = RootConfig { cpus: 2, memory_bytes: 1 << 32, fuel_per_cpu_second: 1_000_000_000 };
        let node = Cgroup::root(config, sim.clock().clone());
        let fabric = Fabric::new(&sim, FabricConfig::default()).unwrap();
        Self { sim, node, fabric }
    }

    /// A pod's network.
    pub fn pod(&self, name: &str) -> Arc<NetNs> {
        let identity = PodIdentity { name: name.to_owned(), namespace: "default".to_owned(), ..PodIdentity::default() };
        self.fabric.attach(identity).unwrap()
    }

    /// A process in a pod: an empty root, `/dev`, a volume of 1 MiB at `/data` and the same volume read-only at `/ro`.
    pub fn process(&self, name: &str, net: &Arc<NetNs>) -> Ctx {
        self.process_with(name, net, &[name], &[])
    }

    pub fn process_with(&self, name: &str, net: &Arc<NetNs>, args: &[&str], env: &[(&str, &str)]) -> Ctx {
        let volume = Volume::tmpfs(TmpfsOptions { size_limit: Some(1 << 20), ..TmpfsOptions::default() });
        self.process_on(name, net, args, env, volume)
    }

    pub fn process_on(&self, name: &str, net: &Arc<NetNs>, args: &[&str], env: &[(&str, &str)], volume: Volume) -> Ctx {
        let cgroup = self.node.child(name, Limits::default());
        let mnt = MountNs::builder(self.sim.clock().clone(), cgroup.clone())
            .root(Vec::new(), Quota::unlimited())
            .mount("/data", volume.clone(), MountOptions::default())
            .mount("/ro", volume, MountOptions { read_only: true, sub_path: None })
            .synthetic(
                "/dev",
                Synthetic::dev(DevOptions {
                    random: Arc::new(|bytes| bytes.fill(4)),
                    tty: None,
                    stdio: [None, None, None],
                }),
            )
            .build()
            .unwrap();
        let spec = ProcessSpec {
            pids: wasmpod_kernel::pidns::PidNs::new(),
            ppid: 0,
            name: name.to_owned(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect(),
            cwd: "/".to_owned(),
            cred: Cred::root(),
            mnt,
            net: net.clone(),
            uts: Arc::new(UtsNs::new(name, None, None, "default.svc.cluster.local", false).unwrap()),
            ipc: IpcNs::new(),
            cgroup,
        };
        Ctx::new(Process::new(spec, &self.sim).unwrap())
    }

    /// One process in one pod.
    pub fn lone() -> (Self, Ctx) {
        let world = Self::new();
        let net = world.pod("pod");
        let ctx = world.process("pod", &net);
        (world, ctx)
    }
}

/// The handle as a call borrows it.
pub fn b<T: 'static>(handle: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(handle.rep())
}

/// The handle as a drop takes it.
pub fn own<T: 'static>(handle: &Resource<T>) -> Resource<T> {
    Resource::new_own(handle.rep())
}

/// The code of a failed call on a file.
pub fn fs_code<T>(result: Result<T, FsError>) -> FsCode {
    match result {
        Err(FsError::Code(code)) => code,
        Err(FsError::Trap(error)) => panic!("trapped: {error}"),
        Ok(_) => panic!("succeeded"),
    }
}

/// The code of a failed call on a socket.
pub fn net_code<T>(result: Result<T, SocketError>) -> NetCode {
    match result {
        Err(SocketError::Code(code)) => code,
        Err(SocketError::Trap(error)) => panic!("trapped: {error}"),
        Ok(_) => panic!("succeeded"),
    }
}
