//! TCP as programs see it. Where an outcome is not obvious, it was read from a Linux 6.18 kernel with the same calls.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::cgroup::Limits;
use crate::netns::Shutdown;
use crate::netns::tests::{Count, World, at, ready};

fn read(socket: &TcpSocket, max: usize) -> Result<Vec<u8>> {
    let mut buf = vec![0; max];
    let count = socket.read(&mut buf)?;
    buf.truncate(count);
    Ok(buf)
}

/// The sockets that are not only in TIME-WAIT.
fn open(ns: &NetNs) -> Vec<SocketInfo> {
    ns.sockets().into_iter().filter(|socket| socket.state != TcpState::TimeWait).collect()
}

#[test]
fn bytes_go_both_ways_and_shutdown_ends_one_of_them() {
    let world = World::new();
    let (client, server) = world.pair(&world.pod("a"));
    assert_eq!(read(&server, 10), Err(Errno::Again));
    assert_eq!(client.write(b"hello"), Ok(5));
    assert_eq!((server.readable_bytes(), server.peek(&mut [0; 3])), (5, Ok(3)));
    assert_eq!(read(&server, 2).unwrap(), b"he");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!((client.state(), server.state()), (TcpState::FinWait2, TcpState::CloseWait));
    assert_eq!(read(&server, 10).unwrap(), b"llo");
    assert_eq!(read(&server, 10).unwrap(), b"");
    assert_eq!(client.write(b""), Err(Errno::Pipe));
    assert_eq!(client.write(b"x"), Err(Errno::Pipe));
    assert_eq!(client.shutdown(Shutdown::Write), Ok(()));
    assert!(client.peer_addr().is_ok());
    assert_eq!(server.write(b"bye"), Ok(3));
    assert_eq!(read(&client, 10).unwrap(), b"bye");
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!((client.peer_addr(), client.shutdown(Shutdown::Write)), (Err(Errno::NotConn), Err(Errno::NotConn)));
    assert_eq!((read(&client, 1).unwrap(), client.state()), (vec![], TcpState::Close));
    assert_eq!(client.write(b"1"), Err(Errno::Pipe));
}

#[test]
fn shutting_down_reading_ends_reads_but_not_what_arrives() {
    let world = World::new();
    let (client, server) = world.pair(&world.pod("a"));
    client.shutdown(Shutdown::Read).unwrap();
    server.write(b"x").unwrap();
    assert_eq!((read(&client, 1).unwrap(), read(&client, 1).unwrap()), (b"x".to_vec(), vec![]));
    assert_eq!(server.write(b"y"), Ok(1));
    assert_eq!(read(&client, 1).unwrap(), b"y");
}

#[test]
fn closing_with_unread_bytes_resets_the_peer_who_still_reads_what_it_got() {
    let world = World::new();
    let ns = world.pod("a");
    let (client, server) = world.pair(&ns);
    server.write(b"data").unwrap();
    client.write(b"unread").unwrap();
    drop(server);
    let all = Ready::READ | Ready::WRITE;
    assert_eq!(ready(&client, all), all | Ready::ERR | Ready::HUP);
    assert_eq!(read(&client, 2).unwrap(), b"da");
    assert_eq!(read(&client, 9).unwrap(), b"ta");
    assert_eq!(read(&client, 9), Err(Errno::ConnReset));
    assert_eq!(read(&client, 9).unwrap(), b"", "an error is reported once");
    assert_eq!((client.write(b"x"), client.peer_addr()), (Err(Errno::Pipe), Err(Errno::NotConn)));

    let (client, server) = world.pair(&ns);
    client.write(b"unread").unwrap();
    drop(server);
    assert_eq!((client.write(b"x"), client.write(b"x")), (Err(Errno::ConnReset), Err(Errno::Pipe)));

    let (client, server) = world.pair(&ns);
    client.write(b"unread").unwrap();
    drop(server);
    assert_eq!((client.take_error(), client.take_error()), (Some(Errno::ConnReset), None));
    assert_eq!((read(&client, 1).unwrap(), client.write(b"x")), (vec![], Err(Errno::Pipe)));
}

