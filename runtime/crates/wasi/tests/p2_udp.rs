//! `wasi:sockets/udp` and `ip-name-lookup` over the pod's network.

mod p2_support;

use std::net::SocketAddr;
use std::time::Duration;

use p2_support::{NetCode, World, b, net_code, own};
use wasmpod_kernel::netns::HostsEntry;
use wasmpod_wasi::Ctx;
use wasmpod_wasi::p2::bindings::sockets::instance_network::Host as _;
use wasmpod_wasi::p2::bindings::sockets::ip_name_lookup::{Host as _, HostResolveAddressStream};
use wasmpod_wasi::p2::bindings::sockets::network::{IpAddress, IpAddressFamily, IpSocketAddress};
use wasmpod_wasi::p2::bindings::sockets::udp::{
    HostIncomingDatagramStream, HostOutgoingDatagramStream, HostUdpSocket, OutgoingDatagram,
};
use wasmpod_wasi::p2::bindings::sockets::udp_create_socket::Host as _;
use wasmpod_wasi::p2::sockets::{IncomingDatagrams, OutgoingDatagrams, SocketError, UdpHandle};
use wasmtime::component::Resource;
use wasmtime_wasi_io::bindings::wasi::io::poll::{Host as _, HostPollable as _};

const V4: IpAddressFamily = IpAddressFamily::Ipv4;
const V6: IpAddressFamily = IpAddressFamily::Ipv6;

type Udp = Resource<UdpHandle>;

fn addr(text: &str) -> IpSocketAddress {
    text.parse::<SocketAddr>().unwrap().into()
}

fn bound(ctx: &mut Ctx, address: &str) -> Udp {
    let family = if address.starts_with('[') { V6 } else { V4 };
    let udp = ctx.create_udp_socket(family).unwrap();
    let net = ctx.instance_network().unwrap();
    ctx.start_bind(b(&udp), net, addr(address)).unwrap();
    ctx.finish_bind(b(&udp)).unwrap();
    udp
}

fn datagram(data: &[u8], to: Option<&str>) -> OutgoingDatagram {
    OutgoingDatagram { data: data.to_vec(), remote_address: to.map(addr) }
}

fn send(
    ctx: &mut Ctx,
    stream: &Resource<OutgoingDatagrams>,
    datagrams: Vec<OutgoingDatagram>,
) -> Result<u64, SocketError> {
    assert_eq!(ctx.check_send(b(stream)).unwrap(), 16);
    HostOutgoingDatagramStream::send(ctx, b(stream), datagrams)
}

fn receive(ctx: &mut Ctx, stream: &Resource<IncomingDatagrams>) -> Vec<Vec<u8>> {
    ctx.receive(b(stream), 100).unwrap().into_iter().map(|datagram| datagram.data).collect()
}

