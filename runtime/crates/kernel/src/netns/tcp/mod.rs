//! Being built.
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use super::{Family, Shutdown, TcpState};
use crate::wait::Ready;
use crate::{Errno, Result};

/// A TCP socket.
pub struct TcpSocket {}

impl TcpSocket {
    /// As the call of that name.
    pub fn bind(&self, addr: SocketAddr) -> Result<()> {
        let _ = (addr);
        Err(Errno::NoSys)
    }
    /// As the call of that name.
    pub fn listen(&self, backlog: u32) -> Result<()> {
        let _ = (backlog);
        Err(Errno::NoSys)
    }
    /// As the call of that name.
    pub fn accept(&self) -> Result<(Arc<TcpSocket>, SocketAddr)> {
        Err(Errno::NoSys)
    }
    /// As the call of that name.
    pub fn connect(&self, addr: SocketAddr) -> Result<()> {
        let _ = (addr);
        Err(Errno::NoSys)
    }
    /// As the call of that name.
    pub fn take_connect_result(&self) -> Result<()> {
        Err(Errno::NoSys)
    }
    /// As the call of that name.
    pub fn read(&self, buf: &mut [u8]) -> Result<usize> {
        let _ = (buf);
        Err(Errno::NoSys)
    }
    /// As the call of that name.
    pub fn peek(&self, buf: &mut [u8]) -> Result<usize> {
        let _ = (buf);
        Err(Errno::NoSys)
    }
    /// As the call of that name.
    pub fn write(&self, buf: &[u8]) -> Result<usize> {
        let _ = (buf);
        Err(Errno::NoSys)
    }
    /// As the call of that name.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        let _ = (how);
        Err(Errno::NoSys)
    }
    /// As the call of that name.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        Err(Errno::NoSys)
    }
    /// As the call of that name.
    pub fn peer_addr(&self) -> Result<SocketAddr> {
        Err(Errno::NoSys)
    }
    /// Readiness as of `poll(2)`.
    pub fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        let _ = (interest, cx);
        Ready::empty()
    }
    /// The pending error, cleared (`SO_ERROR`).
    pub fn take_error(&self) -> Option<Errno> {
        None
    }
    /// The family.
    pub fn family(&self) -> Family {
        Family::V4
    }
    /// The socket's number.
    pub fn inode(&self) -> u64 {
        0
    }
    /// The state.
    pub fn state(&self) -> TcpState {
        TcpState::Close
    }
    /// How many bytes a write would take now.
    pub fn writable_bytes(&self) -> usize {
        0
    }
    /// How many bytes a read would return now.
    pub fn readable_bytes(&self) -> usize {
        0
    }
    /// Option.
    pub fn reuseaddr(&self) -> bool {
        Default::default()
    }
    /// Sets the option.
    pub fn set_reuseaddr(&self, value: bool) -> Result<()> {
        let _ = value;
        Err(Errno::NoSys)
    }
    /// Option.
    pub fn v6only(&self) -> bool {
        Default::default()
    }
    /// Sets the option.
    pub fn set_v6only(&self, value: bool) -> Result<()> {
        let _ = value;
        Err(Errno::NoSys)
    }
    /// Option.
    pub fn keepalive(&self) -> bool {
        Default::default()
    }
    /// Sets the option.
    pub fn set_keepalive(&self, value: bool) -> Result<()> {
        let _ = value;
        Err(Errno::NoSys)
    }
    /// Option.
    pub fn keepalive_idle(&self) -> Duration {
        Default::default()
    }
    /// Sets the option.
    pub fn set_keepalive_idle(&self, value: Duration) -> Result<()> {
        let _ = value;
        Err(Errno::NoSys)
    }
    /// Option.
    pub fn keepalive_interval(&self) -> Duration {
        Default::default()
    }
    /// Sets the option.
    pub fn set_keepalive_interval(&self, value: Duration) -> Result<()> {
        let _ = value;
        Err(Errno::NoSys)
    }
    /// Option.
    pub fn keepalive_count(&self) -> u32 {
        Default::default()
    }
    /// Sets the option.
    pub fn set_keepalive_count(&self, value: u32) -> Result<()> {
        let _ = value;
        Err(Errno::NoSys)
    }
    /// Option.
    pub fn nodelay(&self) -> bool {
        Default::default()
    }
    /// Sets the option.
    pub fn set_nodelay(&self, value: bool) -> Result<()> {
        let _ = value;
        Err(Errno::NoSys)
    }
    /// Option.
    pub fn hop_limit(&self) -> u8 {
        Default::default()
    }
    /// Sets the option.
    pub fn set_hop_limit(&self, value: u8) -> Result<()> {
        let _ = value;
        Err(Errno::NoSys)
    }
    /// Option.
    pub fn recv_buffer_size(&self) -> u64 {
        Default::default()
    }
    /// Sets the option.
    pub fn set_recv_buffer_size(&self, value: u64) -> Result<()> {
        let _ = value;
        Err(Errno::NoSys)
    }
    /// Option.
    pub fn send_buffer_size(&self) -> u64 {
        Default::default()
    }
    /// Sets the option.
    pub fn set_send_buffer_size(&self, value: u64) -> Result<()> {
        let _ = value;
        Err(Errno::NoSys)
    }
    /// Option.
    pub fn linger(&self) -> Option<Duration> {
        Default::default()
    }
    /// Sets the option.
    pub fn set_linger(&self, value: Option<Duration>) -> Result<()> {
        let _ = value;
        Err(Errno::NoSys)
    }
}
