//! `wasi:sockets/tcp` over the pod's network: the state machine, its errors, options, streams and ends.

mod p2_support;

use std::net::SocketAddr;
use std::time::Duration;

use p2_support::{NetCode, World, b, net_code, own};
use proptest::prelude::*;
use wasmpod_wasi::Ctx;
use wasmpod_wasi::p2::bindings::sockets::instance_network::Host as _;
use wasmpod_wasi::p2::bindings::sockets::network::{Host as _, IpAddressFamily, IpSocketAddress};
use wasmpod_wasi::p2::bindings::sockets::tcp::{HostTcpSocket, ShutdownType};
use wasmpod_wasi::p2::bindings::sockets::tcp_create_socket::Host as _;
use wasmpod_wasi::p2::sockets::{Network, SocketError, SocketFailure, TcpHandle};
use wasmtime::component::Resource;
use wasmtime_wasi_io::bindings::wasi::io::poll::{Host as _, HostPollable as _};
use wasmtime_wasi_io::bindings::wasi::io::streams::{HostInputStream, HostOutputStream};
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, StreamError};

const V4: IpAddressFamily = IpAddressFamily::Ipv4;
const V6: IpAddressFamily = IpAddressFamily::Ipv6;

type Tcp = Resource<TcpHandle>;
type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

fn addr(text: &str) -> IpSocketAddress {
    text.parse::<SocketAddr>().unwrap().into()
}

fn text(address: IpSocketAddress) -> String {
    SocketAddr::from(address).to_string()
}

/// A socket and the right to use it.
fn socket(ctx: &mut Ctx, family: IpAddressFamily) -> (Tcp, Resource<Network>) {
    (ctx.create_tcp_socket(family).unwrap(), ctx.instance_network().unwrap())
}

fn bound(ctx: &mut Ctx, address: &str) -> Tcp {
    let family = if address.starts_with('[') { V6 } else { V4 };
    let (tcp, net) = socket(ctx, family);
    ctx.start_bind(b(&tcp), b(&net), addr(address)).unwrap();
    ctx.finish_bind(b(&tcp)).unwrap();
    tcp
}

fn listening(ctx: &mut Ctx, address: &str) -> Tcp {
    let tcp = bound(ctx, address);
    ctx.start_listen(b(&tcp)).unwrap();
    ctx.finish_listen(b(&tcp)).unwrap();
    tcp
}

fn connected(ctx: &mut Ctx, address: &str) -> (Tcp, Streams) {
    let family = if address.starts_with('[') { V6 } else { V4 };
    let (tcp, net) = socket(ctx, family);
    ctx.start_connect(b(&tcp), b(&net), addr(address)).unwrap();
    let streams = ctx.finish_connect(b(&tcp)).unwrap();
    (tcp, streams)
}

/// A connection within one process: the client's socket and streams, then the server's.
fn pair(ctx: &mut Ctx) -> ((Tcp, Streams), (Tcp, Streams)) {
    let listener = listening(ctx, "127.0.0.1:7000");
    let client = connected(ctx, "127.0.0.1:7000");
    let (server, input, output) = ctx.accept(b(&listener)).unwrap();
    HostTcpSocket::drop(ctx, listener).unwrap();
    (client, (server, (input, output)))
}

fn send(ctx: &mut Ctx, to: &Resource<DynOutputStream>, bytes: &[u8]) {
    assert!(HostOutputStream::check_write(ctx, b(to)).unwrap() >= bytes.len() as u64);
    HostOutputStream::write(ctx, b(to), bytes.to_vec()).unwrap();
}