#[test]
fn the_first_write_to_a_closed_peer_leaves_and_the_next_fails() {
    let world = World::new();
    let (client, server) = world.pair(&world.pod("a"));
    drop(server);
    let all = Ready::READ | Ready::WRITE;
    assert_eq!((read(&client, 1).unwrap(), ready(&client, all)), (vec![], all));
    assert_eq!(client.write(b"a"), Ok(1));
    assert_eq!(ready(&client, all), all | Ready::HUP | Ready::ERR);
    assert_eq!(client.write(b"b"), Err(Errno::Pipe));
    assert_eq!((read(&client, 1).unwrap(), client.shutdown(Shutdown::Write)), (vec![], Err(Errno::NotConn)));
}

#[test]
fn a_reset_after_the_end_of_the_stream_is_a_broken_pipe() {
    let world = World::new();
    let (client, server) = world.pair(&world.pod("a"));
    server.shutdown(Shutdown::Write).unwrap();
    client.write(b"x").unwrap();
    drop(server);
    assert_eq!(read(&client, 1).unwrap(), b"");
    assert_eq!((client.write(b"b"), client.write(b"b")), (Err(Errno::Pipe), Err(Errno::Pipe)));
}

#[test]
fn lingering_for_no_time_is_a_reset() {
    let world = World::new();
    let (client, server) = world.pair(&world.pod("a"));
    server.set_linger(Some(Duration::ZERO)).unwrap();
    drop(server);
    assert_eq!(read(&client, 1), Err(Errno::ConnReset));
}

#[test]
fn calls_in_the_wrong_state_fail_as_on_linux() {
    let world = World::new();
    let ns = world.pod("a");
    let fresh = world.tcp(&ns);
    assert_eq!(
        (read(&fresh, 1), fresh.write(b"x"), fresh.write(b"")),
        (Err(Errno::NotConn), Err(Errno::Pipe), Err(Errno::Pipe))
    );
    assert_eq!((fresh.shutdown(Shutdown::Write), fresh.peer_addr()), (Err(Errno::NotConn), Err(Errno::NotConn)));
    assert_eq!((fresh.accept().unwrap_err(), fresh.local_addr()), (Errno::Inval, Err(Errno::Inval)));
    assert_eq!(fresh.take_connect_result(), Err(Errno::NotConn));
    assert_eq!(ready(&fresh, Ready::READ | Ready::WRITE), Ready::WRITE | Ready::HUP);
    fresh.bind(at("127.0.0.1:0")).unwrap();
    assert_eq!(fresh.bind(at("127.0.0.1:0")), Err(Errno::Inval));
    assert_eq!(fresh.connect(at("8.8.8.8:80")), Err(Errno::NetUnreach));

    let listener = world.listen(&ns, "127.0.0.1:0", 1);
    assert_eq!((read(&listener, 1), listener.write(b"x")), (Err(Errno::NotConn), Err(Errno::Pipe)));
    assert_eq!(
        (listener.connect(at("127.0.0.1:9")), listener.bind(at("127.0.0.1:0"))),
        (Err(Errno::IsConn), Err(Errno::Inval))
    );
    assert_eq!((listener.listen(3), listener.accept().unwrap_err()), (Ok(()), Errno::Again));
    assert_eq!(listener.shutdown(Shutdown::Write), Ok(()));
    assert_eq!((listener.shutdown(Shutdown::Read), listener.accept().unwrap_err()), (Ok(()), Errno::Inval));
    assert_eq!(listener.shutdown(Shutdown::Read), Err(Errno::NotConn));
    assert!(listener.local_addr().is_ok() && listener.state() == TcpState::Close);
    assert_eq!(listener.listen(1), Ok(()), "it may listen again");

    let (client, _server) = world.pair(&ns);
    assert_eq!((client.connect(at("127.0.0.1:9")), client.listen(1)), (Err(Errno::IsConn), Err(Errno::Inval)));
    assert_eq!((client.bind(at("127.0.0.1:0")), client.accept().unwrap_err()), (Err(Errno::Inval), Errno::Inval));
    assert_eq!(client.take_connect_result(), Ok(()));
}

#[test]
fn a_refused_connect_may_be_tried_again() {
    let world = World::new();
    let ns = world.pod("a");
    let client = world.tcp(&ns);
    client.bind(at("127.0.0.1:4000")).unwrap();
    for target in ["127.0.0.1:9", "127.0.0.1:0", "0.0.0.0:9"] {
        assert_eq!(client.connect(at(target)), Err(Errno::ConnRefused), "{target}");
        assert_eq!(client.local_addr(), Ok(at("127.0.0.1:4000")));
    }
    assert_eq!((read(&client, 1), client.take_error()), (Err(Errno::NotConn), None));
    let listener = world.listen(&ns, "127.0.0.1:9", 1);
    assert_eq!(client.connect(at("0.0.0.0:9")), Ok(()));
    assert_eq!(listener.accept().unwrap().1, at("127.0.0.1:4000"));
    let unbound = world.tcp(&ns);
    assert_eq!(unbound.connect(at("127.0.0.1:7")), Err(Errno::ConnRefused));
    assert!(unbound.local_addr().is_err() && open(&ns).len() == 2, "the port is free again");
}

