//! How the kernel's errors look to `wasi:filesystem`. Owns the table for files; sockets have their own.

use wasmpod_kernel::Errno;
use wasmtime::component::ResourceTableError;

use crate::p2::bindings::filesystem::types::ErrorCode;

/// Why a call on a file failed: an error of the guest's making, or one that ends it.
#[derive(Debug)]
pub enum FsError {
    /// The guest is told.
    Code(ErrorCode),
    /// The guest is ended: it used a handle that it does not have.
    Trap(wasmtime::Error),
}

impl From<ErrorCode> for FsError {
    fn from(code: ErrorCode) -> Self {
        Self::Code(code)
    }
}

impl From<Errno> for FsError {
    fn from(errno: Errno) -> Self {
        Self::Code(errno.into())
    }
}

impl From<ResourceTableError> for FsError {
    fn from(error: ResourceTableError) -> Self {
        match error {
            ResourceTableError::Full => Self::Code(ErrorCode::InsufficientMemory),
            _ => Self::Trap(error.into()),
        }
    }
}

/// What a file's stream failed with; `filesystem-error-code` finds it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FileFailure(pub Errno);

impl From<Errno> for ErrorCode {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::Acces => Self::Access,
            Errno::Again => Self::WouldBlock,
            Errno::Already => Self::Already,
            Errno::BadF => Self::BadDescriptor,
            Errno::Busy => Self::Busy,
            Errno::Deadlk => Self::Deadlock,
            Errno::Dquot => Self::Quota,
            Errno::Exist => Self::Exist,
            Errno::FBig => Self::FileTooLarge,
            Errno::IlSeq => Self::IllegalByteSequence,
            Errno::InProgress => Self::InProgress,
            Errno::Intr => Self::Interrupted,
            Errno::Inval => Self::Invalid,
            Errno::IsDir => Self::IsDirectory,
            Errno::Loop => Self::Loop,
            Errno::MLink => Self::TooManyLinks,
            Errno::MsgSize => Self::MessageSize,
            Errno::NameTooLong => Self::NameTooLong,
            Errno::NoDev => Self::NoDevice,
            Errno::NoEnt => Self::NoEntry,
            Errno::NoLck => Self::NoLock,
            // WASI has no EMFILE: "not enough space" is the nearest that a program may expect of an open
            Errno::NoMem | Errno::NoBufs | Errno::MFile | Errno::NFile => Self::InsufficientMemory,
            Errno::NoSpc => Self::InsufficientSpace,
            Errno::NotDir => Self::NotDirectory,
            Errno::NotEmpty => Self::NotEmpty,
            Errno::NoSys | Errno::OpNotSupp => Self::Unsupported,
            Errno::NotTy => Self::NoTty,
            Errno::Nxio => Self::NoSuchDevice,
            Errno::Overflow => Self::Overflow,
            Errno::Perm => Self::NotPermitted,
            Errno::Pipe => Self::Pipe,
            Errno::RoFs => Self::ReadOnly,
            Errno::SPipe => Self::InvalidSeek,
            Errno::TxtBsy => Self::TextFileBusy,
            Errno::XDev => Self::CrossDevice,
            _ => Self::Io,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors_of_files_have_codes_of_their_own() {
        let io: Vec<_> = Errno::ALL.iter().filter(|errno| ErrorCode::from(**errno) == ErrorCode::Io).collect();
        // what no file call gives: processes, math, networks; and EIO itself
        assert!(io.contains(&&Errno::Io) && !io.contains(&&Errno::NoEnt));
        assert!(io.iter().all(|errno| !matches!(errno, Errno::RoFs | Errno::NoSpc | Errno::Loop | Errno::MFile)));
        assert_eq!(ErrorCode::from(Errno::XDev), ErrorCode::CrossDevice);
    }
}
