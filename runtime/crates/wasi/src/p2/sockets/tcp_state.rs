//! The states of a `tcp-socket` and the streams of a connection. Owns what the WIT adds to a kernel socket.
//!
//! ```text
//! Unbound ── bind ──► Bound ── listen ──► Listening
//!    └───────┬──────────┘
//!         connect ──► Connecting ──► Connected
//!                         └────────► Failed
//! ```

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use wasmpod_kernel::file::Description;
use wasmpod_kernel::netns::{Family, Shutdown, TcpSocket};
use wasmpod_kernel::wait::Ready;
use wasmpod_kernel::wchan::{self, WaitOn};
use wasmpod_kernel::{Errno, Result};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;

use super::SocketFailure;
use super::network::{fits, is_remote, is_unicast};
use crate::p2::Slot;
use crate::p2::bindings::sockets::network::ErrorCode;
use crate::p2::stream::{MAX_WRITE, Sink, Source, fill};

/// The backlog when the guest says nothing, as Rust's standard library has it.
const DEFAULT_BACKLOG: u32 = 128;
/// The largest backlog that is passed on, `listen(2)`'s int; the kernel has its own limit below.
const MAX_BACKLOG: u32 = i32::MAX as u32;

/// The resource `tcp-socket`. Counts as one of the process' descriptors.
pub struct TcpHandle {
    pub(super) socket: Arc<TcpSocket>,
    state: State,
    started: Option<Started>,
    backlog: u32,
    _slot: Slot,
}

enum State {
    Unbound,
    Bound,
    /// The connect has been asked for; what the call itself said, or nothing yet.
    Connecting(Option<Result<()>>),
    Connected(Arc<Connection>),
    Listening,
    Failed(ErrorCode),
}

/// A call that was started and has not been finished.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Started {
    Bind,
    Connect,
    Listen,
}

/// A connection, shared by the socket's handle and its streams.
pub(super) struct Connection {
    socket: Arc<TcpSocket>,
    /// The guest wants no more input; what is there is not read either.
    input_shut: AtomicBool,
    /// The output stream keeps accepted bytes, because the reader's memory limit left less room than there seemed to be.
    output_kept: AtomicBool,
    /// The guest has ended its output while bytes were kept: the end goes out behind them.
    output_shut: AtomicBool,
    /// The guest has ended its output: the stream is closed from then on.
    output_ended: AtomicBool,
}

impl TcpHandle {
    /// A new socket.
    pub(super) fn new(socket: Arc<TcpSocket>, slot: Slot) -> Self {
        Self { socket, state: State::Unbound, started: None, backlog: DEFAULT_BACKLOG, _slot: slot }
    }

    /// A socket that a listener accepted, and its connection.
    pub(super) fn accepted(socket: Arc<TcpSocket>, slot: Slot) -> (Self, Arc<Connection>) {
        let mut handle = Self::new(socket, slot);
        let connection = handle.connected();
        (handle, connection)
    }

    fn connected(&mut self) -> Arc<Connection> {
        let connection = Arc::new(Connection {
            socket: self.socket.clone(),
            input_shut: AtomicBool::new(false),
            output_kept: AtomicBool::new(false),
            output_shut: AtomicBool::new(false),
            output_ended: AtomicBool::new(false),
        });
        self.state = State::Connected(connection.clone());
        connection
    }

    fn family(&self) -> Family {
        self.socket.family()
    }

    fn nothing_started(&self) -> Result<(), ErrorCode> {
        if self.started.is_some() { Err(ErrorCode::ConcurrencyConflict) } else { Ok(()) }
    }

    fn finish(&mut self, what: Started) -> Result<(), ErrorCode> {
        if self.started != Some(what) {
            return Err(ErrorCode::NotInProgress);
        }
        self.started = None;
        Ok(())
    }

    /// `start-bind`.
    pub(super) fn start_bind(&mut self, address: SocketAddr) -> Result<(), ErrorCode> {
        self.nothing_started()?;
        if !matches!(self.state, State::Unbound) {
            return Err(ErrorCode::InvalidState);
        }
        if !is_unicast(address.ip()) || !fits(self.family(), address.ip()) {
            return Err(ErrorCode::InvalidArgument);
        }
        // the WIT: a bind is not to be disturbed by connections that ended a moment ago
        self.socket.set_reuseaddr(true)?;
        self.socket.bind(address)?;
        self.state = State::Bound;
        self.started = Some(Started::Bind);
        Ok(())
    }

