//! The API over `wasmpod:ipc`.
use std::marker::PhantomData;
use std::time::Duration;

use super::bindings::wasmpod::ipc::mqueue::{self, Attributes};
use super::bindings::wasmpod::ipc::types::{ErrorCode, OpenFlags};
use super::bindings::wasmpod::ipc::{semaphore, shared_memory};
use crate::ipc::{CREATE, EXCLUSIVE, OpenOptions, QueueLimits, READ, UNDO, WRITE, Wait};
use crate::poll;
use crate::{Error, Result};

/// What one read of shared memory returns at most.
const READ_MAX: usize = 1 << 20;

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Access => Self::Access,
            ErrorCode::WouldBlock => Self::Again,
            ErrorCode::BadDescriptor => Self::BadDescriptor,
            ErrorCode::Busy => Self::Busy,
            ErrorCode::Exist => Self::Exist,
            ErrorCode::OutOfRange => Self::OutOfRange,
            ErrorCode::Interrupted => Self::Interrupted,
            ErrorCode::Invalid => Self::Invalid,
            ErrorCode::TooManyOpen => Self::TooManyOpen,
            ErrorCode::MessageSize => Self::MessageSize,
            ErrorCode::NameTooLong => Self::NameTooLong,
            ErrorCode::NoEntry => Self::NoEntry,
            ErrorCode::OutOfMemory => Self::OutOfMemory,
            ErrorCode::NoSpace => Self::NoSpace,
            ErrorCode::Overflow => Self::Overflow,
            ErrorCode::TimedOut => Self::TimedOut,
        }
    }
}

fn flags(options: OpenOptions) -> OpenFlags {
    let pairs = [
        (READ, OpenFlags::READ),
        (WRITE, OpenFlags::WRITE),
        (CREATE, OpenFlags::CREATE),
        (EXCLUSIVE, OpenFlags::EXCLUSIVE),
        (UNDO, OpenFlags::UNDO),
    ];
    pairs.into_iter().filter(|(bit, _)| options.flags & bit != 0).fold(OpenFlags::empty(), |all, (_, flag)| all | flag)
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// The timeout of a call that waits.
fn timeout(wait: Wait) -> Option<u64> {
    match wait {
        Wait::Never => Some(0),
        Wait::Forever => None,
        Wait::For(span) => Some(nanos(span)),
    }
}

fn pollable<'a>(wasi: wasip2::io::poll::Pollable) -> poll::Pollable<'a> {
    poll::Pollable(Pollable::from(wasi), PhantomData)
}

#[derive(Debug)]
pub(crate) struct Queue(mqueue::Queue);

impl Queue {
    pub(crate) fn open(name: &str, options: OpenOptions, limits: Option<QueueLimits>) -> Result<Self> {
        let attributes =
            limits.map(|QueueLimits { max_messages, message_size }| Attributes { max_messages, message_size });
        Ok(Self(mqueue::Queue::open(name, flags(options), options.mode, attributes)?))
    }

    pub(crate) fn unlink(name: &str) -> Result<()> {
        Ok(mqueue::unlink(name)?)
    }

    pub(crate) fn send(&self, data: &[u8], priority: u32, wait: Wait) -> Result<()> {
        match wait {
            Wait::Never => Ok(self.0.send(data, priority)?),
            _ => Ok(self.0.blocking_send(data, priority, timeout(wait))?),
        }
    }

    pub(crate) fn receive(&self, buffer: &mut [u8], wait: Wait) -> Result<(usize, u32)> {
        if buffer.len() < self.0.status().attributes.message_size as usize {
            return Err(Error::MessageSize);
        }
        let message = match wait {
            Wait::Never => self.0.receive()?,
            _ => self.0.blocking_receive(timeout(wait))?,
        };
        buffer[..message.data.len()].copy_from_slice(&message.data);
        Ok((message.data.len(), message.priority))
    }

    pub(crate) fn status(&self) -> Result<(QueueLimits, u32)> {
        let status = self.0.status();
        let Attributes { max_messages, message_size } = status.attributes;
        Ok((QueueLimits { max_messages, message_size }, status.messages))
    }

    pub(crate) fn notify(&self) -> Result<Notification> {
        Ok(Notification(self.0.notify()?))
    }

    pub(crate) fn readable(&self) -> poll::Pollable<'_> {
        pollable(self.0.subscribe_receive())
    }

    pub(crate) fn writable(&self) -> poll::Pollable<'_> {
        pollable(self.0.subscribe_send())
    }
}

