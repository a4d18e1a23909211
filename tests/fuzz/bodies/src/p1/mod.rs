//! The system calls of core modules (preview 1, and the pod's IPC) made at random: any descriptor, pointer, flag and number, by a
//! program that is killed where it waits too long. Each call ends in an errno of the specification or ends the program for its own
//! fault; nothing stays charged.

mod calls;

use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arbitrary::{Result as Input, Unstructured};
use wasmpod_kernel::cgroup::{Cgroup, Limits, RootConfig};
use wasmpod_kernel::fabric::{Fabric, FabricConfig, PodIdentity};
use wasmpod_kernel::file::{Description, Descriptor, Stream};
use wasmpod_kernel::ipcns::IpcNs;
use wasmpod_kernel::mntns::{
    Cred, DevOptions, Layer, LayerEntry, LayerEntryKind, LayerLimits, MountNs, MountOptions, Quota, Synthetic,
    TmpfsOptions, Volume,
};
use wasmpod_kernel::netns::{Family, NetNs, TcpSocket};
use wasmpod_kernel::pidns::PidNs;
use wasmpod_kernel::pipe::{ReadEnd, WriteEnd, pipe};
use wasmpod_kernel::process::{Process, ProcessSpec};
use wasmpod_kernel::utsns::UtsNs;
use wasmpod_sim::Sim;
use wasmpod_wasi::p1::{self, GuestFault};
use wasmpod_wasi::preopen::{self, ListenPort};
use wasmpod_wasi::{Ctx, HasCtx, ProcExit, SignalExit};
use wasmtime::{Config, Engine, InstancePre, Linker, Memory, Module, Store, Val};

use self::calls::{Function, IOVECS, IOVECS_AT, IPC, MEMORY, PREVIEW_1, SUBSCRIPTIONS_AT, TEXT, TEXTS, TEXTS_AT};

/// Calls of one input.
const CALLS: usize = 80;
/// A call that waits longer than this is killed there, with its program.
const PATIENCE: Duration = Duration::from_secs(200);
/// The largest errno of the specification.
const ERRNOS: i32 = 76;
/// What the container may use.
const MEMORY_MAX: u64 = 32 << 20;
/// What one call may burn in guest code: the call itself is two instructions.
const FUEL: u64 = 1_000_000;

/// Makes the calls that the bytes describe.
///
/// # Panics
/// If a call panics, fails with what is no errno, or leaves something charged.
pub fn run(data: &[u8]) {
    let sim = Sim::new_virtual(7);
    sim.block_on(program(&sim, Unstructured::new(data))).expect("a call that waits for ever is killed before that");
}

struct State(Ctx);

impl HasCtx for State {
    fn ctx(&mut self) -> &mut Ctx {
        &mut self.0
    }
}

/// The module that exports every function it imports, compiled and linked once.
static PASSING_ON: LazyLock<InstancePre<State>> = LazyLock::new(|| {
    let mut config = Config::new();
    config.consume_fuel(true);
    let engine = Engine::new(&config).expect("an engine");
    let module = wat::parse_str(passing_on()).expect("well-formed text");
    let module = Module::new(&engine, module).expect("a module");
    let mut linker = Linker::new(&engine);
    p1::add_to_linker::<State>(&mut linker).expect("each name once");
    linker.instantiate_pre(&module).expect("every function is there")
});

fn passing_on() -> String {
    let (mut imports, mut exports) = (String::new(), String::new());
    for (module, functions) in [(p1::MODULE, PREVIEW_1), (p1::ipc::MODULE, IPC)] {
        for function in functions {
            let (name, types) = (function.0, function.types());
            if imports.contains(&format!("\"{name}\"")) {
                continue; // named twice, to be called more often
            }
            let gets: String = (0..types.len()).map(|at| format!("(local.get {at})")).collect();
            let types = types.join(" ");
            let _infallible =
                writeln!(imports, "(import \"{module}\" \"{name}\" (func ${name} (param {types}) (result i32)))");
            let _infallible =
                writeln!(exports, "(func (export \"{name}\") (param {types}) (result i32) (call ${name} {gets}))");
        }
    }
    format!("(module {imports} (memory (export \"memory\") 4 4) {exports})")
}

