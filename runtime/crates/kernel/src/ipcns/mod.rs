//! A pod's IPC namespace (`ipc_namespaces(7)`): message queues, semaphores and shared memory by name, seen by every container of the
//! pod and by nobody else. Owns the names, who may open what, and the counts; the objects are in the files below.
//!
//! - [`mqueue`]: message queues (`mq_overview(7)`).
//! - [`semaphore`]: counting semaphores (`sem_overview(7)`) with undo.
//! - [`shm`]: shared memory (`shm_overview(7)`), copied instead of mapped, with `futex(2)`-like waiting.
//! - [`limits`]: how much of it there may be.
//! - [`info`]: what `ipcs(1)` would show.
//! - [`party`]: who has what open, and who holds what.
//!
//! Bytes are charged to the memory cgroup of the process that made an object (for shared memory: that gave it its size), as a
//! refusal, never as an OOM. An object lives until its name and the last handle are gone; the namespace drops all names when the pod
//! ends. Lock order: names, then one object, then a wait queue or a notification.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::task::Context;

use parking_lot::Mutex;

use crate::cgroup::{Cgroup, Charge};
use crate::mntns::Cred;
use crate::wait::Ready;
use crate::{Errno, Result};

pub mod info;
pub mod limits;
pub mod mqueue;
mod object;
pub mod party;
pub mod semaphore;
pub mod shm;

pub use self::info::{IpcInfo, IpcKind, IpcUsage};
pub use self::mqueue::{Notification, OpenQueue, QueueLimits};
pub use self::party::{Enders, Party};
pub use self::semaphore::{OpenSemaphore, Undo};
pub use self::shm::{OpenSegment, Watch};

use self::limits::{MAX_QUEUES, MAX_SEGMENTS, MAX_SEMAPHORES, OBJECT_BYTES};
use self::mqueue::Queue;
use self::object::{Counts, Held, Named, Object, check_name};
use self::semaphore::Semaphore;
use self::shm::Segment;

bitflags::bitflags! {
    /// How to open an object (`open(2)`).
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct OpenFlags: u32 {
        /// Receive from a queue, read a segment.
        const READ = 1;
        /// Send to a queue, write to a segment.
        const WRITE = 2;
        /// O_CREAT.
        const CREATE = 4;
        /// O_EXCL.
        const EXCLUSIVE = 8;
        /// SEM_UNDO of every operation on this handle.
        const UNDO = 16;
    }
}

/// Who opens or unlinks something.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// Who, for people; the same for every call of a process.
    pub party: &'a Arc<Party>,
    /// As whom it runs.
    pub cred: &'a Cred,
    /// What it is charged to.
    pub cgroup: &'a Arc<Cgroup>,
}

/// A pod's IPC namespace.
#[derive(Default)]
pub struct IpcNs {
    names: Mutex<Names>,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Names {
    queues: BTreeMap<String, Arc<Queue>>,
    semaphores: BTreeMap<String, Arc<Semaphore>>,
    segments: BTreeMap<String, Arc<Segment>>,
}

impl IpcNs {
    /// An empty namespace.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// `mq_open(3)`: opens, or with CREATE makes, a queue. `mode` and `wanted` matter only if it is made.
    ///
    /// # Errors
    /// Those of a name (EINVAL, ENOENT, EACCES, ENAMETOOLONG); EINVAL for neither READ nor WRITE, or limits out of range; EEXIST,
    /// ENOENT and EACCES as `open(2)`; ENOSPC at [`MAX_QUEUES`], EMFILE beyond [`limits::MAX_QUEUE_BYTES`], ENOMEM if the
    /// memory cgroup has no room.
    pub fn open_queue(
        &self,
        name: &str,
        flags: OpenFlags,
        mode: u32,
        wanted: Option<QueueLimits>,
        caller: Caller<'_>,
    ) -> Result<Arc<OpenQueue>> {
        if !flags.intersects(OpenFlags::READ | OpenFlags::WRITE) {
            return Err(Errno::Inval);
        }
        let queue = open(&mut self.names.lock().queues, name, flags, caller, || {
            let size = wanted.unwrap_or_default();
            let bytes = size.bytes()?;
            let held = self.hold(|counts| &mut counts.queues, MAX_QUEUES)?;
            let held =
                held.and_bytes(bytes, |counts| &mut counts.queue_bytes, limits::MAX_QUEUE_BYTES, Errno::MFile)?;
            Ok(Queue::new(self.object(name, mode, caller, held, bytes)?, size))
        })?;
        Ok(Arc::new(OpenQueue::new(queue, flags, caller)))
    }

