//! How a program ended, in the words of Linux and of a container runtime. A trap is the signal that the same mistake would raise in a
//! native program, and its exit code is 128 + that signal.

use wasmpod_kernel::signal::{ExitStatus, Signal};
use wasmpod_wasi::p1::GuestFault;
use wasmpod_wasi::{ProcExit, SignalExit};
use wasmtime::Trap;

/// Why a program ended, as a container runtime reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// It exited with code 0.
    Completed,
    /// It exited with another code, or a signal ended it.
    Error,
    /// It used more memory than its cgroup, or one above it, allows.
    OomKilled,
}

impl ExitReason {
    /// The reason as Kubernetes spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::Error => "Error",
            Self::OomKilled => "OOMKilled",
        }
    }
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// The reason in one word.
    pub reason: ExitReason,
    /// What else is known, for people: the trap and where it happened.
    pub message: Option<String>,
}

impl Exit {
    pub(crate) fn exited(code: u32) -> Self {
        // as with exit(3), only the lowest byte reaches the parent
        let status = ExitStatus::Exited((code & 0xff) as u8);
        let reason = if status.is_success() { ExitReason::Completed } else { ExitReason::Error };
        Self { status, reason, message: None }
    }

    pub(crate) fn signaled(signal: Signal, message: Option<String>) -> Self {
        Self { status: ExitStatus::Signaled(signal), reason: ExitReason::Error, message }
    }

    pub(crate) fn oom_killed() -> Self {
        Self { status: ExitStatus::Signaled(Signal::Kill), reason: ExitReason::OomKilled, message: None }
    }

    /// How a program ended that left wasm with `error`.
    pub(crate) fn from_error(error: &wasmtime::Error) -> Self {
        if let Some(ProcExit(code)) = error.downcast_ref() {
            return Self::exited(*code);
        }
        if let Some(SignalExit(signal)) = error.downcast_ref() {
            return Self::signaled(*signal, None);
        }
        if error.downcast_ref::<OutOfMemory>().is_some() {
            return Self::oom_killed();
        }
        let signal = match (error.downcast_ref::<Trap>(), error.downcast_ref::<GuestFault>()) {
            (Some(trap), _) => signal_of(*trap),
            // a pointer given to a system call that leads outside of the program's memory
            (None, Some(GuestFault::OutOfBounds { .. } | GuestFault::Misaligned { .. })) => Signal::Segv,
            (None, _) => Signal::Abrt,
        };
        Self::signaled(signal, Some(describe(error)))
    }
}

/// The memory cgroup refused a growth: the program is killed, as Linux' OOM killer would. (Error type found again by
/// downcast after it went through wasmtime.)
#[derive(Debug, thiserror::Error)]
#[error("out of memory: {wanted} bytes more do not fit into the memory cgroup")]
pub(crate) struct OutOfMemory {
    pub wanted: u64,
}

fn signal_of(trap: Trap) -> Signal {
    match trap {
        Trap::StackOverflow
        | Trap::MemoryOutOfBounds
        | Trap::HeapMisaligned
        | Trap::TableOutOfBounds
        | Trap::IndirectCallToNull
        | Trap::BadSignature
        | Trap::NullReference
        | Trap::ArrayOutOfBounds
        | Trap::StringOutOfBounds
        | Trap::ListOutOfBounds
        | Trap::UnalignedPointer => Signal::Segv,
        Trap::IntegerOverflow | Trap::IntegerDivisionByZero | Trap::BadConversionToInteger => Signal::Fpe,
        Trap::DisabledOpcode => Signal::Ill,
        _ => Signal::Abrt,
    }
}

/// The longest message kept of one trap; a backtrace of a deep recursion has thousands of lines.
const MAX_MESSAGE: usize = 2048;

/// The trap first, then the frames of the program in which it happened, shortened. The host's own frames say nothing to a user.
fn describe(error: &wasmtime::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    let mut text = causes.into_iter().rev().collect::<Vec<_>>().join("\n");
    if text.len() > MAX_MESSAGE {
        let mut end = MAX_MESSAGE;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("\n(shortened)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps_are_the_signals_that_a_native_program_would_get() {
        let code = |trap: Trap| Exit::from_error(&wasmtime::Error::from(trap)).status.code();
        assert_eq!(code(Trap::UnreachableCodeReached), 134);
        assert_eq!(code(Trap::MemoryOutOfBounds), 139);
        assert_eq!(code(Trap::StackOverflow), 139);
        assert_eq!(code(Trap::IntegerDivisionByZero), 136);
    }

    #[test]
    fn exits_keep_their_lowest_byte() {
        let exit = Exit::from_error(&wasmtime::Error::from(ProcExit(259)));
        assert_eq!((exit.status.code(), exit.reason), (3, ExitReason::Error));
        assert_eq!(Exit::exited(0).reason, ExitReason::Completed);
        assert_eq!(Exit::exited(256).reason, ExitReason::Completed);
    }

    #[test]
    fn out_of_memory_is_found_behind_wasmtimes_context() {
        let error = wasmtime::Error::from(OutOfMemory { wanted: 1 }).context("failed to grow");
        let exit = Exit::from_error(&error);
        assert_eq!((exit.status.code(), exit.reason), (137, ExitReason::OomKilled));
    }
}
