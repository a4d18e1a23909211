//! `net_udp_echo_server ADDR [DATAGRAMS]`: sends datagrams back to where they came from; 0 means for ever.
use std::net::UdpSocket;

fn main() {
    let address = guest_net::listen_address(&guest_net::arg(1, "7001"));
    let datagrams = guest_net::number(2, 0);
    let socket = guest_net::must(&format!("bind {address}"), UdpSocket::bind(&address));
    println!("bound to {address}");
    let (mut buffer, mut served) = (vec![0; 65_536], 0);
    while datagrams == 0 || served < datagrams {
        let (n, peer) = guest_net::must("receive", socket.recv_from(&mut buffer));
        guest_net::must("send", socket.send_to(&buffer[..n], peer));
        served += 1;
        println!("datagram {served} from {}: {n} bytes", peer.ip());
    }
}
