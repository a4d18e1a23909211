//! Talking to the other containers of the pod beside the network: message queues, semaphores and shared memory by name. The end
//! of the pod frees all of it; no other pod sees any of it.
use std::time::Duration;

use crate::Result;
use crate::poll::Pollable;
use crate::sys;

/// How long a call may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wait {
    Never,
    Forever,
    For(Duration),
}

/// How to open an object, as std's of files. By default it must exist, and is opened for reading and writing.
#[derive(Debug, Clone, Copy)]
pub struct OpenOptions {
    pub(crate) flags: u32,
    pub(crate) mode: u32,
}

pub(crate) const READ: u32 = 1;
pub(crate) const WRITE: u32 = 2;
pub(crate) const CREATE: u32 = 4;
pub(crate) const EXCLUSIVE: u32 = 8;
pub(crate) const UNDO: u32 = 16;

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenOptions {
    /// Read and write what exists.
    pub const fn new() -> Self {
        Self { flags: READ | WRITE, mode: 0o600 }
    }

    /// Make it if there is none.
    pub const fn create() -> Self {
        Self { flags: READ | WRITE | CREATE, mode: 0o600 }
    }

    /// Make it; `EEXIST` if there is one.
    pub const fn create_new() -> Self {
        Self { flags: READ | WRITE | CREATE | EXCLUSIVE, mode: 0o600 }
    }

    /// Only receive, or read.
    #[must_use]
    pub const fn read_only(self) -> Self {
        Self { flags: self.flags & !WRITE, ..self }
    }

    /// Only send, or write.
    #[must_use]
    pub const fn write_only(self) -> Self {
        Self { flags: self.flags & !READ, ..self }
    }

    /// Of a semaphore: what this process has taken and not given is given back when it ends, however it ends.
    #[must_use]
    pub const fn undo(self) -> Self {
        Self { flags: self.flags | UNDO, ..self }
    }

    /// Who may open what is made, as of chmod(2); 0o600 if not said.
    #[must_use]
    pub const fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }
}

/// What a queue holds at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Messages, 1 to 1024.
    pub max_messages: u32,
    /// Bytes of a message, 1 to 65536.
    pub message_size: u32,
}

/// A message queue (mq_overview(7)). Messages of a higher priority come first, then the older.
#[derive(Debug)]
pub struct Queue(sys::Queue);

impl Queue {
    /// Opens the queue `/name`. The limits matter if it is made; without, it is 10 messages of 8192 bytes.
    pub fn open(name: &str, options: OpenOptions, limits: Option<QueueLimits>) -> Result<Self> {
        sys::Queue::open(name, options, limits).map(Self)
    }

    /// Removes the name.
    pub fn unlink(name: &str) -> Result<()> {
        sys::Queue::unlink(name)
    }

    /// Sends; waits for room.
    pub fn send(&self, data: &[u8], priority: u32) -> Result<()> {
        self.0.send(data, priority, Wait::Forever)
    }

    /// Sends, or is `EAGAIN`.
    pub fn try_send(&self, data: &[u8], priority: u32) -> Result<()> {
        self.0.send(data, priority, Wait::Never)
    }

    /// Sends; waits for room, or is `ETIMEDOUT`.
    pub fn send_timeout(&self, data: &[u8], priority: u32, timeout: Duration) -> Result<()> {
        self.0.send(data, priority, Wait::For(timeout))
    }

    /// Receives into `buffer`, which must hold the longest message of the queue: length and priority. Waits for a message.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<(usize, u32)> {
        self.0.receive(buffer, Wait::Forever)
    }

    /// Receives, or is `EAGAIN`.
    pub fn try_receive(&self, buffer: &mut [u8]) -> Result<(usize, u32)> {
        self.0.receive(buffer, Wait::Never)
    }

    /// Receives; waits for a message, or is `ETIMEDOUT`.
    pub fn receive_timeout(&self, buffer: &mut [u8], timeout: Duration) -> Result<(usize, u32)> {
        self.0.receive(buffer, Wait::For(timeout))
    }

    /// The limits, and how many messages there are.
    pub fn status(&self) -> Result<(QueueLimits, u32)> {
        self.0.status()
    }

    /// Asks to be told once when a message comes into the empty queue and nobody is blocked in a receive. `EBUSY` if somebody has asked
    /// and was not told.
    pub fn notify(&self) -> Result<Notification> {
        self.0.notify().map(Notification)
    }

    /// Ready while there is a message.
    pub fn readable(&self) -> Pollable<'_> {
        self.0.readable()
    }

    /// Ready while there is room.
    pub fn writable(&self) -> Pollable<'_> {
        self.0.writable()
    }
}