#[test]
fn a_new_socket_is_unbound_and_says_so() {
    let (_world, mut ctx) = World::lone();
    let (tcp, net) = socket(&mut ctx, V4);
    assert_eq!(net_code(ctx.finish_bind(b(&tcp))), NetCode::NotInProgress);
    assert_eq!(net_code(ctx.finish_connect(b(&tcp))), NetCode::NotInProgress);
    assert_eq!(net_code(ctx.finish_listen(b(&tcp))), NetCode::NotInProgress);
    assert_eq!(net_code(ctx.start_listen(b(&tcp))), NetCode::InvalidState);
    assert_eq!(net_code(ctx.accept(b(&tcp))), NetCode::InvalidState);
    assert_eq!(net_code(ctx.local_address(b(&tcp))), NetCode::InvalidState);
    assert_eq!(net_code(ctx.remote_address(b(&tcp))), NetCode::InvalidState);
    assert_eq!(net_code(ctx.shutdown(b(&tcp), ShutdownType::Both)), NetCode::InvalidState);
    assert!(!ctx.is_listening(b(&tcp)).unwrap());
    assert_eq!(ctx.address_family(b(&tcp)).unwrap(), V4);
    for bad in ["224.0.0.1:0", "255.255.255.255:0", "[::]:0"] {
        assert_eq!(net_code(ctx.start_bind(b(&tcp), b(&net), addr(bad))), NetCode::InvalidArgument, "{bad}");
    }
    for bad in ["0.0.0.0:80", "127.0.0.1:0", "224.0.0.1:80", "[::1]:80"] {
        assert_eq!(net_code(ctx.start_connect(b(&tcp), b(&net), addr(bad))), NetCode::InvalidArgument, "{bad}");
    }
    let (six, _) = socket(&mut ctx, V6);
    for bad in ["[::ffff:127.0.0.1]:80", "127.0.0.1:80", "[::7f00:1]:80", "[ff02::1]:80"] {
        assert_eq!(net_code(ctx.start_bind(b(&six), b(&net), addr(bad))), NetCode::InvalidArgument, "{bad}");
    }
    assert_eq!(net_code(ctx.start_bind(b(&tcp), b(&net), addr("8.8.8.8:80"))), NetCode::AddressNotBindable);
    // still unbound: none of that left a trace
    ctx.start_bind(b(&tcp), b(&net), addr("127.0.0.1:80")).unwrap();
    let stranger = Resource::<Network>::new_borrow(9999);
    assert!(matches!(ctx.start_bind(b(&six), stranger, addr("[::1]:80")), Err(SocketError::Trap(_))));
}

#[test]
fn binding_listening_and_what_they_exclude() {
    let (_world, mut ctx) = World::lone();
    let (tcp, net) = socket(&mut ctx, V4);
    ctx.start_bind(b(&tcp), b(&net), addr("0.0.0.0:0")).unwrap();
    // one call at a time
    assert_eq!(net_code(ctx.start_bind(b(&tcp), b(&net), addr("127.0.0.1:80"))), NetCode::ConcurrencyConflict);
    assert_eq!(net_code(ctx.start_connect(b(&tcp), b(&net), addr("127.0.0.1:80"))), NetCode::ConcurrencyConflict);
    assert_eq!(net_code(ctx.start_listen(b(&tcp))), NetCode::ConcurrencyConflict);
    assert_eq!(net_code(ctx.finish_listen(b(&tcp))), NetCode::NotInProgress);
    ctx.finish_bind(b(&tcp)).unwrap();
    assert_eq!(net_code(ctx.finish_bind(b(&tcp))), NetCode::NotInProgress);
    assert_eq!(net_code(ctx.start_bind(b(&tcp), b(&net), addr("127.0.0.1:80"))), NetCode::InvalidState);
    let local = text(ctx.local_address(b(&tcp)).unwrap());
    let port: u16 = local.strip_prefix("0.0.0.0:").unwrap().parse().unwrap();
    assert!(port >= 32768, "an ephemeral port: {port}");

    assert_eq!(net_code(ctx.set_listen_backlog_size(b(&tcp), 0)), NetCode::InvalidArgument);
    ctx.set_listen_backlog_size(b(&tcp), u64::MAX).unwrap();
    ctx.start_listen(b(&tcp)).unwrap();
    ctx.finish_listen(b(&tcp)).unwrap();
    assert!(ctx.is_listening(b(&tcp)).unwrap());
    ctx.set_listen_backlog_size(b(&tcp), 5).unwrap();
    assert_eq!(net_code(ctx.start_listen(b(&tcp))), NetCode::InvalidState);
    assert_eq!(net_code(ctx.start_bind(b(&tcp), b(&net), addr("127.0.0.1:80"))), NetCode::InvalidState);
    assert_eq!(net_code(ctx.start_connect(b(&tcp), b(&net), addr("127.0.0.1:80"))), NetCode::InvalidState);
    assert_eq!(net_code(ctx.remote_address(b(&tcp))), NetCode::InvalidState);
    assert_eq!(net_code(ctx.shutdown(b(&tcp), ShutdownType::Send)), NetCode::InvalidState);
    assert_eq!(net_code(ctx.accept(b(&tcp))), NetCode::WouldBlock);

    // the same port once more
    let (second, _) = socket(&mut ctx, V4);
    let taken = addr(&format!("127.0.0.1:{port}"));
    let bind = ctx.start_bind(b(&second), b(&net), taken);
    assert_eq!(net_code(bind), NetCode::AddressInUse);
    // but IPv6 has ports of its own
    let (six, _) = socket(&mut ctx, V6);
    ctx.start_bind(b(&six), b(&net), addr(&format!("[::]:{port}"))).unwrap();
    HostTcpSocket::drop(&mut ctx, tcp).unwrap();
    ctx.start_bind(b(&second), b(&net), taken).unwrap();
}

