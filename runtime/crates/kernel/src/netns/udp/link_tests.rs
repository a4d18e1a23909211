//! Datagrams over links.

use std::time::Duration;

use super::*;
use crate::fabric::link::{LINK_QUEUE, LOSS_ALL, LinkProps, LinkStats};
use crate::netns::tests::{World, at};

const TEN_MS: Duration = Duration::from_millis(10);

struct Pods {
    world: World,
    sender: Arc<UdpSocket>,
    receiver: Arc<UdpSocket>,
    from: Arc<NetNs>,
    to: SocketAddr,
    other: Arc<NetNs>,
}

impl Pods {
    fn new() -> Self {
        let world = World::new();
        let (a, b) = (world.pod("a"), world.pod("b"));
        let to = SocketAddr::new(b.ipv4().into(), 53);
        let (sender, receiver) = (world.udp(&a), world.udp(&b));
        receiver.bind(to).unwrap();
        Self { sender, receiver, from: a, to, world, other: b }
    }

    fn link(&self, props: LinkProps) {
        self.world.fabric.set_link(self.from.ipv4().into(), self.to.ip(), props).unwrap();
    }

    fn stats(&self) -> LinkStats {
        self.world.fabric.link_stats(self.from.ipv4().into(), self.to.ip())
    }

    fn send(&self, bytes: &[u8]) {
        assert_eq!(self.sender.send_to(bytes, Some(self.to)), Ok(bytes.len()));
    }

    /// The first bytes of the datagrams that have arrived.
    fn received(&self) -> Vec<u8> {
        let mut buf = [0; 2000];
        std::iter::from_fn(|| self.receiver.recv_from(&mut buf).ok().map(|_| buf[0])).collect()
    }
}

fn latency(latency: Duration) -> LinkProps {
    LinkProps { latency, ..LinkProps::default() }
}

#[test]
fn a_datagram_takes_the_latency_and_is_charged_to_its_sender_meanwhile() {
    let pods = Pods::new();
    pods.link(latency(TEN_MS));
    pods.world.run(async {
        let before = pods.world.memory.memory_stats().current;
        pods.send(&[7; 1000]);
        assert_eq!(pods.world.memory.memory_stats().current, before + 1000);
        pods.world.wait(TEN_MS - Duration::from_nanos(2)).await;
        assert!(pods.received().is_empty());
        pods.world.wait(Duration::from_nanos(1)).await;
        assert_eq!(pods.received(), [7]);
        let back = pods.receiver.send_to(b"b", Some(pods.sender_addr()));
        assert_eq!(
            (back, pods.sender.recv_from(&mut [0; 9]).map(|got| got.0)),
            (Ok(1), Ok(1)),
            "the other way has no link"
        );
    });
}

impl Pods {
    fn sender_addr(&self) -> SocketAddr {
        SocketAddr::new(self.from.ipv4().into(), self.sender.local_addr().unwrap().port())
    }
}

#[test]
fn bandwidth_sends_one_after_the_other() {
    let pods = Pods::new();
    pods.link(LinkProps { bandwidth_bytes_per_second: Some(1000), ..LinkProps::default() });
    pods.world.run(async {
        for number in 0..3 {
            pods.send(&[number; 72]); // 100 bytes with headers
        }
        for number in 0..3 {
            pods.world.wait(Duration::from_millis(99)).await;
            assert!(pods.received().is_empty());
            pods.world.wait(Duration::from_millis(1)).await;
            assert_eq!(pods.received(), [number]);
        }
    });
}

#[test]
fn loss_and_partition_drop_and_count_and_jitter_stays_in_its_range() {
    let pods = Pods::new();
    pods.link(LinkProps { loss_ppm: LOSS_ALL / 2, ..LinkProps::default() });
    pods.world.run(async {
        for _ in 0..400 {
            pods.send(b"x");
        }
        let arrived = pods.received().len() as u64;
        assert!((150..250).contains(&arrived), "{arrived}");
        assert_eq!(pods.stats(), LinkStats { passed: arrived, dropped: 400 - arrived });
        pods.link(LinkProps { jitter: TEN_MS, ..latency(TEN_MS) });
        for _ in 0..100 {
            pods.send(b"x");
        }
        pods.world.wait(TEN_MS).await;
        let first = pods.received().len();
        assert!((20..80).contains(&first), "{first}");
        pods.world.wait(TEN_MS).await;
        assert_eq!(pods.received().len(), 100 - first);
        pods.link(latency(TEN_MS));
        pods.send(b"on its way");
        pods.link(LinkProps { partitioned: true, ..latency(TEN_MS) });
        pods.send(b"later");
        pods.world.wait(2 * TEN_MS).await;
        pods.link(LinkProps::default());
        assert!(pods.received().is_empty(), "nothing passes, what was on its way included");
    });
}

