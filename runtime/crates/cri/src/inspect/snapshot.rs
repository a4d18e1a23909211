//! Taking a snapshot of a pod, from the small ones that the kernel gives. No two locks are held at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use wasmpod_kernel::cgroup::Cgroup;
use wasmpod_kernel::file::{Description, Descriptor, FileType};
use wasmpod_kernel::ipcns::{IpcInfo, IpcKind, IpcNs, IpcUsage};
use wasmpod_kernel::mntns::OpenFile;
use wasmpod_kernel::netns::{Protocol, SocketInfo};
use wasmpod_kernel::pidns::PidNs;
use wasmpod_kernel::process::Process;
use wasmpod_kernel::wait::Ready;
use wasmpod_kernel::wchan::WaitChannel;
use wasmpod_sim::Instant;

use super::{
    CgroupFiles, ContainerInspection, DescriptorRow, IpcInspection, IpcRow, IpcState, Listed, MAX_COMMAND_CHARS,
    MAX_LISTED_DESCRIPTORS, MAX_LISTED_IPC, MAX_LISTED_MOUNTS, MAX_LISTED_PROCESSES, MAX_LISTED_SOCKETS, MountRow,
    Namespace, PodInspection, ProcessRow, SocketRow, SocketUser,
};
use crate::container::{Container, ContainerState};
use crate::sandbox::Sandbox;

impl Sandbox {
    /// What is inside of the pod now.
    pub fn inspect(&self) -> PodInspection {
        let containers: Vec<Arc<Container>> = self.containers.lock().values().cloned().collect();
        let sockets = self.net().sockets();
        let by_inode: BTreeMap<u64, &SocketInfo> = sockets.iter().map(|info| (info.inode, info)).collect();
        let cgroups = std::iter::once(self.cgroup()).chain(containers.iter().map(|container| container.cgroup()));
        PodInspection {
            uid: self.uid().to_owned(),
            sandbox_id: self.id().to_owned(),
            hostname: self.uts().hostname().to_owned(),
            ips: vec![self.ipv4().into(), self.ipv6().into()],
            namespaces: namespaces(self, &containers),
            pause: self.shared_pids().and_then(|pids| pause(pids)),
            containers: containers.iter().map(|container| inspect(container, &by_inode)).collect(),
            sockets: socket_rows(&sockets, &containers),
            ipc: ipc(self.ipc()),
            cgroups: cgroups.map(cgroup_files).collect(),
        }
    }
}

fn namespaces(sandbox: &Sandbox, containers: &[Arc<Container>]) -> Vec<Namespace> {
    let all: Vec<String> = containers.iter().map(|container| container.name().to_owned()).collect();
    let ids = sandbox.namespaces();
    let shared = [("net", Some(ids.net)), ("ipc", Some(ids.ipc)), ("uts", Some(ids.uts)), ("pid", ids.pid)];
    let shared = shared.into_iter().filter_map(|(kind, id)| Some(Namespace { kind, id: id?, containers: all.clone() }));
    let own = containers.iter().flat_map(|container| {
        let own = container.namespaces();
        let of = |kind, id| Namespace { kind, id, containers: vec![container.name().to_owned()] };
        let pid = ids.pid.is_none().then(|| of("pid", own.pid));
        pid.into_iter().chain([of("mnt", own.mnt)])
    });
    shared.chain(own).collect()
}

fn inspect(container: &Container, sockets: &BTreeMap<u64, &SocketInfo>) -> ContainerInspection {
    let state = container.state();
    let (state_name, ended) = match &state {
        ContainerState::Created => ("created", None),
        ContainerState::Running { .. } => ("running", None),
        ContainerState::Exited(exited) => ("exited", Some(exited)),
    };
    let config = container.config();
    ContainerInspection {
        name: config.name.clone(),
        id: container.id().to_owned(),
        attempt: config.attempt,
        image: config.image.reference.clone(),
        state: state_name,
        exit_code: ended.map(|exited| exited.exit_code),
        reason: ended.map(|exited| exited.reason),
        processes: processes(container, &state, sockets),
        mounts: mount_rows(container),
    }
}

/// The running processes of a container; its entry point also before it runs and when it has ended.
fn processes(
    container: &Container,
    state: &ContainerState,
    sockets: &BTreeMap<u64, &SocketInfo>,
) -> Listed<ProcessRow> {
    let all = match state {
        ContainerState::Running { .. } => container.processes(),
        ContainerState::Created | ContainerState::Exited(_) => vec![container.process().clone()],
    };
    let Listed { items, more } = Listed::first(all, MAX_LISTED_PROCESSES);
    Listed { items: items.iter().map(|process| process_row(process, state, sockets)).collect(), more }
}

