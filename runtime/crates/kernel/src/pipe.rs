//! Pipes (`pipe(7)`): a bounded buffer with a read end and a write end, back-pressure, end of file and EPIPE. Owns no
//! descriptors. The buffer is charged to the memory cgroup of whoever made the pipe.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Context;

use parking_lot::Mutex;

use crate::cgroup::{Cgroup, Charge};
use crate::file::{FileType, Stream};
use crate::wait::{Ready, WaitQueue};
use crate::{Errno, Result};

/// How much a pipe holds, as on Linux: 16 pages.
pub const PIPE_CAPACITY: usize = 64 * 1024;
/// Writes up to this size are atomic (`PIPE_BUF`).
pub const PIPE_BUF: usize = 4096;

struct Shared {
    state: Mutex<State>,
    readable: WaitQueue,
    writable: WaitQueue,
    /// Held as long as either end is.
    _memory: Charge,
}

struct State {
    buffer: VecDeque<u8>,
    reader_gone: bool,
    writer_gone: bool,
}

/// The end that reads.
pub struct ReadEnd(Arc<Shared>);
/// The end that writes.
pub struct WriteEnd(Arc<Shared>);

/// Makes a pipe.
///
/// # Errors
/// [`Errno::NoMem`] if the cgroup has no room for [`PIPE_CAPACITY`] bytes.
pub fn pipe(memory: &Arc<Cgroup>) -> Result<(ReadEnd, WriteEnd)> {
    let shared = Arc::new(Shared {
        state: Mutex::new(State { buffer: VecDeque::new(), reader_gone: false, writer_gone: false }),
        readable: WaitQueue::new(),
        writable: WaitQueue::new(),
        _memory: memory.charge(PIPE_CAPACITY as u64)?,
    });
    Ok((ReadEnd(shared.clone()), WriteEnd(shared)))
}

impl Stream for ReadEnd {
    fn read(&self, buf: &mut [u8]) -> Result<usize> {
        let read = {
            let mut state = self.0.state.lock();
            if state.buffer.is_empty() && !state.writer_gone && !buf.is_empty() {
                return Err(Errno::Again);
            }
            let (front, back) = state.buffer.as_slices();
            let first = front.len().min(buf.len());
            buf[..first].copy_from_slice(&front[..first]);
            let second = back.len().min(buf.len() - first);
            buf[first..first + second].copy_from_slice(&back[..second]);
            state.buffer.drain(..first + second);
            first + second
        };
        if read > 0 {
            self.0.writable.wake_all();
        }
        Ok(read)
    }

    fn write(&self, _buf: &[u8]) -> Result<usize> {
        Err(Errno::BadF)
    }

    fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        let state = self.0.state.lock();
        let mut ready = Ready::empty();
        ready.set(Ready::READ, !state.buffer.is_empty() || state.writer_gone);
        ready.set(Ready::HUP, state.writer_gone);
        let answer = ready.answering(interest);
        if answer.is_empty() {
            self.0.readable.register(cx);
        }
        answer
    }

    fn file_type(&self) -> FileType {
        FileType::Fifo
    }
}

impl Stream for WriteEnd {
    fn read(&self, _buf: &mut [u8]) -> Result<usize> {
        Err(Errno::BadF)
    }

    fn write(&self, buf: &[u8]) -> Result<usize> {
        let written = {
            let mut state = self.0.state.lock();
            if state.reader_gone {
                return Err(Errno::Pipe);
            }
            let room = PIPE_CAPACITY - state.buffer.len();
            let atomic = buf.len() <= PIPE_BUF;
            if !buf.is_empty() && (room == 0 || (atomic && room < buf.len())) {
                return Err(Errno::Again);
            }
            let length = room.min(buf.len());
            state.buffer.extend(&buf[..length]);
            length
        };
        if written > 0 {
            self.0.readable.wake_all();
        }
        Ok(written)
    }

    fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        let state = self.0.state.lock();
        let mut ready = Ready::empty();
        ready.set(Ready::WRITE, state.reader_gone || PIPE_CAPACITY - state.buffer.len() >= PIPE_BUF);
        ready.set(Ready::ERR, state.reader_gone);
        let answer = ready.answering(interest);
        if answer.is_empty() {
            self.0.writable.register(cx);
        }
        answer
    }

    fn file_type(&self) -> FileType {
        FileType::Fifo
    }
}

impl Drop for ReadEnd {
    fn drop(&mut self) {
        {
            let mut state = self.0.state.lock();
            state.reader_gone = true;
            state.buffer = VecDeque::new();
        }
        self.0.writable.wake_all();
    }
}

impl Drop for WriteEnd {
    fn drop(&mut self) {
        self.0.state.lock().writer_gone = true;
        self.0.readable.wake_all();
    }
}
