//! A pod of one container whose program is a wasm module that does nothing but pass calls on: each preview 1 function is exported
//! again under its own name, so a test makes real system calls, with real guest memory, from Rust. Everything runs in virtual
//! time: a test that would wait for ever ends with the report of a deadlock, and one that computes for ever runs out of fuel.

use std::fmt::Write as _;
use std::sync::Arc;

use wasmpod_kernel::cgroup::{Cgroup, Limits, RootConfig};
use wasmpod_kernel::fabric::{Fabric, FabricConfig, PodIdentity};
use wasmpod_kernel::file::{Description, Descriptor, Stream};
use wasmpod_kernel::ipcns::IpcNs;
use wasmpod_kernel::mntns::{
    Cred, DevOptions, Layer, LayerEntry, LayerEntryKind, LayerLimits, MountNs, MountOptions, Quota, Synthetic,
    TmpfsOptions, Volume,
};
use wasmpod_kernel::netns::NetNs;
use wasmpod_kernel::pipe::{ReadEnd, WriteEnd, pipe};
use wasmpod_kernel::process::{Process, ProcessSpec};
use wasmpod_kernel::sim::Sim;
use wasmpod_kernel::utsns::UtsNs;
use wasmpod_wasi::{Ctx, HasCtx, p1};
use wasmtime::{Config, Engine, Instance, Linker, Memory, Module, Store, Val};

