//! A container's mount namespace: the image under a writable layer, the pod's `/etc` files, `/proc`, `/dev`, `/sys/fs/cgroup`, and the
//! volumes on top. Owns the composition; the mechanisms are the kernel's.

use std::sync::Arc;

use wasmpod_kernel::cgroup::Cgroup;
use wasmpod_kernel::file::Stream;
use wasmpod_kernel::mntns::proc::{EntryProcess, PidDirs, self_files};
use wasmpod_kernel::mntns::{
    DevOptions, FileOptions, MountNs, MountOptions, ProcOptions, Provider, Quota, Synthetic, Volume, etc,
};
use wasmpod_kernel::pidns::PidNs;
use wasmpod_sim::Sim;

use crate::CriError;
use crate::container::{ContainerConfig, Mount};
use crate::sandbox::Sandbox;

/// The largest `/etc/hosts`, `/etc/hostname` or `/etc/resolv.conf` that a container may make of its own, in bytes: nobody
/// counts them elsewhere (CVE-2020-8557).
const MAX_ETC_FILE: u64 = 1024 * 1024;
/// The largest termination message file; only its first 4096 bytes are read.
const MAX_TERMINATION_FILE: u64 = 64 * 1024;
/// Bytes a container may write outside of its volumes when it names no limit.
const DEFAULT_UPPER_BYTES: u64 = 1 << 30;

/// A built mount namespace, and the file that the container may leave its last words in.
pub(crate) struct RootFs {
    pub mnt: Arc<MountNs>,
    /// What the container writes outside of its volumes counts here.
    pub upper: Arc<Quota>,
    pub termination_log: Volume,
    /// Whose `/proc/self` it shows; set when the process is made.
    pub entry: EntryProcess,
    /// The directories of the pid namespace's processes under `/proc`.
    pub _processes: Arc<PidDirs>,
}

/// What `/proc` and `/dev` need to know of the entry point.
pub(crate) struct EntryPoint<'a> {
    pub args: &'a [String],
    pub env: &'a [(String, String)],
    pub stdio: [Option<Arc<dyn Stream>>; 3],
    pub pids: &'a PidNs,
}

pub(crate) fn build(
    sim: &Sim,
    sandbox: &Sandbox,
    cgroup: &Arc<Cgroup>,
    storage: &Arc<Quota>,
    config: &ContainerConfig,
    entry: EntryPoint<'_>,
) -> Result<RootFs, CriError> {
    let limit = config.ephemeral_storage_limit.unwrap_or(DEFAULT_UPPER_BYTES);
    let quota = storage.child(format!("{}/{}", sandbox.name(), config.name), Some(limit), None);
    let etc_file = |text: String| {
        Volume::file_with(text, FileOptions { mode: 0o644, size_limit: MAX_ETC_FILE, quota: Some(quota.clone()) })
    };
    let termination_log = Volume::file_with(
        Vec::new(),
        FileOptions { mode: 0o666, size_limit: MAX_TERMINATION_FILE, quota: Some(quota.clone()) },
    );
    let mut mounts = vec![
        plain("/etc/hosts", etc_file(sandbox.hosts_text())),
        plain("/etc/hostname", etc_file(etc::hostname(sandbox.uts().hostname()))),
        plain("/etc/resolv.conf", etc_file(sandbox.resolv_conf_text())),
        plain(&config.termination_message_path, termination_log.clone()),
    ];
    // the manifest's own mounts win over what the runtime would put at the same place
    mounts.retain(|mount| !config.mounts.iter().any(|own| same_path(&own.path, &mount.path)));
    mounts.extend(config.mounts.iter().cloned());

    let process = EntryProcess::default();
    let proc = Synthetic::proc(proc_options(sim, sandbox, cgroup, entry.args, entry.env, &process));
    let processes = PidDirs::of(&proc);
    entry.pids.show_in(&processes);
    let mut builder = MountNs::builder(sim.clock().clone(), cgroup.clone())
        .root(config.image.layers.clone(), quota.clone())
        .read_only_root(config.read_only_root)
        .synthetic("/proc", proc)
        .synthetic("/dev", Synthetic::dev(dev_options(sim, sandbox, config, entry.stdio)))
        .synthetic(
            "/sys/fs/cgroup",
            Synthetic::cgroup(cgroup.files(), {
                let cgroup = cgroup.clone();
                move |file: &str| cgroup.render(file)
            }),
        );
    for mount in mounts {
        builder = builder.mount(mount.path, mount.volume, mount.options);
    }
    let mnt = builder
        .build()
        .map_err(|error| CriError::Create(format!("failed to set up the container's files: {error}")))?;
    Ok(RootFs { upper: quota, mnt, termination_log, entry: process, _processes: processes })
}

