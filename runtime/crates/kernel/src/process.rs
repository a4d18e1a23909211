//! A process (`fork(2)` has no counterpart yet): its ids, the namespaces it lives in, what it was started with, and its
//! descriptors. One process is one instance of a wasm program. Owns no execution: the `engine` runs it.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};

use parking_lot::Mutex;
use wasmpod_sim::{Clock, Instant, Sim, Stream as RandomStream, UnixNanos};

use crate::cgroup::{Cgroup, PidCharge};
use crate::file::{Descriptor, FdTable};
use crate::ipcns::{Caller, IpcNs, Party, Undo};
use crate::mntns::{Cred, MountNs};
use crate::netns::NetNs;
use crate::pidns::{PidNs, ProcessInfo};
use crate::signal::{Control, Sender, SignalInfo, Signals, Taken};
use crate::usage::ProcessUsage;
use crate::utsns::UtsNs;
use crate::wchan::{WaitChannel, WaitOn, WaitSlot, Waiting};
use crate::{Errno, Result};

/// The longest argument list plus environment, in bytes, as Linux' usual ARG_MAX.
pub const MAX_ARGS_BYTES: usize = 2 * 1024 * 1024;

/// What a process is started with.
pub struct ProcessSpec {
    /// The pid namespace it is numbered in; the first process of one becomes pid 1.
    pub pids: Arc<PidNs>,
    /// Its parent's number; 0 if the runtime starts it.
    pub ppid: u32,
    /// For people: `<pod>/<container>`.
    pub name: String,
    /// The arguments, the program's name first.
    pub args: Vec<String>,
    /// The environment, in order; names hold no `=`.
    pub env: Vec<(String, String)>,
    /// The working directory, an absolute path.
    pub cwd: String,
    /// Who it runs as.
    pub cred: Cred,
    /// Its file system.
    pub mnt: Arc<MountNs>,
    /// Its network stack, shared with the pod.
    pub net: Arc<NetNs>,
    /// Its hostname, shared with the pod.
    pub uts: Arc<UtsNs>,
    /// Its IPC objects, shared with the pod.
    pub ipc: Arc<IpcNs>,
    /// What it is charged to.
    pub cgroup: Arc<Cgroup>,
}

/// A running process, as its system calls see it.
pub struct Process {
    /// What it was started with.
    pub spec: ProcessSpec,
    /// Its descriptors.
    pub fds: Mutex<FdTable>,
    /// What its end gives back to semaphores.
    pub undo: Arc<Undo>,
    /// Who it is to others of its pod.
    party: Arc<Party>,
    pid: u32,
    started: Instant,
    /// What it has used.
    pub usage: ProcessUsage,
    sim: Sim,
    random: Mutex<RandomStream>,
    wait: WaitSlot,
    signals: Arc<Signals>,
    /// What it waits for outside of system calls: a CPU, or quota.
    scheduling: Mutex<Option<Waiting>>,
    /// By how many nanoseconds its wall clock is wrong.
    wall_offset: AtomicI64,
    /// Counts it in `pids.current` until it ends.
    counted: Mutex<Option<PidCharge>>,
}

impl Process {
    /// Makes a process without descriptors, under the next number of its pid namespace. It leaves it with [`Process::end`], or when it
    /// is dropped.
    ///
    /// # Errors
    /// [`Errno::Again`] at `pids.max` of its cgroup, or if there is no free number; [`Errno::TooBig`] if arguments and environment
    /// exceed [`MAX_ARGS_BYTES`]; [`Errno::Inval`] if one holds a NUL byte.
    pub fn new(spec: ProcessSpec, sim: &Sim) -> Result<Arc<Self>> {
        check_strings(&spec.args, &spec.env)?;
        let counted = Mutex::new(Some(spec.cgroup.pids_charge()?));
        let pid = spec.pids.allocate()?;
        let random = Mutex::new(sim.entropy().stream(&stream_name(&spec, pid, sim)));
        let party = Arc::new(Party { name: spec.name.clone(), pid });
        let process = Arc::new(Self {
            spec,
            party,
            fds: Mutex::new(FdTable::new()),
            undo: Arc::default(),
            pid,
            started: sim.clock().now(),
            usage: ProcessUsage::default(),
            sim: sim.clone(),
            random,
            wait: WaitSlot::new(),
            signals: Arc::new(Signals::new(pid == 1)),
            scheduling: Mutex::new(None),
            wall_offset: AtomicI64::new(0),
            counted,
        });
        process.spec.pids.enter(&process);
        Ok(process)
    }