#[test]
fn states_and_their_errors() {
    let (_world, mut ctx) = World::lone();
    let udp = ctx.create_udp_socket(V4).unwrap();
    let net = ctx.instance_network().unwrap();
    assert_eq!(net_code(ctx.finish_bind(b(&udp))), NetCode::NotInProgress);
    assert_eq!(net_code(HostUdpSocket::stream(&mut ctx, b(&udp), None)), NetCode::InvalidState);
    assert_eq!(net_code(ctx.local_address(b(&udp))), NetCode::InvalidState);
    assert_eq!(net_code(ctx.remote_address(b(&udp))), NetCode::InvalidState);
    assert_eq!(net_code(ctx.start_bind(b(&udp), b(&net), addr("[::1]:80"))), NetCode::InvalidArgument);
    assert_eq!(net_code(ctx.start_bind(b(&udp), b(&net), addr("8.8.8.8:80"))), NetCode::AddressNotBindable);
    ctx.start_bind(b(&udp), b(&net), addr("127.0.0.1:5300")).unwrap();
    assert_eq!(net_code(ctx.start_bind(b(&udp), b(&net), addr("127.0.0.1:81"))), NetCode::ConcurrencyConflict);
    ctx.finish_bind(b(&udp)).unwrap();
    assert_eq!(net_code(ctx.start_bind(b(&udp), b(&net), addr("127.0.0.1:81"))), NetCode::InvalidState);
    assert_eq!(SocketAddr::from(ctx.local_address(b(&udp)).unwrap()).to_string(), "127.0.0.1:5300");
    let second = ctx.create_udp_socket(V4).unwrap();
    assert_eq!(net_code(ctx.start_bind(b(&second), b(&net), addr("127.0.0.1:5300"))), NetCode::AddressInUse);
    assert_eq!(ctx.address_family(b(&udp)).unwrap(), V4);
    for bad in ["0.0.0.0:53", "127.0.0.1:0", "[::1]:53"] {
        let stream = HostUdpSocket::stream(&mut ctx, b(&udp), Some(addr(bad)));
        assert_eq!(net_code(stream), NetCode::InvalidArgument, "{bad}");
    }
    assert_eq!(net_code(ctx.set_unicast_hop_limit(b(&udp), 0)), NetCode::InvalidArgument);
    ctx.set_unicast_hop_limit(b(&udp), 9).unwrap();
    assert_eq!(ctx.unicast_hop_limit(b(&udp)).unwrap(), 9);
    assert_eq!(net_code(ctx.set_receive_buffer_size(b(&udp), 0)), NetCode::InvalidArgument);
    assert_eq!(net_code(ctx.set_send_buffer_size(b(&udp), 0)), NetCode::InvalidArgument);
    ctx.set_receive_buffer_size(b(&udp), 64 * 1024).unwrap();
    assert_eq!(ctx.receive_buffer_size(b(&udp)).unwrap(), 64 * 1024);
    ctx.set_send_buffer_size(b(&udp), 64 * 1024).unwrap();
    assert!(ctx.send_buffer_size(b(&udp)).unwrap() > 0);
}

#[test]
fn datagrams_come_whole_in_order_and_in_batches() {
    let (_world, mut ctx) = World::lone();
    let (left, right) = (bound(&mut ctx, "127.0.0.1:5001"), bound(&mut ctx, "127.0.0.1:5002"));
    let (_, out) = HostUdpSocket::stream(&mut ctx, b(&left), None).unwrap();
    let (input, _) = HostUdpSocket::stream(&mut ctx, b(&right), None).unwrap();
    assert!(receive(&mut ctx, &input).is_empty());
    let to = Some("127.0.0.1:5002");
    let batch = vec![datagram(b"one", to), datagram(b"", to), datagram(&[7; 9000], to)];
    assert_eq!(send(&mut ctx, &out, batch).unwrap(), 3);
    assert!(ctx.receive(b(&input), 0).unwrap().is_empty());
    let first = ctx.receive(b(&input), 1).unwrap();
    assert_eq!(SocketAddr::from(first[0].remote_address).to_string(), "127.0.0.1:5001");
    assert_eq!(receive(&mut ctx, &input), [vec![], vec![7; 9000]]);
    for round in 0..2 {
        assert_eq!(send(&mut ctx, &out, vec![datagram(&[round], to); 16]).unwrap(), 16);
    }
    assert_eq!(receive(&mut ctx, &input).len(), 16);
    assert_eq!(receive(&mut ctx, &input).len(), 16);
}

