//! Connecting (`connect(2)`): the source address and port, the request as the listening side sees it, and its result. A connect is
//! settled at once unless the accept queue is full; then it stays in SYN-SENT until there is room or the time is up.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use parking_lot::Mutex;
use wasmpod_sim::{Instant, Sleep};

use super::stream::Endpoint;
use super::syn::{self, Handshake};
use super::wire::Keepalive;
use super::{Control, Phase, TcpSocket};
use crate::cgroup::Cgroup;
use crate::fabric::link::Path;
use crate::fabric::tap::TcpFlags;
use crate::netns::addr::{self, Bound};
use crate::netns::wakers::Wakers;
use crate::netns::{Family, NetNs};
use crate::wait::Ready;
use crate::{Errno, Result};

/// How long a connect waits for room: Linux gives up after six retries (`tcp_syn_retries`), 1 + 2 + 4 + … + 64 seconds.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(127);

/// A connect, shared by the one who connects and the listener.
pub(super) struct Request {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    /// How many unread bytes the connecting side takes.
    pub(super) limit: usize,
    pub(super) memory: Option<Arc<Cgroup>>,
    deadline: Instant,
    options: (usize, Option<Keepalive>),
    /// The initial sequence number, which only a tap sees.
    pub(super) isn: u32,
    /// Over a link: how it gets there.
    pub(super) handshake: Option<Handshake>,
    state: Mutex<RequestState>,
}

struct RequestState {
    outcome: Outcome,
    wakers: Wakers,
    timer: Option<Sleep>,
}

pub(super) enum Outcome {
    /// In SYN-SENT.
    Waiting,
    /// The client's end is ready to be taken.
    Connected(Endpoint),
    /// It failed.
    Failed(Errno),
    /// The client has taken the result, or has gone.
    Over,
}

impl Request {
    /// Decides a request that waits and wakes the client. An end that nobody will take is closed.
    pub(super) fn settle(&self, outcome: Outcome) {
        let mut state = self.state.lock();
        if matches!(state.outcome, Outcome::Waiting) {
            state.outcome = outcome;
            state.timer = None; // a timer that nobody needs would keep virtual time going
            let wakers = state.wakers.take();
            drop(state);
            wakers.wake();
        } else {
            drop(state);
            if let Outcome::Connected(endpoint) = outcome {
                endpoint.close(true);
            }
        }
    }

    /// The link that a connection to a listener of `ns` takes, if there is one by now.
    pub(super) fn path(&self, ns: &NetNs) -> Option<Path> {
        ns.path_to_ip(self.local.ip()).map(Path::back)
    }

    /// What the client's side of a connection over a link has.
    pub(super) fn wire_options(&self) -> (usize, Option<Keepalive>) {
        self.options
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.state.lock().outcome, Outcome::Waiting)
    }

    /// Takes the result; afterwards the request is over. `None` while it waits.
    fn take(&self, now: Instant) -> Option<Result<Endpoint>> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut state.outcome, Outcome::Over) {
            Outcome::Waiting if now < self.deadline => {
                state.outcome = Outcome::Waiting;
                None
            }
            Outcome::Waiting => {
                state.timer = None;
                Some(Err(Errno::TimedOut))
            }
            Outcome::Connected(endpoint) => Some(Ok(endpoint)),
            Outcome::Failed(errno) => Some(Err(errno)),
            Outcome::Over => Some(Err(Errno::ConnAborted)),
        }
    }

    /// The client goes away.
    pub(super) fn cancel(&self) {
        let outcome = {
            let mut state = self.state.lock();
            state.timer = None;
            std::mem::replace(&mut state.outcome, Outcome::Over)
        };
        if let Outcome::Connected(endpoint) = outcome {
            endpoint.close(false);
        }
    }

    /// True if the result can be taken; else the task of `cx` is woken once it can.
    fn poll(&self, cx: &mut Context<'_>, sleep: impl FnOnce(Instant) -> Sleep) -> bool {
        let mut state = self.state.lock();
        if !matches!(state.outcome, Outcome::Waiting) {
            return true;
        }
        state.wakers.register(cx);
        // made here and not by connect: only a task may make a timer
        let timer = state.timer.get_or_insert_with(|| sleep(self.deadline));
        Pin::new(timer).poll(cx).is_ready()
    }
}

