//! TCP over links: when things arrive, and what becomes of connections when they do not.

use std::time::Duration;

use proptest::prelude::*;
use wasmpod_sim::Instant;

use super::*;
use crate::fabric::link::{LOSS_ALL, LinkProps};
use crate::netns::Shutdown;
use crate::netns::tests::{World, ready};

const TEN_MS: Duration = Duration::from_millis(10);

struct Pods {
    world: World,
    a: Arc<NetNs>,
    b: Arc<NetNs>,
    listener: Arc<TcpSocket>,
    at: SocketAddr,
}

fn latency(latency: Duration) -> LinkProps {
    LinkProps { latency, ..LinkProps::default() }
}

fn cut() -> LinkProps {
    LinkProps { partitioned: true, ..LinkProps::default() }
}

impl Pods {
    fn new() -> Self {
        let world = World::new();
        let (a, b) = (world.pod("a"), world.pod("b"));
        let listener = world.listen(&b, "0.0.0.0:80", 5);
        let at = SocketAddr::new(b.ipv4().into(), 80);
        Self { world, a, b, listener, at }
    }

    fn both(&self, props: LinkProps) {
        self.there(props.clone());
        self.back(props);
    }

    fn there(&self, props: LinkProps) {
        self.world.fabric.set_link(self.a.ipv4().into(), self.b.ipv4().into(), props).unwrap();
    }

    fn back(&self, props: LinkProps) {
        self.world.fabric.set_link(self.b.ipv4().into(), self.a.ipv4().into(), props).unwrap();
    }

    fn now(&self) -> Instant {
        self.world.sim.clock().now()
    }

    fn test<F: Future>(&self, test: impl FnOnce() -> F) -> F::Output {
        self.world.run(test())
    }

    async fn until(&self, socket: &TcpSocket, interest: Ready) -> Ready {
        std::future::poll_fn(|cx| {
            let ready = socket.poll_ready(interest, cx);
            if ready.is_empty() { std::task::Poll::Pending } else { std::task::Poll::Ready(ready) }
        })
        .await
    }

    async fn try_connect(&self) -> Result<Arc<TcpSocket>> {
        let client = self.world.tcp(&self.a);
        match client.connect(self.at) {
            Err(Errno::InProgress) => _ = self.until(&client, Ready::WRITE).await,
            result => result?,
        }
        client.take_connect_result().map(|()| client)
    }

    async fn accept(&self) -> Arc<TcpSocket> {
        self.until(&self.listener, Ready::READ).await;
        self.listener.accept().unwrap().0
    }

    /// (client, server)
    async fn pair(&self) -> (Arc<TcpSocket>, Arc<TcpSocket>) {
        let client = self.try_connect().await.unwrap();
        (client, self.accept().await)
    }

    async fn write_all(&self, socket: &TcpSocket, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            match socket.write(&bytes[done..]) {
                Ok(count) => done += count,
                Err(Errno::Again) => _ = self.until(socket, Ready::WRITE).await,
                Err(errno) => panic!("{errno}"),
            }
        }
    }

    async fn read(&self, socket: &TcpSocket) -> Result<Vec<u8>> {
        let mut buf = vec![0; 4096];
        loop {
            match socket.read(&mut buf) {
                Err(Errno::Again) => _ = self.until(socket, Ready::READ).await,
                result => return result.map(|count| buf[..count].to_vec()),
            }
        }
    }

    async fn read_all(&self, socket: &TcpSocket) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match self.read(socket).await.unwrap() {
                bytes if bytes.is_empty() => return all,
                bytes => all.extend(bytes),
            }
        }
    }
}

#[test]
fn connecting_takes_one_round_trip_and_so_does_a_request() {
    let pods = Pods::new();
    pods.both(latency(TEN_MS));
    pods.test(|| async {
        let client = pods.try_connect().await.unwrap();
        assert_eq!(pods.now(), Instant::ZERO + 2 * TEN_MS);
        let server = pods.accept().await;
        assert_eq!(pods.now(), Instant::ZERO + 3 * TEN_MS, "the client's acknowledgement lets the server accept");
        for round in 0..3u32 {
            let start = pods.now();
            assert_eq!(client.write(&[7; 64]), Ok(64));
            assert_eq!(pods.read(&server).await.unwrap().len(), 64);
            assert_eq!(server.write(&[8; 64]), Ok(64));
            assert_eq!(pods.read(&client).await.unwrap().len(), 64);
            assert_eq!(pods.now() - start, 2 * TEN_MS, "round {round}");
        }
        drop(client);
        let start = pods.now();
        assert_eq!((pods.read(&server).await, pods.now() - start), (Ok(vec![]), TEN_MS), "FIN takes the link as well");
    });
}

