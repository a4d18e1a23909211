//! Listening and accepting (`listen(2)`, `accept(2)`), and the half of connect that happens on the listening side. Owns the accept
//! queue and the connects that wait for room in it; the port table says where a listener is.
//!
//! ```text
//!   connect ──► room in the accept queue? ──yes──► child in the queue, client established ──► accept
//!                        │ no: as a dropped SYN, the client stays in SYN-SENT
//!                        └──► waiting ──(an accept makes room)──► child in the queue
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Context;

use parking_lot::Mutex;

use super::connect::{Outcome, Request};
use super::options::Options;
use super::stream::{Endpoint, Party, connection};
use super::{Phase, SOCKET_BYTES, TcpSocket};
use crate::fabric::link::Path;
use crate::netns::addr::{self, Bound};
use crate::netns::ports::Entry;
use crate::netns::wakers::Wakers;
use crate::netns::{Family, NetNs};
use crate::wait::Ready;
use crate::{Errno, Result};

/// The longest accept queue, as Linux' `net.core.somaxconn`; a larger backlog is cut to it.
pub const MAX_BACKLOG: u32 = 4096;
/// The most connects that wait for room in one accept queue; further ones are as SYNs that are lost for good (ETIMEDOUT).
pub const MAX_WAITING_CONNECTS: usize = 4096;
/// How many bytes a client may send to a connection that nobody has accepted yet. Nobody asked for these bytes, so a flood of
/// connections must not fill the listener's memory (abuse case N3).
pub const UNACCEPTED_BUFFER: usize = 16 * 1024;

pub(in crate::netns) struct Listener {
    family: Family,
    memory: Option<Arc<crate::cgroup::Cgroup>>,
    state: Mutex<State>,
}

struct State {
    queue: VecDeque<Arc<TcpSocket>>,
    backlog: usize,
    waiting: VecDeque<Arc<Request>>,
    /// Connections over links whose client has not answered yet (SYN-RECV), by their number.
    half_open: BTreeMap<u64, Arc<TcpSocket>>,
    closed: bool,
    acceptors: Wakers,
    /// The options that accepted sockets inherit.
    template: Options,
}

impl State {
    /// Linux' `sk_acceptq_is_full`: a backlog of n holds n + 1 connections.
    fn full(&self) -> bool {
        self.queue.len() > self.backlog
    }
}

impl Listener {
    pub(super) fn set_template(&self, options: Options) {
        self.state.lock().template = options;
    }

