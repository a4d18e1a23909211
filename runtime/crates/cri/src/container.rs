//! One run of one container: created, running, exited, never back. Owns its process, its log and its end; whether another run follows is the
//! node agent's to say.
//!
//! ```text
//!   create ──► Created ──start──► Running ──exit, trap, OOM, SIGKILL──► Exited
//!                 └──start fails──────────────────────────────────────────┘   (code 128, StartError)
//! ```

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use wasmpod_engine::{Exit, ExitReason, Program, ProgramKind};
use wasmpod_kernel::Errno;
use wasmpod_kernel::cgroup::{Cgroup, Limits};
use wasmpod_kernel::file::{Description, Descriptor, FileType, Stream};
use wasmpod_kernel::mntns::{Cred, MountNs, MountOptions, Quota, Volume};
use wasmpod_kernel::pidns::PidNs;
use wasmpod_kernel::process::{Process, ProcessSpec};
use wasmpod_kernel::signal::{Sender, Signal, SignalInfo};
use wasmpod_kernel::wait::WaitQueue;
use wasmpod_sim::{Instant, UnixNanos};
use wasmpod_wasi::preopen::{self, ListenPort, PreopenError};

use crate::events::{ContainerEvent, ContainerEventKind};
use crate::exec::{self, DEFAULT_PATH};
use crate::image::Image;
use crate::log::{ContainerLog, NoInput, OutputSink, StdStream};
use crate::rootfs::{self, EntryPoint, RootFs};
use crate::runtime::Runtime;
use crate::sandbox::Sandbox;
use crate::{CriError, Protocol};

/// How much of the termination message file is read (kubelet: MaxContainerTerminationMessageLength).
pub const MAX_TERMINATION_MESSAGE: usize = 4096;
/// The code of a container whose program could not be started, as containerd reports it.
pub const START_ERROR_CODE: i32 = 128;

/// A volume in a container.
#[derive(Clone)]
pub struct Mount {
    /// Where, an absolute path.
    pub path: String,
    /// What an onlooker is told it is: the volume's name.
    pub source: String,
    /// What.
    pub volume: Volume,
    /// How.
    pub options: MountOptions,
}

/// A port that the manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// Its number.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// How to make a container.
#[derive(Clone)]
pub struct ContainerConfig {
    /// Its name in the pod.
    pub name: String,
    /// Which run it is, from 0.
    pub attempt: u32,
    /// Its root filesystem.
    pub image: Arc<Image>,
    /// Replaces the image's entry point unless empty.
    pub command: Vec<String>,
    /// Follows the command.
    pub args: Vec<String>,
    /// The environment, in order.
    pub env: Vec<(String, String)>,
    /// The working directory; empty means `/`.
    pub working_dir: String,
    /// Who it runs as.
    pub cred: Cred,
    /// Its limits.
    pub limits: Limits,
    /// Its volumes.
    pub mounts: Vec<Mount>,
    /// Its ports. A program for WASI preview 1 gets each TCP one as a listening socket.
    pub ports: Vec<Port>,
    /// Where it may leave its last words.
    pub termination_message_path: String,
    /// Bytes it may write outside of its volumes.
    pub ephemeral_storage_limit: Option<u64>,
    /// Refuse writes outside of its volumes.
    pub read_only_root: bool,
    /// Takes its output beside the log.
    pub output: Option<Arc<dyn OutputSink>>,
}