#[test]
fn a_refused_connect_fails_the_socket_for_good() {
    let (_world, mut ctx) = World::lone();
    let (tcp, net) = socket(&mut ctx, V4);
    ctx.start_connect(b(&tcp), b(&net), addr("127.0.0.1:9")).unwrap();
    assert_eq!(net_code(ctx.start_connect(b(&tcp), b(&net), addr("127.0.0.1:9"))), NetCode::ConcurrencyConflict);
    assert_eq!(net_code(ctx.hop_limit(b(&tcp))), NetCode::InvalidState);
    assert_eq!(net_code(ctx.finish_bind(b(&tcp))), NetCode::NotInProgress);
    assert_eq!(net_code(ctx.finish_connect(b(&tcp))), NetCode::ConnectionRefused);
    assert_eq!(net_code(ctx.finish_connect(b(&tcp))), NetCode::NotInProgress);
    assert_eq!(net_code(ctx.local_address(b(&tcp))), NetCode::ConnectionRefused);
    assert_eq!(net_code(ctx.remote_address(b(&tcp))), NetCode::ConnectionRefused);
    assert_eq!(net_code(ctx.start_connect(b(&tcp), b(&net), addr("127.0.0.1:9"))), NetCode::InvalidState);
    assert_eq!(net_code(ctx.start_bind(b(&tcp), b(&net), addr("127.0.0.1:9"))), NetCode::InvalidState);
    assert_eq!(net_code(ctx.start_listen(b(&tcp))), NetCode::InvalidState);

    let (far, _) = socket(&mut ctx, V4);
    ctx.start_connect(b(&far), b(&net), addr("8.8.8.8:80")).unwrap();
    assert_eq!(net_code(ctx.finish_connect(b(&far))), NetCode::RemoteUnreachable);
}