    /// Connections that wait for accept, and the backlog.
    pub(super) fn queued(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.queue.len(), state.backlog)
    }

    pub(super) fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        let mut state = self.state.lock();
        let mut ready = Ready::empty();
        ready.set(Ready::READ, !state.queue.is_empty());
        ready.set(Ready::HUP, state.closed);
        let answer = ready.answering(interest);
        if answer.is_empty() {
            state.acceptors.register(cx);
        }
        answer
    }

    /// Ends listening: what was not accepted is reset, what still waits is refused.
    pub(super) fn close(&self) {
        let (queue, half_open, waiting, acceptors) = {
            let mut state = self.state.lock();
            state.closed = true;
            let waiting = std::mem::take(&mut state.waiting);
            (std::mem::take(&mut state.queue), std::mem::take(&mut state.half_open), waiting, state.acceptors.take())
        };
        drop((queue, half_open)); // each child closes itself, with a reset
        acceptors.wake();
        for request in waiting {
            request.settle(Outcome::Failed(Errno::ConnRefused));
        }
    }

    /// Gives connects that wait the room that has come free.
    fn fill(self: &Arc<Self>, ns: &Arc<NetNs>) {
        loop {
            let next = {
                let mut state = self.state.lock();
                if state.full() { None } else { state.waiting.pop_front() }
            };
            let Some(request) = next else { return };
            if request.is_waiting() && !self.admit(ns, &request, true) {
                return;
            }
        }
    }

    /// Takes a SYN that came over a link: the client's end of the connection, or `None` if the SYN is dropped, as Linux does when the
    /// accept queue is full or as many connections are half open as the backlog has room for.
    ///
    /// # Errors
    /// [`Errno::ConnRefused`] if it no longer listens.
    pub(super) fn admit_syn(
        self: &Arc<Self>,
        ns: &Arc<NetNs>,
        request: &Request,
        path: Path,
    ) -> Result<Option<Endpoint>> {
        let template = {
            let state = self.state.lock();
            if state.closed {
                return Err(Errno::ConnRefused);
            }
            if state.full() || state.half_open.len() > state.backlog {
                return Ok(None);
            }
            state.template.clone()
        };
        let Ok(id) = ns.count_socket() else { return Ok(None) };
        let (of_client, child) = self.child(ns, id, request, template);
        if let Some(endpoint) = child.stream.get() {
            let sides = [request.wire_options(), child.control.lock().options.wire_options()];
            endpoint.connection.wire_up(ns.links.clone(), Some(path), sides);
            endpoint.connection.set_half_open(Arc::downgrade(self), id);
        }
        let mut tables = ns.tables.lock();
        let mut state = self.state.lock();
        if state.closed {
            drop((state, tables));
            return Err(Errno::ConnRefused); // the child goes without a word: its client has heard nothing yet
        }
        tables.tcp.insert(request.remote.port(), id, Self::entry(&child, request));
        state.half_open.insert(id, child);
        Ok(Some(of_client))
    }

    /// A half-open connection becomes one that can be accepted: who waits for it. `None` if the accept queue is full.
    pub(super) fn establish(&self, id: u64) -> Option<Wakers> {
        let mut state = self.state.lock();
        if state.full() {
            return None;
        }
        if let Some(child) = state.half_open.remove(&id) {
            state.queue.push_back(child);
        }
        Some(state.acceptors.take())
    }

    /// Gives a half-open connection up.
    pub(super) fn forget(&self, id: u64) {
        let child = self.state.lock().half_open.remove(&id);
        drop(child);
    }

    /// The two ends of a connection: the client's, and the socket that will be accepted.
    fn child(&self, ns: &Arc<NetNs>, id: u64, request: &Request, template: Options) -> (Endpoint, Arc<TcpSocket>) {
        let server = Party { limit: UNACCEPTED_BUFFER, memory: self.memory.clone() };
        let client = Party { limit: request.limit, memory: request.memory.clone() };
        let (of_client, of_server) =
            connection((request.local, client), (request.remote, server), [request.isn, ns.links.initial_number()]);
        let child = TcpSocket::unaccepted(ns.clone(), id, self.family, self.memory.clone(), template, of_server);
        (of_client, child)
    }

    fn entry(child: &Arc<TcpSocket>, request: &Request) -> Entry<TcpSocket> {
        Entry {
            bound: Bound::One(request.remote.ip()),
            reuse: child.control.lock().options.reuseaddr,
            listening: false,
            for_connect: false,
            remote: Some(request.local),
            time_wait: None,
            socket: Arc::downgrade(child),
        }
    }

    /// Settles a connect, or lets it wait (false). Takes the port table's lock and then its own.
    pub(super) fn admit(self: &Arc<Self>, ns: &Arc<NetNs>, request: &Arc<Request>, waited: bool) -> bool {
        let mut tables = ns.tables.lock();
        let mut state = self.state.lock();
        if state.closed {
            drop((state, tables));
            request.settle(Outcome::Failed(Errno::ConnRefused));
            return true;
        }
        let Some(id) = (!state.full()).then(|| ns.count_socket().ok()).flatten() else {
            return Self::wait(state, request, waited);
        };
        let (of_client, child) = self.child(ns, id, request, state.template.clone());
        let path = request.path(ns);
        if let Some(endpoint) = child.stream.get().filter(|_| path.is_some() || ns.links.tapped()) {
            let sides = [request.wire_options(), child.control.lock().options.wire_options()];
            let path = path.or_else(|| ns.any_path_to_ip(request.local.ip()).map(Path::back));
            endpoint.connection.wire_up(ns.links.clone(), path, sides);
            endpoint.connection.show_handshake();
        }
        tables.tcp.insert(request.remote.port(), id, Self::entry(&child, request));
        state.queue.push_back(child);
        let acceptors = state.acceptors.take();
        drop((state, tables));
        request.settle(Outcome::Connected(of_client)); // one that was given up meanwhile closes its end here
        acceptors.wake();
        true
    }

    fn wait(mut state: parking_lot::MutexGuard<'_, State>, request: &Arc<Request>, waited: bool) -> bool {
        if waited {
            state.waiting.push_front(request.clone());
            return false;
        }
        if state.waiting.len() >= MAX_WAITING_CONNECTS {
            state.waiting.retain(|other| other.is_waiting());
        }
        if state.waiting.len() < MAX_WAITING_CONNECTS {
            state.waiting.push_back(request.clone());
            return false;
        }
        drop(state);
        request.settle(Outcome::Failed(Errno::TimedOut));
        true
    }
}