/// How and when a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exited {
    /// When it started; the creation if it never did.
    pub started_at: UnixNanos,
    /// When it ended.
    pub finished_at: UnixNanos,
    /// Exit code, 128 + signal, or 128 if it could not be started.
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled` or `StartError`.
    pub reason: &'static str,
    /// What the runtime has to say about it.
    pub message: Option<String>,
}

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, not started.
    Created,
    /// Its program runs.
    Running {
        /// Since when.
        started_at: UnixNanos,
    },
    /// It is over.
    Exited(Exited),
}

/// One run of a container.
pub struct Container {
    id: String,
    runtime: Runtime,
    /// The pod's name and UID, for events and the journal; the sandbox itself would be a cycle.
    pod: (String, String),
    config: ContainerConfig,
    cgroup: Arc<Cgroup>,
    log: Arc<ContainerLog>,
    rootfs: RootFs,
    process: Arc<Process>,
    program: Result<Program, String>,
    namespaces: OwnNamespaces,
    created_at: UnixNanos,
    life: Mutex<Life>,
    changed: WaitQueue,
}

/// The numbers of a container's pid namespace, its own or the pod's, and of its mount namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnNamespaces {
    pub pid: u64,
    pub mnt: u64,
}

struct Life {
    state: ContainerState,
    /// There is a program to signal.
    runs: bool,
    /// It was removed: there is nothing to start.
    removed: bool,
    /// SIGKILL comes at this time; a later stop may only bring it forward.
    kill_at: Option<Instant>,
}

impl Container {
    pub(crate) async fn create(
        runtime: &Runtime,
        sandbox: &Arc<Sandbox>,
        mut config: ContainerConfig,
    ) -> Result<Arc<Self>, CriError> {
        let sim = runtime.sim();
        let argv = argv(&config)?;
        if config.working_dir.is_empty() {
            config.working_dir = "/".to_owned();
        }
        set_default(&mut config.env, "PATH", DEFAULT_PATH);
        set_default(&mut config.env, "HOSTNAME", sandbox.uts().hostname());
        let cgroup = sandbox.cgroup().child(&config.name, config.limits);
        let path = sandbox.log_dir().join(&config.name).join(format!("{}.log", config.attempt));
        let log = ContainerLog::create(&path, runtime.inner.config.log, sim.clock().clone(), config.output.clone())
            .map_err(|source| CriError::Host { path: path.display().to_string(), source })?;
        let pids = sandbox.shared_pids().cloned().unwrap_or_else(PidNs::new);
        let (stdout, stderr) = (log.stream(StdStream::Stdout), log.stream(StdStream::Stderr));
        let stdio: [Arc<dyn Stream>; 3] = [Arc::new(NoInput), stdout, stderr];
        let entry = EntryPoint { args: &argv, env: &config.env, stdio: stdio.clone().map(Some), pids: &pids };
        let rootfs = rootfs::build(sim, sandbox, &cgroup, runtime.storage(), &config, entry)?;
        make_working_dir(&rootfs.mnt, &config.working_dir)?;
        let spec = ProcessSpec {
            pids,
            ppid: 0,
            name: format!("{}/{}", sandbox.name(), config.name),
            args: argv,
            env: config.env.clone(),
            cwd: config.working_dir.clone(),
            cred: config.cred.clone(),
            mnt: rootfs.mnt.clone(),
            net: sandbox.net().clone(),
            uts: sandbox.uts().clone(),
            ipc: sandbox.ipc().clone(),
            cgroup: cgroup.clone(),
        };
        let process = Process::new(spec, sim).map_err(|errno| {
            CriError::Create(match errno {
                Errno::Again => "the cgroup has as many processes as it may (pids.max)".to_owned(),
                _ => format!("arguments or environment: {}", errno.to_string().to_lowercase()),
            })
        })?;
        let _first = rootfs.entry.set(Arc::downgrade(&process));
        {
            let mut fds = process.fds.lock();
            for stream in stdio {
                fds.insert(Descriptor::new(Description::Stream(stream)))
                    .map_err(|errno| CriError::Create(errno.to_string()))?;
            }
        }
        let program = find_program(runtime, &config, &process).await;
        let container = Arc::new(Self {
            id: runtime.new_id("container"),
            runtime: runtime.clone(),
            pod: (sandbox.name().to_owned(), sandbox.uid().to_owned()),
            cgroup,
            log,
            rootfs,
            process,
            program,
            namespaces: OwnNamespaces {
                pid: sandbox.namespaces().pid.unwrap_or_else(|| runtime.new_namespace_id()),
                mnt: runtime.new_namespace_id(),
            },
            created_at: sim.clock().wall(),
            life: Mutex::new(Life { state: ContainerState::Created, removed: false, runs: false, kill_at: None }),
            changed: WaitQueue::new(),
            config,
        });
        sandbox.containers.lock().insert(container.config.name.clone(), container.clone());
        Ok(container)
    }

    /// Its id: 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its name in the pod.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// How it was made.
    pub fn config(&self) -> &ContainerConfig {
        &self.config
    }

    /// Its cgroup, with the statistics.
    pub fn cgroup(&self) -> &Arc<Cgroup> {
        &self.cgroup
    }

    /// What it writes outside of its volumes counts here.
    pub(crate) fn upper_quota(&self) -> &Arc<Quota> {
        &self.rootfs.upper
    }

    /// Its file system.
    pub fn mnt(&self) -> &Arc<MountNs> {
        &self.rootfs.mnt
    }

    pub(crate) fn namespaces(&self) -> OwnNamespaces {
        self.namespaces
    }

    /// Its log.
    pub fn log(&self) -> &Arc<ContainerLog> {
        &self.log
    }

    /// Where it is.
    pub fn state(&self) -> ContainerState {
        self.life.lock().state.clone()
    }

    /// True once it was started, whether it still runs or not.
    pub fn has_started(&self) -> bool {
        !matches!(self.life.lock().state, ContainerState::Created)
    }

    /// Starts the program.
    ///
    /// # Errors
    /// [`CriError::Start`] if there is nothing to run: the container has then exited with [`START_ERROR_CODE`].
    /// [`CriError::State`] if it was started before.
    pub fn start(self: &Arc<Self>) -> Result<(), CriError> {
        if self.has_started() {
            return Err(CriError::State(format!("container {} was started before", self.config.name)));
        }
        if self.life.lock().removed {
            return Err(CriError::State(format!("container {} was removed", self.config.name)));
        }
        let program = match &self.program {
            Ok(program) => program.clone(),
            Err(message) => return Err(self.fail_to_start(message.clone())),
        };
        let env = match self.preopen(&program) {
            Ok(env) => env,
            Err(PreopenError::AddrInUse { port }) => {
                // the program's own bind would fail and end it: the same here, where the runtime binds for it
                let text = format!("listen on port {port}: Address already in use\n");
                self.log.write(StdStream::Stderr, text.as_bytes());
                self.set_running(false);
                self.finish(1, ExitReason::Error.as_str(), Some(text.trim_end().to_owned()));
                return Ok(());
            }
            Err(error) => return Err(self.fail_to_start(error.to_string())),
        };
        let running = self.runtime.engine().start(&program, &self.process, env);
        self.set_running(true);
        let this = self.clone();
        let name = format!("{}/{} (monitor)", self.pod.0, self.config.name);
        self.runtime.sim().spawn(name, async move {
            let exit = running.wait().await;
            this.end(exit);
        });
        Ok(())
    }

    /// Waits until it has ended.
    pub async fn wait(&self) -> Exited {
        std::future::poll_fn(|cx| {
            let life = self.life.lock();
            match &life.state {
                ContainerState::Exited(exited) => Poll::Ready(exited.clone()),
                _ => {
                    self.changed.register(cx);
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// SIGTERM, then SIGKILL when `grace` is over; returns when the program has ended. A program without a handler for SIGTERM goes on
    /// until SIGKILL if it is pid 1, and ends with 143 where the pod shares a pid namespace. A second stop with less grace brings SIGKILL forward, one with more changes nothing.
    pub async fn stop(&self, grace: Duration) -> Option<Exited> {
        let clock = self.runtime.sim().clock().clone();
        let deadline = clock.now() + grace;
        let first;
        {
            let mut life = self.life.lock();
            first = life.kill_at.is_none() && life.runs;
            match life.state {
                ContainerState::Created => return None,
                ContainerState::Exited(_) => {}
                ContainerState::Running { .. } if life.kill_at.is_none_or(|kill_at| kill_at > deadline) => {
                    life.kill_at = Some(deadline);
                    self.journal(format_args!("signal {} grace {}", Signal::Term.name(), grace.as_secs_f64()));
                }
                ContainerState::Running { .. } => {}
            }
        }
        if first {
            self.process.signal(SignalInfo { signal: Signal::Term, sender: Sender::Runtime });
        }
        self.changed.wake_all(); // an earlier stop looks at the new deadline
        loop {
            let kill_at = self.life.lock().kill_at.unwrap_or(deadline);
            let sleep = clock.sleep_until(kill_at);
            match futures_util::future::select(std::pin::pin!(self.wait_or_change(kill_at)), sleep).await {
                futures_util::future::Either::Left((Some(exited), _)) => return Some(exited),
                futures_util::future::Either::Left((None, _)) => {}
                futures_util::future::Either::Right(_) => {
                    self.kill();
                    return Some(self.wait().await);
                }
            }
        }
    }

    /// SIGKILL now, to every process of the container.
    pub fn kill(&self) {
        let runs = {
            let life = self.life.lock();
            matches!(life.state, ContainerState::Running { .. }) && life.runs
        };
        if runs {
            self.journal(format_args!("signal {}", Signal::Kill.name()));
            self.kill_processes();
        }
    }

    /// Takes it out of its sandbox and removes its log files; its writable layer goes with the last who holds the container. One that
    /// runs is killed first, as by the CRI's RemoveContainer. Removing it again does nothing.
    pub async fn remove(&self) {
        self.kill();
        let runs = {
            let mut life = self.life.lock();
            life.removed = true;
            matches!(life.state, ContainerState::Running { .. })
        };
        if runs {
            self.wait().await;
        }
        self.process.end(); // also one that was never started
        if let Some(sandbox) = self.runtime.sandbox(&self.pod.1) {
            sandbox.forget_container(self);
        }
        self.log.remove();
    }

    fn kill_processes(&self) {
        for process in self.processes() {
            process.signal(SignalInfo { signal: Signal::Kill, sender: Sender::Runtime });
        }
    }

    /// Its entry point.
    pub fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// The pid namespace of its processes: its own, or the pod's.
    pub fn pids(&self) -> &Arc<PidNs> {
        &self.process.spec.pids
    }

    /// Its running processes, by number: those in its cgroup.
    pub fn processes(&self) -> Vec<Arc<Process>> {
        let mut processes = self.pids().processes();
        processes.retain(|process| Arc::ptr_eq(&process.spec.cgroup, &self.cgroup));
        processes
    }

    /// What the program left in its termination message file, cut to what Kubernetes keeps.
    pub fn termination_message(&self) -> Vec<u8> {
        self.rootfs.termination_log.read_file("", MAX_TERMINATION_MESSAGE).unwrap_or_default()
    }

    fn preopen(&self, program: &Program) -> Result<Vec<(String, String)>, PreopenError> {
        match program.kind() {
            // a component asks for its directories, and listens by itself
            ProgramKind::Component => Ok(Vec::new()),
            ProgramKind::Module => {
                let tcp = self.config.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
                let ports: Vec<_> = tcp.map(|port| ListenPort { name: port.name.clone(), port: port.port }).collect();
                let installed = preopen::install(&self.process, &ports)?;
                if program.polls_sockets() {
                    let mut fds = self.process.fds.lock();
                    for fd in (preopen::FIRST_PREOPEN..).take(ports.len()) {
                        fds.get_mut(fd).map_err(PreopenError::Directories)?.nonblocking = true;
                    }
                }
                Ok(installed.env)
            }
        }
    }

    /// The end of the run, or `None` when SIGKILL has been brought forward of `kill_at`.
    async fn wait_or_change(&self, kill_at: Instant) -> Option<Exited> {
        std::future::poll_fn(|cx| {
            let life = self.life.lock();
            match &life.state {
                ContainerState::Exited(exited) => Poll::Ready(Some(exited.clone())),
                _ if life.kill_at.is_some_and(|at| at < kill_at) => Poll::Ready(None),
                _ => {
                    self.changed.register(cx);
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn set_running(&self, runs: bool) {
        {
            let mut life = self.life.lock();
            life.state = ContainerState::Running { started_at: self.runtime.sim().clock().wall() };
            life.runs = runs;
        }
        self.journal(format_args!("started attempt {}", self.config.attempt));
        self.tell(ContainerEventKind::Started);
    }

    fn end(&self, exit: Exit) {
        // the end of pid 1 ends its namespace; in a shared one the runtime sees to it that nothing of the container is left
        self.kill_processes();
        self.finish(exit.status.code(), exit.reason.as_str(), exit.message);
    }

    fn fail_to_start(&self, message: String) -> CriError {
        self.finish(START_ERROR_CODE, "StartError", Some(message.clone()));
        CriError::Start(message)
    }

    fn finish(&self, exit_code: i32, reason: &'static str, message: Option<String>) {
        self.process.end(); // also one that could not be started
        self.log.finish();
        {
            let mut life = self.life.lock();
            let started_at = match life.state {
                ContainerState::Running { started_at } => started_at,
                _ => self.created_at,
            };
            let finished_at = self.runtime.sim().clock().wall();
            life.runs = false;
            life.state = ContainerState::Exited(Exited { started_at, finished_at, exit_code, reason, message });
        }
        self.journal(format_args!("exited code {exit_code} reason {reason}"));
        self.changed.wake_all();
        self.tell(ContainerEventKind::Exited);
    }

    fn tell(&self, kind: ContainerEventKind) {
        let event = ContainerEvent { sandbox_uid: self.pod.1.clone(), container: self.config.name.clone(), kind };
        self.runtime.publish_event(&event);
    }

    fn journal(&self, what: std::fmt::Arguments<'_>) {
        self.runtime.sim().journal().event(&format!("{}/{}", self.pod.0, self.config.name), what);
    }
}

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Container").field("name", &self.config.name).field("state", &self.state()).finish()
    }
}

/// The arguments, by Kubernetes' table of command, args, ENTRYPOINT and CMD.
fn argv(config: &ContainerConfig) -> Result<Vec<String>, CriError> {
    let mut argv = match (&config.command[..], &config.image.entrypoint) {
        ([], Some(entrypoint)) => vec![entrypoint.clone()],
        ([], None) => {
            let reference = &config.image.reference;
            return Err(CriError::Create(format!(
                "no command specified: image {reference} is a directory; name its program in `command`"
            )));
        }
        (command, _) => command.to_vec(),
    };
    argv.extend(config.args.iter().cloned());
    Ok(argv)
}

/// Makes the working directory if the image has none, as a container runtime does, owned by root.
fn make_working_dir(mnt: &Arc<MountNs>, path: &str) -> Result<(), CriError> {
    let (root, cred) = (mnt.root_dir(), Cred::root());
    let mut made = String::new();
    for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
        made = if made.is_empty() { name.to_owned() } else { format!("{made}/{name}") };
        match root.mkdir_at(&cred, &made, 0o755) {
            Ok(()) | Err(Errno::Exist) => {}
            // a read-only root may still have it: what follows finds out
            Err(Errno::RoFs) => break,
            Err(errno) => {
                let reason = errno.to_string().to_lowercase();
                return Err(CriError::Create(format!("working directory {path:?} cannot be made: {reason}")));
            }
        }
    }
    match root.stat_at(&cred, if made.is_empty() { "." } else { &made }, true) {
        Ok(stat) if stat.file_type == FileType::Directory => Ok(()),
        Ok(_) => Err(CriError::Create(format!("working directory {path:?} is not a directory"))),
        Err(errno) => {
            Err(CriError::Create(format!("working directory {path:?}: {}", errno.to_string().to_lowercase())))
        }
    }
}

/// Finds, reads and compiles the program. An error is kept until the start, which is when a runtime finds out.
async fn find_program(runtime: &Runtime, config: &ContainerConfig, process: &Process) -> Result<Program, String> {
    let spec = &process.spec;
    let path = config.env.iter().rev().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, value)| value);
    let name = spec.args.first().map_or("", String::as_str);
    let found = exec::find(&spec.mnt, &spec.cred, name, path, &spec.cwd).map_err(|error| {
        let hint = config.image.entrypoint.as_ref().filter(|_| !config.command.is_empty());
        match hint {
            Some(entrypoint) => {
                format!("{error} (the only program of image {} is {entrypoint})", config.image.reference)
            }
            None => error.to_string(),
        }
    })?;
    runtime.engine().load(&found.bytes).await.map_err(|error| format!("{}: {error}", found.path))
}

fn set_default(env: &mut Vec<(String, String)>, name: &str, value: &str) {
    if !env.iter().any(|(known, _)| known == name) {
        env.push((name.to_owned(), value.to_owned()));
    }
}
