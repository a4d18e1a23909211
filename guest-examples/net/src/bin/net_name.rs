//! `net_name NAME:PORT [connect]`: prints the addresses of NAME, sorted; with `connect` sends a line to the first of them,
//! by its address, and prints what comes back.
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, ToSocketAddrs};

fn main() {
    let name = guest_net::arg(1, "localhost:80");
    let connect = guest_net::arg(2, "") == "connect";
    let Some((host, port)) = name.rsplit_once(':') else {
        eprintln!("usage: net_name NAME:PORT [connect]");
        std::process::exit(2)
    };
    // a pod that starts beside this one may not be known yet
    let tries = if connect { guest_net::RETRIES } else { 1 };
    let mut found: Vec<IpAddr> = resolve(&name, tries);
    found.sort();
    found.dedup();
    found.iter().for_each(|ip| println!("{host} is {ip}"));
    if connect {
        let ip = found[0];
        let address = if ip.is_ipv6() { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") };
        let mut stream = guest_net::connect(&address);
        guest_net::must("send", stream.write_all(b"hello by address\n"));
        guest_net::must("shut down writing", stream.shutdown(Shutdown::Write));
        let mut back = String::new();
        guest_net::must("receive", stream.read_to_string(&mut back));
        print!("{back}");
    }
}

fn resolve(name: &str, tries: u32) -> Vec<IpAddr> {
    for attempt in 1..=tries {
        match name.to_socket_addrs() {
            Ok(found) => return found.map(|a| a.ip()).collect(),
            Err(e) if attempt == tries => println!("{name}: {e}"),
            Err(_) => std::thread::sleep(guest_net::RETRY_PAUSE),
        }
    }
    std::process::exit(1)
}
