//! `bench_branchy ROUNDS`: a small interpreter on a program that never repeats: branches and calls more than arithmetic.
//!
//! Prints `branchy …` (bytes counts instructions) and, for checking, the machine's last state.
use std::hint::black_box;

const PROGRAM: usize = 1024;
const STACK: usize = 64;

struct Machine {
    stack: [u32; STACK],
    top: usize,
    acc: u32,
}

impl Machine {
    fn push(&mut self, v: u32) {
        self.top = (self.top + 1) % STACK;
        self.stack[self.top] = v;
    }

    fn pop(&mut self) -> u32 {
        let v = self.stack[self.top];
        self.top = (self.top + STACK - 1) % STACK;
        v
    }

    #[inline(never)]
    fn step(&mut self, op: u8, pc: usize) -> usize {
        match op % 12 {
            0 => self.push(self.acc),
            1 => self.acc = self.pop(),
            2 => self.acc = self.acc.wrapping_add(self.stack[self.top]),
            3 => self.acc ^= u32::from(op).rotate_left(self.acc % 31),
            4 if self.acc & 1 == 0 => return pc + 3,
            5 if self.acc > 0x8000_0000 => return pc + 7,
            6 => self.acc = if self.acc.is_multiple_of(3) { self.acc / 3 } else { self.acc.wrapping_mul(7) + 1 },
            7 => self.acc = self.acc.rotate_left(5),
            8 if self.stack[self.top] < self.acc => self.top = (self.top + 3) % STACK,
            9 => self.acc = self.acc.wrapping_sub(u32::from(op)),
            10 => self.stack[(self.top + usize::from(op)) % STACK] ^= self.acc,
            _ => {}
        }
        pc + 1
    }
}

fn main() {
    let rounds = guest_bench::number(1, 1000);
    let mut seed = 12345u32;
    let program: Vec<u8> = (0..PROGRAM)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        })
        .collect();
    let mut machine = Machine { stack: [1; STACK], top: 0, acc: 1 };
    guest_bench::measure("branchy", rounds, rounds * PROGRAM as u64, || {
        for round in 0..rounds {
            let mut pc = 0;
            for _ in 0..PROGRAM {
                pc = machine.step(black_box(&program)[pc % PROGRAM], pc);
            }
            machine.acc = machine.acc.wrapping_add(round as u32);
        }
    });
    println!("state {:08x}", machine.acc);
}
