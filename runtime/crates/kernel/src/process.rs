//! A process (`fork(2)` has no counterpart yet): its ids, the namespaces it lives in, what it was started with, and its
//! descriptors. One process is one instance of a wasm program. Owns no execution: the `engine` runs it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use wasmpod_sim::{Clock, Instant, Sim, Stream as RandomStream};

use crate::cgroup::Cgroup;
use crate::file::{Descriptor, FdTable};
use crate::ipcns::{Caller, IpcNs, Undo};
use crate::mntns::{Cred, MountNs};
use crate::netns::NetNs;
use crate::utsns::UtsNs;
use crate::wchan::{WaitSlot, Waiting};
use crate::{Errno, Result};

/// The longest argument list plus environment, in bytes, as Linux' usual ARG_MAX.
pub const MAX_ARGS_BYTES: usize = 2 * 1024 * 1024;

/// What a process is started with.
pub struct ProcessSpec {
    /// Its number in its pid namespace; 1 for a container's entry point.
    pub pid: u32,
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
    sim: Sim,
    random: Mutex<RandomStream>,
    wait: WaitSlot,
}

impl Process {
    /// Makes a process without descriptors.
    ///
    /// # Errors
    /// [`Errno::TooBig`] if arguments and environment exceed [`MAX_ARGS_BYTES`]; [`Errno::Inval`] if one holds a NUL byte.
    pub fn new(spec: ProcessSpec, sim: &Sim) -> Result<Arc<Self>> {
        check_strings(&spec.args, &spec.env)?;
        let random = Mutex::new(sim.entropy().stream(&stream_name(&spec, sim)));
        let (fds, wait) = (Mutex::new(FdTable::new()), WaitSlot::new());
        Ok(Arc::new(Self { spec, fds, undo: Arc::default(), sim: sim.clone(), random, wait }))
    }

    /// The world's handle.
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// The clock this process sees.
    pub fn clock(&self) -> &Clock {
        self.sim.clock()
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

    /// What the process is blocked on; `None` while it runs.
    pub fn waiting(&self) -> Option<Waiting> {
        self.wait.waiting()
    }

    /// Told by whoever runs the process when its slice ends with a system call that waits.
    pub fn parked(&self, now: Instant) {
        self.wait.parked(now);
    }

    /// Who this process is to the IPC namespace.
    pub fn ipc_caller(&self) -> Caller<'_> {
        let ProcessSpec { name, pid, cred, cgroup, .. } = &self.spec;
        Caller { name, pid: *pid, cred, cgroup }
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
fn stream_name(spec: &ProcessSpec, sim: &Sim) -> String {
    format!("process{}/{}/{}/{}", spec.cgroup.path(), spec.name, spec.pid, sim.clock().now().as_nanos())
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("pid", &self.spec.pid).field("name", &self.spec.name).finish()
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
        let root = RootConfig { cpus: 1, memory_bytes: 1 << 30, fuel_per_cpu_second: 1 };
        let cgroup = Cgroup::root(root, sim.clock().clone());
        let fabric = Fabric::new(&sim, FabricConfig::default())?;
        let pod = PodIdentity { name: "pod".to_owned(), namespace: "default".to_owned(), ..PodIdentity::default() };
        let mnt = MountNs::builder(sim.clock().clone(), cgroup.clone()).root(Vec::new(), Quota::unlimited());
        let spec = ProcessSpec {
            pid: 1,
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
        };
        Process::new(spec, sim)
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
