//! `wasi:cli` and the streams of `wasi:io` over the standard descriptors: permits, back-pressure, ends and broken pipes.

mod p2_support;

use std::sync::Arc;
use std::time::Duration;

use p2_support::{World, b, own};
use wasmpod_kernel::file::{Description, Descriptor, Stream};
use wasmpod_kernel::pipe::{PIPE_BUF, PIPE_CAPACITY, ReadEnd, WriteEnd, pipe};
use wasmpod_wasi::p2::bindings::cli::{
    environment, exit, stderr, stdin, stdout, terminal_stderr, terminal_stdin, terminal_stdout,
};
use wasmpod_wasi::{Ctx, ProcExit};
use wasmtime_wasi_io::bindings::wasi::io::poll::{Host as _, HostPollable as _};
use wasmtime_wasi_io::bindings::wasi::io::streams::{HostInputStream, HostOutputStream};
use wasmtime_wasi_io::streams::StreamError;

fn install(ctx: &Ctx, fd: u32, stream: Arc<dyn Stream>) {
    let at = ctx.process.fds.lock().insert(Descriptor::new(Description::Stream(stream))).unwrap();
    assert_eq!(at, fd);
}

fn pipe_of(world: &World) -> (ReadEnd, WriteEnd) {
    pipe(&world.node).unwrap()
}

/// A process whose standard input, output and error are ends of pipes; the other ends are returned.
fn piped(world: &World) -> (Ctx, WriteEnd, ReadEnd, ReadEnd) {
    let net = world.pod("pod");
    let ctx = world.process("pod", &net);
    let ((input, feed), (out, output), (err, errors)) = (pipe_of(world), pipe_of(world), pipe_of(world));
    install(&ctx, 0, Arc::new(input));
    install(&ctx, 1, Arc::new(output));
    install(&ctx, 2, Arc::new(errors));
    (ctx, feed, out, err)
}

#[test]
fn arguments_environment_and_directory() {
    let world = World::new();
    let net = world.pod("pod");
    let mut ctx = world.process_with("pod", &net, &["prog", "a b", ""], &[("HOME", "/root"), ("EMPTY", "")]);
    ctx.extra_env.push(("LISTEN_FDS".to_owned(), "1".to_owned()));
    assert_eq!(environment::Host::get_arguments(&mut ctx).unwrap(), ["prog", "a b", ""]);
    let env = environment::Host::get_environment(&mut ctx).unwrap();
    let env: Vec<_> = env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["HOME=/root", "EMPTY=", "LISTEN_FDS=1"]);
    assert_eq!(environment::Host::initial_cwd(&mut ctx).unwrap().as_deref(), Some("/"));
}

#[test]
fn exit_is_an_error_that_the_engine_finds_again() {
    let (_world, mut ctx) = World::lone();
    let code = |result: wasmtime::Result<()>| *result.unwrap_err().downcast_ref::<ProcExit>().unwrap();
    assert_eq!(code(exit::Host::exit(&mut ctx, Ok(()))), ProcExit(0));
    assert_eq!(code(exit::Host::exit(&mut ctx, Err(()))), ProcExit(1));
    assert_eq!(code(exit::Host::exit_with_code(&mut ctx, 42)), ProcExit(42));
}

#[test]
fn a_closed_stdin_is_at_its_end_and_a_closed_stdout_takes_nothing() {
    let (world, mut ctx) = World::lone();
    world
        .sim
        .block_on(async {
            let input = stdin::Host::get_stdin(&mut ctx).unwrap();
            assert!(matches!(HostInputStream::read(&mut ctx, b(&input), 10), Err(StreamError::Closed)));
            assert!(matches!(ctx.blocking_read(b(&input), 10).await, Err(StreamError::Closed)));
            let output = stdout::Host::get_stdout(&mut ctx).unwrap();
            let error = ctx.blocking_write_and_flush(b(&output), b"x".to_vec()).await.unwrap_err();
            assert!(matches!(error, StreamError::LastOperationFailed(_)), "{error}");
            assert!(matches!(HostOutputStream::check_write(&mut ctx, b(&output)), Err(StreamError::Closed)));
            assert!(terminal_stdin::Host::get_terminal_stdin(&mut ctx).unwrap().is_none());
        })
        .unwrap();
}

