//! What an onlooker sees of the sockets of a pod (`ss(8)`): a snapshot, not the sockets. Owns the types only.

use std::net::SocketAddr;
use std::time::Duration;

use super::Family;

/// The transport protocol of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// The state of a TCP socket, with Linux' numbers (include/net/tcp_states.h) and RFC 9293's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum TcpState {
    /// Both directions are open.
    Established = 1,
    /// A connect is under way.
    SynSent = 2,
    /// A connection over a link whose client has not answered yet.
    SynRecv = 3,
    /// This side has sent its last byte over a link; it is not acknowledged yet.
    FinWait1 = 4,
    /// This side has sent its last byte; the other has not.
    FinWait2 = 5,
    /// Over; this side ended first and keeps the addresses and ports for a while.
    TimeWait = 6,
    /// Not connected, or no longer.
    Close = 7,
    /// The other side has sent its last byte; this one has not.
    CloseWait = 8,
    /// Both sides have sent their last byte, the other one first; ours is not acknowledged yet.
    LastAck = 9,
    /// Waits for connections.
    Listen = 10,
    /// Both sides have sent their last byte at once; ours is not acknowledged yet.
    Closing = 11,
}

impl TcpState {
    /// The name that `ss(8)` prints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "ESTAB",
            Self::SynSent => "SYN-SENT",
            Self::SynRecv => "SYN-RECV",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::TimeWait => "TIME-WAIT",
            Self::LastAck => "LAST-ACK",
            Self::Closing => "CLOSING",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::Close => "UNCONN",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Listen => "LISTEN",
        }
    }

    /// Linux' number, as in `/proc/net/tcp`.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// One socket at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketInfo {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its family; an IPv6 socket shows IPv4 addresses mapped.
    pub family: Family,
    /// The local address.
    pub local: SocketAddr,
    /// The remote address; the wildcard with port 0 if there is none.
    pub remote: SocketAddr,
    /// The state. A UDP socket is [`TcpState::Established`] when connected, else [`TcpState::Close`].
    pub state: TcpState,
    /// Bytes that wait to be read here; for a listening socket, connections that wait to be accepted.
    pub rx_queue: u64,
    /// Bytes written here that the other side has not read; for a listening socket, its backlog.
    pub tx_queue: u64,
    /// Datagrams that were dropped because the queue was full (UDP).
    pub drops: u64,
    /// The socket's number, unique among all pods of the fabric.
    pub inode: u64,
    /// False while it waits in an accept queue.
    pub accepted: bool,
    /// The path of the cgroup that it is charged to, which is its container's; empty for one of the node.
    pub owner: String,
    /// How long it stays in [`TcpState::TimeWait`].
    pub time_wait: Option<Duration>,
}

impl SocketInfo {
    /// A connection in TIME-WAIT, which has no socket any more. Of an IPv6 socket's IPv4 connection the IPv4 addresses are left.
    pub(super) fn time_wait(local: SocketAddr, remote: SocketAddr, left: Duration) -> Self {
        Self {
            protocol: Protocol::Tcp,
            family: if local.is_ipv4() { Family::V4 } else { Family::V6 },
            local,
            remote,
            state: TcpState::TimeWait,
            rx_queue: 0,
            tx_queue: 0,
            drops: 0,
            inode: 0,
            accepted: true,
            owner: String::new(),
            time_wait: Some(left),
        }
    }
}
