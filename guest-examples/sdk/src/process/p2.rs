//! Over `wasmpod:process`.

use super::{Disposition, MaskHow, Signal, SignalInfo, SignalSet};
use crate::sys::process_bindings::wasmpod::process::{processes, signals, types};
use crate::{Error, Result};

fn error(code: types::ErrorCode) -> Error {
    match code {
        types::ErrorCode::Invalid => Error::Invalid,
        types::ErrorCode::NoProcess => Error::NoProcess,
        types::ErrorCode::NotPermitted => Error::NotPermitted,
        types::ErrorCode::TooManyOpen => Error::TooManyOpen,
    }
}

/// The signals in the order of their numbers, as the WIT has them.
const SIGNALS: [types::Signal; 31] = {
    use types::Signal::*;
    [
        Hup, Int, Quit, Ill, Trap, Abrt, Bus, Fpe, Kill, Usr1, Segv, Usr2, Pipe, Alrm, Term, Stkflt, Chld, Cont, Stop,
        Tstp, Ttin, Ttou, Urg, Xcpu, Xfsz, Vtalrm, Prof, Winch, Io, Pwr, Sys,
    ]
};

fn wit(signal: Signal) -> Result<types::Signal> {
    usize::from(signal.0).checked_sub(1).and_then(|at| SIGNALS.get(at)).copied().ok_or(Error::Invalid)
}

fn set(set: SignalSet) -> types::SignalSet {
    types::SignalSet::from_bits_truncate(set.0 as u32)
}

/// getpid(2)
pub fn getpid() -> u32 {
    processes::getpid()
}

/// getppid(2): 0 if the container runtime started this process.
pub fn getppid() -> u32 {
    processes::getppid()
}

/// getuid(2)
pub fn getuid() -> u32 {
    processes::getuid()
}

/// getgid(2)
pub fn getgid() -> u32 {
    processes::getgid()
}

/// The numbers of the processes of this process' namespace.
pub fn pids() -> Vec<u32> {
    processes::list().iter().map(|process| process.pid).collect()
}

/// Ends this process with any code.
pub fn exit(code: u8) -> ! {
    processes::exit(code);
    unreachable!("exit does not return")
}

pub(super) fn kill(pid: i32, signal: Option<Signal>) -> Result<()> {
    let signal = signal.filter(|signal| signal.0 != 0); // as kill(2) has it: 0 only asks
    processes::kill(pid, signal.map(wit).transpose()?).map_err(error)
}

pub(super) fn set_disposition(signal: Signal, to: Disposition) -> Result<Disposition> {
    let to = match to {
        Disposition::Default => signals::Disposition::Default,
        Disposition::Ignore => signals::Disposition::Ignore,
        Disposition::Handler => return Err(Error::Invalid),
    };
    match signals::set_disposition(wit(signal)?, to).map_err(error)? {
        signals::Disposition::Default => Ok(Disposition::Default),
        signals::Disposition::Ignore => Ok(Disposition::Ignore),
    }
}

pub(super) fn set_mask(how: MaskHow, mask: SignalSet) -> SignalSet {
    let how = match how {
        MaskHow::Block => signals::MaskHow::Block,
        MaskHow::Unblock => signals::MaskHow::Unblock,
        MaskHow::Set => signals::MaskHow::Set,
    };
    SignalSet(signals::set_mask(how, set(mask)).bits().into())
}

pub(super) fn pending() -> SignalSet {
    SignalSet(signals::pending().bits().into())
}

/// Signals that are read instead of being acted on (signalfd(2)).
#[derive(Debug)]
pub struct SignalFd(signals::SignalFd);

impl SignalFd {
    /// Opens one.
    ///
    /// # Errors
    /// `TooManyOpen`.
    pub fn open(mask: SignalSet) -> Result<Self> {
        signals::SignalFd::open(set(mask)).map(Self).map_err(error)
    }

    /// Ready when a signal is pending.
    pub fn subscribe(&self) -> wasip2::io::poll::Pollable {
        self.0.subscribe()
    }

    /// Takes what is pending.
    pub fn read(&self) -> Vec<SignalInfo> {
        let info = |info: &signals::SignalInfo| SignalInfo {
            signal: Signal(info.signal as u8 + 1),
            sender: info.sender,
            uid: info.uid,
        };
        self.0.read().iter().map(info).collect()
    }
}
