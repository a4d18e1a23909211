//! What is inside of a pod at one moment, as plain data: namespaces, processes, descriptors, mounts, sockets, IPC
//! objects and cgroup files. Serialisable, in a fixed order of fields. Owns the shapes and the bounds on what is listed; taking it is
//! `snapshot`'s, showing it the command line's.
//!
//! In virtual time it is of one instant, and looking changes nothing: no random number is drawn and nothing is journalled. In real time
//! each part is of its own instant, as with `ps` and `ss`.

mod snapshot;

use std::net::{IpAddr, SocketAddr};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// The most sockets that are listed. A pod may have 32,768, and nobody reads them.
pub const MAX_LISTED_SOCKETS: usize = 256;
/// The most processes of one container that are listed.
pub const MAX_LISTED_PROCESSES: usize = 256;
/// The most descriptors of one process that are listed. It may have 1024.
pub const MAX_LISTED_DESCRIPTORS: usize = 64;
/// The most mounts of one container that are listed. It may have 1000.
pub const MAX_LISTED_MOUNTS: usize = 256;
/// The most IPC objects that are listed. A pod may have 8448.
pub const MAX_LISTED_IPC: usize = 256;
/// Where a command line is cut, in characters: arguments may have 2 MiB.
pub const MAX_COMMAND_CHARS: usize = 256;

/// The first of a list, and how many more there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed<T> {
    /// What is listed.
    pub items: Vec<T>,
    /// How many are not.
    pub more: usize,
}

impl<T> Listed<T> {
    /// The first `max` of `all`.
    pub fn first(all: Vec<T>, max: usize) -> Self {
        let more = all.len().saturating_sub(max);
        let mut items = all;
        items.truncate(max);
        Self { items, more }
    }
}

/// A pod's inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodInspection {
    /// The pod's UID.
    pub uid: String,
    /// The sandbox' id.
    pub sandbox_id: String,
    /// Its hostname.
    pub hostname: String,
    /// The addresses of `eth0`.
    pub ips: Vec<IpAddr>,
    /// Its namespaces, those of the pod first, and who lives in each.
    pub namespaces: Vec<Namespace>,
    /// `pause`, which is of no container: number 1 of a shared pid namespace.
    pub pause: Option<ProcessRow>,
    /// The newest run of each container that was made, by name.
    pub containers: Vec<ContainerInspection>,
    /// The sockets of the pod, as `ss -tanup` lists them.
    pub sockets: Listed<SocketRow>,
    /// Its message queues, semaphores and shared memory, as `ipcs` lists them.
    pub ipc: IpcInspection,
    /// The cgroup of the pod, then that of each container.
    pub cgroups: Vec<CgroupFiles>,
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Namespace {
    /// `net`, `uts`, `ipc`, `pid` or `mnt`, as under `/proc/PID/ns`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its number, as in `net:[4026531840]`: never given twice in a run.
    pub id: u64,
    /// The containers that live in it.
    pub containers: Vec<String>,
}

/// A run of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerInspection {
    /// Its name in the pod.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Which run it is, from 0.
    pub attempt: u32,
    /// The image, as the manifest names it.
    pub image: String,
    /// `created`, `running` or `exited`.
    pub state: &'static str,
    /// How it ended.
    pub exit_code: Option<i32>,
    /// Why it ended: `Completed`, `Error`, `OOMKilled`, `StartError`.
    pub reason: Option<&'static str>,
    /// Its processes. An ended one is listed as long as the container is there, without memory and descriptors.
    pub processes: Listed<ProcessRow>,
    /// What is mounted, the root first.
    pub mounts: Listed<MountRow>,
}

/// A process, as `ps` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessRow {
    /// Its number in its pid namespace.
    pub pid: u32,
    /// Its parent's; 0 for the first process of a namespace.
    pub ppid: u32,
    /// The user.
    pub uid: u32,
    /// `R` computes or could, `S` waits in a system call, `T` is stopped, `Z` has ended; `-` was not started.
    pub state: char,
    /// What it waits for: the call and its object.
    pub wchan: Option<String>,
    /// Since when it waits, in nanoseconds of the node's clock.
    pub waiting_since_nanos: Option<u64>,
    /// CPU time, in nanoseconds: fuel ÷ what one CPU is worth.
    pub cpu_nanos: u64,
    /// Bytes of its linear memories and tables. Buffers of the kernel and files in memory are in its cgroup's `memory.current`.
    pub rss_bytes: u64,
    /// Its arguments with spaces between, cut at [`MAX_COMMAND_CHARS`].
    pub command: String,
    /// Its open descriptors.
    pub descriptors: Listed<DescriptorRow>,
    /// What a component holds open without a number.
    pub handles: usize,
}

