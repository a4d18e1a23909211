//! Message queues (`mq_overview(7)`): bounded, ordered by priority and then by age, with one request to be told of a message
//! (`mq_notify(3)`). All that a queue can hold is charged when it is made, so sending never fails for memory and allocates nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;

use parking_lot::Mutex;

use super::info::{IpcInfo, IpcKind};
use super::limits::{
    DEFAULT_MESSAGE_SIZE, DEFAULT_MESSAGES, MAX_MESSAGE_SIZE, MAX_MESSAGES, MAX_PRIORITY, MESSAGE_OVERHEAD,
};
use super::object::{Named, Object};
use super::party::{Enders, User, flags};
use super::{Caller, OpenFlags};
use crate::wait::{Ready, WaitQueue};
use crate::{Errno, Result};

/// `mq_maxmsg` and `mq_msgsize` of `struct mq_attr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// The most messages.
    pub max_messages: u32,
    /// The most bytes of a message.
    pub message_size: u32,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { max_messages: DEFAULT_MESSAGES, message_size: DEFAULT_MESSAGE_SIZE }
    }
}

impl QueueLimits {
    /// What a queue of this size accounts for.
    ///
    /// # Errors
    /// EINVAL if it is out of range.
    pub(super) fn bytes(self) -> Result<u64> {
        if !(1..=MAX_MESSAGES).contains(&self.max_messages) || !(1..=MAX_MESSAGE_SIZE).contains(&self.message_size) {
            return Err(Errno::Inval);
        }
        Ok(u64::from(self.max_messages) * (u64::from(self.message_size) + MESSAGE_OVERHEAD))
    }
}

/// A queue, open or not.
pub(super) struct Queue {
    object: Object,
    limits: QueueLimits,
    state: Mutex<State>,
    receivers: WaitQueue,
    senders: WaitQueue,
}

struct State {
    messages: BinaryHeap<Message>,
    /// Room for every message: message `slot` is at `slot * message_size`. The allocator hands it out in untouched zero pages.
    storage: Vec<u8>,
    free: Vec<u32>,
    /// Counts messages, to tell the older.
    next: u64,
    used_bytes: u64,
    /// Processes that are blocked in a receive; they come before a notification.
    blocked_receivers: usize,
    notification: Option<Arc<Told>>,
}

/// Compared in the order of its fields: the greatest is received first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    priority: u32,
    age: Reverse<u64>,
    slot: u32,
    len: u32,
}

impl Named for Queue {
    fn object(&self) -> &Object {
        &self.object
    }
}

impl Queue {
    pub(super) fn new(object: Object, limits: QueueLimits) -> Self {
        let messages = limits.max_messages as usize;
        let state = State {
            messages: BinaryHeap::with_capacity(messages),
            storage: vec![0; messages * limits.message_size as usize],
            free: (0..limits.max_messages).rev().collect(),
            next: 0,
            used_bytes: 0,
            blocked_receivers: 0,
            notification: None,
        };
        let (receivers, senders) = (WaitQueue::new(), WaitQueue::new());
        Self { object, limits, state: Mutex::new(state), receivers, senders }
    }

    pub(super) fn info(&self) -> IpcInfo {
        let state = self.state.lock();
        let kind = IpcKind::Queue {
            messages: state.messages.len() as u32,
            max_messages: self.limits.max_messages,
            message_size: self.limits.message_size,
            notify: state.notification.is_some(),
        };
        IpcInfo::of(&self.object, kind, state.used_bytes, self.receivers.len() + self.senders.len())
    }
}

/// A handle of a queue.
pub struct OpenQueue {
    queue: Arc<Queue>,
    reads: bool,
    writes: bool,
    user: Arc<User>,
}

impl Drop for OpenQueue {
    fn drop(&mut self) {
        self.queue.object.users.close(&self.user, flags(self.reads, self.writes));
    }
}

impl OpenQueue {
    pub(super) fn new(queue: Arc<Queue>, flags: OpenFlags, caller: Caller<'_>) -> Self {
        let user = queue.object.users.open(caller.party, flags);
        Self { queue, reads: flags.contains(OpenFlags::READ), writes: flags.contains(OpenFlags::WRITE), user }
    }

    /// Who could end a wait for `interest`: senders for READ, receivers for WRITE.
    pub fn enders(&self, interest: Ready) -> Enders {
        let receives = interest.contains(Ready::READ);
        self.queue.object.users.openers(if receives { OpenFlags::WRITE } else { OpenFlags::READ })
    }

    /// Its name, also if it was unlinked.
    pub fn name(&self) -> &Arc<str> {
        &self.queue.object.name
    }

    /// Whether it can be received from and sent to.
    pub fn directions(&self) -> (bool, bool) {
        (self.reads, self.writes)
    }

    /// `mq_getattr(3)`: the limits and the number of messages.
    pub fn status(&self) -> (QueueLimits, u32) {
        (self.queue.limits, self.queue.state.lock().messages.len() as u32) // at most `max_messages`
    }

