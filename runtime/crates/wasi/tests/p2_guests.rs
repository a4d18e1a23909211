//! Unmodified components of `guest-examples/dist` over preview 2: std's files, sockets, time and standard streams, two programs
//! in one pod and in two. Every run has a bound on its fuel and on its virtual time, so that no mistake can hang a test.

mod p2_support;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use p2_support::World;
use wasmpod_kernel::fabric::link::LinkProps;
use wasmpod_kernel::file::{Description, Descriptor};
use wasmpod_kernel::mntns::{TmpfsOptions, Volume};
use wasmpod_kernel::pipe::{PIPE_CAPACITY, ReadEnd, WriteEnd, pipe};
use wasmpod_kernel::{Errno, file::Stream as _};
use wasmpod_wasi::p2::bindings::CommandPre;
use wasmpod_wasi::{Ctx, HasCtx, ProcExit};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, OptLevel, Store};

/// More than any of these guests needs.
const FUEL: u64 = 2_000_000_000;
/// As much virtual time as a guest may take.
const PATIENCE: Duration = Duration::from_secs(2 * 3600);

struct Host(Ctx);

impl HasCtx for Host {
    fn ctx(&mut self) -> &mut Ctx {
        &mut self.0
    }
}

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut config = Config::new();
    config.consume_fuel(true).cranelift_opt_level(OptLevel::None);
    Engine::new(&config).unwrap()
});
static GUESTS: LazyLock<Mutex<BTreeMap<String, Component>>> = LazyLock::new(Mutex::default);

