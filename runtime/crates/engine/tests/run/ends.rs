//! Every way a program ends, and that the end of one leaves the others alone.

use wasmpod_engine::ExitReason;
use wasmpod_kernel::cgroup::Limits;
use wasmpod_kernel::signal::{ExitStatus, Signal};
use wasmpod_sim::{Instant, Sim};

use crate::harness::{Node, program, sleep, spin};

fn code_of(body: &str) -> i32 {
    Node::new(1).run(&program(body), Limits::default()).0.status.code()
}

#[test]
fn exit_codes_and_traps_are_those_of_linux() {
    assert_eq!(code_of(""), 0);
    assert_eq!(code_of("(call $exit (i32.const 42))"), 42);
    assert_eq!(code_of("(call $exit (i32.const 300))"), 44);
    assert_eq!(code_of("unreachable"), 134);
    assert_eq!(code_of("(drop (i32.load (i32.const -8)))"), 139);
    assert_eq!(code_of("(drop (call $recurse (i64.const 0)))"), 139);
    assert_eq!(code_of("(call_indirect (type $void) (i32.const 0))"), 139);
    assert_eq!(code_of("(call_indirect (type $void) (i32.const 99))"), 139);
    assert_eq!(code_of("(drop (i64.div_s (i64.const 1) (local.get $i)))"), 136);
    assert_eq!(code_of("(drop (i32.trunc_f64_s (f64.const 1e300)))"), 136);
}

#[test]
fn a_pointer_outside_of_memory_given_to_a_system_call_is_a_segmentation_fault() {
    assert_eq!(code_of("(drop (call $poll (i32.const -64) (i32.const 64) (i32.const 1) (i32.const 128)))"), 139);
}

#[test]
fn the_message_of_a_trap_names_it_first() {
    let (exit, _) = Node::new(1).run(&program("unreachable"), Limits::default());
    let message = exit.message.expect("a message");
    assert!(message.starts_with("wasm trap: wasm `unreachable` instruction executed\n"), "{message}");
    assert!(!message.contains(".rs:"), "the host's frames are nobody's business: {message}");
}

/// 32 pages more than the program's one.
const GROW: &str = "(if (i32.eq (memory.grow (i32.const 32)) (i32.const -1)) (then (call $exit (i32.const 9))))";

#[test]
fn memory_beyond_the_limit_is_oom_killed_and_never_minus_one() {
    let node = Node::new(1);
    let limits = |pages: u64| Limits { memory_max: Some(pages * 65536), ..Limits::default() };
    let (fits, cgroup) = node.run(&program(GROW), limits(40));
    assert_eq!((fits.status.code(), cgroup.memory_stats().events.oom_kill), (0, 0));
    assert!(cgroup.memory_stats().peak >= 33 * 65536);
    assert_eq!(cgroup.memory_stats().current, 0, "everything is given back");
    let (killed, cgroup) = node.run(&program(GROW), limits(20));
    assert_eq!((killed.status.code(), killed.reason), (137, ExitReason::OomKilled));
    assert_eq!(cgroup.memory_stats().current, 0);
}

#[test]
fn a_program_that_starts_beyond_its_limit_is_oom_killed_too() {
    let limits = Limits { memory_max: Some(1000), ..Limits::default() };
    let (exit, _) = Node::new(1).run(&program(""), limits);
    assert_eq!((exit.status.code(), exit.reason), (137, ExitReason::OomKilled));
}

#[test]
fn the_programs_own_maximum_is_its_own_affair() {
    let text = r#"(module (memory (export "memory") 1 2)
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (func (export "_start") (call $exit (i32.eq (memory.grow (i32.const 5)) (i32.const -1)))))"#;
    let text = text.replace("(memory (export \"memory\") 1 2)\n        ", "");
    let text = text.replace("(func (export \"_start\")", "(memory (export \"memory\") 1 2) (func (export \"_start\")");
    assert_eq!(Node::new(1).run(&text, Limits::default()).0.status.code(), 1);
}

#[test]
fn tables_are_charged_and_capped() {
    let text = |elements: u32| {
        format!(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                (memory (export "memory") 0) (table $t 0 funcref)
                (func (export "_start")
                    (call $exit (i32.eq (table.grow $t (ref.null func) (i32.const {elements})) (i32.const -1)))))"#
        )
    };
    let limits = Limits { memory_max: Some(1 << 20), ..Limits::default() };
    assert_eq!(Node::new(1).run(&text(1000), limits).0.status.code(), 0);
    assert_eq!(Node::new(1).run(&text(100_000), limits).0.reason, ExitReason::OomKilled);
    assert_eq!(Node::new(1).run(&text(100_000_000), Limits::default()).0.status.code(), 1, "beyond the cap it is -1");
}

#[test]
fn a_blocked_program_is_killed_at_once() {
    let node = Node::new(1);
    let cgroup = node.cgroup("c", Limits::default());
    let (exit, at) = node
        .sim
        .block_on(async {
            let program = node.load(&sleep(3_600_000_000_000)).await;
            let running = node.start(&program, &cgroup);
            let killer = running.killer();
            node.sim.clock().sleep_until(Instant::from_nanos(5_000_000_000)).await;
            killer.kill();
            (running.wait().await, node.sim.clock().now())
        })
        .expect("no deadlock");
    assert_eq!(exit.status, ExitStatus::Signaled(Signal::Kill));
    assert_eq!(at, Instant::from_nanos(5_000_000_000));
    assert_eq!(cgroup.memory_stats().current, 0);
}

#[test]
fn a_spinning_program_is_killed_within_a_quantum_and_others_go_on() {
    let node = Node::new(2);
    let (victim, other) = (node.cgroup("victim", Limits::default()), node.cgroup("other", Limits::default()));
    let (exit, at, other) = node
        .sim
        .block_on(async {
            let forever = node.load(&spin(u64::MAX)).await;
            let finite = node.load(&spin(100_000_000)).await;
            let running = node.start(&forever, &victim);
            let beside = node.start(&finite, &other);
            node.sim.clock().sleep_until(Instant::from_nanos(50_000_000)).await;
            running.killer().kill();
            let exit = running.wait().await;
            (exit, node.sim.clock().now(), beside.wait().await)
        })
        .expect("no deadlock");
    assert_eq!(exit.status, ExitStatus::Signaled(Signal::Kill));
    assert!(at <= Instant::from_nanos(51_000_000), "killed at {at}");
    assert_eq!(other.status.code(), 0);
}

#[test]
fn in_real_time_a_spinning_program_is_killed_too() {
    let sim = Sim::new_real(Some(1), 2).expect("a runtime");
    let node = Node::of(sim, 2, wasmpod_engine::EngineConfig::default());
    let cgroup = node.cgroup("c", Limits::default());
    let exit = node
        .sim
        .block_on(async {
            let program = node.load(&spin(u64::MAX)).await;
            let running = node.start(&program, &cgroup);
            // it has begun to compute
            while cgroup.cpu_usage_fuel() == 0 {
                node.sim.clock().sleep(std::time::Duration::from_millis(1)).await;
            }
            running.killer().kill();
            running.wait().await
        })
        .expect("the runtime runs");
    assert_eq!(exit.status, ExitStatus::Signaled(Signal::Kill));
}
