//! Programs that others built on wasi-libc and Rust's std, run from `guest-examples/dist`.

use std::path::Path;
use std::time::Duration;

use wasmpod_kernel::file::Stream;
use wasmpod_kernel::netns::Shutdown;
use wasmpod_wasi::preopen::{self, ListenPort};
use wasmpod_wasi::{Ctx, ProcExit, p1};
use wasmtime::{Linker, Module, Store};

use crate::harness::{Ends, Setup, State, World};
use crate::sockets::{Client, LOCALHOST};

/// What a program may burn: some seconds of a host's time, where the longest guest takes a fraction of one.
const FUEL: u64 = 10_000_000_000;
/// How often a program lets others run.
const YIELD: u64 = 100_000;

/// Runs a guest to its end: its exit code and what it wrote to stdout.
async fn run(world: &World, guest: &str, setup: Setup, ports: &[ListenPort], stdin: &[u8]) -> (u32, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../guest-examples/dist").join(format!("{guest}.wasm"));
    let module = Module::from_file(world.engine(), path).unwrap();
    let (process, Ends { stdin: to_stdin, stdout, stderr }) = world.piped(setup);
    let to_stdin = to_stdin.unwrap();
    to_stdin.write(stdin).unwrap();
    drop(to_stdin);
    let mut ctx = Ctx::new(process.clone());
    ctx.extra_env = preopen::install(&process, ports).unwrap().env;
    let mut linker = Linker::new(world.engine());
    p1::add_to_linker::<State>(&mut linker).unwrap();
    let mut store = Store::new(world.engine(), State(ctx));
    store.set_fuel(FUEL).unwrap();
    store.fuel_async_yield_interval(Some(YIELD)).unwrap();
    let instance = linker.instantiate_async(&mut store, &module).await.unwrap();
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start").unwrap();
    let code = match start.call_async(&mut store, ()).await {
        Ok(()) => 0,
        Err(error) => match error.downcast_ref::<ProcExit>() {
            Some(ProcExit(code)) => *code,
            None => panic!("{guest}: {error:?}"),
        },
    };
    process.close_all();
    let text = |end: &dyn Stream| {
        let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            match end.read(&mut buffer).unwrap() {
                0 => return String::from_utf8(text).unwrap(),
                read => text.extend_from_slice(&buffer[..read]),
            }
        }
    };
    assert_eq!(text(&stderr.unwrap()), "", "{guest}");
    (code, text(&stdout.unwrap()))
}

fn args(args: &[&'static str]) -> Setup {
    Setup { args: [&["guest"], args].concat(), ..Setup::default() }
}

#[test]
fn rust_and_c_say_hello() {
    let world = World::new();
    world.run(async {
        let (code, out) = run(&world, "hello_rust_p1", Setup::default(), &[], b"").await;
        assert_eq!((code, out.contains("wasm32-wasip1")), (0, true), "{out}");
        let (code, out) = run(&world, "hello_c_p1", Setup::default(), &[], b"").await;
        assert_eq!((code, &*out), (0, "Hello from C on wasm32-wasip1\n"));
    });
}

#[test]
fn programs_see_what_they_were_given() {
    let world = World::new();
    world.run(async {
        let setup = Setup { env: vec![("B", "2"), ("A", "1")], ..args(&["x", "y z"]) };
        let (_, out) = run(&world, "cli_args_p1", setup, &[], b"").await;
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines[..5], ["arg[0]=guest", "arg[1]=x", "arg[2]=y z", "env A=1", "env B=2"]);
        let (code, _) = run(&world, "cli_exit_p1", args(&["42"]), &[], b"").await;
        assert_eq!(code, 42);
        let (_, out) = run(&world, "cli_stdin_p1", Setup::default(), &[], b"one\ntwo\n").await;
        assert_eq!(out, "ONE\nTWO\nstdin: 8 bytes, 2 lines\n");
    });
}

#[test]
fn file_programs_find_a_linux_file_system() {
    let world = World::new();
    world.run(async {
        for (guest, setup) in [
            ("fs_volumes_p1", args(&["/tmp", "/data"])),
            ("fs_write_p1", args(&["/data"])),
            ("fs_read_p1", args(&["/data"])),
            ("fs_write_p1", Setup { cwd: "/srv/www", ..args(&["."]) }),
        ] {
            let (code, out) = run(&world, guest, setup, &[], b"").await;
            assert!(code == 0 && out.ends_with(": all done\n"), "{guest}: {out}");
        }
        let root = world.mnt.root_dir();
        let cred = wasmpod_kernel::mntns::Cred::root();
        assert!(root.stat_at(&cred, "srv/www/greeting.txt", true).is_ok(), "relative to the working directory");
    });
}

#[test]
fn sleeping_takes_virtual_time_only() {
    let world = World::new();
    world.run(async {
        let (_, out) = run(&world, "sleep_for_p1", args(&["3600000"]), &[], b"").await;
        assert_eq!(out, "sleeping 3600000 ms\nelapsed_ms=3600000\n");
        let (_, out) = run(&world, "poll_many_p1", args(&["1000"]), &[], b"").await;
        assert_eq!(out, "1000 timers in order\n");
    });
}

#[test]
fn a_server_of_the_standard_library_serves_its_preopened_socket() {
    for via in ["std", "raw"] {
        let world = World::new();
        world.run(async {
            let (net, memory, clock) = (world.net.clone(), world.cgroup.clone(), world.sim.clock().clone());
            let client = world.sim.spawn("client", async move {
                clock.sleep(Duration::from_secs(1)).await;
                let mut answers = Vec::new();
                for _ in 0..3 {
                    let client = Client::connect(&net, &memory, LOCALHOST).await;
                    client.write(b"are you there?").await;
                    client.0.shutdown(Shutdown::Write).unwrap();
                    answers.push(client.read_to_end().await.unwrap());
                }
                answers
            });
            let ports = [ListenPort { name: Some("echo".into()), port: 8080 }];
            let (code, out) = run(&world, "net_p1_server", args(&["echo", "3", via]), &ports, b"").await;
            assert_eq!(code, 0, "{out}");
            assert!(out.starts_with("LISTEN_FDS=1 LISTEN_FDNAMES=echo\nfound 1 listening sockets\n"), "{out}");
            assert!(out.ends_with("served 3 connections\n"), "{out}");
            assert_eq!(client.await.unwrap(), vec![b"are you there?".to_vec(); 3]);
        });
    }
}
