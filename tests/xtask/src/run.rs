//! Child processes whose failure is this program's failure, shown before they run.

use std::process::{Command, ExitStatus};

/// A command that could not be started or failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not be started.
    #[error("cannot run {command}: {source}")]
    Start {
        /// The command line.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// It ended with a failure.
    #[error("{command}: {status}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
}

/// The cargo that runs this, or the one on the path.
#[must_use]
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Shows the command, runs it with this program's output, and fails if it fails.
pub fn loudly(command: &mut Command) -> Result<(), RunError> {
    match status(command)? {
        status if status.success() => Ok(()),
        status => Err(RunError::Failed { command: show(command), status }),
    }
}

/// Shows the command and runs it with this program's output. How it ended is for the caller to judge.
pub fn status(command: &mut Command) -> Result<ExitStatus, RunError> {
    let shown = show(command);
    eprintln!("xtask: {shown}");
    command.status().map_err(|source| RunError::Start { command: shown, source })
}

/// Runs the command and returns its standard output, trimmed.
pub fn output(command: &mut Command) -> Result<String, RunError> {
    let shown = show(command);
    match command.output() {
        Ok(out) if out.status.success() => Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned()),
        Ok(out) => Err(RunError::Failed { command: shown, status: out.status }),
        Err(source) => Err(RunError::Start { command: shown, source }),
    }
}

/// Whether the command runs and succeeds; its output is dropped.
#[must_use]
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|out| out.status.success())
}

fn show(command: &Command) -> String {
    let name =
        std::path::Path::new(command.get_program()).file_name().unwrap_or(command.get_program()).to_string_lossy();
    let args = command.get_args().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ");
    format!("{name} {args}")
}