#[test]
fn a_connect_within_the_pod_works_over_ipv4_and_ipv6() {
    let (_world, mut ctx) = World::lone();
    for address in ["127.0.0.1:7000", "[::1]:7000"] {
        let listener = listening(&mut ctx, address);
        let (client, (input, output)) = connected(&mut ctx, address);
        let (server, server_input, server_output) = ctx.accept(b(&listener)).unwrap();
        assert_eq!(text(ctx.remote_address(b(&client)).unwrap()), address);
        assert_eq!(text(ctx.local_address(b(&server)).unwrap()), address);
        assert_eq!(text(ctx.remote_address(b(&server)).unwrap()), text(ctx.local_address(b(&client)).unwrap()));
        assert_eq!(net_code(ctx.set_listen_backlog_size(b(&client), 5)), NetCode::InvalidState);
        assert_eq!(net_code(ctx.start_listen(b(&client))), NetCode::InvalidState);
        assert_eq!(net_code(ctx.finish_connect(b(&client))), NetCode::NotInProgress);
        assert_eq!(net_code(ctx.accept(b(&client))), NetCode::InvalidState);
        send(&mut ctx, &output, b"ping");
        assert_eq!(HostInputStream::read(&mut ctx, b(&server_input), 100).unwrap(), b"ping");
        send(&mut ctx, &server_output, b"pong");
        assert_eq!(HostInputStream::read(&mut ctx, b(&input), 2).unwrap(), b"po");
        assert_eq!(HostInputStream::read(&mut ctx, b(&input), 100).unwrap(), b"ng");
        assert!(HostInputStream::read(&mut ctx, b(&input), 100).unwrap().is_empty());
        HostTcpSocket::drop(&mut ctx, listener).unwrap();
    }
}

#[test]
fn streams_are_children_of_their_socket() {
    let (world, mut ctx) = World::lone();
    world
        .sim
        .block_on(async {
            let ((client, (input, output)), _server) = pair(&mut ctx);
            assert!(HostTcpSocket::drop(&mut ctx, own(&client)).is_err());
            HostInputStream::drop(&mut ctx, input).await.unwrap();
            assert!(HostTcpSocket::drop(&mut ctx, own(&client)).is_err());
            HostOutputStream::drop(&mut ctx, output).await.unwrap();
            HostTcpSocket::drop(&mut ctx, client).unwrap();
        })
        .unwrap();
}

#[test]
fn waiting_for_a_connection_and_for_bytes() {
    let world = World::new();
    let net = world.pod("pod");
    let (mut server, mut client) = (world.process("server", &net), world.process("client", &net));
    let sim = world.sim.clone();
    sim.block_on(async {
        let listener = listening(&mut server, "0.0.0.0:7000");
        let pollable = HostTcpSocket::subscribe(&mut server, b(&listener)).unwrap();
        assert!(!server.ready(b(&pollable)).await.unwrap());
        let clock = sim.clock().clone();
        let task = sim.spawn("client", async move {
            clock.sleep(Duration::from_secs(1)).await;
            let (_tcp, (input, output)) = connected(&mut client, "127.0.0.1:7000");
            clock.sleep(Duration::from_secs(1)).await;
            send(&mut client, &output, b"late");
            let answer = client.blocking_read(b(&input), 100).await.unwrap();
            (answer, clock.now().as_nanos())
        });
        assert_eq!(server.poll(vec![b(&pollable)]).await.unwrap(), [0]);
        assert_eq!(sim.clock().now().as_nanos(), 1_000_000_000);
        let (_tcp, input, output) = server.accept(b(&listener)).unwrap();
        assert!(!server.ready(b(&pollable)).await.unwrap());
        let readable = HostInputStream::subscribe(&mut server, b(&input)).unwrap();
        assert_eq!(server.poll(vec![b(&pollable), b(&readable)]).await.unwrap(), [1]);
        assert_eq!(sim.clock().now().as_nanos(), 2_000_000_000);
        assert_eq!(HostInputStream::read(&mut server, b(&input), 100).unwrap(), b"late");
        sim.clock().sleep(Duration::from_secs(1)).await;
        server.blocking_write_and_flush(b(&output), b"ok".to_vec()).await.unwrap();
        assert_eq!(task.await.unwrap(), (b"ok".to_vec(), 3_000_000_000));
    })
    .unwrap();
}

