//! Being built.
use std::net::SocketAddr;
use std::task::Context;

use super::Family;
use crate::wait::Ready;
use crate::{Errno, Result};

/// One received datagram: bytes put into the buffer, who sent it, and how many bytes did not fit and are lost.
pub type Received = (usize, SocketAddr, usize);

/// A UDP socket.
pub struct UdpSocket {}

impl UdpSocket {
    /// As the call of that name.
    pub fn bind(&self, addr: SocketAddr) -> Result<()> {
        let _ = (addr);
        Err(Errno::NoSys)
    }
    /// As the call of that name.
    pub fn connect(&self, addr: SocketAddr) -> Result<()> {
        let _ = (addr);
        Err(Errno::NoSys)
    }
    /// As the call of that name.
    pub fn disconnect(&self) -> Result<()> {
        Err(Errno::NoSys)
    }
    /// As the call of that name.
    pub fn send_to(&self, buf: &[u8], to: Option<SocketAddr>) -> Result<usize> {
        let _ = (buf, to);
        Err(Errno::NoSys)
    }
    /// As the call of that name.
    pub fn recv_from(&self, buf: &mut [u8]) -> Result<Received> {
        let _ = (buf);
        Err(Errno::NoSys)
    }
    /// As the call of that name.
    pub fn peek_from(&self, buf: &mut [u8]) -> Result<Received> {
        let _ = (buf);
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
}
