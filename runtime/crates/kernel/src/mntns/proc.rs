//! The standard `/proc` of a container (`proc(5)`) and the exact text of its files. What is true at the moment comes from
//! providers; this file knows the format only. There is no `/proc/self/fd`: descriptors have no names (F16).

use std::fmt::Write as _;
use std::time::Duration;

pub use super::proc_pid::{EntryProcess, PidDirs, self_files};
pub(crate) use super::proc_pid::{files_of, files_of_pause};
use super::synthetic::{Provider, Synthetic};
use crate::signal::SignalSet;

/// What `/proc` shows; `None` leaves the file out. `/proc/mounts`, `self/mounts` and `self/mountinfo` are the namespace's own.
#[derive(Clone, Default)]
pub struct ProcOptions {
    /// `self/cmdline`, see [`cmdline`].
    pub cmdline: Option<Provider>,
    /// `self/environ`, see [`environ`].
    pub environ: Option<Provider>,
    /// `self/status`, see [`status`].
    pub status: Option<Provider>,
    /// `self/cgroup`.
    pub cgroup: Option<Provider>,
    /// `self/limits`, see [`limits`].
    pub limits: Option<Provider>,
    /// `sys/kernel/hostname`.
    pub hostname: Option<Provider>,
    /// `meminfo`, see [`meminfo`].
    pub meminfo: Option<Provider>,
    /// `cpuinfo`, see [`cpuinfo`].
    pub cpuinfo: Option<Provider>,
    /// `uptime`, see [`uptime`].
    pub uptime: Option<Provider>,
    /// `loadavg`.
    pub loadavg: Option<Provider>,
    /// `version`.
    pub version: Option<Provider>,
    /// Files under `net/` by name: `tcp`, `udp`, `dev`, …
    pub net: Vec<(String, Provider)>,
    /// Any other file by its path under `/proc`.
    pub other: Vec<(String, Provider)>,
}

impl Synthetic {
    /// The standard `/proc`.
    pub fn proc(options: ProcOptions) -> Self {
        let ProcOptions {
            cmdline,
            environ,
            status,
            cgroup,
            limits,
            hostname,
            meminfo,
            cpuinfo,
            uptime,
            loadavg,
            version,
            net,
            other,
        } = options;
        let named = [
            ("self/cmdline", cmdline),
            ("self/environ", environ),
            ("self/status", status),
            ("self/cgroup", cgroup),
            ("self/limits", limits),
            ("sys/kernel/hostname", hostname),
            ("meminfo", meminfo),
            ("cpuinfo", cpuinfo),
            ("uptime", uptime),
            ("loadavg", loadavg),
            ("version", version),
        ];
        let mut tree = Self::new("proc").with_mount_texts();
        for (path, provider) in named {
            if let Some(provider) = provider {
                tree = tree.file(path, provider);
            }
        }
        if !net.is_empty() {
            tree = tree.symlink("net", "self/net");
        }
        for (name, provider) in net {
            tree = tree.file(&format!("self/net/{name}"), provider);
        }
        for (path, provider) in other {
            tree = tree.file(&path, provider);
        }
        tree
    }
}

impl std::fmt::Debug for ProcOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProcOptions(..)") // closures, which have nothing to show
    }
}

/// `/proc/self/cmdline`: each argument with a NUL after it.
pub fn cmdline(args: &[String]) -> Vec<u8> {
    args.iter().flat_map(|arg| arg.bytes().chain([0])).collect()
}

/// `/proc/self/environ`: each `NAME=value` with a NUL after it.
pub fn environ(env: &[(String, String)]) -> Vec<u8> {
    env.iter().flat_map(|(name, value)| format!("{name}={value}\0").into_bytes()).collect()
}

/// What `/proc/self/status` tells of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessStatus {
    /// The program's name; cut to 15 bytes, as Linux does.
    pub name: String,
    /// Its number in its own namespace.
    pub pid: u32,
    /// Its parent's number; 0 for the first process of a namespace.
    pub ppid: u32,
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The supplementary groups.
    pub groups: Vec<u32>,
    /// Linear memory and tables, in bytes.
    pub memory_bytes: u64,
}

/// `/proc/self/status`, the lines that programs read, for a process that is running now.
pub fn status(process: &ProcessStatus) -> Vec<u8> {
    status_with(process, 'R', &[])
}

