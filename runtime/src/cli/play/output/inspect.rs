//! What is inside of a pod, as lines for people, in the shapes of lsns, ps, lsof, ss, ipcs, findmnt and the files of cgroup v2. Whatever a
//! manifest or a program named is escaped, on a terminal and elsewhere: a name must not look like a line of its own.

use wasmpod_cri::PodInspection;
use wasmpod_cri::inspect::{
    CgroupFiles, ContainerInspection, IpcInspection, IpcRow, IpcState, Listed, MountRow, Namespace, ProcessRow,
    SocketRow, SocketUser,
};

use super::sanitize::for_terminal;
use super::table;

/// A file of a cgroup, and the key in it if it has several.
const CGROUP_COLUMNS: [(&str, &str); 11] = [
    ("cpu.max", ""),
    ("cpu.weight", ""),
    ("cpu.stat", "usage_usec"),
    ("cpu.stat", "nr_throttled"),
    ("cpu.stat", "throttled_usec"),
    ("memory.current", ""),
    ("memory.peak", ""),
    ("memory.max", ""),
    ("memory.events", "oom_kill"),
    ("pids.current", ""),
    ("pids.max", ""),
];

/// When a pod is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Somebody asked.
    Running,
    /// `--timeout` is over, and the pod is about to be stopped.
    Timeout,
    /// Nothing can ever happen again.
    Deadlock,
    /// Its programs have ended, and what it had is about to go.
    Ended,
}

impl Moment {
    /// One word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Timeout => "timeout",
            Self::Deadlock => "deadlock",
            Self::Ended => "ended",
        }
    }
}

/// The whole as lines: sections with an empty line between them.
pub fn lines(pod: &PodInspection) -> Vec<String> {
    let sections = [
        namespaces(pod),
        processes(pod),
        descriptors(&pod.containers),
        sockets(&pod.sockets),
        ipc(&pod.ipc),
        mounts(&pod.containers),
        cgroups(&pod.cgroups),
    ];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join(&String::new())
}

/// The tree: what the pod's containers share, then what each has of its own.
fn namespaces(pod: &PodInspection) -> Vec<String> {
    let addresses = pod.ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let of = |namespace: &Namespace| format!("{} {}", namespace.kind, namespace.id);
    let is_own = |namespace: &&Namespace| matches!(namespace.kind, "pid" | "mnt") && namespace.containers.len() == 1;
    let mut branches: Vec<(String, Vec<String>)> = Vec::new();
    for namespace in pod.namespaces.iter().filter(|namespace| !is_own(namespace)) {
        let what = match namespace.kind {
            "net" => format!(" {addresses}"),
            "uts" => format!(" {}", plain(&pod.hostname)),
            _ => String::new(),
        };
        branches.push((format!("{}{what} ({})", of(namespace), namespace.containers.join(", ")), Vec::new()));
    }
    for container in &pod.containers {
        let own = pod.namespaces.iter().filter(is_own).filter(|namespace| namespace.containers[0] == container.name);
        let end = match (container.exit_code, container.reason) {
            (Some(code), Some(reason)) => format!(" {code} {reason}"),
            _ => String::new(),
        };
        let ContainerInspection { name, attempt, image, state, .. } = container;
        let restarts = if *attempt == 0 { String::new() } else { format!(", restart {attempt}") };
        branches.push((format!("{name} {state}{end}{restarts}, image {}", plain(image)), own.map(of).collect()));
    }
    let mut lines = vec![format!("pod {} sandbox {}", plain(&pod.uid), plain(&pod.sandbox_id))];
    for (at, (branch, leaves)) in branches.iter().enumerate() {
        let (fork, trunk) = if at + 1 == branches.len() { ("└─", "  ") } else { ("├─", "│ ") };
        lines.push(format!("{fork} {branch}"));
        for (at, leaf) in leaves.iter().enumerate() {
            let fork = if at + 1 == leaves.len() { "└─" } else { "├─" };
            lines.push(format!("{trunk} {fork} {leaf}"));
        }
    }
    lines
}

