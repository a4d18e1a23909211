//! The options of a TCP socket (`setsockopt(2)`, `tcp(7)`). Keepalive and the send buffer have an effect over a link only
//! ([`crate::fabric::link`]): elsewhere bytes are never late and peers never vanish silently. Nagle's algorithm and the hop limit are kept
//! and reported, and change nothing.

use std::time::Duration;

use super::wire::Keepalive;
use super::{Phase, TcpSocket};
use crate::{Errno, Result};

/// The smallest socket buffer; smaller values are raised to it, as Linux does with its own minimum.
pub const MIN_SOCKET_BUFFER: u64 = 4096;
/// The largest socket buffer; larger values are cut to it, as with Linux' `net.core.rmem_max`.
pub const MAX_SOCKET_BUFFER: u64 = 4 * 1024 * 1024;
/// The receive buffer of a new TCP socket, as the middle value of Linux' `tcp_rmem`.
pub const DEFAULT_RECV_BUFFER: u64 = 128 * 1024;
/// The send buffer of a new TCP socket.
pub const DEFAULT_SEND_BUFFER: u64 = 64 * 1024;
/// The longest keepalive time (`MAX_TCP_KEEPIDLE`, `MAX_TCP_KEEPINTVL`).
const MAX_KEEPALIVE: Duration = Duration::from_secs(32_767);
/// The most keepalive probes (`MAX_TCP_KEEPCNT`).
const MAX_KEEPALIVE_COUNT: u32 = 127;

#[derive(Debug, Clone)]
pub(super) struct Options {
    pub(super) reuseaddr: bool,
    pub(super) v6only: bool,
    pub(super) linger: Option<Duration>,
    pub(super) recv_buffer: u64,
    send_buffer: u64,
    keepalive: bool,
    keepalive_idle: Duration,
    keepalive_interval: Duration,
    keepalive_count: u32,
    nodelay: bool,
    hop_limit: u8,
}

impl Options {
    /// What a connection over a link needs to know of a side: how much it buffers, and its keepalive.
    pub(super) fn wire_options(&self) -> (usize, Option<Keepalive>) {
        let keepalive = self.keepalive.then_some(Keepalive {
            idle: self.keepalive_idle,
            interval: self.keepalive_interval,
            count: self.keepalive_count,
        });
        (usize::try_from(self.send_buffer).unwrap_or(usize::MAX), keepalive)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            reuseaddr: false,
            v6only: false,
            linger: None,
            recv_buffer: DEFAULT_RECV_BUFFER,
            send_buffer: DEFAULT_SEND_BUFFER,
            keepalive: false,
            keepalive_idle: Duration::from_secs(7200),
            keepalive_interval: Duration::from_secs(75),
            keepalive_count: 9,
            nodelay: false,
            hop_limit: 64,
        }
    }
}

/// A getter and a setter for an option that is only kept.
macro_rules! kept {
    ($($(#[$doc:meta])* $name:ident / $set:ident: $type:ty, $valid:expr;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(&self) -> $type {
                self.control.lock().options.$name
            }

            #[doc = concat!("Sets [`TcpSocket::", stringify!($name), "`].\n\n# Errors\n[`Errno::Inval`] if Linux refuses the value.")]
            pub fn $set(&self, value: $type) -> Result<()> {
                let valid: fn($type) -> bool = $valid;
                if !valid(value) {
                    return Err(Errno::Inval);
                }
                self.set_option(|options| options.$name = value);
                Ok(())
            }
        )*
    };
}