#[test]
fn wildcard_and_specific_binds_conflict_as_on_linux() {
    let world = World::new();
    let ns = world.pod("a");
    let _any = world.listen(&ns, "0.0.0.0:80", 1);
    let own = SocketAddr::new(ns.ipv4().into(), 80);
    for addr in [at("0.0.0.0:80"), at("127.0.0.1:80"), own] {
        let socket = world.tcp(&ns);
        assert_eq!(socket.bind(addr), Err(Errno::AddrInUse), "{addr}");
        socket.set_reuseaddr(true).unwrap();
        assert_eq!(socket.bind(addr), Err(Errno::AddrInUse), "a listener does not share: {addr}");
    }
    let six = world.tcp6(&ns);
    assert_eq!(six.bind(at("[::]:80")), Err(Errno::AddrInUse), "dual-stack covers IPv4");
    six.set_v6only(true).unwrap();
    assert_eq!(six.bind(at("[::]:80")), Ok(()));
    assert_eq!(six.set_v6only(false), Err(Errno::Inval));

    // two specific addresses do not meet, and connections go to the more exact one
    let (loopback, eth0) = (world.listen(&ns, "127.0.0.1:81", 1), world.tcp(&ns));
    eth0.bind(SocketAddr::new(ns.ipv4().into(), 81)).unwrap();
    eth0.listen(1).unwrap();
    world.tcp(&ns).connect(at("127.0.0.1:81")).unwrap();
    assert!(loopback.accept().is_ok() && eth0.accept().is_err());
}

#[test]
fn reuseaddr_lets_a_server_return_while_its_connections_live() {
    let world = World::new();
    let ns = world.pod("a");
    let start = |reuse| {
        let socket = world.tcp(&ns);
        socket.set_reuseaddr(reuse).unwrap();
        socket.bind(at("0.0.0.0:80")).and_then(|()| socket.listen(1)).map(|()| socket)
    };
    let server = start(true).unwrap();
    let client = world.tcp(&ns);
    client.connect(at("127.0.0.1:80")).unwrap();
    let (connection, _) = server.accept().unwrap();
    drop(server);
    assert_eq!(start(false).unwrap_err(), Errno::AddrInUse);
    let again = start(true).unwrap();
    client.write(b"still here").unwrap();
    assert_eq!(read(&connection, 20).unwrap(), b"still here");
    drop((again, connection));
    assert_eq!(start(false).unwrap_err(), Errno::AddrInUse, "the server ended the connection first: TIME-WAIT");
    assert!(start(true).is_ok());

    // bound twice is fine, listening twice is not
    let (one, two) = (world.tcp(&ns), world.tcp(&ns));
    for socket in [&one, &two] {
        socket.set_reuseaddr(true).unwrap();
        socket.bind(at("0.0.0.0:90")).unwrap();
    }
    assert_eq!((one.listen(1), two.listen(1)), (Ok(()), Err(Errno::AddrInUse)));
}

#[test]
fn dual_stack_sockets_take_both_families() {
    let world = World::new();
    let ns = world.pod("a");
    let listener = world.tcp6(&ns);
    listener.bind(at("[::]:80")).unwrap();
    listener.listen(5).unwrap();
    let four = world.tcp(&ns);
    four.connect(at("127.0.0.1:80")).unwrap();
    let (server, peer) = listener.accept().unwrap();
    assert_eq!(peer.to_string(), format!("[::ffff:127.0.0.1]:{}", four.local_addr().unwrap().port()));
    assert_eq!(server.local_addr(), Ok(at("[::ffff:127.0.0.1]:80")));
    let six = world.tcp6(&ns);
    six.connect(at("[::]:80")).unwrap();
    assert_eq!(listener.accept().unwrap().1.ip(), at("[::1]:0").ip());
    assert_eq!(six.peer_addr(), Ok(at("[::1]:80")));
    assert_eq!(world.tcp(&ns).connect(at("[::1]:80")), Err(Errno::AfNoSupport));
    assert_eq!(world.tcp6(&ns).connect(at("127.0.0.1:80")), Err(Errno::AfNoSupport));
    let only = world.tcp6(&ns);
    only.set_v6only(true).unwrap();
    assert_eq!(only.bind(at("[::ffff:127.0.0.1]:0")), Err(Errno::Inval));
    assert_eq!(only.connect(at("[::ffff:127.0.0.1]:80")), Err(Errno::NetUnreach));
    assert_eq!(world.tcp(&ns).set_v6only(true), Err(Errno::NoProtoOpt));
}

