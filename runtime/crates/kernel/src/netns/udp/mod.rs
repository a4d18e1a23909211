//! UDP sockets (`udp(7)`, RFC 768): bind, connect, datagrams with back-pressure by dropping, and port-unreachable as ECONNREFUSED.
//! The source of a datagram is always an address and port of the sending pod: there is no call that sets it.

mod delayed;
#[cfg(test)]
mod link_tests;
mod queue;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Weak};
use std::task::Context;

use parking_lot::Mutex;

pub use self::queue::DATAGRAM_OVERHEAD;
use self::queue::Queue;
use super::addr::{self, Bound};
use super::info::{Protocol, SocketInfo, TcpState};
use super::ports::Entry;
use super::tcp::{SOCKET_BYTES, buffer_size};
use super::{Family, NetNs};
use crate::cgroup::{Cgroup, Charge};
use crate::fabric::tap::Segment;
use crate::wait::Ready;
use crate::{Errno, Result};

/// The largest IPv4 datagram: 65535 less the IP and UDP headers.
pub const MAX_DATAGRAM_V4: usize = 65_507;
/// The largest IPv6 datagram: the IPv6 header is not counted in its length.
pub const MAX_DATAGRAM_V6: usize = 65_527;
/// The buffers of a new UDP socket, as Linux' `net.core.rmem_default`.
pub const DEFAULT_UDP_BUFFER: u64 = 212_992;

/// One received datagram: bytes put into the buffer, who sent it, and how many bytes did not fit and are lost.
pub type Received = (usize, SocketAddr, usize);

/// A UDP socket. Dropping the last reference closes it.
pub struct UdpSocket {
    id: u64,
    me: Weak<UdpSocket>,
    ns: Arc<NetNs>,
    family: Family,
    control: Mutex<Control>,
    queue: Queue,
    /// Who pays for what is on its way; `None` for the node itself.
    memory: Option<Arc<Cgroup>>,
    _charge: Option<Charge>,
}

struct Control {
    /// What the socket was bound to, an IPv4 address unmapped.
    bound: Option<SocketAddr>,
    /// True if the port was chosen by a send or a connect, so that disconnecting gives it back.
    automatic: bool,
    /// The local address while connected, and the peer's.
    connected: Option<(IpAddr, SocketAddr)>,
    reuseaddr: bool,
    v6only: bool,
    hop_limit: u8,
    recv_buffer: u64,
    send_buffer: u64,
}

impl UdpSocket {
    pub(super) fn new(ns: Arc<NetNs>, family: Family, memory: Option<Arc<Cgroup>>) -> Result<Arc<Self>> {
        let charge = memory.as_ref().map(|memory| memory.try_charge(SOCKET_BYTES)).transpose()?;
        let id = ns.count_socket()?;
        let control = Control {
            bound: None,
            automatic: false,
            connected: None,
            reuseaddr: false,
            v6only: false,
            hop_limit: 64,
            recv_buffer: DEFAULT_UDP_BUFFER,
            send_buffer: DEFAULT_UDP_BUFFER,
        };
        let queue = Queue::new(memory.clone(), usize::try_from(DEFAULT_UDP_BUFFER).unwrap_or(usize::MAX));
        Ok(Arc::new_cyclic(|me| Self {
            id,
            me: me.clone(),
            ns,
            family,
            control: Mutex::new(control),
            queue,
            memory,
            _charge: charge,
        }))
    }

    /// Binds to a local address; port 0 asks for an ephemeral one.
    ///
    /// # Errors
    /// [`Errno::AddrInUse`], [`Errno::AddrNotAvail`] if the address is not one of this pod, [`Errno::Inval`] if the socket is
    /// bound, [`Errno::AfNoSupport`] for the wrong family.
    pub fn bind(&self, local: SocketAddr) -> Result<()> {
        let mut control = self.control.lock();
        if control.bound.is_some() {
            return Err(Errno::Inval);
        }
        self.bind_locked(&mut control, local)
    }

