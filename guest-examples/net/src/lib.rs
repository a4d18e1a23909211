//! What the network guests share: addresses from the command line, connecting with patience, checks.
use std::io;
use std::net::{TcpListener, TcpStream};
use std::process::exit;
use std::time::Duration;

/// How long a client waits between two tries, and how often it tries: servers start beside it, in any order.
pub const RETRY_PAUSE: Duration = Duration::from_millis(25);
/// About 30 seconds in all.
pub const RETRIES: u32 = 1200;

/// The nth argument, or this.
pub fn arg(n: usize, default: &str) -> String {
    std::env::args().nth(n).unwrap_or_else(|| default.into())
}

/// The nth argument as a number, or this.
pub fn number(n: usize, default: u64) -> u64 {
    match std::env::args().nth(n) {
        None => default,
        Some(text) => text.parse().unwrap_or_else(|_| {
            eprintln!("argument {n}: {text:?} is not a number");
            exit(2)
        }),
    }
}

/// `8080` means every IPv4 address of the pod.
pub fn listen_address(text: &str) -> String {
    if text.contains(':') { text.into() } else { format!("0.0.0.0:{text}") }
}

/// Binds or ends the program, as servers do.
pub fn listen(address: &str) -> TcpListener {
    match TcpListener::bind(address) {
        Ok(listener) => {
            println!("listening on {address}");
            listener
        }
        Err(e) => die(&format!("bind {address}"), &e),
    }
}

/// Connects, trying again while nobody listens there or the name is not known yet.
pub fn connect(address: &str) -> TcpStream {
    let mut last = None;
    for _ in 0..RETRIES {
        match TcpStream::connect(address) {
            Ok(stream) => return stream,
            Err(e) => last = Some(e),
        }
        std::thread::sleep(RETRY_PAUSE);
    }
    die(&format!("connect {address}"), &last.unwrap_or_else(|| io::ErrorKind::TimedOut.into()))
}

/// Prints `WHAT: KIND` on standard error and ends the program with 1.
pub fn die(what: &str, e: &io::Error) -> ! {
    eprintln!("{what}: {:?}", e.kind());
    exit(1)
}

/// The value, or the end of the program.
pub fn must<T>(what: &str, result: io::Result<T>) -> T {
    result.unwrap_or_else(|e| die(what, &e))
}

/// Prints `ok NAME` or ends the program with 1.
pub fn check(name: &str, holds: bool, seen: &dyn std::fmt::Debug) {
    if !holds {
        println!("FAILED {name}: saw {seen:?}");
        exit(1)
    }
    println!("ok {name}");
}

/// Checks that a call failed in one of these ways.
pub fn check_kind<T: std::fmt::Debug>(name: &str, result: &io::Result<T>, kinds: &[io::ErrorKind]) {
    let seen = result.as_ref().map_err(|e| (e.kind(), e.raw_os_error()));
    check(name, matches!(&seen, Err((kind, _)) if kinds.contains(kind)), &seen);
}

/// `size` bytes that differ by message, so that mixed-up messages are seen.
pub fn pattern(message: u64, size: usize) -> Vec<u8> {
    (0..size as u64).map(|i| (i.wrapping_mul(31) ^ message.wrapping_mul(17)) as u8).collect()
}