    /// Its number in its pid namespace; 1 for the first one, which a container's entry point is unless the pod shares a namespace.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its signals.
    pub fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }

    /// Sends it a signal. Permission is the caller's to check ([`PidNs::kill`]).
    pub fn signal(&self, info: SignalInfo) -> Taken {
        let taken = self.signals.send(info);
        if info.sender != Sender::Kernel || taken != Taken::Ignored {
            let from = match info.sender {
                Sender::Runtime => "the runtime".to_owned(),
                Sender::Kernel => "the kernel".to_owned(),
                Sender::Process { pid, .. } => format!("pid {pid}"),
            };
            let (pid, signal, taken) = (self.pid, info.signal, taken.as_str());
            self.sim.journal().event(&self.spec.name, format_args!("got {signal} as pid {pid} from {from}: {taken}"));
        }
        if self.signals.interrupts() {
            self.wait.wake();
        }
        taken
    }

    /// What `ps` shows of it.
    pub fn info(&self) -> ProcessInfo {
        let state = match (self.signals.control(), self.wait.waits()) {
            (Control::Stopped, _) => 'T',
            (_, true) => 'S',
            (_, false) => 'R',
        };
        let (cred, args) = (&self.spec.cred, self.spec.args.clone());
        let ppid = self.spec.ppid;
        ProcessInfo { pid: self.pid, ppid, uid: cred.uid, gid: cred.gid, state, started: self.started, args }
    }

    /// The world's handle.
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// The clock this process sees.
    pub fn clock(&self) -> &Clock {
        self.sim.clock()
    }

    /// The wall clock this process sees: the node's, and by how much this process' is wrong.
    pub fn wall(&self) -> UnixNanos {
        self.clock().wall().saturating_add_signed(self.wall_offset.load(Ordering::Relaxed))
    }

    /// Makes the wall clock of this process wrong by so many nanoseconds, from now on; 0 makes it right. Its monotonic clock and the
    /// times of files stay the node's, which is how a fault in one process' view of the time looks (Chaos Mesh' TimeChaos).
    pub fn set_wall_offset(&self, nanos: i64) {
        self.wall_offset.store(nanos, Ordering::Relaxed);
    }

    /// Fills `buffer` with random bytes (`getrandom(2)`), from a stream of this process' own.
    pub fn getrandom(&self, buffer: &mut [u8]) {
        self.random.lock().fill(buffer);
    }

    /// The descriptor `fd`, cloned out of the table so that no lock is held while it is used.
    ///
    /// # Errors
    /// [`Errno::BadF`] if it is not open.
    pub fn descriptor(&self, fd: u32) -> Result<Descriptor> {
        self.fds.lock().get(fd).cloned()
    }

    /// Waits in a system call until `poll` is ready. While it waits, [`Process::waiting`] tells what [`crate::wchan::note`] was told.
    pub async fn wait<T>(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
        let mut recorded = Recorded { process: self, kept: false };
        poll_fn(|cx| {
            let polled = self.wait.poll(cx, &mut poll);
            recorded.kept |= polled.is_pending();
            polled
        })
        .await
    }

    /// As [`Process::wait`], but a signal with a handler ends it. The handler itself is the caller's to run.
    ///
    /// # Errors
    /// [`Errno::Intr`].
    pub async fn wait_interruptible<T>(&self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Result<T> {
        let mut recorded = Recorded { process: self, kept: false };
        poll_fn(|cx| {
            let polled = self.wait.poll(cx, &mut poll);
            recorded.kept |= polled.is_pending();
            // looked at after the waker was left, so that no signal falls between the two
            if polled.is_pending() && self.signals.interrupts() {
                return Poll::Ready(Err(Errno::Intr));
            }
            polled.map(Ok)
        })
        .await
    }

    /// What the process is blocked on; `None` while it runs.
    pub fn waiting(&self) -> Option<Waiting> {
        if self.signals.control() == Control::Stopped {
            return Some(Waiting { since: None, channel: WaitChannel::Stopped });
        }
        self.scheduling.lock().clone().or_else(|| self.wait.waiting())
    }

    /// The things that [`Process::waiting`] tells of, in its order; empty while it runs, and while it waits outside of a system call.
    pub fn waiting_on(&self) -> Vec<WaitOn> {
        let outside = self.signals.control() == Control::Stopped || self.scheduling.lock().is_some();
        if outside { Vec::new() } else { self.wait.waiting_on() }
    }

    /// Told by whoever runs the process: it waits for a CPU or for quota, or does no longer.
    pub fn waits_to_run(&self, waiting: Option<Waiting>) {
        *self.scheduling.lock() = waiting;
    }

    /// Told by whoever runs the process when its slice ends with a system call that waits.
    pub fn parked(&self, now: Instant) {
        self.wait.parked(now);
    }

    /// Who this process is to the IPC namespace.
    pub fn ipc_caller(&self) -> Caller<'_> {
        let ProcessSpec { cred, cgroup, .. } = &self.spec;
        Caller { party: &self.party, cred, cgroup }
    }

    /// The end: it leaves its pid namespace, is no longer counted, and holds no descriptor. Once is enough.
    pub fn end(&self) {
        self.spec.pids.leave(self.pid);
        self.counted.lock().take();
        self.close_all();
    }

    /// Closes every descriptor and gives back what semaphores are owed, as the end of a process does.
    pub fn close_all(&self) {
        let closed = self.fds.lock().take_all();
        drop(closed); // outside of the lock: closing a socket wakes its peer
        self.undo.give_back();
    }
}

