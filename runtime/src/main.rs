//! wasmpod: Kubernetes Pods on any machine, without containers.
//!
//! The binary is thin: it reads the command line, sets up tracing and the panic message, runs one verb of [`cli`], and turns what
//! came of it into an exit code ([`exit`]).
#![forbid(unsafe_code)]

mod cli;
mod exit;

use std::io::Write;
use std::process::ExitCode;

/// The environment variable with tracing's filter, such as `debug` or `wasmpod_cri=trace`.
const LOG_VARIABLE: &str = "WASMPOD_LOG";

fn main() -> ExitCode {
    install_panic_message();
    install_tracing();
    ExitCode::from(cli::run().code())
}

/// A panic is a bug of wasmpod, whatever the manifest or the program did: it says so, once, and where.
fn install_panic_message() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
        let message = info.payload_as_str().unwrap_or("no message");
        // not eprintln!: a closed stderr must not panic within a panic
        let _ = writeln!(
            std::io::stderr(),
            "wasmpod: internal error{place}: {message}\n\
             wasmpod: this is a bug in wasmpod; please report it with the manifest and the command line"
        );
    }));
}

fn install_tracing() {
    if std::env::var_os(LOG_VARIABLE).is_some() {
        let filter = tracing_subscriber::EnvFilter::from_env(LOG_VARIABLE);
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
}
