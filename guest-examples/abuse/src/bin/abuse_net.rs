//! `abuse_net CASE [OTHER]`: reaches for other pods and the host, and floods what it may reach. OTHER is a pod that listens on its own
//! loopback, port 7000. Case names are those of docs/THREAT_MODEL.md.
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

use guest_abuse::{arg, describe, fail, holds, holds_quietly, must};

fn main() {
    let case = arg(1);
    match case.as_str() {
        "n01" => loopbacks(),
        "n02" => outside(),
        "n03" => connects(),
        "n04" => unread(),
        "n05" => ports(),
        "n06" => datagrams(),
        "n07" => forged(),
        "wait" => wait_for_ever(),
        _ => guest_abuse::unknown(&case),
    }
    println!("abuse_net {case}: all refused");
}

/// The address of the other pod.
fn other() -> Ipv4Addr {
    let found = must("the other pod's name", (arg(2).as_str(), 0).to_socket_addrs());
    let v4 = found.into_iter().find_map(|address| match address {
        SocketAddr::V4(v4) => Some(*v4.ip()),
        SocketAddr::V6(_) => None,
    });
    v4.unwrap_or_else(|| fail("the other pod", "it has no address"))
}

fn refused<T>(name: &str, result: io::Result<T>, kinds: &[ErrorKind]) {
    match result {
        Err(e) if kinds.contains(&e.kind()) => println!("refused {name}: {:?}", e.kind()),
        Err(e) => fail(name, &format!("expected {kinds:?}, got {}", describe(&e))),
        Ok(_) => fail(name, &format!("expected {kinds:?}, it worked")),
    }
}

/// N1: the other pod listens on its loopback, which nobody else reaches.
fn loopbacks() {
    let other = other();
    for address in [format!("{other}:7000"), "127.0.0.1:7000".into(), "[::1]:7000".into(), "127.255.0.1:7000".into()] {
        refused(&format!("connecting to {address}"), TcpStream::connect(&address), &[ErrorKind::ConnectionRefused]);
    }
    let socket = must("a UDP socket", UdpSocket::bind("127.0.0.1:0"));
    refused(
        "another pod from loopback",
        socket.send_to(b"x", (other, 7000)),
        &[
            ErrorKind::NetworkUnreachable,
            ErrorKind::HostUnreachable,
            ErrorKind::InvalidInput,
            ErrorKind::AddrNotAvailable,
        ],
    );
}

/// N2: the internet, the cloud's metadata, the machine itself.
fn outside() {
    let addresses = [
        "169.254.169.254:80",
        "192.0.2.1:443",
        "172.17.0.1:22",
        "192.168.0.1:80",
        "[fd00:ec2::254]:80",
        "[2001:db8::1]:53",
    ];
    let kinds = [ErrorKind::NetworkUnreachable, ErrorKind::HostUnreachable];
    for address in addresses {
        refused(&format!("connecting to {address}"), TcpStream::connect(address), &kinds);
        let local = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        let socket = must("a UDP socket", UdpSocket::bind(local));
        refused(&format!("a datagram to {address}"), socket.send_to(b"x", address), &kinds);
    }
    holds("no name of the world is known", ("example.com", 80).to_socket_addrs().is_err(), &());
    let gateway = TcpStream::connect("10.244.0.1:22").map_err(|e| e.kind());
    holds("nothing listens on the node", gateway.is_err(), &());
}

