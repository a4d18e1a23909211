//! Preview 2, interface by interface: what each call answers, right and wrong, as the WIT says and wasmtime does.
//!
//! `wasi_p2 CASE|all` prints nothing if all is as it must be. `wasi_p2 trap NAME` breaks a rule for which a program is ended;
//! it prints `not ended` if it is not.

use std::fmt::Debug;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};

use wasip2::cli::{stdout, terminal_stdin, terminal_stdout};
use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, DescriptorType, ErrorCode as FsCode, NewTimestamp, OpenFlags, PathFlags,
};
use wasip2::io::poll::poll;
use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::random::{insecure, insecure_seed, random};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress};
use wasip2::sockets::network::{Ipv4SocketAddress, Ipv6SocketAddress};
use wasip2::sockets::tcp::{ShutdownType, TcpSocket};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp::{OutgoingDatagram, UdpSocket};
use wasip2::sockets::udp_create_socket::create_udp_socket;

static FAILURES: AtomicU32 = AtomicU32::new(0);

fn is_at(line: u32, what: &str, got: impl Debug, want: impl Debug) {
    let (got, want) = (format!("{got:?}"), format!("{want:?}"));
    if got != want {
        println!("FAILED line {line}: {what} is {got}, not {want}");
        FAILURES.fetch_add(1, Ordering::Relaxed);
    }
}

macro_rules! is {
    ($got:expr, $want:expr) => {
        is_at(line!(), stringify!($got), $got, $want)
    };
}

macro_rules! closed {
    ($got:expr) => {
        is!(matches!($got, Err(StreamError::Closed)), true)
    };
}

const V4: IpAddressFamily = IpAddressFamily::Ipv4;
const V6: IpAddressFamily = IpAddressFamily::Ipv6;
const READ: DescriptorFlags = DescriptorFlags::READ;
const WRITE: DescriptorFlags = DescriptorFlags::WRITE;

fn v4(address: (u8, u8, u8, u8), port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address })
}

fn v6(last: [u16; 3], port: u16) -> IpSocketAddress {
    let address = (0, 0, 0, 0, 0, last[0], last[1], last[2]);
    IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info: 0, address, scope_id: 0 })
}

fn loopback(family: IpAddressFamily, port: u16) -> IpSocketAddress {
    if family == V4 { v4((127, 0, 0, 1), port) } else { v6([0, 0, 1], port) }
}

fn unspecified(family: IpAddressFamily, port: u16) -> IpSocketAddress {
    if family == V4 { v4((0, 0, 0, 0), port) } else { v6([0, 0, 0], port) }
}

fn port_of(address: IpSocketAddress) -> u16 {
    match address {
        IpSocketAddress::Ipv4(v4) => v4.port,
        IpSocketAddress::Ipv6(v6) => v6.port,
    }
}

fn system() {
    is!(insecure_seed::insecure_seed(), insecure_seed::insecure_seed());
    is!(random::get_random_bytes(0).len(), 0);
    is!(random::get_random_bytes(300).len(), 300);
    is!(insecure::get_insecure_random_bytes(300).len(), 300);
    is!(random::get_random_u64() == random::get_random_u64(), false);
    let now = monotonic_clock::now();
    is!(monotonic_clock::now() >= now && monotonic_clock::resolution() > 0, true);
    for wait in [
        monotonic_clock::subscribe_instant(now),
        monotonic_clock::subscribe_instant(now - 1),
        monotonic_clock::subscribe_instant(0),
        monotonic_clock::subscribe_duration(0),
        monotonic_clock::subscribe_duration(5_000_000),
        monotonic_clock::subscribe_instant(now + 1_000_000),
    ] {
        wait.block();
        is!(wait.ready(), true);
    }
    is!(wall_clock::now().seconds > 1_500_000_000 && wall_clock::now().nanoseconds < 1_000_000_000, true);
    // the indices of those that are ready, in the order of the list; one may be in it twice
    let (soon, late) = (monotonic_clock::subscribe_duration(0), monotonic_clock::subscribe_duration(u64::MAX));
    is!(poll(&[&late, &soon, &soon]), [1, 2]);
    is!(terminal_stdin::get_terminal_stdin().is_none() && terminal_stdout::get_terminal_stdout().is_none(), true);
}

