//! What WASI 0.2 has: pollables.
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::io::poll::poll;
use wasip2::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
use wasip2::sockets::{instance_network::instance_network, tcp_create_socket::create_tcp_socket};
use wasmpod_sdk::ipc::{OpenOptions, Queue};
use wasmpod_sdk::process::{Signal, SignalFd, SignalInfo, SignalSet};

pub fn case(args: &[&str]) {
    match args {
        ["ipc-restarted"] => ipc_restarted(),
        _ => {
            println!("no such case: {args:?}");
            std::process::exit(2);
        }
    }
}

/// SIGTERM comes while a call waits, which goes on to its deadline; then the signal is read.
fn ipc_restarted() {
    let fd = SignalFd::open(SignalSet::of(&[Signal::TERM])).expect("a descriptor");
    let queue = Queue::open("/q", OpenOptions::create(), None).expect("room");
    let received = queue.receive_timeout(&mut [0; 8192], std::time::Duration::from_secs(2));
    let pending: Vec<u8> = fd.read().iter().map(|info| info.signal.0).collect();
    println!("mq_timedreceive: {:?}, pending {pending:?}", received.map_err(|error| error.symbol()));
}

pub fn wait(fd: &SignalFd) -> SignalInfo {
    fd.subscribe().block();
    fd.read()[0]
}

/// A signal, or 200 ms. A listening socket is polled along with them.
pub fn wait_or_tick(fd: &SignalFd) -> Option<SignalInfo> {
    let socket = create_tcp_socket(IpAddressFamily::Ipv4).expect("a socket");
    let address = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 0, address: (127, 0, 0, 1) });
    socket.start_bind(&instance_network(), address).and_then(|()| socket.finish_bind()).expect("bound");
    socket.start_listen().and_then(|()| socket.finish_listen()).expect("listening");
    let (signal, clock, connection) = (fd.subscribe(), subscribe_duration(200_000_000), socket.subscribe());
    let ready = poll(&[&signal, &clock, &connection]);
    assert!(!ready.contains(&2), "nobody connects");
    ready.contains(&0).then(|| fd.read()[0])
}