#[test]
fn a_refusal_and_a_reset_take_their_time() {
    let pods = Pods::new();
    pods.both(latency(TEN_MS));
    pods.test(|| async {
        let (client, server) = pods.pair().await;
        client.write(b"unread").unwrap();
        pods.world.wait(TEN_MS).await;
        drop(server);
        let start = pods.now();
        assert_eq!((pods.read(&client).await, pods.now() - start), (Err(Errno::ConnReset), TEN_MS));
        pods.listener.shutdown(Shutdown::Read).unwrap();
        let start = pods.now();
        let refused = pods.try_connect().await.unwrap_err();
        assert_eq!((refused, pods.now() - start), (Errno::ConnRefused, 2 * TEN_MS));
    });
}

#[test]
fn a_syn_that_is_lost_is_sent_again_until_the_time_is_up() {
    let pods = Pods::new();
    pods.there(cut());
    pods.test(|| async {
        assert_eq!(pods.try_connect().await.unwrap_err(), Errno::TimedOut);
        assert_eq!(pods.now(), Instant::ZERO + CONNECT_TIMEOUT);
        assert_eq!(pods.world.fabric.link_stats(pods.a.ipv4().into(), pods.b.ipv4().into()).dropped, 7);
        let (start, client) = (pods.now(), pods.world.tcp(&pods.a));
        assert_eq!((client.connect(pods.at), client.state()), (Err(Errno::InProgress), TcpState::SynSent));
        pods.world.wait(Duration::from_secs(2)).await;
        pods.both(latency(TEN_MS));
        pods.until(&client, Ready::WRITE).await;
        assert_eq!(client.take_connect_result(), Ok(()));
        assert_eq!(pods.now() - start, Duration::from_secs(3) + 2 * TEN_MS, "the retry of the third second");
    });
}

#[test]
fn a_server_whose_answer_is_lost_holds_the_connection_half_open_for_a_while() {
    let pods = Pods::new();
    pods.back(cut());
    pods.test(|| async {
        let client = pods.world.tcp(&pods.a);
        assert_eq!(client.connect(pods.at), Err(Errno::InProgress));
        pods.world.wait(TEN_MS).await;
        let states = |ns: &NetNs| ns.sockets().iter().map(|socket| socket.state).collect::<Vec<_>>();
        assert_eq!(states(&pods.b), [TcpState::Listen, TcpState::SynRecv]);
        assert!(matches!(pods.listener.accept(), Err(Errno::Again)));
        pods.world.wait(SYN_RECV_TIMEOUT).await;
        assert_eq!(states(&pods.b), [TcpState::Listen]);
    });
}

#[test]
fn a_full_accept_queue_drops_the_syn() {
    let pods = Pods::new();
    pods.both(latency(TEN_MS));
    let small = pods.world.listen(&pods.b, "0.0.0.0:81", 0);
    pods.test(|| async {
        let at = SocketAddr::new(pods.b.ipv4().into(), 81);
        let clients: Vec<_> = (0..2).map(|_| pods.world.tcp(&pods.a)).collect();
        for client in &clients {
            assert_eq!(client.connect(at), Err(Errno::InProgress));
        }
        pods.world.wait(3 * TEN_MS).await;
        assert_eq!((clients[0].state(), clients[1].state()), (TcpState::Established, TcpState::SynSent));
        assert!(small.accept().is_ok());
        pods.until(&clients[1], Ready::WRITE).await;
        assert_eq!(pods.now().saturating_since(Instant::ZERO), Duration::from_secs(1) + 2 * TEN_MS);
    });
}

#[test]
fn a_partition_delays_and_then_times_out() {
    let pods = Pods::new();
    pods.both(latency(TEN_MS));
    pods.test(|| async {
        let (client, server) = pods.pair().await;
        pods.there(cut());
        client.write(b"late").unwrap();
        let start = pods.now();
        pods.world.wait(Duration::from_secs(1)).await;
        assert_eq!(server.readable_bytes(), 0);
        assert_eq!(client.info().unwrap().tx_queue, 4);
        pods.there(latency(TEN_MS));
        assert_eq!(pods.read(&server).await, Ok(b"late".to_vec()));
        assert_eq!(pods.now() - start, Duration::from_millis(200 + 400 + 800) + TEN_MS);
        pods.world.wait(TEN_MS).await;
        pods.there(cut());
        client.write(b"never").unwrap();
        let start = pods.now();
        assert_eq!(pods.read(&client).await, Err(Errno::TimedOut));
        assert_eq!(pods.now() - start, Duration::from_millis(924_600));
        assert_eq!((client.write(b"x"), client.state()), (Err(Errno::Pipe), TcpState::Close));
    });
}