    fn bind_locked(&self, control: &mut Control, local: SocketAddr) -> Result<()> {
        let local = self.ns.bindable(self.family, local, control.v6only)?;
        let (bound, reuse) = (Bound::of(self.family, local.ip(), control.v6only), control.reuseaddr);
        let mut tables = self.ns.tables.lock();
        let tables = &mut *tables;
        let port = match local.port() {
            0 => tables.udp.free_port(&mut tables.random)?,
            port if tables.udp.conflicts(port, self.id, bound, reuse) => return Err(Errno::AddrInUse),
            port => port,
        };
        let socket = self.me.clone();
        let entry = Entry { bound, reuse, listening: false, for_connect: false, remote: None, time_wait: None, socket };
        tables.udp.insert(port, self.id, entry);
        control.bound = Some(SocketAddr::new(local.ip(), port));
        Ok(())
    }

    /// The bound address; one is chosen if there is none yet, as the first send and connect do.
    fn bind_if_needed(&self, control: &mut Control) -> Result<SocketAddr> {
        if control.bound.is_none() {
            self.bind_locked(control, SocketAddr::new(addr::wildcard(self.family), 0))?;
            control.automatic = true;
        }
        control.bound.ok_or(Errno::Inval)
    }

    /// Fixes the peer: sends go to it by default, and only its datagrams are received from now on.
    ///
    /// # Errors
    /// [`Errno::NetUnreach`] if no pod has the address, [`Errno::Acces`] for broadcast, [`Errno::OpNotSupp`] for multicast,
    /// [`Errno::AfNoSupport`] for the wrong family, [`Errno::AddrInUse`] if no port is free.
    pub fn connect(&self, peer: SocketAddr) -> Result<()> {
        let mut control = self.control.lock();
        let peer = self.destination(peer, control.v6only)?;
        let specific = control.bound.map(|bound| bound.ip()).filter(|ip| !ip.is_unspecified());
        let source = self.ns.route(peer.ip(), specific)?.source;
        let bound = self.bind_if_needed(&mut control)?;
        self.ns.update_udp(bound.port(), self.id, Bound::One(source), Some(peer));
        control.connected = Some((source, peer));
        Ok(())
    }

    /// Forgets the peer (`connect(2)` with `AF_UNSPEC`). A port that was never asked for is given back.
    pub fn disconnect(&self) -> Result<()> {
        let mut control = self.control.lock();
        let Some(bound) = control.bound else { return Ok(()) };
        if control.connected.take().is_none() {
            return Ok(());
        }
        if control.automatic {
            self.ns.tables.lock().udp.remove(bound.port(), self.id);
            (control.bound, control.automatic) = (None, false);
        } else {
            let wide = Bound::of(self.family, bound.ip(), control.v6only);
            self.ns.update_udp(bound.port(), self.id, wide, None);
        }
        Ok(())
    }

