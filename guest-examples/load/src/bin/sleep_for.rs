//! `sleep_for MS`: sleeps and prints for how long, by the monotonic clock.
use std::time::{Duration, Instant};

fn main() {
    let ms = guest_load::number(1, 100);
    println!("sleeping {ms} ms");
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(ms));
    println!("elapsed_ms={}", start.elapsed().as_millis());
}
