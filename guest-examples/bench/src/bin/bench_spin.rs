//! `bench_spin ROUNDS`: a tight arithmetic loop of 1,000,000 steps, so many times. Prints `spin …`.
use std::hint::black_box;

fn main() {
    let rounds = guest_bench::number(1, 100);
    let mut x = 88_172_645_463_325_252u64;
    guest_bench::measure("spin", rounds, 0, || {
        for _ in 0..rounds {
            for _ in 0..1_000_000u32 {
                x ^= x << 13;
                x ^= x >> 7;
                x ^= x << 17;
            }
            x = black_box(x);
        }
    });
    println!("state {x:016x}");
}