impl TcpSocket {
    /// Starts to listen, or changes the backlog of a socket that does. A socket that is not bound gets an ephemeral port.
    ///
    /// # Errors
    /// [`Errno::AddrInUse`] if another socket listens on the port or no port is free; [`Errno::Inval`] if the socket is
    /// connected or connecting.
    pub fn listen(&self, backlog: u32) -> Result<()> {
        let backlog = backlog.min(MAX_BACKLOG) as usize;
        let mut control = self.control.lock();
        match &control.phase {
            Phase::Idle => {}
            Phase::Listening(listener) => {
                let listener = listener.clone();
                drop(control);
                listener.state.lock().backlog = backlog;
                listener.fill(&self.ns);
                return Ok(());
            }
            Phase::Connecting(_) | Phase::Connected => return Err(Errno::Inval),
        }
        if control.local.is_none() {
            self.bind_locked(&mut control, SocketAddr::new(addr::wildcard(self.family), 0))?;
        }
        let port = control.local.map_or(0, |local| local.port());
        let listener = Arc::new(Listener {
            family: self.family,
            memory: self.memory.clone(),
            state: Mutex::new(State {
                queue: VecDeque::new(),
                backlog,
                waiting: VecDeque::new(),
                half_open: BTreeMap::new(),
                closed: false,
                acceptors: Wakers::default(),
                template: control.options.clone(),
            }),
        });
        self.ns.start_listening(port, self.id, listener.clone())?;
        control.phase = Phase::Listening(listener);
        Ok(())
    }

    /// Takes the oldest connection that waits, and says who made it.
    ///
    /// # Errors
    /// [`Errno::Again`] if none waits, [`Errno::Inval`] if the socket does not listen, [`Errno::NoMem`] if the cgroup has no
    /// room for a socket (the connection is reset).
    pub fn accept(&self) -> Result<(Arc<TcpSocket>, SocketAddr)> {
        let Phase::Listening(listener) = self.control.lock().phase.clone() else { return Err(Errno::Inval) };
        let child = {
            let mut state = listener.state.lock();
            if state.closed {
                return Err(Errno::Inval);
            }
            state.queue.pop_front().ok_or(Errno::Again)?
        };
        listener.fill(&self.ns);
        // as on Linux, the socket is charged when it is accepted
        let charge = child.memory.as_ref().map(|memory| memory.try_charge(SOCKET_BYTES)).transpose()?;
        let limit = {
            let mut control = child.control.lock();
            control.charge = charge;
            control.accepted = true;
            control.options.recv_buffer
        };
        let endpoint = child.endpoint().ok_or(Errno::ConnAborted)?;
        endpoint.set_limit(usize::try_from(limit).unwrap_or(usize::MAX));
        let peer = addr::present(self.family, endpoint.remote);
        Ok((child, peer))
    }
}
