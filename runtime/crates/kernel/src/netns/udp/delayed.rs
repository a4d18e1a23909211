//! Datagrams that take a link ([`crate::fabric::link`]): late, lost, or held. What is on its way is charged to who sent it.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use super::UdpSocket;
use crate::cgroup::Charge;
use crate::fabric::link::{Links, Path, Verdict};
use crate::netns::{NetNs, addr};
use crate::{Errno, Result};

/// IP and UDP headers, which take bandwidth as well.
const HEADERS_V4: usize = 20 + 8;
const HEADERS_V6: usize = 40 + 8;

/// A datagram on its way.
struct Delayed {
    links: Arc<Links>,
    path: Path,
    destination: Weak<NetNs>,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
    /// Who is told that nobody was there: the sender, if it is connected to just that address.
    refused: Option<Weak<UdpSocket>>,
    _charge: Option<Charge>,
}

impl UdpSocket {
    /// Sends a datagram over a link.
    ///
    /// # Errors
    /// [`Errno::NoBufs`] if the sender's memory has no room for it.
    pub(super) fn send_over(
        &self,
        path: Path,
        destination: &Arc<NetNs>,
        (from, to): (SocketAddr, SocketAddr),
        bytes: &[u8],
        connected: bool,
    ) -> Result<()> {
        let charge = self.memory.as_ref().map(|memory| memory.try_charge(bytes.len() as u64)).transpose();
        let datagram = Delayed {
            links: self.ns.links.clone(),
            path,
            destination: Arc::downgrade(destination),
            from,
            to,
            bytes: bytes.to_vec(),
            refused: connected.then(|| self.me.clone()),
            _charge: charge.map_err(|_| Errno::NoBufs)?,
        };
        if datagram.links.enqueue(path) {
            datagram.send();
        }
        Ok(())
    }
}

impl Delayed {
    fn send(self) {
        let (links, path) = (self.links.clone(), self.path);
        let headers = if self.to.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
        match links.send(path, self.bytes.len() + headers) {
            Verdict::Arrives(due) if due <= links.pump().now() => self.arrive(),
            Verdict::Arrives(due) => links.pump().at(due, Box::new(move || self.arrive())),
            Verdict::Lost => links.dequeue(path),
            Verdict::Held => links.when_released(path, Box::new(move || self.send())),
        }
    }

    fn arrive(self) {
        self.links.dequeue(self.path);
        if !self.links.arrives(self.path) {
            return;
        }
        let Some(ns) = self.destination.upgrade().filter(|ns| ns.is_attached()) else { return };
        match ns.udp_receiver(self.to, self.from) {
            Some(receiver) => receiver.queue.push(addr::present(receiver.family, self.from), &self.bytes),
            None => self.send_unreachable(),
        }
    }

    /// The port-unreachable goes back, unless it gets lost as well (it is not sent again).
    fn send_unreachable(self) {
        let Some(sender) = self.refused else { return };
        let (links, back) = (self.links, self.path.back());
        let refuse = {
            let links = links.clone();
            move || {
                if let Some(sender) = sender.upgrade().filter(|_| links.arrives(back)) {
                    sender.queue.refuse();
                }
            }
        };
        match links.send(back, HEADERS_V6) {
            Verdict::Arrives(due) if due <= links.pump().now() => refuse(),
            Verdict::Arrives(due) => links.pump().at(due, Box::new(refuse)),
            Verdict::Held => links.when_released(back, Box::new(refuse)),
            Verdict::Lost => {}
        }
    }
}
