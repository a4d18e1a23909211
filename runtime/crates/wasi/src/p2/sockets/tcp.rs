//! The calls of the resource `tcp-socket`, and its making. The states behind them are in `tcp_state`.

use std::time::Duration;

use wasmpod_kernel::netns::Shutdown;
use wasmtime::component::Resource;
use wasmtime_wasi_io::poll::{DynPollable, subscribe};
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use super::tcp_state::{Connection, TcpHandle, TcpSink, TcpSource};
use super::{Network, SocketResult};
use crate::Ctx;
use crate::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use crate::p2::bindings::sockets::{tcp, tcp_create_socket};
use crate::p2::stream::{Input, Output};
use crate::p2::{CALL_FUEL, Slot};

/// Fuel for making or accepting a connection: buffers and table entries.
const SOCKET_FUEL: u64 = 2_000;
/// Keep-alive times are whole seconds between these, Linux' limits (MAX_TCP_KEEPIDLE); shorter and longer ones are clamped.
const KEEP_ALIVE_SECONDS: std::ops::RangeInclusive<u64> = 1..=i16::MAX as u64;
/// Linux' limit on keep-alive probes (MAX_TCP_KEEPCNT).
const MAX_KEEP_ALIVE_COUNT: u32 = i8::MAX as u32;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The two streams of a connection.
type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

impl tcp_create_socket::Host for Ctx {
    fn create_tcp_socket(&mut self, family: IpAddressFamily) -> SocketResult<Resource<TcpHandle>> {
        self.charge(SOCKET_FUEL);
        let slot = Slot::take(&self.process)?;
        let spec = &self.process.spec;
        let socket = spec.net.tcp_socket(family.into(), spec.cgroup.clone())?;
        if family == IpAddressFamily::Ipv6 {
            // the WIT: IPv6 sockets are for IPv6 only
            socket.set_v6only(true)?;
        }
        Ok(self.table.push(TcpHandle::new(socket, slot))?)
    }
}

impl Ctx {
    fn tcp(&mut self, this: &Resource<TcpHandle>) -> SocketResult<&mut TcpHandle> {
        self.charge(CALL_FUEL);
        Ok(self.table.get_mut(this)?)
    }

    /// Makes the streams of `connection`, children of its socket.
    fn tcp_streams(
        &mut self,
        this: &Resource<TcpHandle>,
        connection: std::sync::Arc<Connection>,
    ) -> SocketResult<Streams> {
        let input: DynInputStream = Box::new(Input::new(TcpSource(connection.clone())));
        let output: DynOutputStream = Box::new(Output::new(TcpSink(connection), self.process.spec.cgroup.clone()));
        Ok((self.table.push_child(input, this)?, self.table.push_child(output, this)?))
    }
}

impl tcp::Host for Ctx {}

impl tcp::HostTcpSocket for Ctx {
    fn start_bind(
        &mut self,
        this: Resource<TcpHandle>,
        network: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        self.table.get(&network)?;
        Ok(self.tcp(&this)?.start_bind(address.into())?)
    }

    fn finish_bind(&mut self, this: Resource<TcpHandle>) -> SocketResult<()> {
        Ok(self.tcp(&this)?.finish_bind()?)
    }

    fn start_connect(
        &mut self,
        this: Resource<TcpHandle>,
        network: Resource<Network>,
        address: IpSocketAddress,
    ) -> SocketResult<()> {
        self.charge(SOCKET_FUEL);
        self.table.get(&network)?;
        Ok(self.tcp(&this)?.start_connect(address.into())?)
    }

    fn finish_connect(&mut self, this: Resource<TcpHandle>) -> SocketResult<Streams> {
        let connection = self.tcp(&this)?.finish_connect()?;
        self.tcp_streams(&this, connection)
    }

    fn start_listen(&mut self, this: Resource<TcpHandle>) -> SocketResult<()> {
        Ok(self.tcp(&this)?.start_listen()?)
    }

    fn finish_listen(&mut self, this: Resource<TcpHandle>) -> SocketResult<()> {
        Ok(self.tcp(&this)?.finish_listen()?)
    }

    fn accept(
        &mut self,
        this: Resource<TcpHandle>,
    ) -> SocketResult<(Resource<TcpHandle>, Resource<DynInputStream>, Resource<DynOutputStream>)> {
        self.charge(SOCKET_FUEL);
        let listener = self.table.get(&this)?.listener()?;
        // counted first: at the limit the connection stays in the backlog, as with accept(2)
        let slot = Slot::take(&self.process)?;
        let (socket, _) = listener.accept()?;
        let (handle, connection) = TcpHandle::accepted(socket, slot);
        let handle = self.table.push(handle)?;
        let (input, output) = self.tcp_streams(&handle, connection)?;
        Ok((handle, input, output))
    }

    fn local_address(&mut self, this: Resource<TcpHandle>) -> SocketResult<IpSocketAddress> {
        Ok(self.tcp(&this)?.local_address()?.into())
    }

    fn remote_address(&mut self, this: Resource<TcpHandle>) -> SocketResult<IpSocketAddress> {
        Ok(self.tcp(&this)?.remote_address()?.into())
    }

