//! `/proc/PID` of every process of a pid namespace (`proc_pid(5)`): `stat`, `status`, `comm`, `cmdline`, `environ` and `wchan`. Owns the
//! texts and the directories; which processes there are is [`crate::pidns`]' to say.

use std::sync::{Arc, OnceLock, Weak};

use super::inode::{Body, Ctx, Inode, Meta};
use super::proc::{ProcessStatus, cmdline, environ, status_with};
use super::synthetic::{Provider, Synthetic};
use super::tmpfs::{ensure_dir, place, take_out};
use crate::pidns::ProcessInfo;
use crate::process::Process;
use crate::signal::{Signal, SignalSet};

/// Ticks of `/proc/PID/stat` in a second (`sysconf(_SC_CLK_TCK)`).
const TICKS_PER_SECOND: u64 = 100;
const NANOS_PER_TICK: u64 = 1_000_000_000 / TICKS_PER_SECOND;

/// A file of a process: its name, its mode, who owns it, and its content.
pub struct PidFile {
    name: &'static str,
    mode: u32,
    uid: u32,
    provider: Provider,
}

/// The directories of processes in one mounted `/proc`.
pub struct PidDirs {
    root: Arc<Inode>,
}

impl PidDirs {
    /// Those of the `/proc` that `tree` is.
    pub fn of(tree: &Synthetic) -> Arc<Self> {
        Arc::new(Self { root: tree.root.clone() })
    }

    pub(crate) fn add(&self, pid: u32, files: Vec<PidFile>) {
        let ctx = Ctx::node(0);
        // a number is no bad name, and the tree is ours: it cannot fail but for a name that is there
        let Ok(dir) = ensure_dir(&self.root, &ctx, &pid.to_string(), 0o555) else { return };
        for PidFile { name, mode, uid, provider } in files {
            let inode = Inode::new(&self.root.fs, Meta::new(mode, uid, 0, 0), Body::Provider(provider));
            let _made = place(&dir, name, inode);
        }
    }

    pub(crate) fn remove(&self, pid: u32) {
        take_out(&self.root, &pid.to_string());
    }
}

/// The process whose `/proc/self` a mount shows: known only after the mount is made.
pub type EntryProcess = Arc<OnceLock<Weak<Process>>>;

/// `self/stat`, `self/status`, `self/comm` and `self/wchan` of the process that will be in `entry`.
pub fn self_files(entry: &EntryProcess) -> Vec<(String, Provider)> {
    let file = |name: &str, render: fn(&Process) -> Vec<u8>| {
        let entry = entry.clone();
        let render = move || entry.get().and_then(Weak::upgrade).map(|process| render(&process)).unwrap_or_default();
        (format!("self/{name}"), Arc::new(render) as Provider)
    };
    vec![file("stat", stat_of), file("status", status_of), file("comm", comm_of), file("wchan", wchan_of)]
}

/// The files of a process. They hold no process alive; of one that has ended they are empty.
pub(crate) fn files_of(process: &Arc<Process>) -> Vec<PidFile> {
    let weak = Arc::downgrade(process);
    let uid = process.spec.cred.uid;
    let file = |name, mode, render: fn(&Process) -> Vec<u8>| {
        let weak: Weak<Process> = weak.clone();
        let provider: Provider = Arc::new(move || weak.upgrade().map(|process| render(&process)).unwrap_or_default());
        PidFile { name, mode, uid, provider }
    };
    vec![
        file("stat", 0o444, stat_of),
        file("status", 0o444, status_of),
        file("comm", 0o444, comm_of),
        file("cmdline", 0o444, |process| cmdline(&process.spec.args)),
        // only the user itself may look, as PTRACE_MODE_READ has it
        file("environ", 0o400, |process| environ(&process.spec.env)),
        file("wchan", 0o444, wchan_of),
    ]
}

/// The files of `pause`.
pub(crate) fn files_of_pause(info: ProcessInfo) -> Vec<PidFile> {
    let info = Arc::new(info);
    let file = |name, render: fn(&ProcessInfo) -> Vec<u8>| {
        let (info, uid) = (info.clone(), info.uid);
        PidFile { name, mode: 0o444, uid, provider: Arc::new(move || render(&info)) }
    };
    vec![
        file("stat", |info| stat(info, 0)),
        file("status", |info| status_with(&status(info, 0), info.state, &[])),
        file("comm", |info| format!("{}\n", info.comm()).into_bytes()),
        file("cmdline", |info| cmdline(&info.args)),
        file("wchan", |_| b"signal".to_vec()),
    ]
}