#[test]
fn a_full_accept_queue_makes_connects_wait_for_room() {
    let world = World::new();
    let ns = world.pod("a");
    let listener = world.listen(&ns, "127.0.0.1:80", 1);
    let clients: Vec<_> = (0..4).map(|_| world.tcp(&ns)).collect();
    let results: Vec<_> = clients.iter().map(|client| client.connect(at("127.0.0.1:80"))).collect();
    assert_eq!(results, [Ok(()), Ok(()), Err(Errno::InProgress), Err(Errno::InProgress)], "a backlog of n holds n + 1");
    let waiting = &clients[2];
    assert_eq!(waiting.state(), TcpState::SynSent);
    assert_eq!(
        (waiting.connect(at("127.0.0.1:80")), waiting.take_connect_result()),
        (Err(Errno::Already), Err(Errno::Again))
    );
    assert_eq!((read(waiting, 1), waiting.write(b"x")), (Err(Errno::Again), Err(Errno::Again)));
    assert_eq!((waiting.shutdown(Shutdown::Write), waiting.peer_addr()), (Err(Errno::NotConn), Err(Errno::NotConn)));
    let task = Count::new();
    assert_eq!(task.poll(waiting, Ready::WRITE), Ready::empty());
    let (_first, _) = listener.accept().unwrap();
    assert_eq!(task.woken(), 1);
    assert_eq!(task.poll(waiting, Ready::WRITE), Ready::WRITE);
    assert_eq!((waiting.take_connect_result(), waiting.write(b"x")), (Ok(()), Ok(1)));
    assert_eq!(clients[3].take_connect_result(), Err(Errno::Again));
    listener.listen(5).unwrap();
    assert_eq!(clients[3].take_connect_result(), Ok(()), "a larger backlog is room too");
}

#[test]
fn a_listener_that_closes_refuses_and_resets() {
    let world = World::new();
    let ns = world.pod("a");
    let listener = world.listen(&ns, "127.0.0.1:80", 0);
    let (queued, waiting) = (world.tcp(&ns), world.tcp(&ns));
    assert_eq!(
        (queued.connect(at("127.0.0.1:80")), waiting.connect(at("127.0.0.1:80"))),
        (Ok(()), Err(Errno::InProgress))
    );
    let task = Count::new();
    assert_eq!(task.poll(&waiting, Ready::WRITE), Ready::empty());
    drop(listener);
    assert_eq!(read(&queued, 1), Err(Errno::ConnReset));
    assert_eq!(task.woken(), 1);
    assert_eq!(task.poll(&waiting, Ready::WRITE), Ready::WRITE | Ready::ERR | Ready::HUP);
    assert_eq!(waiting.take_connect_result(), Err(Errno::ConnRefused));
    assert_eq!(waiting.take_connect_result(), Err(Errno::NotConn), "reported once");
    drop((queued, waiting));
    assert_eq!((open(&ns), world.memory.memory_stats().current), (vec![], 0));
}

#[test]
fn a_connect_that_nobody_accepts_times_out() {
    let world = World::new();
    let ns = world.pod("a");
    let _listener = world.listen(&ns, "127.0.0.1:80", 0);
    let (_queued, waiting) = (world.tcp(&ns), world.tcp(&ns));
    _queued.connect(at("127.0.0.1:80")).unwrap();
    assert_eq!(waiting.connect(at("127.0.0.1:80")), Err(Errno::InProgress));
    let clock = world.sim.clock().clone();
    let result = world.sim.block_on(async {
        std::future::poll_fn(|cx| match waiting.poll_ready(Ready::WRITE, cx) {
            none if none.is_empty() => std::task::Poll::Pending,
            ready => std::task::Poll::Ready(ready),
        })
        .await;
        (waiting.take_connect_result(), clock.now())
    });
    let (result, now) = result.unwrap();
    assert_eq!((result, now), (Err(Errno::TimedOut), wasmpod_sim::Instant::ZERO + CONNECT_TIMEOUT));
}

