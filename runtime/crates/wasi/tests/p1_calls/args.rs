//! Arguments, environment, clocks, random numbers, exit.

use std::time::Duration;

use wasmpod_wasi::ProcExit;

use crate::harness::{MEMORY_SIZE, Program, Setup, World, errno};

/// Asks for a list of texts as wasi-libc does.
async fn texts(program: &mut Program, what: &str) -> Vec<String> {
    let (count, bytes) = (program.room(4), program.room(4));
    program.ok(&format!("{what}_sizes_get"), &[count, bytes]).await;
    let (count, bytes) = (program.get_u32(count) as usize, program.get_u32(bytes) as usize);
    let (pointers, buffer) = (program.room(4 * count), program.room(bytes));
    program.ok(&format!("{what}_get"), &[pointers, buffer]).await;
    let all = program.get(buffer, bytes);
    let starts: Vec<u64> = (0..count as u64).map(|at| u64::from(program.get_u32(pointers + 4 * at))).collect();
    let text = |start: &u64| {
        let rest = &all[(start - buffer) as usize..];
        String::from_utf8(rest[..rest.iter().position(|byte| *byte == 0).unwrap()].to_vec()).unwrap()
    };
    starts.iter().map(text).collect()
}

#[test]
fn arguments_and_environment_arrive_in_order() {
    let world = World::new();
    world.run(async {
        let setup = Setup {
            args: vec!["/bin/app", "", "-x=ü"],
            env: vec![("HOME", "/root"), ("EMPTY", ""), ("A", "b=c")],
            cwd: "/srv",
            ..Setup::default()
        };
        let mut program = world.program(setup).await;
        assert_eq!(texts(&mut program, "args").await, ["/bin/app", "", "-x=ü"]);
        assert_eq!(texts(&mut program, "environ").await, ["HOME=/root", "EMPTY=", "A=b=c", "PWD=/srv"]);
    });
}

#[test]
fn texts_that_do_not_fit_end_the_program() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let end = u64::from(MEMORY_SIZE);
        program.trap("args_get", &[4096, end - 3]).await;
        let mut program = world.program(Setup::default()).await;
        program.trap("args_get", &[end, 4096]).await;
        let mut program = world.program(Setup::default()).await;
        program.trap("args_sizes_get", &[4097, 8192]).await;
    });
}

#[test]
fn clocks_are_those_of_the_world() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        world.sim.clock().sleep(Duration::from_nanos(1_234)).await;
        let out = program.room(8);
        program.ok("clock_time_get", &[1, 0, out]).await;
        assert_eq!(program.get_u64(out), 1_234);
        program.ok("clock_time_get", &[0, 1_000_000, out]).await;
        assert_eq!(program.get_u64(out), world.sim.clock().wall());
        for clock in [0, 1] {
            program.ok("clock_res_get", &[clock, out]).await;
            assert_eq!(program.get_u64(out), 1);
        }
        for (clock, expected) in [(2, errno::BADF), (3, errno::BADF), (4, errno::INVAL), (u64::MAX, errno::INVAL)] {
            assert_eq!(program.call("clock_time_get", &[clock, 0, out]).await, expected);
            assert_eq!(program.call("clock_res_get", &[clock, out]).await, expected);
        }
    });
}

#[test]
fn random_bytes_fill_the_buffer_and_nothing_else() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        program.charged();
        let at = program.room(80);
        program.ok("random_get", &[at + 8, 64]).await;
        let bytes = program.get(at, 80);
        assert!(bytes[..8].iter().chain(&bytes[72..]).all(|byte| *byte == 0));
        assert!(bytes[8..72].iter().filter(|byte| **byte != 0).count() > 32);
        assert!(program.charged() >= 64);
        // more than one piece
        let len = u64::from(MEMORY_SIZE) - 65536;
        program.ok("random_get", &[65536, len]).await;
        assert!(program.charged() >= len);
        assert!(program.get(u64::from(MEMORY_SIZE) - 64, 64).iter().any(|byte| *byte != 0));
        program.ok("random_get", &[u64::from(MEMORY_SIZE), 0]).await;
        program.trap("random_get", &[u64::from(MEMORY_SIZE) - 1, 2]).await;
    });
}

#[test]
fn two_worlds_of_one_seed_draw_the_same() {
    let draw = || {
        let world = World::new();
        world.run(async {
            let mut program = world.program(Setup::default()).await;
            let at = program.room(16);
            program.ok("random_get", &[at, 16]).await;
            program.get(at, 16)
        })
    };
    assert_eq!(draw(), draw());
}

#[test]
fn an_exit_is_found_with_any_code() {
    let world = World::new();
    world.run(async {
        for code in [0, 1, 125, 126, 255, 256] {
            let mut program = world.program(Setup::default()).await;
            let error = program.trap("proc_exit", &[code]).await;
            assert_eq!(error.downcast_ref::<ProcExit>(), Some(&ProcExit(code as u32)));
        }
    });
}

#[test]
fn signals_cannot_be_raised_and_yielding_works() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        assert_eq!(program.call("proc_raise", &[6]).await, errno::NOTSUP);
        assert_eq!(program.call("proc_raise", &[31]).await, errno::INVAL);
        program.charged();
        program.ok("sched_yield", &[]).await;
        assert!(program.charged() > 0, "no call is free");
    });
}
