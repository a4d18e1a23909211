//! TCP sockets (`tcp(7)`, RFC 9293), socket by socket and not packet by packet. Every call returns at once; one that would block
//! says [`Errno::Again`], and [`TcpSocket::poll_ready`] says when to try again.
//!
//! - `stream`: the bytes of an established connection, the only part that is on a fast path.
//! - `wire`: a connection over a link, `syn`: its handshake.
//! - `listen`: the accept queue. - `connect`: the client's side. - `close`: shutdown and close. - `options`: socket options.
//!
//! ```text
//!             bind                     listen
//!   Idle ───────────────► Idle(local) ────────► Listening ──accept──► a new socket: Connected
//!     ▲ └────── connect ────────┤
//!     └─failed── Connecting ◄───┘ ──settled──► Connected
//! ```
//!
//! Lock order: a socket's control, the port table of one network stack, a listener, a request, both halves of a stream. The
//! control lock of a second socket is never taken while one is held.

mod close;
mod connect;
#[cfg(test)]
mod link_tests;
mod listen;
mod options;
mod stream;
mod syn;
#[cfg(test)]
mod tests;
mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::task::Context;

use bytes::Bytes;
use parking_lot::Mutex;

pub use self::connect::CONNECT_TIMEOUT;
use self::connect::Request;
pub(super) use self::listen::Listener;
pub use self::listen::{MAX_BACKLOG, MAX_WAITING_CONNECTS, UNACCEPTED_BUFFER};
use self::options::Options;
pub(super) use self::options::buffer_size;
pub use self::options::{DEFAULT_RECV_BUFFER, DEFAULT_SEND_BUFFER, MAX_SOCKET_BUFFER, MIN_SOCKET_BUFFER};
use self::stream::Endpoint;
pub use self::syn::SYN_RECV_TIMEOUT;
pub use self::wire::{MAX_RETRANSMITS, MAX_SEGMENTS, RETRANSMIT_MAX, RETRANSMIT_MIN};
use super::addr::{self, Bound};
use super::bytequeue::WHOLE_MIN;
use super::info::{Protocol, SocketInfo, TcpState};
use super::ports::Entry;
use super::{Family, NetNs};
use crate::cgroup::{Cgroup, Charge};
use crate::wait::Ready;
use crate::{Errno, Result};

/// What a socket costs its memory cgroup, buffers aside; about the size of Linux' `struct tcp_sock`.
pub const SOCKET_BYTES: u64 = 2048;

/// A TCP socket. Dropping the last reference closes it.
pub struct TcpSocket {
    id: u64,
    me: Weak<TcpSocket>,
    ns: Arc<NetNs>,
    family: Family,
    /// Who pays; `None` for the node itself.
    memory: Option<Arc<Cgroup>>,
    control: Mutex<Control>,
    /// Set once when the socket becomes connected, so that reading and writing need no lock to find it.
    stream: OnceLock<Endpoint>,
}

/// What changes seldom.
struct Control {
    phase: Phase,
    /// The local address, an IPv4 one unmapped.
    local: Option<SocketAddr>,
    /// The local address to go back to if a connect fails.
    before_connect: Option<SocketAddr>,
    /// The pending error of a connect that failed in the background.
    error: Option<Errno>,
    options: Options,
    /// False while the socket waits in an accept queue.
    accepted: bool,
    charge: Option<Charge>,
}

#[derive(Clone)]
enum Phase {
    /// Neither connected nor listening; bound if there is a local address.
    Idle,
    Listening(Arc<Listener>),
    Connecting(Arc<Request>),
    Connected,
}

impl TcpSocket {
    pub(super) fn new(ns: Arc<NetNs>, family: Family, memory: Option<Arc<Cgroup>>) -> Result<Arc<Self>> {
        let charge = memory.as_ref().map(|memory| memory.try_charge(SOCKET_BYTES)).transpose()?;
        let id = ns.count_socket()?;
        Ok(Self::assemble(ns, id, family, memory, Options::default(), charge, None))
    }

    /// The server's end of a connection that waits to be accepted.
    fn unaccepted(
        ns: Arc<NetNs>,
        id: u64,
        family: Family,
        memory: Option<Arc<Cgroup>>,
        options: Options,
        endpoint: Endpoint,
    ) -> Arc<Self> {
        Self::assemble(ns, id, family, memory, options, None, Some(endpoint))
    }

    fn assemble(
        ns: Arc<NetNs>,
        id: u64,
        family: Family,
        memory: Option<Arc<Cgroup>>,
        options: Options,
        charge: Option<Charge>,
        endpoint: Option<Endpoint>,
    ) -> Arc<Self> {
        let control = Control {
            phase: if endpoint.is_some() { Phase::Connected } else { Phase::Idle },
            local: endpoint.as_ref().map(|endpoint| endpoint.local),
            before_connect: None,
            error: None,
            options,
            accepted: endpoint.is_none(),
            charge,
        };
        let stream = endpoint.map_or_else(OnceLock::new, OnceLock::from);
        Arc::new_cyclic(|me| Self { id, me: me.clone(), ns, family, memory, control: Mutex::new(control), stream })
    }