#[test]
fn a_flood_of_connects_is_bounded() {
    let world = World::new();
    let ns = world.pod("a");
    let listener = world.listen(&ns, "127.0.0.1:80", u32::MAX);
    let clients: Vec<_> = (0..MAX_BACKLOG as usize + 1 + MAX_WAITING_CONNECTS + 1).map(|_| world.tcp(&ns)).collect();
    let results: Vec<_> = clients.iter().map(|client| client.connect(at("127.0.0.1:80"))).collect();
    let count = |expected| results.iter().filter(|&&result| result == expected).count();
    assert_eq!(count(Ok(())), MAX_BACKLOG as usize + 1);
    assert_eq!((count(Err(Errno::InProgress)), count(Err(Errno::TimedOut))), (MAX_WAITING_CONNECTS, 1));
    // those who gave up make room for others
    drop(clients);
    assert_eq!(world.tcp(&ns).connect(at("127.0.0.1:80")), Err(Errno::InProgress));
    while listener.accept().is_ok() {}
    drop(listener);
    assert_eq!((open(&ns), world.memory.memory_stats().current), (vec![], 0));
}

#[test]
fn what_nobody_accepted_takes_little_memory() {
    let world = World::new();
    let ns = world.pod("a");
    let listener = world.listen(&ns, "127.0.0.1:80", 5);
    let client = world.tcp(&ns);
    client.connect(at("127.0.0.1:80")).unwrap();
    assert_eq!(client.write(&[1; 100_000]), Ok(UNACCEPTED_BUFFER));
    let task = Count::new();
    assert_eq!(task.poll(&client, Ready::WRITE), Ready::empty());
    let (server, _) = listener.accept().unwrap();
    assert_eq!((task.woken(), client.writable_bytes()), (1, DEFAULT_RECV_BUFFER as usize - UNACCEPTED_BUFFER));
    assert_eq!(server.readable_bytes(), UNACCEPTED_BUFFER);
}

#[test]
fn a_writer_stops_at_the_readers_buffer_and_goes_on_when_a_third_is_free() {
    let world = World::new();
    let (client, server) = world.pair(&world.pod("a"));
    server.set_recv_buffer_size(12_000).unwrap();
    let before = world.memory.memory_stats().current;
    assert_eq!((client.write(&[7; 50_000]), client.write(&[7])), (Ok(12_000), Err(Errno::Again)));
    assert!(world.memory.memory_stats().current - before <= 12_000);
    let task = Count::new();
    assert_eq!(task.poll(&client, Ready::WRITE), Ready::empty());
    read(&server, 3_999).unwrap();
    assert_eq!(task.woken(), 0);
    assert_eq!(task.poll(&client, Ready::WRITE), Ready::empty());
    read(&server, 1).unwrap();
    assert_eq!(task.woken(), 1);
    assert_eq!(task.poll(&client, Ready::WRITE), Ready::WRITE);
    assert_eq!(client.write(&[7; 50_000]), Ok(4_000));
    assert_eq!(task.poll(&client, Ready::WRITE), Ready::empty());
    server.set_recv_buffer_size(1 << 40).unwrap();
    assert_eq!((task.woken(), server.recv_buffer_size()), (2, MAX_SOCKET_BUFFER));
    server.set_recv_buffer_size(1).unwrap();
    assert_eq!((server.recv_buffer_size(), client.writable_bytes()), (MIN_SOCKET_BUFFER, 0));
    assert_eq!(server.set_recv_buffer_size(0), Err(Errno::Inval));
    drop((client, server));
    assert_eq!(world.memory.memory_stats().current, 0);
}

#[test]
fn a_reader_without_memory_slows_the_writer_or_fails_it() {
    let world = World::with_memory(3 * SOCKET_BYTES + 6000);
    let ns = world.pod("a");
    let (client, server) = world.pair(&ns);
    assert_eq!(client.write(&[1; 100]), Ok(100));
    assert_eq!(client.write(&[1; 100_000]), Ok(3996), "the page that it has is all it gets");
    assert_eq!((client.write(b"x"), ready(&client, Ready::WRITE)), (Err(Errno::Again), Ready::empty()));
    assert_eq!(read(&server, 5000).map(|bytes| bytes.len()), Ok(4096));
    assert_eq!(client.write(&[1; 100_000]), Ok(4096));
    assert_eq!(server.write(b"x"), Err(Errno::NoBufs), "not a byte of memory for the other direction");
    assert!(!world.memory.is_oom(), "nobody is killed for bytes that others sent");
    world.memory.set_limits(Limits { memory_max: Some(1 << 20), ..Limits::default() });
    assert_eq!(read(&server, 5000).map(|bytes| bytes.len()), Ok(4096));
    assert_eq!(
        (client.write(&[1; 100_000]), server.write(b"x")),
        (Ok(100_000), Ok(1)),
        "with memory again, all is as before"
    );
}

