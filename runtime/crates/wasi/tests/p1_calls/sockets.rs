//! A server on its pre-opened sockets, with clients on the kernel's side.

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use wasmpod_kernel::file::{Description, Descriptor};
use wasmpod_kernel::netns::{Family, NetNs, Shutdown, TcpSocket};
use wasmpod_kernel::sim::Clock;
use wasmpod_kernel::wait::Ready;
use wasmpod_kernel::{Errno, Result};
use wasmpod_wasi::preopen::{self, ListenPort};

use crate::harness::{NONBLOCK, Program, READ, Setup, WRITE, World, errno};

/// A program that listens on 8080 by its descriptor 3.
async fn server(world: &World) -> Program {
    let (process, ends) = world.piped(Setup::default());
    let ports = [ListenPort { name: Some("http".into()), port: 8080 }];
    let env = preopen::install(&process, &ports).unwrap().env;
    world.load(process, ends, env).await
}

async fn until<T>(socket: &TcpSocket, interest: Ready, mut call: impl FnMut() -> Result<T>) -> Result<T> {
    poll_fn(|cx| {
        loop {
            match call() {
                Err(Errno::Again) if socket.poll_ready(interest, cx).is_empty() => return Poll::Pending,
                Err(Errno::Again) => {}
                done => return Poll::Ready(done),
            }
        }
    })
    .await
}

/// A client of the kernel's own.
pub struct Client(pub Arc<TcpSocket>);

impl Client {
    pub async fn connect(net: &Arc<NetNs>, memory: &Arc<wasmpod_kernel::cgroup::Cgroup>, to: IpAddr) -> Self {
        let family = if to.is_ipv4() { Family::V4 } else { Family::V6 };
        let socket = net.tcp_socket(family, memory.clone()).unwrap();
        match socket.connect(SocketAddr::new(to, 8080)) {
            Ok(()) => {}
            Err(Errno::InProgress) => until(&socket, Ready::WRITE, || socket.take_connect_result()).await.unwrap(),
            Err(errno) => panic!("{errno}"),
        }
        Self(socket)
    }

    pub async fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let written = until(&self.0, Ready::WRITE, || self.0.write(bytes)).await.unwrap();
            bytes = &bytes[written..];
        }
    }

    pub async fn read_to_end(&self) -> Result<Vec<u8>> {
        let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            match until(&self.0, Ready::READ, || self.0.read(&mut buffer)).await? {
                0 => return Ok(all),
                read => all.extend_from_slice(&buffer[..read]),
            }
        }
    }
}

pub const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Connects after a while, sends, reads to the end.
fn exchange(world: &World, to: IpAddr, request: &'static [u8]) -> wasmpod_kernel::sim::TaskHandle<Result<Vec<u8>>> {
    let (net, memory, clock): (_, _, Clock) = (world.net.clone(), world.cgroup.clone(), world.sim.clock().clone());
    world.sim.spawn("client", async move {
        clock.sleep(Duration::from_millis(5)).await;
        let client = Client::connect(&net, &memory, to).await;
        client.write(request).await;
        client.0.shutdown(Shutdown::Write).unwrap();
        client.read_to_end().await
    })
}

#[test]
fn a_server_answers_on_every_address_of_the_pod() {
    let world = World::new();
    world.run(async {
        let mut program = server(&world).await;
        let addresses = [LOCALHOST, IpAddr::V6(Ipv6Addr::LOCALHOST), world.net.ipv4().into(), world.net.ipv6().into()];
        for address in addresses {
            let client = exchange(&world, address, b"ping");
            let fd = program.accept(3, 0).await.unwrap();
            assert_eq!(program.recv(fd, 100, 2).await, Ok(b"ping".to_vec()), "RECV_WAITALL ends with the stream");
            assert_eq!(program.recv(fd, 100, 0).await, Ok(vec![]));
            assert_eq!(program.send(fd, b"pong").await, Ok(4));
            program.ok("sock_shutdown", &[fd.into(), 2]).await;
            assert_eq!(program.send(fd, b"x").await, Err(errno::PIPE));
            assert_eq!(client.await.unwrap(), Ok(b"pong".to_vec()), "{address}");
            program.ok("fd_close", &[fd.into()]).await;
        }
    });
}

