//! A pod's network stack (`network_namespaces(7)`): being built. The signatures are final.

mod addr;
mod info;
mod tcp;
mod udp;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

pub use self::addr::Family;
pub use self::info::{Protocol, SocketInfo, TcpState};
pub use self::tcp::TcpSocket;
pub use self::udp::{Received, UdpSocket};
use crate::cgroup::Cgroup;
use crate::fabric::ResolveError;
use crate::{Errno, Result};

/// Which direction `shutdown(2)` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// No more reading.
    Read,
    /// No more writing: the other side reads the end of the stream.
    Write,
    /// Both.
    Both,
}

/// One line of `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsEntry {
    /// The address.
    pub ip: IpAddr,
    /// Its names.
    pub names: Vec<String>,
}

/// What `/etc/resolv.conf` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsConfig {
    /// Domains to append, in order.
    pub search: Vec<String>,
    /// A name with fewer dots is looked up in the search domains first.
    pub ndots: u8,
}

/// One pod's network stack.
pub struct NetNs {
    ipv4: Ipv4Addr,
    ipv6: Ipv6Addr,
}

impl NetNs {
    /// The pod's IPv4 address.
    pub fn ipv4(&self) -> Ipv4Addr {
        self.ipv4
    }
    /// The pod's IPv6 address.
    pub fn ipv6(&self) -> Ipv6Addr {
        self.ipv6
    }
    /// Makes a TCP socket, charged to `memory`.
    pub fn tcp_socket(self: &Arc<Self>, family: Family, memory: Arc<Cgroup>) -> Result<Arc<TcpSocket>> {
        let _ = (family, memory);
        Err(Errno::NoSys)
    }
    /// Makes a UDP socket, charged to `memory`.
    pub fn udp_socket(self: &Arc<Self>, family: Family, memory: Arc<Cgroup>) -> Result<Arc<UdpSocket>> {
        let _ = (family, memory);
        Err(Errno::NoSys)
    }
    /// Replaces the `/etc/hosts` entries that [`NetNs::resolve`] looks at first.
    pub fn set_hosts(&self, entries: Vec<HostsEntry>) {
        let _ = entries;
    }
    /// Replaces the search list of [`NetNs::resolve`].
    pub fn set_dns(&self, dns: DnsConfig) {
        let _ = dns;
    }
    /// Looks a name up.
    pub fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let _ = name;
        Err(ResolveError::Temporary)
    }
    /// Connects from the node's address to a port of this pod.
    pub fn host_connect(&self, port: u16) -> Result<Arc<TcpSocket>> {
        let _ = port;
        Err(Errno::NoSys)
    }
    /// A UDP socket of the node, connected to a port of this pod.
    pub fn host_udp(&self, port: u16) -> Result<Arc<UdpSocket>> {
        let _ = port;
        Err(Errno::NoSys)
    }
    /// A snapshot of all sockets.
    pub fn sockets(&self) -> Vec<SocketInfo> {
        Vec::new()
    }
    /// `/proc/net/tcp`.
    pub fn render_proc_net_tcp(&self) -> String {
        String::new()
    }
    /// `/proc/net/tcp6`.
    pub fn render_proc_net_tcp6(&self) -> String {
        String::new()
    }
    /// `/proc/net/udp`.
    pub fn render_proc_net_udp(&self) -> String {
        String::new()
    }
    /// `/proc/net/udp6`.
    pub fn render_proc_net_udp6(&self) -> String {
        String::new()
    }
}