#[test]
fn a_task_is_woken_once_for_what_it_waits_for() {
    let world = World::new();
    let ns = world.pod("a");
    let (client, server) = world.pair(&ns);
    let task = Count::new();
    assert_eq!(task.poll(&server, Ready::READ), Ready::empty());
    client.write(b"a").unwrap();
    client.write(b"b").unwrap();
    assert_eq!((task.woken(), task.poll(&server, Ready::READ)), (1, Ready::READ));
    read(&server, 9).unwrap();
    assert_eq!(task.poll(&server, Ready::READ), Ready::empty());
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!((task.woken(), task.poll(&server, Ready::READ)), (2, Ready::READ));
    // a writer that is blocked learns that the reader has gone
    let (client, server) = world.pair(&ns);
    while client.write(&[0; 65_536]).is_ok() {}
    assert_eq!(task.poll(&client, Ready::WRITE), Ready::empty());
    drop(server);
    assert_eq!((task.woken(), client.write(b"x")), (3, Err(Errno::ConnReset)));
    // accept
    let listener = world.listen(&ns, "127.0.0.1:80", 1);
    assert_eq!(task.poll(&listener, Ready::READ), Ready::empty());
    world.tcp(&ns).connect(at("127.0.0.1:80")).unwrap();
    assert_eq!((task.woken(), task.poll(&listener, Ready::READ)), (4, Ready::READ));
    // hang-up alone
    let (client, server) = world.pair(&ns);
    assert_eq!(task.poll(&server, Ready::empty()), Ready::empty());
    server.shutdown(Shutdown::Write).unwrap();
    let woken = task.woken();
    assert_eq!(task.poll(&server, Ready::empty()), Ready::empty());
    drop(client);
    assert_eq!((task.woken(), task.poll(&server, Ready::empty())), (woken + 1, Ready::HUP));
}

#[test]
fn options_are_kept_checked_and_inherited() {
    let world = World::new();
    let ns = world.pod("a");
    let listener = world.listen(&ns, "127.0.0.1:80", 1);
    listener.set_nodelay(true).unwrap();
    listener.set_keepalive_idle(Duration::from_secs(5)).unwrap();
    listener.set_recv_buffer_size(10_000).unwrap();
    let client = world.tcp(&ns);
    client.connect(at("127.0.0.1:80")).unwrap();
    let (server, _) = listener.accept().unwrap();
    assert!(server.nodelay() && !client.nodelay() && !server.keepalive());
    assert_eq!((server.keepalive_idle(), server.recv_buffer_size()), (Duration::from_secs(5), 10_000));
    assert_eq!(client.write(&[0; 20_000]), Ok(10_000));
    assert_eq!(server.set_keepalive_idle(Duration::ZERO), Err(Errno::Inval));
    assert_eq!(server.set_keepalive_count(128), Err(Errno::Inval));
    assert_eq!(server.set_hop_limit(0), Err(Errno::Inval));
    assert_eq!((server.set_hop_limit(9), server.hop_limit()), (Ok(()), 9));
}

/// Waits until `call` does not say EAGAIN.
async fn retry<T>(socket: &TcpSocket, interest: Ready, mut call: impl FnMut(&TcpSocket) -> Result<T>) -> Result<T> {
    std::future::poll_fn(|cx| {
        loop {
            match call(socket) {
                Err(Errno::Again) if socket.poll_ready(interest, cx).is_empty() => return std::task::Poll::Pending,
                Err(Errno::Again) => {}
                result => return std::task::Poll::Ready(result),
            }
        }
    })
    .await
}

