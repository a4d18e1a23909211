//! Two that want one port.
//!
//! - `net_bind_conflict`: binds 127.0.0.1:PORT twice in one process and checks what the second sees.
//! - `net_bind_conflict hold ADDR HOLD_MS [DELAY_MS]`: after DELAY_MS binds ADDR, keeps it HOLD_MS, and exits 0; exits 1
//!   where it is taken.
use std::io::ErrorKind::AddrInUse;
use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use guest_net::{arg, check, check_kind, listen, listen_address, must, number};

fn main() {
    if arg(1, "") == "hold" {
        std::thread::sleep(Duration::from_millis(number(4, 0)));
        let listener = listen(&listen_address(&arg(2, "8080")));
        std::thread::sleep(Duration::from_millis(number(3, 1000)));
        drop(listener);
        println!("released");
        return;
    }
    let first = must("bind", TcpListener::bind("127.0.0.1:0"));
    let address = must("local_addr", first.local_addr());
    check("an ephemeral port was chosen", address.port() != 0, &address);
    check_kind("second TCP bind", &TcpListener::bind(address), &[AddrInUse]);
    check("UDP on the same number is another port", UdpSocket::bind(address).is_ok(), &());
    drop(first);
    check("the port is free again", TcpListener::bind(address).is_ok(), &());
    let udp = must("bind", UdpSocket::bind(address));
    check_kind("second UDP bind", &UdpSocket::bind(address), &[AddrInUse]);
    drop(udp);
    println!("net_bind_conflict: all done");
}
