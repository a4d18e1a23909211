//! Signals by Linux' numbers (`signal(7)`), and how an ended process is described (`wait(2)`).
//!
//! A map of the code:
//! - this file: numbers, names, default actions, sets, [`ExitStatus`].
//! - [`Signals`]: what a process has pending, blocks, ignores and handles, and what follows from a signal that is sent to it.
//! - [`SignalFd`]: signals to be read and polled (`signalfd(2)`).
//!
//! Who may send a signal to whom is [`crate::pidns`]' to say; ending and stopping a process is the engine's to do. Real-time signals
//! (32 to 64) are not built: they are EINVAL.

mod fd;
mod state;

use std::fmt;

pub use fd::{SIGINFO_BYTES, SignalFd};
pub use state::{Control, Disposition, MaskHow, Sender, SignalInfo, Signals, Taken};

use crate::{Errno, Result};

/// What a signal does to a process that has not said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultAction {
    /// Ends the process.
    Terminate,
    /// Ends the process; Linux would write a core file, which does not exist here.
    Core,
    /// Nothing.
    Ignore,
    /// Stops the process until SIGCONT.
    Stop,
    /// Lets a stopped process go on.
    Continue,
}

macro_rules! signals {
    ($($name:ident = $number:literal, $symbol:literal, $action:ident, $text:literal;)*) => {
        /// A signal, by Linux' number.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Signal {
            $(#[doc = concat!($symbol, ": ", $text)] $name = $number,)*
        }

        impl Signal {
            /// Every signal, in numeric order.
            pub const ALL: &'static [Signal] = &[$(Signal::$name),*];

            /// The name as `kill -l` knows it, e.g. `SIGTERM`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $symbol,)* }
            }

            /// What it does to a process that has not said otherwise.
            pub const fn default_action(self) -> DefaultAction {
                match self { $(Self::$name => DefaultAction::$action,)* }
            }
        }
    };
}

signals! {
    Hup = 1, "SIGHUP", Terminate, "hang-up of the terminal; by custom, read the configuration again.";
    Int = 2, "SIGINT", Terminate, "interrupt from the keyboard.";
    Quit = 3, "SIGQUIT", Core, "quit from the keyboard.";
    Ill = 4, "SIGILL", Core, "illegal instruction.";
    Trap = 5, "SIGTRAP", Core, "trace or breakpoint trap.";
    Abrt = 6, "SIGABRT", Core, "abort: an `unreachable` instruction is a program that gave up.";
    Bus = 7, "SIGBUS", Core, "bus error.";
    Fpe = 8, "SIGFPE", Core, "a fault of arithmetic: division by zero, overflow.";
    Kill = 9, "SIGKILL", Terminate, "killed; cannot be caught.";
    Usr1 = 10, "SIGUSR1", Terminate, "for the program's own use.";
    Segv = 11, "SIGSEGV", Core, "an invalid memory reference: out of bounds, stack overflow.";
    Usr2 = 12, "SIGUSR2", Terminate, "for the program's own use.";
    Pipe = 13, "SIGPIPE", Terminate, "write to a pipe that nobody reads.";
    Alrm = 14, "SIGALRM", Terminate, "timer.";
    Term = 15, "SIGTERM", Terminate, "please end.";
    Stkflt = 16, "SIGSTKFLT", Terminate, "unused.";
    Chld = 17, "SIGCHLD", Ignore, "a child has ended or stopped.";
    Cont = 18, "SIGCONT", Continue, "go on.";
    Stop = 19, "SIGSTOP", Stop, "stop; cannot be caught.";
    Tstp = 20, "SIGTSTP", Stop, "stop from the keyboard.";
    Ttin = 21, "SIGTTIN", Stop, "a background process reads the terminal.";
    Ttou = 22, "SIGTTOU", Stop, "a background process writes to the terminal.";
    Urg = 23, "SIGURG", Ignore, "urgent data on a socket.";
    Xcpu = 24, "SIGXCPU", Core, "CPU time limit.";
    Xfsz = 25, "SIGXFSZ", Core, "file size limit.";
    Vtalrm = 26, "SIGVTALRM", Terminate, "virtual timer.";
    Prof = 27, "SIGPROF", Terminate, "profiling timer.";
    Winch = 28, "SIGWINCH", Ignore, "the window has another size.";
    Io = 29, "SIGIO", Terminate, "IO is possible.";
    Pwr = 30, "SIGPWR", Terminate, "power failure.";
    Sys = 31, "SIGSYS", Core, "bad system call.";
}