/// A wait that ends with its call, also if the program is killed in it.
struct Recorded<'a> {
    process: &'a Process,
    kept: bool,
}

impl Drop for Recorded<'_> {
    fn drop(&mut self) {
        if self.kept {
            self.process.wait.end();
        }
    }
}

/// What `execve(2)` checks of arguments and environment: each costs its bytes, its terminator and (for a variable) its `=`.
fn check_strings(args: &[String], env: &[(String, String)]) -> Result<()> {
    let strings = || args.iter().chain(env.iter().flat_map(|(name, value)| [name, value]));
    let bytes = strings().try_fold(0usize, |sum, text| sum.checked_add(text.len())?.checked_add(1));
    if bytes.is_none_or(|bytes| bytes > MAX_ARGS_BYTES) {
        return Err(Errno::TooBig);
    }
    if strings().any(|text| text.contains('\0')) {
        return Err(Errno::Inval);
    }
    Ok(())
}

/// The name of a process' random stream. The cgroup's path has the pod's UID in it and the time tells runs of one container apart, so
/// no two processes draw the same numbers, and the same run of the same seed draws them again.
fn stream_name(spec: &ProcessSpec, pid: u32, sim: &Sim) -> String {
    format!("process{}/{}/{}/{}", spec.cgroup.path(), spec.name, pid, sim.clock().now().as_nanos())
}

