//! `net_name NAME:PORT [connect]`: prints the addresses of NAME, sorted, and with `connect` sends it a line and prints
//! what comes back.
use std::io::{Read, Write};
use std::net::{Shutdown, ToSocketAddrs};

fn main() {
    let name = guest_net::arg(1, "localhost:80");
    match name.to_socket_addrs() {
        Ok(found) => {
            let mut found: Vec<_> = found.map(|a| a.ip()).collect();
            found.sort();
            found.dedup();
            found.iter().for_each(|ip| println!("{} is {ip}", name.rsplit_once(':').map_or(&*name, |(host, _)| host)));
        }
        Err(e) => {
            println!("{name}: {e}");
            std::process::exit(1)
        }
    }
    if guest_net::arg(2, "") == "connect" {
        let mut stream = guest_net::connect(&name);
        guest_net::must("send", stream.write_all(b"hello by name\n"));
        guest_net::must("shut down writing", stream.shutdown(Shutdown::Write));
        let mut back = String::new();
        guest_net::must("receive", stream.read_to_string(&mut back));
        print!("{back}");
    }
}
