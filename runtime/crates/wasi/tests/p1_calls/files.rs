//! Files and directories through open descriptors.

use crate::harness::{APPEND, CREAT, DIRECTORY, NONBLOCK, Program, READ, Setup, TRUNC, WRITE, World, errno};

async fn fresh(program: &mut Program) -> u32 {
    program.open("tmp/file", CREAT, READ | WRITE, 0).await.unwrap()
}

#[test]
fn what_is_written_is_read_back_at_any_position() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let fd = fresh(&mut program).await;
        assert_eq!(program.write(fd, b"hello world").await, Ok(11));
        assert_eq!(program.read(fd, 8).await, Ok(vec![]), "at the end");
        assert_eq!(program.seek(fd, 6, 0).await, Ok(6));
        assert_eq!(program.read(fd, 100).await, Ok(b"world".to_vec()));
        assert_eq!(program.pread(fd, 5, 0).await, Ok(b"hello".to_vec()));
        assert_eq!(program.pwrite(fd, b"J", 0).await, Ok(1));
        let out = program.room(8);
        program.ok("fd_tell", &[fd.into(), out]).await;
        assert_eq!(program.get_u64(out), 11, "positional calls leave the position");
        assert_eq!(program.seek(fd, -11, 1).await, Ok(0));
        assert_eq!(program.read(fd, 5).await, Ok(b"Jello".to_vec()));
        assert_eq!(program.seek(fd, -1, 2).await, Ok(10));
        assert_eq!(program.read(fd, 5).await, Ok(b"d".to_vec()));
        for (offset, whence) in [(-1, 0), (-100, 1), (-100, 2), (0, 3)] {
            assert_eq!(program.seek(fd, offset, whence).await, Err(errno::INVAL), "{offset} {whence}");
        }
        assert_eq!(program.pread(fd, 5, 1 << 40).await, Ok(vec![]), "behind the end");
        program.ok("fd_sync", &[fd.into()]).await;
        program.ok("fd_datasync", &[fd.into()]).await;
    });
}

#[test]
fn scattered_buffers_are_filled_and_drained_in_order() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let fd = fresh(&mut program).await;
        let (a, b, out) = (program.put(b"one "), program.put(b"two"), program.room(4));
        let iovecs = program.iovecs(&[(a, 4), (0, 0), (b, 3)]);
        program.ok("fd_write", &[fd.into(), iovecs, 3, out]).await;
        assert_eq!(program.get_u32(out), 7);
        program.seek(fd, 0, 0).await.unwrap();
        let (a, b) = (program.room(2), program.room(100));
        let iovecs = program.iovecs(&[(a, 2), (b, 100)]);
        program.ok("fd_read", &[fd.into(), iovecs, 2, out]).await;
        assert_eq!(
            (program.get_u32(out), program.get(a, 2), program.get(b, 6)),
            (7, b"on".to_vec(), b"e two\0".to_vec())
        );
        // no buffers at all
        program.ok("fd_read", &[fd.into(), 0, 0, out]).await;
        assert_eq!(program.get_u32(out), 0);
    });
}

#[test]
fn more_than_a_chunk_is_moved_in_one_call() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let fd = fresh(&mut program).await;
        let (len, out) = (3u64 << 20, program.room(4));
        let iovecs = program.iovecs(&[(65536, len)]);
        program.charged();
        program.ok("fd_write", &[fd.into(), iovecs, 1, out]).await;
        assert_eq!(u64::from(program.get_u32(out)), len);
        assert!(program.charged() >= len / 8, "copying costs");
        program.seek(fd, 0, 0).await.unwrap();
        program.ok("fd_read", &[fd.into(), iovecs, 1, out]).await;
        assert_eq!(u64::from(program.get_u32(out)), len);
        assert_eq!(program.stat(fd).await.unwrap().size, len);
    });
}