/// Every function of the witx file with its parameters: `i` for 32 bits, `l` for 64.
const FUNCTIONS: &[(&str, &str)] = &[
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "ili"),
    ("fd_advise", "illi"),
    ("fd_allocate", "ill"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "ill"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "il"),
    ("fd_filestat_set_times", "illi"),
    ("fd_pread", "iiili"),
    ("fd_prestat_get", "ii"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_pwrite", "iiili"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiili"),
    ("fd_renumber", "ii"),
    ("fd_seek", "ilii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiilli"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiillii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_raise", "i"),
    ("sched_yield", ""),
    ("random_get", "ii"),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

/// What a program may burn in one call of a test: far more than any needs.
const FUEL: u64 = 1_000_000;
/// The program's memory: 64 pages of 64 KiB.
pub const MEMORY_SIZE: u32 = 64 * 65536;

/// Errors as wasi-libc numbers them.
pub mod errno {
    pub const ACCES: u32 = 2;
    pub const AGAIN: u32 = 6;
    pub const BADF: u32 = 8;
    pub const CONNRESET: u32 = 15;
    pub const EXIST: u32 = 20;
    pub const ILSEQ: u32 = 25;
    pub const INVAL: u32 = 28;
    pub const ISDIR: u32 = 31;
    pub const LOOP: u32 = 32;
    pub const MFILE: u32 = 33;
    pub const NAMETOOLONG: u32 = 37;
    pub const NOENT: u32 = 44;
    pub const NOTCONN: u32 = 53;
    pub const NOTDIR: u32 = 54;
    pub const NOTEMPTY: u32 = 55;
    pub const NOTSOCK: u32 = 57;
    pub const NOTSUP: u32 = 58;
    pub const PERM: u32 = 63;
    pub const PIPE: u32 = 64;
    pub const SPIPE: u32 = 70;
    pub const XDEV: u32 = 75;
}

pub const READ: u64 = 1 << 1;
pub const WRITE: u64 = 1 << 6;
pub const CREAT: u64 = 1;
pub const DIRECTORY: u64 = 2;
pub const EXCL: u64 = 4;
pub const TRUNC: u64 = 8;
pub const APPEND: u64 = 1;
pub const NONBLOCK: u64 = 4;
pub const FOLLOW: u64 = 1;

pub struct State(pub Ctx);

impl HasCtx for State {
    fn ctx(&mut self) -> &mut Ctx {
        &mut self.0
    }
}

/// What a test may choose.
pub struct Setup {
    pub args: Vec<&'static str>,
    pub env: Vec<(&'static str, &'static str)>,
    pub cwd: &'static str,
    pub cred: Cred,
}

impl Default for Setup {
    fn default() -> Self {
        Self { args: vec!["/bin/app"], env: vec![], cwd: "/", cred: Cred::root() }
    }
}

/// One pod.
pub struct World {
    pub sim: Sim,
    pub cgroup: Arc<Cgroup>,
    pub net: Arc<NetNs>,
    pub mnt: Arc<MountNs>,
    engine: Engine,
    module: Module,
    _fabric: Arc<Fabric>,
}

impl World {
    pub fn new() -> Self {
        Self::of(Sim::new_virtual(7))
    }

    /// With the host's clocks and threads.
    pub fn in_real_time() -> Self {
        Self::of(Sim::new_real(Some(7), 2).unwrap())
    }

    fn of(sim: Sim) -> Self {
        let config = RootConfig { cpus: 2, memory_bytes: 1 << 30, fuel_per_cpu_second: 1_000_000_000 };
        let cgroup = Cgroup::root(config, sim.clock().clone()).child("app", Limits::default());
        let fabric = Fabric::new(&sim, FabricConfig::default()).unwrap();
        let pod = PodIdentity { name: "web".into(), namespace: "default".into(), ..PodIdentity::default() };
        let net = fabric.attach(pod).unwrap();
        let mnt = mounts(&sim, &cgroup);
        let mut config = Config::new();
        config.consume_fuel(true);
        let engine = Engine::new(&config).unwrap();
        let module = Module::new(&engine, wat::parse_str(passing_on()).unwrap()).unwrap();
        Self { sim, cgroup, net, mnt, engine, module, _fabric: fabric }
    }

    pub fn process(&self, setup: Setup) -> Arc<Process> {
        let owned = |text: &&str| (*text).to_owned();
        let spec = ProcessSpec {
            pids: wasmpod_kernel::pidns::PidNs::new(),
            ppid: 0,
            name: "web/app".into(),
            args: setup.args.iter().map(owned).collect(),
            env: setup.env.iter().map(|(name, value)| (owned(name), owned(value))).collect(),
            cwd: setup.cwd.to_owned(),
            cred: setup.cred,
            mnt: self.mnt.clone(),
            net: self.net.clone(),
            uts: Arc::new(UtsNs::new("web", None, None, "default.svc.cluster.local", false).unwrap()),
            ipc: IpcNs::new(),
            cgroup: self.cgroup.clone(),
        };
        Process::new(spec, &self.sim).unwrap()
    }

    /// A process with pipes for stdin, stdout and stderr and no directories yet, and the other ends.
    pub fn piped(&self, setup: Setup) -> (Arc<Process>, Ends) {
        let process = self.process(setup);
        let (stdin, to_stdin) = pipe(&self.cgroup).unwrap();
        let (from_stdout, stdout) = pipe(&self.cgroup).unwrap();
        let (from_stderr, stderr) = pipe(&self.cgroup).unwrap();
        let streams: [Arc<dyn Stream>; 3] = [Arc::new(stdin), Arc::new(stdout), Arc::new(stderr)];
        for stream in streams {
            process.fds.lock().insert(Descriptor::new(Description::Stream(stream))).unwrap();
        }
        (process, Ends { stdin: Some(to_stdin), stdout: Some(from_stdout), stderr: Some(from_stderr) })
    }

    /// A program with standard streams and the directories of the pod: 3 is `/`, 4 is `/data`, 5 is `/dev`.
    pub async fn program(&self, setup: Setup) -> Program {
        let (process, ends) = self.piped(setup);
        let installed = wasmpod_wasi::preopen::install(&process, &[]).unwrap();
        self.load(process, ends, installed.env).await
    }

    pub async fn load(&self, process: Arc<Process>, ends: Ends, env: Vec<(String, String)>) -> Program {
        let mut linker = Linker::new(&self.engine);
        p1::add_to_linker::<State>(&mut linker).unwrap();
        let mut ctx = Ctx::new(process.clone());
        ctx.extra_env = env;
        let mut store = Store::new(&self.engine, State(ctx));
        store.set_fuel(FUEL).unwrap();
        let instance = linker.instantiate_async(&mut store, &self.module).await.unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        Program { store, instance, memory, process, ends, next: 4096 }
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Runs a test to its end, and everything it started beside it.
    pub fn run<T>(&self, test: impl Future<Output = T>) -> T {
        self.sim.block_on(test).unwrap()
    }
}

/// The other ends of a program's standard streams.
#[derive(Default)]
pub struct Ends {
    pub stdin: Option<WriteEnd>,
    pub stdout: Option<ReadEnd>,
    pub stderr: Option<ReadEnd>,
}

fn mounts(sim: &Sim, cgroup: &Arc<Cgroup>) -> Arc<MountNs> {
    let entry = |path: &str, kind, mode| LayerEntry { path: path.into(), kind, mode, uid: 0, gid: 0, mtime: 0 };
    let directory = || LayerEntryKind::Directory { opaque: false };
    let file = |text: &'static str| LayerEntryKind::File(text.as_bytes().into());
    let layer = Layer::from_entries(
        [
            entry("etc", directory(), 0o755),
            entry("etc/motd", file("welcome\n"), 0o644),
            entry("secret", directory(), 0o700),
            entry("srv", directory(), 0o755),
            entry("srv/www", directory(), 0o755),
            entry("srv/www/index.html", file("<p>hello\n"), 0o644),
            entry("tmp", directory(), 0o1777),
            entry("www", LayerEntryKind::Symlink("srv/www".into()), 0o777),
            entry("nowhere", LayerEntryKind::Symlink("gone".into()), 0o777),
            entry("app.conf", file("a=b\n"), 0o644),
        ],
        &LayerLimits::default(),
    );
    let volume = Volume::tmpfs(TmpfsOptions::default());
    let devices = DevOptions { random: Arc::new(|buffer| buffer.fill(7)), tty: None, stdio: [None, None, None] };
    MountNs::builder(sim.clock().clone(), cgroup.clone())
        .root(vec![layer.unwrap()], Quota::unlimited())
        .mount("/data", volume, MountOptions::default())
        .synthetic("/dev", Synthetic::dev(devices))
        .build()
        .unwrap()
}

fn passing_on() -> String {
    let types = |params: &str| params.chars().map(|c| if c == 'i' { " i32" } else { " i64" }).collect::<String>();
    let mut imports = String::new();
    let mut exports = String::new();
    for (name, params) in FUNCTIONS {
        let types = types(params);
        writeln!(imports, "(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} (param{types}) (result i32)))")
            .unwrap();
        let gets: String = (0..params.len()).map(|at| format!("(local.get {at})")).collect();
        writeln!(exports, "(func (export \"{name}\") (param{types}) (result i32) (call ${name} {gets}))").unwrap();
    }
    format!(
        "(module {imports}
           (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $proc_exit (param i32)))
           (memory (export \"memory\") 64 64)
           {exports}
           (func (export \"proc_exit\") (param i32) (result i32) (call $proc_exit (local.get 0)) (unreachable)))"
    )
}

/// A running program.
pub struct Program {
    pub store: Store<State>,
    instance: Instance,
    memory: Memory,
    pub process: Arc<Process>,
    pub ends: Ends,
    next: u32,
}

impl Program {
    /// Makes a system call: its errno, or what ended the program.
    pub async fn try_call(&mut self, name: &str, args: &[u64]) -> wasmtime::Result<u32> {
        let function = self.instance.get_func(&mut self.store, name).unwrap();
        let params = FUNCTIONS.iter().find(|(known, _)| *known == name).map_or("i", |(_, params)| params);
        assert_eq!(params.len(), args.len(), "{name}");
        let val = |(kind, arg): (char, &u64)| match kind {
            'i' => Val::I32(*arg as u32 as i32),
            _ => Val::I64(*arg as i64),
        };
        let args: Vec<Val> = params.chars().zip(args).map(val).collect();
        let mut results = [Val::I32(0)];
        self.store.set_fuel(FUEL).unwrap();
        function.call_async(&mut self.store, &args, &mut results).await?;
        Ok(results[0].unwrap_i32() as u32)
    }

    /// Makes a system call that does not end the program.
    pub async fn call(&mut self, name: &str, args: &[u64]) -> u32 {
        self.try_call(name, args).await.unwrap()
    }

    /// Makes a system call and demands that it works.
    pub async fn ok(&mut self, name: &str, args: &[u64]) {
        assert_eq!(self.call(name, args).await, 0, "{name} {args:?}");
    }

    /// What ended the program.
    pub async fn trap(&mut self, name: &str, args: &[u64]) -> wasmtime::Error {
        self.try_call(name, args).await.expect_err("the program should have ended")
    }

    /// The fuel that the last calls were charged for.
    pub fn charged(&mut self) -> u64 {
        self.store.data_mut().0.take_host_fuel()
    }

    /// Room in the program's memory, zeroed.
    pub fn room(&mut self, len: usize) -> u64 {
        let at = self.next.next_multiple_of(16);
        self.next = at + len as u32;
        assert!(self.next <= MEMORY_SIZE, "the test needs more memory");
        self.memory.data_mut(&mut self.store)[at as usize..][..len].fill(0);
        u64::from(at)
    }

    /// Gives all room back.
    pub fn clear(&mut self) {
        self.next = 4096;
    }

    pub fn put(&mut self, bytes: &[u8]) -> u64 {
        let at = self.room(bytes.len());
        self.memory.write(&mut self.store, at as usize, bytes).unwrap();
        at
    }

    pub fn get(&mut self, at: u64, len: usize) -> Vec<u8> {
        self.memory.data(&self.store)[at as usize..][..len].to_vec()
    }

    pub fn get_u16(&mut self, at: u64) -> u16 {
        u16::from_le_bytes(self.get(at, 2).try_into().unwrap())
    }

    pub fn get_u32(&mut self, at: u64) -> u32 {
        u32::from_le_bytes(self.get(at, 4).try_into().unwrap())
    }

    pub fn get_u64(&mut self, at: u64) -> u64 {
        u64::from_le_bytes(self.get(at, 8).try_into().unwrap())
    }

    /// An array of buffers, and the buffers.
    pub fn iovecs(&mut self, buffers: &[(u64, u64)]) -> u64 {
        let words = buffers.iter().flat_map(|(at, len)| [*at as u32, *len as u32]);
        self.put(&words.flat_map(u32::to_le_bytes).collect::<Vec<u8>>())
    }

    /// Makes a call whose result is a number at a pointer that comes last.
    async fn number(&mut self, name: &str, args: &[u64]) -> Result<u32, u32> {
        let out = self.room(4);
        let args: Vec<u64> = args.iter().copied().chain([out]).collect();
        match self.call(name, &args).await {
            0 => Ok(self.get_u32(out)),
            errno => Err(errno),
        }
    }

    pub async fn open(&mut self, path: &str, oflags: u64, rights: u64, fdflags: u64) -> Result<u32, u32> {
        self.open_at(3, FOLLOW, path, oflags, rights, fdflags).await
    }

    pub async fn open_at(
        &mut self,
        fd: u32,
        lookup: u64,
        path: &str,
        oflags: u64,
        rights: u64,
        fdflags: u64,
    ) -> Result<u32, u32> {
        let at = self.put(path.as_bytes());
        let args = [u64::from(fd), lookup, at, path.len() as u64, oflags, rights, u64::MAX, fdflags];
        self.number("path_open", &args).await
    }

    /// A call that takes a directory and a path and nothing else.
    pub async fn on_path(&mut self, name: &str, fd: u32, path: &str) -> u32 {
        let at = self.put(path.as_bytes());
        self.call(name, &[u64::from(fd), at, path.len() as u64]).await
    }

    pub async fn write(&mut self, fd: u32, bytes: &[u8]) -> Result<u32, u32> {
        let at = self.put(bytes);
        let iovecs = self.iovecs(&[(at, bytes.len() as u64)]);
        self.number("fd_write", &[u64::from(fd), iovecs, 1]).await
    }

    pub async fn pwrite(&mut self, fd: u32, bytes: &[u8], offset: u64) -> Result<u32, u32> {
        let at = self.put(bytes);
        let iovecs = self.iovecs(&[(at, bytes.len() as u64)]);
        self.number("fd_pwrite", &[u64::from(fd), iovecs, 1, offset]).await
    }

    pub async fn read(&mut self, fd: u32, len: usize) -> Result<Vec<u8>, u32> {
        let at = self.room(len);
        let iovecs = self.iovecs(&[(at, len as u64)]);
        let read = self.number("fd_read", &[u64::from(fd), iovecs, 1]).await?;
        Ok(self.get(at, read as usize))
    }

    pub async fn pread(&mut self, fd: u32, len: usize, offset: u64) -> Result<Vec<u8>, u32> {
        let at = self.room(len);
        let iovecs = self.iovecs(&[(at, len as u64)]);
        let read = self.number("fd_pread", &[u64::from(fd), iovecs, 1, offset]).await?;
        Ok(self.get(at, read as usize))
    }

    pub async fn recv(&mut self, fd: u32, len: usize, flags: u64) -> Result<Vec<u8>, u32> {
        let at = self.room(len);
        let iovecs = self.iovecs(&[(at, len as u64)]);
        let (out, out_flags) = (self.room(4), self.room(2));
        match self.call("sock_recv", &[u64::from(fd), iovecs, 1, flags, out, out_flags]).await {
            0 => {
                let read = self.get_u32(out) as usize;
                Ok(self.get(at, read))
            }
            errno => Err(errno),
        }
    }

    pub async fn send(&mut self, fd: u32, bytes: &[u8]) -> Result<u32, u32> {
        let at = self.put(bytes);
        let iovecs = self.iovecs(&[(at, bytes.len() as u64)]);
        self.number("sock_send", &[u64::from(fd), iovecs, 1, 0]).await
    }

    pub async fn accept(&mut self, fd: u32, flags: u64) -> Result<u32, u32> {
        self.number("sock_accept", &[u64::from(fd), flags]).await
    }

    pub async fn seek(&mut self, fd: u32, offset: i64, whence: u64) -> Result<u64, u32> {
        let out = self.room(8);
        match self.call("fd_seek", &[u64::from(fd), offset as u64, whence, out]).await {
            0 => Ok(self.get_u64(out)),
            errno => Err(errno),
        }
    }

    /// The 64 bytes of a `filestat`.
    pub async fn stat(&mut self, fd: u32) -> Result<Stat, u32> {
        let out = self.room(64);
        match self.call("fd_filestat_get", &[u64::from(fd), out]).await {
            0 => Ok(self.filestat(out)),
            errno => Err(errno),
        }
    }

    pub async fn stat_at(&mut self, fd: u32, flags: u64, path: &str) -> Result<Stat, u32> {
        let (at, out) = (self.put(path.as_bytes()), self.room(64));
        match self.call("path_filestat_get", &[u64::from(fd), flags, at, path.len() as u64, out]).await {
            0 => Ok(self.filestat(out)),
            errno => Err(errno),
        }
    }

    fn filestat(&mut self, at: u64) -> Stat {
        Stat {
            ino: self.get_u64(at + 8),
            filetype: self.get(at + 16, 1)[0],
            nlink: self.get_u64(at + 24),
            size: self.get_u64(at + 32),
            atime: self.get_u64(at + 40),
            mtime: self.get_u64(at + 48),
        }
    }

    pub async fn fdstat(&mut self, fd: u32) -> Result<FdStat, u32> {
        let out = self.room(24);
        match self.call("fd_fdstat_get", &[u64::from(fd), out]).await {
            0 => Ok(FdStat {
                filetype: self.get(out, 1)[0],
                flags: self.get_u16(out + 2),
                rights: self.get_u64(out + 8),
                inheriting: self.get_u64(out + 16),
            }),
            errno => Err(errno),
        }
    }

    /// The name of a pre-opened directory.
    pub async fn prestat(&mut self, fd: u32) -> Result<String, u32> {
        let out = self.room(8);
        match self.call("fd_prestat_get", &[u64::from(fd), out]).await {
            0 if self.get(out, 1)[0] != 0 => return Ok("(no directory)".into()),
            0 => {}
            errno => return Err(errno),
        }
        let len = self.get_u32(out + 4);
        let name = self.room(len as usize);
        self.ok("fd_prestat_dir_name", &[u64::from(fd), name, u64::from(len)]).await;
        Ok(String::from_utf8(self.get(name, len as usize)).unwrap())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub ino: u64,
    pub filetype: u8,
    pub nlink: u64,
    pub size: u64,
    pub atime: u64,
    pub mtime: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FdStat {
    pub filetype: u8,
    pub flags: u16,
    pub rights: u64,
    pub inheriting: u64,
}