#[test]
fn fd_read_and_fd_write_work_on_sockets() {
    let world = World::new();
    world.run(async {
        let mut program = server(&world).await;
        let client = exchange(&world, LOCALHOST, b"hello");
        let fd = program.accept(3, 0).await.unwrap();
        let stat = program.fdstat(fd).await.unwrap();
        assert_eq!((stat.filetype, stat.flags, stat.rights & (READ | WRITE)), (6, 0, READ | WRITE));
        assert_eq!(program.stat(fd).await.unwrap().filetype, 6);
        assert_eq!(program.read(fd, 3).await, Ok(b"hel".to_vec()));
        assert_eq!(program.read(fd, 30).await, Ok(b"lo".to_vec()));
        assert_eq!(program.write(fd, b"bye").await, Ok(3));
        assert_eq!(program.seek(fd, 0, 0).await, Err(errno::SPIPE));
        assert_eq!(program.pread(fd, 3, 0).await, Err(errno::SPIPE));
        program.ok("fd_close", &[fd.into()]).await;
        assert_eq!(client.await.unwrap(), Ok(b"bye".to_vec()));
    });
}

#[test]
fn peeking_leaves_the_bytes_and_waitall_waits_for_all() {
    let world = World::new();
    world.run(async {
        let mut program = server(&world).await;
        let (net, memory, clock) = (world.net.clone(), world.cgroup.clone(), world.sim.clock().clone());
        let client = world.sim.spawn("client", async move {
            let client = Client::connect(&net, &memory, LOCALHOST).await;
            for part in [b"one-", b"two-", b"three"[..4].try_into().unwrap()] {
                client.write(part).await;
                clock.sleep(Duration::from_secs(1)).await;
            }
            client
        });
        let fd = program.accept(3, 0).await.unwrap();
        assert_eq!(program.recv(fd, 4, 1).await, Ok(b"one-".to_vec()));
        assert_eq!(program.recv(fd, 4, 1).await, Ok(b"one-".to_vec()));
        assert_eq!(program.recv(fd, 12, 2).await, Ok(b"one-two-thre".to_vec()));
        assert_eq!(program.recv(fd, 12, 4).await, Err(errno::INVAL));
        drop(client.await.unwrap());
        assert_eq!(program.recv(fd, 1, 0).await, Ok(vec![]));
    });
}

#[test]
fn nonblocking_sockets_say_so_and_poll_waits_for_them() {
    let world = World::new();
    world.run(async {
        let mut program = server(&world).await;
        program.ok("fd_fdstat_set_flags", &[3, NONBLOCK]).await;
        assert_eq!(program.accept(3, 0).await, Err(errno::AGAIN));
        let client = exchange(&world, LOCALHOST, b"data");
        let wait = async |program: &mut Program, fd: u32, kind: u8| {
            let mut record = [0; 48];
            record[8] = kind;
            record[16..20].copy_from_slice(&fd.to_le_bytes());
            let (input, output, out) = (program.put(&record), program.room(32), program.room(4));
            program.ok("poll_oneoff", &[input, output, 1, out]).await;
        };
        wait(&mut program, 3, 1).await;
        assert_eq!(program.accept(3, 2).await, Err(errno::INVAL));
        let fd = program.accept(3, NONBLOCK).await.unwrap();
        assert_eq!(program.fdstat(fd).await.unwrap().flags, NONBLOCK as u16);
        wait(&mut program, fd, 1).await;
        assert_eq!(program.recv(fd, 10, 0).await, Ok(b"data".to_vec()));
        wait(&mut program, fd, 2).await;
        assert_eq!(program.send(fd, b"ok").await, Ok(2));
        program.ok("fd_close", &[fd.into()]).await;
        assert_eq!(client.await.unwrap(), Ok(b"ok".to_vec()));
    });
}

#[test]
fn a_blocking_send_waits_for_a_slow_receiver() {
    let world = World::new();
    world.run(async {
        let mut program = server(&world).await;
        let client = exchange(&world, LOCALHOST, b"");
        let fd = program.accept(3, 0).await.unwrap();
        let (len, out) = (3u64 << 20, program.room(4));
        let iovecs = program.iovecs(&[(65536, len)]);
        program.ok("sock_send", &[fd.into(), iovecs, 1, 0, out]).await;
        assert_eq!(u64::from(program.get_u32(out)), len);
        program.ok("fd_close", &[fd.into()]).await;
        assert_eq!(client.await.unwrap().unwrap().len() as u64, len);
    });
}

