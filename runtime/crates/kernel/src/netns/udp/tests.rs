//! UDP as programs see it.

use proptest::prelude::*;

use super::*;
use crate::netns::tests::{Count, World, at};

fn recv(socket: &UdpSocket) -> Result<(Vec<u8>, SocketAddr)> {
    let mut buf = vec![0; MAX_DATAGRAM_V6];
    let (count, from, truncated) = socket.recv_from(&mut buf)?;
    assert_eq!(truncated, 0);
    buf.truncate(count);
    Ok((buf, from))
}

fn bound(world: &World, ns: &Arc<NetNs>, addr: &str) -> Arc<UdpSocket> {
    let socket = world.udp(ns);
    socket.bind(at(addr)).unwrap();
    socket
}

#[test]
fn datagrams_keep_their_borders_and_say_who_sent_them() {
    let world = World::new();
    let ns = world.pod("a");
    let (server, client) = (bound(&world, &ns, "0.0.0.0:53"), world.udp(&ns));
    assert_eq!(client.local_addr(), Err(Errno::Inval));
    for bytes in [&b"one"[..], b"", b"three"] {
        assert_eq!(client.send_to(bytes, Some(at("127.0.0.1:53"))), Ok(bytes.len()));
    }
    let port = client.local_addr().unwrap().port();
    let from = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    assert_eq!(client.local_addr().unwrap().ip(), IpAddr::from(Ipv4Addr::UNSPECIFIED));
    assert_eq!(server.peek_from(&mut [0; 2]), Ok((2, from, 1)));
    assert_eq!(recv(&server), Ok((b"one".to_vec(), from)));
    assert_eq!(recv(&server), Ok((vec![], from)));
    let mut buf = [0; 2];
    assert_eq!((server.recv_from(&mut buf), &buf), (Ok((2, from, 3)), b"th"));
    assert_eq!(recv(&server), Err(Errno::Again));
    // towards the pod's own address the source is that address
    client.send_to(b"x", Some(SocketAddr::new(ns.ipv4().into(), 53))).unwrap();
    assert_eq!(recv(&server).unwrap().1, SocketAddr::new(ns.ipv4().into(), port));
}

#[test]
fn sizes_are_those_of_ip() {
    let world = World::new();
    let ns = world.pod("a");
    let server = bound(&world, &ns, "0.0.0.0:53");
    let client = world.udp(&ns);
    let big = vec![7; MAX_DATAGRAM_V6 + 1];
    assert_eq!(client.send_to(&big[..MAX_DATAGRAM_V4 + 1], Some(at("127.0.0.1:53"))), Err(Errno::MsgSize));
    assert_eq!(client.send_to(&big[..MAX_DATAGRAM_V4], Some(at("127.0.0.1:53"))), Ok(MAX_DATAGRAM_V4));
    assert_eq!(recv(&server).unwrap().0.len(), MAX_DATAGRAM_V4);
    let six = ns.udp_socket(Family::V6, world.memory.clone()).unwrap();
    assert_eq!(six.send_to(&big, Some(at("[::1]:53"))), Err(Errno::MsgSize));
    assert_eq!(six.send_to(&big[..MAX_DATAGRAM_V6], Some(at("[::1]:53"))), Ok(MAX_DATAGRAM_V6));
    assert_eq!(six.send_to(&big[..MAX_DATAGRAM_V6], Some(at("[::ffff:127.0.0.1]:53"))), Err(Errno::MsgSize));
}

#[test]
fn destinations_that_cannot_be_are_refused() {
    let world = World::new();
    let ns = world.pod("a");
    let socket = world.udp(&ns);
    assert_eq!((socket.send_to(b"x", None), socket.peer_addr()), (Err(Errno::DestAddrReq), Err(Errno::NotConn)));
    assert_eq!(recv(&socket), Err(Errno::Again));
    let send = |to: &str| socket.send_to(b"x", Some(at(to)));
    assert_eq!((send("255.255.255.255:9"), send("10.244.255.255:9")), (Err(Errno::Acces), Err(Errno::Acces)));
    assert_eq!((send("224.0.0.251:5353"), send("127.0.0.1:0")), (Err(Errno::OpNotSupp), Err(Errno::Inval)));
    assert_eq!((send("8.8.8.8:53"), send("[::1]:53")), (Err(Errno::NetUnreach), Err(Errno::AfNoSupport)));
    assert_eq!(send("127.0.0.1:9"), Ok(1), "nobody there, and nobody says so");
    assert_eq!(send("127.0.0.1:9"), Ok(1));
}

