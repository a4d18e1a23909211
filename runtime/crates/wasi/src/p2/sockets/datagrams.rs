//! The streams of a `udp-socket`: datagrams in and out. Owns the permits of `check-send`.

use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use wasmpod_kernel::file::Description;
use wasmpod_kernel::netns::UdpSocket;
use wasmpod_kernel::wait::Ready;
use wasmpod_kernel::wchan::{self, WaitOn};
use wasmpod_kernel::{Errno, Result};
use wasmtime::component::Resource;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

use super::network::{fits, is_remote};
use super::{SocketError, SocketResult};
use crate::p2::bindings::sockets::network::ErrorCode;
use crate::p2::bindings::sockets::udp;
use crate::p2::{CALL_FUEL, ITEM_FUEL};
use crate::{Ctx, MAX_READ};

/// The most datagrams of one `send` or `receive`.
const MAX_DATAGRAMS: usize = 16;
/// The largest datagram there can be, by UDP's length field; the real limit is a little lower and the kernel's.
const MAX_DATAGRAM: usize = u16::MAX as usize;

thread_local! {
    /// Where a datagram of unknown size is received: one for each thread that runs guests, not 64 KiB for each socket.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The resource `incoming-datagram-stream`.
pub struct IncomingDatagrams {
    socket: Arc<UdpSocket>,
    remote: Option<SocketAddr>,
}

impl IncomingDatagrams {
    pub(super) fn new(socket: Arc<UdpSocket>, remote: Option<SocketAddr>) -> Self {
        Self { socket, remote }
    }

    /// The next datagram; of a connected socket, the next from its peer (others may have been queued before it was connected).
    fn receive(&self) -> Result<udp::IncomingDatagram> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(MAX_DATAGRAM, 0);
            loop {
                let (length, from, _) = self.socket.recv_from(scratch)?;
                if self.remote.is_none_or(|remote| remote == from) {
                    return Ok(udp::IncomingDatagram { data: scratch[..length].to_vec(), remote_address: from.into() });
                }
            }
        })
    }
}

#[async_trait]
impl Pollable for IncomingDatagrams {
    async fn ready(&mut self) {
        ready(&self.socket, Ready::READ).await;
    }
}

/// Waits for the socket.
async fn ready(socket: &Arc<UdpSocket>, interest: Ready) {
    poll_fn(|cx| {
        if socket.poll_ready(interest, cx).is_empty() {
            wchan::note(|| WaitOn::File(Description::Udp(socket.clone()), interest));
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// The resource `outgoing-datagram-stream`.
pub struct OutgoingDatagrams {
    socket: Arc<UdpSocket>,
    remote: Option<SocketAddr>,
    /// How many datagrams the last `check-send` allowed.
    permit: usize,
}

impl OutgoingDatagrams {
    pub(super) fn new(socket: Arc<UdpSocket>, remote: Option<SocketAddr>) -> Self {
        Self { socket, remote, permit: 0 }
    }

    fn send(&self, datagram: &udp::OutgoingDatagram) -> Result<(), ErrorCode> {
        if datagram.data.len() > MAX_DATAGRAM {
            return Err(ErrorCode::DatagramTooLarge);
        }
        let to = match (datagram.remote_address.map(SocketAddr::from), self.remote) {
            (None, None) => return Err(ErrorCode::InvalidArgument),
            (None, Some(_)) => None,
            (Some(to), _) if !is_remote(to) || !fits(self.socket.family(), to.ip()) => {
                return Err(ErrorCode::InvalidArgument);
            }
            (Some(to), Some(remote)) if to != remote => return Err(ErrorCode::InvalidArgument),
            (Some(_), Some(_)) => None,
            (Some(to), None) => Some(to),
        };
        self.socket.send_to(&datagram.data, to)?;
        Ok(())
    }
}

#[async_trait]
impl Pollable for OutgoingDatagrams {
    async fn ready(&mut self) {
        ready(&self.socket, Ready::WRITE).await;
    }
}

impl udp::HostIncomingDatagramStream for Ctx {
    fn receive(&mut self, this: Resource<IncomingDatagrams>, max: u64) -> SocketResult<Vec<udp::IncomingDatagram>> {
        let stream = self.table.get(&this)?;
        let max = usize::try_from(max).unwrap_or(usize::MAX).min(MAX_DATAGRAMS);
        let mut datagrams = Vec::new();
        let mut bytes = 0;
        while datagrams.len() < max && bytes < MAX_READ {
            match stream.receive() {
                Ok(datagram) => {
                    bytes += datagram.data.len();
                    datagrams.push(datagram);
                }
                Err(Errno::Again) => break,
                // what came before the error is delivered, as of recvmmsg(2)
                Err(_) if !datagrams.is_empty() => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        self.charge_bytes(bytes);
        self.charge(ITEM_FUEL * datagrams.len() as u64);
        Ok(datagrams)
    }

    fn subscribe(&mut self, this: Resource<IncomingDatagrams>) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(CALL_FUEL);
        subscribe(&mut self.table, this)
    }

    fn drop(&mut self, this: Resource<IncomingDatagrams>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl udp::HostOutgoingDatagramStream for Ctx {
    fn check_send(&mut self, this: Resource<OutgoingDatagrams>) -> SocketResult<u64> {
        self.charge(CALL_FUEL);
        let stream = self.table.get_mut(&this)?;
        let ready = stream.socket.poll_ready(Ready::WRITE, &mut Context::from_waker(Waker::noop()));
        stream.permit = if ready.is_empty() { 0 } else { MAX_DATAGRAMS };
        Ok(stream.permit as u64)
    }

    fn send(&mut self, this: Resource<OutgoingDatagrams>, datagrams: Vec<udp::OutgoingDatagram>) -> SocketResult<u64> {
        self.charge_bytes(datagrams.iter().map(|datagram| datagram.data.len()).sum());
        self.charge(ITEM_FUEL * datagrams.len() as u64);
        let stream = self.table.get_mut(&this)?;
        if datagrams.is_empty() {
            return Ok(0);
        }
        if datagrams.len() > stream.permit {
            return Err(SocketError::Trap(wasmtime::format_err!(
                "a send of {} datagrams was not permitted: check-send allowed {}",
                datagrams.len(),
                stream.permit
            )));
        }
        stream.permit = 0;
        let mut sent = 0;
        for datagram in &datagrams {
            match stream.send(datagram) {
                Ok(()) => sent += 1,
                Err(ErrorCode::WouldBlock) => break,
                // the WIT: with one datagram sent, the call succeeds
                Err(_) if sent > 0 => break,
                Err(code) => return Err(code.into()),
            }
        }
        Ok(sent)
    }

    fn subscribe(&mut self, this: Resource<OutgoingDatagrams>) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(CALL_FUEL);
        subscribe(&mut self.table, this)
    }

    fn drop(&mut self, this: Resource<OutgoingDatagrams>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
