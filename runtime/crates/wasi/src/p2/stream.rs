//! Byte streams of `wasi:io/streams` over anything that reads and writes like a non-blocking file description. Owns the rules of
//! the WIT (permits, flush, closed), not what is behind them.
//!
//! The `blocking_*` methods are all our own: the defaults of `wasmtime-wasi-io` trap a guest after ten wake-ups that another
//! process was quicker to use, which is ordinary on a shared pipe.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use wasmpod_kernel::cgroup::{Cgroup, Charge};
use wasmpod_kernel::wait::Ready;
use wasmpod_kernel::{Errno, Result};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamError, StreamResult};

use crate::MAX_READ;

/// The most bytes that one write takes: what `check-write` says at most.
pub(crate) const MAX_WRITE: usize = MAX_READ;

/// A read up to this size is made on the stack and costs one small allocation; a guest that offers 64 KiB for a 64-byte message
/// does not make the host clear 64 KiB.
const SMALL_READ: usize = 4096;

/// The same for the smallest: most messages and lines.
const TINY_READ: usize = 256;

/// How often in a row readiness may be wrong before the task lets others run.
const FALSE_READIES: u32 = 16;

/// What can be read.
pub(crate) trait Source: Send + Sync + 'static {
    /// True if an end that was read once stays; a file may grow.
    const END_IS_FINAL: bool = true;

    /// Reads; 0 is the end, [`Errno::Again`] means that it would wait.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize>;

    /// Reads up to `size` bytes, `size` not 0. Empty is the end. For a source that has them in one piece.
    fn take(&mut self, size: usize) -> Result<Bytes>
    where
        Self: Sized,
    {
        fill(self, size)
    }

    /// What it is ready for; if nothing, the task is woken when that may have changed.
    fn poll_ready(&self, cx: &mut Context<'_>) -> Ready;

    /// What the guest gets as the stream's error.
    fn failure(errno: Errno) -> wasmtime::Error;
}

/// What can be written.
pub(crate) trait Sink: Send + Sync + 'static {
    /// Writes a prefix; [`Errno::Again`] means that it would wait.
    fn write(&mut self, buf: &[u8]) -> Result<usize>;

    /// Writes a prefix and takes it off, as [`Sink::write`]. For a sink that can keep them as they are.
    fn write_bytes(&mut self, bytes: &mut Bytes) -> Result<usize> {
        let written = self.write(bytes)?.min(bytes.len());
        bytes.advance(written);
        Ok(written)
    }

    /// As [`Source::poll_ready`].
    fn poll_ready(&self, cx: &mut Context<'_>) -> Ready;

    /// How many bytes a write would take now, as far as one can know. 0 if it would wait.
    fn room(&self) -> usize {
        let ready = self.poll_ready(&mut Context::from_waker(Waker::noop()));
        if ready.is_empty() { 0 } else { wasmpod_kernel::pipe::PIPE_BUF }
    }

    /// True if this end was shut down for writing: the stream is closed.
    fn shut(&self) -> bool {
        false
    }

    /// Told when accepted bytes begin or cease to wait for room.
    fn keeps(&mut self, _pending: bool) {}

    /// As [`Source::failure`].
    fn failure(errno: Errno) -> wasmtime::Error;
}

/// An input stream.
pub(crate) struct Input<S> {
    source: S,
    ended: bool,
}

impl<S: Source> Input<S> {
    /// A stream that reads `source`.
    pub(crate) fn new(source: S) -> Self {
        Self { source, ended: false }
    }

    /// Reads up to `size` bytes; `None` if it would wait.
    fn try_read(&mut self, size: usize) -> StreamResult<Option<Bytes>> {
        if self.ended {
            return Err(StreamError::Closed);
        }
        if size == 0 {
            return Ok(Some(Bytes::new()));
        }
        match self.source.take(size.min(MAX_READ)) {
            Ok(bytes) if bytes.is_empty() => {
                self.ended = S::END_IS_FINAL;
                Err(StreamError::Closed)
            }
            Ok(bytes) => Ok(Some(bytes)),
            Err(Errno::Again) => Ok(None),
            Err(errno) => {
                self.ended = S::END_IS_FINAL;
                Err(StreamError::LastOperationFailed(S::failure(errno)))
            }
        }
    }
}

