//! `/proc/net/tcp`, `tcp6`, `udp` and `udp6`, character by character as Linux prints them (net/ipv4/tcp_ipv4.c `get_tcp4_sock`,
//! net/ipv4/udp.c `udp4_format_sock`, their IPv6 twins). Numbers that have no meaning here (timers, windows) are those of an idle
//! socket; pointers are zero, as Linux shows them to those who may not know.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use super::info::{Protocol, SocketInfo, TcpState};
use super::{Family, NetNs};

/// Lines of `tcp` are padded to this width (`TMPSZ - 1`).
const TCP_WIDTH: usize = 149;
/// Lines of `udp` are padded to this width.
const UDP_WIDTH: usize = 127;

const TCP4_HEADER: &str =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const UDP4_HEADER: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops";
const TCP6_HEADER: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const UDP6_HEADER: &str = "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops";

impl NetNs {
    /// The text of `/proc/net/tcp`.
    pub fn render_proc_net_tcp(&self) -> String {
        render(TCP4_HEADER, Protocol::Tcp, Family::V4, TCP_WIDTH, &self.sockets())
    }

    /// The text of `/proc/net/tcp6`.
    pub fn render_proc_net_tcp6(&self) -> String {
        render(TCP6_HEADER, Protocol::Tcp, Family::V6, 0, &self.sockets())
    }

    /// The text of `/proc/net/udp`.
    pub fn render_proc_net_udp(&self) -> String {
        render(UDP4_HEADER, Protocol::Udp, Family::V4, UDP_WIDTH, &self.sockets())
    }

    /// The text of `/proc/net/udp6`.
    pub fn render_proc_net_udp6(&self) -> String {
        render(UDP6_HEADER, Protocol::Udp, Family::V6, 0, &self.sockets())
    }
}

/// Lines of `route` are padded to this width.
const ROUTE_WIDTH: usize = 127;
const ROUTE_HEADER: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                                                       ";

impl NetNs {
    /// The text of `/proc/net/route` (`fib_route_seq_show`): the pods' network and nothing else, as there is no way out of it.
    pub fn render_proc_net_route(&self) -> String {
        let bits = self.fabric.upgrade().map_or(32, |fabric| fabric.config().pod_cidr_v4.1);
        let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
        let word = |address: u32| address.swap_bytes(); // as a little-endian machine shows it
        let up = u8::from(self.is_attached());
        let line = format!(
            "eth0\t{:08X}\t{:08X}\t{up:04X}\t0\t0\t0\t{:08X}\t0\t0\t0",
            word(self.ipv4.to_bits() & mask),
            0,
            word(mask)
        );
        format!("{ROUTE_HEADER}\n{line:ROUTE_WIDTH$}\n")
    }

    /// The text of `/proc/net/if_inet6` (`if6_seq_show`): address, interface number, prefix, scope, flags, name.
    pub fn render_proc_net_if_inet6(&self) -> String {
        let bits = self.fabric.upgrade().map_or(128, |fabric| fabric.config().pod_cidr_v6.1);
        let line = |address: u128, number: u8, bits: u8, scope: u8, name: &str| {
            format!("{address:032x} {number:02x} {bits:02x} {scope:02x} 80 {name:>8}\n")
        };
        line(1, 1, 128, 0x10, "lo") + &line(self.ipv6.to_bits(), 2, bits, 0, "eth0")
    }

    /// The text of `/proc/net/sockstat` (`sockstat_seq_show`). Memory is in each container's cgroup and shown as 0 pages here.
    pub fn render_proc_net_sockstat(&self) -> String {
        let sockets = self.sockets();
        let count = |protocol| {
            sockets.iter().filter(|socket| socket.protocol == protocol && socket.time_wait.is_none()).count()
        };
        let (tcp, udp) = (count(Protocol::Tcp), count(Protocol::Udp));
        let waiting = sockets.iter().filter(|socket| socket.time_wait.is_some()).count();
        format!(
            "sockets: used {}\nTCP: inuse {tcp} orphan 0 tw {waiting} alloc {tcp} mem 0\nUDP: inuse {udp} mem 0\nUDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n",
            tcp + udp
        )
    }
}

fn render(header: &str, protocol: Protocol, family: Family, width: usize, sockets: &[SocketInfo]) -> String {
    let shown = sockets.iter().filter(|socket| socket.protocol == protocol && socket.family == family);
    let mut text = format!("{header:width$}\n");
    for (index, socket) in shown.enumerate() {
        let line = match protocol {
            Protocol::Tcp => tcp_line(index, socket),
            Protocol::Udp => udp_line(index, socket),
        };
        _ = writeln!(text, "{line:width$}"); // writing to a string cannot fail
    }
    text
}