#[derive(Debug)]
pub(crate) struct Notification(mqueue::Notification);

impl Notification {
    pub(crate) fn ready(&self) -> poll::Pollable<'_> {
        pollable(self.0.subscribe())
    }
}

#[derive(Debug)]
pub(crate) struct Semaphore(semaphore::Semaphore);

impl Semaphore {
    pub(crate) fn open(name: &str, options: OpenOptions, value: u32) -> Result<Self> {
        Ok(Self(semaphore::Semaphore::open(name, flags(options), options.mode, value)?))
    }

    pub(crate) fn unlink(name: &str) -> Result<()> {
        Ok(semaphore::unlink(name)?)
    }

    pub(crate) fn wait(&self, wait: Wait) -> Result<()> {
        match wait {
            Wait::Never => Ok(self.0.try_wait()?),
            _ => Ok(self.0.wait(timeout(wait))?),
        }
    }

    pub(crate) fn post(&self) -> Result<()> {
        Ok(self.0.post()?)
    }

    pub(crate) fn value(&self) -> Result<u32> {
        Ok(self.0.value())
    }

    pub(crate) fn ready(&self) -> poll::Pollable<'_> {
        pollable(self.0.subscribe())
    }
}

#[derive(Debug)]
pub(crate) struct Segment(shared_memory::Segment);

impl Segment {
    pub(crate) fn open(name: &str, options: OpenOptions) -> Result<Self> {
        Ok(Self(shared_memory::Segment::open(name, flags(options), options.mode)?))
    }

    pub(crate) fn unlink(name: &str) -> Result<()> {
        Ok(shared_memory::unlink(name)?)
    }

    pub(crate) fn set_size(&self, size: u64) -> Result<()> {
        Ok(self.0.set_size(size)?)
    }

    pub(crate) fn size(&self) -> Result<u64> {
        Ok(self.0.size())
    }

    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let mut done = 0;
        for part in buffer.chunks_mut(READ_MAX) {
            let bytes = self.0.read(offset.saturating_add(done as u64), part.len() as u64)?;
            part[..bytes.len()].copy_from_slice(&bytes);
            done += bytes.len();
            if bytes.len() < part.len() {
                break;
            }
        }
        Ok(done)
    }

    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        Ok(self.0.write(offset, data)?)
    }

    pub(crate) fn add32(&self, offset: u64, value: u32) -> Result<u32> {
        Ok(self.0.atomic_add32(offset, value)?)
    }

    pub(crate) fn add64(&self, offset: u64, value: u64) -> Result<u64> {
        Ok(self.0.atomic_add64(offset, value)?)
    }

    pub(crate) fn cas32(&self, offset: u64, expected: u32, replacement: u32) -> Result<u32> {
        Ok(self.0.atomic_compare_exchange32(offset, expected, replacement)?)
    }

    pub(crate) fn cas64(&self, offset: u64, expected: u64, replacement: u64) -> Result<u64> {
        Ok(self.0.atomic_compare_exchange64(offset, expected, replacement)?)
    }

    pub(crate) fn wait(&self, offset: u64, expected: u32, wait: Wait) -> Result<()> {
        Ok(self.0.wait(offset, expected, timeout(wait))?)
    }

    pub(crate) fn notify(&self, offset: u64, count: u32) -> Result<u32> {
        Ok(self.0.notify(offset, count)?)
    }

    pub(crate) fn watch(&self, offset: u64, expected: u32) -> Result<poll::Pollable<'static>> {
        Ok(pollable(self.0.subscribe_wait(offset, expected)?))
    }
}

/// A pollable of any interface.
#[derive(Debug)]
pub(crate) struct Pollable(wasip2::io::poll::Pollable);

impl From<wasip2::io::poll::Pollable> for Pollable {
    fn from(pollable: wasip2::io::poll::Pollable) -> Self {
        Self(pollable)
    }
}

impl Pollable {
    pub(crate) fn timer(span: Duration) -> Self {
        Self(wasip2::clocks::monotonic_clock::subscribe_duration(nanos(span)))
    }
}

pub(crate) fn poll(of: &[&poll::Pollable<'_>]) -> Result<Vec<usize>> {
    let list: Vec<_> = of.iter().map(|one| &one.0.0).collect();
    Ok(wasip2::io::poll::poll(&list).into_iter().map(|at| at as usize).collect())
}