    /// `sem_open(3)`: opens, or with CREATE makes, a semaphore that counts from `value`. With UNDO, `undo` is what the end of the
    /// process gives back.
    ///
    /// # Errors
    /// As [`IpcNs::open_queue`]; EINVAL for a value beyond [`limits::SEM_VALUE_MAX`], ENOSPC at [`MAX_SEMAPHORES`].
    pub fn open_semaphore(
        &self,
        name: &str,
        flags: OpenFlags,
        mode: u32,
        value: u32,
        caller: Caller<'_>,
        undo: &Arc<Undo>,
    ) -> Result<Arc<OpenSemaphore>> {
        // sem_open(3): both are needed, whatever the handle is for
        let flags = flags | OpenFlags::READ | OpenFlags::WRITE;
        let semaphore = open(&mut self.names.lock().semaphores, name, flags, caller, || {
            if value > limits::SEM_VALUE_MAX {
                return Err(Errno::Inval);
            }
            let held = self.hold(|counts| &mut counts.semaphores, MAX_SEMAPHORES)?;
            Ok(Semaphore::new(self.object(name, mode, caller, held, 0)?, value))
        })?;
        let undo = flags.contains(OpenFlags::UNDO).then_some(undo);
        Ok(Arc::new(OpenSemaphore::new(semaphore, undo, caller)))
    }

    /// `shm_open(3)`: opens, or with CREATE makes, a segment of no bytes.
    ///
    /// # Errors
    /// As [`IpcNs::open_queue`]; ENOSPC at [`MAX_SEGMENTS`].
    pub fn open_segment(
        &self,
        name: &str,
        flags: OpenFlags,
        mode: u32,
        caller: Caller<'_>,
    ) -> Result<Arc<OpenSegment>> {
        if !flags.intersects(OpenFlags::READ | OpenFlags::WRITE) {
            return Err(Errno::Inval);
        }
        let segment = open(&mut self.names.lock().segments, name, flags, caller, || {
            let held = self.hold(|counts| &mut counts.segments, MAX_SEGMENTS)?;
            Ok(Segment::new(self.object(name, mode, caller, held, 0)?))
        })?;
        Ok(Arc::new(OpenSegment::new(segment, flags, caller)))
    }

    /// `mq_unlink(3)`.
    ///
    /// # Errors
    /// Those of a name; ENOENT; EACCES for anybody but the owner and root, as in a sticky directory.
    pub fn unlink_queue(&self, name: &str, cred: &Cred) -> Result<()> {
        let removed = unlink(&mut self.names.lock().queues, name, cred)?;
        drop(removed); // not under the lock
        Ok(())
    }

    /// `sem_unlink(3)`.
    ///
    /// # Errors
    /// As [`IpcNs::unlink_queue`].
    pub fn unlink_semaphore(&self, name: &str, cred: &Cred) -> Result<()> {
        let removed = unlink(&mut self.names.lock().semaphores, name, cred)?;
        drop(removed);
        Ok(())
    }

    /// `shm_unlink(3)`.
    ///
    /// # Errors
    /// As [`IpcNs::unlink_queue`].
    pub fn unlink_segment(&self, name: &str, cred: &Cred) -> Result<()> {
        let removed = unlink(&mut self.names.lock().segments, name, cred)?;
        drop(removed);
        Ok(())
    }

    /// Removes every name, as the end of a pod does. What is still open lives until it is closed.
    pub fn clear(&self) {
        let removed = std::mem::take(&mut *self.names.lock());
        drop(removed);
    }

    /// Every object that has a name, queues first, each kind by name; see [`IpcNs::usage`] for what has none any more.
    pub fn snapshot(&self) -> Vec<IpcInfo> {
        let names = self.names.lock();
        let queues = names.queues.values().map(|queue| queue.info());
        let semaphores = names.semaphores.values().map(|semaphore| semaphore.info());
        queues.chain(semaphores).chain(names.segments.values().map(|segment| segment.info())).collect()
    }

    /// Counts of everything that lives, named or not.
    pub fn usage(&self) -> IpcUsage {
        self.counts.lock().usage()
    }

    /// Counts one more object.
    fn hold(&self, count: fn(&mut Counts) -> &mut usize, most: usize) -> Result<Held> {
        Held::take(&self.counts, count, most)
    }