#[test]
fn sends_need_permits_and_an_address() {
    let (_world, mut ctx) = World::lone();
    let udp = bound(&mut ctx, "127.0.0.1:5001");
    let (input, out) = HostUdpSocket::stream(&mut ctx, b(&udp), None).unwrap();
    let to = Some("127.0.0.1:5001");
    let unpermitted = HostOutgoingDatagramStream::send(&mut ctx, b(&out), vec![datagram(b"x", to)]);
    assert!(matches!(unpermitted, Err(SocketError::Trap(_))));
    assert_eq!(HostOutgoingDatagramStream::send(&mut ctx, b(&out), Vec::new()).unwrap(), 0);
    assert!(matches!(send(&mut ctx, &out, vec![datagram(b"x", to); 17]), Err(SocketError::Trap(_))));
    assert_eq!(net_code(send(&mut ctx, &out, vec![datagram(b"x", None)])), NetCode::InvalidArgument);
    for bad in ["0.0.0.0:5001", "127.0.0.1:0", "[::1]:5001"] {
        assert_eq!(net_code(send(&mut ctx, &out, vec![datagram(b"x", Some(bad))])), NetCode::InvalidArgument);
    }
    for size in [65_508, 65_535, 65_536, 1 << 20] {
        assert_eq!(net_code(send(&mut ctx, &out, vec![datagram(&vec![0; size], to)])), NetCode::DatagramTooLarge);
    }
    assert_eq!(send(&mut ctx, &out, vec![datagram(&[0; 65_507], to)]).unwrap(), 1);
    assert_eq!(receive(&mut ctx, &input)[0].len(), 65_507);
    // one good, one bad: the good one counts and the error is not told
    assert_eq!(send(&mut ctx, &out, vec![datagram(b"good", to), datagram(b"bad", None)]).unwrap(), 1);
    // a permit is used up by its send
    assert!(HostOutgoingDatagramStream::send(&mut ctx, b(&out), vec![datagram(b"x", to)]).is_err());
    assert_eq!(receive(&mut ctx, &input), [b"good"]);
}

#[test]
fn a_connected_socket_has_one_peer_until_it_is_streamed_again() {
    let (_world, mut ctx) = World::lone();
    let hub = bound(&mut ctx, "127.0.0.1:5000");
    let (friend, foe) = (bound(&mut ctx, "127.0.0.1:5001"), bound(&mut ctx, "127.0.0.1:5002"));
    let (_, from_friend) = HostUdpSocket::stream(&mut ctx, b(&friend), Some(addr("127.0.0.1:5000"))).unwrap();
    let (foe_in, from_foe) = HostUdpSocket::stream(&mut ctx, b(&foe), Some(addr("127.0.0.1:5000"))).unwrap();
    // queued before the hub connects
    send(&mut ctx, &from_foe, vec![datagram(b"early foe", None)]).unwrap();
    let (input, out) = HostUdpSocket::stream(&mut ctx, b(&hub), Some(addr("127.0.0.1:5001"))).unwrap();
    assert_eq!(SocketAddr::from(ctx.remote_address(b(&hub)).unwrap()).port(), 5001);
    send(&mut ctx, &from_foe, vec![datagram(b"foe", None)]).unwrap();
    send(&mut ctx, &from_friend, vec![datagram(b"friend", None)]).unwrap();
    assert_eq!(receive(&mut ctx, &input), [b"friend"]);
    let elsewhere = vec![datagram(b"x", Some("127.0.0.1:5002"))];
    assert_eq!(net_code(send(&mut ctx, &out, elsewhere)), NetCode::InvalidArgument);
    assert_eq!(send(&mut ctx, &out, vec![datagram(b"same", Some("127.0.0.1:5001"))]).unwrap(), 1);

    // while the streams live there can be no others
    assert!(matches!(HostUdpSocket::stream(&mut ctx, b(&hub), None), Err(SocketError::Trap(_))));
    HostIncomingDatagramStream::drop(&mut ctx, own(&input)).unwrap();
    assert!(matches!(HostUdpSocket::stream(&mut ctx, b(&hub), None), Err(SocketError::Trap(_))));
    HostOutgoingDatagramStream::drop(&mut ctx, own(&out)).unwrap();
    let (_input, out) = HostUdpSocket::stream(&mut ctx, b(&hub), None).unwrap();
    assert_eq!(net_code(ctx.remote_address(b(&hub))), NetCode::InvalidState);
    assert!(ctx.local_address(b(&hub)).is_ok());
    send(&mut ctx, &out, vec![datagram(b"free", Some("127.0.0.1:5002"))]).unwrap();
    // the foe learns first that its datagram to the connected hub was refused (ICMP), then hears again
    assert_eq!(net_code(ctx.receive(b(&foe_in), 1)), NetCode::ConnectionRefused);
    assert_eq!(receive(&mut ctx, &foe_in), [b"free"]);
}

