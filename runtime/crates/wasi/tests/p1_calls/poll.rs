//! `poll_oneoff` over descriptors and clocks, and what a hostile program may ask of it (T1, T2, T3).

use std::time::Duration;

use wasmpod_kernel::file::Stream;
use wasmpod_kernel::sim::time::VIRTUAL_EPOCH_NANOS;

use crate::harness::{CREAT, Program, READ, Setup, WRITE, World, errno};

enum Wanted {
    Clock { id: u32, timeout: u64, flags: u16 },
    Fd { kind: u8, fd: u32 },
}

fn subscription(userdata: u64, wanted: &Wanted) -> [u8; 48] {
    let mut record = [0; 48];
    record[..8].copy_from_slice(&userdata.to_le_bytes());
    match wanted {
        Wanted::Clock { id, timeout, flags } => {
            record[16..20].copy_from_slice(&id.to_le_bytes());
            record[24..32].copy_from_slice(&timeout.to_le_bytes());
            record[40..42].copy_from_slice(&flags.to_le_bytes());
        }
        Wanted::Fd { kind, fd } => {
            record[8] = *kind;
            record[16..20].copy_from_slice(&fd.to_le_bytes());
        }
    }
    record
}

fn relative(timeout: u64) -> Wanted {
    Wanted::Clock { id: 1, timeout, flags: 0 }
}

fn absolute(id: u32, timeout: u64) -> Wanted {
    Wanted::Clock { id, timeout, flags: 1 }
}

fn reads(fd: u32) -> Wanted {
    Wanted::Fd { kind: 1, fd }
}

fn writes(fd: u32) -> Wanted {
    Wanted::Fd { kind: 2, fd }
}

#[derive(Debug, PartialEq, Eq)]
struct Event {
    userdata: u64,
    kind: u8,
    hangup: bool,
}

fn event(userdata: u64, kind: u8) -> Event {
    Event { userdata, kind, hangup: false }
}

/// Polls with user data 100, 101, ...
async fn poll(program: &mut Program, wanted: &[Wanted]) -> Result<Vec<Event>, u32> {
    let records: Vec<u8> =
        wanted.iter().enumerate().flat_map(|(at, wanted)| subscription(100 + at as u64, wanted)).collect();
    let (input, output, out) = (program.put(&records), program.room(32 * wanted.len()), program.room(4));
    match program.call("poll_oneoff", &[input, output, wanted.len() as u64, out]).await {
        0 => {}
        errno => return Err(errno),
    }
    let count = program.get_u32(out);
    assert!(count >= 1 && count as usize <= wanted.len());
    let mut events = Vec::new();
    for at in 0..u64::from(count) {
        let at = output + 32 * at;
        assert_eq!(program.get_u16(at + 8), 0, "errors fail the call");
        let (userdata, kind, flags) = (program.get_u64(at), program.get(at + 10, 1)[0], program.get_u16(at + 24));
        events.push(Event { userdata, kind, hangup: flags & 1 != 0 });
    }
    Ok(events)
}

#[test]
fn clocks_are_due_in_time_and_not_before() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let now = || world.sim.clock().now().as_nanos();
        assert_eq!(poll(&mut program, &[relative(3_600_000_000_000)]).await, Ok(vec![event(100, 0)]));
        let hour = now();
        assert_eq!(hour, 3_600_000_000_000);
        assert_eq!(poll(&mut program, &[relative(0)]).await, Ok(vec![event(100, 0)]));
        assert_eq!(poll(&mut program, &[absolute(1, 5)]).await, Ok(vec![event(100, 0)]), "in the past");
        assert_eq!(now(), hour);
        let all = [relative(u64::MAX), absolute(1, hour + 7), absolute(0, VIRTUAL_EPOCH_NANOS + hour + 7), relative(8)];
        assert_eq!(poll(&mut program, &all).await, Ok(vec![event(101, 0), event(102, 0)]));
        assert_eq!(now(), hour + 7);
        let wall = Wanted::Clock { id: 0, timeout: 3, flags: 0 };
        assert_eq!(poll(&mut program, &[wall, relative(3), relative(3)]).await.unwrap().len(), 3, "duplicates");
        assert_eq!(now(), hour + 10);
    });
}

#[test]
fn descriptors_and_clocks_are_waited_for_together() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let (stdin, clock) = (program.ends.stdin.take().unwrap(), world.sim.clock().clone());
        let writer = world.sim.spawn("writer", async move {
            clock.sleep(Duration::from_secs(5)).await;
            stdin.write(b"x").unwrap();
            clock.sleep(Duration::from_secs(5)).await;
        });
        let second = 1_000_000_000;
        assert_eq!(poll(&mut program, &[reads(0), relative(second)]).await, Ok(vec![event(101, 0)]));
        assert_eq!(poll(&mut program, &[reads(0), relative(second * 60)]).await, Ok(vec![event(100, 1)]));
        assert_eq!(world.sim.clock().now().as_nanos(), 5 * second);
        assert_eq!(poll(&mut program, &[reads(0), reads(0), writes(1), relative(0)]).await.unwrap().len(), 4);
        program.read(0, 1).await.unwrap();
        writer.await.unwrap();
        let hangup = Event { hangup: true, ..event(100, 1) };
        assert_eq!(poll(&mut program, &[reads(0)]).await, Ok(vec![hangup]), "the writer is gone");
    });
}