#[test]
fn acknowledgements_that_are_lost_end_a_connection_as_well() {
    let pods = Pods::new();
    pods.both(latency(TEN_MS));
    pods.test(|| async {
        let (client, server) = pods.pair().await;
        pods.back(cut());
        client.write(b"arrives").unwrap();
        assert_eq!(pods.read(&server).await, Ok(b"arrives".to_vec()));
        assert_eq!(pods.read(&client).await, Err(Errno::TimedOut));
        assert_eq!(ready(&server, Ready::READ), Ready::empty(), "nobody told the server");
        pods.back(LinkProps::default());
        server.write(b"hello?").unwrap();
        assert_eq!(pods.read(&server).await, Err(Errno::ConnReset));
    });
}

#[test]
fn what_is_held_waits_and_arrives_in_order() {
    let pods = Pods::new();
    pods.test(|| async {
        let (client, server) = pods.pair().await; // before there was any link
        pods.both(LinkProps { held: true, ..LinkProps::default() });
        client.write(b"one ").unwrap();
        client.write(b"two").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        pods.world.wait(Duration::from_secs(3600)).await;
        assert_eq!((server.readable_bytes(), client.state()), (0, TcpState::FinWait1));
        pods.both(latency(TEN_MS));
        assert_eq!(pods.read_all(&server).await, b"one two");
        pods.world.wait(TEN_MS).await;
        assert_eq!((client.state(), server.state()), (TcpState::FinWait2, TcpState::CloseWait));
        // a connect over a held link
        pods.both(LinkProps { held: true, ..LinkProps::default() });
        let client = pods.world.tcp(&pods.a);
        assert_eq!(client.connect(pods.at), Err(Errno::InProgress));
        pods.world.wait(TEN_MS).await;
        pods.both(LinkProps::default());
        pods.world.wait(TEN_MS).await;
        assert_eq!(client.take_connect_result(), Ok(()));
    });
}

#[test]
fn bandwidth_and_windows_bound_the_rate() {
    let pods = Pods::new();
    pods.there(LinkProps { bandwidth_bytes_per_second: Some(1_000_000), ..LinkProps::default() });
    pods.test(|| async {
        let (client, server) = pods.pair().await;
        let bytes = vec![7; 1_460_000];
        let start = pods.now();
        let (_, all) = futures_util::future::join(
            async {
                pods.write_all(&client, &bytes).await;
                client.shutdown(Shutdown::Write).unwrap();
            },
            pods.read_all(&server),
        )
        .await;
        let took = (pods.now() - start).as_micros();
        assert_eq!(all.len(), bytes.len());
        // 1000 full segments of 1500 bytes and the FIN, and headers of segments that were cut short by the send buffer
        assert!((1_500_040..1_501_000).contains(&took), "{took}");
    });
    let pods = Pods::new();
    pods.both(latency(Duration::from_millis(50)));
    pods.test(|| async {
        let (client, server) = pods.pair().await;
        client.set_send_buffer_size(10_000).unwrap();
        assert_eq!(client.write(&[1; 50_000]), Ok(10_000), "SO_SNDBUF bounds what is not acknowledged");
        assert_eq!(client.write(b"more"), Err(Errno::Again));
        pods.world.wait(Duration::from_millis(50)).await;
        assert_eq!((server.readable_bytes(), client.info().unwrap().tx_queue), (10_000, 10_000));
        pods.world.wait(Duration::from_millis(50)).await;
        assert_eq!(client.info().unwrap().tx_queue, 0);
    });
}

#[test]
fn what_is_on_its_way_is_charged_to_its_sender_and_given_back() {
    let pods = Pods::new();
    pods.both(latency(TEN_MS));
    pods.test(|| async {
        let used = || pods.world.memory.memory_stats().current;
        let (client, server) = pods.pair().await;
        let before = used();
        client.write(&[1; 8192]).unwrap();
        assert_eq!(used(), before + 8192);
        drop(client); // sends on without its socket
        assert_eq!(pods.read_all(&server).await.len(), 8192);
        drop(server);
        pods.world.wait(4 * TEN_MS).await;
        assert_eq!(used(), before - 2 * SOCKET_BYTES);
    });
}

#[test]
fn keepalive_finds_a_peer_that_is_cut_off() {
    let pods = Pods::new();
    pods.both(latency(TEN_MS));
    pods.test(|| async {
        let (client, _server) = pods.pair().await;
        client.set_keepalive_idle(Duration::from_secs(60)).unwrap();
        client.set_keepalive_interval(Duration::from_secs(10)).unwrap();
        client.set_keepalive_count(3).unwrap();
        client.set_keepalive(true).unwrap();
        let start = pods.now();
        pods.world.wait(Duration::from_secs(100)).await;
        pods.both(cut());
        assert_eq!(pods.read(&client).await, Err(Errno::TimedOut));
        let took = pods.now() - start;
        assert!(took > Duration::from_secs(145) && took <= Duration::from_millis(150_010), "{took:?}");
    });
}

