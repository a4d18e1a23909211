//! What the tests of sockets share, and the tests of what concerns a whole stack: isolation, limits, the node's bridge.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use wasmpod_sim::Sim;

use super::*;
use crate::cgroup::RootConfig;
use crate::fabric::FabricConfig;
use crate::wait::Ready;

pub(super) struct World {
    pub(super) sim: Sim,
    pub(super) fabric: Arc<Fabric>,
    pub(super) memory: Arc<Cgroup>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_memory(1 << 30)
    }

    pub(super) fn with_memory(memory_bytes: u64) -> Self {
        Self::with(1, memory_bytes)
    }

    pub(super) fn with(seed: u64, memory_bytes: u64) -> Self {
        let sim = Sim::new_virtual(seed);
        let fabric = Fabric::new(&sim, FabricConfig::default()).unwrap();
        let config = RootConfig { cpus: 2, memory_bytes, fuel_per_cpu_second: 1_000_000 };
        let memory = Cgroup::root(config, sim.clock().clone());
        Self { sim, fabric, memory }
    }

    pub(super) fn pod(&self, name: &str) -> Arc<NetNs> {
        let (name, namespace) = (name.to_owned(), "default".to_owned());
        self.fabric.attach(PodIdentity { name, namespace, ..PodIdentity::default() }).unwrap()
    }

    pub(super) fn tcp(&self, ns: &Arc<NetNs>) -> Arc<TcpSocket> {
        ns.tcp_socket(Family::V4, self.memory.clone()).unwrap()
    }

    pub(super) fn tcp6(&self, ns: &Arc<NetNs>) -> Arc<TcpSocket> {
        ns.tcp_socket(Family::V6, self.memory.clone()).unwrap()
    }

    pub(super) fn udp(&self, ns: &Arc<NetNs>) -> Arc<UdpSocket> {
        ns.udp_socket(Family::V4, self.memory.clone()).unwrap()
    }

    /// Runs a test in which time passes.
    pub(super) fn run<F: Future>(&self, test: F) -> F::Output {
        self.sim.block_on(test).unwrap()
    }

    /// Lets time pass, and what is due happen.
    pub(super) async fn wait(&self, time: Duration) {
        self.sim.clock().sleep(time).await;
        self.sim.clock().sleep(Duration::from_nanos(1)).await; // the fabric's task may be second of those that wake now
    }

    pub(super) fn listen(&self, ns: &Arc<NetNs>, at: &str, backlog: u32) -> Arc<TcpSocket> {
        let socket = self.tcp(ns);
        socket.bind(at.parse().unwrap()).unwrap();
        socket.listen(backlog).unwrap();
        socket
    }

    /// A connection over loopback: (client, server).
    pub(super) fn pair(&self, ns: &Arc<NetNs>) -> (Arc<TcpSocket>, Arc<TcpSocket>) {
        let listener = self.listen(ns, "127.0.0.1:0", 1);
        let client = self.tcp(ns);
        client.connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }
}

pub(super) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A task that counts how often it is woken.
#[derive(Default)]
pub(super) struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn woken(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn poll(self: &Arc<Self>, socket: &TcpSocket, interest: Ready) -> Ready {
        socket.poll_ready(interest, &mut Context::from_waker(&Waker::from(self.clone())))
    }

    pub(super) fn poll_udp(self: &Arc<Self>, socket: &UdpSocket, interest: Ready) -> Ready {
        socket.poll_ready(interest, &mut Context::from_waker(&Waker::from(self.clone())))
    }
}