/// A request to be told of a message. Dropping it withdraws the request.
#[derive(Debug)]
pub struct Notification(sys::Notification);

impl Notification {
    /// Ready once the message has come, for ever.
    pub fn ready(&self) -> Pollable<'_> {
        self.0.ready()
    }
}

/// A counting semaphore (sem_overview(7)).
#[derive(Debug)]
pub struct Semaphore(sys::Semaphore);

impl Semaphore {
    /// Opens the semaphore `/name`. It counts from `value` if it is made.
    pub fn open(name: &str, options: OpenOptions, value: u32) -> Result<Self> {
        sys::Semaphore::open(name, options, value).map(Self)
    }

    /// Removes the name.
    pub fn unlink(name: &str) -> Result<()> {
        sys::Semaphore::unlink(name)
    }

    /// Takes one; waits until there is one.
    pub fn wait(&self) -> Result<()> {
        self.0.wait(Wait::Forever)
    }

    /// Takes one, or is `EAGAIN`.
    pub fn try_wait(&self) -> Result<()> {
        self.0.wait(Wait::Never)
    }

    /// Takes one; waits until there is one, or is `ETIMEDOUT`.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<()> {
        self.0.wait(Wait::For(timeout))
    }

    /// Gives one.
    pub fn post(&self) -> Result<()> {
        self.0.post()
    }

    /// The value now.
    pub fn value(&self) -> Result<u32> {
        self.0.value()
    }

    /// Ready while the value is not zero.
    pub fn ready(&self) -> Pollable<'_> {
        self.0.ready()
    }
}

/// Shared memory (shm_overview(7)): copied, not mapped. Copies of up to 1 MiB and the operations on numbers are atomic.
#[derive(Debug)]
pub struct Segment(sys::Segment);

impl Segment {
    /// Opens the segment `/name`. If it is made it has no bytes until [`Segment::set_size`].
    pub fn open(name: &str, options: OpenOptions) -> Result<Self> {
        sys::Segment::open(name, options).map(Self)
    }

    /// Removes the name.
    pub fn unlink(name: &str) -> Result<()> {
        sys::Segment::unlink(name)
    }

    /// Gives it its size, in zeros, once.
    pub fn set_size(&self, size: u64) -> Result<()> {
        self.0.set_size(size)
    }

    /// Its size; 0 until it is set.
    pub fn size(&self) -> Result<u64> {
        self.0.size()
    }

    /// Copies the bytes at `offset` out: how many, fewer at the end of the segment.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.0.read(offset, buffer)
    }

    /// Copies `data` in at `offset`. `EFAULT` if not all of it is inside of the segment.
    pub fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        self.0.write(offset, data)
    }

    /// Adds to the number at `offset`, a multiple of 4. What it was.
    pub fn fetch_add32(&self, offset: u64, value: u32) -> Result<u32> {
        self.0.add32(offset, value)
    }

    /// Adds to the number at `offset`, a multiple of 8. What it was.
    pub fn fetch_add64(&self, offset: u64, value: u64) -> Result<u64> {
        self.0.add64(offset, value)
    }

    /// Replaces the number at `offset` if it is `expected`. What it was.
    pub fn compare_exchange32(&self, offset: u64, expected: u32, replacement: u32) -> Result<u32> {
        self.0.cas32(offset, expected, replacement)
    }

    /// Replaces the number at `offset` if it is `expected`. What it was.
    pub fn compare_exchange64(&self, offset: u64, expected: u64, replacement: u64) -> Result<u64> {
        self.0.cas64(offset, expected, replacement)
    }

    /// If the number at `offset` is `expected`, waits for a notify there; else `EAGAIN` (futex(2)).
    pub fn wait(&self, offset: u64, expected: u32) -> Result<()> {
        self.0.wait(offset, expected, Wait::Forever)
    }

    /// As [`Segment::wait`], or is `ETIMEDOUT`.
    pub fn wait_timeout(&self, offset: u64, expected: u32, timeout: Duration) -> Result<()> {
        self.0.wait(offset, expected, Wait::For(timeout))
    }

    /// Ends at most `count` waits at `offset`, the oldest first: how many.
    pub fn notify(&self, offset: u64, count: u32) -> Result<u32> {
        self.0.notify(offset, count)
    }

    /// As [`Segment::wait`], to poll: ready once notified, or at once if the number is not `expected`.
    pub fn watch(&self, offset: u64, expected: u32) -> Result<Pollable<'static>> {
        self.0.watch(offset, expected)
    }
}
