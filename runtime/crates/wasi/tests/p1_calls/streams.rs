//! Pipes as standard streams: waiting, end of file, broken pipes, FDFLAGS_NONBLOCK.

use std::sync::Arc;
use std::time::Duration;

use wasmpod_kernel::file::{Description, Descriptor, FileType, Stream};
use wasmpod_kernel::pipe::PIPE_CAPACITY;
use wasmpod_kernel::wait::Ready;
use wasmpod_kernel::{Errno, Result};

use crate::harness::{NONBLOCK, READ, Setup, WRITE, World, errno};

#[test]
fn a_read_waits_for_the_first_byte_and_takes_what_is_there() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let (stdin, clock) = (program.ends.stdin.take().unwrap(), world.sim.clock().clone());
        let writer = world.sim.spawn("writer", async move {
            clock.sleep(Duration::from_secs(3600)).await;
            stdin.write(b"line\n").unwrap();
        });
        assert_eq!(program.read(0, 100).await, Ok(b"line\n".to_vec()));
        assert_eq!(world.sim.clock().now().as_nanos(), 3600 * 1_000_000_000);
        writer.await.unwrap();
        assert_eq!(program.read(0, 100).await, Ok(vec![]), "the writer is gone");
        assert_eq!(program.read(0, 100).await, Ok(vec![]), "and stays gone");
    });
}

#[test]
fn a_write_waits_until_everything_is_written() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let (stdout, clock) = (program.ends.stdout.take().unwrap(), world.sim.clock().clone());
        let reader = world.sim.spawn("reader", async move {
            let (mut total, mut buffer) = (0, [0; 1000]);
            loop {
                clock.sleep(Duration::from_millis(1)).await;
                match stdout.read(&mut buffer) {
                    Ok(0) => return total,
                    Ok(read) => total += read,
                    Err(errno) => assert_eq!(errno, Errno::Again),
                }
            }
        });
        let len = 3 * PIPE_CAPACITY as u64;
        let (iovecs, out) = (program.iovecs(&[(65536, len)]), program.room(4));
        program.ok("fd_write", &[1, iovecs, 1, out]).await;
        assert_eq!(u64::from(program.get_u32(out)), len);
        program.process.close_all();
        assert_eq!(reader.await.unwrap() as u64, len);
    });
}

#[test]
fn nonblocking_streams_say_so_instead_of_waiting() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        for fd in [0, 1] {
            program.ok("fd_fdstat_set_flags", &[fd, NONBLOCK]).await;
        }
        assert_eq!(program.read(0, 10).await, Err(errno::AGAIN));
        assert_eq!(program.fdstat(0).await.unwrap().flags, NONBLOCK as u16);
        let (iovecs, out) = (program.iovecs(&[(65536, 2 * PIPE_CAPACITY as u64)]), program.room(4));
        program.ok("fd_write", &[1, iovecs, 1, out]).await;
        assert_eq!(program.get_u32(out) as usize, PIPE_CAPACITY, "what fits");
        assert_eq!(program.write(1, b"x").await, Err(errno::AGAIN));
        program.ends.stdin.as_ref().unwrap().write(b"now").unwrap();
        assert_eq!(program.read(0, 10).await, Ok(b"now".to_vec()));
    });
}

#[test]
fn standard_output_and_standard_error_are_apart() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        program.write(1, b"out").await.unwrap();
        program.write(2, b"error").await.unwrap();
        let mut buffer = [0; 16];
        for (end, expected) in [(&program.ends.stdout, &b"out"[..]), (&program.ends.stderr, b"error")] {
            let read = end.as_ref().unwrap().read(&mut buffer).unwrap();
            assert_eq!(&buffer[..read], expected);
        }
    });
}

#[test]
fn a_pipe_that_nobody_reads_is_broken() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        program.ends.stdout = None;
        assert_eq!(program.write(1, b"x").await, Err(errno::PIPE));
    });
}

#[test]
fn a_small_scattered_write_arrives_in_one_piece() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let (fill, out) = (program.iovecs(&[(65536, PIPE_CAPACITY as u64 - 5)]), program.room(4));
        program.ok("fd_write", &[1, fill, 1, out]).await;
        program.ok("fd_fdstat_set_flags", &[1, NONBLOCK]).await;
        let text = program.put(b"abcdef");
        let iovecs = program.iovecs(&[(text, 3), (text + 3, 3)]);
        assert_eq!(program.call("fd_write", &[1, iovecs, 2, out]).await, errno::AGAIN, "5 bytes of room are none");
        let stdout = program.ends.stdout.as_ref().unwrap();
        let mut buffer = vec![0; PIPE_CAPACITY];
        stdout.read(&mut buffer).unwrap();
        program.ok("fd_write", &[1, iovecs, 2, out]).await;
        assert_eq!(program.ends.stdout.as_ref().unwrap().read(&mut buffer), Ok(6));
        assert_eq!(&buffer[..6], b"abcdef");
    });
}

#[test]
fn streams_have_a_direction_and_no_position() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        assert_eq!(program.write(0, b"x").await, Err(errno::BADF));
        assert_eq!(program.read(1, 1).await, Err(errno::BADF));
        assert_eq!(program.pread(0, 1, 0).await, Err(errno::SPIPE));
        assert_eq!(program.pwrite(1, b"x", 0).await, Err(errno::SPIPE));
        assert_eq!(program.pread(1, 1, 0).await, Err(errno::BADF));
        assert_eq!(program.seek(0, 0, 1).await, Err(errno::SPIPE));
        let out = program.room(8);
        assert_eq!(program.call("fd_tell", &[1, out]).await, errno::SPIPE);
        assert_eq!(program.call("fd_sync", &[1]).await, errno::BADF);
        assert_eq!(program.call("fd_fdstat_set_rights", &[1, 0, 0]).await, errno::BADF);
        let (stdin, stdout) = (program.fdstat(0).await.unwrap(), program.fdstat(1).await.unwrap());
        assert_eq!((stdin.rights, stdout.rights, stdin.filetype), (READ, WRITE, 0));
        assert_eq!(program.stat(1).await.unwrap().filetype, 0);
        assert_eq!(program.prestat(0).await, Err(errno::BADF));
    });
}