/// As `ps -eo pid,ppid,user,stat,time,rss,wchan,args`.
fn processes(pod: &PodInspection) -> Vec<String> {
    let mut rows = vec![cells(["CONTAINER", "PID", "PPID", "USER", "STAT", "TIME", "RSS", "WCHAN", "COMMAND"])];
    rows.extend(pod.pause.iter().map(|process| process_cells("-", process)));
    let mut more = 0;
    for container in &pod.containers {
        rows.extend(container.processes.items.iter().map(|process| process_cells(&container.name, process)));
        more += container.processes.more;
    }
    section(&rows, more)
}

fn process_cells(container: &str, process: &ProcessRow) -> Vec<String> {
    let ProcessRow { pid, ppid, uid, state, wchan, cpu_nanos, rss_bytes, command, .. } = process;
    let defunct = if *state == 'Z' { " <defunct>" } else { "" };
    vec![
        container.to_owned(),
        pid.to_string(),
        ppid.to_string(),
        user_name(*uid),
        state.to_string(),
        cpu_time(*cpu_nanos),
        (rss_bytes / 1024).to_string(),
        wchan.as_deref().map_or_else(|| "-".to_owned(), plain),
        format!("{}{defunct}", plain(command)),
    ]
}

/// As `lsof`.
fn descriptors(containers: &[ContainerInspection]) -> Vec<String> {
    let mut rows = vec![cells(["CONTAINER", "PID", "FD", "TYPE", "NAME"])];
    let mut more = 0;
    for container in containers {
        for process in &container.processes.items {
            let start = || [container.name.clone(), process.pid.to_string()];
            for descriptor in &process.descriptors.items {
                let access = if descriptor.access == '-' { String::new() } else { descriptor.access.to_string() };
                let rest = [format!("{}{access}", descriptor.fd), descriptor.kind.to_owned(), plain(&descriptor.name)];
                rows.push(start().into_iter().chain(rest).collect());
            }
            if process.handles > 0 {
                let rest = ["-".to_owned(), "-".to_owned(), format!("{} handles of the component", process.handles)];
                rows.push(start().into_iter().chain(rest).collect());
            }
            more += process.descriptors.more;
        }
    }
    section(&rows, more)
}

/// As `ss -tanup`.
fn sockets(sockets: &Listed<SocketRow>) -> Vec<String> {
    let heading = ["Netid", "State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port", "Process"];
    let mut rows = vec![cells(heading)];
    for socket in &sockets.items {
        let address = |address: std::net::SocketAddr| match (address, address.port()) {
            (std::net::SocketAddr::V4(v4), 0) => format!("{}:*", v4.ip()),
            (std::net::SocketAddr::V6(v6), 0) => format!("[{}]:*", v6.ip()),
            (address, _) => address.to_string(),
        };
        let users: Vec<String> = socket.users.iter().map(user).collect();
        rows.push(vec![
            socket.netid.to_owned(),
            socket.state.to_owned(),
            socket.recv_q.to_string(),
            socket.send_q.to_string(),
            address(socket.local),
            address(socket.peer),
            if users.is_empty() { String::new() } else { format!("users:({})", users.join(",")) },
        ]);
    }
    section(&rows, sockets.more)
}

fn user(user: &SocketUser) -> String {
    let fd = user.fd.map(|fd| format!(",fd={fd}")).unwrap_or_default();
    format!("(\"{}\",pid={}{fd})", user.container, user.pid)
}

/// As `ipcs`, with the POSIX objects' names.
fn ipc(ipc: &IpcInspection) -> Vec<String> {
    let heading = ["IPC", "NAME", "OWNER", "PERMS", "USED", "CHARGED", "WAITERS", "STATE", "CREATOR"];
    let mut rows = vec![cells(heading)];
    for object in &ipc.objects.items {
        let IpcRow { kind, name, mode, uid, used_bytes, charged_bytes, waiters, creator, creator_pid, .. } = object;
        let state = match object.state {
            IpcState::Queue { messages, max_messages, message_size, notify } => {
                let notify = if notify { ", notify" } else { "" };
                format!("{messages}/{max_messages} messages of {message_size}{notify}")
            }
            IpcState::Semaphore { value } => format!("value {value}"),
            IpcState::Segment { size } => format!("{size} bytes"),
        };
        rows.push(vec![
            (*kind).to_owned(),
            plain(name),
            user_name(*uid),
            mode.clone(),
            used_bytes.to_string(),
            charged_bytes.to_string(),
            waiters.to_string(),
            state,
            format!("{} pid {creator_pid}", plain(creator)),
        ]);
    }
    section(&rows, ipc.objects.more)
}

