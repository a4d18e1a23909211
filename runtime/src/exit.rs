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
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::PodFailed => 1,
            Self::Usage => 2,
            Self::Deadlock => 3,
            Self::Internal => 70,
            Self::Machine => 71,
            Self::Timeout => 124,
            Self::Interrupted => 130,
            Self::BrokenPipe => 141,
            Self::Terminated => 143,
        }
    }

    /// One word for `--output json`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "succeeded",
            Self::PodFailed => "failed",
            Self::Usage => "usage",
            Self::Deadlock => "deadlock",
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
        use Exit::*;
        let all =
            [Success, PodFailed, Usage, Deadlock, Internal, Machine, Timeout, Interrupted, BrokenPipe, Terminated];
        for exit in all {
            let told = HELP.lines().any(|line| line.trim_start().starts_with(&format!("{} ", exit.code())));
            assert!(told, "{exit:?} is not in the help");
        }
        assert_eq!(HELP.lines().count(), all.len() + 1);
    }
}