    fn is_listening(&mut self, this: Resource<TcpHandle>) -> wasmtime::Result<bool> {
        self.charge(CALL_FUEL);
        Ok(self.table.get(&this)?.is_listening())
    }

    fn address_family(&mut self, this: Resource<TcpHandle>) -> wasmtime::Result<IpAddressFamily> {
        self.charge(CALL_FUEL);
        Ok(self.table.get(&this)?.socket.family().into())
    }

    fn set_listen_backlog_size(&mut self, this: Resource<TcpHandle>, value: u64) -> SocketResult<()> {
        Ok(self.tcp(&this)?.set_backlog(value)?)
    }

    fn keep_alive_enabled(&mut self, this: Resource<TcpHandle>) -> SocketResult<bool> {
        Ok(self.tcp(&this)?.options()?.keepalive())
    }

    fn set_keep_alive_enabled(&mut self, this: Resource<TcpHandle>, value: bool) -> SocketResult<()> {
        Ok(self.tcp(&this)?.options()?.set_keepalive(value)?)
    }

    fn keep_alive_idle_time(&mut self, this: Resource<TcpHandle>) -> SocketResult<u64> {
        Ok(nanos(self.tcp(&this)?.options()?.keepalive_idle()))
    }

    fn set_keep_alive_idle_time(&mut self, this: Resource<TcpHandle>, value: u64) -> SocketResult<()> {
        let value = keep_alive_time(value)?;
        Ok(self.tcp(&this)?.options()?.set_keepalive_idle(value)?)
    }

    fn keep_alive_interval(&mut self, this: Resource<TcpHandle>) -> SocketResult<u64> {
        Ok(nanos(self.tcp(&this)?.options()?.keepalive_interval()))
    }

    fn set_keep_alive_interval(&mut self, this: Resource<TcpHandle>, value: u64) -> SocketResult<()> {
        let value = keep_alive_time(value)?;
        Ok(self.tcp(&this)?.options()?.set_keepalive_interval(value)?)
    }

    fn keep_alive_count(&mut self, this: Resource<TcpHandle>) -> SocketResult<u32> {
        Ok(self.tcp(&this)?.options()?.keepalive_count())
    }

    fn set_keep_alive_count(&mut self, this: Resource<TcpHandle>, value: u32) -> SocketResult<()> {
        let value = positive(value)?.min(MAX_KEEP_ALIVE_COUNT);
        Ok(self.tcp(&this)?.options()?.set_keepalive_count(value)?)
    }

    fn hop_limit(&mut self, this: Resource<TcpHandle>) -> SocketResult<u8> {
        Ok(self.tcp(&this)?.options()?.hop_limit())
    }

    fn set_hop_limit(&mut self, this: Resource<TcpHandle>, value: u8) -> SocketResult<()> {
        let socket = self.tcp(&this)?.options()?;
        Ok(socket.set_hop_limit(positive(value)?)?)
    }

    fn receive_buffer_size(&mut self, this: Resource<TcpHandle>) -> SocketResult<u64> {
        Ok(self.tcp(&this)?.options()?.recv_buffer_size())
    }

    fn set_receive_buffer_size(&mut self, this: Resource<TcpHandle>, value: u64) -> SocketResult<()> {
        let socket = self.tcp(&this)?.options()?;
        Ok(socket.set_recv_buffer_size(positive(value)?)?)
    }

    fn send_buffer_size(&mut self, this: Resource<TcpHandle>) -> SocketResult<u64> {
        Ok(self.tcp(&this)?.options()?.send_buffer_size())
    }

    fn set_send_buffer_size(&mut self, this: Resource<TcpHandle>, value: u64) -> SocketResult<()> {
        let socket = self.tcp(&this)?.options()?;
        Ok(socket.set_send_buffer_size(positive(value)?)?)
    }

    fn subscribe(&mut self, this: Resource<TcpHandle>) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(CALL_FUEL);
        subscribe(&mut self.table, this)
    }

    fn shutdown(&mut self, this: Resource<TcpHandle>, how: tcp::ShutdownType) -> SocketResult<()> {
        let how = match how {
            tcp::ShutdownType::Receive => Shutdown::Read,
            tcp::ShutdownType::Send => Shutdown::Write,
            tcp::ShutdownType::Both => Shutdown::Both,
        };
        Ok(self.tcp(&this)?.shutdown(how)?)
    }

    fn drop(&mut self, this: Resource<TcpHandle>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

/// The value of an option that may not be 0.
pub(super) fn positive<T: Default + PartialEq>(value: T) -> Result<T, ErrorCode> {
    if value == T::default() { Err(ErrorCode::InvalidArgument) } else { Ok(value) }
}

fn keep_alive_time(nanos: u64) -> Result<Duration, ErrorCode> {
    let seconds = positive(nanos)? / NANOS_PER_SECOND;
    Ok(Duration::from_secs(seconds.clamp(*KEEP_ALIVE_SECONDS.start(), *KEEP_ALIVE_SECONDS.end())))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