impl Drop for Process {
    /// One that was never started, or that its owner forgot to end.
    fn drop(&mut self) {
        self.spec.pids.leave(self.pid);
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("pid", &self.pid).field("name", &self.spec.name).finish()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::cgroup::RootConfig;
    use crate::fabric::{Fabric, FabricConfig, PodIdentity};
    use crate::mntns::Quota;

    pub(crate) fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    /// A process of a pod of its own, without files.
    pub(crate) fn process(sim: &Sim, name: &str, args: &[&str]) -> Result<Arc<Process>> {
        Process::new(spec(sim, &PidNs::new(), name, args)?, sim)
    }

    /// A process of `namespace` that runs as `uid`.
    pub(crate) fn process_in(sim: &Sim, namespace: &Arc<PidNs>, uid: u32) -> Arc<Process> {
        let mut spec = spec(sim, namespace, "pod/app", &["/bin/app"]).expect("made");
        spec.cred.uid = uid;
        Process::new(spec, sim).expect("made")
    }

    /// What another process like `process` is made of.
    pub(crate) fn same_spec(process: &Process) -> ProcessSpec {
        let ProcessSpec { pids, ppid, name, args, env, cwd, cred, mnt, net, uts, ipc, cgroup } = &process.spec;
        ProcessSpec {
            pids: pids.clone(),
            ppid: *ppid,
            name: name.clone(),
            args: args.clone(),
            env: env.clone(),
            cwd: cwd.clone(),
            cred: cred.clone(),
            mnt: mnt.clone(),
            net: net.clone(),
            uts: uts.clone(),
            ipc: ipc.clone(),
            cgroup: cgroup.clone(),
        }
    }

    fn spec(sim: &Sim, namespace: &Arc<PidNs>, name: &str, args: &[&str]) -> Result<ProcessSpec> {
        let root = RootConfig { cpus: 1, memory_bytes: 1 << 30, fuel_per_cpu_second: 1 };
        let cgroup = Cgroup::root(root, sim.clock().clone());
        let fabric = Fabric::new(sim, FabricConfig::default())?;
        let pod = PodIdentity { name: "pod".to_owned(), namespace: "default".to_owned(), ..PodIdentity::default() };
        let mnt = MountNs::builder(sim.clock().clone(), cgroup.clone()).root(Vec::new(), Quota::unlimited());
        Ok(ProcessSpec {
            pids: namespace.clone(),
            ppid: 0,
            name: name.to_owned(),
            args: strings(args),
            env: Vec::new(),
            cwd: "/".to_owned(),
            cred: Cred::default(),
            mnt: mnt.build().expect("an empty root mounts"),
            net: fabric.attach(pod)?,
            uts: Arc::new(UtsNs::new("pod", None, None, "cluster.local", false).expect("a short name")),
            ipc: IpcNs::new(),
            cgroup,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{process, strings};
    use super::*;
    use crate::file::{Description, Stream};
    use crate::pipe::pipe;

    #[test]
    fn a_process_is_made_only_if_its_arguments_fit() {
        let sim = Sim::new_virtual(1);
        assert!(process(&sim, "pod/app", &["app", "--flag"]).is_ok());
        assert_eq!(process(&sim, "pod/app", &["nul\0"]).err(), Some(Errno::Inval));
        assert_eq!(process(&sim, "pod/app", &[&"x".repeat(MAX_ARGS_BYTES)]).err(), Some(Errno::TooBig));
    }

    #[test]
    fn random_bytes_are_the_seed_s_and_the_process_own() {
        let bytes = |seed, name| {
            let process = process(&Sim::new_virtual(seed), name, &[]).expect("made");
            let mut bytes = [0; 16];
            process.getrandom(&mut bytes);
            bytes
        };
        assert_eq!(bytes(1, "pod/a"), bytes(1, "pod/a"));
        assert_ne!(bytes(1, "pod/a"), bytes(1, "pod/b"));
        assert_ne!(bytes(1, "pod/a"), bytes(2, "pod/a"));
    }

    #[test]
    fn another_run_of_one_container_draws_other_bytes() {
        let sim = Sim::new_virtual(1);
        let draw = || {
            let mut bytes = [0; 16];
            process(&sim, "pod/a", &[]).expect("made").getrandom(&mut bytes);
            bytes
        };
        let first = draw();
        sim.block_on(sim.clock().sleep(std::time::Duration::from_secs(10))).expect("a timer is set");
        assert_ne!(first, draw());
    }

    #[test]
    fn the_end_closes_what_is_open_and_a_use_in_progress_lives_on() {
        let process = process(&Sim::new_virtual(1), "pod/app", &[]).expect("made");
        let (reader, writer) = pipe(&process.spec.cgroup).expect("room");
        let insert = |end: Arc<dyn Stream>| process.fds.lock().insert(Descriptor::new(Description::Stream(end)));
        let (read, _write) = (insert(Arc::new(reader)).expect("room"), insert(Arc::new(writer)).expect("room"));
        let in_use = process.descriptor(read).expect("open");
        process.close_all();
        assert_eq!(process.descriptor(read).err(), Some(Errno::BadF));
        let Description::Stream(stream) = in_use.description else { panic!("it was a stream") };
        assert_eq!(stream.read(&mut [0; 4]), Ok(0)); // the writer is closed: end of file
    }

    #[test]
    fn arguments_and_environment_share_one_limit() {
        let value = "x".repeat(MAX_ARGS_BYTES / 2);
        let env = vec![(String::from("ab"), value)];
        // the variable costs its `=` and its terminator, the argument its terminator
        let rest = MAX_ARGS_BYTES / 2 - 4 - 1;
        assert_eq!(check_strings(&["y".repeat(rest)], &env), Ok(()));
        assert_eq!(check_strings(&["y".repeat(rest + 1)], &env), Err(Errno::TooBig));
        assert_eq!(check_strings(&["y".repeat(rest), String::new()], &env), Err(Errno::TooBig)); // empty ones cost too
    }

    #[test]
    fn a_nul_byte_cannot_be_passed_on() {
        assert_eq!(check_strings(&strings(&["a", "b\0c"]), &[]), Err(Errno::Inval));
        for (name, value) in [("A\0", ""), ("A", "\0")] {
            assert_eq!(check_strings(&[], &[(name.to_owned(), value.to_owned())]), Err(Errno::Inval));
        }
        assert_eq!(check_strings(&strings(&["", "ünïcode"]), &[]), Ok(()));
    }
}
