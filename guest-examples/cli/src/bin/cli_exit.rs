//! `cli_exit CODE`: exits with CODE. Through WASI 0.2 only success and failure exist, so there any code but 0 arrives as 1.
use std::process::exit;

fn main() {
    let Some(code) = std::env::args().nth(1).and_then(|a| a.parse::<i32>().ok()) else {
        eprintln!("usage: cli_exit CODE");
        exit(2)
    };
    println!("exiting with {code}");
    exit(code)
}