/// A connect waits while the backlog is full, and is woken by the accept.
#[test]
fn a_connect_in_progress_is_finished_later() {
    let (world, mut ctx) = World::lone();
    let sim = world.sim.clone();
    sim.block_on(async {
        let listener = bound(&mut ctx, "127.0.0.1:7000");
        ctx.set_listen_backlog_size(b(&listener), 1).unwrap();
        ctx.start_listen(b(&listener)).unwrap();
        ctx.finish_listen(b(&listener)).unwrap();
        let mut waiting = None;
        for _ in 0..8 {
            let (tcp, net) = socket(&mut ctx, V4);
            ctx.start_connect(b(&tcp), b(&net), addr("127.0.0.1:7000")).unwrap();
            match ctx.finish_connect(b(&tcp)) {
                Ok(_) => {}
                result => {
                    assert_eq!(net_code(result), NetCode::WouldBlock);
                    waiting = Some(tcp);
                    break;
                }
            }
        }
        let tcp = waiting.expect("a backlog of 1 is full after a few");
        assert_eq!(net_code(ctx.local_address(b(&tcp))), NetCode::InvalidState);
        let pollable = HostTcpSocket::subscribe(&mut ctx, b(&tcp)).unwrap();
        assert!(!ctx.ready(b(&pollable)).await.unwrap());
        assert_eq!(net_code(ctx.finish_connect(b(&tcp))), NetCode::WouldBlock);
        ctx.accept(b(&listener)).unwrap();
        ctx.block(b(&pollable)).await.unwrap();
        ctx.finish_connect(b(&tcp)).unwrap();
        ctx.remote_address(b(&tcp)).unwrap();
    })
    .unwrap();
}

#[test]
fn bulk_writes_get_large_permits_and_back_pressure() {
    let (world, mut ctx) = World::lone();
    world
        .sim
        .block_on(async {
            let ((_c, (_, output)), (_s, (input, _))) = pair(&mut ctx);
            assert_eq!(HostOutputStream::check_write(&mut ctx, b(&output)).unwrap(), 64 * 1024);
            let mut sent: u64 = 0;
            loop {
                let permit = HostOutputStream::check_write(&mut ctx, b(&output)).unwrap();
                if permit == 0 {
                    break;
                }
                let bytes = (sent..sent + permit).map(|at| (at % 251) as u8).collect();
                HostOutputStream::write(&mut ctx, b(&output), bytes).unwrap();
                sent += permit;
            }
            assert!(sent >= 128 * 1024, "{sent}");
            let writable = HostOutputStream::subscribe(&mut ctx, b(&output)).unwrap();
            assert!(!ctx.ready(b(&writable)).await.unwrap());
            let mut received = 0;
            while received < sent {
                let bytes = HostInputStream::read(&mut ctx, b(&input), 1 << 30).unwrap();
                assert!(!bytes.is_empty() && bytes.len() <= 64 * 1024);
                assert!(bytes.iter().zip(received..).all(|(&byte, at)| byte == (at % 251) as u8));
                received += bytes.len() as u64;
            }
            assert!(ctx.ready(b(&writable)).await.unwrap());
            assert!(HostInputStream::read(&mut ctx, b(&input), 1).unwrap().is_empty());
        })
        .unwrap();
}

#[test]
fn half_closing_ends_one_direction() {
    let (_world, mut ctx) = World::lone();
    let ((client, (input, output)), (server, (server_input, server_output))) = pair(&mut ctx);
    send(&mut ctx, &output, b"last words");
    ctx.shutdown(b(&client), ShutdownType::Send).unwrap();
    for _ in 0..2 {
        // closed at once and for good, whichever call is the first to ask
        assert!(matches!(HostOutputStream::check_write(&mut ctx, b(&output)), Err(StreamError::Closed)));
        assert!(matches!(HostOutputStream::flush(&mut ctx, b(&output)), Err(StreamError::Closed)));
        assert!(matches!(HostOutputStream::write(&mut ctx, b(&output), b"x".to_vec()), Err(StreamError::Closed)));
    }
    assert_eq!(HostInputStream::read(&mut ctx, b(&server_input), 100).unwrap(), b"last words");
    assert!(matches!(HostInputStream::read(&mut ctx, b(&server_input), 1), Err(StreamError::Closed)));
    // the other direction lives
    send(&mut ctx, &server_output, b"answer");
    assert_eq!(HostInputStream::read(&mut ctx, b(&input), 100).unwrap(), b"answer");
    // a shut input is at its end at once, whatever comes
    send(&mut ctx, &server_output, b"more");
    ctx.shutdown(b(&client), ShutdownType::Receive).unwrap();
    assert!(matches!(HostInputStream::read(&mut ctx, b(&input), 100), Err(StreamError::Closed)));
    ctx.shutdown(b(&server), ShutdownType::Both).unwrap();
    ctx.shutdown(b(&server), ShutdownType::Both).unwrap();
}

