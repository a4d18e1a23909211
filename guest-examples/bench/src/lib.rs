//! What the measuring guests share: arguments, and one way to print a result.
use std::time::Instant;

/// The nth argument as a number, or this.
pub fn number(n: usize, default: u64) -> u64 {
    match std::env::args().nth(n) {
        None => default,
        Some(text) => text.parse().unwrap_or_else(|_| {
            eprintln!("argument {n}: {text:?} is not a number");
            std::process::exit(2)
        }),
    }
}

/// The nth argument, or this.
pub fn arg(n: usize, default: &str) -> String {
    std::env::args().nth(n).unwrap_or_else(|| default.into())
}

/// Runs `work` once and prints `NAME ns_total=… rounds=… bytes=…`, where bytes is what all rounds moved.
pub fn measure(name: &str, rounds: u64, bytes: u64, work: impl FnOnce()) {
    let start = Instant::now();
    work();
    println!("{name} ns_total={} rounds={rounds} bytes={bytes}", start.elapsed().as_nanos());
}
