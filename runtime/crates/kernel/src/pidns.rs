//! A pid namespace (`pid_namespaces(7)`): which processes there are, by number; who may signal whom; and their directories in `/proc`.
//! A container has one of its own, or shares that of its pod, where number 1 is `pause`. Owns no execution and no other namespace;
//! numbers are not nested, and the runtime, which is outside of all, reaches every process by its handle.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use wasmpod_sim::Instant;

use crate::mntns::proc::{self, PidDirs};
use crate::process::Process;
use crate::signal::{Sender, Signal, SignalInfo};
use crate::{Errno, Result};

/// The largest number, Linux' default (`kernel.pid_max` on 64 bits). After it numbers begin again, past those of the first processes.
pub const PID_MAX: u32 = 4_194_304;
/// Numbers below are given once only (RESERVED_PIDS of `kernel/pid.c`).
const RESERVED: u32 = 300;
/// Who `pause` runs as, in its image.
const PAUSE_UID: u32 = 65_535;

/// What `ps` shows of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its number.
    pub pid: u32,
    /// Its parent's number; 0 if the runtime started it.
    pub ppid: u32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// R (runs or wants to), S (waits in a system call), T (stopped), as `/proc/PID/stat` has them.
    pub state: char,
    /// When it was made.
    pub started: Instant,
    /// Its arguments, the program's name first.
    pub args: Vec<String>,
}

impl ProcessInfo {
    /// The program's name without its directory, cut to 15 bytes (`/proc/PID/comm`).
    pub fn comm(&self) -> &str {
        let name = self.args.first().map_or("", |arg| arg.rsplit('/').next().unwrap_or(arg));
        let mut end = name.len().min(15);
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        &name[..end]
    }
}

/// A pid namespace.
pub struct PidNs {
    inner: Mutex<Inner>,
}

struct Inner {
    last: u32,
    processes: BTreeMap<u32, Entry>,
    /// Every `/proc` that shows this namespace.
    views: Vec<Weak<PidDirs>>,
}

enum Entry {
    /// Given to a process that is being made.
    Taken,
    Process(Weak<Process>),
    /// The sandbox' own: it waits, and nothing in the pod ends it.
    Pause(Instant),
}

