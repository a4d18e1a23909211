//! What the IPC guests share: arguments, ends, and a listening socket to poll, which is the one thing that differs between the WASIs.
use std::fmt::Display;

use wasmpod_sdk::poll::Pollable;

/// The nth argument, or the end of the program.
pub fn arg(n: usize) -> String {
    std::env::args().nth(n).unwrap_or_else(|| {
        eprintln!("argument {n} is missing");
        std::process::exit(2)
    })
}

/// The nth argument as a number.
pub fn number(n: usize) -> u64 {
    arg(n).parse().unwrap_or_else(|_| {
        eprintln!("argument {n} is not a number");
        std::process::exit(2)
    })
}

/// What must work.
pub fn must<T, E: Display>(what: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| {
        println!("FAILED {what}: {error}");
        std::process::exit(1)
    })
}

/// What must be so.
pub fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) {
    if found != expected {
        println!("FAILED {what}: {found:?} instead of {expected:?}");
        std::process::exit(1)
    }
}

/// A TCP socket that listens on a port.
#[cfg(target_env = "p1")]
pub struct Listener(u32);

#[cfg(target_env = "p1")]
impl Listener {
    /// The one that the container was given for its containerPort.
    pub fn on(_port: u16) -> Self {
        let is_socket = |fd: &u32| {
            // SAFETY: an fd that is not open is an error, not undefined
            unsafe { wasip1::fd_fdstat_get(*fd) }.is_ok_and(|stat| stat.fs_filetype == wasip1::FILETYPE_SOCKET_STREAM)
        };
        Self(must("a listening socket", (3..64).find(is_socket).ok_or("there is none")))
    }

    /// Ready when there is a connection.
    pub fn ready(&self) -> Pollable<'static> {
        Pollable::fd_readable(self.0)
    }
}

/// A TCP socket that listens on a port.
#[cfg(target_env = "p2")]
pub struct Listener(wasip2::sockets::tcp::TcpSocket);

#[cfg(target_env = "p2")]
impl Listener {
    /// A new one, on all addresses.
    pub fn on(port: u16) -> Self {
        use wasip2::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress};
        let name = |code: ErrorCode| code.name().to_owned();
        let make = || {
            let network = wasip2::sockets::instance_network::instance_network();
            let socket = wasip2::sockets::tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4)?;
            let address = Ipv4SocketAddress { port, address: (0, 0, 0, 0) };
            socket.start_bind(&network, IpSocketAddress::Ipv4(address))?;
            socket.finish_bind()?;
            socket.start_listen()?;
            socket.finish_listen()?;
            Ok(socket)
        };
        Self(must("a listening socket", make().map_err(name)))
    }

    /// Ready when there is a connection.
    pub fn ready(&self) -> Pollable<'static> {
        Pollable::wasi(self.0.subscribe())
    }
}