fn plain(path: &str, volume: Volume) -> Mount {
    Mount { path: path.to_owned(), source: volume.kind().to_owned(), volume, options: MountOptions::default() }
}

fn same_path(a: &str, b: &str) -> bool {
    let parts = |path: &str| {
        path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect::<Vec<_>>()
    };
    parts(a) == parts(b)
}

fn dev_options(
    sim: &Sim,
    sandbox: &Sandbox,
    config: &ContainerConfig,
    stdio: [Option<Arc<dyn Stream>>; 3],
) -> DevOptions {
    let name = format!("dev/{}/{}/{}", sandbox.uid(), config.name, config.attempt);
    let stream = parking_lot::Mutex::new(sim.entropy().stream(&name));
    DevOptions { random: Arc::new(move |buffer: &mut [u8]| stream.lock().fill(buffer)), tty: None, stdio }
}

fn proc_options(
    sim: &Sim,
    sandbox: &Sandbox,
    cgroup: &Arc<Cgroup>,
    args: &[String],
    env: &[(String, String)],
    process: &EntryProcess,
) -> ProcOptions {
    let cmdline: Vec<u8> = args.iter().flat_map(|arg| arg.bytes().chain([0])).collect();
    let environ: Vec<u8> = env.iter().flat_map(|(name, value)| format!("{name}={value}\0").into_bytes()).collect();
    let (clock, memory, path) = (sim.clock().clone(), cgroup.clone(), cgroup.path().to_owned());
    let net = sandbox.net().clone();
    let table = |render: fn(&wasmpod_kernel::netns::NetNs) -> String| {
        let net = net.clone();
        provide(move || render(&net))
    };
    let hostname = format!("{}\n", sandbox.uts().hostname());
    ProcOptions {
        cmdline: Some(Arc::new(move || cmdline.clone())),
        environ: Some(Arc::new(move || environ.clone())),
        status: None, // with what else changes, in `other`
        cgroup: Some(provide(move || format!("0::{path}\n"))),
        limits: None,
        hostname: Some(provide(move || hostname.clone())),
        meminfo: Some(provide(move || meminfo(&memory))),
        cpuinfo: None,
        uptime: Some(provide(move || {
            let seconds = clock.now().as_nanos() as f64 / 1e9;
            format!("{seconds:.2} 0.00\n")
        })),
        loadavg: None,
        version: Some(provide(|| format!("wasmpod version {} (simulated kernel)\n", env!("CARGO_PKG_VERSION")))),
        net: vec![
            ("tcp".to_owned(), table(wasmpod_kernel::netns::NetNs::render_proc_net_tcp)),
            ("tcp6".to_owned(), table(wasmpod_kernel::netns::NetNs::render_proc_net_tcp6)),
            ("udp".to_owned(), table(wasmpod_kernel::netns::NetNs::render_proc_net_udp)),
            ("udp6".to_owned(), table(wasmpod_kernel::netns::NetNs::render_proc_net_udp6)),
            ("route".to_owned(), table(wasmpod_kernel::netns::NetNs::render_proc_net_route)),
            ("if_inet6".to_owned(), table(wasmpod_kernel::netns::NetNs::render_proc_net_if_inet6)),
            ("sockstat".to_owned(), table(wasmpod_kernel::netns::NetNs::render_proc_net_sockstat)),
        ],
        other: self_files(process),
    }
}

fn provide(render: impl Fn() -> String + Send + Sync + 'static) -> Provider {
    Arc::new(move || render().into_bytes())
}

/// `/proc/meminfo`, of the container's limit rather than the node's: a simulated kernel need not copy that confusion.
fn meminfo(cgroup: &Cgroup) -> String {
    let stats = cgroup.memory_stats();
    let total = stats.max.unwrap_or(stats.current) / 1024;
    let free = total.saturating_sub(stats.current / 1024);
    format!("MemTotal:       {total:>8} kB\nMemFree:        {free:>8} kB\nMemAvailable:   {free:>8} kB\n")
}
