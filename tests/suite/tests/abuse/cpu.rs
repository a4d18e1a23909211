//! C: computing without end, bulk operations, and programs that cost too much before they run.

use std::io::Write;

use serde_json::json;
use wasmpod_suite::manifest::{Folder, container, pod, with};
use wasmpod_suite::play::Play;

use super::{attacker, beside, end, wasm, wat};

/// A program whose `_start` has this body, with a memory and what else is asked for.
fn program(more: &str, body: &str) -> String {
    format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1) {more}
            (func (export "_start") {body}))"#
    )
}

/// A tenth of a CPU.
fn limited(value: serde_json::Value) -> serde_json::Value {
    with(value, "", &json!({"resources": {"limits": {"cpu": "100m", "memory": "64Mi"}}}))
}

/// A fiftieth of a CPU: enough to be throttled in each period.
fn hardly(value: serde_json::Value) -> serde_json::Value {
    with(value, "", &json!({"resources": {"limits": {"cpu": "20m", "memory": "64Mi"}}}))
}

#[test]
fn c01_a_loop_without_calls() {
    let free = container("free", "abuse_host_p1", &["c01"]);
    let slow = limited(container("slow", "abuse_host_p2", &["c01"]));
    let run = beside(&[attacker(&[free, slow])]);
    for name in ["free", "slow"] {
        assert_eq!(run.row("attacker", name)[1], "137", "it is killed");
    }
    let throttled = run.journalled("attacker/slow", "cpu throttled").len();
    assert!((15..=20).contains(&throttled), "throttled in {throttled} of 20 periods");
    assert!(run.journalled("attacker/free", "cpu throttled").is_empty());
}

#[test]
fn c02_no_operation_is_free_or_gives_fuel_back() {
    let folder = Folder::new();
    let games = [
        ("memory", "", "(loop $l (drop (memory.grow (i32.const -1))) (br $l))"),
        ("table", "(table $t 1 9 funcref)", "(loop $l (drop (table.grow $t (ref.null func) (i32.const 99))) (br $l))"),
        (
            "table64",
            "(table $t i64 1 9 funcref)",
            "(loop $l (drop (table.grow $t (ref.null func) (i64.const 99))) (br $l))",
        ),
        ("fill", "", "(loop $l (memory.fill (i32.const 0) (i32.const 0) (i32.const 65536)) (br $l))"),
        ("nothing", "", "(loop $l (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)) (br $l))"),
        (
            "calls",
            "",
            "(loop $l (drop (call $write (i32.const 99) (i32.const 0) (i32.const 0) (i32.const 0))) (br $l))",
        ),
    ];
    // three at a time: at the start of a period all have quota, and more than there are CPUs would make others wait for one
    for games in games.chunks(3) {
        let container = |(name, more, body): &(&str, &str, &str)| hardly(wat(&folder, name, &program(more, body)));
        let run = beside(&[attacker(&games.iter().map(container).collect::<Vec<_>>())]);
        for (name, ..) in games {
            assert_eq!(run.row("attacker", name)[1], "137", "{name}: it goes on until it is killed");
            let throttled = run.journalled(&format!("attacker/{name}"), "cpu throttled").len();
            assert!((15..=20).contains(&throttled), "{name}: throttled in {throttled} of 20 periods");
        }
    }
}

#[test]
fn c02_a_huge_growth_is_paid_for_though_it_fails() {
    let folder = Folder::new();
    let grow = |bits: &str, more: &str| {
        let table = format!("(table $t {more} 1 funcref)");
        program(&table, &format!("(drop (table.grow $t (ref.null func) ({bits}.const 0x7fffffff)))"))
    };
    let containers = [wat(&folder, "table", &grow("i32", "")), wat(&folder, "table64", &grow("i64", "i64"))];
    let run = beside(&[with(attacker(&containers), "spec", &json!({"activeDeadlineSeconds": 60}))]);
    for name in ["table", "table64"] {
        assert_eq!(end(&run, name), ["0", "Completed"]);
        assert!(run.times(&format!("attacker/{name}"), "exited")[0] >= 2_147_000_000, "{name}: by the element");
    }
}

