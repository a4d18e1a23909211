//! WASI 0.1: every handle is a descriptor, every call an import. See `imports` for the ABI.
use std::marker::PhantomData;
use std::time::Duration;

use crate::ipc::{OpenOptions, QueueLimits, Wait};
use crate::poll;
use crate::{Error, Result};

mod imports;

use imports as sys;

fn check(number: u32) -> Result<()> {
    match number {
        0 => Ok(()),
        other => Err(Error::from_wasi(other as u16)),
    }
}

/// The deadline of a call.
fn deadline(wait: Wait) -> u64 {
    match wait {
        Wait::Never => 0,
        Wait::Forever => u64::MAX,
        Wait::For(span) => {
            let mut now = 0;
            // SAFETY: the pointer is to a number of ours
            unsafe { sys::clock_time_get(sys::CLOCK_MONOTONIC, 1, &raw mut now) };
            now.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
        }
    }
}

/// A deadline of 0 has passed: what would wait is ETIMEDOUT, which here is EAGAIN.
fn waited(wait: Wait, number: u32) -> Result<()> {
    match (check(number), wait) {
        (Err(Error::TimedOut), Wait::Never) => Err(Error::Again),
        (result, _) => result,
    }
}

/// A descriptor, closed when dropped.
#[derive(Debug)]
pub(crate) struct Fd(u32);

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: no pointer
        unsafe { sys::fd_close(self.0) };
    }
}

/// Calls something that writes a descriptor.
fn opened(call: impl FnOnce(*mut u32) -> u32) -> Result<Fd> {
    let mut fd = 0;
    check(call(&raw mut fd))?;
    Ok(Fd(fd))
}

#[derive(Debug)]
pub(crate) struct Queue(Fd);

// SAFETY of all calls below: each pointer is to a value or a slice that lives until the call returns, with its own length
impl Queue {
    pub(crate) fn open(name: &str, options: OpenOptions, limits: Option<QueueLimits>) -> Result<Self> {
        let (messages, size) = limits.map_or((0, 0), |limits| (limits.max_messages, limits.message_size));
        let OpenOptions { flags, mode } = options;
        opened(|out| unsafe { sys::mq_open(name.as_ptr(), name.len(), flags, mode, messages, size, out) }).map(Self)
    }

    pub(crate) fn unlink(name: &str) -> Result<()> {
        check(unsafe { sys::mq_unlink(name.as_ptr(), name.len()) })
    }

    pub(crate) fn send(&self, data: &[u8], priority: u32, wait: Wait) -> Result<()> {
        waited(wait, unsafe { sys::mq_send(self.0.0, data.as_ptr(), data.len(), priority, deadline(wait)) })
    }

    pub(crate) fn receive(&self, buffer: &mut [u8], wait: Wait) -> Result<(usize, u32)> {
        let (mut len, mut priority) = (0, 0);
        let (to, room, until) = (buffer.as_mut_ptr(), buffer.len(), deadline(wait));
        waited(wait, unsafe { sys::mq_receive(self.0.0, to, room, until, &raw mut len, &raw mut priority) })?;
        Ok((len as usize, priority))
    }

    pub(crate) fn status(&self) -> Result<(QueueLimits, u32)> {
        let mut values = [0; 4];
        check(unsafe { sys::mq_getattr(self.0.0, &raw mut values) })?;
        Ok((QueueLimits { max_messages: values[0], message_size: values[1] }, values[2]))
    }

    pub(crate) fn notify(&self) -> Result<Notification> {
        opened(|out| unsafe { sys::mq_notify(self.0.0, out) }).map(Notification)
    }

    pub(crate) fn readable(&self) -> poll::Pollable<'_> {
        poll::Pollable(Pollable::fd(self.0.0, false), PhantomData)
    }

    pub(crate) fn writable(&self) -> poll::Pollable<'_> {
        poll::Pollable(Pollable::fd(self.0.0, true), PhantomData)
    }
}

#[derive(Debug)]
pub(crate) struct Notification(Fd);

impl Notification {
    pub(crate) fn ready(&self) -> poll::Pollable<'_> {
        poll::Pollable(Pollable::fd(self.0.0, false), PhantomData)
    }
}

#[derive(Debug)]
pub(crate) struct Semaphore(Fd);

impl Semaphore {
    pub(crate) fn open(name: &str, options: OpenOptions, value: u32) -> Result<Self> {
        let OpenOptions { flags, mode } = options;
        opened(|out| unsafe { sys::sem_open(name.as_ptr(), name.len(), flags, mode, value, out) }).map(Self)
    }

    pub(crate) fn unlink(name: &str) -> Result<()> {
        check(unsafe { sys::sem_unlink(name.as_ptr(), name.len()) })
    }

    pub(crate) fn wait(&self, wait: Wait) -> Result<()> {
        match wait {
            Wait::Never => check(unsafe { sys::sem_trywait(self.0.0) }),
            _ => check(unsafe { sys::sem_wait(self.0.0, deadline(wait)) }),
        }
    }

    pub(crate) fn post(&self) -> Result<()> {
        check(unsafe { sys::sem_post(self.0.0) })
    }

