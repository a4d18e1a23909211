//! TCP sockets under random calls. What a socket sends tells where it comes from and at which byte, so whoever reads can say whether
//! it is the right stream, in order and complete. Owns the sockets and what must hold for them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Result as Input, Unstructured};
use wasmpod_kernel::Errno;
use wasmpod_kernel::netns::{Family, Shutdown, TcpSocket};
use wasmpod_kernel::wait::Ready;

use super::World;
use super::waiter::Waiter;

/// The bytes that say which socket sends.
const HEADER: u64 = 8;
/// The most bytes of one call.
const MOST: usize = 200_000;

/// One socket that ever was, and what it did.
pub(super) struct Tcp {
    /// `None` once it was closed.
    pub(super) socket: Option<Arc<TcpSocket>>,
    pub(super) pod: usize,
    waiter: Waiter,
    /// How many bytes it sent and read.
    sent: u64,
    read: u64,
    header: [u8; HEADER as usize],
    /// Whose bytes it reads, once it has read enough to know.
    peer: Option<usize>,
    /// It was told of an error, so its stream need not be complete.
    failed: bool,
    no_more_reads: bool,
    no_more_writes: bool,
    /// Its address and its peer's when it was connected.
    ends: Option<(SocketAddr, SocketAddr)>,
}

impl Tcp {
    pub(super) fn new(socket: Arc<TcpSocket>, pod: usize) -> Self {
        Self {
            socket: Some(socket),
            pod,
            waiter: Waiter::default(),
            sent: 0,
            read: 0,
            header: [0; HEADER as usize],
            peer: None,
            failed: false,
            no_more_reads: false,
            no_more_writes: false,
            ends: None,
        }
    }

    /// Remembers the addresses of a connection.
    fn connected(&mut self) {
        if let (None, Some(socket)) = (self.ends, &self.socket)
            && let (Ok(local), Ok(remote)) = (socket.local_addr(), socket.peer_addr())
        {
            self.ends = Some((super::plain(local), super::plain(remote)));
        }
    }
}