/// What a program leaves behind when it is gone: nothing.
async fn program(sim: &Sim, mut u: Unstructured<'_>) {
    let config = RootConfig { cpus: 1, memory_bytes: 1 << 30, fuel_per_cpu_second: 1_000_000_000 };
    let node = Cgroup::root(config, sim.clock().clone());
    let cgroup = node.child("app", Limits { memory_max: Some(MEMORY_MAX), ..Limits::default() });
    let fabric = Fabric::new(sim, FabricConfig::default()).expect("a fabric");
    let pod = PodIdentity { name: "web".into(), namespace: "default".into(), ..PodIdentity::default() };
    let net = fabric.attach(pod).expect("a pod");
    {
        let (process, others, env) = process(sim, &cgroup, &net);
        let mut ctx = Ctx::new(process);
        ctx.extra_env = env;
        let mut store = Store::new(PASSING_ON.module().engine(), State(ctx));
        store.set_fuel(FUEL).expect("fuel is counted");
        let instance = PASSING_ON.instantiate_async(&mut store).await.expect("an instance");
        let memory = instance.get_memory(&mut store, "memory").expect("its memory");
        fill(&mut store, memory);
        let mut left = CALLS;
        while left > 0 && !u.is_empty() {
            left -= 1;
            if u.ratio(1, 6).unwrap_or_default() && subscribe(&mut u, &mut store, memory).is_err() {
                break;
            }
            let Ok((function, arguments)) = choose(&mut u) else { break };
            let values: Vec<Val> = function.types().iter().zip(&arguments).map(value).collect();
            let called = instance.get_func(&mut store, function.0).expect("it is exported");
            store.set_fuel(FUEL).expect("fuel is counted");
            let mut results = [Val::I32(0)];
            let call = called.call_async(&mut store, &values, &mut results);
            match sim.clock().timeout(PATIENCE, call).await {
                Err(_) => break, // killed where it waited
                Ok(Ok(())) => {
                    let errno = results[0].unwrap_i32();
                    let known = (0..=ERRNOS).contains(&errno);
                    assert!(known, "{} {arguments:?} ends with errno {errno}", function.0);
                }
                Ok(Err(error)) => {
                    let own_fault = error.is::<GuestFault>() || error.is::<ProcExit>() || error.is::<SignalExit>();
                    assert!(own_fault, "{} {arguments:?}: {error:?}", function.0);
                    break;
                }
            }
        }
        drop((store, others));
    }
    let left: Vec<String> = net.sockets().iter().map(|socket| format!("{socket:?}")).collect();
    assert!(left.is_empty(), "sockets are left: {left:?}");
    drop((net, fabric));
    assert_eq!(cgroup.memory_stats().current, 0, "something is still charged");
}

/// The other ends of what the program has open.
struct Others {
    _stdin: Option<WriteEnd>,
    _output: [ReadEnd; 2],
    _clients: Vec<Arc<TcpSocket>>,
}

/// A process with pipes, a listening socket with a client, and directories.
fn process(sim: &Sim, cgroup: &Arc<Cgroup>, net: &Arc<NetNs>) -> (Arc<Process>, Others, Vec<(String, String)>) {
    let spec = ProcessSpec {
        pids: PidNs::new(),
        ppid: 0,
        name: "web/app".into(),
        args: vec!["/bin/app".into(), "x".into()],
        env: vec![("HOME".into(), "/".into())],
        cwd: "/".into(),
        cred: Cred::root(),
        mnt: mounts(sim, cgroup),
        net: net.clone(),
        uts: Arc::new(UtsNs::new("web", None, None, "default.svc.cluster.local", false).expect("a name")),
        ipc: IpcNs::new(),
        cgroup: cgroup.clone(),
    };
    let process = Process::new(spec, sim).expect("a process");
    let pipes = [(); 3].map(|()| pipe(cgroup).expect("a pipe"));
    let [(stdin, to_stdin), (from_stdout, stdout), (from_stderr, stderr)] = pipes;
    let streams: [Arc<dyn Stream>; 3] = [Arc::new(stdin), Arc::new(stdout), Arc::new(stderr)];
    for stream in streams {
        process.fds.lock().insert(Descriptor::new(Description::Stream(stream))).expect("a free descriptor");
    }
    _ = to_stdin.write(b"some input\n");
    let ports = [ListenPort { name: Some("http".into()), port: 8080 }];
    let env = preopen::install(&process, &ports).expect("preopens").env;
    let client = || {
        let client = net.tcp_socket(Family::V4, cgroup.clone()).expect("a socket");
        _ = client.connect((net.ipv4(), 8080).into());
        _ = client.write(b"GET / HTTP/1.0\r\n\r\n");
        client
    };
    let clients = vec![client(), client()];
    (process, Others { _stdin: Some(to_stdin), _output: [from_stdout, from_stderr], _clients: clients }, env)
}