fn stat_of(process: &Process) -> Vec<u8> {
    stat(&process.info(), process.spec.cgroup.memory_stats().current)
}

fn comm_of(process: &Process) -> Vec<u8> {
    format!("{}\n", process.info().comm()).into_bytes()
}

fn wchan_of(process: &Process) -> Vec<u8> {
    process.waiting().map_or_else(|| "0".to_owned(), |waiting| waiting.channel.to_string()).into_bytes()
}

fn status(info: &ProcessInfo, memory_bytes: u64) -> ProcessStatus {
    let ProcessInfo { pid, ppid, uid, gid, .. } = *info;
    ProcessStatus { name: info.comm().to_owned(), pid, ppid, uid, gid, groups: Vec::new(), memory_bytes }
}

fn status_of(process: &Process) -> Vec<u8> {
    let info = process.info();
    let status = ProcessStatus {
        groups: process.spec.cred.groups.clone(),
        ..status(&info, process.spec.cgroup.memory_stats().current)
    };
    let signals = process.signals();
    let (ignored, caught) = signals.dispositions();
    // what nobody has touched is not shown as ignored: Linux shows it for SIGPIPE of programs that did so themselves
    let masks = [
        ("SigPnd", SignalSet::EMPTY),
        ("ShdPnd", signals.pending()),
        ("SigBlk", signals.mask()),
        ("SigIgn", ignored),
        ("SigCgt", caught),
    ];
    status_with(&status, info.state, &masks)
}

/// `/proc/PID/stat`: the 52 fields; what does not exist here is 0, as Linux shows it to who may not know.
fn stat(info: &ProcessInfo, memory_bytes: u64) -> Vec<u8> {
    let ProcessInfo { pid, ppid, state, started, .. } = info;
    let (start, pages) = (started.as_nanos() / NANOS_PER_TICK, memory_bytes / 4096);
    let exit_signal = Signal::Chld.number();
    // pid comm state ppid pgrp session tty tpgid flags, 4 fault counts, 4 times, priority nice threads itrealvalue start vsize rss
    let head = format!(
        "{pid} ({}) {state} {ppid} {pid} {pid} 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {start} {memory_bytes} {pages} {}",
        info.comm(),
        u64::MAX
    );
    format!("{head} 0 0 0 0 0 0 0 0 0 0 0 0 {exit_signal} 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use wasmpod_sim::{Instant, Sim};

    use super::*;
    use crate::pidns::PidNs;
    use crate::process::testing::process_in;
    use crate::signal::Disposition;

    fn text(files: &[PidFile], name: &str) -> String {
        let file = files.iter().find(|file| file.name == name).expect("it is there");
        String::from_utf8((file.provider)()).expect("text")
    }

    #[test]
    fn stat_has_the_fields_of_linux() {
        let process = process_in(&Sim::new_virtual(1), &PidNs::new(), 0);
        let stat = text(&files_of(&process), "stat");
        assert!(stat.starts_with("1 (app) R 0 1 1 0 -1 "), "{stat}");
        assert_eq!(stat.split_whitespace().count(), 52, "{stat}");
    }

    #[test]
    fn status_tells_the_signals() {
        let process = process_in(&Sim::new_virtual(1), &PidNs::new(), 7);
        let handler = Disposition::Handler { restart: false };
        process.signals().set_disposition(Signal::Term, handler).expect("allowed");
        let files = files_of(&process);
        let status = text(&files, "status");
        for line in [
            "State:\tR (running)\n",
            "Pid:\t1\n",
            "Uid:\t7\t7\t7\t7\n",
            "SigCgt:\t0000000000004000\n",
            "SigIgn:\t0000000000001000\n",
        ] {
            assert!(status.contains(line), "{line:?} in {status}");
        }
        drop(process);
        assert_eq!(text(&files, "status"), "");
    }

    #[test]
    fn the_directories_come_and_go_with_their_processes() {
        let (sim, namespace) = (Sim::new_virtual(1), PidNs::with_pause(Instant::ZERO));
        let tree = Synthetic::new("proc");
        let first = process_in(&sim, &namespace, 0);
        let view = PidDirs::of(&tree);
        namespace.show_in(&view);
        let second = process_in(&sim, &namespace, 0);
        let there = |pid: &str| tree.root.lookup(pid).is_ok();
        assert!(there("1") && there("2") && there("3"));
        first.end();
        drop(second);
        assert!(there("1") && !there("2") && !there("3"));
    }
}