#[test]
fn appending_goes_to_the_end_whatever_the_position() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let fd = program.open("tmp/log", CREAT, READ | WRITE, APPEND).await.unwrap();
        assert_eq!(program.fdstat(fd).await.unwrap().flags, APPEND as u16);
        program.write(fd, b"a\n").await.unwrap();
        program.seek(fd, 0, 0).await.unwrap();
        program.write(fd, b"b\n").await.unwrap();
        assert_eq!(program.pread(fd, 10, 0).await, Ok(b"a\nb\n".to_vec()));
        // Linux' and wasmtime's pwrite, not POSIX's: the offset means nothing, the position stays
        assert_eq!(program.pwrite(fd, b"!", 0).await, Ok(1));
        assert_eq!(program.pread(fd, 10, 0).await, Ok(b"a\nb\n!".to_vec()));
        assert_eq!(program.seek(fd, 0, 1).await, Ok(4));
        program.ok("fd_filestat_set_size", &[fd.into(), 4]).await;
        program.ok("fd_fdstat_set_flags", &[fd.into(), 0]).await;
        program.seek(fd, 0, 0).await.unwrap();
        program.write(fd, b"c").await.unwrap();
        assert_eq!(program.pread(fd, 10, 0).await, Ok(b"c\nb\n".to_vec()));
        program.ok("fd_fdstat_set_flags", &[fd.into(), APPEND | NONBLOCK]).await;
        assert_eq!(program.fdstat(fd).await.unwrap().flags, (APPEND | NONBLOCK) as u16);
        for sync in [2, 8, 16] {
            assert_eq!(program.call("fd_fdstat_set_flags", &[fd.into(), sync]).await, errno::INVAL);
        }
        assert_eq!(program.call("fd_fdstat_set_flags", &[fd.into(), 32]).await, errno::INVAL);
    });
}

#[test]
fn the_way_a_file_was_opened_decides_what_it_can() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let reads = program.open("etc/motd", 0, READ, 0).await.unwrap();
        assert_eq!(program.write(reads, b"x").await, Err(errno::BADF));
        assert_eq!(program.pwrite(reads, b"x", 0).await, Err(errno::BADF));
        let writes = program.open("tmp/w", CREAT, WRITE, 0).await.unwrap();
        assert_eq!(program.read(writes, 1).await, Err(errno::BADF));
        assert_eq!(program.pread(writes, 1, 0).await, Err(errno::BADF));
        let (of_reads, of_writes) = (program.fdstat(reads).await.unwrap(), program.fdstat(writes).await.unwrap());
        assert_eq!((of_reads.rights & (READ | WRITE), of_writes.rights & (READ | WRITE)), (READ, WRITE));
        assert_eq!((of_reads.filetype, of_reads.flags), (4, 0));
        // to make or to cut a file is to open it for writing, whatever rights are asked for
        for (flags, rights, expected) in [(CREAT, 0, READ | WRITE), (TRUNC, READ, READ | WRITE), (CREAT, WRITE, WRITE)]
        {
            let fd = program.open("tmp/made", flags | CREAT, rights, 0).await.unwrap();
            assert_eq!(program.fdstat(fd).await.unwrap().rights & (READ | WRITE), expected, "{flags} {rights}");
            assert_eq!(program.write(fd, b"x").await, Ok(1));
        }
        let neither = program.open("etc/motd", 0, 0, 0).await.unwrap();
        assert_eq!(program.read(neither, 7).await, Ok(b"welcome".to_vec()), "no rights are the right to read");
    });
}