#[test]
fn a_dropped_peer_ends_the_stream_and_unread_bytes_reset_it() {
    let (world, mut ctx) = World::lone();
    world
        .sim
        .block_on(async {
            let ((client, (input, output)), (_s, (server_input, server_output))) = pair(&mut ctx);
            send(&mut ctx, &server_output, b"never read");
            HostInputStream::drop(&mut ctx, input).await.unwrap();
            HostOutputStream::drop(&mut ctx, output).await.unwrap();
            HostTcpSocket::drop(&mut ctx, client).unwrap();
            let error = HostInputStream::read(&mut ctx, b(&server_input), 10).unwrap_err();
            let StreamError::LastOperationFailed(error) = error else { panic!("{error}") };
            assert!(error.downcast_ref::<SocketFailure>().is_some());
            let error = ctx.table.push(error).unwrap();
            assert_eq!(ctx.network_error_code(b(&error)).unwrap(), Some(NetCode::ConnectionReset));
            assert!(matches!(HostInputStream::read(&mut ctx, b(&server_input), 10), Err(StreamError::Closed)));
        })
        .unwrap();
}

#[test]
fn options_are_kept_clamped_and_checked() {
    let (_world, mut ctx) = World::lone();
    let (tcp, _) = socket(&mut ctx, V4);
    assert!(!ctx.keep_alive_enabled(b(&tcp)).unwrap());
    ctx.set_keep_alive_enabled(b(&tcp), true).unwrap();
    assert!(ctx.keep_alive_enabled(b(&tcp)).unwrap());
    assert_eq!(net_code(ctx.set_keep_alive_idle_time(b(&tcp), 0)), NetCode::InvalidArgument);
    ctx.set_keep_alive_idle_time(b(&tcp), 1).unwrap();
    assert_eq!(ctx.keep_alive_idle_time(b(&tcp)).unwrap(), 1_000_000_000);
    ctx.set_keep_alive_idle_time(b(&tcp), u64::MAX).unwrap();
    assert_eq!(ctx.keep_alive_idle_time(b(&tcp)).unwrap(), 32_767_000_000_000);
    assert_eq!(net_code(ctx.set_keep_alive_interval(b(&tcp), 0)), NetCode::InvalidArgument);
    ctx.set_keep_alive_interval(b(&tcp), 30_000_000_000).unwrap();
    assert_eq!(ctx.keep_alive_interval(b(&tcp)).unwrap(), 30_000_000_000);
    assert_eq!(net_code(ctx.set_keep_alive_count(b(&tcp), 0)), NetCode::InvalidArgument);
    ctx.set_keep_alive_count(b(&tcp), u32::MAX).unwrap();
    assert_eq!(ctx.keep_alive_count(b(&tcp)).unwrap(), 127);
    assert_eq!(net_code(ctx.set_hop_limit(b(&tcp), 0)), NetCode::InvalidArgument);
    ctx.set_hop_limit(b(&tcp), 3).unwrap();
    assert_eq!(ctx.hop_limit(b(&tcp)).unwrap(), 3);
    assert_eq!(net_code(ctx.set_receive_buffer_size(b(&tcp), 0)), NetCode::InvalidArgument);
    assert_eq!(net_code(ctx.set_send_buffer_size(b(&tcp), 0)), NetCode::InvalidArgument);
    ctx.set_receive_buffer_size(b(&tcp), 32 * 1024).unwrap();
    assert_eq!(ctx.receive_buffer_size(b(&tcp)).unwrap(), 32 * 1024);
    ctx.set_send_buffer_size(b(&tcp), u64::MAX).unwrap();
    assert!(ctx.send_buffer_size(b(&tcp)).unwrap() < 1 << 30);
}

