//! What a tap sees.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wasmpod_sim::Sim;

use super::link::LinkProps;
use super::tap::{Packet, Segment, Tap, TcpFlags};
use super::tests::pod;
use super::{Fabric, FabricConfig};
use crate::cgroup::{Cgroup, RootConfig};
use crate::netns::{Family, NetNs, TcpSocket};

/// Of a packet: who sent it, flags (none of UDP), sequence and acknowledgement number, length.
type Line = (SocketAddr, Option<TcpFlags>, [u32; 2], usize);

#[derive(Default)]
struct Seen(Mutex<Vec<Line>>);

impl Tap for Seen {
    fn packet(&self, packet: &Packet<'_>) {
        let (flags, numbers, len) = match packet.segment {
            Segment::Tcp { seq, ack, flags, payload, .. } => (Some(flags), [seq, ack], payload.len()),
            Segment::Udp { payload } => (None, [0, 0], payload.len()),
        };
        self.0.lock().push((packet.from, flags, numbers, len));
    }
}

struct World {
    sim: Sim,
    fabric: Arc<Fabric>,
    memory: Arc<Cgroup>,
    seen: Arc<Seen>,
}

impl World {
    fn new(seed: u64) -> Self {
        let sim = Sim::new_virtual(seed);
        let fabric = Fabric::new(&sim, FabricConfig::default()).unwrap();
        let config = RootConfig { cpus: 2, memory_bytes: 1 << 30, fuel_per_cpu_second: 1 };
        let memory = Cgroup::root(config, sim.clock().clone());
        let seen = Arc::new(Seen::default());
        assert!(fabric.set_tap(seen.clone()) && !fabric.set_tap(seen.clone()), "one tap");
        Self { sim, fabric, memory, seen }
    }

    fn listen(&self, ns: &Arc<NetNs>) -> Arc<TcpSocket> {
        let socket = ns.tcp_socket(Family::V4, self.memory.clone()).unwrap();
        socket.bind("0.0.0.0:80".parse().unwrap()).unwrap();
        socket.listen(4).unwrap();
        socket
    }
}

/// Flags as tcpdump prints them.
fn letters(flags: TcpFlags) -> String {
    let all =
        [(TcpFlags::SYN, 'S'), (TcpFlags::FIN, 'F'), (TcpFlags::RST, 'R'), (TcpFlags::PSH, 'P'), (TcpFlags::ACK, '.')];
    all.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, letter)| letter).collect()
}

/// A request and its answer on loopback (`over` the pod itself) or between two pods, as lines.
fn conversation(seed: u64, remote: bool, latency: Duration) -> Vec<String> {
    let world = World::new(seed);
    let (a, b) = (world.fabric.attach(pod("a")).unwrap(), world.fabric.attach(pod("b")).unwrap());
    let (server_ns, ip) = if remote { (&b, IpAddr::V4(b.ipv4())) } else { (&a, IpAddr::from([127, 0, 0, 1])) };
    if !latency.is_zero() {
        let props = LinkProps { latency, ..LinkProps::default() };
        world.fabric.set_link(a.ipv4().into(), b.ipv4().into(), props.clone()).unwrap();
        world.fabric.set_link(b.ipv4().into(), a.ipv4().into(), props).unwrap();
    }
    let listener = world.listen(server_ns);
    world
        .sim
        .block_on(async {
            let wait = || world.sim.clock().sleep(4 * latency + Duration::from_nanos(1));
            let client = a.tcp_socket(Family::V4, world.memory.clone()).unwrap();
            _ = client.connect(SocketAddr::new(ip, 80));
            wait().await;
            client.take_connect_result().unwrap();
            let server = listener.accept().unwrap().0;
            assert_eq!(client.write(&[1; 2000]), Ok(2000));
            wait().await;
            assert_eq!(server.read(&mut [0; 4000]), Ok(2000));
            assert_eq!(server.write(b"answer"), Ok(6));
            wait().await;
            assert_eq!(client.read(&mut [0; 4000]), Ok(6));
            drop(client);
            wait().await;
            drop(server);
            wait().await;
        })
        .unwrap();
    let seen = world.seen.0.lock();
    let client = seen[0].0;
    // the numbers before the first bytes, as `tcpdump` subtracts them
    let (of_client, of_server) = (seen[0].2[0], seen[1].2[0]);
    let line = |&(from, flags, [seq, ack], len): &Line| {
        let (arrow, mine, theirs) =
            if from == client { ('>', of_client, of_server) } else { ('<', of_server, of_client) };
        let flags = flags.unwrap();
        let ack = if flags.contains(TcpFlags::ACK) { ack.wrapping_sub(theirs) } else { 0 };
        format!("{arrow} {} {} {ack} {len}", letters(flags), seq.wrapping_sub(mine))
    };
    seen.iter().map(line).collect()
}

#[test]
fn a_conversation_is_seen_as_on_a_wire() {
    let expected = [
        "> S 0 0 0",
        "< S. 0 1 0",
        "> . 1 1 0",
        "< . 1 1 0", // accepted: the window grows
        "> P. 1 1 1460",
        "> P. 1461 1 540",
        "< . 1 1461 0",
        "< . 1 2001 0",
        "< P. 1 2001 6",
        "> . 2001 7 0",
        "> F. 2001 7 0",
        "< . 7 2002 0",
        "< F. 7 2002 0",
        "> . 2002 8 0",
    ];
    for (remote, latency) in [(false, 0), (true, 0), (true, 10)] {
        let seen = conversation(1, remote, Duration::from_millis(latency));
        assert_eq!(seen, expected, "{remote} {latency}");
    }
}

#[test]
fn refusals_resets_and_datagrams_are_seen_and_the_seed_decides_the_numbers() {
    let run = |seed| {
        let world = World::new(seed);
        let (a, b) = (world.fabric.attach(pod("a")).unwrap(), world.fabric.attach(pod("b")).unwrap());
        let client = a.tcp_socket(Family::V6, world.memory.clone()).unwrap();
        let to = SocketAddr::new(b.ipv6().into(), 9);
        assert!(client.connect(to).is_err());
        let udp = a.udp_socket(Family::V4, world.memory.clone()).unwrap();
        udp.send_to(b"abc", Some(SocketAddr::new(b.ipv4().into(), 53))).unwrap();
        let listener = world.listen(&b);
        client.connect(SocketAddr::new(b.ipv6().into(), 80)).unwrap_err();
        let client = a.tcp_socket(Family::V4, world.memory.clone()).unwrap();
        client.connect(SocketAddr::new(b.ipv4().into(), 80)).unwrap();
        drop(listener);
        let seen = world.seen.0.lock();
        seen.iter().map(|seen| (seen.1.map(letters), seen.2, seen.3)).collect::<Vec<_>>()
    };
    let flags: Vec<_> = run(1).into_iter().map(|(flags, ..)| flags.unwrap_or_default()).collect();
    assert_eq!(flags, ["S", "R.", "", "S", "R.", "S", "S.", ".", "R."]);
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
