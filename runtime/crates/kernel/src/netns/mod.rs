//! A pod's network stack (`network_namespaces(7)`): `lo` with 127.0.0.0/8 and ::1, `eth0` with the pod's addresses, one table of
//! ports per protocol that all containers of the pod share. Follows Linux where a program can tell.
//!
//! - [`TcpSocket`], [`UdpSocket`]: the sockets. - `ports`: who holds which port. - `addr`: families and wildcards.
//! - `ring`, `bytequeue`, `wakers`: what sockets are made of. - `names`: `/etc/hosts`, then the fabric's names.
//! - `info`, `proc_net`: what `ss(8)` and `/proc/net` show.
//!
//! It does not know other pods: where an address outside of the pod leads, the [`crate::fabric`] says (`NetNs::route` is the one
//! place that asks, and where a link with latency or loss would be found). Loopback traffic never gets there, so that one pod
//! cannot reach the loopback of another (abuse case N1), and the source of everything is filled in here (N7).
//!
//! Lock order: a socket's control, the port table of one stack, then the locks of [`TcpSocket`]'s parts. Port tables of two stacks
//! are never locked at once. No lock is held while a waker is called or a socket is dropped.

mod addr;
mod bytequeue;
mod info;
mod names;
mod ports;
mod proc_net;
mod ring;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;
mod wakers;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use wasmpod_sim::{Clock, Stream as RandomStream};

use self::addr::Bound;
pub use self::addr::Family;
pub use self::info::{Protocol, SocketInfo, TcpState};
use self::names::Names;
pub use self::names::{DnsConfig, HostsEntry, MAX_HOSTS_ENTRIES, MAX_SEARCH_DOMAINS};
use self::ports::{Entry, PortTable};
pub use self::ports::{MAX_TIME_WAIT, TIME_WAIT};
use self::tcp::Listener;
pub use self::tcp::{
    CONNECT_TIMEOUT, DEFAULT_RECV_BUFFER, DEFAULT_SEND_BUFFER, MAX_BACKLOG, MAX_RETRANSMITS, MAX_SEGMENTS,
    MAX_SOCKET_BUFFER, MAX_WAITING_CONNECTS, MIN_SOCKET_BUFFER, RETRANSMIT_MAX, RETRANSMIT_MIN, SOCKET_BYTES,
    SYN_RECV_TIMEOUT, TcpSocket, UNACCEPTED_BUFFER,
};
pub use self::udp::{DATAGRAM_OVERHEAD, DEFAULT_UDP_BUFFER, MAX_DATAGRAM_V4, MAX_DATAGRAM_V6, Received, UdpSocket};
use crate::cgroup::Cgroup;
use crate::fabric::link::{Links, Path};
use crate::fabric::{Fabric, PodIdentity};
use crate::{Errno, Result};

/// The most sockets of one pod, those in accept queues included. More than there are ephemeral ports, so that running out of
/// ports looks as on Linux; the host's memory stays bounded when a pod floods itself or another with connections (N3).
pub const MAX_SOCKETS: usize = 32_768;

/// Which direction `shutdown(2)` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// No more reading.
    Read,
    /// No more writing: the other side reads the end of the stream.
    Write,
    /// Both.
    Both,
}

/// One pod's network stack. Made by [`Fabric::attach`]; it leaves the fabric when it is dropped, if not before.
pub struct NetNs {
    fabric: Weak<Fabric>,
    clock: Clock,
    pod: PodIdentity,
    ipv4: Ipv4Addr,
    ipv6: Ipv6Addr,
    broadcast: Ipv4Addr,
    attached: AtomicBool,
    tables: Mutex<Tables>,
    sockets: AtomicUsize,
    /// Numbers for sockets, shared by all stacks of the fabric.
    inodes: Arc<AtomicU64>,
    names: Mutex<Names>,
    links: Arc<Links>,
}

struct Tables {
    tcp: PortTable<TcpSocket>,
    udp: PortTable<UdpSocket>,
    /// The listening sockets, apart from `tcp`, where their connections are as well.
    listeners: BTreeMap<(u16, u64), (Bound, Arc<Listener>)>,
    random: RandomStream,
}

/// What an entry of a port table stands for.
enum Found {
    Socket(Option<Arc<TcpSocket>>),
    /// A connection in TIME-WAIT.
    Over(Box<SocketInfo>),
}

/// Where traffic to an address goes.
struct Route {
    /// The stack that has the address.
    to: Arc<NetNs>,
    /// The address it comes from.
    source: IpAddr,
}

