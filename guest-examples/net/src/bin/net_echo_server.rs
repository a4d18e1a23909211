//! `net_echo_server ADDR [CONNECTIONS]`: sends back what it is sent, one connection after the other; 0 means for ever.
use std::io::{Read, Write};

fn main() {
    let listener = guest_net::listen(&guest_net::listen_address(&guest_net::arg(1, "7000")));
    let connections = guest_net::number(2, 0);
    let mut served = 0;
    while connections == 0 || served < connections {
        let (mut stream, peer) = guest_net::must("accept", listener.accept());
        served += 1;
        let (mut buffer, mut total) = ([0; 16 * 1024], 0);
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    guest_net::must("write", stream.write_all(&buffer[..n]));
                    total += n;
                }
                Err(e) => guest_net::die("read", &e),
            }
        }
        println!("connection {served} from {}: {total} bytes", peer.ip());
    }
    println!("served {served} connections");
}
