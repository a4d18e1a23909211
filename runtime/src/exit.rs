//! What wasmpod's exit code says. Part of what a script may rely on: a number is never given a new meaning.

/// How a run of wasmpod ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything went well: all pods have Succeeded.
    Success,
    /// Some pod has Failed.
    PodFailed,
    /// The manifest or the command line is wrong; nothing was started.
    Usage,
    /// In virtual time nothing can ever happen again, and pods are not done.
    Deadlock,
    /// `--check-determinism`: two runs of one seed were not the same.
    NotDeterministic,
    /// A bug of wasmpod.
    Internal,
    /// The machine gives no threads, or no place for temporary files; nothing was started.
    Machine,
    /// `--timeout` was over before the pods were.
    Timeout,
    /// Ctrl-C; the pods were stopped.
    Interrupted,
    /// Whoever read standard output went away; the pods were stopped. As a shell shows SIGPIPE.
    BrokenPipe,
    /// SIGTERM; the pods were stopped.
    Terminated,
}

impl Exit {
    /// All of them.
    const ALL: [Self; 11] = [
        Self::Success,
        Self::PodFailed,
        Self::Usage,
        Self::Deadlock,
        Self::NotDeterministic,
        Self::Internal,
        Self::Machine,
        Self::Timeout,
        Self::Interrupted,
        Self::BrokenPipe,
        Self::Terminated,
    ];

    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::PodFailed => 1,
            Self::Usage => 2,
            Self::Deadlock => 3,
            Self::NotDeterministic => 4,
            Self::Internal => 70,
            Self::Machine => 71,
            Self::Timeout => 124,
            Self::Interrupted => 130,
            Self::BrokenPipe => 141,
            Self::Terminated => 143,
        }
    }

    /// The exit that has this number.
    pub fn of(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| i32::from(exit.code()) == code)
    }

    /// One word for `--output json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "succeeded",
            Self::PodFailed => "failed",
            Self::Usage => "usage",
            Self::Deadlock => "deadlock",
            Self::NotDeterministic => "not-deterministic",
            Self::Internal => "internal-error",
            Self::Machine => "machine-error",
            Self::Timeout => "timeout",
            Self::Interrupted => "interrupted",
            Self::BrokenPipe => "broken-pipe",
            Self::Terminated => "terminated",
        }
    }
}

/// The part of `--help` that tells the codes.
pub const HELP: &str = "\
Exit codes:
  0    all pods have Succeeded
  1    some pod has Failed
  2    the manifest or the command line is wrong; nothing was started
  3    virtual time only: nothing can ever happen again, and pods are not done
  4    --check-determinism: two runs of one seed were not the same
  70   a bug in wasmpod
  71   this machine gives no threads, or no place for temporary files
  124  --timeout was over before the pods were
  130  stopped by Ctrl-C
  141  standard output was closed
  143  stopped by SIGTERM";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_tells_every_code() {
        for exit in Exit::ALL {
            let told = HELP.lines().any(|line| line.trim_start().starts_with(&format!("{} ", exit.code())));
            assert!(told, "{exit:?} is not in the help");
        }
        assert_eq!(HELP.lines().count(), Exit::ALL.len() + 1);
    }
}