impl Signal {
    /// The number, e.g. 15.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The signal with this number.
    ///
    /// # Errors
    /// [`Errno::Inval`] for anything but 1 to 31: 0 is no signal, and real-time signals are not built.
    pub fn from_number(number: u32) -> Result<Self> {
        let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1)).ok_or(Errno::Inval)?;
        Self::ALL.get(at).copied().ok_or(Errno::Inval)
    }

    /// True for SIGKILL and SIGSTOP, which nobody blocks, ignores or handles.
    pub const fn is_uncatchable(self) -> bool {
        matches!(self, Self::Kill | Self::Stop)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of signals (`sigset_t`). Bit `n - 1` stands for signal `n`, as in `/proc/PID/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalSet(u32);

impl SignalSet {
    /// No signal.
    pub const EMPTY: Self = Self(0);

    /// The signals whose bits are set; bits of real-time signals and SIGKILL and SIGSTOP are left out, as `sigprocmask(2)` does.
    pub const fn from_bits(bits: u64) -> Self {
        let all = (1 << Signal::ALL.len()) - 1;
        Self(bits as u32 & all & !Self::bit(Signal::Kill) & !Self::bit(Signal::Stop))
    }

    /// The bits.
    pub const fn bits(self) -> u64 {
        self.0 as u64
    }

    const fn bit(signal: Signal) -> u32 {
        1 << (signal.number() - 1)
    }

    /// True if `signal` is in it.
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & Self::bit(signal) != 0
    }

    /// Adds `signal`.
    pub const fn insert(&mut self, signal: Signal) {
        self.0 |= Self::bit(signal);
    }

    /// Takes `signal` out.
    pub const fn remove(&mut self, signal: Signal) {
        self.0 &= !Self::bit(signal);
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this one only.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// True if nothing is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The signals, in numeric order.
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        Signal::ALL.iter().copied().filter(move |signal| self.contains(*signal))
    }
}

impl FromIterator<Signal> for SignalSet {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> Self {
        signals.into_iter().fold(Self::EMPTY, |mut set, signal| {
            set.insert(signal);
            set
        })
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code; only the lowest 8 bits reach the parent, as with `exit(3)`.
    Exited(u8),
    /// A signal ended it.
    Signaled(Signal),
}

impl ExitStatus {
    /// The code that a shell or a container runtime shows: the exit code, or 128 + the signal's number.
    pub const fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code as i32,
            Self::Signaled(signal) => 128 + signal.number() as i32,
        }
    }

    /// The status as `wait(2)` gives it: the code in the second byte, or the signal in the first. The bit for a core file (0x80) is never
    /// set: none is written.
    pub const fn wait_status(self) -> i32 {
        match self {
            Self::Exited(code) => (code as i32) << 8,
            Self::Signaled(signal) => signal.number() as i32,
        }
    }

    /// True for exit code 0.
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Exited(0))
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Signaled(signal) => write!(f, "exit code {} ({})", self.code(), signal.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_a_shell() {
        assert_eq!(ExitStatus::Exited(3).code(), 3);
        assert_eq!(ExitStatus::Signaled(Signal::Kill).code(), 137);
        assert_eq!(ExitStatus::Signaled(Signal::Segv).to_string(), "exit code 139 (SIGSEGV)");
        assert!(ExitStatus::Exited(0).is_success() && !ExitStatus::Signaled(Signal::Term).is_success());
    }

    #[test]
    fn wait_statuses_are_those_of_linux() {
        assert_eq!(ExitStatus::Exited(255).wait_status(), 0xff00);
        assert_eq!(ExitStatus::Signaled(Signal::Term).wait_status(), 15);
    }

    #[test]
    fn numbers_and_names_are_those_of_linux() {
        let numbers: Vec<u8> = Signal::ALL.iter().map(|signal| signal.number()).collect();
        assert_eq!(numbers, (1..=31).collect::<Vec<_>>());
        assert_eq!(Signal::from_number(15), Ok(Signal::Term));
        for number in [0, 32, 64, u32::MAX] {
            assert_eq!(Signal::from_number(number), Err(Errno::Inval));
        }
        let of = |action| Signal::ALL.iter().filter(|signal| signal.default_action() == action).count();
        // signal(7): the first table's actions
        assert_eq!(of(DefaultAction::Ignore), 3);
        assert_eq!(of(DefaultAction::Stop), 4);
        assert_eq!(of(DefaultAction::Core), 10);
        assert_eq!(of(DefaultAction::Continue), 1);
    }

    #[test]
    fn a_set_has_the_bits_of_proc_status_and_never_kill_or_stop() {
        let set = SignalSet::from_bits(u64::MAX);
        assert!(!set.contains(Signal::Kill) && !set.contains(Signal::Stop) && set.contains(Signal::Sys));
        assert_eq!(SignalSet::from_iter([Signal::Term, Signal::Hup]).bits(), 0x4001);
        assert_eq!(set.iter().count(), 29);
    }
}