pub(super) fn ready(socket: &TcpSocket, interest: Ready) -> Ready {
    socket.poll_ready(interest, &mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_pod_never_reaches_anothers_loopback() {
    let world = World::new();
    let (a, b) = (world.pod("a"), world.pod("b"));
    let _only_loopback = world.listen(&b, "127.0.0.1:80", 5);
    let _any = world.listen(&b, "0.0.0.0:81", 5);
    for target in ["127.0.0.1:80", "127.0.0.1:81", "0.0.0.0:81"] {
        assert_eq!(world.tcp(&a).connect(at(target)), Err(Errno::ConnRefused), "{target}");
    }
    let pod = |port| SocketAddr::new(b.ipv4().into(), port);
    assert_eq!(world.tcp(&a).connect(pod(80)), Err(Errno::ConnRefused), "bound to loopback only");
    assert_eq!(world.tcp(&a).connect(pod(81)), Ok(()));
    let socket = world.udp(&b);
    socket.bind(at("127.0.0.1:53")).unwrap();
    world.udp(&a).send_to(b"x", Some(at("127.0.0.1:53"))).unwrap();
    world.udp(&a).send_to(b"x", Some(pod(53))).unwrap();
    assert_eq!(socket.recv_from(&mut [0; 4]), Err(Errno::Again));
}

#[test]
fn the_source_is_always_an_address_of_the_sender() {
    let world = World::new();
    let (a, b) = (world.pod("a"), world.pod("b"));
    for foreign in [b.ipv4(), world.fabric.gateway().0, "8.8.8.8".parse().unwrap(), "255.255.255.255".parse().unwrap()]
    {
        let foreign = SocketAddr::new(foreign.into(), 0);
        assert_eq!(world.tcp(&a).bind(foreign), Err(Errno::AddrNotAvail));
        assert_eq!(world.udp(&a).bind(foreign), Err(Errno::AddrNotAvail));
    }
    let listener = world.listen(&b, "0.0.0.0:80", 5);
    let client = world.tcp(&a);
    client.connect(SocketAddr::new(b.ipv4().into(), 80)).unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert_eq!((peer.ip(), server.peer_addr()), (a.ipv4().into(), client.local_addr()));
    // from loopback nothing leaves the pod
    let client = world.tcp(&a);
    client.bind(at("127.0.0.1:0")).unwrap();
    assert_eq!(client.connect(SocketAddr::new(b.ipv4().into(), 80)), Err(Errno::Inval));
    let client = world.udp(&a);
    client.bind(at("127.0.0.1:0")).unwrap();
    assert_eq!(client.send_to(b"x", Some(SocketAddr::new(b.ipv4().into(), 80))), Err(Errno::Inval));
}

#[test]
fn addresses_outside_of_all_pods_are_unreachable() {
    let world = World::new();
    let a = world.pod("a");
    for target in ["8.8.8.8:53", "169.254.169.254:80", "10.244.9.9:80", "224.0.0.1:80", "255.255.255.255:80"] {
        assert_eq!(world.tcp(&a).connect(at(target)), Err(Errno::NetUnreach), "{target}");
    }
    assert_eq!(world.udp(&a).send_to(b"x", Some(at("8.8.8.8:53"))), Err(Errno::NetUnreach));
    let gateway = SocketAddr::new(world.fabric.gateway().0.into(), 80);
    assert_eq!(world.tcp(&a).connect(gateway), Err(Errno::ConnRefused), "the node listens on nothing");
    assert_eq!(world.tcp6(&a).connect(at("[2001:db8::1]:80")), Err(Errno::NetUnreach));
}

#[test]
fn a_detached_pod_keeps_its_loopback_only() {
    let world = World::new();
    let (a, b) = (world.pod("a"), world.pod("b"));
    let listener = world.listen(&b, "0.0.0.0:80", 5);
    world.fabric.detach(&b);
    let target = SocketAddr::new(b.ipv4().into(), 80);
    assert_eq!(world.tcp(&a).connect(target), Err(Errno::NetUnreach));
    assert_eq!(world.tcp(&b).connect(SocketAddr::new(a.ipv4().into(), 80)), Err(Errno::NetUnreach));
    assert_eq!(b.host_connect(80).unwrap_err(), Errno::NetDown);
    assert_eq!(world.tcp(&b).connect(at("127.0.0.1:80")), Ok(()));
    assert!(listener.accept().is_ok());
}

#[test]
fn published_ports_come_from_the_gateway() {
    let world = World::new();
    let a = world.pod("a");
    let listener = world.listen(&a, "0.0.0.0:80", 5);
    let host = a.host_connect(80).unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert_eq!(peer.ip(), IpAddr::from(world.fabric.gateway().0));
    host.write(b"GET").unwrap();
    let mut buf = [0; 8];
    assert_eq!((server.read(&mut buf), &buf[..3]), (Ok(3), &b"GET"[..]));
    server.write(b"ok").unwrap();
    assert_eq!(host.read(&mut buf), Ok(2));
    assert_eq!(a.host_connect(81).unwrap_err(), Errno::ConnRefused);

    let socket = world.udp(&a);
    socket.bind(at("0.0.0.0:53")).unwrap();
    let host = a.host_udp(53).unwrap();
    host.send_to(b"?", None).unwrap();
    let (_, from, _) = socket.recv_from(&mut buf).unwrap();
    socket.send_to(b"!", Some(from)).unwrap();
    assert_eq!(host.recv_from(&mut buf).unwrap().0, 1);
    // no other pod gets into that bridge
    let b = world.pod("b");
    world.udp(&b).send_to(b"evil", Some(from)).unwrap();
    assert_eq!(host.recv_from(&mut buf), Err(Errno::Again));
}

#[test]
fn sockets_are_limited_and_given_back() {
    let world = World::new();
    let a = world.pod("a");
    let held: Vec<_> = (0..MAX_SOCKETS).map(|_| world.udp(&a)).collect();
    assert_eq!(a.tcp_socket(Family::V4, world.memory.clone()).unwrap_err(), Errno::NFile);
    assert_eq!(world.memory.memory_stats().current, MAX_SOCKETS as u64 * SOCKET_BYTES);
    drop(held);
    assert_eq!(world.memory.memory_stats().current, 0);
    drop(world.tcp(&a));
    let small = World::with_memory(SOCKET_BYTES - 1);
    assert_eq!(small.pod("a").tcp_socket(Family::V4, small.memory.clone()).unwrap_err(), Errno::NoMem);
}

#[test]
fn the_list_of_sockets_shows_what_there_is() {
    let world = World::new();
    let a = world.pod("a");
    let listener = world.listen(&a, "0.0.0.0:80", 7);
    let client = world.tcp6(&a);
    client.connect(at("[::ffff:127.0.0.1]:80")).unwrap();
    client.write(b"12345").unwrap();
    let udp = world.udp(&a);
    udp.bind(at("127.0.0.1:53")).unwrap();
    let unbound = world.tcp(&a);
    let list = a.sockets();
    assert_eq!(list.len(), 4);
    let find = |inode| list.iter().find(|socket| socket.inode == inode).unwrap();
    let seen = find(listener.inode());
    assert_eq!((seen.state, seen.rx_queue, seen.tx_queue, seen.local), (TcpState::Listen, 1, 7, at("0.0.0.0:80")));
    let seen = find(client.inode());
    assert_eq!((seen.state, seen.tx_queue, seen.remote), (TcpState::Established, 5, at("[::ffff:127.0.0.1]:80")));
    let child = list.iter().find(|socket| !socket.accepted).unwrap();
    assert_eq!((child.rx_queue, child.local), (5, at("127.0.0.1:80")));
    assert_eq!(find(udp.inode()).state, TcpState::Close);
    assert!(a.render_proc_net_tcp().lines().count() == 3 && a.render_proc_net_tcp6().lines().count() == 2);
    drop((listener, client, udp, unbound));
    assert_eq!(a.sockets(), []);
}

#[test]
fn hosts_entries_come_before_the_fabrics_names() {
    let world = World::new();
    let (a, _b) = (world.pod("a"), world.pod("b"));
    let local: Vec<IpAddr> = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    assert_eq!(a.resolve("localhost"), Ok(local.clone()));
    assert_eq!(a.resolve("db.LocalHost."), Ok(local));
    assert_eq!(a.resolve("10.1.2.3"), Ok(vec!["10.1.2.3".parse().unwrap()]));
    assert_eq!(a.resolve("a"), Ok(vec![a.ipv4().into(), a.ipv6().into()]));
    let entry = |ip: &str, name: &str| HostsEntry { ip: ip.parse().unwrap(), names: vec!["x".into(), name.into()] };
    a.set_hosts(vec![entry("fd00::1", "B"), entry("10.9.9.9", "b"), entry("10.9.9.8", "b")]);
    let expected: Vec<IpAddr> = ["10.9.9.9", "10.9.9.8", "fd00::1"].map(|ip| ip.parse().unwrap()).to_vec();
    assert_eq!(a.resolve("b"), Ok(expected));
    a.set_dns(DnsConfig { search: vec!["default.svc.cluster.local".into(); 100], ndots: 5 });
    assert_eq!(a.dns().search.len(), 32);
}

#[test]
fn ports_are_the_same_for_the_same_seed() {
    let ports = |seed| {
        let world = World::with(seed, 1 << 30);
        let a = world.pod("a");
        let bind = |_| {
            let socket = world.tcp(&a);
            socket.bind(at("127.0.0.1:0")).unwrap();
            socket.local_addr().unwrap().port()
        };
        (0..8).map(bind).collect::<Vec<_>>()
    };
    assert_eq!(ports(5), ports(5));
    assert_ne!(ports(5), ports(6));
    assert!(ports(5).iter().all(|port| (32_768..=60_999).contains(port)));
}

#[test]
fn routes_addresses_and_counts_are_as_linux_prints_them() {
    let world = World::new();
    let ns = world.pod("a");
    let (client, server) = world.pair(&ns);
    let socket = world.udp(&ns);
    socket.bind(at("0.0.0.0:53")).unwrap();
    drop(client);
    drop(server);
    let route = ns.render_proc_net_route();
    let lines: Vec<_> = route.lines().map(|line| line.split('\t').map(str::trim).collect::<Vec<_>>()).collect();
    assert_eq!(lines[0][..4], ["Iface", "Destination", "Gateway", "Flags"]);
    assert_eq!(lines[1], ["eth0", "0000F40A", "00000000", "0001", "0", "0", "0", "0000FFFF", "0", "0", "0"]);
    assert!(route.lines().all(|line| line.len() == 127 || line.starts_with("Iface")));
    let expected = "00000000000000000000000000000001 01 80 10 80       lo\nfd000010024400000000000000000002 02 40 00 80     eth0\n";
    assert_eq!(ns.render_proc_net_if_inet6(), expected);
    let counts = ns.render_proc_net_sockstat();
    assert!(
        counts.starts_with("sockets: used 1\nTCP: inuse 0 orphan 0 tw 1 alloc 0 mem 0\nUDP: inuse 1 mem 0\n"),
        "{counts}"
    );
}