fn mounts(sim: &Sim, cgroup: &Arc<Cgroup>) -> Arc<MountNs> {
    let entry = |path: &str, kind, mode| LayerEntry { path: path.into(), kind, mode, uid: 0, gid: 0, mtime: 0 };
    let directory = || LayerEntryKind::Directory { opaque: false };
    let link = |to: &str| LayerEntryKind::Symlink(to.into());
    let file = |text: &'static str| LayerEntryKind::File(text.as_bytes().into());
    let entries = [
        entry("etc", directory(), 0o755),
        entry("etc/motd", file("welcome\n"), 0o644),
        entry("srv", directory(), 0o755),
        entry("srv/index.html", file("<p>hello\n"), 0o644),
        entry("tmp", directory(), 0o1777),
        entry("tmp/l", link("f"), 0o777),
        entry("www", link("srv"), 0o777),
        entry("nowhere", link("gone"), 0o777),
        entry("app.conf", file("a=b\n"), 0o644),
    ];
    let layer = Layer::from_entries(entries, &LayerLimits::default()).expect("the image is in order");
    let volume =
        Volume::tmpfs(TmpfsOptions { memory_backed: true, size_limit: Some(1 << 20), ..TmpfsOptions::default() });
    let devices = DevOptions { random: Arc::new(|buffer| buffer.fill(7)), tty: None, stdio: [None, None, None] };
    MountNs::builder(sim.clock().clone(), cgroup.clone())
        .root(vec![layer], Quota::root("upper", Some(8 << 20), None))
        .mount("/data", volume, MountOptions::default())
        .synthetic("/dev", Synthetic::dev(devices))
        .build()
        .expect("the mounts are in order")
}

/// Puts the texts and lists of buffers where the calls find them.
fn fill(store: &mut Store<State>, memory: Memory) {
    let data = memory.data_mut(store);
    assert_eq!(data.len() as u64, MEMORY, "the module's memory");
    for (index, text) in TEXTS.iter().enumerate() {
        let at = (TEXTS_AT + index as u64 * TEXT) as usize;
        data[at..][..text.len()].copy_from_slice(text.as_bytes());
    }
    for (index, (pointer, length)) in IOVECS.iter().enumerate() {
        let at = IOVECS_AT as usize + index * 8;
        data[at..][..4].copy_from_slice(&pointer.to_le_bytes());
        data[at + 4..][..4].copy_from_slice(&length.to_le_bytes());
    }
}

/// Writes some subscriptions: `user_data`, a tag, and a clock or a descriptor.
fn subscribe(u: &mut Unstructured<'_>, store: &mut Store<State>, memory: Memory) -> Input<()> {
    for index in 0..u.int_in_range(0..=8)? {
        let mut bytes = [0; 48];
        bytes[..8].copy_from_slice(&u.arbitrary::<u64>()?.to_le_bytes());
        bytes[8] = u.int_in_range(0..=3)?;
        if bytes[8] == 0 {
            bytes[16..20].copy_from_slice(&u.int_in_range(0..=4_u32)?.to_le_bytes());
            let nanos: u64 = if u.ratio(1, 8)? { u.arbitrary()? } else { u.int_in_range(0..=10_000_000)? };
            bytes[24..32].copy_from_slice(&nanos.to_le_bytes());
            bytes[40] = u.int_in_range(0..=2)?;
        } else {
            bytes[16..20].copy_from_slice(&u.int_in_range(0..=14_u32)?.to_le_bytes());
        }
        memory.data_mut(&mut *store)[SUBSCRIPTIONS_AT as usize + index * 48..][..48].copy_from_slice(&bytes);
    }
    Ok(())
}

fn choose(u: &mut Unstructured<'_>) -> Input<(&'static Function, Vec<u64>)> {
    let function = if u.ratio(1, 4)? { u.choose(IPC)? } else { u.choose(PREVIEW_1)? };
    Ok((function, function.arguments(u)?))
}

fn value((kind, argument): (&&str, &u64)) -> Val {
    if *kind == "i32" { Val::I32(*argument as u32 as i32) } else { Val::I64(*argument as i64) }
}