impl TcpSocket {
    /// Connects. 0.0.0.0 and `::` are this host.
    ///
    /// # Errors
    /// [`Errno::InProgress`] if the accept queue is full: wait for [`Ready::WRITE`], then [`TcpSocket::take_connect_result`].
    /// [`Errno::ConnRefused`] if nobody listens, [`Errno::NetUnreach`] if no pod has the address, [`Errno::IsConn`] if the
    /// socket is connected or listens, [`Errno::Already`] while a connect is under way, [`Errno::AddrNotAvail`] if no port is
    /// free, [`Errno::AfNoSupport`] for the wrong family, [`Errno::Inval`] from a loopback address to another pod.
    pub fn connect(&self, remote: SocketAddr) -> Result<()> {
        let mut control = self.control.lock();
        match &control.phase {
            Phase::Idle => {}
            Phase::Listening(_) | Phase::Connected => return Err(Errno::IsConn),
            Phase::Connecting(_) => {
                return match self.advance(&mut control) {
                    Err(Errno::Again) => Err(Errno::Already),
                    result => result,
                };
            }
        }
        let remote = addr::canonical(self.family, remote)?;
        let remote = SocketAddr::new(addr::destination(remote.ip()), remote.port());
        if self.unreachable(remote.ip(), control.options.v6only) {
            return Err(Errno::NetUnreach);
        }
        let bound = control.local.map(|local| local.ip()).filter(|ip| !ip.is_unspecified());
        let route = self.ns.route(remote.ip(), bound)?;
        let port = self.ns.claim_for_connect(self, control.local.map(|local| local.port()), route.source, remote)?;
        let path = self.ns.path_to(&route.to);
        let handshake = path.map(|path| Handshake {
            links: self.ns.links.clone(),
            path,
            to: Arc::downgrade(&route.to),
            established: Mutex::new(None),
        });
        let request = Arc::new(Request {
            local: SocketAddr::new(route.source, port),
            remote,
            limit: usize::try_from(control.options.recv_buffer).unwrap_or(usize::MAX),
            memory: self.memory.clone(),
            deadline: self.ns.clock.now() + CONNECT_TIMEOUT,
            options: control.options.wire_options(),
            isn: self.ns.links.initial_number(),
            handshake,
            state: Mutex::new(RequestState { outcome: Outcome::Waiting, wakers: Wakers::default(), timer: None }),
        });
        control.before_connect = control.local.replace(request.local);
        control.phase = Phase::Connecting(request.clone());
        if path.is_some() {
            syn::send_syn(&request, 0);
            return match self.advance(&mut control) {
                Err(Errno::Again) => Err(Errno::InProgress),
                result => result,
            };
        }
        let (local, isn, links) = (request.local, request.isn, &self.ns.links);
        links.show_bare(local, remote, TcpFlags::SYN, (isn, 0));
        match route.to.listener(remote) {
            Some(listener) => _ = listener.admit(&route.to, &request, false),
            None => {
                links.show_bare(remote, local, TcpFlags::RST | TcpFlags::ACK, (0, isn.wrapping_add(1)));
                request.settle(Outcome::Failed(Errno::ConnRefused));
            }
        }
        match self.advance(&mut control) {
            Err(Errno::Again) => Err(Errno::InProgress),
            result => result,
        }
    }

    /// The result of a connect that was in progress. It is reported once when it failed; the socket may then connect again.
    ///
    /// # Errors
    /// [`Errno::Again`] while it is in progress, [`Errno::NotConn`] if there was none, else what [`TcpSocket::connect`] says,
    /// and [`Errno::TimedOut`] after [`CONNECT_TIMEOUT`].
    pub fn take_connect_result(&self) -> Result<()> {
        let mut control = self.control.lock();
        if let Some(error) = control.error.take() {
            return Err(error);
        }
        match &control.phase {
            Phase::Connected => Ok(()),
            Phase::Connecting(_) => self.advance(&mut control),
            Phase::Idle | Phase::Listening(_) => Err(Errno::NotConn),
        }
    }

    /// Moves a connect on if it has been settled: to connected, or back to where it began.
    ///
    /// # Errors
    /// [`Errno::Again`] while it waits, or why it failed.
    pub(super) fn advance(&self, control: &mut Control) -> Result<()> {
        let Phase::Connecting(request) = &control.phase else { return Ok(()) };
        match request.take(self.ns.clock.now()) {
            None => Err(Errno::Again),
            Some(Ok(endpoint)) => {
                let (limit, keepalive) = control.options.wire_options(); // what was set meanwhile
                endpoint.set_send_limit(limit);
                endpoint.set_keepalive(keepalive);
                let first = self.stream.set(endpoint).is_ok();
                control.phase = Phase::Connected;
                if first { Ok(()) } else { Err(Errno::IsConn) }
            }
            Some(Err(errno)) => {
                let port = request.local.port();
                control.phase = Phase::Idle;
                control.local = control.before_connect.take();
                let bound = control.local.map(|local| Bound::of(self.family, local.ip(), control.options.v6only));
                self.ns.unclaim(self, port, bound);
                Err(errno)
            }
        }
    }

    /// As [`TcpSocket::poll_ready`] while a connect is under way.
    pub(super) fn poll_connecting(&self, request: &Request, interest: Ready, cx: &mut Context<'_>) -> Ready {
        let clock = &self.ns.clock;
        let settled = request.poll(cx, |deadline| clock.sleep_until(deadline));
        if !settled {
            return Ready::empty();
        }
        let mut control = self.control.lock();
        match self.advance(&mut control) {
            Ok(()) => {}
            Err(Errno::Again) => {
                cx.waker().wake_by_ref(); // the timer was a little early: look again
                return Ready::empty();
            }
            Err(errno) => {
                control.error = Some(errno);
                return (Ready::READ | Ready::WRITE | Ready::HUP | Ready::ERR).answering(interest);
            }
        }
        drop(control);
        self.poll_ready(interest, cx)
    }

    /// Destinations that no stream can have: multicast, broadcast, and IPv4 from a socket that is IPv6 only.
    fn unreachable(&self, ip: IpAddr, v6only: bool) -> bool {
        let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
        ip.is_multicast() || broadcast || (self.family == Family::V6 && v6only && ip.is_ipv4())
    }
}