impl PidNs {
    /// An empty namespace: the first process becomes pid 1.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { inner: Mutex::new(Inner { last: 0, processes: BTreeMap::new(), views: Vec::new() }) })
    }

    /// The namespace of a pod: `pause` is pid 1.
    pub fn with_pause(now: Instant) -> Arc<Self> {
        let namespace = Self::new();
        {
            let mut inner = namespace.inner.lock();
            inner.last = 1;
            inner.processes.insert(1, Entry::Pause(now));
        }
        namespace
    }

    /// The lowest number after the last one that is free.
    pub(crate) fn allocate(&self) -> Result<u32> {
        let mut inner = self.inner.lock();
        let from = inner.last + 1;
        let free = (from..=PID_MAX).chain(RESERVED..from.max(RESERVED)).find(|pid| !inner.processes.contains_key(pid));
        let pid = free.ok_or(Errno::Again)?;
        inner.last = pid;
        inner.processes.insert(pid, Entry::Taken);
        Ok(pid)
    }

    pub(crate) fn enter(&self, process: &Arc<Process>) {
        let views = {
            let mut inner = self.inner.lock();
            inner.processes.insert(process.pid(), Entry::Process(Arc::downgrade(process)));
            inner.live_views()
        };
        for view in views {
            view.add(process.pid(), proc::files_of(process));
        }
    }

    pub(crate) fn leave(&self, pid: u32) {
        let views = {
            let mut inner = self.inner.lock();
            if inner.processes.remove(&pid).is_none() {
                return;
            }
            inner.live_views()
        };
        for view in views {
            view.remove(pid);
        }
    }

    /// Shows the processes of this namespace in a `/proc`, now and as they come and go, as long as `view` lives.
    pub fn show_in(&self, view: &Arc<PidDirs>) {
        let shown = {
            let mut inner = self.inner.lock();
            inner.views.push(Arc::downgrade(view));
            inner.processes.iter().map(|(pid, entry)| (*pid, entry.process(), entry.pause())).collect::<Vec<_>>()
        };
        for (pid, process, pause) in shown {
            match (process, pause) {
                (Some(process), _) => view.add(pid, proc::files_of(&process)),
                (None, Some(started)) => view.add(pid, proc::files_of_pause(pause_info(pid, started))),
                (None, None) => {}
            }
        }
    }

    /// The process with this number.
    ///
    /// # Errors
    /// [`Errno::Srch`] if there is none, or it is `pause`.
    pub fn process(&self, pid: u32) -> Result<Arc<Process>> {
        self.inner.lock().processes.get(&pid).and_then(Entry::process).ok_or(Errno::Srch)
    }

    /// The running processes, by number.
    pub fn processes(&self) -> Vec<Arc<Process>> {
        self.inner.lock().processes.values().filter_map(Entry::process).collect()
    }

    /// What `ps` shows, `pause` included, by number.
    pub fn list(&self) -> Vec<ProcessInfo> {
        let entries: Vec<_> = {
            let inner = self.inner.lock();
            inner.processes.iter().map(|(pid, entry)| (*pid, entry.process(), entry.pause())).collect()
        };
        let info = |(pid, process, pause): (u32, Option<Arc<Process>>, Option<Instant>)| match (process, pause) {
            (Some(process), _) => Some(process.info()),
            (None, Some(started)) => Some(pause_info(pid, started)),
            (None, None) => None,
        };
        entries.into_iter().filter_map(info).collect()
    }

    /// Sends `signal` (with `None`, only asks whether one may) from `sender` to `target` as `kill(2)` means it: a number; 0, the
    /// sender's process group; -1, all but pid 1 and the sender; below, that process group. Each process is a group of its own.
    ///
    /// # Errors
    /// [`Errno::Srch`] if there is none; [`Errno::Perm`] for another user's, unless the sender is root.
    pub fn kill(&self, sender: &Process, target: i32, signal: Option<Signal>) -> Result<()> {
        let by_group = |group: u32| if group == sender.pid() { Ok(group) } else { self.process(group).map(|_| group) };
        let pid = match target {
            -1 => return self.kill_all(sender, signal),
            0 => sender.pid(),
            1.. => target.unsigned_abs(),
            _ => by_group(target.unsigned_abs())?,
        };
        self.kill_one(sender, pid, signal)
    }

    fn kill_all(&self, sender: &Process, signal: Option<Signal>) -> Result<()> {
        let others: Vec<u32> =
            self.inner.lock().processes.keys().copied().filter(|pid| *pid > 1 && *pid != sender.pid()).collect();
        let results: Vec<_> = others.into_iter().map(|pid| self.kill_one(sender, pid, signal)).collect();
        // as Linux: that some are another user's is no error
        if results.iter().any(|result| *result != Err(Errno::Srch)) { Ok(()) } else { Err(Errno::Srch) }
    }

    fn kill_one(&self, sender: &Process, pid: u32, signal: Option<Signal>) -> Result<()> {
        let (process, pause) = {
            let inner = self.inner.lock();
            let entry = inner.processes.get(&pid).ok_or(Errno::Srch)?;
            (entry.process(), entry.pause())
        };
        let uid = match (&process, pause) {
            (Some(process), _) => process.spec.cred.uid,
            (None, Some(_)) => PAUSE_UID,
            (None, None) => return Err(Errno::Srch),
        };
        let by = sender.spec.cred.uid;
        if by != 0 && by != uid {
            return Err(Errno::Perm);
        }
        if let (Some(process), Some(signal)) = (process, signal) {
            process.signal(SignalInfo { signal, sender: Sender::Process { pid: sender.pid(), uid: by } });
        }
        Ok(())
    }
}

impl Inner {
    fn live_views(&mut self) -> Vec<Arc<PidDirs>> {
        self.views.retain(|view| view.strong_count() > 0);
        self.views.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Entry {
    fn process(&self) -> Option<Arc<Process>> {
        match self {
            Self::Process(process) => process.upgrade(),
            _ => None,
        }
    }

    fn pause(&self) -> Option<Instant> {
        match self {
            Self::Pause(started) => Some(*started),
            _ => None,
        }
    }
}

fn pause_info(pid: u32, started: Instant) -> ProcessInfo {
    let args = vec!["/pause".to_owned()];
    ProcessInfo { pid, ppid: 0, uid: PAUSE_UID, gid: PAUSE_UID, state: 'S', started, args }
}

impl std::fmt::Debug for PidNs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("PidNs").field(&self.inner.lock().processes.keys().collect::<Vec<_>>()).finish()
    }
}

#[cfg(test)]
mod tests {
    use wasmpod_sim::Sim;

    use super::*;
    use crate::process::testing::{process_in, same_spec};
    use crate::signal::{Control, Disposition};

    fn pids(namespace: &PidNs) -> Vec<u32> {
        namespace.list().iter().map(|info| info.pid).collect()
    }