#[test]
fn c03_bulk_operations_are_paid_by_the_byte() {
    const TURNS: u64 = 8;
    const BYTES: u64 = 32 << 20;
    let folder = Folder::new();
    let fill = format!(
        "(local $i i32) (drop (memory.grow (i32.const 1023)))
         (loop $l (memory.fill (i32.const 0) (i32.const 7) (i32.const {BYTES}))
            (memory.copy (i32.const {BYTES}) (i32.const 0) (i32.const {BYTES}))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const {TURNS}))))"
    );
    let beyond = "(memory.fill (i32.const 0) (i32.const 7) (i32.const -1))";
    let containers = [
        wat(&folder, "fill", &program("", &fill)),
        wat(&folder, "beyond", &program("", beyond)),
        wat(&folder, "copy", &program("", "(memory.copy (i32.const 1) (i32.const 0) (i32.const -2))")),
    ];
    let run = beside(&[with(attacker(&containers), "spec", &json!({"activeDeadlineSeconds": 60}))]);
    assert_eq!(end(&run, "fill"), ["0", "Completed"]);
    let [started, exited] = ["started", "exited"].map(|what| run.times("attacker/fill", what)[0]);
    // one unit of fuel a byte, which is a nanosecond at the speed of virtual time
    assert!(exited - started >= 2 * TURNS * BYTES, "it took {} ns", exited - started);
    // 4 GiB in a memory of 64 KiB: it is paid for, and nothing is written
    for name in ["beyond", "copy"] {
        assert_eq!(end(&run, name), ["139", "Error"]);
        assert!(run.times(&format!("attacker/{name}"), "exited")[0] >= 4_000_000_000);
    }
}

#[test]
fn c04_compile_bombs() {
    let folder = Folder::new();
    let start = r#"(func (export "_start"))"#;
    let locals = format!("(local {})", "i64 ".repeat(50_000));
    let bombs = [
        ("functions", format!("(module {} {start})", "(func)".repeat(100_000)), "100000 functions"),
        (
            "depth",
            format!("(module (func {} {}) {start})", "block ".repeat(10_001), "end ".repeat(10_001)),
            "10000 blocks",
        ),
        ("length", format!("(module (func {}) {start})", "nop ".repeat(2_100_000)), "2097152 bytes in one function"),
        ("flow", format!("(module (func {locals} {}) {start})", "block end ".repeat(2_000)), "locals times branches"),
    ];
    let mut containers: Vec<_> = bombs.iter().map(|(name, text, _)| wat(&folder, name, text)).collect();
    let huge = std::fs::File::create(folder.path().join("bytes.wasm")).expect("a file");
    (&huge).write_all(b"\0asm\x01\0\0\0").expect("room for its beginning");
    huge.set_len((64 << 20) + 1).expect("the rest is holes");
    containers.push(json!({"name": "bytes", "image": folder.path().join("bytes.wasm")}));
    let run = beside(&[attacker(&containers)]);
    for (name, _, said) in bombs {
        assert_eq!(end(&run, name), ["128", "StartError"]);
        assert!(run.stderr().contains(said), "{name}: {}", run.stderr());
    }
    assert_ne!(run.row("attacker", "bytes")[1], "0");
}