fn guest(name: &str) -> Component {
    let mut guests = GUESTS.lock().unwrap();
    let compile = || {
        let path = format!("{}/../../../guest-examples/dist/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
        Component::new(&ENGINE, std::fs::read(path).unwrap()).unwrap()
    };
    guests.entry(name.to_owned()).or_insert_with(compile).clone()
}

/// What a program did.
#[derive(Debug, PartialEq)]
struct Done {
    code: u32,
    out: String,
}

/// Runs a program with its output and error in one pipe, and `input` as its standard input.
async fn run(ctx: Ctx, name: &str, input: &[u8]) -> Done {
    let memory = ctx.process.spec.cgroup.clone();
    let (stdin, feed): (ReadEnd, WriteEnd) = pipe(&memory).unwrap();
    assert!(input.len() <= PIPE_CAPACITY);
    if !input.is_empty() {
        assert_eq!(feed.write(input).unwrap(), input.len());
    }
    drop(feed);
    let (log, output) = pipe(&memory).unwrap();
    let output: Description = Description::Stream(Arc::new(output));
    {
        let mut fds = ctx.process.fds.lock();
        fds.insert(Descriptor::new(Description::Stream(Arc::new(stdin)))).unwrap();
        fds.insert(Descriptor::new(output.clone())).unwrap();
        fds.insert(Descriptor::new(output)).unwrap();
    }
    let process = ctx.process.clone();
    let clock = process.clock().clone();
    let component = guest(name);
    let mut store = Store::new(&ENGINE, Host(ctx));
    store.set_fuel(FUEL).unwrap();
    store.fuel_async_yield_interval(Some(1_000_000)).unwrap();
    let mut linker = Linker::new(&ENGINE);
    wasmpod_wasi::p2::add_to_linker(&mut linker).unwrap();
    let pre = CommandPre::new(linker.instantiate_pre(&component).unwrap()).unwrap();
    let program = async {
        let command = pre.instantiate_async(&mut store).await?;
        command.wasi_cli_run().call_run(&mut store).await
    };
    let result = clock.timeout(PATIENCE, program).await;
    drop(store);
    process.close_all();
    let out = drain(&log);
    let code = match result.unwrap_or_else(|_| panic!("{name} did not end; it said: {out}")) {
        Ok(status) => u32::from(status.is_err()),
        Err(error) => match error.downcast_ref::<ProcExit>() {
            Some(exit) => exit.0,
            None => panic!("{name} trapped: {error:?}"),
        },
    };
    Done { code, out }
}

/// All that was written to `log`, which nobody writes any more.
fn drain(log: &ReadEnd) -> String {
    let (mut out, mut buffer) = (Vec::new(), vec![0; PIPE_CAPACITY]);
    loop {
        match log.read(&mut buffer) {
            Ok(0) => return String::from_utf8(out).unwrap(),
            Ok(n) => out.extend_from_slice(&buffer[..n]),
            Err(Errno::Again) => panic!("an end of the output is still open"),
            Err(errno) => panic!("{errno}"),
        }
    }
}

/// Runs one program in a pod of its own.
fn alone(name: &str, args: &[&str], input: &[u8]) -> Done {
    let world = World::new();
    let net = world.pod("pod");
    let args: Vec<_> = [name].iter().chain(args).copied().collect();
    let ctx = world.process_with("pod", &net, &args, &[("HOME", "/root")]);
    world.sim.block_on(run(ctx, name, input)).unwrap()
}

fn ok(out: &str) -> Done {
    Done { code: 0, out: out.to_owned() }
}

#[test]
fn hello() {
    assert_eq!(alone("hello_rust_p2", &[], b""), ok("Hello from Rust on wasm32-wasip2\n"));
}

#[test]
fn arguments_environment_exit_code_and_standard_input() {
    let done = alone("cli_args_p2", &["a b", ""], b"");
    assert_eq!(done.code, 0);
    for line in ["arg[0]=cli_args_p2", "arg[1]=a b", "arg[2]=", "env HOME=/root", "initial-cwd=/"] {
        assert!(done.out.lines().any(|found| found == line), "{line} in {}", done.out);
    }
    assert_eq!(alone("cli_exit_p2", &["0"], b"").code, 0);
    assert_eq!(alone("cli_exit_p2", &["3"], b"").code, 1);
    assert_eq!(alone("cli_stdin_p2", &[], b"one\ntwo\n"), ok("ONE\nTWO\nstdin: 8 bytes, 2 lines\n"));
    assert_eq!(alone("cli_stdin_p2", &[], b""), ok("stdin: 0 bytes, 0 lines\n"));
}

#[test]
fn time_passes_exactly_and_polls_are_ordered() {
    let done = alone("sleep_for_p2", &["3600000"], b"");
    assert_eq!(done, ok("sleeping 3600000 ms\nelapsed_ms=3600000\n"));
    assert_eq!(alone("poll_many_p2", &["100"], b""), ok("100 timers in order\n"));
}

#[test]
fn files_as_on_linux() {
    // not the step that fills a volume: libc makes EIO of every failure of a stream, ENOSPC as well
    let done = alone("fs_volumes_p2", &["/data", "/", "/ro"], b"");
    assert!(done.code == 0 && done.out.ends_with("fs_volumes: all done\n"), "{}", done.out);
}

#[test]
fn a_volume_is_shared_by_two_containers() {
    let world = World::new();
    let net = world.pod("pod");
    let volume = Volume::tmpfs(TmpfsOptions::default());
    let writer = world.process_on("w", &net, &["fs_write", "/data"], &[], volume.clone());
    let reader = world.process_on("r", &net, &["fs_read", "/ro"], &[], volume);
    let sim = world.sim.clone();
    let (writer, reader) = sim
        .block_on(async {
            let reader = sim.spawn("reader", async move { run(reader, "fs_read_p2", b"").await });
            let writer = run(writer, "fs_write_p2", b"").await;
            (writer, reader.await.unwrap())
        })
        .unwrap();
    assert!(writer.code == 0 && writer.out.ends_with("fs_write: all done\n"), "{}", writer.out);
    assert!(reader.code == 0 && !reader.out.contains("FAILED"), "{}", reader.out);
}

/// Runs a server and a client, in one pod or in two, and returns what they did.
fn two(server: (&str, &[&str]), client: (&str, &[&str]), pods: usize) -> (Done, Done) {
    two_over(server, client, pods, LinkProps::default())
}

/// As [`two`]; between two pods both ways are as `link` says.
fn two_over(server: (&str, &[&str]), client: (&str, &[&str]), pods: usize, link: LinkProps) -> (Done, Done) {
    let world = World::new();
    let first = world.pod("server");
    let second = if pods == 1 { first.clone() } else { world.pod("client") };
    let ip = first.ipv4().to_string();
    if !link.is_perfect() {
        let (one, other) = (first.ipv4().into(), second.ipv4().into());
        world.fabric.set_link(one, other, link.clone()).unwrap();
        world.fabric.set_link(other, one, link).unwrap();
    }
    let args = |(name, args): (&str, &[&str])| -> Vec<String> {
        [name].iter().chain(args).map(|arg| arg.replace("SERVER", &ip)).collect()
    };
    let process = |pod: &str, net, args: Vec<String>| {
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        world.process_with(pod, net, &args, &[])
    };
    let server_ctx = process("server", &first, args(server));
    let client_ctx = process("client", &second, args(client));
    let (server_name, client_name) = (server.0.to_owned(), client.0.to_owned());
    let sim = world.sim.clone();
    sim.block_on(async {
        let server = sim.spawn("server", async move { run(server_ctx, &server_name, b"").await });
        let client = run(client_ctx, &client_name, b"").await;
        (server.await.unwrap_or_else(|error| panic!("{error}; the client: {client:?}")), client)
    })
    .unwrap()
}

#[test]
fn tcp_echo_within_a_pod_and_between_pods() {
    for (pods, address) in [(1, "127.0.0.1:7000"), (2, "SERVER:7000")] {
        let server: (&str, &[&str]) = ("net_echo_server", &["7000", "1"]);
        let client: (&str, &[&str]) = ("net_echo_client", &[address, "50", "3000"]);
        let (server, client) = two(server, client, pods);
        assert_eq!((server.code, client.code), (0, 0), "{server:?} {client:?}");
        assert!(client.out.ends_with("echoed 50 messages of 3000 bytes\n"), "{}", client.out);
        assert!(server.out.contains("150000 bytes"), "{}", server.out);
    }
}

#[test]
fn a_round_trip_over_a_link_of_ten_milliseconds_takes_twenty() {
    let server: (&str, &[&str]) = ("bench_tcp_server", &["0.0.0.0:7100", "1"]);
    let client: (&str, &[&str]) = ("bench_tcp_client", &["SERVER:7100", "50", "64", "ping"]);
    let link = LinkProps { latency: Duration::from_millis(10), ..LinkProps::default() };
    let (server, client) = two_over(server, client, 2, link);
    assert_eq!((server.code, client.code), (0, 0), "{server:?} {client:?}");
    // computing takes no time here: what the client measures is the link alone, to the nanosecond
    assert!(client.out.contains(&format!("ns_total={} ", 50 * 20_000_000)), "{}", client.out);
}

#[test]
fn bulk_tcp() {
    let server: (&str, &[&str]) = ("bench_tcp_server", &["127.0.0.1:7100", "1"]);
    let client: (&str, &[&str]) = ("bench_tcp_client", &["127.0.0.1:7100", "64", "65536", "bulk"]);
    let (server, client) = two(server, client, 1);
    assert_eq!((server.code, client.code), (0, 0), "{server:?} {client:?}");
    assert!(client.out.contains("bytes=4194304"), "{}", client.out);
}

#[test]
fn udp_echo() {
    let server: (&str, &[&str]) = ("net_udp_echo_server", &["7001", "1"]);
    let client: (&str, &[&str]) = ("net_udp_echo_client", &["127.0.0.1:7001", "20", "5000"]);
    let (server, client) = two(server, client, 1);
    assert_eq!((server.code, client.code), (0, 0), "{server:?} {client:?}");
    assert!(client.out.ends_with("echoed 20 datagrams of 5000 bytes\n"), "{}", client.out);
}

#[test]
fn sockets_as_on_linux() {
    // not net_reset: libc makes EIO of every failure of a stream, ECONNRESET as well
    for (name, args) in [
        ("net_errors", &["8.8.8.8:80"][..]),
        ("net_half_close", &[]),
        ("net_bind_conflict", &[]),
        ("net_wildcard", &[]),
        ("net_v6", &[]),
    ] {
        let done = alone(name, args, b"");
        assert!(done.code == 0 && !done.out.contains("FAILED"), "{name}: {}", done.out);
    }
}

#[test]
fn a_run_is_the_same_every_time() {
    let once = || {
        let server: (&str, &[&str]) = ("net_echo_server", &["7000", "1"]);
        let client: (&str, &[&str]) = ("net_echo_client", &["127.0.0.1:7000", "10", "100"]);
        two(server, client, 1)
    };
    assert_eq!(once(), once());
}

#[test]
fn a_missing_import_is_named() {
    let text = r#"(component (import "wasi:http/types@0.2.0" (instance (export "f" (func)))))"#;
    let component = Component::new(&ENGINE, wat::parse_str(text).unwrap()).unwrap();
    let mut linker = Linker::<Host>::new(&ENGINE);
    wasmpod_wasi::p2::add_to_linker(&mut linker).unwrap();
    let Err(error) = linker.instantiate_pre(&component) else { panic!("it was linked") };
    assert!(format!("{error:?}").contains("wasi:http/types@0.2.0"), "{error:?}");
}

#[test]
fn every_patch_version_of_0_2_is_served() {
    let mut linker = Linker::<Host>::new(&ENGINE);
    wasmpod_wasi::p2::add_to_linker(&mut linker).unwrap();
    for patch in 0..=12 {
        let text = format!(
            r#"(component
                (import "wasi:random/random@0.2.{patch}" (instance (export "get-random-u64" (func (result u64)))))
                (import "wasi:cli/exit@0.2.{patch}" (instance
                    (export "exit" (func (param "status" (result))))
                    (export "exit-with-code" (func (param "status-code" u8)))))
                (import "wasi:io/poll@0.2.{patch}" (instance (export "pollable" (type (sub resource)))))
            )"#
        );
        let component = Component::new(&ENGINE, wat::parse_str(&text).unwrap()).unwrap();
        linker.instantiate_pre(&component).unwrap_or_else(|error| panic!("0.2.{patch}: {error:?}"));
    }
}