fn directory() -> Descriptor {
    get_directories().into_iter().find(|(_, name)| name == ".").expect("the working directory").0
}

fn open(dir: &Descriptor, path: &str, open: OpenFlags, flags: DescriptorFlags) -> Result<Descriptor, FsCode> {
    dir.open_at(PathFlags::empty(), path, open, flags)
}

fn files() {
    let dir = directory();
    let none = OpenFlags::empty();
    is!(open(&dir, "none", none, READ).err(), Some(FsCode::NoEntry));
    for sync in [
        DescriptorFlags::FILE_INTEGRITY_SYNC,
        DescriptorFlags::DATA_INTEGRITY_SYNC,
        DescriptorFlags::REQUESTED_WRITE_SYNC,
    ] {
        is!(open(&dir, "f", OpenFlags::CREATE, WRITE | sync).err(), Some(FsCode::Unsupported));
    }
    let file = open(&dir, "f", OpenFlags::CREATE | OpenFlags::EXCLUSIVE, DescriptorFlags::empty()).expect("makes f");
    is!(file.get_flags(), Ok::<_, FsCode>(READ | WRITE));
    is!(file.get_type(), Ok::<_, FsCode>(DescriptorType::RegularFile));
    is!(open(&dir, "f", OpenFlags::CREATE | OpenFlags::EXCLUSIVE, READ).err(), Some(FsCode::Exist));
    is!(open(&dir, "f", OpenFlags::DIRECTORY, READ).err(), Some(FsCode::NotDirectory));
    is!(open(&dir, "f", OpenFlags::DIRECTORY | OpenFlags::CREATE, READ).err(), Some(FsCode::Invalid));
    is!(open(&dir, ".", none, WRITE).err(), Some(FsCode::IsDirectory));
    is!(open(&dir, "/f", none, READ).err(), Some(FsCode::NotPermitted));
    is!(open(&dir, "../f", none, READ).err(), Some(FsCode::NotPermitted));
    is!(open(&dir, "", none, READ).err(), Some(FsCode::NoEntry));
    is!(open(&file, "x", none, READ).err(), Some(FsCode::NotDirectory));
    // streams have places of their own; behind the end there are zeros
    let out = file.write_via_stream(5).expect("a stream");
    is!(out.blocking_write_and_flush(b"Hello, "), Ok::<_, StreamError>(()));
    is!(out.blocking_write_and_flush(b"World!"), Ok::<_, StreamError>(()));
    is!(out.blocking_write_and_flush(&[]), Ok::<_, StreamError>(()));
    is!(out.blocking_write_zeroes_and_flush(2), Ok::<_, StreamError>(()));
    drop(out);
    let input = file.read_via_stream(0).expect("a stream");
    is!(input.read(0).map(|bytes| bytes.len()).ok(), Some(0));
    is!(input.blocking_read(100).ok(), Some(b"\0\0\0\0\0Hello, World!\0\0".to_vec()));
    closed!(input.blocking_read(1));
    drop(input);
    let append = file.append_via_stream().expect("a stream");
    is!(append.blocking_write_and_flush(b"end"), Ok::<_, StreamError>(()));
    drop(append);
    is!(file.read(100, 18), Ok::<_, FsCode>((b"\0\0end".to_vec(), false)));
    is!(file.read(100, 23), Ok::<_, FsCode>((Vec::<u8>::new(), true)));
    is!(file.write(b"X", 0), Ok::<_, FsCode>(1));
    // from one stream to another, as much as there is
    let copy = open(&dir, "copy", OpenFlags::CREATE, READ | WRITE).expect("makes copy");
    let (from, to) = (file.read_via_stream(5).expect("a stream"), copy.write_via_stream(0).expect("a stream"));
    is!(to.blocking_splice(&from, 5).ok(), Some(5));
    is!(to.blocking_flush().is_ok(), true);
    is!(from.blocking_skip(2).ok(), Some(2));
    is!(from.blocking_read(6).ok(), Some(b"World!".to_vec()));
    drop((from, to));
    is!(copy.read(10, 0).map(|(bytes, _)| bytes), Ok::<_, FsCode>(b"Hello".to_vec()));
    is!(copy.set_size(2), Ok::<_, FsCode>(()));
    is!(copy.stat().map(|stat| stat.size), Ok::<_, FsCode>(2));
    is!(copy.advise(0, 0, Advice::Sequential), Ok::<_, FsCode>(()));
    is!(copy.sync().and(copy.sync_data()), Ok::<_, FsCode>(()));
    is!(copy.set_times(NewTimestamp::Now, NewTimestamp::NoChange), Ok::<_, FsCode>(()));
    // who is who
    let again = open(&dir, "f", none, READ).expect("opens f");
    is!((file.is_same_object(&again), file.is_same_object(&copy)), (true, false));
    is!(
        file.metadata_hash().ok().map(|hash| (hash.lower, hash.upper)),
        again.metadata_hash().ok().map(|hash| (hash.lower, hash.upper))
    );
    is!(
        dir.metadata_hash_at(PathFlags::empty(), "f").ok().map(|hash| hash.lower),
        file.metadata_hash().ok().map(|hash| hash.lower)
    );
    is!(again.write(b"x", 0).err(), Some(FsCode::BadDescriptor));
    is!(again.set_size(0).err(), Some(FsCode::Invalid));
    // calls on the wrong kind
    is!(dir.read(1, 0).err(), Some(FsCode::BadDescriptor));
    is!(dir.write(b"x", 0).err(), Some(FsCode::BadDescriptor));
    is!(dir.set_size(0).err(), Some(FsCode::BadDescriptor));
    is!(dir.read_via_stream(0).err(), Some(FsCode::IsDirectory));
    is!(dir.write_via_stream(0).err(), Some(FsCode::BadDescriptor));
    is!(dir.append_via_stream().err(), Some(FsCode::BadDescriptor));
    is!(dir.sync(), Ok::<_, FsCode>(()));
    is!(file.read_directory().err(), Some(FsCode::NotDirectory));
    is!(file.stat_at(PathFlags::empty(), "x").err(), Some(FsCode::NotDirectory));
    drop((file, copy, again));
    is!(dir.unlink_file_at("copy"), Ok::<_, FsCode>(()));
    is!(dir.unlink_file_at("f"), Ok::<_, FsCode>(()));
}