#[test]
fn c05_what_is_no_program() {
    let folder = Folder::new();
    let good = wat::parse_str(program("", "")).expect("a program");
    let mut as_component = good.clone();
    as_component[4..8].copy_from_slice(&[0x0d, 0, 1, 0]);
    let mut crooked = good.clone();
    crooked[10] ^= 0xff;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("short", good[..6].to_vec()),
        ("cut", good[..good.len() - 3].to_vec()),
        ("crooked", crooked),
        ("as-component", as_component),
        ("lengths", b"\0asm\x01\0\0\0\x01\xff\xff\xff\xff\x0f".to_vec()),
        ("no-start", wat::parse_str("(module)").expect("a module")),
        ("no-run", wat::parse_str("(component)").expect("a component")),
        ("types", wat::parse_str(r#"(module (func (export "_start") (result i32) i32.const 0))"#).expect("a module")),
        ("start-is-memory", wat::parse_str(r#"(module (memory (export "_start") 1))"#).expect("a module")),
        (
            "wrong-type",
            wat::parse_str(
                r#"(module (import "wasi_snapshot_preview1" "fd_write" (func (param i64))) (func (export "_start")))"#,
            )
            .expect("a module"),
        ),
        (
            "unknown",
            wat::parse_str(r#"(module (import "env" "system" (func)) (func (export "_start")))"#).expect("a module"),
        ),
    ];
    for bytes in [&b""[..], b"#!/bin/sh\necho hello\n"] {
        let file = folder.manifest("m", &[attacker(&[wasm(&folder, "text", bytes)])]);
        let refused = Play::file(file).run().expect(2);
        assert!(refused.stderr().contains("not a WebAssembly program"), "{}", refused.stderr());
    }
    let mut objects = Vec::new();
    for (name, bytes) in &cases {
        let object = pod(&format!("attacker-{name}"), &[wasm(&folder, name, bytes)]);
        objects.push(with(object, "spec", &json!({"activeDeadlineSeconds": 2, "terminationGracePeriodSeconds": 0})));
    }
    let run = beside(&objects);
    for (name, _) in &cases {
        let [phase, code, reason, _] = run.row(&format!("attacker-{name}"), name);
        assert_eq!(phase, "Failed", "{name}");
        assert!(code == "128" && reason == "StartError" || code == "134" || code == "1", "{name}: {code} {reason}");
    }
    assert!(!run.stderr().contains("internal error"), "{}", run.stderr());
}

#[test]
fn c06_recursion_without_end() {
    let folder = Folder::new();
    let frames = "i64 ".repeat(2_000);
    let programs = [
        ("direct", "(func $f (call $f))".to_owned()),
        ("mutual", "(func $f (call $g)) (func $g (call $f))".to_owned()),
        ("through-a-table", "(table funcref (elem $f)) (func $f (call_indirect (i32.const 0)))".to_owned()),
        (
            "large-frames",
            format!("(func $f (local {frames}) (local.set 0 (i64.const 1)) (call $f) (drop (local.get 0)))"),
        ),
        // a system call at every depth: at the last one the host has its own room
        (
            "with-calls",
            "(func $f (drop (call $write (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 8))) (call $f))"
                .to_owned(),
        ),
    ];
    let containers: Vec<_> =
        programs.iter().map(|(name, more)| wat(&folder, name, &program(more, "(call $f)"))).collect();
    let run = beside(&[attacker(&containers)]);
    for (name, _) in programs {
        assert_eq!(end(&run, name), ["139", "Error"], "{name}");
    }
}

#[test]
fn c07_a_hundred_spinners_on_four_cpus() {
    let spinners: Vec<_> = (0..100).map(|n| limited(container(&format!("c{n}"), "abuse_host_p1", &["c01"]))).collect();
    let objects = [super::guaranteed_victim(), attacker(&spinners)];
    let run = super::play_only(&objects);
    assert_eq!(run.of("victim/c").last().map(String::as_str), Some("victim: served 300"));
    for (what, ns) in super::times(&run) {
        assert!(ns <= 100_000_000, "{what}: {ns} ns, more than one period");
    }
    // ten CPUs were asked for and four are there: each got its fortieth
    for n in 0..100 {
        assert_eq!(run.row("attacker", &format!("c{n}"))[1], "137");
    }
}