/// The byte that socket `id` sends at `offset`.
fn byte(id: usize, offset: u64) -> u8 {
    if offset < HEADER {
        return (id as u64).to_le_bytes()[offset as usize];
    }
    let mixed = (offset ^ (id as u64) << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as u8
}

impl World {
    /// One call on one socket.
    pub(super) fn tcp_call(&mut self, u: &mut Unstructured<'_>) -> Input<()> {
        let open: Vec<usize> = (0..self.tcp.len()).filter(|id| self.tcp[*id].socket.is_some()).collect();
        let call = u.int_in_range(0..=19)?;
        if open.is_empty() || (call == 0 && open.len() < super::SOCKETS) {
            let pod = u.choose_index(self.pods.len())?;
            let family = if u.ratio(1, 4)? { Family::V6 } else { Family::V4 };
            if let Ok(socket) = self.pods[pod].tcp_socket(family, self.memory.clone()) {
                self.tcp.push(Tcp::new(socket, pod));
            }
            return Ok(());
        }
        let id = *u.choose(&open)?;
        let Some(socket) = self.tcp[id].socket.clone() else { return Ok(()) };
        match call {
            1 => drop(socket.bind(self.address(u, self.tcp[id].pod, socket.family())?)),
            2 => drop(socket.listen(u.int_in_range(0..=4)?)),
            3..=5 => {
                let to = match u.ratio(3, 4)? {
                    true => self.listening(u, id)?,
                    false => None,
                };
                let to = match to {
                    Some(to) => to,
                    None => self.address(u, self.tcp[id].pod, socket.family())?,
                };
                if matches!(socket.connect(to), Ok(()) | Err(Errno::IsConn)) {
                    self.tcp[id].connected();
                }
            }
            6 | 7 => self.accept(id, &socket),
            8..=10 => self.tcp_write(id, &socket, u.int_in_range(0..=MOST)?),
            11..=13 => drop(self.tcp_read(id, &socket, u.int_in_range(0..=MOST)?)),
            14 => {
                let how = *u.choose(&[Shutdown::Read, Shutdown::Write, Shutdown::Both])?;
                if socket.shutdown(how).is_ok() {
                    self.tcp[id].no_more_reads |= how != Shutdown::Write;
                    self.tcp[id].no_more_writes |= how != Shutdown::Read;
                }
            }
            15 => {
                let tcp = &mut self.tcp[id];
                (tcp.socket, tcp.no_more_writes) = (None, true);
            }
            16 => self.tcp_poll(id, &socket),
            17 => match socket.take_connect_result() {
                Ok(()) => self.tcp[id].connected(),
                Err(errno) => self.tcp[id].failed |= !matches!(errno, Errno::Again | Errno::NotConn),
            },
            18 => self.tcp[id].failed |= socket.take_error().is_some(),
            _ => option(u, &socket)?,
        }
        Ok(())
    }

    /// The address of a socket that listens, as the socket `id` might reach it.
    fn listening(&self, u: &mut Unstructured<'_>, id: usize) -> Input<Option<SocketAddr>> {
        let family = self.tcp[id].socket.as_ref().map(|socket| socket.family());
        let known = self.tcp.iter().filter_map(|tcp| {
            let socket = tcp.socket.as_ref().filter(|socket| Some(socket.family()) == family)?;
            let local = socket.local_addr().ok()?;
            let ns = &self.pods[tcp.pod];
            let ip = match (local.ip().is_unspecified(), local.is_ipv4()) {
                (true, true) => ns.ipv4().into(),
                (true, false) => ns.ipv6().into(),
                (false, _) => local.ip(),
            };
            (tcp.ends.is_none()).then(|| SocketAddr::new(ip, local.port()))
        });
        let known: Vec<SocketAddr> = known.collect();
        if known.is_empty() { Ok(None) } else { u.choose(&known).map(|at| Some(*at)) }
    }

    fn accept(&mut self, id: usize, socket: &TcpSocket) {
        if let Ok((child, from)) = socket.accept() {
            let mut tcp = Tcp::new(child, self.tcp[id].pod);
            tcp.connected();
            if let Some((_, remote)) = tcp.ends {
                assert_eq!(super::plain(from), remote, "accept tells another peer than the socket");
            }
            tcp.ends = tcp.ends.or_else(|| {
                let local = tcp.socket.as_ref()?.local_addr().ok()?;
                Some((super::plain(local), super::plain(from)))
            });
            self.tcp.push(tcp);
        }
    }

    fn tcp_write(&mut self, id: usize, socket: &TcpSocket, length: usize) {
        let tcp = &mut self.tcp[id];
        let bytes: Vec<u8> = (0..length as u64).map(|at| byte(id, tcp.sent + at)).collect();
        match socket.write(&bytes) {
            Ok(count) => {
                assert!(count <= length && (count > 0 || length == 0), "a write of {length} took {count}");
                assert!(length == 0 || !tcp.no_more_writes, "a write after the end of the stream");
                tcp.sent += count as u64;
                tcp.connected();
            }
            Err(errno) => tcp.failed |= errno != Errno::Again,
        }
    }

    /// Reads once, and checks what comes. True if the stream goes on and something came.
    fn tcp_read(&mut self, id: usize, socket: &TcpSocket, length: usize) -> bool {
        let mut buffer = vec![0; length];
        let count = match socket.read(&mut buffer) {
            Ok(count) => count,
            Err(errno) => {
                self.tcp[id].failed |= errno != Errno::Again;
                return false;
            }
        };
        self.tcp[id].connected();
        for byte in &buffer[..count] {
            self.arrived(id, *byte);
        }
        if count == 0 && length > 0 {
            self.ended(id);
        }
        count > 0
    }

    fn arrived(&mut self, id: usize, got: u8) {
        let at = self.tcp[id].read;
        self.tcp[id].read += 1;
        if at < HEADER {
            self.tcp[id].header[at as usize] = got;
            if at + 1 == HEADER {
                self.meet(id);
            }
            return;
        }
        let peer = self.tcp[id].peer.expect("known since the header");
        assert_eq!(got, byte(peer, at), "byte {at} from {peer} to {id} is not what was sent");
        assert!(at < self.tcp[peer].sent, "more arrives than was sent");
    }

    /// The header is complete: it must name a socket that is at the other end, and nobody else's.
    fn meet(&mut self, id: usize) {
        let peer = u64::from_le_bytes(self.tcp[id].header) as usize;
        assert!(peer < self.tcp.len() && peer != id, "bytes of a stream that is not there: {peer}");
        let other = &self.tcp[peer];
        assert!(other.sent >= HEADER, "more arrives than was sent");
        assert!(other.peer.is_none_or(|back| back == id), "{peer} talks to {id} and {:?}", other.peer);
        assert!(self.tcp.iter().all(|tcp| tcp.peer != Some(peer)), "two sockets read what {peer} sends");
        if let (Some((local, remote)), Some((far, back))) = (self.tcp[id].ends, other.ends) {
            assert_eq!((local, remote), (back, far), "the ends of a connection disagree");
            let inside = local.ip().is_loopback() || remote.ip().is_loopback();
            assert!(!inside || self.tcp[id].pod == other.pod, "loopback leads to another pod");
        }
        self.tcp[id].peer = Some(peer);
    }

    /// The stream has ended: it is complete, unless somebody was told otherwise.
    fn ended(&mut self, id: usize) {
        let tcp = &self.tcp[id];
        if let Some(peer) = tcp.peer.filter(|_| !tcp.failed && !tcp.no_more_reads) {
            let other = &self.tcp[peer];
            assert!(other.no_more_writes || other.failed, "{id} reads the end of a stream that goes on");
            assert!(
                other.failed || tcp.read == other.sent,
                "{id} read {} of {} bytes and the end",
                tcp.read,
                other.sent
            );
        }
    }

    /// Readiness says what a call would say, and who waits is woken.
    fn tcp_poll(&mut self, id: usize, socket: &TcpSocket) {
        let before = self.tcp[id].waiter.asked();
        let all = Ready::READ | Ready::WRITE;
        let ready = socket.poll_ready(all, &mut self.tcp[id].waiter.context());
        if let Some(woken) = before {
            assert!(woken || ready.is_empty(), "tcp socket {id} became ready for {ready:?} and woke nobody");
        }
        self.tcp[id].waiter.waits(ready.is_empty());
        if ready.intersects(Ready::ERR | Ready::HUP) {
            return;
        }
        if socket.state() == wasmpod_kernel::netns::TcpState::Listen {
            return;
        }
        if self.tcp[id].ends.is_some() {
            let peeked = socket.peek(&mut [0]);
            let would_block = peeked == Err(Errno::Again);
            assert_eq!(
                ready.contains(Ready::READ),
                !would_block,
                "tcp socket {id} is {ready:?} and a read says {peeked:?}"
            );
            if ready.contains(Ready::WRITE) && !self.tcp[id].no_more_writes {
                let sent = self.tcp[id].sent;
                let written = socket.write(&[byte(id, sent)]);
                assert_ne!(written, Err(Errno::Again), "tcp socket {id} is writable, and is not");
                match written {
                    Ok(count) => self.tcp[id].sent += count as u64,
                    Err(_) => self.tcp[id].failed = true,
                }
            }
        }
    }

    /// Takes and reads whatever there is. True if anything moved.
    pub(super) fn tcp_drain(&mut self) -> bool {
        let mut moved = false;
        let mut id = 0;
        while id < self.tcp.len() {
            if let Some(socket) = self.tcp[id].socket.clone() {
                let before = self.tcp.len();
                self.accept(id, &socket);
                moved |= self.tcp.len() > before;
                while self.tcp_read(id, &socket, MOST) {
                    moved = true;
                }
                self.tcp[id].connected();
            }
            id += 1;
        }
        moved
    }

    /// After the last drain: whatever was sent on a connection that is well has arrived.
    pub(super) fn tcp_complete(&self) {
        for (id, tcp) in self.tcp.iter().enumerate() {
            let (Some(_), Some((local, remote)), false) = (&tcp.socket, tcp.ends, tcp.failed) else { continue };
            let mut others = self.tcp.iter().enumerate().filter(|(at, other)| {
                let near = !local.ip().is_loopback() || other.pod == tcp.pod;
                *at != id && other.ends == Some((remote, local)) && near && other.socket.is_some()
            });
            let (Some((peer, other)), None) = (others.next(), others.next()) else { continue };
            if !other.failed && !other.no_more_reads && tcp.peer.is_none_or(|known| known == peer) {
                assert_eq!(other.read, tcp.sent, "of what {id} sent to {peer}, this has arrived");
            }
        }
    }
}

fn option(u: &mut Unstructured<'_>, socket: &TcpSocket) -> Input<()> {
    _ = match u.int_in_range(0..=5)? {
        0 => socket.set_recv_buffer_size(u.int_in_range(0..=300_000)?),
        1 => socket.set_send_buffer_size(u.int_in_range(0..=300_000)?),
        2 => socket.set_linger(u.arbitrary::<bool>()?.then_some(Duration::ZERO)),
        3 => socket.set_reuseaddr(u.arbitrary()?),
        4 => socket.set_v6only(u.arbitrary()?),
        _ => socket.set_keepalive(u.arbitrary()?),
    };
    Ok(())
}