    /// `finish-bind`.
    pub(super) fn finish_bind(&mut self) -> Result<(), ErrorCode> {
        self.finish(Started::Bind)
    }

    /// `start-connect`. What goes wrong on the way is told by `finish-connect`.
    pub(super) fn start_connect(&mut self, address: SocketAddr) -> Result<(), ErrorCode> {
        self.nothing_started()?;
        if !matches!(self.state, State::Unbound | State::Bound) {
            return Err(ErrorCode::InvalidState);
        }
        if !is_unicast(address.ip()) || !is_remote(address) || !fits(self.family(), address.ip()) {
            return Err(ErrorCode::InvalidArgument);
        }
        let outcome = match self.socket.connect(address) {
            Err(Errno::InProgress) => None,
            outcome => Some(outcome),
        };
        self.state = State::Connecting(outcome);
        self.started = Some(Started::Connect);
        Ok(())
    }

    /// `finish-connect`.
    pub(super) fn finish_connect(&mut self) -> Result<Arc<Connection>, ErrorCode> {
        if self.started != Some(Started::Connect) {
            return Err(ErrorCode::NotInProgress);
        }
        let outcome = match &self.state {
            State::Connecting(Some(outcome)) => *outcome,
            _ => self.socket.take_connect_result(),
        };
        if outcome == Err(Errno::Again) || outcome == Err(Errno::InProgress) {
            return Err(ErrorCode::WouldBlock);
        }
        self.started = None;
        match outcome {
            Ok(()) => Ok(self.connected()),
            Err(errno) => {
                let code = ErrorCode::from(errno);
                self.state = State::Failed(code);
                Err(code)
            }
        }
    }

    /// `start-listen`.
    pub(super) fn start_listen(&mut self) -> Result<(), ErrorCode> {
        self.nothing_started()?;
        // WASI 0.2 does not bind by itself
        if !matches!(self.state, State::Bound) {
            return Err(ErrorCode::InvalidState);
        }
        self.socket.listen(self.backlog)?;
        self.state = State::Listening;
        self.started = Some(Started::Listen);
        Ok(())
    }

    /// `finish-listen`.
    pub(super) fn finish_listen(&mut self) -> Result<(), ErrorCode> {
        self.finish(Started::Listen)
    }

    /// The listener, to accept from.
    pub(super) fn listener(&self) -> Result<&Arc<TcpSocket>, ErrorCode> {
        if self.is_listening() { Ok(&self.socket) } else { Err(ErrorCode::InvalidState) }
    }

    /// `is-listening`.
    pub(super) fn is_listening(&self) -> bool {
        matches!(self.state, State::Listening)
    }

    /// `local-address`.
    pub(super) fn local_address(&self) -> Result<SocketAddr, ErrorCode> {
        match self.state {
            State::Unbound | State::Connecting(_) => Err(ErrorCode::InvalidState),
            State::Failed(code) => Err(code),
            State::Bound | State::Connected(_) | State::Listening => Ok(self.socket.local_addr()?),
        }
    }

    /// `remote-address`.
    pub(super) fn remote_address(&self) -> Result<SocketAddr, ErrorCode> {
        match self.state {
            State::Connected(_) => Ok(self.socket.peer_addr()?),
            State::Failed(code) => Err(code),
            _ => Err(ErrorCode::InvalidState),
        }
    }

    /// The kernel's socket, to read or set an option.
    pub(super) fn options(&self) -> Result<&TcpSocket, ErrorCode> {
        match self.state {
            State::Connecting(_) => Err(ErrorCode::InvalidState),
            State::Failed(code) => Err(code),
            _ => Ok(&self.socket),
        }
    }

    /// `set-listen-backlog-size`.
    pub(super) fn set_backlog(&mut self, value: u64) -> Result<(), ErrorCode> {
        if value == 0 {
            return Err(ErrorCode::InvalidArgument);
        }
        let backlog = u32::try_from(value).unwrap_or(MAX_BACKLOG).min(MAX_BACKLOG);
        match self.state {
            State::Unbound | State::Bound => {}
            State::Listening => self.socket.listen(backlog)?,
            State::Failed(code) => return Err(code),
            State::Connecting(_) | State::Connected(_) => return Err(ErrorCode::InvalidState),
        }
        self.backlog = backlog;
        Ok(())
    }