async fn produce(socket: Arc<TcpSocket>, total: usize, mut sizes: wasmpod_sim::Stream, offset: u8) {
    let mut sent = 0;
    while sent < total {
        let count = (1 + sizes.below(30_000) as usize).min(total - sent);
        let bytes: Vec<u8> = (sent..sent + count).map(|at| (at % 251) as u8 ^ offset).collect();
        // copied, or kept as they are
        let owned = sizes.below(2) == 0;
        let mut bytes = Bytes::from(bytes);
        sent += retry(&socket, Ready::WRITE, |socket| match owned {
            true => socket.write_bytes(&mut bytes),
            false => socket.write(&bytes),
        })
        .await
        .unwrap();
    }
    socket.shutdown(Shutdown::Write).unwrap();
}

async fn consume(socket: Arc<TcpSocket>, mut sizes: wasmpod_sim::Stream, offset: u8) -> usize {
    let mut received = 0;
    loop {
        let mut buf = vec![0; 1 + sizes.below(40_000) as usize];
        let count = retry(&socket, Ready::READ, |socket| match socket.read_whole(buf.len()) {
            Some(bytes) => {
                buf[..bytes.len()].copy_from_slice(&bytes);
                Ok(bytes.len())
            }
            None => socket.read(&mut buf),
        })
        .await
        .unwrap();
        if count == 0 {
            return received;
        }
        for (index, &byte) in buf[..count].iter().enumerate() {
            assert_eq!(byte, ((received + index) % 251) as u8 ^ offset);
        }
        received += count;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Both directions at once, in an order that the seed chooses. A lost wake is a deadlock, which fails.
    #[test]
    fn streams_arrive_whole_in_order_and_no_wake_is_lost(seed: u64, buffer in 4096u64..100_000, total in 1usize..400_000) {
        let world = World::with(seed, 1 << 30);
        let (sim, entropy) = (world.sim.clone(), world.sim.entropy().clone());
        let (a, b) = (world.pod("a"), world.pod("b"));
        let listener = world.listen(&b, "0.0.0.0:80", 1);
        let client = world.tcp(&a);
        client.set_recv_buffer_size(buffer).unwrap();
        listener.set_recv_buffer_size(buffer / 2).unwrap();
        client.connect(SocketAddr::new(b.ipv4().into(), 80)).unwrap();
        let (server, _) = listener.accept().unwrap();
        let received = sim.block_on(async {
            let tasks = [
                sim.spawn("client reads", consume(client.clone(), entropy.stream("1"), 1)),
                sim.spawn("server reads", consume(server.clone(), entropy.stream("2"), 2)),
            ];
            sim.spawn("client writes", produce(client, total, entropy.stream("3"), 2));
            sim.spawn("server writes", produce(server, total, entropy.stream("4"), 1));
            let mut counts = Vec::new();
            for task in tasks {
                counts.push(task.await.unwrap());
            }
            counts
        });
        prop_assert_eq!(received.expect("no task waits for ever"), vec![total, total]);
        drop(listener);
        prop_assert_eq!(world.memory.memory_stats().current, 0);
    }

    /// Any call in any state: no panic, no deadlock, and everything is given back.
    #[test]
    fn random_calls_never_break_the_state_machine(ops in prop::collection::vec((0usize..6, 0u8..21, 0u16..4), 1..200)) {
        let world = World::new();
        let pods = [world.pod("a"), world.pod("b")];
        let mut sockets: Vec<Arc<TcpSocket>> = (0..6).map(|at| if at % 3 == 2 { world.tcp6(&pods[at % 2]) } else { world.tcp(&pods[at % 2]) }).collect();
        let task = Count::new();
        for (which, op, arg) in ops {
            let socket = sockets[which].clone();
            let target = match (socket.family(), arg) {
                (Family::V4, 0) => at("127.0.0.1:80"),
                (Family::V4, 1) => SocketAddr::new(pods[0].ipv4().into(), 80),
                (Family::V4, _) => at("0.0.0.0:81"),
                (Family::V6, 0) => at("[::ffff:127.0.0.1]:80"),
                (Family::V6, 1) => SocketAddr::new(pods[1].ipv6().into(), 80),
                (Family::V6, _) => at("[::]:81"),
            };
            match op {
                0 | 1 => _ = socket.bind(target),
                2 | 3 => _ = socket.listen(arg.into()),
                4..=6 => _ = socket.connect(target),
                7 | 8 => if let Ok((accepted, _)) = socket.accept() {
                    sockets[(which + 1) % 6] = accepted;
                },
                9 => _ = socket.read(&mut vec![0; usize::from(arg) * 3000]),
                10 => _ = socket.write(&vec![1; usize::from(arg) * 5000]),
                11 => _ = socket.write_bytes(&mut vec![1; usize::from(arg) * 20_000].into()),
                12 => _ = socket.shutdown([Shutdown::Read, Shutdown::Write, Shutdown::Both][usize::from(arg) % 3]),
                13 => _ = socket.take_connect_result(),
                14 => _ = socket.take_error(),
                15 => _ = task.poll(&socket, Ready::from_bits_truncate(arg as u8)),
                16 => _ = socket.set_reuseaddr(arg % 2 == 0),
                17 => _ = (socket.peer_addr(), socket.local_addr(), socket.state(), format!("{socket:?}")),
                18 => _ = socket.read_whole(usize::from(arg) * 30_000),
                19 => _ = (pods[0].render_proc_net_tcp(), pods[1].render_proc_net_tcp6()),
                _ => sockets[which] = world.tcp(&pods[which % 2]),
            }
        }
        drop(sockets);
        prop_assert_eq!((open(&pods[0]), open(&pods[1]), world.memory.memory_stats().current), (vec![], vec![], 0));
    }
}

#[test]
fn who_ends_a_connection_first_keeps_its_addresses_for_a_minute() {
    let world = World::new();
    let ns = world.pod("a");
    world.run(async {
        let listener = world.listen(&ns, "127.0.0.1:80", 5);
        let client = world.tcp(&ns);
        client.bind(at("127.0.0.1:4000")).unwrap();
        client.connect(at("127.0.0.1:80")).unwrap();
        let server = listener.accept().unwrap().0;
        drop(client);
        assert_eq!(read(&server, 1).unwrap(), b"");
        drop((server, listener));
        let states: Vec<_> = ns.sockets().iter().map(|socket| (socket.state, socket.local.port())).collect();
        assert_eq!(states, [(TcpState::TimeWait, 4000)]);
        assert_eq!(world.tcp(&ns).bind(at("127.0.0.1:4000")), Err(Errno::AddrInUse));
        assert_eq!(world.tcp(&ns).bind(at("127.0.0.1:80")), Ok(()), "the other side keeps nothing");
        world.wait(crate::netns::TIME_WAIT - Duration::from_millis(1)).await;
        assert_eq!(world.tcp(&ns).bind(at("0.0.0.0:4000")), Err(Errno::AddrInUse));
        world.wait(Duration::from_millis(1)).await;
        assert_eq!((ns.sockets().len(), world.tcp(&ns).bind(at("0.0.0.0:4000"))), (0, Ok(())));
    });
}

#[test]
fn a_server_that_closed_first_binds_again_with_reuseaddr_only_and_no_four_tuple_is_used_twice() {
    let world = World::new();
    let ns = world.pod("a");
    let serve = |reuse| {
        let socket = world.tcp(&ns);
        socket.set_reuseaddr(reuse).unwrap();
        socket.bind(at("127.0.0.1:80")).and_then(|()| socket.listen(5)).map(|()| socket)
    };
    let client_at = |port| {
        let client = world.tcp(&ns);
        client.set_reuseaddr(true).unwrap();
        client.bind(SocketAddr::new("127.0.0.1".parse().unwrap(), port)).unwrap();
        client.connect(at("127.0.0.1:80")).map(|()| client)
    };
    let listener = serve(true).unwrap();
    let client = client_at(4000).unwrap();
    let server = listener.accept().unwrap().0;
    drop((server, client, listener));
    assert_eq!(serve(false).unwrap_err(), Errno::AddrInUse);
    let listener = serve(true).unwrap();
    let client = client_at(4001).unwrap();
    let server = listener.accept().unwrap().0;
    drop((client, server));
    assert_eq!(client_at(4001).unwrap_err(), Errno::AddrNotAvail);
    assert!(client_at(4000).is_ok(), "the server waited there, and takes a new SYN");
    // a reset leaves nothing behind
    let client = client_at(4002).unwrap();
    client.set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    assert!(client_at(4002).is_ok());
}

#[test]
fn time_wait_is_bounded() {
    let world = World::new();
    let ns = world.pod("a");
    let listener = world.listen(&ns, "127.0.0.1:80", 5);
    for _ in 0..crate::netns::MAX_TIME_WAIT + 10 {
        let client = world.tcp(&ns);
        client.connect(at("127.0.0.1:80")).unwrap();
        let server = listener.accept().unwrap();
        drop(client);
        drop(server);
    }
    assert_eq!(ns.sockets().len(), 1 + crate::netns::MAX_TIME_WAIT);
}