#[test]
fn a_connected_socket_hears_its_peer_only_and_learns_of_a_closed_port() {
    let world = World::new();
    let ns = world.pod("a");
    let (client, server, other) = (world.udp(&ns), bound(&world, &ns, "127.0.0.1:53"), world.udp(&ns));
    client.connect(at("127.0.0.1:53")).unwrap();
    let client_addr = client.local_addr().unwrap();
    assert_eq!((client_addr.ip(), client.peer_addr()), (at("127.0.0.1:0").ip(), Ok(at("127.0.0.1:53"))));
    other.send_to(b"spoof", Some(client_addr)).unwrap();
    assert_eq!(recv(&client), Err(Errno::Again));
    client.send_to(b"?", None).unwrap();
    server.send_to(b"!", Some(recv(&server).unwrap().1)).unwrap();
    assert_eq!(recv(&client).unwrap().0, b"!");

    drop(server);
    let task = Count::new();
    assert_eq!(task.poll_udp(&client, Ready::READ), Ready::empty());
    assert_eq!(client.send_to(b"a", None), Ok(1));
    assert_eq!((task.woken(), task.poll_udp(&client, Ready::READ)), (1, Ready::READ | Ready::ERR));
    assert_eq!(client.send_to(b"b", None), Err(Errno::ConnRefused));
    assert_eq!(client.send_to(b"c", None), Ok(1));
    assert_eq!(recv(&client), Err(Errno::ConnRefused));
    assert_eq!(client.send_to(b"c", None), Ok(1));
    assert_eq!((client.take_error(), client.take_error()), (Some(Errno::ConnRefused), None));

    client.disconnect().unwrap();
    assert_eq!((client.peer_addr(), client.local_addr()), (Err(Errno::NotConn), Err(Errno::Inval)));
    let fixed = bound(&world, &ns, "0.0.0.0:99");
    fixed.connect(at("127.0.0.1:9")).unwrap();
    fixed.disconnect().unwrap();
    assert_eq!(fixed.local_addr(), Ok(at("0.0.0.0:99")));
    other.send_to(b"all hear", Some(at("127.0.0.1:99"))).unwrap();
    assert_eq!(recv(&fixed).unwrap().0, b"all hear");
}

#[test]
fn the_most_exact_socket_gets_the_datagram() {
    let world = World::new();
    let ns = world.pod("a");
    let any = world.udp(&ns);
    any.set_reuseaddr(true).unwrap();
    any.bind(at("0.0.0.0:53")).unwrap();
    let refused = world.udp(&ns);
    assert_eq!(refused.bind(at("127.0.0.1:53")), Err(Errno::AddrInUse));
    let exact = world.udp(&ns);
    exact.set_reuseaddr(true).unwrap();
    exact.bind(at("127.0.0.1:53")).unwrap();
    let sender = world.udp(&ns);
    sender.send_to(b"exact", Some(at("127.0.0.1:53"))).unwrap();
    sender.send_to(b"any", Some(SocketAddr::new(ns.ipv4().into(), 53))).unwrap();
    assert_eq!((recv(&exact).unwrap().0, recv(&any).unwrap().0), (b"exact".to_vec(), b"any".to_vec()));
    assert_eq!(exact.bind(at("127.0.0.1:54")), Err(Errno::Inval));
    drop(any);
    assert_eq!(refused.bind(at("0.0.0.0:53")), Err(Errno::AddrInUse));
}

