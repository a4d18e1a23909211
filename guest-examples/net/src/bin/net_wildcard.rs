//! `net_wildcard [POD_IP]`: wildcard and specific binds of one port, with Linux's rules.
use std::io::ErrorKind::AddrInUse;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};

use guest_net::{check, check_kind, must};

fn main() {
    let any = must("bind 0.0.0.0", TcpListener::bind("0.0.0.0:0"));
    let port = must("local_addr", any.local_addr()).port();
    let local = must("connect over lo", TcpStream::connect(("127.0.0.1", port)));
    let (_, peer) = must("accept", any.accept());
    check("a wildcard listener is reached over lo", peer.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST), &peer);
    drop(local);
    if let Some(ip) = std::env::args().nth(1).and_then(|a| a.parse::<IpAddr>().ok()) {
        let outer = must("connect to the pod's own address", TcpStream::connect((ip, port)));
        let (_, peer) = must("accept", any.accept());
        check("and over the pod's address", peer.ip() == ip, &peer);
        drop(outer);
    }
    check_kind("127.0.0.1 while 0.0.0.0 listens", &TcpListener::bind(("127.0.0.1", port)), &[AddrInUse]);
    drop(any);
    let one = must("bind 127.0.0.1", TcpListener::bind(("127.0.0.1", port)));
    check_kind("0.0.0.0 while 127.0.0.1 listens", &TcpListener::bind(("0.0.0.0", port)), &[AddrInUse]);
    check("[::1] is another port table", TcpListener::bind(("::1", port)).is_ok(), &());
    drop(one);
    let udp = must("bind udp 0.0.0.0", UdpSocket::bind("0.0.0.0:0"));
    let port = must("local_addr", udp.local_addr()).port();
    check_kind("udp 127.0.0.1 while 0.0.0.0 is bound", &UdpSocket::bind(("127.0.0.1", port)), &[AddrInUse]);
    println!("net_wildcard: all done");
}
