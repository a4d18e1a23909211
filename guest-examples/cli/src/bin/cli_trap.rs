//! `cli_trap KIND`: ends by a trap. KIND: unreachable | oob | stack | divzero | abort | panic.
use std::hint::{black_box, unreachable_unchecked};

fn main() {
    let kind = std::env::args().nth(1).unwrap_or_default();
    println!("about to trap: {kind}");
    match kind.as_str() {
        "unreachable" => core::arch::wasm32::unreachable(),
        // SAFETY: none is possible, that is the point: the last bytes of the address space are never mapped
        "oob" => println!("read {}", unsafe { black_box(0xffff_fff0_usize as *const u8).read_volatile() }),
        "stack" => println!("depth {}", recurse(black_box(1))),
        "divzero" => println!("quotient {}", divide(black_box(1), black_box(0))),
        "abort" => std::process::abort(),
        "panic" => panic!("as asked"),
        _ => {
            eprintln!("usage: cli_trap unreachable|oob|stack|divzero|abort|panic");
            std::process::exit(2)
        }
    }
}

/// Recursion that keeps its state in wasm locals, so that it ends the engine's call stack and not the guest's own. It calls
/// itself twice: a single call would become a loop.
#[inline(never)]
fn recurse(n: u64) -> u64 {
    if n == 0 { 1 } else { recurse(n.wrapping_add(1)).wrapping_mul(recurse(n.wrapping_add(2))) }
}

/// A division without Rust's own check, so that the wasm instruction itself traps.
#[inline(never)]
fn divide(a: i32, b: i32) -> i32 {
    if b == 0 {
        // SAFETY: wrong on purpose; what follows compiles to a bare `i32.div_s`
        unsafe { unreachable_unchecked() }
    }
    a / b
}