/// As `findmnt` with the columns of `df`.
fn mounts(containers: &[ContainerInspection]) -> Vec<String> {
    let heading = ["CONTAINER", "TARGET", "SOURCE", "FSTYPE", "OPTIONS", "USED", "SIZE", "IUSED", "INODES"];
    let mut rows = vec![cells(heading)];
    let mut more = 0;
    for container in containers {
        for mount in &container.mounts.items {
            let MountRow { target, source, kind, options, used_bytes, limit_bytes, used_inodes, limit_inodes } = mount;
            let limit = |limit: &Option<u64>, show: fn(u64) -> String| limit.map_or_else(|| "-".to_owned(), show);
            rows.push(vec![
                container.name.clone(),
                plain(target),
                plain(source),
                (*kind).to_owned(),
                options.join(","),
                size(*used_bytes),
                limit(limit_bytes, size),
                used_inodes.to_string(),
                limit(limit_inodes, |inodes| inodes.to_string()),
            ]);
        }
        more += container.mounts.more;
    }
    section(&rows, more)
}

/// A row for each cgroup: what its files say that changes or limits. `--output json` has the files as they are.
fn cgroups(cgroups: &[CgroupFiles]) -> Vec<String> {
    let heading = CGROUP_COLUMNS.iter().map(|(file, key)| if key.is_empty() { *file } else { *key });
    let mut rows = vec![heading.chain(["CGROUP"]).map(str::to_owned).collect::<Vec<_>>()];
    for cgroup in cgroups {
        let text =
            |file: &str| cgroup.files.iter().find(|(name, _)| *name == file).map_or("-", |(_, text)| text.as_str());
        let value = |(file, key): &(&str, &str)| match *key {
            "" => plain(text(file)),
            key => plain(text(file).lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).unwrap_or("-")),
        };
        rows.push(CGROUP_COLUMNS.iter().map(value).chain([plain(&cgroup.path)]).collect());
    }
    section(&rows, 0)
}

/// A table and what it leaves out; nothing if there are no rows below the heading.
fn section(rows: &[Vec<String>], more: usize) -> Vec<String> {
    if rows.len() < 2 {
        return Vec::new();
    }
    let mut lines = table::lines(rows);
    if more > 0 {
        lines.push(format!("… and {more} more"));
    }
    lines
}

fn cells<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

/// `text` on one line, and in one column: nothing in it moves a cursor.
fn plain(text: &str) -> String {
    for_terminal(text.replace('\t', "\\t").replace('\r', "\\r").as_bytes()).into_owned()
}

/// Only root's name is known: an image's `/etc/passwd` is the guest's word.
fn user_name(uid: u32) -> String {
    if uid == 0 { "root".to_owned() } else { uid.to_string() }
}

/// Minutes, seconds and hundredths, as `top` shows them.
fn cpu_time(nanos: u64) -> String {
    let hundredths = nanos / 10_000_000;
    format!("{}:{:02}.{:02}", hundredths / 6000, hundredths / 100 % 60, hundredths % 100)
}

/// Bytes as `df -h` shows them, in powers of 1024, rounded up.
fn size(bytes: u64) -> String {
    const UNITS: [(u32, &str); 6] = [(60, "E"), (50, "P"), (40, "T"), (30, "G"), (20, "M"), (10, "K")];
    let Some((shift, unit)) = UNITS.iter().find(|(shift, _)| bytes >> shift > 0) else { return bytes.to_string() };
    let tenths = (u128::from(bytes) * 10).div_ceil(1 << shift);
    if tenths < 100 && tenths % 10 != 0 {
        format!("{}.{}{unit}", tenths / 10, tenths % 10)
    } else {
        format!("{}{unit}", tenths.div_ceil(10))
    }
}

#[cfg(test)]
mod tests;