#[test]
fn a_receiver_is_woken_by_a_datagram() {
    let world = World::new();
    let net = world.pod("pod");
    let (mut a, mut z) = (world.process("a", &net), world.process("z", &net));
    let sim = world.sim.clone();
    sim.block_on(async {
        let udp = bound(&mut a, "127.0.0.1:5000");
        let (input, _out) = HostUdpSocket::stream(&mut a, b(&udp), None).unwrap();
        let pollable = HostIncomingDatagramStream::subscribe(&mut a, b(&input)).unwrap();
        assert!(!a.ready(b(&pollable)).await.unwrap());
        let clock = sim.clock().clone();
        let task = sim.spawn("sender", async move {
            clock.sleep(Duration::from_secs(2)).await;
            let udp = bound(&mut z, "127.0.0.1:0");
            let (_, out) = HostUdpSocket::stream(&mut z, b(&udp), None).unwrap();
            let writable = HostOutgoingDatagramStream::subscribe(&mut z, b(&out)).unwrap();
            assert!(z.ready(b(&writable)).await.unwrap());
            send(&mut z, &out, vec![datagram(b"wake up", Some("127.0.0.1:5000"))]).unwrap();
        });
        assert_eq!(a.poll(vec![b(&pollable)]).await.unwrap(), [0]);
        assert_eq!(sim.clock().now().as_nanos(), 2_000_000_000);
        assert_eq!(receive(&mut a, &input), [b"wake up"]);
        task.await.unwrap();
    })
    .unwrap();
}

#[test]
fn names_resolve_as_the_pod_sees_them() {
    let (world, mut ctx) = World::lone();
    let net = ctx.process.spec.net.clone();
    let localhost = HostsEntry { ip: "127.0.0.1".parse().unwrap(), names: vec!["localhost".to_owned()] };
    let alias = HostsEntry { ip: "10.1.2.3".parse().unwrap(), names: vec!["db".to_owned(), "db.example".to_owned()] };
    net.set_hosts(vec![localhost, alias]);
    let network = ctx.instance_network().unwrap();
    let mut resolve = |name: &str| -> Result<Vec<IpAddress>, NetCode> {
        let stream = match ctx.resolve_addresses(b(&network), name.to_owned()) {
            Ok(stream) => stream,
            result => return Err(net_code(result)),
        };
        let pollable = HostResolveAddressStream::subscribe(&mut ctx, b(&stream)).unwrap();
        assert!(world.sim.block_on(ctx.ready(b(&pollable))).unwrap().unwrap());
        let mut all = Vec::new();
        while let Some(address) = ctx.resolve_next_address(b(&stream)).unwrap() {
            all.push(address);
        }
        assert!(ctx.resolve_next_address(b(&stream)).unwrap().is_none());
        Ok(all)
    };
    let first = |result: Result<Vec<IpAddress>, NetCode>| match result.unwrap()[0] {
        IpAddress::Ipv4((a, b, c, d)) => format!("{a}.{b}.{c}.{d}"),
        IpAddress::Ipv6(address) => format!("{address:?}"),
    };
    assert_eq!(first(resolve("localhost")), "127.0.0.1");
    assert_eq!(first(resolve("DB.example")), "10.1.2.3");
    assert_eq!(first(resolve("192.0.2.7")), "192.0.2.7");
    assert_eq!(first(resolve("::1")), "(0, 0, 0, 0, 0, 0, 0, 1)");
    assert_eq!(resolve("no-such-name").unwrap_err(), NetCode::NameUnresolvable);
    assert_eq!(resolve("a b").unwrap_err(), NetCode::InvalidArgument);
    assert_eq!(resolve("").unwrap_err(), NetCode::InvalidArgument);
    assert_eq!(resolve("bücher.example").unwrap_err(), NetCode::NameUnresolvable);
}
