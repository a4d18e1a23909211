//! M: more memory than there may be, buffers of the host, and what a run before left.

use serde_json::json;
use wasmpod_suite::manifest::{Folder, container, with};

use super::{attacker, beside, end, wat};

fn small(value: serde_json::Value) -> serde_json::Value {
    with(value, "", &json!({"resources": {"limits": {"memory": "16Mi"}}}))
}

#[test]
fn m01_memory_beyond_the_limit() {
    let containers = ["p1", "p2"].map(|which| small(container(which, &format!("abuse_host_{which}"), &["m01"])));
    let run = beside(&[attacker(&containers)]);
    for which in ["p1", "p2"] {
        assert_eq!(end(&run, which), ["137", "OOMKilled"]);
        let lines = run.of(&format!("attacker/{which}"));
        let last = lines.last().expect("it held something");
        assert!(["holding 12 MiB", "holding 13 MiB", "holding 14 MiB"].contains(&last.as_str()), "{last}");
        assert!(!lines.iter().any(|line| line.contains("FAILED")), "{lines:?}");
    }
}

/// A program that would succeed, if its memories and tables could be made.
fn with_parts(parts: &str) -> String {
    format!(r#"(module {parts} (memory (export "memory") 1) (func (export "_start")))"#)
}

#[test]
fn m02_many_memories_tables_and_instances() {
    let folder = Folder::new();
    let instances = format!(
        r#"(component (core module $m) {}
            (core module $main (func (export "run") (result i32) i32.const 0))
            (core instance $i (instantiate $main))
            (func $run (result (result)) (canon lift (core func $i "run")))
            (instance (export "wasi:cli/run@0.2.0") (export "run" (func $run))))"#,
        "(core instance (instantiate $m))".repeat(300)
    );
    let containers = [
        wat(&folder, "memories", &with_parts(&"(memory 0)".repeat(33))),
        wat(&folder, "tables", &with_parts(&"(table 0 funcref)".repeat(129))),
        wat(&folder, "instances", &instances),
        wat(&folder, "fine", &with_parts(&"(memory 0)".repeat(31))),
    ];
    let run = beside(&[attacker(&containers)]);
    for name in ["memories", "tables", "instances"] {
        assert_ne!(end(&run, name)[0], "0", "{name}");
    }
    assert_eq!(end(&run, "fine"), ["0", "Completed"]);
    assert!(!run.stderr().contains("internal error"), "{}", run.stderr());
}

#[test]
fn m03_tables_and_memories_beyond_all_addresses() {
    let folder = Folder::new();
    let parts = [
        ("table", "(table 0xffffffff funcref)"),
        ("table64", "(table i64 0xffffffffffff funcref)"),
        ("many-tables", &"(table 9000000 funcref)".repeat(100)),
        ("memory", "(memory 65536)"),
        ("memory64", "(memory i64 0x1000000)"),
        ("elements", "(table 10 funcref) (elem (i32.const 0x7fffffff) $f) (func $f)"),
        ("data", r#"(memory 1) (data (memory 0) (i32.const -1) "x")"#),
    ];
    let containers: Vec<_> = parts.iter().map(|(name, part)| small(wat(&folder, name, &with_parts(part)))).collect();
    let run = beside(&[attacker(&containers)]);
    for (name, _) in parts {
        let [code, reason] = end(&run, name);
        assert!(["128", "134", "137", "139", "1"].contains(&code.as_str()), "{name}: {code} {reason}");
    }
    assert!(!run.stderr().contains("internal error"), "{}", run.stderr());
}

#[test]
fn m04_shared_memory_and_threads() {
    let folder = Folder::new();
    let containers = [
        wat(&folder, "shared", &with_parts("(memory 1 2 shared)")),
        wat(
            &folder,
            "spawn",
            r#"(module (import "wasi" "thread-spawn" (func (param i32) (result i32))) (func (export "_start")))"#,
        ),
        wat(&folder, "import", r#"(module (import "env" "memory" (memory 1 2 shared)) (func (export "_start")))"#),
    ];
    let run = beside(&[attacker(&containers)]);
    for name in ["shared", "spawn", "import"] {
        assert_eq!(end(&run, name), ["128", "StartError"], "{name}");
    }
}

#[test]
fn m05_buffers_of_the_host() {
    let containers = ["p1", "p2"].map(|which| small(container(which, &format!("abuse_host_{which}"), &["m05"])));
    let run = beside(&[attacker(&containers)]);
    // both end with a request that has no answer
    for (which, last) in [("p1", "reading more than 4 GiB"), ("p2", "asking for 4 GiB of random bytes")] {
        let said = run.of(&format!("attacker/{which}"));
        assert_eq!(said.last().map(String::as_str), Some(last), "{said:?}");
        assert!(["134", "139"].contains(&end(&run, which)[0].as_str()), "{which}: {:?}", end(&run, which));
    }
}

#[test]
fn m06_a_flood_of_handles() {
    let run = beside(&[attacker(&[container("p2", "abuse_host_p2", &["m06"])])]);
    assert_eq!(run.of("attacker/p2"), ["making handles"]);
    assert_ne!(end(&run, "p2")[0], "0");
    assert!(!run.stderr().contains("internal error"), "{}", run.stderr());
}

#[test]
fn m07_no_http_of_the_host() {
    // there is no HTTP in the runtime whose tables of headers could overflow: programs bring their own
    let folder = Folder::new();
    let http = r#"(component (import "wasi:http/types@0.2.0" (instance (export "fields" (type (sub resource))))))"#;
    let run = beside(&[attacker(&[wat(&folder, "http", http)])]);
    assert_eq!(end(&run, "http"), ["128", "StartError"]);
    assert!(run.stderr().contains("wasi:http/types"), "{}", run.stderr());
}

#[test]
fn m09_memory_of_a_run_before_is_not_seen() {
    let containers = ["p1", "p2"].map(|which| container(which, &format!("abuse_host_{which}"), &["m09"]));
    let more = json!({"restartPolicy": "Always", "activeDeadlineSeconds": 35});
    let run = beside(&[with(attacker(&containers), "spec", &more)]);
    for which in ["p1", "p2"] {
        let lines = run.of(&format!("attacker/{which}"));
        assert!(lines.len() >= 3 && lines.iter().all(|line| line == "filled"), "{which}: {lines:?}");
    }
}
