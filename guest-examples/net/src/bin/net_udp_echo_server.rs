//! `net_udp_echo_server ADDR [CLIENTS]`: sends datagrams back to where they came from, until so many clients have said
//! `bye`; 0 means for ever.
use std::collections::BTreeSet;
use std::net::UdpSocket;

fn main() {
    let address = guest_net::listen_address(&guest_net::arg(1, "7001"));
    let clients = guest_net::number(2, 0) as usize;
    let socket = guest_net::must(&format!("bind {address}"), UdpSocket::bind(&address));
    println!("bound to {address}");
    // a client says it again when the answer is late: it counts once
    let (mut buffer, mut gone) = (vec![0; 65_536], BTreeSet::new());
    while clients == 0 || gone.len() < clients {
        let (n, peer) = guest_net::must("receive", socket.recv_from(&mut buffer));
        guest_net::must("send", socket.send_to(&buffer[..n], peer));
        if &buffer[..n] == b"bye" && gone.insert(peer) {
            println!("{} said bye", peer.ip());
        }
    }
    println!("{} clients are done", gone.len());
}
