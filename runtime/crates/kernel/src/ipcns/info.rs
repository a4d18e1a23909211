//! What `ipcs(1)` shows of a namespace: plain values, to print or to assert on.

use super::object::Object;

/// What an object is, with what only its kind has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpcKind {
    /// A message queue.
    Queue {
        /// Messages in it.
        messages: u32,
        /// The most that it holds.
        max_messages: u32,
        /// The most bytes of one.
        message_size: u32,
        /// Somebody is to be told of the next message.
        notify: bool,
    },
    /// A semaphore.
    Semaphore {
        /// What it counts.
        value: u32,
    },
    /// A segment of shared memory.
    Segment {
        /// Its size; 0 until it is set.
        size: u64,
    },
}

impl IpcKind {
    /// One word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Queue { .. } => "mqueue",
            Self::Semaphore { .. } => "semaphore",
            Self::Segment { .. } => "shm",
        }
    }
}

/// One object of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpcInfo {
    /// What it is.
    pub kind: IpcKind,
    /// Its name, with the slash.
    pub name: String,
    /// Who made it: `<pod>/<container>` and pid. It may be gone.
    pub creator: (String, u32),
    /// The owner: user and group.
    pub owner: (u32, u32),
    /// Permission bits.
    pub mode: u32,
    /// Bytes in use: of messages, or of a segment.
    pub used_bytes: u64,
    /// Bytes charged to memory cgroups for it.
    pub charged_bytes: u64,
    /// Calls and polls that wait for it.
    pub waiters: usize,
}

impl IpcInfo {
    pub(super) fn of(object: &Object, kind: IpcKind, used_bytes: u64, waiters: usize) -> Self {
        Self {
            kind,
            name: object.name.to_string(),
            creator: (object.creator.name.clone(), object.creator.pid),
            owner: (object.uid, object.gid),
            mode: object.mode,
            used_bytes,
            charged_bytes: object.bytes(),
            waiters,
        }
    }
}

/// What lives in a namespace, with or without a name; `limits` has the most of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IpcUsage {
    /// Message queues.
    pub queues: usize,
    /// Semaphores.
    pub semaphores: usize,
    /// Segments.
    pub segments: usize,
    /// Bytes that the queues can hold, with overhead.
    pub queue_bytes: u64,
    /// Bytes of the segments.
    pub shm_bytes: u64,
}