/// N3: connections that nobody accepts.
fn connects() {
    use wasip2::sockets::instance_network::instance_network;
    use wasip2::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
    use wasip2::sockets::tcp_create_socket::create_tcp_socket;
    let listener = must("listen", TcpListener::bind("127.0.0.1:7100"));
    let to = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 7100, address: (127, 0, 0, 1) });
    // streams before their socket: that is the order in which they have to go
    let (mut held, mut connected, mut waiting, mut failed) = (Vec::new(), 0u32, 0u32, 0u32);
    for _ in 0..6_000 {
        let Ok(socket) = create_tcp_socket(IpAddressFamily::Ipv4) else {
            failed += 1;
            continue;
        };
        match socket.start_connect(&instance_network(), to).and_then(|()| socket.finish_connect()) {
            Ok(streams) => {
                connected += 1;
                held.push((Some(streams), socket));
            }
            Err(ErrorCode::WouldBlock) => {
                waiting += 1;
                held.push((None, socket));
            }
            Err(_) => failed += 1,
        }
    }
    println!("connected {connected}, waiting {waiting}, failed {failed}");
    holds("the queue has an end", connected <= 4_097, &connected);
    // all are given up; those that were connected can still be accepted, and end at once
    drop(held);
    must("non-blocking", listener.set_nonblocking(true));
    let accepted = std::iter::from_fn(|| listener.accept().ok()).count();
    holds("what was connected is there, and no more", accepted <= connected as usize, &accepted);
    must("blocking", listener.set_nonblocking(false));
    // who comes afterwards is served again
    let mut client = must("connect afterwards", TcpStream::connect("127.0.0.1:7100"));
    let (mut server, _) = must("accept afterwards", listener.accept());
    must("write", client.write_all(b"after"));
    let mut text = [0; 5];
    must("read", server.read_exact(&mut text));
    holds("it is the one that came last", &text == b"after", &text);
}

/// N4: who never reads makes the writer wait, and takes no memory beyond the buffers.
fn unread() {
    let listener = must("listen", TcpListener::bind("127.0.0.1:7100"));
    let mut held = Vec::new();
    let mut total = 0usize;
    for _ in 0..16 {
        let mut writer = must("connect", TcpStream::connect("127.0.0.1:7100"));
        let reader = must("accept", listener.accept());
        must("non-blocking", writer.set_nonblocking(true));
        let chunk = [7u8; 64 << 10];
        let mut taken = 0usize;
        let error = loop {
            match writer.write(&chunk) {
                Ok(n) => taken += n,
                Err(error) => break error,
            }
            holds_quietly("a receiver that never reads", taken <= 16 << 20);
        };
        holds_quietly("the writer has to wait", error.kind() == ErrorKind::WouldBlock);
        total += taken;
        held.push((writer, reader));
    }
    println!("16 connections took {total} bytes");
    holds("no more than their buffers", total <= 16 << 20, &total);
}

/// N5: one port, one holder; as many ports as there are.
fn ports() {
    let first = must("listen", TcpListener::bind("0.0.0.0:7100"));
    for address in ["0.0.0.0:7100", "127.0.0.1:7100"] {
        refused(&format!("binding {address} too"), TcpListener::bind(address), &[ErrorKind::AddrInUse]);
    }
    drop(first);
    let specific = must("listen", TcpListener::bind("127.0.0.1:7100"));
    refused("the wildcard beside it", TcpListener::bind("0.0.0.0:7100"), &[ErrorKind::AddrInUse]);
    drop(specific);
    let (mut held, mut seen) = (Vec::new(), std::collections::BTreeSet::new());
    for _ in 0..10_000 {
        match UdpSocket::bind("127.0.0.1:0") {
            Ok(socket) => {
                holds_quietly("a port is given once", seen.insert(must("its port", socket.local_addr()).port()));
                held.push(socket);
            }
            Err(error) => {
                let known =
                    [ErrorKind::AddrInUse, ErrorKind::AddrNotAvailable, ErrorKind::Other, ErrorKind::OutOfMemory];
                holds(
                    "an end of ports is an error",
                    known.contains(&error.kind()) || error.raw_os_error().is_some(),
                    &error,
                );
                break;
            }
        }
    }
    println!("held {} ports", held.len());
    holds("there are many", held.len() >= 900, &held.len());
    drop(held);
    must("afterwards there are ports again", UdpSocket::bind("127.0.0.1:0"));
}

