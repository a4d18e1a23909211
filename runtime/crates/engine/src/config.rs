//! The settings of wasmtime: each is set on purpose, with its reason. Owns no engine.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use wasmtime::{Config, OperatorCost};

/// The largest program that is compiled. Compile-time denial of service is the embedder's business, not wasmtime's; the
/// largest program that we know to be useful (CPython with its library) has 20 MB.
pub const MAX_PROGRAM_BYTES: usize = 64 * 1024 * 1024;
/// How long one compilation may take. 20 MB take about half of it on two slow cores.
pub const COMPILE_DEADLINE: Duration = Duration::from_secs(120);
/// Compilations at once: each uses all CPUs, function by function, and keeps what it makes in memory.
pub const COMPILE_LANES: usize = 2;
/// Compilations past their deadline that may still run: a compiler cannot be stopped from outside. While there are as many, nothing
/// else is compiled, so that hostile programs cannot take all threads and all memory.
pub const MAX_ABANDONED: usize = 2;
/// The stack of a program. Deep recursion ends in a trap (139), the host's stack is not touched.
pub const MAX_WASM_STACK: usize = 1024 * 1024;
/// The stack of the fiber that a program and its system calls run on: the program's and 1 MiB for the host's frames.
pub const FIBER_STACK: usize = 2 * 1024 * 1024;
/// Fuel between two yields in real time: a tenth of a millisecond or so, at which metering costs 5 %.
pub const QUANTUM_REAL: u64 = 1_000_000;
/// Fuel between two yields in virtual time: the grain of time for a program that only computes, 0.1 ms at the default speed.
pub const QUANTUM_VIRTUAL: u64 = 100_000;
/// The least fuel between two yields: below it a program does little but yield.
pub const QUANTUM_MIN: u64 = 1_000;
/// Core instances of one program: a component made of dynamic libraries has some dozens.
pub const MAX_INSTANCES: usize = 256;
/// Linear memories of one program.
pub const MAX_MEMORIES: usize = 32;
/// Tables of one program.
pub const MAX_TABLES: usize = 128;
/// Elements of one table, at 16 bytes each: 160 MB; charged like memory, but a table is also walked by the host.
pub const MAX_TABLE_ELEMENTS: usize = 10_000_000;
/// What one call from a component may make the host allocate for its arguments (strings and lists lifted from the guest).
pub const HOSTCALL_FUEL: usize = 16 * 1024 * 1024;

/// Frames of a trap's backtrace; a deep recursion has thousands.
const MAX_BACKTRACE: usize = 16;

/// How to make an [`crate::Engine`].
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where compiled programs are kept; none keeps them in memory only. Made private to the user if absent.
    pub cache_dir: Option<PathBuf>,
    /// The largest program, in bytes.
    pub max_program_bytes: usize,
    /// How long one compilation may take, in real time.
    pub compile_deadline: Duration,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { cache_dir: None, max_program_bytes: MAX_PROGRAM_BYTES, compile_deadline: COMPILE_DEADLINE }
    }
}

/// wasmtime's configuration. Public for the benches, whose peers differ from it in nothing but fuel.
pub fn wasmtime_config() -> Config {
    let mut config = Config::new();
    // CPU limits: fuel, and fuel only. Epochs beside it double the cost.
    config.consume_fuel(true).operator_cost(operator_cost());
    // The same result on every machine: NaN bits and relaxed SIMD are the two places where wasm leaves a choice.
    config.cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true);
    // Shared memories bypass the limiter, and a thread that waits blocks the executor.
    config.shared_memory(false);
    config.memory_init_cow(true);
    config.max_wasm_stack(MAX_WASM_STACK).async_stack_size(FIBER_STACK);
    // A trap's backtrace is part of the container's message.
    config.wasm_backtrace_max_frames(NonZeroUsize::new(MAX_BACKTRACE));
    config.parallel_compilation(true);
    config
}

/// What each operator costs. Close to time on current machines, so that one virtual CPU means about the same for a hash function
/// and for a tree walk: what compiles to nothing is free, calls and divisions cost what they take, bulk operations cost by the byte.
fn operator_cost() -> OperatorCost {
    let mut cost = OperatorCost::new();
    // moved into registers by the compiler, or folded into the instruction that uses them
    cost.LocalGet = 0;
    cost.LocalSet = 0;
    cost.LocalTee = 0;
    cost.I32Const = 0;
    cost.I64Const = 0;
    cost.F32Const = 0;
    cost.F64Const = 0;
    // a frame, spills and, for an indirect call, a bounds and a type check
    cost.Call = 6;
    cost.CallIndirect = 9;
    cost.ReturnCall = 6;
    cost.ReturnCallIndirect = 9;
    // tens of cycles on every machine
    cost.I32DivS = 10;
    cost.I32DivU = 10;
    cost.I32RemS = 10;
    cost.I32RemU = 10;
    cost.I64DivS = 10;
    cost.I64DivU = 10;
    cost.I64RemS = 10;
    cost.I64RemU = 10;
    cost.F32Div = 6;
    cost.F64Div = 6;
    cost.F32Sqrt = 6;
    cost.F64Sqrt = 6;
    // leaves the program for the host's allocator
    cost.MemoryGrow = 100;
    cost.TableGrow = 100;
    cost
}
