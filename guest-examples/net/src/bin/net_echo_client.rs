//! `net_echo_client ADDR [COUNT [SIZE]]`: sends COUNT messages of SIZE bytes and checks that each comes back.
use std::io::{Read, Write};

fn main() {
    let address = guest_net::arg(1, "127.0.0.1:7000");
    let (count, size) = (guest_net::number(2, 3), guest_net::number(3, 64) as usize);
    let mut stream = guest_net::connect(&address);
    println!("connected to {address}");
    let mut back = vec![0; size];
    for message in 0..count {
        let sent = guest_net::pattern(message, size);
        guest_net::must("send", stream.write_all(&sent));
        guest_net::must("receive", stream.read_exact(&mut back));
        if back != sent {
            println!("FAILED message {message} came back changed");
            std::process::exit(1);
        }
    }
    println!("echoed {count} messages of {size} bytes");
}
