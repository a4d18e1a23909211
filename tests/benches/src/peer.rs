//! The peers: the same guests on wasmtime-wasi over the host's sockets and files, and on our own system calls without metering. Both run
//! with the engine's configuration but for fuel, which is off: the fastest that wasmtime gives.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Context as TaskContext;

use anyhow::{Context, anyhow};
use parking_lot::Mutex;
use wasmpod_cri::image::{Image, ImageSource};
use wasmpod_engine::config::wasmtime_config;
use wasmpod_kernel::cgroup::{Cgroup, Limits, RootConfig};
use wasmpod_kernel::fabric::{Fabric, FabricConfig, PodIdentity};
use wasmpod_kernel::file::{Description, Descriptor, Stream};
use wasmpod_kernel::ipcns::IpcNs;
use wasmpod_kernel::mntns::{Cred, MountNs, Quota};
use wasmpod_kernel::process::{Process, ProcessSpec};
use wasmpod_kernel::utsns::UtsNs;
use wasmpod_kernel::wait::Ready;
use wasmpod_kernel::{Errno, Result as KernelResult};
use wasmpod_sim::Sim;
use wasmpod_wasi::{Ctx, HasCtx, ProcExit, preopen};
use wasmtime::component::{Component, Linker as ComponentLinker, ResourceTable};
use wasmtime::{Engine, InstancePre, Linker, Module, Store};
use wasmtime_wasi::p2::bindings::{Command, CommandPre};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// What a measuring guest prints is less.
const OUTPUT_BYTES: usize = 64 * 1024;
/// Memory of the node that an unmetered guest thinks it is on.
const MEMORY_BYTES: u64 = 4 << 30;

fn engine() -> anyhow::Result<Engine> {
    let mut config = wasmtime_config();
    config.consume_fuel(false);
    Engine::new(&config).map_err(engine_error)
}

fn engine_error(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}

/// wasmtime-wasi, preview 2.
pub struct HostWasi {
    engine: Engine,
    linker: ComponentLinker<Host>,
}

/// A component that is linked to the host.
#[derive(Clone)]
pub struct HostProgram(CommandPre<Host>);

/// A directory of the host that becomes a guest's `/`.
pub struct Root {
    /// Which.
    pub dir: PathBuf,
    /// Files are read and written on the thread of the guest, which stops every other task on it. wasmtime-wasi's default is another
    /// thread; its command line tool, which runs one program, does it in place.
    pub in_place: bool,
}

struct Host {
    ctx: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }
}

impl HostWasi {
    /// Links everything.
    ///
    /// # Errors
    /// wasmtime's.
    pub fn new() -> anyhow::Result<Self> {
        let engine = engine()?;
        let mut linker = ComponentLinker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(engine_error)?;
        Ok(Self { engine, linker })
    }

    /// Compiles a component.
    ///
    /// # Errors
    /// wasmtime's.
    pub fn load(&self, path: &Path) -> anyhow::Result<HostProgram> {
        let component = Component::from_file(&self.engine, path).map_err(engine_error)?;
        let pre = self.linker.instantiate_pre(&component).map_err(engine_error)?;
        Ok(HostProgram(CommandPre::new(pre).map_err(engine_error)?))
    }
}

impl HostProgram {
    /// Runs it to its end and returns its output.
    ///
    /// # Errors
    /// If it does not succeed.
    pub async fn run(self, args: Vec<String>, root: Option<Root>) -> anyhow::Result<String> {
        let output = MemoryOutputPipe::new(OUTPUT_BYTES);
        let mut ctx = WasiCtxBuilder::new();
        ctx.arg("guest").args(&args).stdout(output.clone()).stderr(output.clone());
        ctx.inherit_network().allow_tcp(true).allow_udp(true).allow_ip_name_lookup(true);
        if let Some(root) = root {
            ctx.allow_blocking_current_thread(root.in_place);
            ctx.preopened_dir(root.dir, "/", FsPerms::ReadWrite).map_err(engine_error)?;
        }
        let host = Host { ctx: ctx.build(), table: ResourceTable::new() };
        let mut store = Store::new(self.0.engine(), host);
        let command: Command = self.0.instantiate_async(&mut store).await.map_err(engine_error)?;
        let outcome = command.wasi_cli_run().call_run(&mut store).await;
        let text = String::from_utf8_lossy(&output.contents()).into_owned();
        match outcome.map_err(engine_error)? {
            Ok(()) => Ok(text),
            Err(()) => Err(anyhow!("the guest failed on wasmtime-wasi: {text}")),
        }
    }
}

/// Our own system calls of preview 1, without fuel, CPU cgroup or call hooks.
pub struct Unmetered {
    linker: Linker<Ctx1>,
    engine: Engine,
}