    /// The connection, if there is one. A connect that was settled meanwhile is found here.
    fn endpoint(&self) -> Option<&Endpoint> {
        if let Some(endpoint) = self.stream.get() {
            return Some(endpoint);
        }
        let mut control = self.control.lock();
        if matches!(control.phase, Phase::Connecting(_))
            && let Err(errno) = self.advance(&mut control)
            && errno != Errno::Again
        {
            control.error = Some(errno);
        }
        drop(control);
        self.stream.get()
    }

    /// Binds to a local address; port 0 asks for an ephemeral one.
    ///
    /// # Errors
    /// [`Errno::AddrInUse`], [`Errno::AddrNotAvail`] if the address is not one of this pod, [`Errno::Inval`] if the socket is
    /// bound or in use, [`Errno::AfNoSupport`] for the wrong family.
    pub fn bind(&self, local: SocketAddr) -> Result<()> {
        let mut control = self.control.lock();
        if control.local.is_some() || !matches!(control.phase, Phase::Idle) {
            return Err(Errno::Inval);
        }
        self.bind_locked(&mut control, local)
    }

    fn bind_locked(&self, control: &mut Control, local: SocketAddr) -> Result<()> {
        let local = self.ns.bindable(self.family, local, control.options.v6only)?;
        let bound = Bound::of(self.family, local.ip(), control.options.v6only);
        let reuse = control.options.reuseaddr;
        let mut tables = self.ns.tables.lock();
        let tables = &mut *tables;
        tables.tcp.expire(self.ns.clock.now());
        let port = match local.port() {
            0 => tables.tcp.free_port(&mut tables.random)?,
            port if tables.tcp.conflicts(port, self.id, bound, reuse) => return Err(Errno::AddrInUse),
            port => port,
        };
        let socket = self.me.clone();
        let entry = Entry { bound, reuse, listening: false, for_connect: false, remote: None, time_wait: None, socket };
        tables.tcp.insert(port, self.id, entry);
        control.local = Some(SocketAddr::new(local.ip(), port));
        Ok(())
    }

    /// Reads into `buf`. `Ok(0)` for a non-empty `buf` is the end of the stream.
    ///
    /// # Errors
    /// [`Errno::Again`] if nothing has arrived, [`Errno::ConnReset`] once after a reset, [`Errno::NotConn`].
    pub fn read(&self, buf: &mut [u8]) -> Result<usize> {
        match self.stream.get() {
            Some(endpoint) => endpoint.read(buf, false),
            None => self.endpoint().ok_or_else(|| self.why_not(Errno::NotConn))?.read(buf, false),
        }
    }

    /// As [`TcpSocket::read`], and leaves the bytes where they are (`MSG_PEEK`).
    ///
    /// # Errors
    /// As [`TcpSocket::read`].
    pub fn peek(&self, buf: &mut [u8]) -> Result<usize> {
        self.endpoint().ok_or_else(|| self.why_not(Errno::NotConn))?.read(buf, true)
    }

    /// Writes a prefix of `buf` and returns its length.
    ///
    /// # Errors
    /// [`Errno::Again`] if the peer's buffer is full, [`Errno::Pipe`] if this side has shut down writing, the connection is over
    /// or there never was one, [`Errno::ConnReset`] once after a reset, [`Errno::NoBufs`] if the peer has no memory left.
    pub fn write(&self, buf: &[u8]) -> Result<usize> {
        match self.stream.get() {
            Some(endpoint) => endpoint.write(buf),
            None => self.endpoint().ok_or_else(|| self.why_not(Errno::Pipe))?.write(buf),
        }
    }

    /// As [`TcpSocket::read`], without a copy, for bytes that the other side wrote by [`TcpSocket::write_bytes`]: up to `max` of them.
    /// `None` if others are first in line, or none; [`TcpSocket::read`] then knows more.
    pub fn read_whole(&self, max: usize) -> Option<Bytes> {
        if max < WHOLE_MIN { None } else { self.stream.get()?.read_whole(max) }
    }

    /// As [`TcpSocket::write`]: takes a prefix off `bytes` and returns its length. Many bytes are not copied.
    ///
    /// # Errors
    /// As [`TcpSocket::write`].
    pub fn write_bytes(&self, bytes: &mut Bytes) -> Result<usize> {
        match self.stream.get() {
            Some(endpoint) => endpoint.write_bytes(bytes),
            None => self.endpoint().ok_or_else(|| self.why_not(Errno::Pipe))?.write_bytes(bytes),
        }
    }

    /// The links between the two ends are not what they were: a connection that has none yet gets its wire.
    pub(super) fn link_changed(&self) {
        let Some(endpoint) = self.endpoint() else { return };
        if !endpoint.connection.is_wired() {
            let Some(path) = self.ns.path_to_ip(endpoint.remote.ip()) else { return };
            let path = if endpoint.side == 0 { path } else { path.back() };
            let mut sides = [None; 2];
            sides[endpoint.side] = Some(self.control.lock().options.wire_options());
            let unknown = Options::default().wire_options(); // the other side's come when its socket is told
            endpoint.connection.wire_up(self.ns.links.clone(), Some(path), sides.map(|side| side.unwrap_or(unknown)));
        }
        endpoint.connection.link_changed();
        let (limit, keepalive) = self.control.lock().options.wire_options();
        endpoint.set_send_limit(limit);
        endpoint.set_keepalive(keepalive);
    }