/// `pause` has no program: it waits, and that is all.
fn pause(pids: &PidNs) -> Option<ProcessRow> {
    let info = pids.list().into_iter().next().filter(|info| info.pid == 1 && info.ppid == 0)?;
    Some(ProcessRow {
        pid: info.pid,
        ppid: info.ppid,
        uid: info.uid,
        state: info.state,
        wchan: None,
        waiting_since_nanos: None,
        cpu_nanos: 0,
        rss_bytes: 0,
        command: command(&info.args),
        descriptors: Listed { items: Vec::new(), more: 0 },
        handles: 0,
    })
}

fn process_row(process: &Process, state: &ContainerState, sockets: &BTreeMap<u64, &SocketInfo>) -> ProcessRow {
    let (spec, usage) = (&process.spec, &process.usage);
    let waiting = process.waiting().filter(|_| matches!(state, ContainerState::Running { .. }));
    let state = match state {
        ContainerState::Created => '-',
        ContainerState::Running { .. } => state_letter(waiting.as_ref().map(|waiting| &waiting.channel)),
        ContainerState::Exited(_) => 'Z',
    };
    let (open, handles): (Vec<(u32, Descriptor)>, usize) = {
        let fds = process.fds.lock();
        (fds.iter().map(|(fd, descriptor)| (fd, descriptor.clone())).collect(), fds.held())
    };
    // cut before they are described: a description may ask the host's file system
    let Listed { items, more } = Listed::first(open, MAX_LISTED_DESCRIPTORS);
    let items = items.iter().map(|(fd, descriptor)| descriptor_row(*fd, descriptor, sockets)).collect();
    ProcessRow {
        pid: process.pid(),
        ppid: spec.ppid,
        uid: spec.cred.uid,
        state,
        waiting_since_nanos: waiting.as_ref().and_then(|waiting| waiting.since).map(Instant::as_nanos),
        wchan: waiting.map(|waiting| waiting.channel.to_string()),
        cpu_nanos: u64::try_from(process.sim().compute_time(usage.fuel()).as_nanos()).unwrap_or(u64::MAX),
        rss_bytes: usage.memory(),
        command: command(&spec.args),
        descriptors: Listed { items, more },
        handles,
    }
}

/// The state of `ps(1)`.
const fn state_letter(channel: Option<&WaitChannel>) -> char {
    match channel {
        None | Some(WaitChannel::Cpu | WaitChannel::Throttled { .. }) => 'R',
        Some(WaitChannel::Stopped) => 'T',
        Some(_) => 'S',
    }
}

/// The arguments as one line, cut.
fn command(args: &[String]) -> String {
    let mut line = String::new();
    let spaced = args.iter().enumerate().flat_map(|(at, arg)| (at > 0).then_some(' ').into_iter().chain(arg.chars()));
    for (length, character) in spaced.enumerate() {
        if length == MAX_COMMAND_CHARS {
            line.push('…');
            break;
        }
        line.push(character);
    }
    line
}

fn descriptor_row(fd: u32, descriptor: &Descriptor, sockets: &BTreeMap<u64, &SocketInfo>) -> DescriptorRow {
    let socket = |inode: u64| sockets.get(&inode).map_or_else(String::new, |info| addresses(info));
    let (access, name) = match &descriptor.description {
        Description::File(file) => (access(file), file_name(file)),
        Description::Tcp(tcp) => ('u', socket(tcp.inode())),
        Description::Udp(udp) => ('u', socket(udp.inode())),
        Description::Ipc(ipc) => ('u', ipc.waits(Ready::READ).1.to_string()),
        Description::Stream(_) => ('-', String::new()),
    };
    let name = match &descriptor.preopen {
        Some(given) if name.is_empty() || access == 'r' => given.clone(),
        Some(given) => format!("{name} {given}"), // a listening socket that the program was handed
        None => name,
    };
    DescriptorRow { fd, access, kind: kind(descriptor.description.file_type()), name }
}

fn access(file: &OpenFile) -> char {
    match file.access() {
        (true, true) => 'u',
        (_, true) => 'w',
        (true, _) => 'r',
        (false, false) => '-',
    }
}

/// As `lsof` does where it knows no name: the mount, and which of its files.
fn file_name(file: &OpenFile) -> String {
    let (path, kind) = file.mounted_at();
    match file.stat() {
        Ok(stat) => format!("{path} ({kind}) inode {}", stat.ino),
        Err(_) => format!("{path} ({kind})"),
    }
}

const fn kind(file_type: FileType) -> &'static str {
    match file_type {
        FileType::Regular => "REG",
        FileType::Directory => "DIR",
        FileType::Symlink => "LINK",
        FileType::CharDevice => "CHR",
        FileType::Fifo => "FIFO",
        FileType::SocketStream => "TCP",
        FileType::SocketDgram => "UDP",
        FileType::Anonymous => "IPC",
    }
}

/// `local->peer (STATE)`, as `lsof` writes it.
fn addresses(info: &SocketInfo) -> String {
    let peer = if info.remote.port() == 0 { String::new() } else { format!("->{}", info.remote) };
    format!("{}{peer} ({})", info.local, info.state.name())
}