#[test]
fn a_read_waits_for_bytes_and_ends_with_the_writer() {
    let world = World::new();
    let (mut ctx, feed, _out, _err) = piped(&world);
    let sim = world.sim.clone();
    sim.block_on(async {
        let input = stdin::Host::get_stdin(&mut ctx).unwrap();
        assert!(HostInputStream::read(&mut ctx, b(&input), 10).unwrap().is_empty());
        let clock = sim.clock().clone();
        let feeder = sim.spawn("feeder", async move {
            clock.sleep(Duration::from_secs(3)).await;
            feed.write(b"hello").unwrap();
            clock.sleep(Duration::from_secs(3)).await;
            drop(feed);
        });
        assert_eq!(ctx.blocking_read(b(&input), 3).await.unwrap(), b"hel");
        assert_eq!(sim.clock().now().as_nanos(), 3_000_000_000);
        assert_eq!(ctx.blocking_skip(b(&input), 1).await.unwrap(), 1);
        let pollable = HostInputStream::subscribe(&mut ctx, b(&input)).unwrap();
        assert!(ctx.ready(b(&pollable)).await.unwrap());
        assert_eq!(HostInputStream::read(&mut ctx, b(&input), 100).unwrap(), b"o");
        assert!(!ctx.ready(b(&pollable)).await.unwrap());
        assert_eq!(ctx.poll(vec![b(&pollable)]).await.unwrap(), [0]);
        assert_eq!(sim.clock().now().as_nanos(), 6_000_000_000);
        assert!(matches!(ctx.blocking_read(b(&input), 3).await, Err(StreamError::Closed)));
        assert!(matches!(HostInputStream::read(&mut ctx, b(&input), 3), Err(StreamError::Closed)));
        HostPollableDrop::go(&mut ctx, pollable);
        HostInputStream::drop(&mut ctx, own(&input)).await.unwrap();
        feeder.await.unwrap();
    })
    .unwrap();
}

struct HostPollableDrop;
impl HostPollableDrop {
    fn go(ctx: &mut Ctx, pollable: wasmtime::component::Resource<wasmtime_wasi_io::poll::DynPollable>) {
        wasmtime_wasi_io::bindings::wasi::io::poll::HostPollable::drop(ctx, pollable).unwrap();
    }
}

