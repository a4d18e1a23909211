//! A tap sees every packet that the pods' stacks send, as `tcpdump(8)` on all their interfaces would, loopback included, where a packet is
//! seen once. Owns what a packet is; not where it is written to.
//!
//! Stacks here move bytes, not packets. With a tap, each connection is cut into segments as [`crate::netns`] does for links, so that the
//! packets are those which would be on a wire: with sequence numbers, acknowledgements and windows. Without one nothing of this runs.

use std::net::SocketAddr;

use wasmpod_sim::UnixNanos;

bitflags::bitflags! {
    /// The flags of a TCP header (RFC 9293 section 3.1), with their bits.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct TcpFlags: u8 {
        /// The sender's last byte is behind this segment.
        const FIN = 1;
        /// The sequence number is the initial one.
        const SYN = 2;
        /// The connection is over.
        const RST = 4;
        /// Hand the bytes to the program.
        const PSH = 8;
        /// The acknowledgement number counts.
        const ACK = 16;
    }
}

/// The window scale that every stack offers (RFC 7323): windows are told in units of 128 bytes.
pub const WINDOW_SCALE: u8 = 7;

/// What is in an IP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment<'a> {
    /// A TCP segment. One with SYN has the options MSS and window scale.
    Tcp {
        /// The sequence number.
        seq: u32,
        /// The acknowledgement number.
        ack: u32,
        /// The flags.
        flags: TcpFlags,
        /// The window as it is in the header: scaled, but for a SYN.
        window: u16,
        /// The largest segment that the sender takes, in bytes.
        mss: u16,
        /// The bytes.
        payload: &'a [u8],
    },
    /// A UDP datagram; never fragmented, however large.
    Udp {
        /// The bytes.
        payload: &'a [u8],
    },
}

/// One packet, when it is sent. Both addresses are of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The wall clock.
    pub at: UnixNanos,
    /// The source.
    pub from: SocketAddr,
    /// The destination.
    pub to: SocketAddr,
    /// What it carries.
    pub segment: Segment<'a>,
}

/// Somebody who looks at packets. Called with locks of the stack held: it must not call back into it.
pub trait Tap: Send + Sync {
    /// A packet is sent. Packets that a link loses are seen as well; those it holds are seen when it lets go of them.
    fn packet(&self, packet: &Packet<'_>);
}