/// What a stack is made from; the fabric fills it in.
pub(crate) struct NetNsParts {
    pub(crate) fabric: Weak<Fabric>,
    pub(crate) clock: Clock,
    pub(crate) pod: PodIdentity,
    pub(crate) ipv4: Ipv4Addr,
    pub(crate) ipv6: Ipv6Addr,
    pub(crate) broadcast: Ipv4Addr,
    pub(crate) inodes: Arc<AtomicU64>,
    pub(crate) random: RandomStream,
    pub(crate) dns: DnsConfig,
    pub(crate) links: Arc<Links>,
}

impl NetNs {
    pub(crate) fn new(parts: NetNsParts) -> Arc<Self> {
        let names = Names::new(&parts.pod, parts.ipv4, parts.ipv6, parts.dns);
        Arc::new(Self {
            fabric: parts.fabric,
            clock: parts.clock,
            pod: parts.pod,
            ipv4: parts.ipv4,
            ipv6: parts.ipv6,
            broadcast: parts.broadcast,
            attached: AtomicBool::new(true),
            tables: Mutex::new(Tables {
                tcp: PortTable::default(),
                udp: PortTable::default(),
                listeners: BTreeMap::new(),
                random: parts.random,
            }),
            sockets: AtomicUsize::new(0),
            inodes: parts.inodes,
            names: Mutex::new(names),
            links: parts.links,
        })
    }

    /// The IPv4 address of `eth0`.
    pub fn ipv4(&self) -> Ipv4Addr {
        self.ipv4
    }

    /// The IPv6 address of `eth0`.
    pub fn ipv6(&self) -> Ipv6Addr {
        self.ipv6
    }

    /// Whose stack it is.
    pub fn pod(&self) -> &PodIdentity {
        &self.pod
    }

    /// Makes a TCP socket whose buffers are charged to `memory`.
    ///
    /// # Errors
    /// [`Errno::NFile`] at [`MAX_SOCKETS`], [`Errno::NoMem`] if the cgroup has no room.
    pub fn tcp_socket(self: &Arc<Self>, family: Family, memory: Arc<Cgroup>) -> Result<Arc<TcpSocket>> {
        TcpSocket::new(self.clone(), family, Some(memory))
    }

    /// Makes a UDP socket whose buffers are charged to `memory`.
    ///
    /// # Errors
    /// [`Errno::NFile`] at [`MAX_SOCKETS`], [`Errno::NoMem`] if the cgroup has no room.
    pub fn udp_socket(self: &Arc<Self>, family: Family, memory: Arc<Cgroup>) -> Result<Arc<UdpSocket>> {
        UdpSocket::new(self.clone(), family, Some(memory))
    }

    /// Connects from the node (the gateway's address) to a port of this pod, as a published port does. The socket is the node's:
    /// no cgroup pays for its buffer, which is bounded by [`DEFAULT_RECV_BUFFER`].
    ///
    /// # Errors
    /// What [`TcpSocket::connect`] says, and [`Errno::NetDown`] once the pod is detached. If the pod's accept queue is full, the
    /// socket is still connecting: wait for it and call [`TcpSocket::take_connect_result`].
    pub fn host_connect(&self, port: u16) -> Result<Arc<TcpSocket>> {
        let socket = TcpSocket::new(self.node()?, Family::V4, None)?;
        match socket.connect(SocketAddr::new(self.ipv4.into(), port)) {
            Ok(()) | Err(Errno::InProgress) => Ok(socket),
            Err(errno) => Err(errno),
        }
    }

    /// A UDP socket of the node that is connected to a port of this pod. One is needed for each sender behind a published port.
    ///
    /// # Errors
    /// What [`UdpSocket::connect`] says, and [`Errno::NetDown`] once the pod is detached.
    pub fn host_udp(&self, port: u16) -> Result<Arc<UdpSocket>> {
        let socket = UdpSocket::new(self.node()?, Family::V4, None)?;
        socket.connect(SocketAddr::new(self.ipv4.into(), port))?;
        Ok(socket)
    }

    fn node(&self) -> Result<Arc<NetNs>> {
        let fabric = self.fabric.upgrade().filter(|_| self.is_attached()).ok_or(Errno::NetDown)?;
        Ok(fabric.node().clone())
    }

    /// A snapshot of the sockets that have an address, by protocol and port.
    pub fn sockets(&self) -> Vec<SocketInfo> {
        let (tcp, udp) = {
            let mut tables = self.tables.lock();
            tables.tcp.expire(self.clock.now());
            let tcp: Vec<_> = tables.tcp.all().map(|(port, entry)| self.look_at(port, entry)).collect();
            let udp: Vec<_> = tables.udp.all().filter_map(|(_, entry)| entry.socket.upgrade()).collect();
            (tcp, udp)
        };
        // outside of the lock, which a socket takes
        let tcp = tcp.into_iter().filter_map(|found| match found {
            Found::Socket(socket) => socket?.info(),
            Found::Over(info) => Some(*info),
        });
        tcp.chain(udp.iter().filter_map(|socket| socket.info())).collect()
    }

