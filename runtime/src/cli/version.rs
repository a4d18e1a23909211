//! `wasmpod version`.

use std::io::Write;

use crate::exit::Exit;

/// Prints the version. A closed pipe is nobody who wants to know.
pub fn run() -> Exit {
    let _ = writeln!(std::io::stdout(), "wasmpod {}", env!("CARGO_PKG_VERSION"));
    Exit::Success
}
