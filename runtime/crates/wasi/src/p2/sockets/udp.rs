//! The calls of the resource `udp-socket`, and its making. Its streams are in `datagrams`.

use std::net::SocketAddr;
use std::sync::Arc;

use wasmpod_kernel::netns::UdpSocket;
use wasmtime::component::Resource;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

use super::network::{fits, is_remote};
use super::tcp::positive;
use super::{IncomingDatagrams, Network, OutgoingDatagrams, SocketError, SocketResult};
use crate::Ctx;
use crate::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use crate::p2::bindings::sockets::{udp, udp_create_socket};
use crate::p2::{CALL_FUEL, Slot};

/// Fuel for making a socket.
const SOCKET_FUEL: u64 = 2_000;

/// The resource `udp-socket`. Counts as one of the process' descriptors.
pub struct UdpHandle {
    socket: Arc<UdpSocket>,
    bound: bool,
    bind_started: bool,
    remote: Option<SocketAddr>,
    _slot: Slot,
}

impl UdpHandle {
    fn start_bind(&mut self, address: SocketAddr) -> Result<(), ErrorCode> {
        if self.bind_started {
            return Err(ErrorCode::ConcurrencyConflict);
        }
        if self.bound {
            return Err(ErrorCode::InvalidState);
        }
        if !fits(self.socket.family(), address.ip()) {
            return Err(ErrorCode::InvalidArgument);
        }
        self.socket.bind(address)?;
        self.bound = true;
        self.bind_started = true;
        Ok(())
    }

    /// Makes `remote` the only peer, or none.
    fn connect(&mut self, remote: Option<SocketAddr>) -> Result<(), ErrorCode> {
        if !self.bound {
            return Err(ErrorCode::InvalidState);
        }
        match remote {
            Some(remote) => {
                if !fits(self.socket.family(), remote.ip()) || !is_remote(remote) {
                    return Err(ErrorCode::InvalidArgument);
                }
                self.socket.connect(remote)?;
                self.remote = Some(remote);
            }
            None if self.remote.is_some() => {
                self.socket.disconnect()?;
                self.remote = None;
            }
            None => {}
        }
        Ok(())
    }
}

#[async_trait]
impl Pollable for UdpHandle {
    /// No call of the socket itself waits.
    async fn ready(&mut self) {}
}

impl udp_create_socket::Host for Ctx {
    fn create_udp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<UdpHandle>> {
        self.charge(SOCKET_FUEL);
        let slot = Slot::take(&self.process)?;
        let spec = &self.process.spec;
        let socket = spec.net.udp_socket(family.into(), spec.cgroup.clone())?;
        if family == IpAddressFamily::Ipv6 {
            // the WIT: IPv6 sockets are for IPv6 only
            socket.set_v6only(true)?;
        }
        let handle = UdpHandle { socket, bound: false, bind_started: false, remote: None, _slot: slot };
        Ok(self.table.push(handle)?)
    }
}

impl Ctx {
    fn udp(&mut self, this: &Resource<UdpHandle>) -> SocketResult<&mut UdpHandle> {
        self.charge(CALL_FUEL);
        Ok(self.table.get_mut(this)?)
    }
}

impl udp::Host for Ctx {}

impl udp::HostUdpSocket for Ctx {
    fn start_bind(
        &mut self,
        this: Resource<UdpHandle>,
        network: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        self.table.get(&network)?;
        Ok(self.udp(&this)?.start_bind(address.into())?)
    }

    fn finish_bind(&mut self, this: Resource<UdpHandle>) -> SocketResult<()> {
        let started = std::mem::take(&mut self.udp(&this)?.bind_started);
        if started { Ok(()) } else { Err(ErrorCode::NotInProgress.into()) }
    }

    fn stream(
        &mut self,
        this: Resource<UdpHandle>,
        remote: Option<IpSocketAddress>,
    ) -> SocketResult<(Resource<IncomingDatagrams>, Resource<OutgoingDatagrams>)> {
        let streams =
            |child: &(dyn std::any::Any + Send)| child.is::<IncomingDatagrams>() || child.is::<OutgoingDatagrams>();
        if self.table.iter_children(&this)?.any(streams) {
            return Err(SocketError::Trap(wasmtime::format_err!(
                "the earlier streams of this udp-socket are not dropped"
            )));
        }
        let handle = self.udp(&this)?;
        handle.connect(remote.map(SocketAddr::from))?;
        let incoming = IncomingDatagrams::new(handle.socket.clone(), handle.remote);
        let outgoing = OutgoingDatagrams::new(handle.socket.clone(), handle.remote);
        Ok((self.table.push_child(incoming, &this)?, self.table.push_child(outgoing, &this)?))
    }

    fn local_address(&mut self, this: Resource<UdpHandle>) -> SocketResult<IpSocketAddress> {
        let handle = self.udp(&this)?;
        if !handle.bound {
            return Err(ErrorCode::InvalidState.into());
        }
        Ok(handle.socket.local_addr()?.into())
    }

    fn remote_address(&mut self, this: Resource<UdpHandle>) -> SocketResult<IpSocketAddress> {
        Ok(self.udp(&this)?.remote.ok_or(ErrorCode::InvalidState)?.into())
    }

    fn address_family(&mut self, this: Resource<UdpHandle>) -> wasmtime::Result<IpAddressFamily> {
        self.charge(CALL_FUEL);
        Ok(self.table.get(&this)?.socket.family().into())
    }

    fn unicast_hop_limit(&mut self, this: Resource<UdpHandle>) -> SocketResult<u8> {
        Ok(self.udp(&this)?.socket.hop_limit())
    }

    fn set_unicast_hop_limit(&mut self, this: Resource<UdpHandle>, value: u8) -> SocketResult<()> {
        Ok(self.udp(&this)?.socket.set_hop_limit(positive(value)?)?)
    }

    fn receive_buffer_size(&mut self, this: Resource<UdpHandle>) -> SocketResult<u64> {
        Ok(self.udp(&this)?.socket.recv_buffer_size())
    }

    fn set_receive_buffer_size(&mut self, this: Resource<UdpHandle>, value: u64) -> SocketResult<()> {
        Ok(self.udp(&this)?.socket.set_recv_buffer_size(positive(value)?)?)
    }

    fn send_buffer_size(&mut self, this: Resource<UdpHandle>) -> SocketResult<u64> {
        Ok(self.udp(&this)?.socket.send_buffer_size())
    }

    fn set_send_buffer_size(&mut self, this: Resource<UdpHandle>, value: u64) -> SocketResult<()> {
        Ok(self.udp(&this)?.socket.set_send_buffer_size(positive(value)?)?)
    }

    fn subscribe(&mut self, this: Resource<UdpHandle>) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(CALL_FUEL);
        subscribe(&mut self.table, this)
    }

    fn drop(&mut self, this: Resource<UdpHandle>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