fn mount_rows(container: &Container) -> Listed<MountRow> {
    let sources: BTreeMap<&str, &str> = container
        .config()
        .mounts
        .iter()
        .map(|mount| (mount.path.trim_end_matches('/'), mount.source.as_str()))
        .collect();
    let row = |mount: wasmpod_kernel::mntns::MountInfo| MountRow {
        source: sources.get(mount.path.as_str()).map_or(mount.kind, |source| *source).to_owned(),
        target: mount.path,
        kind: mount.kind,
        options: vec![if mount.read_only { "ro" } else { "rw" }],
        used_bytes: mount.usage.bytes,
        limit_bytes: mount.usage.bytes_limit,
        used_inodes: mount.usage.inodes,
        limit_inodes: mount.usage.inodes_limit,
    };
    Listed::first(container.mnt().mounts().into_iter().map(row).collect(), MAX_LISTED_MOUNTS)
}

fn socket_rows(sockets: &[SocketInfo], containers: &[Arc<Container>]) -> Listed<SocketRow> {
    let shown = sockets.iter().take(MAX_LISTED_SOCKETS);
    let mut numbered: BTreeMap<u64, Vec<SocketUser>> = BTreeMap::new();
    for container in containers {
        for process in container.processes() {
            for (fd, descriptor) in process.fds.lock().iter() {
                let inode = match &descriptor.description {
                    Description::Tcp(tcp) => tcp.inode(),
                    Description::Udp(udp) => udp.inode(),
                    _ => continue,
                };
                let user = SocketUser { container: container.name().to_owned(), pid: process.pid(), fd: Some(fd) };
                numbered.entry(inode).or_default().push(user);
            }
        }
    }
    let row = |info: &SocketInfo| SocketRow {
        netid: match info.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        },
        state: info.state.name(),
        recv_q: info.rx_queue,
        send_q: info.tx_queue,
        local: info.local,
        peer: info.remote,
        inode: info.inode,
        users: numbered
            .remove(&info.inode)
            .or_else(|| info.accepted.then(|| users_by_owner(&info.owner, containers)))
            .unwrap_or_default(),
    };
    Listed { items: shown.map(row).collect(), more: sockets.len().saturating_sub(MAX_LISTED_SOCKETS) }
}

/// A component's handles have no numbers: its sockets are found by who pays for them.
fn users_by_owner(owner: &str, containers: &[Arc<Container>]) -> Vec<SocketUser> {
    let running = containers.iter().filter(|container| matches!(container.state(), ContainerState::Running { .. }));
    let holds = running.filter(|container| container.cgroup().path() == owner);
    let user = |container: &Arc<Container>| SocketUser {
        container: container.name().to_owned(),
        pid: container.process().pid(),
        fd: None,
    };
    holds.map(user).collect()
}

fn ipc(namespace: &IpcNs) -> IpcInspection {
    let IpcUsage { queues, semaphores, segments, queue_bytes, shm_bytes } = namespace.usage();
    let row = |info: IpcInfo| IpcRow {
        kind: info.kind.name(),
        name: info.name,
        mode: format!("{:04o}", info.mode),
        uid: info.owner.0,
        gid: info.owner.1,
        creator: info.creator.0,
        creator_pid: info.creator.1,
        used_bytes: info.used_bytes,
        charged_bytes: info.charged_bytes,
        waiters: info.waiters,
        state: match info.kind {
            IpcKind::Queue { messages, max_messages, message_size, notify } => {
                IpcState::Queue { messages, max_messages, message_size, notify }
            }
            IpcKind::Semaphore { value } => IpcState::Semaphore { value },
            IpcKind::Segment { size } => IpcState::Segment { size },
        },
    };
    let objects = Listed::first(namespace.snapshot(), MAX_LISTED_IPC);
    let objects = Listed { items: objects.items.into_iter().map(row).collect(), more: objects.more };
    IpcInspection { queues, semaphores, segments, queue_bytes, shm_bytes, objects }
}

fn cgroup_files(cgroup: &Arc<Cgroup>) -> CgroupFiles {
    let text = |name: &'static str| Some((name, cgroup.render(name)?.trim_end_matches('\n').to_owned()));
    CgroupFiles { path: cgroup.path().to_owned(), files: cgroup.files().iter().copied().filter_map(text).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_cut_between_characters() {
        let args = ["app".to_owned(), "ä".repeat(MAX_COMMAND_CHARS)];
        let line = command(&args);
        assert_eq!(line.chars().count(), MAX_COMMAND_CHARS + 1);
        assert!(line.starts_with("app ää") && line.ends_with("ä…"), "{line}");
        assert_eq!(command(&["a".to_owned(), String::new(), "b c".to_owned()]), "a  b c");
        assert_eq!(command(&[]), "");
    }
}