    /// Sends one datagram, to `to` or else to the peer. It is dropped silently if the receiver's buffer is full.
    ///
    /// # Errors
    /// [`Errno::MsgSize`] beyond [`MAX_DATAGRAM_V4`] or [`MAX_DATAGRAM_V6`], [`Errno::DestAddrReq`] without a destination,
    /// [`Errno::ConnRefused`] if an earlier datagram of a connected socket found no receiver, [`Errno::Inval`] for port 0,
    /// [`Errno::NoBufs`] if the pod's memory has no room for a datagram that a link delays, and what [`UdpSocket::connect`] says.
    pub fn send_to(&self, bytes: &[u8], to: Option<SocketAddr>) -> Result<usize> {
        if bytes.len() > MAX_DATAGRAM_V6 {
            return Err(Errno::MsgSize);
        }
        let mut control = self.control.lock();
        let connected = control.connected;
        let (source, to) = match (to, connected) {
            (None, Some((source, peer))) => (Some(source), peer),
            (None, None) => return Err(Errno::DestAddrReq),
            (Some(to), _) => {
                let to = self.destination(to, control.v6only)?;
                let specific = connected.map(|(source, _)| source);
                (specific.or(control.bound.map(|bound| bound.ip()).filter(|ip| !ip.is_unspecified())), to)
            }
        };
        if to.port() == 0 {
            return Err(Errno::Inval);
        }
        let max = if to.is_ipv4() { MAX_DATAGRAM_V4 } else { MAX_DATAGRAM_V6 };
        if bytes.len() > max {
            return Err(Errno::MsgSize);
        }
        if self.queue.take_refused() {
            return Err(Errno::ConnRefused);
        }
        let route = self.ns.route(to.ip(), source)?;
        let port = self.bind_if_needed(&mut control)?.port();
        drop(control);
        let from = SocketAddr::new(route.source, port);
        self.ns.links.show(from, to, Segment::Udp { payload: bytes });
        let to_peer = connected.is_some_and(|(_, peer)| peer == to);
        if let Some(path) = self.ns.path_to(&route.to) {
            self.send_over(path, &route.to, (from, to), bytes, to_peer)?;
            return Ok(bytes.len());
        }
        match route.to.udp_receiver(to, from) {
            Some(receiver) => receiver.queue.push(addr::present(receiver.family, from), bytes),
            // the port-unreachable is for the socket that is connected to exactly that port
            None if to_peer => self.queue.refuse(),
            None => {}
        }
        Ok(bytes.len())
    }

    /// Receives one datagram; what does not fit into `buf` is lost, and its size reported.
    ///
    /// # Errors
    /// [`Errno::Again`] if none waits, [`Errno::ConnRefused`] once if an earlier datagram of a connected socket found no
    /// receiver.
    pub fn recv_from(&self, buf: &mut [u8]) -> Result<Received> {
        self.queue.pop(buf, false)
    }

    /// As [`UdpSocket::recv_from`], and leaves the datagram where it is.
    ///
    /// # Errors
    /// As [`UdpSocket::recv_from`].
    pub fn peek_from(&self, buf: &mut [u8]) -> Result<Received> {
        self.queue.pop(buf, true)
    }