#[test]
fn a_window_that_was_closed_opens_again_even_if_the_news_of_it_is_lost() {
    let pods = Pods::new();
    pods.both(latency(TEN_MS));
    pods.test(|| async {
        let (client, server) = pods.pair().await;
        server.set_recv_buffer_size(4096).unwrap();
        let mut sent = 0;
        while let Ok(count) = client.write(&[1; 4096]) {
            sent += count;
            pods.world.wait(2 * TEN_MS).await;
        }
        pods.back(cut());
        while server.readable_bytes() > 0 {
            server.read(&mut [0; 65_536]).unwrap();
        }
        pods.back(latency(TEN_MS));
        client.shutdown(Shutdown::Write).unwrap();
        let rest = pods.read_all(&server).await;
        assert!(!rest.is_empty() && rest.len() < sent);
    });
}

#[derive(Debug, Clone)]
enum Op {
    Write(bool, usize),
    Read(bool, usize),
    Link(bool, u8),
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (any::<bool>(), 1usize..20_000).prop_map(|(side, len)| Op::Write(side, len)),
        4 => (any::<bool>(), 1usize..40_000).prop_map(|(side, len)| Op::Read(side, len)),
        1 => (any::<bool>(), 0u8..7).prop_map(|(side, kind)| Op::Link(side, kind)),
        3 => (0u64..400).prop_map(Op::Wait),
    ]
}

fn props(kind: u8) -> LinkProps {
    match kind {
        0 => LinkProps::default(),
        1 => latency(TEN_MS),
        2 => LinkProps { jitter: TEN_MS, ..latency(3 * TEN_MS) },
        3 => LinkProps { bandwidth_bytes_per_second: Some(100_000), ..LinkProps::default() },
        4 => LinkProps { loss_ppm: LOSS_ALL / 4, ..latency(TEN_MS) },
        5 => cut(),
        _ => LinkProps { held: true, ..LinkProps::default() },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_byte_is_lost_or_out_of_order_whatever_the_links_do(ops in prop::collection::vec(op(), 1..60), early in any::<bool>()) {
        let pods = Pods::new();
        let world = &pods.world;
        let unused = world.memory.memory_stats().current;
        pods.test(|| async {
            if early {
                pods.both(latency(TEN_MS));
            }
            let (client, server) = pods.pair().await;
            let ends = [&client, &server];
            // what each side has written, and how much of it the other has read; the next byte follows from its place
            let (mut written, mut read) = ([0usize; 2], [0usize; 2]);
            let byte = |side: usize, at: usize| (at.wrapping_mul(31) >> 3) as u8 ^ (side as u8);
            for op in ops {
                match op {
                    Op::Write(side, len) => {
                        let side = usize::from(side);
                        let bytes: Vec<u8> = (0..len).map(|at| byte(side, written[side] + at)).collect();
                        match ends[side].write(&bytes) {
                            Ok(count) => written[side] += count,
                            Err(errno) => assert_eq!(errno, Errno::Again),
                        }
                    }
                    Op::Read(side, len) => {
                        let side = usize::from(side);
                        let mut buf = vec![0; len];
                        match ends[side].read(&mut buf) {
                            Ok(count) => {
                                assert!((0..count).all(|at| buf[at] == byte(1 - side, read[side] + at)));
                                read[side] += count;
                            }
                            Err(errno) => assert_eq!(errno, Errno::Again),
                        }
                    }
                    Op::Link(true, kind) => pods.there(props(kind)),
                    Op::Link(false, kind) => pods.back(props(kind)),
                    Op::Wait(ms) => world.wait(Duration::from_millis(ms)).await,
                }
                assert!(read[0] <= written[1] && read[1] <= written[0]);
            }
            pods.both(latency(TEN_MS));
            for end in ends {
                end.shutdown(Shutdown::Write).unwrap();
            }
            for (side, end) in ends.into_iter().enumerate() {
                let rest = pods.read_all(end).await;
                assert!(rest.iter().enumerate().all(|(at, seen)| *seen == byte(1 - side, read[side] + at)));
                assert_eq!(read[side] + rest.len(), written[1 - side]);
            }
            drop((client, server));
            world.wait(Duration::from_secs(300)).await;
        });
        assert_eq!(pods.a.sockets().len() + pods.b.sockets().len(), 1, "the listener");
        assert_eq!(world.memory.memory_stats().current, unused);
    }
}
