//! The errors of preview 1: its own numbers, how the kernel's errors become them, and how a host function fails.

use wasmpod_kernel::Errno;

use super::memory::GuestFault;

macro_rules! wasi_errnos {
    ($($name:ident = $number:literal),* $(,)?) => {
        /// `$errno` of `typenames.witx`. They are numbered in the order of their names, which has nothing to do with Linux.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u16)]
        #[expect(missing_docs, reason = "each is the error of that name in errno(3)")]
        pub enum WasiErrno { $($name = $number),* }

        impl WasiErrno {
            /// Every error.
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

wasi_errnos! {
    TooBig = 1, Acces = 2, AddrInUse = 3, AddrNotAvail = 4, AfNoSupport = 5, Again = 6, Already = 7, BadF = 8, BadMsg = 9,
    Busy = 10, Canceled = 11, Child = 12, ConnAborted = 13, ConnRefused = 14, ConnReset = 15, Deadlk = 16, DestAddrReq = 17,
    Dom = 18, Dquot = 19, Exist = 20, Fault = 21, FBig = 22, HostUnreach = 23, IdRm = 24, IlSeq = 25, InProgress = 26,
    Intr = 27, Inval = 28, Io = 29, IsConn = 30, IsDir = 31, Loop = 32, MFile = 33, MLink = 34, MsgSize = 35, MultiHop = 36,
    NameTooLong = 37, NetDown = 38, NetReset = 39, NetUnreach = 40, NFile = 41, NoBufs = 42, NoDev = 43, NoEnt = 44,
    NoExec = 45, NoLck = 46, NoLink = 47, NoMem = 48, NoMsg = 49, NoProtoOpt = 50, NoSpc = 51, NoSys = 52, NotConn = 53,
    NotDir = 54, NotEmpty = 55, NotRecoverable = 56, NotSock = 57, NotSup = 58, NotTy = 59, Nxio = 60, Overflow = 61,
    OwnerDead = 62, Perm = 63, Pipe = 64, Proto = 65, ProtoNoSupport = 66, Prototype = 67, Range = 68, RoFs = 69, SPipe = 70,
    Srch = 71, Stale = 72, TimedOut = 73, TxtBsy = 74, XDev = 75, NotCapable = 76,
}

impl WasiErrno {
    /// The number that the guest gets.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

impl From<Errno> for WasiErrno {
    /// Every error has a counterpart of its own name, but for EOPNOTSUPP, which preview 1 calls ENOTSUP (on Linux they are one).
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::Perm => Self::Perm,
            Errno::NoEnt => Self::NoEnt,
            Errno::Srch => Self::Srch,
            Errno::Intr => Self::Intr,
            Errno::Io => Self::Io,
            Errno::Nxio => Self::Nxio,
            Errno::TooBig => Self::TooBig,
            Errno::NoExec => Self::NoExec,
            Errno::BadF => Self::BadF,
            Errno::Child => Self::Child,
            Errno::Again => Self::Again,
            Errno::NoMem => Self::NoMem,
            Errno::Acces => Self::Acces,
            Errno::Fault => Self::Fault,
            Errno::Busy => Self::Busy,
            Errno::Exist => Self::Exist,
            Errno::XDev => Self::XDev,
            Errno::NoDev => Self::NoDev,
            Errno::NotDir => Self::NotDir,
            Errno::IsDir => Self::IsDir,
            Errno::Inval => Self::Inval,
            Errno::NFile => Self::NFile,
            Errno::MFile => Self::MFile,
            Errno::NotTy => Self::NotTy,
            Errno::TxtBsy => Self::TxtBsy,
            Errno::FBig => Self::FBig,
            Errno::NoSpc => Self::NoSpc,
            Errno::SPipe => Self::SPipe,
            Errno::RoFs => Self::RoFs,
            Errno::MLink => Self::MLink,
            Errno::Pipe => Self::Pipe,
            Errno::Dom => Self::Dom,
            Errno::Range => Self::Range,
            Errno::Deadlk => Self::Deadlk,
            Errno::NameTooLong => Self::NameTooLong,
            Errno::NoLck => Self::NoLck,
            Errno::NoSys => Self::NoSys,
            Errno::NotEmpty => Self::NotEmpty,
            Errno::Loop => Self::Loop,
            Errno::Overflow => Self::Overflow,
            Errno::IlSeq => Self::IlSeq,
            Errno::NotSock => Self::NotSock,
            Errno::DestAddrReq => Self::DestAddrReq,
            Errno::MsgSize => Self::MsgSize,
            Errno::Prototype => Self::Prototype,
            Errno::NoProtoOpt => Self::NoProtoOpt,
            Errno::ProtoNoSupport => Self::ProtoNoSupport,
            Errno::OpNotSupp => Self::NotSup,
            Errno::AfNoSupport => Self::AfNoSupport,
            Errno::AddrInUse => Self::AddrInUse,
            Errno::AddrNotAvail => Self::AddrNotAvail,
            Errno::NetDown => Self::NetDown,
            Errno::NetUnreach => Self::NetUnreach,
            Errno::ConnAborted => Self::ConnAborted,
            Errno::ConnReset => Self::ConnReset,
            Errno::NoBufs => Self::NoBufs,
            Errno::IsConn => Self::IsConn,
            Errno::NotConn => Self::NotConn,
            Errno::TimedOut => Self::TimedOut,
            Errno::ConnRefused => Self::ConnRefused,
            Errno::HostUnreach => Self::HostUnreach,
            Errno::Already => Self::Already,
            Errno::InProgress => Self::InProgress,
            Errno::Stale => Self::Stale,
            Errno::Dquot => Self::Dquot,
            Errno::Canceled => Self::Canceled,
        }
    }
}

/// How a host function fails.
#[derive(Debug)]
pub(super) enum Fail {
    /// The guest is told.
    Errno(WasiErrno),
    /// The guest ends: it broke the rules of the ABI, or it asked to end.
    Trap(wasmtime::Error),
}

impl From<WasiErrno> for Fail {
    fn from(errno: WasiErrno) -> Self {
        Self::Errno(errno)
    }
}

impl From<Errno> for Fail {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno.into())
    }
}

impl From<GuestFault> for Fail {
    fn from(fault: GuestFault) -> Self {
        Self::Trap(fault.into())
    }
}

/// What the guest's call returns.
pub(super) fn finish(result: Result<(), Fail>) -> wasmtime::Result<u32> {
    match result {
        Ok(()) => Ok(0),
        Err(Fail::Errno(errno)) => Ok(errno.number()),
        Err(Fail::Trap(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_witx_file() {
        assert!(WasiErrno::ALL.iter().enumerate().all(|(at, errno)| errno.number() as usize == at + 1));
        assert_eq!(WasiErrno::ALL.len(), 76);
        // wasi-libc's errno.h
        assert_eq!((WasiErrno::BadF.number(), WasiErrno::Inval.number(), WasiErrno::NoEnt.number()), (8, 28, 44));
        assert_eq!(
            (WasiErrno::NotSup.number(), WasiErrno::Perm.number(), WasiErrno::NotCapable.number()),
            (58, 63, 76)
        );
    }

    #[test]
    fn every_error_of_the_kernel_keeps_its_name() {
        for &errno in Errno::ALL {
            let name = format!("{:?}", WasiErrno::from(errno));
            let expected = if errno == Errno::OpNotSupp { "NotSup".to_owned() } else { format!("{errno:?}") };
            assert_eq!(name, expected);
        }
    }
}