/// Reads up to `size` bytes, `size` not 0. Empty is the end.
pub(crate) fn fill<S: Source>(source: &mut S, size: usize) -> Result<Bytes> {
    if size <= TINY_READ {
        let mut tiny = [0; TINY_READ];
        let read = source.read(&mut tiny[..size])?.min(size);
        return Ok(Bytes::copy_from_slice(&tiny[..read]));
    }
    let mut small = [0; SMALL_READ];
    let first = size.min(SMALL_READ);
    let read = source.read(&mut small[..first])?.min(first);
    if read < first || size == first {
        return Ok(Bytes::copy_from_slice(&small[..read]));
    }
    let mut large = vec![0; size];
    large[..read].copy_from_slice(&small[..read]);
    // an end or an error after the first bytes is found again by the next read
    let more = source.read(&mut large[read..]).unwrap_or(0).min(size - read);
    large.truncate(read + more);
    Ok(large.into())
}

#[async_trait]
impl<S: Source> Pollable for Input<S> {
    async fn ready(&mut self) {
        if self.ended {
            return;
        }
        poll_fn(|cx| if self.source.poll_ready(cx).is_empty() { Poll::Pending } else { Poll::Ready(()) }).await;
    }
}

#[async_trait]
impl<S: Source> InputStream for Input<S> {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        self.try_read(size).map(Option::unwrap_or_default)
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut wrong = 0;
        poll_fn(|cx| {
            loop {
                if let Some(outcome) = self.try_read(size).transpose() {
                    return Poll::Ready(outcome);
                }
                if self.source.poll_ready(cx).is_empty() || let_others_run(&mut wrong, cx) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

/// Counts a wake-up that was for nothing; true if the task is to give way and has asked to be woken again.
fn let_others_run(wrong: &mut u32, cx: &Context<'_>) -> bool {
    *wrong += 1;
    if *wrong < FALSE_READIES {
        return false;
    }
    *wrong = 0;
    cx.waker().wake_by_ref();
    true
}

/// An output stream.
pub(crate) struct Output<S: Sink> {
    sink: S,
    /// Accepted bytes that the sink had no room for: only where others write to the same pipe or device. Bounded by the permit.
    pending: Bytes,
    /// The memory of `pending`, charged to the container.
    memory: Option<Charge>,
    cgroup: Arc<Cgroup>,
    /// What may still be written after the last `check-write`.
    permit: usize,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Open,
    /// Failed, and the guest has not been told.
    Failed(Errno),
    Closed,
}

impl<S: Sink> Output<S> {
    /// A stream that writes `sink`, with what it must keep charged to `cgroup`.
    pub(crate) fn new(sink: S, cgroup: Arc<Cgroup>) -> Self {
        Self { sink, pending: Bytes::new(), memory: None, cgroup, permit: 0, state: State::Open }
    }

    /// Tells of a failure once; from then on the stream is closed, as it is when this end was shut down.
    fn check(&mut self) -> StreamResult<()> {
        match self.state {
            State::Open if self.sink.shut() => Err(StreamError::Closed),
            State::Open => Ok(()),
            State::Closed => Err(StreamError::Closed),
            State::Failed(errno) => {
                self.state = State::Closed;
                Err(StreamError::LastOperationFailed(S::failure(errno)))
            }
        }
    }

    fn fail(&mut self, errno: Errno) {
        // EPIPE is how a stream says that nobody reads any more: the WIT's `closed`
        self.state = if errno == Errno::Pipe { State::Closed } else { State::Failed(errno) };
        self.pending = Bytes::new();
        self.memory = None;
    }

    /// Writes a prefix of `bytes` and takes it off. True if all is written or the stream is broken, false if it would wait.
    fn push(&mut self, bytes: &mut Bytes) -> bool {
        while !bytes.is_empty() {
            match self.sink.write_bytes(bytes) {
                Ok(0) | Err(Errno::Again) => return false,
                Ok(_) => {}
                Err(errno) => {
                    self.fail(errno);
                    return true;
                }
            }
        }
        true
    }

    /// Writes what is pending. True if nothing is left.
    fn drain(&mut self) -> bool {
        if self.pending.is_empty() {
            return true;
        }
        let mut pending = std::mem::take(&mut self.pending);
        let done = self.push(&mut pending);
        if done {
            self.memory = None;
            self.sink.keeps(false);
        } else {
            self.pending = pending;
        }
        done
    }

    /// Waits until nothing is pending and the sink has room, or the stream is broken.
    fn poll_room(&mut self, wrong: &mut u32, cx: &mut Context<'_>) -> Poll<()> {
        std::task::ready!(self.poll_drained(wrong, cx));
        // the sink's own word counts, not one byte of room: it waits for enough to be worth a wake-up
        let ready = !matches!(self.state, State::Open) || !self.sink.poll_ready(cx).is_empty();
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits until nothing is pending, or the stream is broken.
    fn poll_drained(&mut self, wrong: &mut u32, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if self.drain() {
                return Poll::Ready(());
            }
            if self.sink.poll_ready(cx).is_empty() || let_others_run(wrong, cx) {
                return Poll::Pending;
            }
        }
    }
}

#[async_trait]
impl<S: Sink> Pollable for Output<S> {
    async fn ready(&mut self) {
        let mut wrong = 0;
        poll_fn(|cx| self.poll_room(&mut wrong, cx)).await;
    }
}

#[async_trait]
impl<S: Sink> OutputStream for Output<S> {
    fn write(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        self.check()?;
        if bytes.len() > self.permit {
            let (asked, permit) = (bytes.len(), self.permit);
            return Err(StreamError::Trap(wasmtime::format_err!(
                "a write of {asked} bytes was not permitted: check-write allowed {permit}"
            )));
        }
        self.permit -= bytes.len();
        let drained = self.drain();
        self.check()?;
        if !(drained && self.push(&mut bytes)) {
            self.keep(bytes);
        }
        self.check()
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.drain();
        self.check()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let drained = self.drain();
        self.check()?;
        self.permit = if drained { self.sink.room().min(MAX_WRITE) } else { 0 };
        Ok(self.permit)
    }

    async fn blocking_write_and_flush(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        let mut wrong = 0;
        poll_fn(|cx| {
            loop {
                if let Err(error) = self.check() {
                    return Poll::Ready(Err(error));
                }
                if self.drain() && self.push(&mut bytes) {
                    return Poll::Ready(self.check());
                }
                if self.sink.poll_ready(cx).is_empty() || let_others_run(&mut wrong, cx) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    async fn write_ready(&mut self) -> StreamResult<usize> {
        let mut wrong = 0;
        poll_fn(|cx| self.poll_room(&mut wrong, cx)).await;
        // nobody else runs between the two, but another process may: its bytes then wait in `pending`
        self.check_write().map(|permit| {
            self.permit = permit.max(1);
            self.permit
        })
    }

    /// The guest drops the stream: what it was told is written, is written.
    async fn cancel(&mut self) {
        let mut wrong = 0;
        poll_fn(|cx| self.poll_drained(&mut wrong, cx)).await;
    }
}

impl<S: Sink> Output<S> {
    /// Keeps accepted bytes for later, behind those that wait already.
    fn keep(&mut self, bytes: Bytes) {
        let total = self.pending.len() + bytes.len();
        let charged = match &mut self.memory {
            Some(memory) => memory.grow(bytes.len() as u64),
            None => self.cgroup.charge(total as u64).map(|charge| self.memory = Some(charge)),
        };
        self.sink.keeps(true);
        match charged {
            Ok(()) if self.pending.is_empty() => self.pending = bytes,
            Ok(()) => self.pending = [&self.pending[..], &bytes[..]].concat().into(),
            Err(errno) => self.fail(errno),
        }
    }
}
