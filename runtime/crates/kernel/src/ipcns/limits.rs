//! How much IPC a pod may have. Every number is per namespace unless it says otherwise; the bytes count in the memory cgroups besides.

/// The longest name after its slash, in bytes (NAME_MAX; `mq_overview(7)`).
pub const NAME_MAX: usize = 255;
/// Memory charged for any object: the structures and the name; Linux charges an inode and a dentry, which is about as much.
pub const OBJECT_BYTES: u64 = 1024;

/// Message queues: Linux' `fs.mqueue.queues_max`.
pub const MAX_QUEUES: usize = 256;
/// Messages of a queue whose maker does not say: `fs.mqueue.msg_default`.
pub const DEFAULT_MESSAGES: u32 = 10;
/// Bytes of a message of such a queue: `fs.mqueue.msgsize_default`.
pub const DEFAULT_MESSAGE_SIZE: u32 = 8192;
/// The most messages of one queue. Linux has 10 until an administrator raises `fs.mqueue.msg_max`, to at most 65,536; as nobody can raise
/// it here, it is what servers usually set.
pub const MAX_MESSAGES: u32 = 1024;
/// The most bytes of a message, for the same reason: `fs.mqueue.msgsize_max` is 8192 and can be raised to 16 MiB.
pub const MAX_MESSAGE_SIZE: u32 = 64 * 1024;
/// Accounted for each message beside its bytes: Linux' `struct msg_msg` and its share of a tree node.
pub const MESSAGE_OVERHEAD: u64 = 64;
/// Bytes of all queues together, as RLIMIT_MSGQUEUE bounds a user's (819,200 on Linux): enough for 200 default queues, or one of the largest
/// messages.
pub const MAX_QUEUE_BYTES: u64 = 16 * 1024 * 1024;
/// The highest priority: `MQ_PRIO_MAX` less one.
pub const MAX_PRIORITY: u32 = 32_767;

/// Semaphores: as many as segments, as both are files of `/dev/shm` on Linux.
pub const MAX_SEMAPHORES: usize = 4096;
/// The greatest value of a semaphore: `SEM_VALUE_MAX`.
pub const SEM_VALUE_MAX: u32 = i32::MAX as u32;

/// Segments: Linux' SHMMNI.
pub const MAX_SEGMENTS: usize = 4096;
/// Bytes of all segments together: the size that container runtimes give `/dev/shm`.
pub const MAX_SHM_BYTES: u64 = 64 * 1024 * 1024;
/// The most bytes that are copied under a segment's lock, so that nobody waits for longer than a memory copy of that size. What is
/// longer is done in parts.
pub const MAX_SHM_COPY: usize = 1024 * 1024;
/// Waits (blocked calls and watches) on one segment. A process has at most one call and 1024 descriptors; it bounds what a `notify`
/// looks through.
pub const MAX_SHM_WAITS: usize = 4096;
