//! What is not run, and what is said about it.

use wasmpod_engine::{EngineConfig, LoadError, ProgramKind};
use wasmpod_sim::Sim;

use crate::harness::{Node, program};

fn load(node: &Node, bytes: &[u8]) -> Result<ProgramKind, LoadError> {
    node.sim.block_on(node.engine.load(bytes)).expect("no deadlock").map(|program| program.kind())
}

fn text(node: &Node, text: &str) -> Result<ProgramKind, LoadError> {
    load(node, &wat::parse_str(text).expect("well-formed text"))
}

#[test]
fn a_preview_1_program_is_a_module() {
    assert_eq!(text(&Node::new(1), &program("")), Ok(ProgramKind::Module));
}

#[test]
fn what_cannot_be_run_is_refused_with_its_reason() {
    let node = Node::new(1);
    assert!(matches!(load(&node, b"#!/bin/sh\n"), Err(LoadError::NotWasm(_))));
    assert!(matches!(load(&node, b""), Err(LoadError::NotWasm(_))));
    let short = load(&node, b"\0asm");
    assert!(matches!(&short, Err(LoadError::NotWasm(said)) if said.contains("ends within")), "{short:?}");
    assert!(matches!(load(&node, b"\0asm\x01\0\0\0\x07\xff"), Err(LoadError::Compile(_))));
    assert!(matches!(load(&node, b"\0asm\x0d\0\x01\0\x63\x01\x02"), Err(LoadError::Compile(_))));
    let library = text(&node, "(module (func (export \"add\")))");
    assert!(matches!(&library, Err(LoadError::NoEntryPoint(said)) if said.contains("_start")), "{library:?}");
    assert!(matches!(text(&node, "(component)"), Err(LoadError::NoEntryPoint(_))));
}

#[test]
fn a_missing_import_is_named() {
    let node = Node::new(1);
    let module = r#"(module (import "env" "gettimeofday" (func)) (func (export "_start")))"#;
    let Err(LoadError::Import(said)) = text(&node, module) else { panic!("it was loaded") };
    assert!(said.contains("env::gettimeofday"), "{said}");
    let component = r#"(component (import "wasi:http/outgoing-handler@0.2.0" (instance (export "handle" (func)))))"#;
    let refused = text(&node, component);
    assert!(
        matches!(&refused, Err(LoadError::Import(said)) if said.contains("wasi:http/outgoing-handler")),
        "{refused:?}"
    );
}

#[test]
fn threads_are_refused() {
    let shared = r#"(module (memory (export "memory") 1 2 shared) (func (export "_start")))"#;
    assert!(matches!(text(&Node::new(1), shared), Err(LoadError::Compile(_))));
}

#[test]
fn a_program_over_the_size_cap_is_not_looked_at() {
    let config = EngineConfig { max_program_bytes: 100, ..EngineConfig::default() };
    let node = Node::of(Sim::new_virtual(1), 1, config);
    assert_eq!(load(&node, &[0; 101]), Err(LoadError::TooBig { size: 101, max: 100 }));
}

#[test]
fn a_program_that_takes_too_long_to_compile_is_given_up() {
    let config = EngineConfig { compile_deadline: std::time::Duration::ZERO, ..EngineConfig::default() };
    let node = Node::of(Sim::new_real(Some(1), 1).expect("a runtime"), 1, config);
    // large enough that it cannot be compiled before the deadline is looked at
    let function = "(func (param i64) (result i64) (i64.mul (i64.add (local.get 0) (i64.const 3)) (local.get 0)))";
    let large = format!("(module {} (func (export \"_start\")))", function.repeat(5_000));
    assert_eq!(text(&node, &large), Err(LoadError::Deadline { seconds: 0 }));
}

#[test]
fn a_bomb_is_refused_before_it_is_compiled() {
    // in virtual time no deadline passes, so the limits are on what the program is made of
    let node = Node::new(1);
    let bomb = format!("(module (func (local {}) {}))", "i64 ".repeat(50_000), "block end ".repeat(2_000));
    let refused = text(&node, &bomb);
    let Err(LoadError::TooComplex { what, .. }) = &refused else { panic!("{refused:?}") };
    assert_eq!(*what, "locals times branches of one function");
    assert_eq!(text(&node, &program("")), Ok(ProgramKind::Module));
}

#[test]
fn the_most_that_is_allowed_can_be_compiled() {
    let node = Node::new(1);
    let nested =
        format!("(module (func {} {}) (func (export \"_start\")))", "block ".repeat(10_000), "end ".repeat(10_000));
    assert_eq!(text(&node, &nested), Ok(ProgramKind::Module));
}

#[test]
fn compilations_that_nobody_waits_for_are_bounded() {
    let config = EngineConfig { compile_deadline: std::time::Duration::ZERO, ..EngineConfig::default() };
    let node = Node::of(Sim::new_real(Some(1), 1).expect("a runtime"), 1, config);
    let function = "(func (param i64) (result i64) (i64.mul (i64.add (local.get 0) (i64.const 3)) (local.get 0)))";
    let large = |n: u32| {
        let text =
            format!("(module {} (global i32 (i32.const {n})) (func (export \"_start\")))", function.repeat(5_000));
        wat::parse_str(text).expect("well-formed text")
    };
    let programs: Vec<_> = (0..3).map(large).collect();
    for program in &programs[..2] {
        assert_eq!(load(&node, program), Err(LoadError::Deadline { seconds: 0 }));
    }
    assert_eq!(load(&node, &programs[2]), Err(LoadError::Busy { abandoned: 2 }), "two run already");
    // once they have ended others are compiled again: this one is given up too, but it was begun
    node.sim
        .block_on(async {
            while matches!(node.engine.load(&programs[2]).await, Err(LoadError::Busy { abandoned: 2 })) {
                node.sim.clock().sleep(std::time::Duration::from_millis(10)).await;
            }
        })
        .expect("the runtime runs");
}