fn tcp_line(index: usize, socket: &SocketInfo) -> String {
    let listens = socket.state == TcpState::Listen;
    let tx_queue = if listens { 0 } else { socket.tx_queue };
    // retransmission timeout, delayed-acknowledgement timeout, its flags, congestion window, slow-start threshold
    let timers = if listens { "100 0 0 10 0" } else { "20 4 30 10 -1" };
    if let Some(left) = socket.time_wait {
        let ticks = left.as_millis() / 10; // the clock that the kernel shows has 100 a second
        let (local, remote) = (address(socket.local), address(socket.remote));
        return format!(
            "{index:4}: {local} {remote} 06 00000000:00000000 03:{ticks:08X} 00000000 {:5} {:8} 0 3 {:016x}",
            0, 0, 0
        );
    }
    let inode = if socket.accepted { socket.inode } else { 0 };
    format!(
        "{index:4}: {} {} {:02X} {tx_queue:08X}:{:08X} 00:00000000 00000000 {:5} {:8} {inode} 1 {:016x} {timers}",
        address(socket.local),
        address(socket.remote),
        socket.state.number(),
        socket.rx_queue,
        0,
        0,
        0,
    )
}

fn udp_line(index: usize, socket: &SocketInfo) -> String {
    format!(
        "{index:5}: {} {} {:02X} {:08X}:{:08X} 00:00000000 00000000 {:5} {:8} {} 2 {:016x} {}",
        address(socket.local),
        address(socket.remote),
        socket.state.number(),
        socket.tx_queue,
        socket.rx_queue,
        0,
        0,
        socket.inode,
        0,
        socket.drops,
    )
}

/// An address as words of a little-endian machine, which is what nearly all readers of these files expect.
fn address(addr: SocketAddr) -> String {
    let words = |octets: &[u8]| -> String {
        octets
            .chunks_exact(4)
            .map(|word| word.iter().rev().map(|byte| format!("{byte:02X}")).collect::<String>())
            .collect()
    };
    let ip = match addr.ip() {
        IpAddr::V4(ip) => words(&ip.octets()),
        IpAddr::V6(ip) => words(&ip.octets()),
    };
    format!("{ip}:{:04X}", addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(protocol: Protocol, family: Family, local: &str, remote: &str, state: TcpState) -> SocketInfo {
        SocketInfo {
            protocol,
            family,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            state,
            rx_queue: 0,
            tx_queue: 0,
            drops: 0,
            inode: 1076,
            accepted: true,
            owner: String::new(),
            time_wait: None,
        }
    }

    // the expected texts were read from a Linux 6.18 kernel; only the pointer and the inode are ours

    #[test]
    fn tcp_is_as_linux_prints_it() {
        let listens = info(Protocol::Tcp, Family::V4, "0.0.0.0:2024", "0.0.0.0:0", TcpState::Listen);
        let text = render(TCP4_HEADER, Protocol::Tcp, Family::V4, TCP_WIDTH, &[listens]);
        let header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     ";
        let line = "   0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1076 1 0000000000000000 100 0 0 10 0                      ";
        assert_eq!(text, format!("{header}\n{line}\n"));
    }

    #[test]
    fn time_wait_shows_how_long_it_lasts() {
        let left = std::time::Duration::from_millis(59_990);
        let over = SocketInfo::time_wait("127.0.0.1:80".parse().unwrap(), "127.0.0.1:4096".parse().unwrap(), left);
        let text = render(TCP4_HEADER, Protocol::Tcp, Family::V4, TCP_WIDTH, &[over]);
        let line = "   0: 0100007F:0050 0100007F:1000 06 00000000:00000000 03:0000176F 00000000     0        0 0 3 0000000000000000";
        assert_eq!(text.lines().nth(1).unwrap(), format!("{line:149}"));
    }

    #[test]
    fn udp_is_as_linux_prints_it() {
        let mut connected = info(Protocol::Udp, Family::V4, "127.0.0.1:51811", "127.0.0.1:9", TcpState::Established);
        (connected.inode, connected.drops) = (43078, 3);
        let text = render(UDP4_HEADER, Protocol::Udp, Family::V4, UDP_WIDTH, &[connected]);
        let header = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops            ";
        let line = "    0: 0100007F:CA63 0100007F:0009 01 00000000:00000000 00:00000000 00000000     0        0 43078 2 0000000000000000 3         ";
        assert_eq!(text, format!("{header}\n{line}\n"));
    }

    #[test]
    fn ipv6_is_four_words_and_not_padded() {
        let tcp = info(Protocol::Tcp, Family::V6, "[::1]:80", "[::ffff:10.244.0.2]:1", TcpState::CloseWait);
        let text = render(TCP6_HEADER, Protocol::Tcp, Family::V6, 0, std::slice::from_ref(&tcp));
        assert!(text.ends_with(
            "   0: 00000000000000000000000001000000:0050 0000000000000000FFFF00000200F40A:0001 08 00000000:00000000 00:00000000 00000000     0        0 1076 1 0000000000000000 20 4 30 10 -1\n"
        ), "{text}");
        assert_eq!(render(UDP6_HEADER, Protocol::Udp, Family::V6, 0, &[tcp]), format!("{UDP6_HEADER}\n"));
    }
}
