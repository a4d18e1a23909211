//! `bench_sha ROUNDS`: SHA-256 over 64 KiB, so many times. Prints `sha …` and, for checking, the digest.
use std::hint::black_box;

use sha2::{Digest, Sha256};

const SIZE: usize = 64 << 10;

fn main() {
    let rounds = guest_bench::number(1, 1000);
    let mut data = vec![0x61u8; SIZE];
    guest_bench::measure("sha", rounds, rounds * SIZE as u64, || {
        for _ in 0..rounds {
            let digest = Sha256::digest(black_box(&data));
            data[..32].copy_from_slice(&digest);
        }
    });
    println!("digest {}", data[..8].iter().map(|b| format!("{b:02x}")).collect::<String>());
}
