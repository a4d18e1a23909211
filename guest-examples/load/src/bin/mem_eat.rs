//! `mem_eat MIB [HOLD_MS]`: takes memory in steps of 1 MiB and touches every page, holds it, then ends.
use std::hint::black_box;
use std::time::Duration;

fn main() {
    let (mib, hold) = (guest_load::number(1, 8), guest_load::number(2, 0));
    let mut held = Vec::new();
    for step in 1..=mib {
        let mut block = vec![0u8; 1 << 20];
        // one byte a page, so that a lazy host gives it for real
        block.iter_mut().step_by(4096).for_each(|byte| *byte = step as u8);
        held.push(black_box(block));
        println!("holding {step} MiB");
    }
    std::thread::sleep(Duration::from_millis(hold));
    let sum: u64 = held.iter().map(|block| u64::from(block[4096])).sum();
    println!("done, checksum {sum}");
}
