//! How the kernel's errors look to `wasi:sockets`. Owns the table for sockets; it is that of wasmtime's host.

use wasmpod_kernel::Errno;
use wasmpod_kernel::fabric::ResolveError;
use wasmtime::component::ResourceTableError;

use crate::p2::bindings::sockets::network::ErrorCode;

/// Why a call on a socket failed: an error of the guest's making, or one that ends it.
#[derive(Debug)]
pub enum SocketError {
    /// The guest is told.
    Code(ErrorCode),
    /// The guest is ended: it broke a rule of the WIT.
    Trap(wasmtime::Error),
}

impl From<ErrorCode> for SocketError {
    fn from(code: ErrorCode) -> Self {
        Self::Code(code)
    }
}

impl From<Errno> for SocketError {
    fn from(errno: Errno) -> Self {
        Self::Code(errno.into())
    }
}

impl From<ResourceTableError> for SocketError {
    fn from(error: ResourceTableError) -> Self {
        match error {
            ResourceTableError::Full => Self::Code(ErrorCode::NewSocketLimit),
            _ => Self::Trap(error.into()),
        }
    }
}

/// What a socket's stream failed with; `network-error-code` finds it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SocketFailure(pub Errno);

impl From<Errno> for ErrorCode {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::Again | Errno::Intr => Self::WouldBlock,
            Errno::Perm | Errno::Acces => Self::AccessDenied,
            Errno::AddrInUse => Self::AddressInUse,
            Errno::AddrNotAvail => Self::AddressNotBindable,
            Errno::Already => Self::ConcurrencyConflict,
            Errno::TimedOut => Self::Timeout,
            Errno::ConnRefused => Self::ConnectionRefused,
            Errno::ConnReset => Self::ConnectionReset,
            Errno::ConnAborted => Self::ConnectionAborted,
            Errno::Inval => Self::InvalidArgument,
            Errno::HostUnreach | Errno::NetDown | Errno::NetUnreach => Self::RemoteUnreachable,
            Errno::IsConn | Errno::NotConn | Errno::DestAddrReq => Self::InvalidState,
            Errno::NFile | Errno::MFile => Self::NewSocketLimit,
            Errno::MsgSize => Self::DatagramTooLarge,
            Errno::NoMem | Errno::NoBufs => Self::OutOfMemory,
            Errno::OpNotSupp
            | Errno::NoProtoOpt
            | Errno::ProtoNoSupport
            | Errno::Prototype
            | Errno::AfNoSupport
            | Errno::NoSys => Self::NotSupported,
            _ => Self::Unknown,
        }
    }
}

impl From<ResolveError> for ErrorCode {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::NotFound => Self::NameUnresolvable,
            ResolveError::Temporary => Self::TemporaryResolverFailure,
            ResolveError::InvalidName => Self::InvalidArgument,
        }
    }
}
