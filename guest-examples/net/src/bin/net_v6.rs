//! The same over IPv6: both ends in one program, TCP and UDP.
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

use guest_net::{check, must};

fn main() {
    let listener = must("bind [::1]", TcpListener::bind("[::1]:0"));
    let address = must("local_addr", listener.local_addr());
    check("the address is IPv6 loopback", address.is_ipv6() && address.ip().is_loopback(), &address);
    let mut client = must("connect", TcpStream::connect(address));
    let (mut server, peer) = must("accept", listener.accept());
    check("the peer is IPv6 loopback", peer.is_ipv6() && peer.ip().is_loopback(), &peer);
    must("send", client.write_all(b"over six"));
    drop(client);
    let mut text = String::new();
    must("receive", server.read_to_string(&mut text));
    check("it arrived", text == "over six", &text);
    let (a, b) = (must("bind udp", UdpSocket::bind("[::1]:0")), must("bind udp", UdpSocket::bind("[::1]:0")));
    let to = must("local_addr", b.local_addr());
    must("send datagram", a.send_to(b"dgram", to));
    let mut buffer = [0; 16];
    let (n, from) = must("receive datagram", b.recv_from(&mut buffer));
    check("the datagram arrived", &buffer[..n] == b"dgram" && Ok(from) == a.local_addr().map_err(|e| e.kind()), &from);
    println!("net_v6: all done");
}