/// N6: datagrams too large, of nothing, to nobody, and without end.
fn datagrams() {
    let receiver = must("receiver", UdpSocket::bind("127.0.0.1:7100"));
    let sender = must("sender", UdpSocket::bind("127.0.0.1:0"));
    let large = vec![1u8; 65_508];
    let oversized = sender.send_to(&large, "127.0.0.1:7100");
    // EMSGSIZE of WASI's libc
    holds(
        "65,508 bytes are too many",
        oversized.as_ref().is_err_and(|e| e.raw_os_error() == Some(libc::EMSGSIZE)),
        &oversized,
    );
    must("65,507 bytes are not", sender.send_to(&large[1..], "127.0.0.1:7100"));
    must("nothing is a datagram", sender.send_to(b"", "127.0.0.1:7100"));
    for size in [0usize, 1, 1_400] {
        for _ in 0..10_000 {
            let _ = sender.send_to(&large[..size], "127.0.0.1:7100");
        }
    }
    let _ = sender.send_to(b"x", "127.0.0.1:7199");
    must("non-blocking", receiver.set_nonblocking(true));
    let (mut buffer, mut received, mut bytes) = (vec![0; 65_536], 0u32, 0usize);
    while let Ok((n, _)) = receiver.recv_from(&mut buffer) {
        received += 1;
        bytes += n;
    }
    println!("received {received} datagrams, {bytes} bytes of 30002 sent");
    holds("most were dropped", (1..5_000).contains(&received) && bytes <= 1 << 20, &(received, bytes));
    must("the next one arrives", sender.send_to(b"next", "127.0.0.1:7100"));
    holds("as it was sent", receiver.recv_from(&mut buffer).is_ok_and(|(n, _)| &buffer[..n] == b"next"), &());
}

/// N7: a source address is what the pod has, not what it says.
fn forged() {
    let other = other();
    for address in [format!("{other}:7200"), "8.8.8.8:53".into(), "10.244.0.1:53".into(), "255.255.255.255:9".into()] {
        refused(&format!("binding {address}"), UdpSocket::bind(&address), &[ErrorKind::AddrNotAvailable]);
        refused(
            &format!("listening on {address}"),
            TcpListener::bind(&address),
            &[ErrorKind::AddrNotAvailable, ErrorKind::InvalidInput],
        );
    }
    let receiver = must("receiver", UdpSocket::bind("0.0.0.0:7100"));
    let sender = must("sender", UdpSocket::bind("0.0.0.0:7101"));
    must("send", sender.send_to(b"x", "127.0.0.1:7100"));
    let (_, from) = must("receive", receiver.recv_from(&mut [0; 8]));
    holds("the source is the sender's", from == "127.0.0.1:7101".parse().expect("an address"), &from);
}

/// P5: a call of this kind that nobody answers.
fn wait_for_ever() {
    let kind = arg(2);
    println!("waits: {kind}");
    let listen = || must("listen", TcpListener::bind("127.0.0.1:0"));
    let pair = || {
        let listener = listen();
        let client = must("connect", TcpStream::connect(must("its address", listener.local_addr())));
        (client, must("accept", listener.accept()).0)
    };
    let nothing = match kind.as_str() {
        "accept" => listen().accept().is_ok(),
        "connect" => {
            let listener = listen();
            let to = must("its address", listener.local_addr());
            let held: Vec<_> = (0..1_000).map_while(|_| TcpStream::connect(to).ok()).collect();
            held.len() == 1_000
        }
        "read" => pair().0.read(&mut [0; 8]).is_ok(),
        "write" => {
            let (mut client, _server) = pair();
            client.write_all(&vec![7; 64 << 20]).is_ok()
        }
        "datagram" => must("bind", UdpSocket::bind("127.0.0.1:0")).recv(&mut [0; 8]).is_ok(),
        "sleep" => {
            std::thread::sleep(std::time::Duration::from_secs(1 << 40));
            true
        }
        _ => guest_abuse::unknown(&kind),
    };
    fail(&kind, &format!("it came back: {nothing}"))
}