#[test]
fn a_flood_of_sockets_ends_with_the_socket_limit() {
    let (_world, mut ctx) = World::lone();
    let mut held = Vec::new();
    let code = loop {
        match ctx.create_tcp_socket(V4) {
            Ok(tcp) => held.push(tcp),
            result => break net_code(result),
        }
    };
    assert_eq!(code, NetCode::NewSocketLimit);
    assert_eq!(held.len(), wasmpod_kernel::file::MAX_DESCRIPTORS);
    HostTcpSocket::drop(&mut ctx, held.pop().unwrap()).unwrap();
    ctx.create_tcp_socket(V4).unwrap();
}

#[test]
fn two_pods_reach_each_other_by_address_only_on_eth0() {
    let world = World::new();
    let (left, right) = (world.pod("left"), world.pod("right"));
    let (mut a, mut z) = (world.process("left", &left), world.process("right", &right));
    let _listener = listening(&mut z, "0.0.0.0:80");
    let (_tcp, _) = connected(&mut a, &format!("{}:80", right.ipv4()));
    let (lo, net) = socket(&mut a, V4);
    a.start_connect(b(&lo), b(&net), addr("127.0.0.1:80")).unwrap();
    assert_eq!(net_code(a.finish_connect(b(&lo))), NetCode::ConnectionRefused);
}

/// One call on one of three sockets.
#[derive(Debug, Clone, Copy)]
enum Call {
    Bind(u16),
    FinishBind,
    Connect(u16),
    FinishConnect,
    Listen,
    FinishListen,
    Accept,
    Shutdown(ShutdownType),
    Backlog(u64),
    Ask,
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        (0..3_u16).prop_map(Call::Bind),
        Just(Call::FinishBind),
        (0..3_u16).prop_map(Call::Connect),
        Just(Call::FinishConnect),
        Just(Call::Listen),
        Just(Call::FinishListen),
        Just(Call::Accept),
        prop_oneof![Just(ShutdownType::Receive), Just(ShutdownType::Send), Just(ShutdownType::Both)]
            .prop_map(Call::Shutdown),
        (0..3_u64).prop_map(Call::Backlog),
        Just(Call::Ask),
    ]
}

/// What the WIT says of a socket, as far as calls on it alone can tell.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Model {
    Unbound,
    Bound,
    Connecting,
    Connected,
    Listening,
    Failed,
}

/// What is started and not finished.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Begun {
    Nothing,
    Bind,
    Connect,
    Listen,
}