/// As [`status`], of a process in `state`, with the lines of its signals.
pub(crate) fn status_with(process: &ProcessStatus, state: char, masks: &[(&str, SignalSet)]) -> Vec<u8> {
    let ProcessStatus { name, pid, ppid, uid, gid, groups, memory_bytes } = process;
    let mut end = name.len().min(15);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let groups: String = groups.iter().map(|group| format!("{group} ")).collect();
    let kib = memory_bytes / 1024;
    let running = match state {
        'T' => "stopped",
        'S' => "sleeping",
        _ => "running",
    };
    let masks: String = masks.iter().map(|(name, set)| format!("{name}:\t{:016x}\n", set.bits())).collect();
    format!(
        "Name:\t{}\nUmask:\t0022\nState:\t{state} ({running})\nTgid:\t{pid}\nNgid:\t0\nPid:\t{pid}\nPPid:\t{ppid}\nTracerPid:\t0\n\
         Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{gid}\t{gid}\t{gid}\t{gid}\nFDSize:\t64\nGroups:\t{groups}\n\
         VmSize:\t{kib:>8} kB\nVmRSS:\t{kib:>8} kB\nThreads:\t1\n{masks}",
        &name[..end]
    )
    .into_bytes()
}

/// `/proc/self/limits` with Linux' columns; `open_files` and `processes` are the limits that exist here.
pub fn limits(open_files: u64, processes: Option<u64>) -> Vec<u8> {
    let mut text = format!("{:<25} {:<20} {:<20} {:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    let number = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
    let rows = [
        ("Max cpu time", None, "seconds"),
        ("Max file size", None, "bytes"),
        ("Max data size", None, "bytes"),
        ("Max core file size", Some(0), "bytes"),
        ("Max processes", processes, "processes"),
        ("Max open files", Some(open_files), "files"),
        ("Max address space", None, "bytes"),
    ];
    for (name, limit, unit) in rows {
        let limit = number(limit);
        let _infallible = writeln!(text, "{name:<25} {limit:<20} {limit:<20} {unit:<10}");
    }
    text.into_bytes()
}

/// `/proc/uptime`: how long the pod has been up; idle time is not counted.
pub fn uptime(up: Duration) -> Vec<u8> {
    let (secs, hundredths) = (up.as_secs(), up.subsec_millis() / 10);
    format!("{secs}.{hundredths:02} 0.00\n").into_bytes()
}

/// `/proc/meminfo`, the lines that programs read. Bytes; what is `available` of `total`.
pub fn meminfo(total: u64, available: u64) -> Vec<u8> {
    let (total, free) = (total / 1024, available.min(total) / 1024);
    let mut text = String::new();
    let rows = [("MemTotal:", total), ("MemFree:", free), ("MemAvailable:", free), ("Buffers:", 0), ("Cached:", 0)];
    for (name, kib) in rows.into_iter().chain([("SwapTotal:", 0), ("SwapFree:", 0)]) {
        let _infallible = writeln!(text, "{name:<15}{kib:>9} kB");
    }
    text.into_bytes()
}

/// `/proc/cpuinfo` of a node with `cpus` virtual CPUs.
pub fn cpuinfo(cpus: u32) -> Vec<u8> {
    let mut text = String::new();
    for cpu in 0..cpus {
        let _infallible =
            writeln!(text, "processor\t: {cpu}\nvendor_id\t: wasmpod\nmodel name\t: WebAssembly virtual CPU\n");
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_files_have_linux_formats() {
        assert_eq!(cmdline(&["a".into(), "b c".into()]), b"a\0b c\0");
        assert_eq!(environ(&[("A".into(), "1".into())]), b"A=1\0");
        assert_eq!(text(uptime(Duration::from_millis(12_345))), "12.34 0.00\n");
        assert!(text(meminfo(4096, 1 << 40)).starts_with("MemTotal:              4 kB\nMemFree:               4 kB\n"));
        assert!(
            text(limits(1024, None))
                .contains("\nMax open files            1024                 1024                 files")
        );
        assert_eq!(text(cpuinfo(2)).matches("processor\t: ").count(), 2);
    }

    #[test]
    fn a_long_program_name_is_cut_between_characters() {
        let status = status(&ProcessStatus {
            name: "ääääääääääää".into(),
            pid: 7,
            ppid: 1,
            uid: 1000,
            gid: 5,
            groups: vec![5, 6],
            memory_bytes: 65536,
        });
        let status = text(status);
        assert!(status.starts_with("Name:\täääääää\n") && status.contains("\nGroups:\t5 6 \n"), "{status}");
        assert!(status.contains("\nVmRSS:\t      64 kB\n") && status.contains("\nPid:\t7\nPPid:\t1\n"), "{status}");
    }
}