#[test]
fn sizes_change() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let fd = fresh(&mut program).await;
        program.write(fd, b"hello").await.unwrap();
        program.ok("fd_filestat_set_size", &[fd.into(), 2]).await;
        assert_eq!(program.pread(fd, 9, 0).await, Ok(b"he".to_vec()));
        program.ok("fd_filestat_set_size", &[fd.into(), 4]).await;
        assert_eq!(program.pread(fd, 9, 0).await, Ok(b"he\0\0".to_vec()));
        assert_eq!(program.call("fd_allocate", &[fd.into(), 2, 8]).await, errno::NOTSUP, "as in wasmtime");
        assert_eq!(program.stat(fd).await.unwrap().size, 4);
        for advice in 0..6 {
            program.ok("fd_advise", &[fd.into(), 0, 0, advice]).await;
        }
        assert_eq!(program.call("fd_advise", &[fd.into(), 0, 0, 6]).await, errno::INVAL);
        let huge = program.call("fd_filestat_set_size", &[fd.into(), u64::MAX]).await;
        assert!(huge != 0, "a size beyond every limit is refused");
    });
}

#[test]
fn times_are_set_and_reported() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let fd = fresh(&mut program).await;
        program.ok("fd_filestat_set_times", &[fd.into(), 11, 22, 1 | 4]).await;
        let stat = program.stat(fd).await.unwrap();
        assert_eq!((stat.atime, stat.mtime), (11, 22));
        program.ok("fd_filestat_set_times", &[fd.into(), 33, 44, 8]).await;
        let stat = program.stat(fd).await.unwrap();
        assert_eq!((stat.atime, stat.mtime), (11, world.sim.clock().wall()));
        for both in [3, 12, 16] {
            assert_eq!(program.call("fd_filestat_set_times", &[fd.into(), 0, 0, both]).await, errno::INVAL);
        }
        assert_eq!(program.call("fd_filestat_set_times", &[0, 0, 0, 1]).await, errno::BADF, "a pipe has no times");
    });
}

#[test]
fn a_directory_is_not_a_file() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let fd = program.open("tmp", DIRECTORY, READ, 0).await.unwrap();
        let out = program.room(8);
        assert_eq!(program.read(fd, 1).await, Err(errno::BADF));
        assert_eq!(program.write(fd, b"x").await, Err(errno::BADF));
        assert_eq!(program.pread(fd, 1, 0).await, Err(errno::BADF));
        assert_eq!(program.pwrite(fd, b"x", 0).await, Err(errno::BADF));
        assert_eq!(program.seek(fd, 0, 0).await, Err(errno::BADF));
        for (name, args) in [
            ("fd_tell", vec![out]),
            ("fd_sync", vec![]),
            ("fd_datasync", vec![]),
            ("fd_advise", vec![0, 0, 0]),
            ("fd_allocate", vec![0, 1]),
            ("fd_filestat_set_size", vec![0]),
            ("fd_fdstat_set_flags", vec![0]),
        ] {
            let args: Vec<u64> = [u64::from(fd)].into_iter().chain(args).collect();
            assert_eq!(program.call(name, &args).await, errno::BADF, "{name}");
        }
        assert_eq!(program.call("fd_fdstat_set_rights", &[fd.into(), 0, 0]).await, errno::NOTSUP);
        let stat = program.fdstat(fd).await.unwrap();
        assert_eq!((stat.filetype, stat.rights & (1 << 2)), (3, 0), "a directory cannot seek");
        assert_eq!(program.prestat(fd).await, Err(errno::BADF), "opened, not handed over");
        assert_eq!(program.call("fd_prestat_dir_name", &[fd.into(), out, 8]).await, errno::NOTDIR);
        assert_eq!(program.call("fd_prestat_dir_name", &[4, out, 2]).await, errno::NAMETOOLONG);
    });
}