#[test]
fn what_is_held_waits_in_order_and_no_more_than_the_queue_takes() {
    let pods = Pods::new();
    pods.receiver.set_recv_buffer_size(1 << 20).unwrap();
    pods.link(LinkProps { held: true, ..latency(TEN_MS) });
    pods.world.run(async {
        for number in 0..LINK_QUEUE + 5 {
            pods.send(&[number as u8]);
        }
        pods.world.wait(Duration::from_secs(5)).await;
        assert!(pods.received().is_empty());
        pods.link(latency(TEN_MS));
        assert!(pods.received().is_empty(), "released, it has its way before it");
        pods.world.wait(TEN_MS).await;
        let numbers: Vec<u8> = (0..LINK_QUEUE).map(|number| number as u8).collect();
        assert_eq!((pods.received(), pods.stats().dropped), (numbers, 5));
    });
}

#[test]
fn port_unreachable_takes_the_way_back() {
    let pods = Pods::new();
    let (there, back) = (pods.from.ipv4().into(), pods.to.ip());
    pods.world.fabric.set_link(there, back, latency(TEN_MS)).unwrap();
    pods.world.fabric.set_link(back, there, latency(TEN_MS)).unwrap();
    pods.world.run(async {
        pods.sender.connect(SocketAddr::new(pods.to.ip(), 9)).unwrap();
        assert_eq!(pods.sender.send_to(b"x", None), Ok(1));
        pods.world.wait(2 * TEN_MS - Duration::from_nanos(2)).await;
        assert_eq!(pods.sender.take_error(), None);
        pods.world.wait(Duration::from_nanos(1)).await;
        assert_eq!(pods.sender.take_error(), Some(Errno::ConnRefused));
    });
}

#[test]
fn both_addresses_of_a_pod_mean_one_link_and_loopback_has_none() {
    let pods = Pods::new();
    let fabric = &pods.world.fabric;
    let (a4, a6): (IpAddr, IpAddr) = (pods.from.ipv4().into(), pods.from.ipv6().into());
    let b6 = pods.other.ipv6().into();
    fabric.set_link(a6, pods.to.ip(), latency(TEN_MS)).unwrap();
    assert_eq!((fabric.link(a4, b6), fabric.link(b6, a4)), (latency(TEN_MS), LinkProps::default()));
    assert_eq!(fabric.set_link(a4, a6, latency(TEN_MS)), Err(Errno::Inval));
    assert_eq!(fabric.set_link(a4, at("8.8.8.8:0").ip(), latency(TEN_MS)), Err(Errno::Inval));
    let wrong = LinkProps { jitter: 2 * TEN_MS, ..latency(TEN_MS) };
    assert_eq!(fabric.set_link(a4, b6, wrong), Err(Errno::Inval));
    let socket = pods.world.udp(&pods.from);
    socket.bind(at("127.0.0.1:7")).unwrap();
    pods.sender.send_to(b"x", Some(at("127.0.0.1:7"))).unwrap();
    assert_eq!(socket.recv_from(&mut [0; 1]).map(|got| got.0), Ok(1), "without a wait");
    fabric.clear_link(a4, b6).unwrap();
    assert_eq!(fabric.link(a4, b6), LinkProps::default());
}

#[test]
fn a_pod_that_goes_takes_its_links_along() {
    let pods = Pods::new();
    pods.link(LinkProps { held: true, ..LinkProps::default() });
    pods.send(b"x");
    let (from, to) = (pods.from.ipv4().into(), pods.to.ip());
    pods.world.fabric.detach(&pods.other);
    assert_eq!((pods.world.fabric.link(from, to), pods.world.fabric.links()), (LinkProps::default(), vec![]));
}
