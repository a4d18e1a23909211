//! `net_errors [UNREACHABLE]`: what fails, and how. UNREACHABLE is an address outside, to which there is no way.
use std::io::ErrorKind::{
    AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable, NotConnected, WouldBlock,
};
use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};

use guest_net::{check, check_kind, must};

/// EMSGSIZE of WASI's libc; std has no stable kind for it.
const EMSGSIZE: i32 = 35;

fn main() {
    let port = {
        let gone = must("bind", TcpListener::bind("127.0.0.1:0"));
        must("local_addr", gone.local_addr()).port()
    };
    check_kind("connect where nobody listens", &TcpStream::connect(("127.0.0.1", port)), &[ConnectionRefused]);
    check_kind("bind an address of nobody here", &TcpListener::bind("192.0.2.1:0"), &[AddrNotAvailable]);
    let listener = must("bind", TcpListener::bind("127.0.0.1:0"));
    must("set_nonblocking", listener.set_nonblocking(true));
    check_kind("accept when nobody came", &listener.accept(), &[WouldBlock]);
    let mut client = must("connect", TcpStream::connect(must("local_addr", listener.local_addr())));
    must("set_nonblocking", client.set_nonblocking(true));
    check_kind("read when nothing came", &client.read(&mut [0; 1]), &[WouldBlock]);
    let udp = must("bind", UdpSocket::bind("127.0.0.1:0"));
    let to = must("local_addr", udp.local_addr());
    let large = udp.send_to(&vec![0; 66_000], to);
    check("a datagram that is too large", large.as_ref().is_err_and(|e| e.raw_os_error() == Some(EMSGSIZE)), &large);
    let lonely = udp.send(b"to whom");
    check("send without an address", lonely.is_err(), &lonely);
    check_kind("peer of an unconnected socket", &udp.peer_addr(), &[NotConnected]);
    if let Some(outside) = std::env::args().nth(1) {
        check_kind("connect outside", &TcpStream::connect(&outside), &[NetworkUnreachable, HostUnreachable]);
    }
    println!("net_errors: all done");
}