    /// `mq_send(3)`, without waiting.
    ///
    /// # Errors
    /// EBADF if not open for it, EINVAL for a priority beyond [`MAX_PRIORITY`], EMSGSIZE, EAGAIN if the queue is full.
    pub fn send(&self, data: &[u8], priority: u32) -> Result<()> {
        if !self.writes {
            return Err(Errno::BadF);
        }
        let QueueLimits { message_size, .. } = self.queue.limits;
        let len = u32::try_from(data.len()).ok().filter(|len| *len <= message_size).ok_or(Errno::MsgSize)?;
        if priority > MAX_PRIORITY {
            return Err(Errno::Inval);
        }
        let told = {
            let mut state = self.queue.state.lock();
            let slot = state.free.pop().ok_or(Errno::Again)?;
            let at = slot as usize * message_size as usize;
            state.storage[at..at + data.len()].copy_from_slice(data);
            let was_empty = state.messages.is_empty();
            let age = Reverse(state.next);
            state.next += 1;
            state.used_bytes += u64::from(len);
            state.messages.push(Message { priority, age, slot, len });
            let tell = was_empty && state.blocked_receivers == 0;
            tell.then(|| state.notification.take()).flatten()
        };
        self.queue.receivers.wake_all();
        if let Some(told) = told {
            told.tell();
        }
        Ok(())
    }

    /// `mq_receive(3)`, without waiting, into `buffer`: the message's length and priority.
    ///
    /// # Errors
    /// EMSGSIZE if the buffer is smaller than the queue's messages may be; else as [`OpenQueue::receive_with`].
    pub fn receive(&self, buffer: &mut [u8]) -> Result<(usize, u32)> {
        if self.reads && buffer.len() < self.queue.limits.message_size as usize {
            return Err(Errno::MsgSize);
        }
        self.receive_with(|data, priority| {
            buffer[..data.len()].copy_from_slice(data);
            (data.len(), priority)
        })
    }

    /// Takes the oldest of the messages with the highest priority and gives it to `take`, which must not block.
    ///
    /// # Errors
    /// EBADF if not open for it, EAGAIN if the queue is empty.
    pub fn receive_with<R>(&self, take: impl FnOnce(&[u8], u32) -> R) -> Result<R> {
        if !self.reads {
            return Err(Errno::BadF);
        }
        let result = {
            let mut state = self.queue.state.lock();
            let Message { priority, slot, len, .. } = state.messages.pop().ok_or(Errno::Again)?;
            let at = slot as usize * self.queue.limits.message_size as usize;
            let result = take(&state.storage[at..at + len as usize], priority);
            state.used_bytes -= u64::from(len);
            state.free.push(slot);
            result
        };
        self.queue.senders.wake_all();
        Ok(result)
    }

    /// Says that the caller is blocked in a receive for as long as it keeps this, so that no notification is sent instead.
    pub fn block(&self) -> BlockedReceiver {
        self.queue.state.lock().blocked_receivers += 1;
        BlockedReceiver(self.queue.clone())
    }

    /// `mq_notify(3)`.
    ///
    /// # Errors
    /// EBUSY if somebody asked and was not told; EBADF if not open for receiving: who cannot take the message need not know.
    pub fn notify(&self) -> Result<Arc<Notification>> {
        if !self.reads {
            return Err(Errno::BadF);
        }
        let told = Arc::new(Told::default());
        let mut state = self.queue.state.lock();
        if state.notification.is_some() {
            return Err(Errno::Busy);
        }
        state.notification = Some(told.clone());
        Ok(Arc::new(Notification { queue: self.queue.clone(), told }))
    }

    /// READ: there is a message. WRITE: there is room.
    pub fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        let state = self.queue.state.lock();
        let mut ready = Ready::empty();
        ready.set(Ready::READ, self.reads && !state.messages.is_empty());
        ready.set(Ready::WRITE, self.writes && !state.free.is_empty());
        let answer = ready.answering(interest);
        if answer.is_empty() {
            if interest.contains(Ready::READ) {
                self.queue.receivers.register(cx);
            }
            if interest.contains(Ready::WRITE) {
                self.queue.senders.register(cx);
            }
        }
        answer
    }
}

/// See [`OpenQueue::block`].
pub struct BlockedReceiver(Arc<Queue>);

impl Drop for BlockedReceiver {
    fn drop(&mut self) {
        self.0.state.lock().blocked_receivers -= 1;
    }
}

/// What a notification and its queue share.
#[derive(Default)]
struct Told {
    come: AtomicBool,
    waiting: WaitQueue,
}

impl Told {
    fn tell(&self) {
        self.come.store(true, Ordering::Release);
        self.waiting.wake_all();
    }
}

/// A request to be told once of a message. Dropping it withdraws the request.
pub struct Notification {
    queue: Arc<Queue>,
    told: Arc<Told>,
}

impl Notification {
    /// The queue's name.
    pub fn name(&self) -> &Arc<str> {
        &self.queue.object.name
    }

    /// Who could send.
    pub fn enders(&self) -> Enders {
        self.queue.object.users.openers(OpenFlags::WRITE)
    }

    /// READ once the message has come, for ever.
    pub fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        let come = || self.told.come.load(Ordering::Acquire);
        if !come() {
            self.told.waiting.register(cx);
        }
        // told between the check and the registration
        if come() { Ready::READ.answering(interest) } else { Ready::empty() }
    }
}

impl Drop for Notification {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        if state.notification.as_ref().is_some_and(|told| Arc::ptr_eq(told, &self.told)) {
            state.notification = None;
        }
    }
}