#[test]
fn a_client_that_leaves_data_unread_resets_the_connection() {
    let world = World::new();
    world.run(async {
        let mut program = server(&world).await;
        let (net, memory, clock) = (world.net.clone(), world.cgroup.clone(), world.sim.clock().clone());
        let client = world.sim.spawn("client", async move {
            let client = Client::connect(&net, &memory, LOCALHOST).await;
            clock.sleep(Duration::from_secs(1)).await;
            drop(client);
        });
        let fd = program.accept(3, 0).await.unwrap();
        program.send(fd, b"never read").await.unwrap();
        assert_eq!(program.recv(fd, 1, 0).await, Err(errno::CONNRESET));
        client.await.unwrap();
    });
}

#[test]
fn what_is_no_socket_says_so() {
    let world = World::new();
    world.run(async {
        let mut program = server(&world).await;
        for fd in [0, 4] {
            assert_eq!(program.accept(fd, 0).await, Err(errno::NOTSOCK));
            assert_eq!(program.recv(fd, 1, 0).await, Err(errno::NOTSOCK));
            assert_eq!(program.send(fd, b"x").await, Err(errno::NOTSOCK));
            assert_eq!(program.call("sock_shutdown", &[fd.into(), 1]).await, errno::NOTSOCK);
        }
        assert_eq!(program.accept(99, 0).await, Err(errno::BADF));
        assert_eq!(program.call("sock_shutdown", &[99, 1]).await, errno::BADF);
        for how in [0, 4, 255] {
            assert_eq!(program.call("sock_shutdown", &[3, how]).await, errno::INVAL);
        }
        // a listening socket carries no bytes
        assert_eq!(program.recv(3, 1, 0).await, Err(errno::NOTCONN));
        assert!(program.send(3, b"x").await.is_err());
    });
}

#[test]
fn datagrams_keep_their_bounds() {
    let world = World::new();
    world.run(async {
        let mut program = server(&world).await;
        let udp = |port| {
            let socket = world.net.udp_socket(Family::V4, world.cgroup.clone()).unwrap();
            socket.bind(SocketAddr::new(LOCALHOST, port)).unwrap();
            socket
        };
        let (ours, theirs) = (udp(5000), udp(5001));
        ours.connect(SocketAddr::new(LOCALHOST, 5001)).unwrap();
        let fd = program.process.fds.lock().insert(Descriptor::new(Description::Udp(ours))).unwrap();
        let (text, out, flags) = (program.put(b"abcdef"), program.room(4), program.room(2));
        let iovecs = program.iovecs(&[(text, 2), (text + 2, 4)]);
        program.ok("sock_send", &[fd.into(), iovecs, 2, 0, out]).await;
        let mut buffer = [0; 100];
        assert_eq!(theirs.recv_from(&mut buffer).unwrap().0, 6);
        theirs.send_to(b"first", Some(SocketAddr::new(LOCALHOST, 5000))).unwrap();
        theirs.send_to(b"second", Some(SocketAddr::new(LOCALHOST, 5000))).unwrap();
        let room = program.room(4);
        let iovecs = program.iovecs(&[(room, 1), (room + 1, 2)]);
        for peek in [1, 0] {
            program.ok("sock_recv", &[fd.into(), iovecs, 2, peek, out, flags]).await;
            assert_eq!((program.get_u32(out), program.get(room, 4)), (3, b"fir\0".to_vec()));
            assert_eq!(program.get_u16(flags), 1, "the rest is lost");
        }
        assert_eq!(program.read(fd, 100).await, Ok(b"second".to_vec()));
        let iovecs = program.iovecs(&[(65536, 70_000)]);
        assert_ne!(program.call("sock_send", &[fd.into(), iovecs, 1, 0, out]).await, 0, "EMSGSIZE");
        assert_eq!(program.accept(fd, 0).await, Err(errno::NOTSUP));
    });
}
