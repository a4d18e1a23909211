//! `wasmpod completion SHELL`.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::exit::Exit;

/// Write a completion script for a shell to standard output
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &Args) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "wasmpod", &mut script);
    let _ = std::io::stdout().write_all(&script); // a closed pipe wants no script
    Exit::Success
}