    /// Why there is no stream to read or write.
    fn why_not(&self, otherwise: Errno) -> Errno {
        let mut control = self.control.lock();
        match control.phase {
            Phase::Connecting(_) => Errno::Again,
            _ => control.error.take().unwrap_or(otherwise),
        }
    }

    /// What the socket is ready for (`poll(2)`); if nothing, the task of `cx` is woken when that may have changed.
    pub fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        if let Some(endpoint) = self.stream.get() {
            return endpoint.poll_ready(interest, cx);
        }
        let (phase, failed) = {
            let control = self.control.lock();
            (control.phase.clone(), control.error.is_some())
        };
        match phase {
            Phase::Listening(listener) => listener.poll_ready(interest, cx),
            Phase::Connecting(request) => self.poll_connecting(&request, interest, cx),
            Phase::Connected => match self.stream.get() {
                Some(endpoint) => endpoint.poll_ready(interest, cx),
                None => Ready::HUP,
            },
            Phase::Idle => {
                let mut ready = Ready::WRITE | Ready::HUP;
                ready.set(Ready::ERR, failed);
                ready.answering(interest)
            }
        }
    }

    /// The pending error, cleared (`SO_ERROR`).
    pub fn take_error(&self) -> Option<Errno> {
        let pending = self.endpoint().and_then(Endpoint::take_error);
        pending.or_else(|| self.control.lock().error.take())
    }

    /// The local address (`getsockname(2)`).
    ///
    /// # Errors
    /// [`Errno::Inval`] if the socket is not bound (Linux would answer with the wildcard and port 0).
    pub fn local_addr(&self) -> Result<SocketAddr> {
        let local = match self.stream.get() {
            Some(endpoint) => Some(endpoint.local),
            None => self.control.lock().local,
        };
        local.map(|local| addr::present(self.family, local)).ok_or(Errno::Inval)
    }

    /// The other side's address (`getpeername(2)`).
    ///
    /// # Errors
    /// [`Errno::NotConn`] if the socket is not connected, or no longer in either direction.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        let endpoint = self.endpoint().filter(|endpoint| endpoint.state() != TcpState::Close).ok_or(Errno::NotConn)?;
        Ok(addr::present(self.family, endpoint.remote))
    }

    /// The state.
    pub fn state(&self) -> TcpState {
        if let Some(endpoint) = self.endpoint() {
            return endpoint.state();
        }
        match self.control.lock().phase {
            Phase::Listening(_) => TcpState::Listen,
            Phase::Connecting(_) => TcpState::SynSent,
            Phase::Idle | Phase::Connected => TcpState::Close,
        }
    }

    /// The family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The socket's number, unique among all pods of the fabric.
    pub fn inode(&self) -> u64 {
        self.id
    }

    /// How many bytes a write would take now.
    pub fn writable_bytes(&self) -> usize {
        self.endpoint().map_or(0, Endpoint::writable_bytes)
    }

    /// How many bytes a read would return now (`FIONREAD`).
    pub fn readable_bytes(&self) -> usize {
        self.endpoint().map_or(0, |endpoint| endpoint.queued().0)
    }

    pub(super) fn downgrade(&self) -> Weak<Self> {
        self.me.clone()
    }

    /// The socket as `ss(8)` shows it; `None` if it has no address yet.
    pub(crate) fn info(&self) -> Option<SocketInfo> {
        let state = self.state();
        let local = self.local_addr().ok()?;
        let (remote, queued, accepted) = match self.stream.get() {
            Some(endpoint) => {
                let accepted = self.control.lock().accepted;
                (endpoint.remote, endpoint.queued(), accepted)
            }
            None => {
                let control = self.control.lock();
                match &control.phase {
                    Phase::Connecting(request) => (request.remote, (0, 1), true), // its SYN is not acknowledged
                    Phase::Listening(listener) => {
                        (SocketAddr::new(addr::wildcard(self.family), 0), listener.queued(), true)
                    }
                    _ => (SocketAddr::new(addr::wildcard(self.family), 0), (0, 0), true),
                }
            }
        };
        Some(SocketInfo {
            protocol: Protocol::Tcp,
            family: self.family,
            local,
            remote: addr::present(self.family, remote),
            state,
            rx_queue: queued.0 as u64,
            tx_queue: queued.1 as u64,
            drops: 0,
            inode: self.id,
            accepted,
            owner: self.memory.as_ref().map_or_else(String::new, |memory| memory.path().to_owned()),
            time_wait: None,
        })
    }
}

impl std::fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TcpSocket").field("id", &self.id).field("state", &self.state()).finish_non_exhaustive()
    }
}