proptest! {
    /// Any calls in any order: a call succeeds only in a state that allows it, the code of a refusal is that of the state, and
    /// nothing traps.
    #[test]
    fn any_order_of_calls_keeps_to_the_state_machine(calls in prop::collection::vec((0..3_usize, call()), 1..60)) {
        let (_world, mut ctx) = World::lone();
        let net = ctx.instance_network().unwrap();
        let sockets: Vec<Tcp> = (0..3).map(|_| ctx.create_tcp_socket(V4).unwrap()).collect();
        let mut models = [(Model::Unbound, Begun::Nothing); 3];
        for (at, call) in calls {
            let tcp = b(&sockets[at]);
            let (state, begun) = &mut models[at];
            let before = (*state, *begun);
            let result: Result<(), SocketError> = match call {
                Call::Bind(port) => ctx.start_bind(tcp, b(&net), addr(&format!("127.0.0.1:{}", 7000 + port))),
                Call::FinishBind => ctx.finish_bind(tcp),
                Call::Connect(port) => ctx.start_connect(tcp, b(&net), addr(&format!("127.0.0.1:{}", 7000 + port))),
                Call::FinishConnect => ctx.finish_connect(tcp).map(drop),
                Call::Listen => ctx.start_listen(tcp),
                Call::FinishListen => ctx.finish_listen(tcp),
                Call::Accept => ctx.accept(tcp).map(drop),
                Call::Shutdown(how) => ctx.shutdown(tcp, how),
                Call::Backlog(value) => ctx.set_listen_backlog_size(tcp, value),
                Call::Ask => {
                    prop_assert_eq!(ctx.is_listening(b(&tcp)).unwrap(), before.0 == Model::Listening);
                    prop_assert_eq!(ctx.remote_address(b(&tcp)).is_ok(), before.0 == Model::Connected);
                    let bound = matches!(before.0, Model::Bound | Model::Connected | Model::Listening);
                    prop_assert_eq!(ctx.local_address(tcp).is_ok(), bound);
                    continue;
                }
            };
            let outcome = match result {
                Ok(()) => None,
                Err(SocketError::Code(code)) => Some(code),
                Err(SocketError::Trap(error)) => panic!("{call:?} trapped in {before:?}: {error}"),
            };
            let started = matches!(call, Call::Bind(_) | Call::Connect(_) | Call::Listen);
            if started && before.1 != Begun::Nothing {
                prop_assert_eq!(outcome, Some(NetCode::ConcurrencyConflict));
                continue;
            }
            let finishes = match call {
                Call::FinishBind => Some(Begun::Bind),
                Call::FinishConnect => Some(Begun::Connect),
                Call::FinishListen => Some(Begun::Listen),
                _ => None,
            };
            if finishes.is_some_and(|what| what != before.1) {
                prop_assert_eq!(outcome, Some(NetCode::NotInProgress));
                continue;
            }
            let allowed = match call {
                Call::Bind(_) => before.0 == Model::Unbound,
                Call::Connect(_) => matches!(before.0, Model::Unbound | Model::Bound),
                Call::Listen => before.0 == Model::Bound,
                Call::Accept => before.0 == Model::Listening,
                Call::Shutdown(_) => before.0 == Model::Connected,
                _ => true,
            };
            if !allowed {
                prop_assert_eq!(outcome, Some(NetCode::InvalidState), "{:?} in {:?}", call, before);
                continue;
            }
            match (call, outcome) {
                (Call::Bind(_), None) => (*state, *begun) = (Model::Bound, Begun::Bind),
                (Call::Bind(_), Some(code)) => prop_assert_eq!(code, NetCode::AddressInUse),
                (Call::Connect(_), None) => (*state, *begun) = (Model::Connecting, Begun::Connect),
                // SO_REUSEADDR lets two bind, but only one listen
                (Call::Listen, Some(NetCode::AddressInUse)) => {}
                (Call::Listen, None) => (*state, *begun) = (Model::Listening, Begun::Listen),
                (Call::FinishBind | Call::FinishListen, None) => *begun = Begun::Nothing,
                (Call::FinishConnect, None) => (*state, *begun) = (Model::Connected, Begun::Nothing),
                (Call::FinishConnect, Some(NetCode::WouldBlock)) => {}
                (Call::FinishConnect, Some(_)) => (*state, *begun) = (Model::Failed, Begun::Nothing),
                (Call::Accept, None | Some(NetCode::WouldBlock)) | (Call::Shutdown(_), None) => {}
                (Call::Backlog(0), Some(code)) => prop_assert_eq!(code, NetCode::InvalidArgument),
                (Call::Backlog(_), Some(code)) => {
                    let refused = matches!(before.0, Model::Connecting | Model::Connected | Model::Failed);
                    prop_assert!(refused, "{:?} in {:?}", code, before);
                }
                (Call::Backlog(_), None) => {
                    prop_assert!(matches!(before.0, Model::Unbound | Model::Bound | Model::Listening));
                }
                (call, outcome) => prop_assert!(false, "{:?} in {:?} gave {:?}", call, before, outcome),
            }
        }
    }
}