    pub(crate) fn value(&self) -> Result<u32> {
        let mut value = 0;
        check(unsafe { sys::sem_getvalue(self.0.0, &raw mut value) })?;
        Ok(value)
    }

    pub(crate) fn ready(&self) -> poll::Pollable<'_> {
        poll::Pollable(Pollable::fd(self.0.0, false), PhantomData)
    }
}

#[derive(Debug)]
pub(crate) struct Segment(Fd);

impl Segment {
    pub(crate) fn open(name: &str, options: OpenOptions) -> Result<Self> {
        let OpenOptions { flags, mode } = options;
        opened(|out| unsafe { sys::shm_open(name.as_ptr(), name.len(), flags, mode, out) }).map(Self)
    }

    pub(crate) fn unlink(name: &str) -> Result<()> {
        check(unsafe { sys::shm_unlink(name.as_ptr(), name.len()) })
    }

    pub(crate) fn set_size(&self, size: u64) -> Result<()> {
        check(unsafe { sys::shm_set_size(self.0.0, size) })
    }

    pub(crate) fn size(&self) -> Result<u64> {
        let mut size = 0;
        check(unsafe { sys::shm_size(self.0.0, &raw mut size) })?;
        Ok(size)
    }

    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let mut read = 0;
        check(unsafe { sys::shm_read(self.0.0, offset, buffer.as_mut_ptr(), buffer.len(), &raw mut read) })?;
        Ok(read as usize)
    }

    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        check(unsafe { sys::shm_write(self.0.0, offset, data.as_ptr(), data.len()) })
    }

    pub(crate) fn add32(&self, offset: u64, value: u32) -> Result<u32> {
        let mut old = 0;
        check(unsafe { sys::shm_add32(self.0.0, offset, value, &raw mut old) })?;
        Ok(old)
    }

    pub(crate) fn add64(&self, offset: u64, value: u64) -> Result<u64> {
        let mut old = 0;
        check(unsafe { sys::shm_add64(self.0.0, offset, value, &raw mut old) })?;
        Ok(old)
    }

    pub(crate) fn cas32(&self, offset: u64, expected: u32, replacement: u32) -> Result<u32> {
        let mut old = 0;
        check(unsafe { sys::shm_cas32(self.0.0, offset, expected, replacement, &raw mut old) })?;
        Ok(old)
    }

    pub(crate) fn cas64(&self, offset: u64, expected: u64, replacement: u64) -> Result<u64> {
        let mut old = 0;
        check(unsafe { sys::shm_cas64(self.0.0, offset, expected, replacement, &raw mut old) })?;
        Ok(old)
    }

    pub(crate) fn wait(&self, offset: u64, expected: u32, wait: Wait) -> Result<()> {
        check(unsafe { sys::shm_wait(self.0.0, offset, expected, deadline(wait)) })
    }

    pub(crate) fn notify(&self, offset: u64, count: u32) -> Result<u32> {
        let mut woken = 0;
        check(unsafe { sys::shm_notify(self.0.0, offset, count, &raw mut woken) })?;
        Ok(woken)
    }

    pub(crate) fn watch(&self, offset: u64, expected: u32) -> Result<poll::Pollable<'static>> {
        let watch = match opened(|out| unsafe { sys::shm_watch(self.0.0, offset, expected, out) }) {
            Ok(fd) => Pollable::Watch(fd),
            Err(Error::Again) => Pollable::Clock(0),
            Err(error) => return Err(error),
        };
        Ok(poll::Pollable(watch, PhantomData))
    }
}

/// A subscription of poll_oneoff.
#[derive(Debug)]
pub(crate) enum Pollable {
    Fd { fd: u32, write: bool },
    Watch(Fd),
    Clock(u64),
}

impl Pollable {
    pub(crate) fn timer(span: Duration) -> Self {
        Self::Clock(deadline(Wait::For(span)))
    }

    pub(crate) fn fd(fd: u32, write: bool) -> Self {
        Self::Fd { fd, write }
    }

    fn subscription(&self, userdata: u64) -> sys::Subscription {
        let empty = sys::Subscription { userdata, tag: 0, id: 0, timeout: 0, precision: 0, flags: 0 };
        match *self {
            Self::Clock(timeout) => {
                sys::Subscription { id: sys::CLOCK_MONOTONIC, timeout, flags: sys::ABSTIME, ..empty }
            }
            Self::Fd { fd, write } => sys::Subscription { tag: 1 + u64::from(write), id: fd, ..empty },
            Self::Watch(Fd(fd)) => sys::Subscription { tag: 1, id: fd, ..empty },
        }
    }
}

pub(crate) fn poll(of: &[&poll::Pollable<'_>]) -> Result<Vec<usize>> {
    let subscriptions: Vec<_> = of.iter().enumerate().map(|(at, one)| one.0.subscription(at as u64)).collect();
    let mut events = vec![sys::Event::default(); of.len()];
    let mut count = 0;
    check(unsafe { sys::poll_oneoff(subscriptions.as_ptr(), events.as_mut_ptr(), of.len(), &raw mut count) })?;
    Ok(events[..count].iter().map(|event| event.userdata as usize).collect())
}
