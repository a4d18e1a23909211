//! UDP sockets under random calls: a datagram arrives whole, at most once, at a socket it was sent to, and says who sent it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use arbitrary::{Result as Input, Unstructured};
use wasmpod_kernel::Errno;
use wasmpod_kernel::netns::{Family, UdpSocket};
use wasmpod_kernel::wait::Ready;

use super::waiter::Waiter;
use super::{World, plain};

/// One socket.
pub(super) struct Udp {
    socket: Arc<UdpSocket>,
    pod: usize,
    waiter: Waiter,
    /// The ports it ever had: what was sent to one of them can still be in its queue.
    ports: BTreeSet<u16>,
}

/// One datagram that was sent.
pub(super) struct Sent {
    from: SocketAddr,
    pod: usize,
    /// `None` to the peer of a connected socket.
    to: Option<SocketAddr>,
    length: usize,
    arrived: bool,
}

/// The content of datagram `id`: its number, as far as it fits, and a pattern.
fn content(id: usize, length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..length).map(|at| (at * 31 + id * 7) as u8).collect();
    let number = (id as u64).to_le_bytes();
    let fits = length.min(number.len());
    bytes[..fits].copy_from_slice(&number[..fits]);
    bytes
}

impl World {
    /// One call on one socket.
    pub(super) fn udp_call(&mut self, u: &mut Unstructured<'_>) -> Input<()> {
        let call = u.int_in_range(0..=11)?;
        if self.udp.is_empty() || (call == 0 && self.udp.len() < super::SOCKETS) {
            let pod = u.choose_index(self.pods.len())?;
            let family = if u.ratio(1, 4)? { Family::V6 } else { Family::V4 };
            if let Ok(socket) = self.pods[pod].udp_socket(family, self.memory.clone()) {
                self.udp.push(Udp { socket, pod, waiter: Waiter::default(), ports: BTreeSet::new() });
            }
            return Ok(());
        }
        let id = u.choose_index(self.udp.len())?;
        let (socket, pod) = (self.udp[id].socket.clone(), self.udp[id].pod);
        match call {
            1 | 2 => drop(socket.bind(self.address(u, pod, socket.family())?)),
            3 => drop(socket.connect(self.address(u, pod, socket.family())?)),
            4 => drop(socket.disconnect()),
            5..=7 => self.udp_send(u, &socket, pod)?,
            8 | 9 => drop(self.udp_receive(id, u.int_in_range(0..=4000)?)),
            10 => self.udp_poll(id),
            _ if u.ratio(1, 3)? => {
                drop(self.udp.swap_remove(id));
                return Ok(());
            }
            _ => {
                _ = match u.int_in_range(0..=3)? {
                    0 => socket.set_recv_buffer_size(u.int_in_range(0..=100_000)?),
                    1 => socket.set_reuseaddr(u.arbitrary()?),
                    2 => socket.set_v6only(u.arbitrary()?),
                    _ => socket.take_error().map_or(Ok(()), Err),
                };
            }
        }
        self.udp[id].ports.extend(socket.local_addr().map(|local| local.port()));
        Ok(())
    }

    fn udp_send(&mut self, u: &mut Unstructured<'_>, socket: &UdpSocket, pod: usize) -> Input<()> {
        let known: Vec<SocketAddr> = self
            .udp
            .iter()
            .filter(|other| other.socket.family() == socket.family())
            .filter_map(|other| {
                let local = other.socket.local_addr().ok()?;
                let ns = &self.pods[other.pod];
                let any = local.ip().is_unspecified();
                let ip = if any && local.is_ipv4() {
                    ns.ipv4().into()
                } else if any {
                    ns.ipv6().into()
                } else {
                    local.ip()
                };
                Some(SocketAddr::new(ip, local.port()))
            })
            .collect();
        let to = match u.int_in_range(0..=5)? {
            0 => None,
            1 => Some(self.address(u, pod, socket.family())?),
            _ if known.is_empty() => None,
            _ => Some(*u.choose(&known)?),
        };
        let length = if u.ratio(1, 10)? { u.int_in_range(0..=70_000)? } else { u.int_in_range(0..=3000)? };
        let id = self.sent.len();
        match socket.send_to(&content(id, length), to) {
            Ok(count) => {
                assert_eq!(count, length, "a part of a datagram was sent");
                let from = plain(socket.local_addr().expect("who sends has a port"));
                self.sent.push(Sent { from, pod, to: to.map(plain), length, arrived: false });
            }
            Err(errno) => {
                assert_ne!((errno, length <= 60_000), (Errno::MsgSize, true), "{length} bytes are not too many")
            }
        }
        Ok(())
    }

    /// Takes one datagram and checks it. False if there is none.
    fn udp_receive(&mut self, id: usize, room: usize) -> bool {
        let Udp { socket, pod, ports, .. } = &self.udp[id];
        let mut buffer = vec![0; room];
        let Ok((length, from, lost)) = socket.recv_from(&mut buffer) else { return false };
        let whole = length + lost;
        assert!(length == whole.min(room), "{length} of {whole} bytes were put into {room}");
        if length < 8 {
            return true; // its number did not fit
        }
        let number = u64::from_le_bytes(buffer[..8].try_into().expect("eight bytes")) as usize;
        let sent = self.sent.get_mut(number).unwrap_or_else(|| panic!("datagram {number} was never sent"));
        assert!(!std::mem::replace(&mut sent.arrived, true), "datagram {number} arrived twice");
        assert_eq!((sent.length, &buffer[..length]), (whole, &content(number, sent.length)[..length]), "its content");
        let from = plain(from);
        assert_eq!(from.port(), sent.from.port(), "the port it comes from");
        let ns = &self.pods[sent.pod];
        let own = from.ip() == ns.ipv4() || from.ip() == ns.ipv6();
        assert!(own || from.ip().is_loopback() && sent.pod == *pod, "datagram {number} comes from {from}");
        if let Some(to) = sent.to {
            assert!(ports.contains(&to.port()), "datagram {number} was sent to port {}, not to {ports:?}", to.port());
            let ns = &self.pods[*pod];
            let here = to.ip() == ns.ipv4() || to.ip() == ns.ipv6();
            let inside = (to.ip().is_loopback() || to.ip().is_unspecified()) && sent.pod == *pod;
            assert!(here || inside, "datagram {number} to {to} arrived in another pod");
        }
        true
    }

    fn udp_poll(&mut self, id: usize) {
        let udp = &mut self.udp[id];
        let before = udp.waiter.asked();
        let ready = udp.socket.poll_ready(Ready::READ, &mut udp.waiter.context());
        assert!(before != Some(false) || ready.is_empty(), "udp socket {id} became {ready:?} and woke nobody");
        udp.waiter.waits(ready.is_empty());
        if !ready.contains(Ready::ERR) {
            let would_block = udp.socket.peek_from(&mut []).err() == Some(Errno::Again);
            assert_eq!(ready.contains(Ready::READ), !would_block, "udp socket {id} is {ready:?}");
        }
    }

    /// Takes whatever there is. True if anything was there.
    pub(super) fn udp_drain(&mut self) -> bool {
        let mut moved = false;
        for id in 0..self.udp.len() {
            while self.udp_receive(id, 70_000) {
                moved = true;
            }
        }
        moved
    }
}