/// An open descriptor, as `lsof` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DescriptorRow {
    /// Its number.
    pub fd: u32,
    /// `r`, `w`, `u` (both), or `-` where nobody said.
    pub access: char,
    /// `REG`, `DIR`, `CHR`, `FIFO`, `LINK`, `TCP`, `UDP`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The path of a preopen; a file's mount point and inode, as files have no name of their own; a socket's addresses.
    pub name: String,
}

/// A mount, as `findmnt` and `df` show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MountRow {
    /// Where.
    pub target: String,
    /// The volume's name in the manifest, or the kind of file system for what the runtime mounts.
    pub source: String,
    /// The kind of file system, as in `/proc/mounts`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `rw` or `ro`.
    pub options: Vec<&'static str>,
    /// Bytes used, where they are counted.
    pub used_bytes: u64,
    /// The most bytes.
    pub limit_bytes: Option<u64>,
    /// Names used, where they are counted.
    pub used_inodes: u64,
    /// The most names.
    pub limit_inodes: Option<u64>,
}

/// A socket, as `ss` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SocketRow {
    /// `tcp` or `udp`.
    pub netid: &'static str,
    /// `LISTEN`, `ESTAB`, `UNCONN`, ….
    pub state: &'static str,
    /// Bytes to read; of a listening socket, connections to accept.
    pub recv_q: u64,
    /// Bytes that the other side has not read; of a listening socket, its backlog.
    pub send_q: u64,
    /// The local address.
    pub local: SocketAddr,
    /// The other side's; port 0 if there is none.
    pub peer: SocketAddr,
    /// Its number.
    pub inode: u64,
    /// Who holds it; nobody while it waits to be accepted.
    pub users: Vec<SocketUser>,
}

/// A process that holds a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SocketUser {
    /// Its container.
    pub container: String,
    /// Its number in its pid namespace.
    pub pid: u32,
    /// Its descriptor; a component's handle has no number.
    pub fd: Option<u32>,
}

/// The IPC namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IpcInspection {
    /// Message queues that live, also those without a name.
    pub queues: usize,
    /// Semaphores that live.
    pub semaphores: usize,
    /// Segments of shared memory that live.
    pub segments: usize,
    /// Bytes that the queues can hold.
    pub queue_bytes: u64,
    /// Bytes of the segments.
    pub shm_bytes: u64,
    /// Those with a name: queues, then semaphores, then segments, each by name.
    pub objects: Listed<IpcRow>,
}

/// An IPC object with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IpcRow {
    /// `mqueue`, `semaphore` or `shm`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its name, with the slash.
    pub name: String,
    /// Its permissions in octal.
    pub mode: String,
    /// The owner.
    pub uid: u32,
    /// The owner's group.
    pub gid: u32,
    /// Who made it, `pod/container`; it may be gone.
    pub creator: String,
    /// The maker's number.
    pub creator_pid: u32,
    /// Bytes of messages, or of the segment.
    pub used_bytes: u64,
    /// Bytes charged to memory cgroups.
    pub charged_bytes: u64,
    /// Calls and polls that wait for it.
    pub waiters: usize,
    /// What only its kind has.
    #[serde(flatten)]
    pub state: IpcState,
}

/// What only one kind of IPC object has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum IpcState {
    /// A message queue.
    Queue {
        /// Messages in it.
        messages: u32,
        /// The most that it holds.
        max_messages: u32,
        /// The most bytes of one.
        message_size: u32,
        /// Somebody is to be told of the next one.
        notify: bool,
    },
    /// A semaphore.
    Semaphore {
        /// What it counts.
        value: u32,
    },
    /// A segment.
    Segment {
        /// Its size in bytes.
        size: u64,
    },
}

/// A cgroup and the text of its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CgroupFiles {
    /// Where it is in the tree.
    pub path: String,
    /// Each file and its text without the last line break, in the order of `ls`.
    #[serde(serialize_with = "as_map")]
    pub files: Vec<(&'static str, String)>,
}

fn as_map<S: Serializer>(files: &[(&'static str, String)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(files.len()))?;
    for (name, text) in files {
        map.serialize_entry(name, text)?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_what_it_leaves_out() {
        assert_eq!(Listed::first(vec![1, 2, 3], 2), Listed { items: vec![1, 2], more: 1 });
        assert_eq!(Listed::first(vec![1], 2), Listed { items: vec![1], more: 0 });
    }
}