    fn object(&self, name: &str, mode: u32, caller: Caller<'_>, held: Held, bytes: u64) -> Result<Object> {
        let memory: Charge = caller.cgroup.try_charge(OBJECT_BYTES + bytes)?;
        Ok(Object::new(name, mode, caller, held, memory))
    }
}

/// What `open(2)` with these flags does in a folder of `T`s.
fn open<T: Named>(
    names: &mut BTreeMap<String, Arc<T>>,
    name: &str,
    flags: OpenFlags,
    caller: Caller<'_>,
    make: impl FnOnce() -> Result<T>,
) -> Result<Arc<T>> {
    match names.entry(check_name(name)?.to_owned()) {
        Entry::Occupied(_) if flags.contains(OpenFlags::CREATE | OpenFlags::EXCLUSIVE) => Err(Errno::Exist),
        Entry::Occupied(found) => {
            found.get().object().check(flags, caller.cred)?;
            Ok(found.get().clone())
        }
        Entry::Vacant(_) if !flags.contains(OpenFlags::CREATE) => Err(Errno::NoEnt),
        // who makes it may use it, whatever the mode says
        Entry::Vacant(place) => Ok(place.insert(Arc::new(make()?)).clone()),
    }
}

fn unlink<T: Named>(names: &mut BTreeMap<String, Arc<T>>, name: &str, cred: &Cred) -> Result<Arc<T>> {
    let found = names.get(check_name(name)?).ok_or(Errno::NoEnt)?;
    if !found.object().is_owner(cred) {
        return Err(Errno::Acces);
    }
    names.remove(name).ok_or(Errno::NoEnt)
}

/// What a descriptor of this namespace refers to.
#[derive(Clone)]
pub enum Ipc {
    /// An open message queue.
    Queue(Arc<OpenQueue>),
    /// A request to be told of a message.
    Notification(Arc<Notification>),
    /// An open semaphore.
    Semaphore(Arc<OpenSemaphore>),
    /// An open segment of shared memory.
    Segment(Arc<OpenSegment>),
    /// A wait for a notify in shared memory.
    Watch(Arc<Watch>),
}

impl Ipc {
    /// Whether polls for reading and for writing make sense.
    pub fn directions(&self) -> (bool, bool) {
        match self {
            Self::Queue(queue) => queue.directions(),
            Self::Semaphore(_) | Self::Segment(_) => (true, true),
            Self::Notification(_) | Self::Watch(_) => (true, false),
        }
    }

    /// Readiness as of `poll(2)`: a queue with a message or with room, a semaphore that is not zero, a notification or watch that has
    /// come; shared memory always.
    pub fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        match self {
            Self::Queue(queue) => queue.poll_ready(interest, cx),
            Self::Notification(notification) => notification.poll_ready(interest, cx),
            Self::Semaphore(semaphore) => semaphore.poll_ready(interest, cx),
            Self::Segment(_) => (Ready::READ | Ready::WRITE).answering(interest),
            Self::Watch(watch) => watch.poll_ready(interest, cx),
        }
    }

    /// The call that waits for it, as a manual page names it, and the object's name.
    pub fn waits(&self, interest: Ready) -> (&'static str, Arc<str>) {
        match self {
            Self::Queue(queue) if interest.contains(Ready::WRITE) => ("mq_send", queue.name().clone()),
            Self::Queue(queue) => ("mq_receive", queue.name().clone()),
            Self::Notification(notification) => ("mq_notify", notification.name().clone()),
            Self::Semaphore(semaphore) => ("sem_wait", semaphore.name().clone()),
            Self::Segment(segment) => ("shm", segment.name().clone()), // always ready: nobody waits
            Self::Watch(watch) => ("shm_wait", watch.name().clone()),
        }
    }

    /// Who could end a wait for `interest`, if there is one: who has the object open for the other side of it, or holds the semaphore.
    pub fn enders(&self, interest: Ready) -> Enders {
        match self {
            Self::Queue(queue) => queue.enders(interest),
            Self::Notification(notification) => notification.enders(),
            Self::Semaphore(semaphore) => semaphore.enders(),
            Self::Segment(_) => Enders::Openers(Vec::new()), // always ready: nobody waits
            Self::Watch(watch) => watch.enders(),
        }
    }
}

#[cfg(test)]
mod tests;
