//! Processes and signals (`wasmpod:process`). Numbers and rules are those of signal(7); `specs/wit/process` says what differs.
//!
//! - [`SignalFd`] works on both WASIs: signals are read, and polled together with sockets and clocks.
//! - [`on_signal`] and [`suspend`] are for WASI 0.1 only: a component has no handlers.

use crate::Result;

#[cfg(target_env = "p1")]
#[path = "process/p1.rs"]
mod sys;
#[cfg(target_env = "p2")]
#[path = "process/p2.rs"]
mod sys;

pub use sys::{SignalFd, exit, getgid, getpid, getppid, getuid, pids};
#[cfg(target_env = "p1")]
pub use sys::{on_signal, suspend};

/// A signal, by Linux' number from 1 to 31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signal(pub u8);

impl Signal {
    /// SIGHUP
    pub const HUP: Self = Self(1);
    /// SIGINT
    pub const INT: Self = Self(2);
    /// SIGQUIT
    pub const QUIT: Self = Self(3);
    /// SIGKILL
    pub const KILL: Self = Self(9);
    /// SIGUSR1
    pub const USR1: Self = Self(10);
    /// SIGUSR2
    pub const USR2: Self = Self(12);
    /// SIGPIPE
    pub const PIPE: Self = Self(13);
    /// SIGALRM
    pub const ALRM: Self = Self(14);
    /// SIGTERM
    pub const TERM: Self = Self(15);
    /// SIGCHLD
    pub const CHLD: Self = Self(17);
    /// SIGCONT
    pub const CONT: Self = Self(18);
    /// SIGSTOP
    pub const STOP: Self = Self(19);
    /// SIGTSTP
    pub const TSTP: Self = Self(20);
}

/// A set of signals: bit `n - 1` stands for signal `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalSet(pub u64);

impl SignalSet {
    /// The set of these.
    pub fn of(signals: &[Signal]) -> Self {
        Self(signals.iter().filter(|signal| signal.0 > 0).fold(0, |set, signal| set | 1 << (signal.0 - 1)))
    }

    /// True if `signal` is in it.
    pub fn contains(self, signal: Signal) -> bool {
        signal.0 > 0 && self.0 >> (signal.0 - 1) & 1 == 1
    }
}

/// What to do with a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// The default action.
    Default,
    /// Nothing.
    Ignore,
    /// The handler that was given to `on_signal`.
    Handler,
}

/// What to do with a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskHow {
    /// Block these too.
    Block,
    /// Block these no longer.
    Unblock,
    /// Block these and no others.
    Set,
}

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalInfo {
    /// Which.
    pub signal: Signal,
    /// Who sent it; 0 for the container runtime.
    pub sender: u32,
    /// The sender's user.
    pub uid: u32,
}

/// kill(2): sends a signal, or with `None` only asks whether one may.
///
/// # Errors
/// `NoProcess`, `NotPermitted`, `Invalid`.
pub fn kill(pid: i32, signal: Option<Signal>) -> Result<()> {
    sys::kill(pid, signal)
}

/// raise(3): sends this process a signal.
///
/// # Errors
/// `Invalid` for what is no signal.
pub fn raise(signal: Signal) -> Result<()> {
    sys::kill(getpid() as i32, Some(signal))
}

/// Does the default, or nothing, on `signal`: what was done before.
///
/// # Errors
/// `Invalid` for SIGKILL and SIGSTOP, and for `Handler`: see `on_signal`.
pub fn set_disposition(signal: Signal, to: Disposition) -> Result<Disposition> {
    sys::set_disposition(signal, to)
}

/// sigprocmask(2): the signals that were blocked before.
pub fn set_mask(how: MaskHow, set: SignalSet) -> SignalSet {
    sys::set_mask(how, set)
}

/// sigpending(2)
pub fn pending() -> SignalSet {
    sys::pending()
}