struct Ctx1(Ctx);

impl HasCtx for Ctx1 {
    fn ctx(&mut self) -> &mut Ctx {
        &mut self.0
    }
}

/// A module that is linked.
pub struct UnmeteredProgram {
    pre: InstancePre<Ctx1>,
    image: Image,
}

impl Unmetered {
    /// Links everything.
    ///
    /// # Errors
    /// wasmtime's.
    pub fn new() -> anyhow::Result<Self> {
        let engine = engine()?;
        let mut linker = Linker::new(&engine);
        wasmpod_wasi::p1::add_to_linker(&mut linker).map_err(engine_error)?;
        Ok(Self { linker, engine })
    }

    /// Compiles a module.
    ///
    /// # Errors
    /// wasmtime's, or the image's.
    pub fn load(&self, path: &Path) -> anyhow::Result<UnmeteredProgram> {
        let module = Module::from_file(&self.engine, path).map_err(engine_error)?;
        let pre = self.linker.instantiate_pre(&module).map_err(engine_error)?;
        let image = Image::load(&ImageSource::WasmFile(path.to_owned()), "guest")?;
        Ok(UnmeteredProgram { pre, image })
    }
}

impl UnmeteredProgram {
    /// Runs it to its end and returns its output.
    ///
    /// # Errors
    /// If it does not succeed.
    pub async fn run(&self, sim: &Sim, args: &[&str]) -> anyhow::Result<String> {
        let output = Arc::new(Output::default());
        let process = self.process(sim, args, &output)?;
        let env = preopen::install(&process, &[]).map_err(|error| anyhow!("{error}"))?.env;
        let mut ctx = Ctx::new(process);
        ctx.extra_env = env;
        let mut store = Store::new(self.pre.module().engine(), Ctx1(ctx));
        let instance = self.pre.instantiate_async(&mut store).await.map_err(engine_error)?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start").map_err(engine_error)?;
        match start.call_async(&mut store, ()).await {
            Ok(()) => {}
            Err(error) if error.downcast_ref::<ProcExit>() == Some(&ProcExit(0)) => {}
            Err(error) => return Err(engine_error(error)),
        }
        let bytes = output.0.lock().clone();
        String::from_utf8(bytes).context("the guest's output")
    }

    fn process(&self, sim: &Sim, args: &[&str], output: &Arc<Output>) -> anyhow::Result<Arc<Process>> {
        let kernel = |errno: Errno| anyhow!("{errno}");
        let config = RootConfig { cpus: 2, memory_bytes: MEMORY_BYTES, fuel_per_cpu_second: u64::MAX };
        let cgroup = Cgroup::root(config, sim.clock().clone()).child("guest", Limits::default());
        let mnt = MountNs::builder(sim.clock().clone(), cgroup.clone())
            .root(self.image.layers.clone(), Quota::root("guest", None, None))
            .build()
            .map_err(|error| anyhow!("{error}"))?;
        let fabric = Fabric::new(sim, FabricConfig::default()).map_err(kernel)?;
        let name = "guest".to_owned();
        let pod = PodIdentity { name: name.clone(), namespace: name.clone(), hostname: None, subdomain: None };
        let argv = std::iter::once(name.clone()).chain(args.iter().map(|arg| (*arg).to_owned()));
        let spec = ProcessSpec {
            pids: wasmpod_kernel::pidns::PidNs::new(),
            ppid: 0,
            args: argv.collect(),
            env: Vec::new(),
            cwd: "/".to_owned(),
            cred: Cred::root(),
            mnt,
            net: fabric.attach(pod).map_err(kernel)?,
            uts: Arc::new(UtsNs::new(&name, None, None, "local", false)?),
            ipc: IpcNs::new(),
            cgroup,
            name,
        };
        let process = Process::new(spec, sim).map_err(kernel)?;
        let mut fds = process.fds.lock();
        for _ in 0..3 {
            fds.insert(Descriptor::new(Description::Stream(output.clone()))).map_err(kernel)?;
        }
        drop(fds);
        Ok(process)
    }
}

/// Standard output that is kept, and empty standard input.
#[derive(Default)]
struct Output(Mutex<Vec<u8>>);

impl Stream for Output {
    fn read(&self, _buf: &mut [u8]) -> KernelResult<usize> {
        Ok(0)
    }

    fn write(&self, buf: &[u8]) -> KernelResult<usize> {
        self.0.lock().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn poll_ready(&self, interest: Ready, _cx: &mut TaskContext<'_>) -> Ready {
        (Ready::READ | Ready::WRITE).answering(interest)
    }
}