fn names() {
    let dir = directory();
    is!(dir.create_directory_at("d"), Ok::<_, FsCode>(()));
    is!(dir.create_directory_at("d/"), Err::<(), _>(FsCode::Exist));
    let inner = open(&dir, "d", OpenFlags::DIRECTORY, READ).expect("opens d");
    drop(open(&inner, "f", OpenFlags::CREATE, READ).expect("makes f"));
    is!(inner.symlink_at("f", "l"), Ok::<_, FsCode>(()));
    is!(inner.symlink_at("/f", "absolute"), Err::<(), _>(FsCode::NotPermitted));
    is!(inner.readlink_at("l"), Ok::<_, FsCode>("f"));
    is!(inner.readlink_at("f").err(), Some(FsCode::Invalid));
    is!(open(&inner, "l", OpenFlags::empty(), READ).err(), Some(FsCode::Loop));
    is!(inner.open_at(PathFlags::SYMLINK_FOLLOW, "l", OpenFlags::empty(), READ).is_ok(), true);
    is!(inner.stat_at(PathFlags::empty(), "l").map(|stat| stat.type_), Ok::<_, FsCode>(DescriptorType::SymbolicLink));
    is!(inner.link_at(PathFlags::SYMLINK_FOLLOW, "l", &dir, "x"), Err::<(), _>(FsCode::Invalid));
    is!(inner.link_at(PathFlags::empty(), "f", &inner, "h"), Ok::<_, FsCode>(()));
    is!(inner.stat_at(PathFlags::empty(), "h").map(|stat| stat.link_count), Ok::<_, FsCode>(2));
    is!(inner.link_at(PathFlags::empty(), "f", &inner, "h"), Err::<(), _>(FsCode::Exist));
    is!(inner.rename_at("h", &inner, "g"), Ok::<_, FsCode>(()));
    is!(dir.rename_at("d", &inner, "e"), Err::<(), _>(FsCode::Invalid));
    is!(dir.remove_directory_at("d"), Err::<(), _>(FsCode::NotEmpty));
    is!(dir.unlink_file_at("d"), Err::<(), _>(FsCode::IsDirectory));
    // without "." and ".."
    let entries = inner.read_directory().expect("lists d");
    let mut found = Vec::new();
    while let Ok(Some(entry)) = entries.read_directory_entry() {
        found.push((entry.name, entry.type_));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let (file, link) = (DescriptorType::RegularFile, DescriptorType::SymbolicLink);
    is!(found, [("f", file), ("g", file), ("l", link)]);
    drop(entries);
    for name in ["f", "g", "l"] {
        is!(inner.unlink_file_at(name), Ok::<_, FsCode>(()));
    }
    is!(dir.remove_directory_at("d/"), Ok::<_, FsCode>(()));
    is!(inner.create_directory_at("x"), Err::<(), _>(FsCode::NoEntry));
}

fn bound(family: IpAddressFamily, address: IpSocketAddress) -> TcpSocket {
    let socket = create_tcp_socket(family).expect("a socket");
    is!(socket.start_bind(&instance_network(), address), Ok::<_, ErrorCode>(()));
    is!(socket.finish_bind(), Ok::<_, ErrorCode>(()));
    socket
}

fn listening(family: IpAddressFamily) -> TcpSocket {
    let socket = bound(family, loopback(family, 0));
    is!(socket.start_listen(), Ok::<_, ErrorCode>(()));
    is!(socket.finish_listen(), Ok::<_, ErrorCode>(()));
    socket
}

/// One end of a connection; streams are dropped before their socket.
struct End {
    input: InputStream,
    output: OutputStream,
    socket: TcpSocket,
}

fn connect(socket: TcpSocket, to: IpSocketAddress) -> End {
    is!(socket.start_connect(&instance_network(), to), Ok::<_, ErrorCode>(()));
    let (input, output) = loop {
        match socket.finish_connect() {
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            connected => break connected.expect("connects"),
        }
    };
    End { input, output, socket }
}

fn accept(listener: &TcpSocket) -> End {
    listener.subscribe().block();
    let (socket, input, output) = listener.accept().expect("accepts");
    End { input, output, socket }
}

fn pair(family: IpAddressFamily) -> (End, End) {
    let listener = listening(family);
    let client = connect(create_tcp_socket(family).expect("a socket"), listener.local_address().expect("an address"));
    (client, accept(&listener))
}

/// What a socket refuses in every state but one.
fn refuses(socket: &TcpSocket, family: IpAddressFamily, state: &str) {
    let net = instance_network();
    let wrong: Result<(), ErrorCode> = Err(ErrorCode::InvalidState);
    let idle: Result<(), ErrorCode> = Err(ErrorCode::NotInProgress);
    is!(socket.finish_bind(), idle);
    is!(socket.finish_connect().map(drop), idle);
    is!(socket.finish_listen(), idle);
    if state != "unbound" {
        is!(socket.start_bind(&net, loopback(family, 0)), wrong);
        is!(socket.local_address().is_ok(), true);
    } else {
        is!(socket.local_address().map(drop), wrong);
    }
    if state != "bound" {
        is!(socket.start_listen(), wrong);
    }
    if state != "listening" {
        is!(socket.accept().map(drop), wrong);
    } else {
        is!(socket.accept().map(drop), Err::<(), _>(ErrorCode::WouldBlock));
    }
    if state == "connected" {
        is!(socket.remote_address().is_ok(), true);
        is!(socket.start_connect(&net, loopback(family, 1)), wrong);
    } else {
        is!(socket.remote_address().map(drop), wrong);
        is!(socket.shutdown(ShutdownType::Both), wrong);
        is!(socket.set_listen_backlog_size(32), Ok::<_, ErrorCode>(()));
    }
    if state == "listening" {
        is!(socket.start_connect(&net, loopback(family, 1)), wrong);
    }
    is!((socket.is_listening(), socket.address_family()), (state == "listening", family));
    is!(socket.set_keep_alive_enabled(false), Ok::<_, ErrorCode>(()));
    is!(socket.set_hop_limit(255), Ok::<_, ErrorCode>(()));
    is!(socket.set_receive_buffer_size(16000).and(socket.set_send_buffer_size(16000)), Ok::<_, ErrorCode>(()));
}

fn tcp(family: IpAddressFamily) {
    let net = instance_network();
    refuses(&create_tcp_socket(family).expect("a socket"), family, "unbound");
    refuses(&bound(family, loopback(family, 0)), family, "bound");
    let listener = listening(family);
    refuses(&listener, family, "listening");
    let address = listener.local_address().expect("an address");
    is!(port_of(address) != 0, true);
    let client = connect(bound(family, loopback(family, 0)), address);
    refuses(&client.socket, family, "connected");
    drop(client);
    drop(accept(&listener));
    // a call that is started excludes others until it is finished
    let socket = create_tcp_socket(family).expect("a socket");
    is!(socket.start_bind(&net, loopback(family, 0)), Ok::<_, ErrorCode>(()));
    is!(socket.start_bind(&net, loopback(family, 0)), Err::<(), _>(ErrorCode::ConcurrencyConflict));
    is!(socket.start_listen(), Err::<(), _>(ErrorCode::ConcurrencyConflict));
    is!(socket.finish_bind(), Ok::<_, ErrorCode>(()));
    // addresses that nobody can have or reach
    let other = if family == V4 { V6 } else { V4 };
    let mapped = v6([0xffff, 0x7f00, 1], 80);
    let (group, broadcast) = (v4((224, 254, 0, 0), 80), v4((255, 255, 255, 255), 80));
    let fresh = || create_tcp_socket(family).expect("a socket");
    for wrong in
        [loopback(other, 80), if family == V6 { mapped } else { group }, if family == V6 { mapped } else { broadcast }]
    {
        is!(fresh().start_bind(&net, wrong), Err::<(), _>(ErrorCode::InvalidArgument));
        is!(fresh().start_connect(&net, wrong), Err::<(), _>(ErrorCode::InvalidArgument));
    }
    for nowhere in [unspecified(family, 80), loopback(family, 0)] {
        is!(fresh().start_connect(&net, nowhere), Err::<(), _>(ErrorCode::InvalidArgument));
    }
    let foreign = if family == V4 { v4((192, 0, 2, 0), 0) } else { v6([0, 0x0db8, 1], 0) };
    if family == V4 {
        is!(fresh().start_bind(&net, foreign).err(), Some(ErrorCode::AddressNotBindable));
    }
    let taken = fresh();
    let refused = taken.start_bind(&net, address).and_then(|()| taken.finish_bind());
    is!(refused, Err::<(), _>(ErrorCode::AddressInUse));
    // nobody listens
    drop(listener);
    let lonely = fresh();
    is!(lonely.start_connect(&net, address), Ok::<_, ErrorCode>(()));
    lonely.subscribe().block();
    is!(lonely.finish_connect().map(drop), Err::<(), _>(ErrorCode::ConnectionRefused));
}

fn tcp_options(family: IpAddressFamily) {
    const SECOND: u64 = 1_000_000_000;
    let listener = bound(family, loopback(family, 0));
    let bad = Err::<(), _>(ErrorCode::InvalidArgument);
    is!(listener.set_listen_backlog_size(0), bad);
    is!(listener.set_keep_alive_idle_time(0), bad);
    is!(listener.set_keep_alive_interval(0), bad);
    is!(listener.set_keep_alive_count(0), bad);
    is!(listener.set_hop_limit(0), bad);
    is!(listener.set_receive_buffer_size(0), bad);
    is!(listener.set_send_buffer_size(0), bad);
    // what is too little or too much is brought into range
    let good = Ok::<_, ErrorCode>(());
    is!(listener.set_keep_alive_idle_time(1).and(listener.set_keep_alive_interval(1)), good);
    is!(listener.keep_alive_idle_time(), Ok::<_, ErrorCode>(SECOND));
    is!(listener.set_keep_alive_idle_time(u64::MAX).and(listener.set_keep_alive_count(u32::MAX)), good);
    is!(listener.set_listen_backlog_size(u64::MAX), good);
    is!(listener.set_receive_buffer_size(u64::MAX).and(listener.set_send_buffer_size(1)), good);
    let set = |socket: &TcpSocket, seconds: u64, size: u64| {
        is!(socket.set_keep_alive_enabled(seconds == 42), good);
        is!(
            socket.set_keep_alive_idle_time(seconds * SECOND).and(socket.set_keep_alive_interval(seconds * SECOND)),
            good
        );
        is!(socket.set_keep_alive_count(seconds as u32).and(socket.set_hop_limit(seconds as u8)), good);
        is!(socket.set_receive_buffer_size(size).and(socket.set_send_buffer_size(size)), good);
    };
    let have = |socket: &TcpSocket| {
        let times = (socket.keep_alive_idle_time(), socket.keep_alive_interval(), socket.keep_alive_count());
        let sizes = (socket.receive_buffer_size(), socket.send_buffer_size());
        format!("{:?} {times:?} {:?} {sizes:?}", socket.keep_alive_enabled(), socket.hop_limit())
    };
    // accepted sockets have those of their listener at that time
    is!(listener.start_listen().and(listener.finish_listen()), good);
    set(&listener, 42, 0x10000);
    let as_set = have(&listener);
    is!(as_set.contains("42000000000") && as_set.contains("65536"), true);
    let client = connect(create_tcp_socket(family).expect("a socket"), listener.local_address().expect("an address"));
    let accepted = accept(&listener);
    is!(have(&accepted.socket), &as_set);
    set(&listener, 43, 0x20000);
    is!(have(&accepted.socket), &as_set);
    drop(client);
}

fn tcp_streams(family: IpAddressFamily) {
    // the other side ends the connection
    let (client, server) = pair(family);
    is!(server.socket.shutdown(ShutdownType::Both), Ok::<_, ErrorCode>(()));
    drop(server);
    client.input.subscribe().block();
    closed!(client.input.read(10));
    closed!(client.input.read(0));
    // one ends one's own input: what is there is not read
    let (client, server) = pair(family);
    is!(server.output.blocking_write_and_flush(b"unread"), Ok::<_, StreamError>(()));
    client.input.subscribe().block();
    is!(client.socket.shutdown(ShutdownType::Receive), Ok::<_, ErrorCode>(()));
    closed!(client.input.read(10));
    closed!(client.input.read(0));
    // one ends one's own output
    let (client, server) = pair(family);
    is!(client.output.check_write().is_ok_and(|permit| permit >= 3), true);
    is!(client.socket.shutdown(ShutdownType::Send), Ok::<_, ErrorCode>(()));
    closed!(client.output.write(b"Hi!"));
    closed!(client.output.check_write());
    closed!(client.output.flush());
    closed!(client.output.blocking_write_and_flush(b"Hi!"));
    closed!(server.input.blocking_read(1));
    // a write that was accepted arrives, though nobody has read when the output is ended
    let (client, server) = pair(family);
    is!(client.socket.set_send_buffer_size(1024), Ok::<_, ErrorCode>(()));
    let small = client.socket.send_buffer_size().expect("a size");
    let big = client.output.check_write().expect("a permit").min(100 * small);
    is!(big > small, true);
    is!(client.output.write(&vec![7; big as usize]), Ok::<_, StreamError>(()));
    is!(client.socket.shutdown(ShutdownType::Send), Ok::<_, ErrorCode>(()));
    let mut arrived = 0;
    while let Ok(bytes) = server.input.blocking_read(4096) {
        arrived += bytes.len() as u64;
    }
    is!(arrived, big);
    // an idle stream stays writable, however often it is asked, and takes many small writes
    let (client, server) = pair(family);
    for _ in 0..300 {
        if client.output.check_write().is_ok_and(|permit| permit == 0) || client.output.write(b"x").is_err() {
            is!("a write was refused", "");
            break;
        }
    }
    is!(client.output.blocking_flush(), Ok::<_, StreamError>(()));
    is!(client.socket.shutdown(ShutdownType::Send), Ok::<_, ErrorCode>(()));
    let mut arrived = 0;
    while let Ok(bytes) = server.input.blocking_read(4096) {
        arrived += bytes.len();
    }
    is!(arrived, 300);
}

fn udp_bound(family: IpAddressFamily, address: IpSocketAddress) -> UdpSocket {
    let socket = create_udp_socket(family).expect("a socket");
    is!(socket.start_bind(&instance_network(), address), Ok::<_, ErrorCode>(()));
    is!(socket.finish_bind(), Ok::<_, ErrorCode>(()));
    socket
}

fn udp(family: IpAddressFamily) {
    let net = instance_network();
    let (wrong, bad) = (Some(ErrorCode::InvalidState), Some(ErrorCode::InvalidArgument));
    let socket = create_udp_socket(family).expect("a socket");
    is!(socket.finish_bind().err(), Some(ErrorCode::NotInProgress));
    is!((socket.stream(None).err(), socket.stream(Some(loopback(family, 1))).err()), (wrong, wrong));
    is!((socket.local_address().err(), socket.remote_address().err()), (wrong, wrong));
    is!((socket.set_unicast_hop_limit(0).err(), socket.set_receive_buffer_size(0).err()), (bad, bad));
    is!(socket.set_receive_buffer_size(0x10000), Ok::<_, ErrorCode>(()));
    is!(socket.receive_buffer_size(), Ok::<_, ErrorCode>(0x10000));
    let other = if family == V4 { V6 } else { V4 };
    is!(socket.start_bind(&net, loopback(other, 0)).err(), bad);
    is!(socket.start_bind(&net, v6([0xffff, 0x7f00, 1], 0)).err(), bad);
    let foreign = if family == V4 { v4((192, 0, 2, 0), 0) } else { v6([0, 0x0db8, 1], 0) };
    let refused = socket.start_bind(&net, foreign).err();
    is!(refused == Some(ErrorCode::AddressNotBindable) || (family == V6 && refused == bad), true);
    for address in [loopback(family, 0), unspecified(family, 0), loopback(family, 54321)] {
        let first = udp_bound(family, address);
        let taken = first.local_address().expect("an address");
        is!(port_of(taken) != 0 && (port_of(address) == 0 || port_of(taken) == port_of(address)), true);
        is!(create_udp_socket(family).expect("a socket").start_bind(&net, taken).err(), Some(ErrorCode::AddressInUse));
    }
    let client = udp_bound(family, unspecified(family, 0));
    is!(client.start_bind(&net, loopback(family, 0)).err(), wrong);
    is!(client.finish_bind().err(), Some(ErrorCode::NotInProgress));
    // connected, disconnected and connected again, as often as one likes
    let (one, two) = (loopback(family, 4321), loopback(family, 4320));
    for remote in [None, None, Some(one), Some(one), Some(two), None, Some(one), None] {
        let (incoming, outgoing) = client.stream(remote).expect("streams");
        is!(client.remote_address().ok(), remote);
        is!(incoming.receive(1).map(|datagrams| datagrams.len()).ok(), Some(0));
        drop((incoming, outgoing));
        is!(client.local_address().is_ok(), true);
    }
    for nowhere in [unspecified(family, 47), loopback(family, 0), loopback(other, 47), v6([0xffff, 0x7f00, 1], 47)] {
        is!(client.stream(Some(nowhere)).err(), bad);
    }
    // datagrams keep their borders; an empty one is one too
    let server = udp_bound(family, loopback(family, 0));
    let address = server.local_address().expect("an address");
    let (incoming, _outgoing) = server.stream(None).expect("streams");
    let (_, outgoing) = client.stream(Some(address)).expect("streams");
    outgoing.subscribe().block();
    is!(outgoing.check_send().is_ok_and(|permit| permit >= 2), true);
    let datagram = |data: &[u8], remote_address| OutgoingDatagram { data: data.to_vec(), remote_address };
    is!(outgoing.send(&[datagram(b"", None), datagram(b"two", Some(address))]), Ok::<_, ErrorCode>(2));
    incoming.subscribe().block();
    let got = incoming.receive(100).expect("datagrams");
    is!(got.iter().map(|datagram| datagram.data.clone()).collect::<Vec<_>>(), [&b""[..], b"two"]);
    is!(port_of(got[0].remote_address), port_of(client.local_address().expect("an address")));
    is!(outgoing.check_send().is_ok(), true);
    is!(outgoing.send(&[datagram(b"x", Some(two))]).err(), bad);
    is!(outgoing.check_send().is_ok(), true);
    is!(outgoing.send(&[datagram(&[0; 70_000], None)]).err(), Some(ErrorCode::DatagramTooLarge));
}

fn lookup() {
    let net = instance_network();
    let first = |name: &str| match resolve_addresses(&net, name) {
        Err(code) => Err(code),
        Ok(stream) => loop {
            match stream.resolve_next_address() {
                Err(ErrorCode::WouldBlock) => stream.subscribe().block(),
                answer => break answer,
            }
        },
    };
    is!(first("127.0.0.1"), Ok::<_, ErrorCode>(Some(IpAddress::Ipv4((127, 0, 0, 1)))));
    is!(first("0.0.0.0"), Ok::<_, ErrorCode>(Some(IpAddress::Ipv4((0, 0, 0, 0)))));
    is!(first("::1"), Ok::<_, ErrorCode>(Some(IpAddress::Ipv6((0, 0, 0, 0, 0, 0, 0, 1)))));
    is!(first("[::]"), Ok::<_, ErrorCode>(Some(IpAddress::Ipv6((0, 0, 0, 0, 0, 0, 0, 0)))));
    is!(first("DEAD:BEEF::0"), Ok::<_, ErrorCode>(Some(IpAddress::Ipv6((0xdead, 0xbeef, 0, 0, 0, 0, 0, 0)))));
    is!(first("localhost").is_ok_and(|found| found.is_some()), true);
    for wrong in ["", " ", "a.b<&>", "127.0.0.1:80", "[::]:80", "http://example.com/"] {
        is!(first(wrong).err(), Some(ErrorCode::InvalidArgument));
    }
    is!(first("nowhere.example").err(), Some(ErrorCode::NameUnresolvable));
}

/// Breaks a rule for which a program is ended.
fn trap(name: &str) {
    let out = stdout::get_stdout();
    match name {
        "empty-poll" => drop(poll(&[])),
        "stream-before-its-pollable" => {
            let ready = out.subscribe();
            drop(out);
            drop(ready);
        }
        "socket-before-its-stream" => {
            let (client, _server) = pair(V4);
            drop(client.socket);
            drop(client.input);
        }
        "write-without-a-permit" => drop(out.write(b"x")),
        "write-beyond-the-permit" => {
            let permit = out.check_write().expect("a permit");
            drop(out.write(&vec![0; permit as usize + 1]));
        }
        "write-and-flush-of-4097" => drop(out.blocking_write_and_flush(&[b'x'; 4097])),
        "zeroes-and-flush-of-4097" => drop(out.blocking_write_zeroes_and_flush(4097)),
        "send-beyond-the-permit" => {
            let socket = udp_bound(V4, loopback(V4, 0));
            let (_incoming, outgoing) = socket.stream(Some(loopback(V4, 4320))).expect("streams");
            let permit = outgoing.check_send().expect("a permit");
            let datagram = || OutgoingDatagram { data: b"x".to_vec(), remote_address: None };
            let _ = outgoing.send(&(0..=permit).map(|_| datagram()).collect::<Vec<_>>());
        }
        "datagram-streams-twice" => {
            let socket = udp_bound(V4, loopback(V4, 0));
            let _first = socket.stream(None).expect("streams");
            drop(socket.stream(None));
        }
        _ => println!("there is no rule called {name}"),
    }
    println!("not ended");
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let cases: [(&str, fn()); 9] = [
        ("system", system),
        ("files", files),
        ("names", names),
        ("tcp-v4", || tcp(V4)),
        ("tcp-v6", || tcp(V6)),
        ("options", || [V4, V6].into_iter().for_each(tcp_options)),
        ("streams", || [V4, V6].into_iter().for_each(tcp_streams)),
        ("udp", || [V4, V6].into_iter().for_each(udp)),
        ("lookup", lookup),
    ];
    match arguments.get(1).map(String::as_str) {
        Some("trap") => trap(arguments.get(2).map_or("", String::as_str)),
        Some(name) => {
            let chosen: Vec<_> = cases.iter().filter(|(case, _)| name == "all" || name == *case).collect();
            if chosen.is_empty() {
                println!("no case is called {name}");
                return ExitCode::from(2);
            }
            chosen.iter().for_each(|(_, run)| run());
        }
        None => return ExitCode::from(2),
    }
    if FAILURES.load(Ordering::Relaxed) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