/// Two processes read one pipe; each wake-up is for both and helps one. The defaults of wasmtime-wasi-io trap after ten.
#[test]
fn a_reader_that_comes_too_late_a_hundred_times_goes_on_waiting() {
    let world = World::new();
    let (mut ctx, feed, _out, _err) = piped(&world);
    let net = world.pod("other");
    let mut other = world.process("other", &net);
    let shared = ctx.process.descriptor(0).unwrap().description;
    other.process.fds.lock().insert(Descriptor::new(shared)).unwrap();
    let sim = world.sim.clone();
    let total = sim
        .block_on(async {
            let clock = sim.clock().clone();
            let feeder = sim.spawn("feeder", async move {
                for _ in 0..100 {
                    feed.write(b"x").unwrap();
                    clock.sleep(Duration::from_millis(1)).await;
                }
            });
            let reader = sim.spawn("reader", async move {
                let input = stdin::Host::get_stdin(&mut other).unwrap();
                let mut read = 0;
                while let Ok(bytes) = other.blocking_read(b(&input), 10).await {
                    read += bytes.len();
                }
                read
            });
            let input = stdin::Host::get_stdin(&mut ctx).unwrap();
            let mut read = 0;
            loop {
                match ctx.blocking_read(b(&input), 10).await {
                    Ok(bytes) => read += bytes.len(),
                    Err(StreamError::Closed) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            feeder.await.unwrap();
            let theirs = reader.await.unwrap();
            assert!(read > 0 && theirs > 0, "both got some: {read} and {theirs}");
            read + theirs
        })
        .unwrap();
    assert_eq!(total, 100);
}

#[test]
fn writes_need_permits_and_a_full_pipe_gives_none() {
    let world = World::new();
    let (mut ctx, _feed, out, err) = piped(&world);
    world
        .sim
        .block_on(async {
            let output = stdout::Host::get_stdout(&mut ctx).unwrap();
            let unpermitted = HostOutputStream::write(&mut ctx, b(&output), b"x".to_vec());
            assert!(matches!(unpermitted, Err(StreamError::Trap(_))));
            let mut written = 0;
            loop {
                let permit = HostOutputStream::check_write(&mut ctx, b(&output)).unwrap();
                if permit == 0 {
                    break;
                }
                assert!(permit as usize >= PIPE_BUF);
                HostOutputStream::write(&mut ctx, b(&output), vec![7; permit as usize]).unwrap();
                written += permit as usize;
            }
            assert_eq!(written, PIPE_CAPACITY);
            let pollable = HostOutputStream::subscribe(&mut ctx, b(&output)).unwrap();
            assert!(!ctx.ready(b(&pollable)).await.unwrap());
            let mut buffer = vec![0; PIPE_BUF];
            assert_eq!(out.read(&mut buffer).unwrap(), PIPE_BUF);
            assert!(ctx.ready(b(&pollable)).await.unwrap());
            let permit = HostOutputStream::check_write(&mut ctx, b(&output)).unwrap();
            assert!(matches!(
                HostOutputStream::write(&mut ctx, b(&output), vec![0; permit as usize + 1]),
                Err(StreamError::Trap(_))
            ));
            HostOutputStream::flush(&mut ctx, b(&output)).unwrap();

            // stderr is a stream of its own
            let errors = stderr::Host::get_stderr(&mut ctx).unwrap();
            ctx.blocking_write_and_flush(b(&errors), b"oops".to_vec()).await.unwrap();
            assert_eq!(err.read(&mut buffer).unwrap(), 4);
            assert!(matches!(ctx.blocking_write_and_flush(b(&errors), vec![0; 4097]).await, Err(StreamError::Trap(_))));
            ctx.blocking_write_zeroes_and_flush(b(&errors), 8).await.unwrap();
            assert_eq!(err.read(&mut buffer).unwrap(), 8);
            assert!(terminal_stdout::Host::get_terminal_stdout(&mut ctx).unwrap().is_none());
            assert!(terminal_stderr::Host::get_terminal_stderr(&mut ctx).unwrap().is_none());
        })
        .unwrap();
}

#[test]
fn a_broken_pipe_closes_the_stream() {
    let world = World::new();
    let (mut ctx, _feed, out, _err) = piped(&world);
    world
        .sim
        .block_on(async {
            let output = stdout::Host::get_stdout(&mut ctx).unwrap();
            HostOutputStream::check_write(&mut ctx, b(&output)).unwrap();
            drop(out);
            assert!(matches!(HostOutputStream::write(&mut ctx, b(&output), b"x".to_vec()), Err(StreamError::Closed)));
            assert!(matches!(HostOutputStream::check_write(&mut ctx, b(&output)), Err(StreamError::Closed)));
            assert!(matches!(HostOutputStream::flush(&mut ctx, b(&output)), Err(StreamError::Closed)));
            let pollable = HostOutputStream::subscribe(&mut ctx, b(&output)).unwrap();
            assert!(ctx.ready(b(&pollable)).await.unwrap());
        })
        .unwrap();
}

/// Another process takes the room between the permit and the write: the bytes are kept, charged and go out later, in order.
#[test]
fn what_was_permitted_is_kept_when_another_writer_is_quicker() {
    let world = World::new();
    let (mut ctx, _feed, out, _err) = piped(&world);
    let Description::Stream(shared) = ctx.process.descriptor(1).unwrap().description else { panic!() };
    let cgroup = ctx.process.spec.cgroup.clone();
    let sim = world.sim.clone();
    sim.block_on(async {
        let output = stdout::Host::get_stdout(&mut ctx).unwrap();
        let before = cgroup.memory_stats().current;
        assert_eq!(HostOutputStream::check_write(&mut ctx, b(&output)).unwrap(), PIPE_BUF as u64);
        shared.write(&vec![1; PIPE_CAPACITY]).unwrap();
        HostOutputStream::write(&mut ctx, b(&output), vec![2; 1000]).unwrap();
        HostOutputStream::write(&mut ctx, b(&output), vec![3; 1000]).unwrap();
        assert!(matches!(HostOutputStream::write(&mut ctx, b(&output), vec![4; PIPE_BUF]), Err(StreamError::Trap(_))));
        assert_eq!(cgroup.memory_stats().current, before + 2000);
        assert_eq!(HostOutputStream::check_write(&mut ctx, b(&output)).unwrap(), 0);
        let clock = sim.clock().clone();
        let reader = sim.spawn("reader", async move {
            clock.sleep(Duration::from_secs(1)).await;
            let mut all = Vec::new();
            let mut buffer = vec![0; 10_000];
            while all.len() < PIPE_CAPACITY + 2000 {
                match out.read(&mut buffer) {
                    Ok(n) => all.extend_from_slice(&buffer[..n]),
                    Err(_) => clock.sleep(Duration::from_millis(1)).await,
                }
            }
            all
        });
        // dropping the stream waits for what it accepted
        HostOutputStream::drop(&mut ctx, own(&output)).await.unwrap();
        assert!(sim.clock().now().as_nanos() >= 1_000_000_000);
        assert_eq!(cgroup.memory_stats().current, before);
        let all = reader.await.unwrap();
        assert_eq!(all[PIPE_CAPACITY..][..1000], [2; 1000]);
        assert_eq!(all[PIPE_CAPACITY + 1000..], [3; 1000]);
    })
    .unwrap();
}

#[test]
fn a_splice_moves_bytes_without_the_guest() {
    let world = World::new();
    let (mut ctx, feed, out, _err) = piped(&world);
    world
        .sim
        .block_on(async {
            let input = stdin::Host::get_stdin(&mut ctx).unwrap();
            let output = stdout::Host::get_stdout(&mut ctx).unwrap();
            assert_eq!(HostOutputStream::splice(&mut ctx, b(&output), b(&input), 100).unwrap(), 0);
            feed.write(b"0123456789").unwrap();
            assert_eq!(HostOutputStream::splice(&mut ctx, b(&output), b(&input), 4).unwrap(), 4);
            assert_eq!(ctx.blocking_splice(b(&output), b(&input), 100).await.unwrap(), 6);
            let mut buffer = [0; 32];
            assert_eq!(out.read(&mut buffer).unwrap(), 10);
            assert_eq!(&buffer[..10], b"0123456789");
            drop(feed);
            let end = ctx.blocking_splice(b(&output), b(&input), 100).await;
            assert!(matches!(end, Err(StreamError::Closed)));
        })
        .unwrap();
}