#[test]
fn dual_stack_sockets_answer_in_the_askers_family() {
    let world = World::new();
    let (a, b) = (world.pod("a"), world.pod("b"));
    let server = b.udp_socket(Family::V6, world.memory.clone()).unwrap();
    server.bind(at("[::]:53")).unwrap();
    let four = world.udp(&a);
    four.send_to(b"4", Some(SocketAddr::new(b.ipv4().into(), 53))).unwrap();
    let (_, from) = recv(&server).unwrap();
    assert_eq!(from.ip(), IpAddr::V6(a.ipv4().to_ipv6_mapped()));
    server.send_to(b"back", Some(from)).unwrap();
    assert_eq!(recv(&four), Ok((b"back".to_vec(), SocketAddr::new(b.ipv4().into(), 53))));
    let six = a.udp_socket(Family::V6, world.memory.clone()).unwrap();
    six.send_to(b"6", Some(SocketAddr::new(b.ipv6().into(), 53))).unwrap();
    assert_eq!(recv(&server).unwrap().1.ip(), IpAddr::V6(a.ipv6()));
    six.set_v6only(true).unwrap_err();
}

#[test]
fn a_flood_is_dropped_and_counted_and_memory_stays_flat() {
    let world = World::new();
    let ns = world.pod("a");
    let (server, client) = (bound(&world, &ns, "127.0.0.1:53"), world.udp(&ns));
    server.set_recv_buffer_size(10_000).unwrap();
    for _ in 0..100 {
        client.send_to(&[1; 1000], Some(at("127.0.0.1:53"))).unwrap();
    }
    assert_eq!((server.drops(), ns.sockets()[0].drops), (93, 93), "1000 bytes cost 1256 of 10000");
    assert_eq!(std::iter::from_fn(|| recv(&server).ok()).count(), 7);
    for _ in 0..100 {
        client.send_to(b"", Some(at("127.0.0.1:53"))).unwrap();
    }
    assert_eq!(std::iter::from_fn(|| recv(&server).ok()).count(), 39);
    client.send_to(&[1; MAX_DATAGRAM_V4], Some(at("127.0.0.1:53"))).unwrap();
    assert_eq!(recv(&server).unwrap().0.len(), MAX_DATAGRAM_V4, "one fits always");
    drop((server, client));
    assert_eq!(world.memory.memory_stats().current, 0);
}

#[test]
fn without_memory_datagrams_are_dropped() {
    let world = World::with_memory(2 * crate::netns::SOCKET_BYTES + 5000);
    let ns = world.pod("a");
    let (server, client) = (bound(&world, &ns, "127.0.0.1:53"), world.udp(&ns));
    for size in [4000, 4000, 10] {
        client.send_to(&vec![1; size], Some(at("127.0.0.1:53"))).unwrap();
    }
    assert_eq!((recv(&server).unwrap().0.len(), recv(&server).unwrap().0.len(), server.drops()), (4000, 10, 1));
}

proptest! {
    /// Any call in any state: no panic, no deadlock, and everything is given back.
    #[test]
    fn random_calls_never_break_the_socket(ops in prop::collection::vec((0usize..4, 0u8..10, 0u16..4), 1..200)) {
        let world = World::new();
        let pods = [world.pod("a"), world.pod("b")];
        let mut sockets: Vec<_> = (0..4).map(|at| world.udp(&pods[at % 2])).collect();
        for (which, op, arg) in ops {
            let socket = sockets[which].clone();
            let target = match arg {
                0 => at("127.0.0.1:53"),
                1 => at("0.0.0.0:53"),
                2 => SocketAddr::new(pods[0].ipv4().into(), 53),
                _ => SocketAddr::new(pods[1].ipv4().into(), sockets[1].local_addr().map_or(0, |addr| addr.port())),
            };
            match op {
                0 => _ = socket.bind(target),
                1 => _ = socket.connect(target),
                2 => _ = socket.disconnect(),
                3 | 4 => _ = socket.send_to(&vec![0; usize::from(arg) * 9000], Some(target)),
                5 => _ = socket.send_to(b"x", None),
                6 | 7 => _ = socket.recv_from(&mut vec![0; usize::from(arg) * 5000]),
                8 => _ = (socket.take_error(), socket.peer_addr(), format!("{socket:?}"), pods[0].render_proc_net_udp()),
                _ => sockets[which] = world.udp(&pods[which % 2]),
            }
        }
        drop(sockets);
        prop_assert_eq!((pods[0].sockets(), pods[1].sockets(), world.memory.memory_stats().current), (vec![], vec![], 0));
    }
}