#[test]
fn a_writer_is_woken_by_room_and_by_the_end_of_the_reader() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        program.ok("fd_fdstat_set_flags", &[1, 4]).await;
        let (iovecs, out) = (program.iovecs(&[(65536, 1 << 20)]), program.room(4));
        program.ok("fd_write", &[1, iovecs, 1, out]).await;
        assert_eq!(poll(&mut program, &[writes(1), relative(10)]).await, Ok(vec![event(101, 0)]));
        let (stdout, clock) = (program.ends.stdout.take().unwrap(), world.sim.clock().clone());
        let reader = world.sim.spawn("reader", async move {
            clock.sleep(Duration::from_secs(1)).await;
            drop(stdout);
        });
        assert_eq!(poll(&mut program, &[writes(1)]).await.unwrap().len(), 1);
        reader.await.unwrap();
        assert_eq!(program.write(1, b"x").await, Err(errno::PIPE));
    });
}

#[test]
fn files_are_always_ready() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let fd = program.open("tmp/f", CREAT, READ | WRITE, 0).await.unwrap();
        program.write(fd, b"abc").await.unwrap();
        let at_end = Event { hangup: true, ..event(100, 1) };
        assert_eq!(poll(&mut program, &[reads(fd), writes(fd)]).await, Ok(vec![at_end, event(101, 2)]));
        program.seek(fd, 0, 0).await.unwrap();
        assert_eq!(poll(&mut program, &[reads(fd), relative(u64::MAX)]).await, Ok(vec![event(100, 1)]));
        assert_eq!(poll(&mut program, &[reads(3)]).await, Ok(vec![event(100, 1)]), "a directory");
    });
}

#[test]
fn what_makes_no_sense_fails_the_call() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let out = program.room(4);
        assert_eq!(program.call("poll_oneoff", &[4096, 8192, 0, out]).await, errno::INVAL);
        for count in [4097, 1 << 31, u64::from(u32::MAX)] {
            assert_eq!(program.call("poll_oneoff", &[4096, 8192, count, out]).await, errno::INVAL, "T2");
        }
        assert_eq!(poll(&mut program, &[relative(0), reads(99)]).await, Err(errno::BADF));
        assert_eq!(poll(&mut program, &[writes(0)]).await, Err(errno::BADF), "stdin is never writable");
        assert_eq!(poll(&mut program, &[reads(1)]).await, Err(errno::BADF));
        assert_eq!(poll(&mut program, &[Wanted::Fd { kind: 3, fd: 0 }]).await, Err(errno::INVAL));
        assert_eq!(poll(&mut program, &[Wanted::Clock { id: 1, timeout: 0, flags: 2 }]).await, Err(errno::INVAL));
        for id in [2, 3, 4, u32::MAX] {
            let clock = Wanted::Clock { id, timeout: 0, flags: 0 };
            assert_eq!(poll(&mut program, &[clock]).await, Err(errno::INVAL), "{id}");
        }
        let last = u64::from(crate::harness::MEMORY_SIZE) - 32;
        let record = subscription(1, &relative(0));
        let input = program.put(&record);
        program.trap("poll_oneoff", &[last, 4096, 1, out]).await;
        let mut program = world.program(Setup::default()).await;
        program.put(&[0; 8192]);
        program.trap("poll_oneoff", &[input, last + 16, 1, out]).await;
    });
}

#[test]
fn polling_for_nothing_costs_fuel_and_the_largest_poll_works() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        program.charged();
        poll(&mut program, &[relative(0)]).await.unwrap();
        let one = program.charged();
        assert!(one >= 100);
        program.clear();
        let many: Vec<_> = (0..4096).map(|at| relative(at % 3)).collect();
        assert_eq!(poll(&mut program, &many).await.unwrap().len(), 1366, "those due at once");
        assert!(program.charged() > 1000 * one / 10);
    });
}

#[test]
fn ten_thousand_sleeps_take_the_time_they_ask_for() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        for _ in 0..10_000 {
            program.clear();
            poll(&mut program, &[relative(1_000)]).await.unwrap();
        }
        assert_eq!(world.sim.clock().now().as_nanos(), 10_000_000);
        assert!(program.charged() >= 1_000_000, "T1");
    });
}
