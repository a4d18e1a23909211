//! The command line: what may be typed. One file per verb.

mod completion;
mod play;
mod version;

use clap::{Parser, Subcommand};

use crate::exit::Exit;

/// Kubernetes Pods on any machine, without containers.
#[derive(Debug, Parser)]
#[command(name = "wasmpod", version, about, after_help = crate::exit::HELP, arg_required_else_help = true)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Play(Box<play::Args>),
    /// Say which version this is
    Version,
    Completion(completion::Args),
}

/// Runs what the command line says.
pub fn run() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print(); // nobody is left to tell if this fails
            return if error.use_stderr() { Exit::Usage } else { Exit::Success };
        }
    };
    match cli.verb {
        Verb::Play(args) => play::run(&args),
        Verb::Version => version::run(),
        Verb::Completion(args) => completion::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