    /// The socket of an entry, or what is left of one in TIME-WAIT.
    fn look_at(&self, port: u16, entry: &Entry<TcpSocket>) -> Found {
        match (entry.time_wait, entry.bound, entry.remote) {
            (Some(until), Bound::One(ip), Some(remote)) => Found::Over(Box::new(SocketInfo::time_wait(
                SocketAddr::new(ip, port),
                remote,
                until - self.clock.now(),
            ))),
            _ => Found::Socket(entry.socket.upgrade()),
        }
    }

    /// True until the pod is taken off the fabric.
    pub fn is_attached(&self) -> bool {
        self.attached.load(Ordering::Acquire)
    }

    /// Takes `eth0` down. True the first time.
    pub(crate) fn set_detached(&self) -> bool {
        self.attached.swap(false, Ordering::AcqRel)
    }

    /// Counts one more socket and gives it a number.
    fn count_socket(&self) -> Result<u64> {
        let room = |count: usize| (count < MAX_SOCKETS).then_some(count + 1);
        self.sockets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).map_err(|_| Errno::NFile)?;
        Ok(self.inodes.fetch_add(1, Ordering::Relaxed))
    }

    fn uncount_socket(&self) {
        self.sockets.fetch_sub(1, Ordering::Relaxed);
    }

    /// True for an address of `lo` or `eth0`.
    fn is_local(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || ip == IpAddr::V4(self.ipv4) || ip == IpAddr::V6(self.ipv6)
    }

    fn is_subnet_broadcast(&self, ip: IpAddr) -> bool {
        ip == IpAddr::V4(self.broadcast)
    }

    /// The address to bind to, unmapped.
    fn bindable(&self, family: Family, local: SocketAddr, v6only: bool) -> Result<SocketAddr> {
        let local = addr::canonical(family, local)?;
        if family == Family::V6 && v6only && local.is_ipv4() {
            return Err(Errno::Inval);
        }
        if local.ip().is_unspecified() || self.is_local(local.ip()) { Ok(local) } else { Err(Errno::AddrNotAvail) }
    }

    /// Where `destination` leads, and from which address, given what the socket is bound to.
    ///
    /// # Errors
    /// [`Errno::NetUnreach`] if nobody has the address; [`Errno::Inval`] from loopback to elsewhere, as Linux' martian check.
    fn route(self: &Arc<Self>, destination: IpAddr, bound: Option<IpAddr>) -> Result<Route> {
        let own = match destination {
            _ if !destination.is_loopback() => self.own_address(destination),
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        let source = bound.unwrap_or(own);
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(Errno::Inval);
        }
        if self.is_local(destination) {
            return Ok(Route { to: self.clone(), source });
        }
        if !self.is_attached() {
            return Err(Errno::NetUnreach);
        }
        let to = self.fabric.upgrade().and_then(|fabric| fabric.owner(destination)).ok_or(Errno::NetUnreach)?;
        if source.is_loopback() { Err(Errno::Inval) } else { Ok(Route { to, source }) }
    }

    /// The way to another stack, if a link may be on it; `None` inside of this one, and while no link was ever set.
    fn path_to(&self, to: &NetNs) -> Option<Path> {
        if !self.links.used() || self.ipv4 == to.ipv4 {
            return None;
        }
        let path = Path { from: self.ipv4, to: to.ipv4 };
        self.links.between(path).then_some(path)
    }

    /// As [`NetNs::path_to`], by an address of the other stack.
    fn path_to_ip(&self, ip: IpAddr) -> Option<Path> {
        if !self.links.used() || self.is_local(ip) {
            return None;
        }
        let to = self.fabric.upgrade()?.ipv4_of(ip)?;
        let path = Path { from: self.ipv4, to };
        self.links.between(path).then_some(path)
    }

    /// The way to the pod that has an address, link or not; `None` inside of this one.
    fn any_path_to_ip(&self, ip: IpAddr) -> Option<Path> {
        let to = if self.is_local(ip) { None } else { self.fabric.upgrade()?.ipv4_of(ip) }?;
        (to != self.ipv4).then_some(Path { from: self.ipv4, to })
    }

    /// Tells the connections to another pod that the link to it has changed.
    pub(crate) fn link_changed(&self, other: &NetNs) {
        let other = [IpAddr::V4(other.ipv4), IpAddr::V6(other.ipv6)];
        let sockets: Vec<_> = {
            let tables = self.tables.lock();
            let there = |entry: &&Entry<TcpSocket>| entry.remote.is_some_and(|remote| other.contains(&remote.ip()));
            tables.tcp.all().map(|(_, entry)| entry).filter(there).filter_map(|entry| entry.socket.upgrade()).collect()
        };
        for socket in sockets {
            socket.link_changed();
        }
    }

    fn own_address(&self, like: IpAddr) -> IpAddr {
        if like.is_ipv4() { IpAddr::V4(self.ipv4) } else { IpAddr::V6(self.ipv6) }
    }

    /// The listening socket that a connection to `local` belongs to: the one bound most exactly.
    fn listener(&self, local: SocketAddr) -> Option<Arc<Listener>> {
        let tables = self.tables.lock();
        let here = tables.listeners.range((local.port(), 0)..=(local.port(), u64::MAX)).map(|(_, listener)| listener);
        let best = here.filter(|(bound, _)| bound.accepts(local.ip())).max_by_key(|(bound, _)| bound.score());
        best.map(|(_, listener)| listener.clone())
    }

    /// The UDP socket that a datagram from `from` to `local` belongs to: a connected one first, then the one bound most exactly,
    /// then the newest.
    fn udp_receiver(&self, local: SocketAddr, from: SocketAddr) -> Option<Arc<UdpSocket>> {
        let tables = self.tables.lock();
        let fits = |entry: &Entry<UdpSocket>| {
            entry.bound.accepts(local.ip()) && entry.remote.is_none_or(|remote| remote == from)
        };
        let best = tables.udp.at(local.port()).filter(|(_, entry)| fits(entry));
        let best = best.max_by_key(|(id, entry)| (entry.remote.is_some(), entry.bound.score(), *id));
        best.and_then(|(_, entry)| entry.socket.upgrade())
    }

    fn update_udp(&self, port: u16, id: u64, bound: Bound, remote: Option<SocketAddr>) {
        if let Some(entry) = self.tables.lock().udp.get_mut(port, id) {
            (entry.bound, entry.remote) = (bound, remote);
        }
    }

    /// Puts a listening socket where connects find it.
    fn start_listening(&self, port: u16, id: u64, listener: Arc<Listener>) -> Result<()> {
        let mut tables = self.tables.lock();
        let tables = &mut *tables;
        let bound = tables.tcp.get_mut(port, id).ok_or(Errno::Inval)?.bound;
        if tables.tcp.at(port).any(|(other, entry)| other != id && entry.listening && entry.bound.overlaps(bound)) {
            return Err(Errno::AddrInUse);
        }
        if let Some(entry) = tables.tcp.get_mut(port, id) {
            entry.listening = true;
        }
        tables.listeners.insert((port, id), (bound, listener));
        Ok(())
    }

    fn stop_listening(&self, port: u16, id: u64) {
        let removed = {
            let mut tables = self.tables.lock();
            if let Some(entry) = tables.tcp.get_mut(port, id) {
                entry.listening = false;
            }
            tables.listeners.remove(&(port, id))
        };
        drop(removed); // outside of the lock, as everything that may own sockets
    }

    /// Gives a connecting socket its four-tuple: the port it is bound to, or an ephemeral one.
    fn claim_for_connect(
        &self,
        socket: &TcpSocket,
        port: Option<u16>,
        source: IpAddr,
        remote: SocketAddr,
    ) -> Result<u16> {
        let mut tables = self.tables.lock();
        let tables = &mut *tables;
        tables.tcp.expire(self.clock.now());
        let (bound, id) = (Bound::One(source), socket.inode());
        if let Some(port) = port {
            let same = |entry: &Entry<TcpSocket>| entry.bound == bound && entry.remote == Some(remote);
            if tables.tcp.at(port).any(|(other, entry)| other != id && same(entry)) {
                return Err(Errno::AddrNotAvail);
            }
            if let Some(entry) = tables.tcp.get_mut(port, id) {
                (entry.bound, entry.remote) = (bound, Some(remote));
            }
            return Ok(port);
        }
        let port = tables.tcp.free_port_for(source, remote, &mut tables.random)?;
        let socket = socket.downgrade();
        let remote = Some(remote);
        let entry = Entry { bound, reuse: false, listening: false, for_connect: true, remote, time_wait: None, socket };
        tables.tcp.insert(port, id, entry);
        Ok(port)
    }

    /// Takes back [`NetNs::claim_for_connect`]: `bound` is what the socket was bound to before, if it was.
    fn unclaim(&self, socket: &TcpSocket, port: u16, bound: Option<Bound>) {
        let mut tables = self.tables.lock();
        match (bound, tables.tcp.get_mut(port, socket.inode())) {
            (Some(bound), Some(entry)) => (entry.bound, entry.remote) = (bound, None),
            _ => tables.tcp.remove(port, socket.inode()),
        }
    }
}

impl Drop for NetNs {
    fn drop(&mut self) {
        if let Some(fabric) = self.fabric.upgrade() {
            fabric.detach(self);
        }
    }
}

impl std::fmt::Debug for NetNs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetNs").field("pod", &self.pod.name).field("ipv4", &self.ipv4).finish_non_exhaustive()
    }
}
