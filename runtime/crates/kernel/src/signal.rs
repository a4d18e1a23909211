//! Signals by Linux' numbers (`signal(7)`), and how an ended process is described (`wait(2)`). Delivery to handlers is not here
//! yet: a WASI program has none, so every signal but SIGKILL has its default action, which pid 1 ignores.

use std::fmt;

/// A signal, by Linux' number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Signal {
    /// Interrupt from the keyboard.
    Int = 2,
    /// Illegal instruction.
    Ill = 4,
    /// Abort: an `unreachable` instruction is a program that gave up.
    Abrt = 6,
    /// A fault of arithmetic: division by zero, overflow.
    Fpe = 8,
    /// Killed; cannot be caught.
    Kill = 9,
    /// An invalid memory reference: out of bounds, stack overflow.
    Segv = 11,
    /// Write to a pipe that nobody reads.
    Pipe = 13,
    /// Please end.
    Term = 15,
}

impl Signal {
    /// The number, e.g. 15.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The name as `kill -l` knows it, e.g. `SIGTERM`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int => "SIGINT",
            Self::Ill => "SIGILL",
            Self::Abrt => "SIGABRT",
            Self::Fpe => "SIGFPE",
            Self::Kill => "SIGKILL",
            Self::Segv => "SIGSEGV",
            Self::Pipe => "SIGPIPE",
            Self::Term => "SIGTERM",
        }
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
}