    /// What the socket is ready for; sending never blocks. If nothing, the task of `cx` is woken when that may have changed.
    pub fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        self.queue.poll_ready(interest, cx)
    }

    /// The pending error, cleared (`SO_ERROR`).
    pub fn take_error(&self) -> Option<Errno> {
        self.queue.take_refused().then_some(Errno::ConnRefused)
    }

    /// The local address.
    ///
    /// # Errors
    /// [`Errno::Inval`] if the socket is not bound.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        let control = self.control.lock();
        let bound = control.bound.ok_or(Errno::Inval)?;
        let ip = control.connected.map_or(bound.ip(), |(source, _)| source);
        Ok(addr::present(self.family, SocketAddr::new(ip, bound.port())))
    }

    /// The peer's address.
    ///
    /// # Errors
    /// [`Errno::NotConn`] if the socket is not connected.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        let (_, peer) = self.control.lock().connected.ok_or(Errno::NotConn)?;
        Ok(addr::present(self.family, peer))
    }

    /// The family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The socket's number, unique among all pods of the fabric.
    pub fn inode(&self) -> u64 {
        self.id
    }

    /// How many datagrams were dropped because they did not fit.
    pub fn drops(&self) -> u64 {
        self.queue.counts().1
    }

    /// Checks and unmaps a destination.
    fn destination(&self, to: SocketAddr, v6only: bool) -> Result<SocketAddr> {
        let to = addr::canonical(self.family, to)?;
        let ip = addr::destination(to.ip());
        if ip == IpAddr::V4(Ipv4Addr::BROADCAST) || self.ns.is_subnet_broadcast(ip) {
            return Err(Errno::Acces); // there is no SO_BROADCAST
        }
        if ip.is_multicast() {
            return Err(Errno::OpNotSupp); // there are no groups to join
        }
        if self.family == Family::V6 && v6only && ip.is_ipv4() {
            return Err(Errno::NetUnreach);
        }
        Ok(SocketAddr::new(ip, to.port()))
    }

    /// `SO_REUSEADDR`. Read when the socket is bound.
    pub fn reuseaddr(&self) -> bool {
        self.control.lock().reuseaddr
    }

    /// Sets [`UdpSocket::reuseaddr`]. Of several sockets that share a port, the newest gets the datagrams.
    pub fn set_reuseaddr(&self, value: bool) -> Result<()> {
        self.control.lock().reuseaddr = value;
        Ok(())
    }

    /// `IPV6_V6ONLY`.
    pub fn v6only(&self) -> bool {
        self.control.lock().v6only
    }

    /// Sets [`UdpSocket::v6only`].
    ///
    /// # Errors
    /// [`Errno::NoProtoOpt`] on an IPv4 socket; [`Errno::Inval`] once the socket is bound.
    pub fn set_v6only(&self, value: bool) -> Result<()> {
        if self.family == Family::V4 {
            return Err(Errno::NoProtoOpt);
        }
        let mut control = self.control.lock();
        if control.bound.is_some() {
            return Err(Errno::Inval);
        }
        control.v6only = value;
        Ok(())
    }

    /// `IP_TTL` or `IPV6_UNICAST_HOPS`; kept only.
    pub fn hop_limit(&self) -> u8 {
        self.control.lock().hop_limit
    }

    /// Sets [`UdpSocket::hop_limit`].
    ///
    /// # Errors
    /// [`Errno::Inval`] for 0.
    pub fn set_hop_limit(&self, value: u8) -> Result<()> {
        if value == 0 {
            return Err(Errno::Inval);
        }
        self.control.lock().hop_limit = value;
        Ok(())
    }

    /// How many bytes wait here, [`DATAGRAM_OVERHEAD`] for each datagram included, before more are dropped (`SO_RCVBUF`).
    pub fn recv_buffer_size(&self) -> u64 {
        self.control.lock().recv_buffer
    }

    /// Sets [`UdpSocket::recv_buffer_size`], brought into the range that TCP sockets have.
    ///
    /// # Errors
    /// [`Errno::Inval`] for 0.
    pub fn set_recv_buffer_size(&self, value: u64) -> Result<()> {
        let value = buffer_size(value)?;
        self.control.lock().recv_buffer = value;
        self.queue.set_limit(usize::try_from(value).unwrap_or(usize::MAX));
        Ok(())
    }

    /// `SO_SNDBUF`; kept only, as datagrams never wait to be sent.
    pub fn send_buffer_size(&self) -> u64 {
        self.control.lock().send_buffer
    }

    /// Sets [`UdpSocket::send_buffer_size`].
    ///
    /// # Errors
    /// [`Errno::Inval`] for 0.
    pub fn set_send_buffer_size(&self, value: u64) -> Result<()> {
        self.control.lock().send_buffer = buffer_size(value)?;
        Ok(())
    }

    /// The socket as `ss(8)` shows it; `None` if it has no address yet.
    pub(crate) fn info(&self) -> Option<SocketInfo> {
        let local = self.local_addr().ok()?;
        let peer = self.peer_addr().ok();
        let (queued, drops) = self.queue.counts();
        Some(SocketInfo {
            protocol: Protocol::Udp,
            family: self.family,
            local,
            remote: peer.unwrap_or_else(|| SocketAddr::new(addr::wildcard(self.family), 0)),
            state: if peer.is_some() { TcpState::Established } else { TcpState::Close },
            rx_queue: queued as u64,
            tx_queue: 0,
            drops,
            inode: self.id,
            accepted: true,
            owner: self.memory.as_ref().map_or_else(String::new, |memory| memory.path().to_owned()),
            time_wait: None,
        })
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        if let Some(bound) = self.control.get_mut().bound {
            self.ns.tables.lock().udp.remove(bound.port(), self.id);
        }
        self.ns.uncount_socket();
    }
}

impl std::fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UdpSocket").field("id", &self.id).field("local", &self.local_addr()).finish_non_exhaustive()
    }
}
