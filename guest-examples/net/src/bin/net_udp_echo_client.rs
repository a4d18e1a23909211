//! `net_udp_echo_client HOST:PORT [COUNT [SIZE]]`: sends COUNT datagrams of SIZE bytes, each until it comes back, then `bye`.
//!
//! The first may go to nobody, as the server starts beside it; so each is sent again after 100 ms, at most for 30 s.
use std::io::ErrorKind::{ConnectionRefused, ConnectionReset, WouldBlock};
use std::net::{ToSocketAddrs, UdpSocket};
use std::time::Duration;

const POLLS: u32 = 10;
const RESENDS: u32 = 300;

fn main() {
    let address = guest_net::arg(1, "127.0.0.1:7001");
    let (count, size) = (guest_net::number(2, 3), guest_net::number(3, 64) as usize);
    let server = (0..guest_net::RETRIES)
        .find_map(|_| {
            let found = address.to_socket_addrs().ok().and_then(|mut all| all.next());
            if found.is_none() {
                std::thread::sleep(guest_net::RETRY_PAUSE);
            }
            found
        })
        .unwrap_or_else(|| guest_net::die(&format!("resolve {address}"), &std::io::ErrorKind::NotFound.into()));
    let local = if server.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let socket = guest_net::must("bind", UdpSocket::bind(local));
    guest_net::must("set_nonblocking", socket.set_nonblocking(true));
    for message in 0..count {
        exchange(&socket, server, &guest_net::pattern(message, size), message);
    }
    exchange(&socket, server, b"bye", count);
    println!("echoed {count} datagrams of {size} bytes");
}

fn exchange(socket: &UdpSocket, server: std::net::SocketAddr, sent: &[u8], message: u64) {
    let mut back = vec![0; 65_536];
    for _ in 0..RESENDS {
        match socket.send_to(sent, server) {
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ConnectionRefused | WouldBlock) => {}
            Err(e) => guest_net::die("send", &e),
        }
        for _ in 0..POLLS {
            match socket.recv_from(&mut back) {
                // the echo of an earlier try may still be under way: it is not this message's
                Ok((n, from)) if from == server && back[..n] == *sent => return,
                Ok(_) => {}
                Err(e) if matches!(e.kind(), WouldBlock | ConnectionRefused | ConnectionReset) => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(e) => guest_net::die("receive", &e),
            }
        }
    }
    println!("FAILED message {message}: no answer");
    std::process::exit(1)
}