    #[test]
    fn numbers_rise_and_are_free_when_the_process_has_ended() {
        let (sim, namespace) = (Sim::new_virtual(1), PidNs::new());
        let (first, second) = (process_in(&sim, &namespace, 0), process_in(&sim, &namespace, 0));
        assert_eq!((first.pid(), second.pid(), pids(&namespace)), (1, 2, vec![1, 2]));
        second.end();
        assert_eq!(pids(&namespace), [1]);
        assert_eq!(process_in(&sim, &namespace, 0).pid(), 3); // and gone at once
        assert_eq!(pids(&namespace), [1]);
        namespace.inner.lock().last = PID_MAX;
        assert_eq!(process_in(&sim, &namespace, 0).pid(), RESERVED);
    }

    #[test]
    fn pause_is_pid_1_of_a_pod_and_nothing_inside_ends_it() {
        let (sim, namespace) = (Sim::new_virtual(1), PidNs::with_pause(Instant::ZERO));
        let (root, user) = (process_in(&sim, &namespace, 0), process_in(&sim, &namespace, 1000));
        assert_eq!((root.pid(), user.pid()), (2, 3));
        assert_eq!(namespace.list()[0].comm(), "pause");
        assert_eq!(namespace.kill(&root, 1, Some(Signal::Kill)), Ok(()));
        assert_eq!(namespace.kill(&user, 1, Some(Signal::Kill)), Err(Errno::Perm));
        assert_eq!(pids(&namespace), [1, 2, 3]);
    }

    #[test]
    fn root_and_the_same_user_may_signal() {
        let (sim, namespace) = (Sim::new_virtual(1), PidNs::with_pause(Instant::ZERO));
        let [root, alice, alice2, bob] = [0, 1, 1, 2].map(|uid| process_in(&sim, &namespace, uid));
        assert_eq!(namespace.kill(&bob, 3, Some(Signal::Term)), Err(Errno::Perm));
        assert_eq!(namespace.kill(&bob, 3, None), Err(Errno::Perm));
        assert_eq!(namespace.kill(&alice2, 3, None), Ok(()));
        assert_eq!(alice.signals().control(), Control::Run);
        assert_eq!(namespace.kill(&alice2, 3, Some(Signal::Term)), Ok(()));
        assert_eq!(alice.signals().control(), Control::Ended(Signal::Term));
        assert_eq!(namespace.kill(&root, 5, Some(Signal::Int)), Ok(()));
        assert_eq!(bob.signals().control(), Control::Ended(Signal::Int));
        assert_eq!(namespace.kill(&root, 99, None), Err(Errno::Srch));
    }

    #[test]
    fn zero_is_oneself_and_minus_one_all_others_but_pid_1() {
        let (sim, namespace) = (Sim::new_virtual(1), PidNs::new());
        let [init, first, second] = [0; 3].map(|uid| process_in(&sim, &namespace, uid));
        for process in [&init, &first, &second] {
            process.signals().set_disposition(Signal::Usr1, Disposition::Handler { restart: false }).expect("allowed");
        }
        assert_eq!(namespace.kill(&first, -1, Some(Signal::Usr1)), Ok(()));
        assert_eq!([&init, &first, &second].map(|process| process.signals().interrupts()), [false, false, true]);
        assert_eq!(namespace.kill(&first, 0, Some(Signal::Usr1)), Ok(()));
        assert!(first.signals().interrupts() && !init.signals().interrupts());
        assert_eq!(namespace.kill(&first, -1 - 98, Some(Signal::Usr1)), Err(Errno::Srch));
        assert_eq!(namespace.kill(&first, -1, None), Ok(()));
        first.end();
        second.end();
        assert_eq!(namespace.kill(&init, -1, Some(Signal::Usr1)), Err(Errno::Srch));
        // i32::MIN has no positive counterpart
        assert_eq!(namespace.kill(&init, i32::MIN, None), Err(Errno::Srch));
    }

    #[test]
    fn pids_max_of_the_cgroup_holds() {
        let (sim, namespace) = (Sim::new_virtual(1), PidNs::new());
        let first = process_in(&sim, &namespace, 0);
        let limits = crate::cgroup::Limits { pids_max: Some(1), ..crate::cgroup::Limits::default() };
        first.spec.cgroup.set_limits(limits);
        let spec = || same_spec(&first);
        assert_eq!(Process::new(spec(), &sim).err(), Some(Errno::Again));
        first.end();
        assert_eq!(Process::new(spec(), &sim).map(|process| process.pid()), Ok(2)); // none was given for what failed
    }
}