    /// `shutdown`. The end of the output is behind all bytes that its stream accepted.
    pub(super) fn shutdown(&self, how: Shutdown) -> Result<(), ErrorCode> {
        let State::Connected(connection) = &self.state else { return Err(ErrorCode::InvalidState) };
        if how != Shutdown::Write {
            connection.input_shut.store(true, Ordering::Release);
        }
        if how != Shutdown::Read {
            connection.output_ended.store(true, Ordering::Release);
        }
        let how = match how {
            Shutdown::Write | Shutdown::Both if connection.output_kept.load(Ordering::Acquire) => {
                connection.output_shut.store(true, Ordering::Release);
                if how == Shutdown::Write {
                    return Ok(());
                }
                Shutdown::Read
            }
            how => how,
        };
        match self.socket.shutdown(how) {
            // the other side was quicker; for the guest its end is shut all the same
            Ok(()) | Err(Errno::NotConn) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

#[async_trait]
impl Pollable for TcpHandle {
    async fn ready(&mut self) {
        let interest = match (&self.state, self.started) {
            (State::Connecting(None), _) => Ready::WRITE,
            (State::Listening, None) => Ready::READ,
            _ => return, // nothing here waits
        };
        let socket = &self.socket;
        poll_fn(|cx| if ready(socket, interest, cx).is_empty() { Poll::Pending } else { Poll::Ready(()) }).await;
    }
}

/// Readiness of a socket, noted if the guest has to wait for it.
fn ready(socket: &Arc<TcpSocket>, interest: Ready, cx: &mut Context<'_>) -> Ready {
    let ready = socket.poll_ready(interest, cx);
    if ready.is_empty() {
        wchan::note(|| WaitOn::File(Description::Tcp(socket.clone()), interest));
    }
    ready
}

/// The input stream of a connection.
pub(super) struct TcpSource(pub(super) Arc<Connection>);

impl Source for TcpSource {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        if self.0.input_shut.load(Ordering::Acquire) {
            return Ok(0);
        }
        self.0.socket.read(buf)
    }

    fn take(&mut self, size: usize) -> Result<Bytes> {
        let shut = self.0.input_shut.load(Ordering::Acquire);
        let whole = if shut { None } else { self.0.socket.read_whole(size) };
        whole.map_or_else(|| fill(self, size), Ok)
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Ready {
        if self.0.input_shut.load(Ordering::Acquire) {
            return Ready::READ;
        }
        ready(&self.0.socket, Ready::READ, cx)
    }

    fn failure(errno: Errno) -> wasmtime::Error {
        SocketFailure(errno).into()
    }
}

/// The output stream of a connection.
pub(super) struct TcpSink(pub(super) Arc<Connection>);

impl Sink for TcpSink {
    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        self.0.socket.write(buf)
    }

    fn write_bytes(&mut self, bytes: &mut Bytes) -> Result<usize> {
        self.0.socket.write_bytes(bytes)
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Ready {
        ready(&self.0.socket, Ready::WRITE, cx)
    }

    fn keeps(&mut self, pending: bool) {
        self.0.output_kept.store(pending, Ordering::Release);
        if !pending && self.0.output_shut.load(Ordering::Acquire) {
            // an error here is that of the connection, which the next write tells
            let _ = self.0.socket.shutdown(Shutdown::Write);
        }
    }

    fn shut(&self) -> bool {
        self.0.output_ended.load(Ordering::Acquire)
    }

    /// What the connection has room for. This is its only writer, so what is permitted is taken
    /// at once, unless the reader's memory runs out meanwhile.
    fn room(&self) -> usize {
        match self.0.socket.writable_bytes() {
            0 => {
                // broken, or full: a broken one takes a write, and says why it fails
                let ready = self.0.socket.poll_ready(Ready::WRITE, &mut Context::from_waker(std::task::Waker::noop()));
                if ready.is_empty() { 0 } else { MAX_WRITE }
            }
            room => room,
        }
    }

    fn failure(errno: Errno) -> wasmtime::Error {
        SocketFailure(errno).into()
    }
}