#[test]
fn the_names_of_the_standard_streams_lead_to_them() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let fd = program.open("dev/stdout", 0, WRITE, NONBLOCK).await.unwrap();
        program.write(fd, b"by its name").await.unwrap();
        let mut buffer = [0; 16];
        assert_eq!(program.ends.stdout.as_ref().unwrap().read(&mut buffer), Ok(11));
        assert_eq!(program.fdstat(fd).await.unwrap().flags, NONBLOCK as u16);
        assert_eq!(program.fdstat(1).await.unwrap().flags, 0);
        program.ok("fd_close", &[2]).await;
        assert_eq!(program.open("dev/stderr", 0, WRITE, 0).await, Err(errno::NOENT), "as on Linux");
        let null = program.open("dev/null", 0, READ | WRITE, 0).await.unwrap();
        assert_eq!(program.write(null, b"gone").await, Ok(4));
        assert_eq!(program.read(null, 4).await, Ok(vec![]));
        let zero = program.open("dev/zero", 0, READ, 0).await.unwrap();
        assert_eq!(program.read(zero, 3).await, Ok(vec![0; 3]));
        assert_eq!(program.fdstat(zero).await.unwrap().filetype, 2);
    });
}

/// A terminal that is always ready and has nothing to say.
struct Terminal;
impl Stream for Terminal {
    fn read(&self, _buf: &mut [u8]) -> Result<usize> {
        Ok(0)
    }
    fn write(&self, buf: &[u8]) -> Result<usize> {
        Ok(buf.len())
    }
    fn poll_ready(&self, interest: Ready, _cx: &mut std::task::Context<'_>) -> Ready {
        interest
    }
    fn file_type(&self) -> FileType {
        FileType::CharDevice
    }
    fn is_terminal(&self) -> bool {
        true
    }
}

/// A stream that says it is ready and never is.
struct Liar;
impl Stream for Liar {
    fn read(&self, buf: &mut [u8]) -> Result<usize> {
        if buf.is_empty() { Ok(0) } else { Err(Errno::Again) }
    }
    fn write(&self, _buf: &[u8]) -> Result<usize> {
        Err(Errno::BadF)
    }
    fn poll_ready(&self, interest: Ready, _cx: &mut std::task::Context<'_>) -> Ready {
        interest
    }
}

#[test]
fn only_a_terminal_looks_like_one() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let streams: [Arc<dyn Stream>; 2] = [Arc::new(Terminal), Arc::new(Liar)];
        let [tty, log] = streams
            .map(|stream| program.process.fds.lock().insert(Descriptor::new(Description::Stream(stream))).unwrap());
        let stat = program.fdstat(tty).await.unwrap();
        // wasi-libc's isatty: a character device that can neither seek nor tell
        assert_eq!((stat.filetype, stat.rights & (1 << 2 | 1 << 5)), (2, 0));
        assert_eq!(program.fdstat(log).await.unwrap().filetype, 0);
    });
}

#[test]
fn a_program_is_killed_while_it_waits() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let fd = program.open("tmp/f", 1, WRITE, 0).await.unwrap();
        program.write(fd, b"kept").await.unwrap();
        let process = program.process.clone();
        let stdin = program.ends.stdin.take().unwrap();
        let waiting = world.sim.spawn("program", async move { program.read(0, 1).await });
        world.sim.clock().sleep(Duration::from_secs(1)).await;
        waiting.abort();
        assert!(waiting.await.is_err());
        process.close_all();
        assert_eq!(stdin.write(b"x"), Err(Errno::Pipe), "its end of the pipe is closed");
    });
}

#[test]
fn the_real_world_works_the_same() {
    let world = World::in_real_time();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let stdin = program.ends.stdin.take().unwrap();
        let (first, second) = (world.sim.clock().clone(), world.sim.clock().clone());
        let writer = world.sim.spawn("writer", async move {
            first.sleep(Duration::from_millis(5)).await;
            stdin.write(b"one").unwrap();
            first.sleep(Duration::from_millis(5)).await;
        });
        let read = second.timeout(Duration::from_secs(60), async {
            let first = program.read(0, 10).await;
            (first, program.read(0, 10).await)
        });
        assert_eq!(read.await, Ok((Ok(b"one".to_vec()), Ok(vec![]))));
        writer.await.unwrap();
        let out = program.room(8);
        program.ok("clock_time_get", &[1, 0, out]).await;
        assert!(program.get_u64(out) >= 10_000_000);
    });
}

#[test]
fn false_readiness_lets_others_run_and_the_program_can_be_killed_there() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let liar = Descriptor::new(Description::Stream(Arc::new(Liar)));
        let fd = program.process.fds.lock().insert(liar).unwrap();
        let others = world.sim.spawn("other", async { 7 });
        let mut polls = 0;
        {
            let mut read = std::pin::pin!(program.read(fd, 1));
            std::future::poll_fn(|cx| {
                polls += 1;
                assert!(read.as_mut().poll(cx).is_pending());
                if polls < 10 { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
            })
            .await;
        }
        // the call was dropped: the program is gone, nothing else is
        assert_eq!(others.await.unwrap(), 7);
    });
}