#[test]
fn descriptors_are_numbered_lowest_first_and_renumbered() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let (a, b) = (fresh(&mut program).await, program.open("etc/motd", 0, READ, 0).await.unwrap());
        assert_eq!(b, a + 1);
        program.ok("fd_renumber", &[b.into(), a.into()]).await;
        assert_eq!(program.read(a, 7).await, Ok(b"welcome".to_vec()));
        assert_eq!(program.read(b, 7).await, Err(errno::BADF), "moved");
        program.ok("fd_renumber", &[a.into(), a.into()]).await;
        assert_eq!(program.call("fd_renumber", &[a.into(), 99]).await, errno::BADF, "the target must be open");
        assert_eq!(program.call("fd_renumber", &[99, a.into()]).await, errno::BADF);
        program.ok("fd_close", &[a.into()]).await;
        assert_eq!(program.call("fd_close", &[a.into()]).await, errno::BADF);
        assert_eq!(fresh(&mut program).await, a);
        // F10: standard streams and what was handed over are no exceptions
        program.ok("fd_close", &[4]).await;
        assert_eq!(program.prestat(4).await, Err(errno::BADF));
        program.ok("fd_renumber", &[a.into(), 1]).await;
        assert_eq!(program.write(1, b"to the file").await, Ok(11));
        program.ok("fd_close", &[0]).await;
        assert_eq!(program.read(0, 1).await, Err(errno::BADF));
    });
}

/// Parses what `fd_readdir` wrote: names with their types and cookies, whole ones only.
fn entries(mut bytes: &[u8]) -> Vec<(String, u8, u64)> {
    let mut found = Vec::new();
    while bytes.len() >= 24 {
        let (next, len) = (u64::from_le_bytes(bytes[..8].try_into().unwrap()), bytes[16] as usize);
        let Some(name) = bytes.get(24..24 + len) else { break };
        found.push((String::from_utf8(name.to_vec()).unwrap(), bytes[20], next));
        bytes = &bytes[24 + len..];
    }
    found
}

#[test]
fn a_directory_is_read_in_pieces() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        program.on_path("path_create_directory", 3, "tmp/d").await;
        for at in 0..300 {
            program.clear();
            let fd = program.open(&format!("tmp/d/file-{at:03}"), CREAT, WRITE, 0).await.unwrap();
            program.ok("fd_close", &[fd.into()]).await;
        }
        program.clear();
        let fd = program.open("tmp/d", DIRECTORY, READ, 0).await.unwrap();
        let (buffer, out) = (program.room(200), program.room(4));
        let (mut names, mut cookie, mut calls) = (Vec::new(), 0, 0);
        loop {
            program.ok("fd_readdir", &[fd.into(), buffer, 200, cookie, out]).await;
            let used = program.get_u32(out) as usize;
            let found = entries(&program.get(buffer, used));
            names.extend(found.iter().map(|(name, kind, _)| (name.clone(), *kind)));
            cookie = found.last().map_or(cookie, |(_, _, next)| *next);
            calls += 1;
            if used < 200 {
                break;
            }
        }
        assert!(calls > 40);
        assert_eq!(names[..2], [(".".to_owned(), 3), ("..".to_owned(), 3)]);
        let mut files: Vec<_> = names[2..].iter().map(|(name, _)| name.clone()).collect();
        files.sort();
        assert_eq!(files, (0..300).map(|at| format!("file-{at:03}")).collect::<Vec<_>>());
        assert!(names[2..].iter().all(|(_, kind)| *kind == 4));
        // all at once, across the batches of the host
        let buffer = program.room(20_000);
        program.ok("fd_readdir", &[fd.into(), buffer, 20_000, 0, out]).await;
        let used = program.get_u32(out) as usize;
        assert_eq!(entries(&program.get(buffer, used)).len(), 302);
        // a buffer too small for one entry is filled, and says so
        program.ok("fd_readdir", &[fd.into(), buffer, 10, 0, out]).await;
        assert_eq!(program.get_u32(out), 10);
        program.ok("fd_readdir", &[fd.into(), buffer, 0, 0, out]).await;
        assert_eq!(program.get_u32(out), 0);
        let file = program.open("etc/motd", 0, READ, 0).await.unwrap();
        assert_eq!(program.call("fd_readdir", &[file.into(), buffer, 10, 0, out]).await, errno::BADF);
    });
}
