//! The handshake over a link: SYN, SYN-ACK and the refusal, each of which takes the link and may be lost. A SYN that nothing answers is sent
//! again after 1, 3, 7, … seconds until [`CONNECT_TIMEOUT`], as by Linux' `tcp_syn_retries` of 6. The client's acknowledgement, which lets
//! the server accept, is the first thing on the connection's [`super::wire`].

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::connect::{Outcome, Request};
use super::listen::Listener;
use super::stream::Endpoint;
use crate::Errno;
use crate::fabric::link::{Links, Path, Verdict};
use crate::fabric::tap::TcpFlags;
use crate::netns::NetNs;

/// How long a server waits for the client's answer to its SYN-ACK: Linux gives up after five retries (`tcp_synack_retries`).
pub const SYN_RECV_TIMEOUT: Duration = Duration::from_secs(63);
/// How often a SYN is sent again (`tcp_syn_retries`).
const SYN_RETRIES: u32 = 6;
/// A SYN or a SYN-ACK with its IPv6 headers and options; what matters is that it takes bandwidth.
const SYN_BYTES: usize = 80;

/// What a connect over a link keeps.
pub(super) struct Handshake {
    pub(super) links: Arc<Links>,
    pub(super) path: Path,
    /// The stack that has the address.
    pub(super) to: Weak<NetNs>,
    /// The client's end, while the SYN-ACK is on its way.
    pub(super) established: Mutex<Option<Endpoint>>,
}

impl Handshake {
    /// Sends a segment of the handshake; `then` runs when it arrives.
    fn send(&self, path: Path, then: impl FnOnce() + Send + 'static) {
        let links = self.links.clone();
        match links.send(path, SYN_BYTES) {
            Verdict::Arrives(due) => {
                let arrive = {
                    let links = links.clone();
                    move || {
                        if links.arrives(path) {
                            then();
                        }
                    }
                };
                if due <= links.pump().now() { arrive() } else { links.pump().at(due, Box::new(arrive)) }
            }
            Verdict::Lost => {}
            Verdict::Held => {
                let links_again = links.clone();
                links.when_released(
                    path,
                    Box::new(move || match links_again.send(path, SYN_BYTES) {
                        Verdict::Arrives(due) => links_again.pump().at(due, Box::new(then)),
                        Verdict::Lost | Verdict::Held => {}
                    }),
                );
            }
        }
    }
}

/// Sends the SYN, and again until something has come of it.
pub(super) fn send_syn(request: &Arc<Request>, attempt: u32) {
    let Some(handshake) = request.handshake.as_ref().filter(|_| request.is_waiting()) else { return };
    if attempt < SYN_RETRIES {
        let (again, pump) = (Arc::downgrade(request), handshake.links.pump());
        let wait = Duration::from_secs(1 << attempt);
        let retry = move || _ = again.upgrade().map(|request| send_syn(&request, attempt + 1));
        pump.at(pump.now() + wait, Box::new(retry));
    }
    handshake.links.show_bare(request.local, request.remote, TcpFlags::SYN, (request.isn, 0));
    let arrived = request.clone();
    handshake.send(handshake.path, move || arrive(&arrived));
}

/// The SYN has arrived.
fn arrive(request: &Arc<Request>) {
    let Some(handshake) = request.handshake.as_ref() else { return };
    let Some(ns) = handshake.to.upgrade().filter(|ns| ns.is_attached()) else { return };
    if handshake.established.lock().is_some() {
        return send_syn_ack(request, handshake);
    }
    if !request.is_waiting() {
        return;
    }
    let remote: SocketAddr = request.remote;
    let admitted = match ns.listener(remote) {
        Some(listener) => listener.admit_syn(&ns, request, handshake.path).map(|end| end.map(|end| (listener, end))),
        None => Err(Errno::ConnRefused),
    };
    match admitted {
        Ok(Some((listener, endpoint))) => {
            give_up_later(&listener, &endpoint, handshake);
            *handshake.established.lock() = Some(endpoint);
            send_syn_ack(request, handshake);
        }
        Ok(None) => {} // dropped: the client tries again
        Err(errno) => {
            let (refused, ack) = (request.clone(), request.isn.wrapping_add(1));
            handshake.links.show_bare(remote, request.local, TcpFlags::RST | TcpFlags::ACK, (0, ack));
            handshake.send(handshake.path.back(), move || refused.settle(Outcome::Failed(errno)));
        }
    }
}

fn send_syn_ack(request: &Arc<Request>, handshake: &Handshake) {
    if let Some(endpoint) = &*handshake.established.lock() {
        let [of_client, of_server] = endpoint.connection.isn;
        let numbers = (of_server, of_client.wrapping_add(1));
        handshake.links.show_bare(request.remote, request.local, TcpFlags::SYN | TcpFlags::ACK, numbers);
    }
    let client = request.clone();
    handshake.send(handshake.path.back(), move || {
        let endpoint = client.handshake.as_ref().and_then(|handshake| handshake.established.lock().take());
        let Some(endpoint) = endpoint else { return };
        let connection = endpoint.connection.clone();
        client.settle(Outcome::Connected(endpoint));
        connection.confirm(0);
    });
}

/// Forgets the server's end if its client never answers.
fn give_up_later(listener: &Arc<Listener>, endpoint: &Endpoint, handshake: &Handshake) {
    let (listener, connection) = (Arc::downgrade(listener), Arc::downgrade(&endpoint.connection));
    let pump = handshake.links.pump();
    let give_up = move || {
        if let Some(id) = connection.upgrade().and_then(|connection| connection.half_open_id())
            && let Some(listener) = listener.upgrade()
        {
            listener.forget(id);
        }
    };
    pump.at(pump.now() + SYN_RECV_TIMEOUT, Box::new(give_up));
}
