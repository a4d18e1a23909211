//! `cpu_spin ROUNDS | forever | ms MILLISECONDS`: burns CPU; prints how many rounds it did and their checksum.
use std::time::{Duration, Instant};

use guest_load::{number, spin_round};

fn main() {
    let (mut x, mut rounds) = (0x9e37_79b9_7f4a_7c15, 0u64);
    let mode = std::env::args().nth(1).unwrap_or_else(|| "100".into());
    println!("spinning: {mode}");
    match mode.as_str() {
        "forever" => loop {
            x = spin_round(x);
        },
        "ms" => {
            let (start, limit) = (Instant::now(), Duration::from_millis(number(2, 1000)));
            while start.elapsed() < limit {
                x = spin_round(x);
                rounds += 1;
            }
            println!("rounds={rounds}");
        }
        _ => {
            while rounds < number(1, 100) {
                x = spin_round(x);
                rounds += 1;
            }
            println!("rounds={rounds} checksum={x:016x}");
        }
    }
}
