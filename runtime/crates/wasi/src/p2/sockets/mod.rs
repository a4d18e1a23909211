//! `wasi:sockets` over the pod's network stack. Owns the WIT's states (start and finish, permits, streams), which the kernel's
//! sockets do not know; they follow wasmtime's own host, error for error.
//!
//! - [`errors`](SocketError): the kernel's errors in the WIT's words.
//! - `network`: the capability, addresses and what makes them valid.
//! - `tcp`: the resource `tcp-socket`; `tcp_state` its states and streams.
//! - `udp`: the resource `udp-socket`; `datagrams` its streams.
//! - `lookup`: names to addresses.

mod datagrams;
mod errors;
mod lookup;
mod network;
mod tcp;
mod tcp_state;
mod udp;

pub use self::datagrams::{IncomingDatagrams, OutgoingDatagrams};
pub use self::errors::{SocketError, SocketFailure};
pub use self::lookup::ResolvedAddresses;
pub use self::network::Network;
pub use self::tcp_state::TcpHandle;
pub use self::udp::UdpHandle;

/// What a call on a socket returns.
pub(crate) type SocketResult<T> = Result<T, SocketError>;
