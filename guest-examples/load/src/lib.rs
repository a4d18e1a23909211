//! What the load guests share.
use std::hint::black_box;

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

/// One round of arithmetic, the same amount each time: about a millisecond of a fast core.
pub fn spin_round(mut x: u64) -> u64 {
    for _ in 0..1_000_000u32 {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    black_box(x)
}