impl TcpSocket {
    kept! {
        /// `SO_REUSEADDR`: share a port with other sockets that set it and do not listen. Read when the socket is bound.
        reuseaddr / set_reuseaddr: bool, |_| true;
        /// `SO_KEEPALIVE`.
        keepalive / set_keepalive: bool, |_| true;
        /// `TCP_KEEPIDLE`, in whole seconds on Linux; 1 s to 32767 s.
        keepalive_idle / set_keepalive_idle: Duration, |time| !time.is_zero() && time <= MAX_KEEPALIVE;
        /// `TCP_KEEPINTVL`; 1 s to 32767 s.
        keepalive_interval / set_keepalive_interval: Duration, |time| !time.is_zero() && time <= MAX_KEEPALIVE;
        /// `TCP_KEEPCNT`; 1 to 127.
        keepalive_count / set_keepalive_count: u32, |count| (1..=MAX_KEEPALIVE_COUNT).contains(&count);
        /// `TCP_NODELAY`. Bytes are never held back, set or not.
        nodelay / set_nodelay: bool, |_| true;
        /// `IP_TTL` or `IPV6_UNICAST_HOPS`; 1 to 255.
        hop_limit / set_hop_limit: u8, |limit| limit > 0;
        /// `SO_LINGER`: `Some(0)` makes close a reset. Other times change nothing: what is written has arrived.
        linger / set_linger: Option<Duration>, |_| true;
    }

    /// `IPV6_V6ONLY`: an IPv6 socket that takes no IPv4 connections.
    pub fn v6only(&self) -> bool {
        self.control.lock().options.v6only
    }

    /// Sets [`TcpSocket::v6only`].
    ///
    /// # Errors
    /// [`Errno::NoProtoOpt`] on an IPv4 socket; [`Errno::Inval`] once the socket is bound.
    pub fn set_v6only(&self, value: bool) -> Result<()> {
        if self.family == crate::netns::Family::V4 {
            return Err(Errno::NoProtoOpt);
        }
        let mut control = self.control.lock();
        if control.local.is_some() {
            return Err(Errno::Inval);
        }
        control.options.v6only = value;
        Ok(())
    }

    /// How many bytes wait here before the peer's writes block (`SO_RCVBUF`, without Linux' doubling).
    pub fn recv_buffer_size(&self) -> u64 {
        self.control.lock().options.recv_buffer
    }

    /// Sets [`TcpSocket::recv_buffer_size`], brought into [`MIN_SOCKET_BUFFER`]`..=`[`MAX_SOCKET_BUFFER`] as Linux does.
    ///
    /// # Errors
    /// [`Errno::Inval`] for 0.
    pub fn set_recv_buffer_size(&self, value: u64) -> Result<()> {
        let value = buffer_size(value)?;
        self.set_option(|options| options.recv_buffer = value);
        if let Some(endpoint) = self.endpoint() {
            endpoint.set_limit(usize::try_from(value).unwrap_or(usize::MAX));
        }
        Ok(())
    }

    /// `SO_SNDBUF`: how much of what was written may wait to be acknowledged over a link. Without a link bytes arrive at once, and wait in
    /// the receiver's buffer and nowhere else.
    pub fn send_buffer_size(&self) -> u64 {
        self.control.lock().options.send_buffer
    }

    /// Sets [`TcpSocket::send_buffer_size`], brought into range like the other buffer.
    ///
    /// # Errors
    /// [`Errno::Inval`] for 0.
    pub fn set_send_buffer_size(&self, value: u64) -> Result<()> {
        let value = buffer_size(value)?;
        self.set_option(|options| options.send_buffer = value);
        Ok(())
    }

    /// Changes the options; a listening socket hands its own on to what it accepts from then on.
    fn set_option(&self, change: impl FnOnce(&mut Options)) {
        let mut control = self.control.lock();
        change(&mut control.options);
        let of_wire = control.options.wire_options();
        if let Some(endpoint) = self.stream.get() {
            drop(control);
            endpoint.set_send_limit(of_wire.0);
            endpoint.set_keepalive(of_wire.1);
            return;
        }
        if let Phase::Listening(listener) = &control.phase {
            listener.set_template(control.options.clone());
        }
    }
}

pub(in crate::netns) fn buffer_size(value: u64) -> Result<u64> {
    if value == 0 { Err(Errno::Inval) } else { Ok(value.clamp(MIN_SOCKET_BUFFER, MAX_SOCKET_BUFFER)) }
}
