//! Calls that take paths: flags, links, renames, and errors.

use wasmpod_kernel::mntns::Cred;

use crate::harness::{CREAT, DIRECTORY, EXCL, FOLLOW, Program, READ, Setup, TRUNC, WRITE, World, errno};

async fn make(program: &mut Program, path: &str, content: &[u8]) {
    let fd = program.open(path, CREAT, WRITE, 0).await.unwrap();
    program.write(fd, content).await.unwrap();
    program.ok("fd_close", &[fd.into()]).await;
}

async fn symlink(program: &mut Program, target: &str, path: &str) -> u32 {
    let (to, at) = (program.put(target.as_bytes()), program.put(path.as_bytes()));
    program.call("path_symlink", &[to, target.len() as u64, 3, at, path.len() as u64]).await
}

async fn two(program: &mut Program, name: &str, old: (u32, &str), new: (u32, &str)) -> u32 {
    let (from, to) = (program.put(old.1.as_bytes()), program.put(new.1.as_bytes()));
    let (from, to) = ([u64::from(old.0), from, old.1.len() as u64], [u64::from(new.0), to, new.1.len() as u64]);
    let args = match name {
        "path_link" => [&from[..1], &[0], &from[1..], &to].concat(),
        _ => [from, to].concat(),
    };
    program.call(name, &args).await
}

#[test]
fn the_open_flags_mean_what_they_mean_on_linux() {
    let world = World::new();
    world.run(async {
        let mut p = world.program(Setup::default()).await;
        assert_eq!(p.open("tmp/new", 0, READ, 0).await, Err(errno::NOENT));
        p.open("tmp/new", CREAT | EXCL, WRITE, 0).await.unwrap();
        assert_eq!(p.open("tmp/new", CREAT | EXCL, WRITE, 0).await, Err(errno::EXIST));
        make(&mut p, "tmp/new", b"content").await;
        p.open("tmp/new", CREAT, READ, 0).await.unwrap();
        assert_eq!(p.stat_at(3, FOLLOW, "tmp/new").await.unwrap().size, 7);
        p.open("tmp/new", TRUNC, WRITE, 0).await.unwrap();
        assert_eq!(p.stat_at(3, FOLLOW, "tmp/new").await.unwrap().size, 0);
        p.open("tmp", DIRECTORY, READ, 0).await.unwrap();
        assert_eq!(p.open("etc/motd", DIRECTORY, READ, 0).await, Err(errno::NOTDIR));
        assert_eq!(p.open("tmp", 0, WRITE, 0).await, Err(errno::ISDIR));
        assert_eq!(p.open("tmp", CREAT, READ, 0).await, Err(errno::ISDIR));
        for made in [CREAT, EXCL, TRUNC] {
            assert_eq!(p.open("tmp", DIRECTORY | made, READ, 0).await, Err(errno::INVAL));
        }
        for sync in [2, 8, 16] {
            assert_eq!(p.open("etc/motd", 0, READ, sync).await, Err(errno::NOTSUP));
        }
        assert_eq!(p.open("etc/motd", 16, READ, 0).await, Err(errno::INVAL));
        assert_eq!(p.open("etc/motd", 0, READ, 32).await, Err(errno::INVAL));
        assert_eq!(p.open_at(3, 2, "etc/motd", 0, READ, 0).await, Err(errno::INVAL));
        // what the path is relative to
        let file = p.open("etc/motd", 0, READ, 0).await.unwrap();
        assert_eq!(p.open_at(file, 0, "x", 0, READ, 0).await, Err(errno::NOTDIR));
        assert_eq!(p.open_at(0, 0, "x", 0, READ, 0).await, Err(errno::BADF));
        assert_eq!(p.open_at(99, 0, "x", 0, READ, 0).await, Err(errno::BADF));
        let etc = p.open("etc", DIRECTORY, READ, 0).await.unwrap();
        let motd = p.open_at(etc, 0, "motd", 0, READ, 0).await.unwrap();
        assert_eq!(p.read(motd, 99).await, Ok(b"welcome\n".to_vec()));
    });
}

#[test]
fn no_path_leaves_the_directory_it_starts_in() {
    let world = World::new();
    world.run(async {
        let mut p = world.program(Setup::default()).await;
        let tmp = p.open("tmp", DIRECTORY, READ, 0).await.unwrap();
        for outside in ["../etc/motd", "/etc/motd", "a/../../etc/motd", ".."] {
            let found = p.open_at(tmp, FOLLOW, outside, 0, READ, 0).await;
            assert!(matches!(found, Err(errno::PERM | errno::NOENT)), "{outside}: {found:?}");
        }
        // F5
        assert_eq!(symlink(&mut p, "../../../../etc/passwd", "tmp/escape").await, 0);
        assert_eq!(p.open_at(tmp, FOLLOW, "escape", 0, READ, 0).await, Err(errno::PERM));
        assert_eq!(p.open_at(tmp, 0, "escape", 0, READ, 0).await, Err(errno::LOOP), "a link that is not followed");
    });
}

#[test]
fn hostile_names_are_errors() {
    let world = World::new();
    world.run(async {
        let mut p = world.program(Setup::default()).await;
        assert_eq!(p.open("", 0, READ, 0).await, Err(errno::NOENT));
        assert_eq!(p.open("tmp/a\0b", CREAT, WRITE, 0).await, Err(errno::INVAL));
        assert_eq!(p.open(&"n".repeat(256), CREAT, WRITE, 0).await, Err(errno::NAMETOOLONG));
        assert_eq!(p.open(&"n/".repeat(2049), CREAT, WRITE, 0).await, Err(errno::NAMETOOLONG));
        assert_eq!(p.open(&"n".repeat(1 << 20), CREAT, WRITE, 0).await, Err(errno::NAMETOOLONG));
        p.clear();
        let (bad, out) = (p.put(&[b't', 0xff]), p.room(64));
        assert_eq!(p.call("path_filestat_get", &[3, 0, bad, 2, out]).await, errno::ILSEQ);
        assert_eq!(p.call("path_unlink_file", &[3, bad, 2]).await, errno::ILSEQ);
        assert_eq!(symlink(&mut p, "loop-b", "tmp/loop-a").await, 0);
        assert_eq!(symlink(&mut p, "loop-a", "tmp/loop-b").await, 0);
        assert_eq!(p.open("tmp/loop-a", 0, READ, 0).await, Err(errno::LOOP));
        assert_eq!(p.open("etc/motd/x", 0, READ, 0).await, Err(errno::NOTDIR));
        assert_eq!(p.open("etc/motd/", 0, READ, 0).await, Err(errno::NOTDIR), "F6");
    });
}

#[test]
fn directories_are_made_and_removed() {
    let world = World::new();
    world.run(async {
        let mut p = world.program(Setup::default()).await;
        assert_eq!(p.on_path("path_create_directory", 3, "tmp/d").await, 0);
        assert_eq!(p.on_path("path_create_directory", 3, "tmp/d").await, errno::EXIST);
        assert_eq!(p.on_path("path_create_directory", 3, "tmp/no/d").await, errno::NOENT);
        make(&mut p, "tmp/d/file", b"").await;
        assert_eq!(p.on_path("path_remove_directory", 3, "tmp/d").await, errno::NOTEMPTY);
        assert_eq!(p.on_path("path_remove_directory", 3, "tmp/d/file").await, errno::NOTDIR);
        let errno = p.on_path("path_unlink_file", 3, "tmp/d").await;
        assert!(matches!(errno, errno::ISDIR | errno::PERM), "{errno}");
        assert_eq!(p.on_path("path_unlink_file", 3, "tmp/d/file").await, 0);
        assert_eq!(p.on_path("path_unlink_file", 3, "tmp/d/file").await, errno::NOENT);
        assert_eq!(p.on_path("path_remove_directory", 3, "tmp/d").await, 0);
        assert_eq!(p.on_path("path_remove_directory", 0, "tmp").await, errno::BADF);
    });
}

#[test]
fn an_open_file_outlives_its_name() {
    let world = World::new();
    world.run(async {
        let mut p = world.program(Setup::default()).await;
        make(&mut p, "tmp/f", b"still here").await;
        let fd = p.open("tmp/f", 0, READ, 0).await.unwrap();
        assert_eq!(p.on_path("path_unlink_file", 3, "tmp/f").await, 0);
        assert_eq!(p.read(fd, 99).await, Ok(b"still here".to_vec()));
        assert_eq!(p.stat(fd).await.unwrap().nlink, 0);
    });
}

#[test]
fn links_are_made_read_and_followed() {
    let world = World::new();
    world.run(async {
        let mut p = world.program(Setup::default()).await;
        assert_eq!(symlink(&mut p, "f", "tmp/link").await, 0);
        make(&mut p, "tmp/f", b"12345").await;
        assert_eq!(p.stat_at(3, FOLLOW, "tmp/link").await.unwrap().size, 5);
        let link = p.stat_at(3, 0, "tmp/link").await.unwrap();
        assert_eq!((link.filetype, link.size), (7, 1));
        assert_eq!(p.stat_at(3, 2, "tmp/link").await, Err(errno::INVAL));
        let (path, buffer, out) = (p.put(b"tmp/link"), p.room(16), p.room(4));
        p.ok("path_readlink", &[3, path, 8, buffer, 16, out]).await;
        assert_eq!((p.get_u32(out), p.get(buffer, 1)), (1, b"f".to_vec()));
        p.ok("path_readlink", &[3, path, 8, buffer, 0, out]).await;
        assert_eq!(p.get_u32(out), 0, "cut off");
        let file = p.put(b"tmp/f");
        assert_eq!(p.call("path_readlink", &[3, file, 5, buffer, 16, out]).await, errno::INVAL);
        // hard links
        assert_eq!(two(&mut p, "path_link", (3, "tmp/f"), (3, "tmp/hard")).await, 0);
        let (a, b) = (p.stat_at(3, 0, "tmp/f").await.unwrap(), p.stat_at(3, 0, "tmp/hard").await.unwrap());
        assert_eq!((a.ino, a.nlink, b.nlink), (b.ino, 2, 2));
        assert_eq!(two(&mut p, "path_link", (3, "tmp/f"), (3, "tmp/hard")).await, errno::EXIST);
        assert_eq!(two(&mut p, "path_link", (3, "tmp/f"), (4, "hard")).await, errno::XDEV, "F7");
        let errno = two(&mut p, "path_link", (3, "tmp"), (3, "tmp2")).await;
        assert!(matches!(errno, errno::PERM), "{errno}");
        assert_eq!(two(&mut p, "path_link", (0, "a"), (3, "b")).await, errno::BADF);
        // a link that is followed is refused, not linked to, as in wasmtime
        let (old, new) = (p.put(b"tmp/link"), p.put(b"tmp/followed"));
        assert_eq!(p.call("path_link", &[3, FOLLOW, old, 8, 3, new, 12]).await, errno::INVAL);
        assert_eq!(symlink(&mut p, "/etc/motd", "tmp/absolute").await, errno::PERM, "the WIT's symlink-at");
        assert_eq!(p.stat_at(3, 0, "tmp/absolute").await, Err(errno::NOENT));
    });
}

#[test]
fn renames_replace_and_refuse_as_on_linux() {
    let world = World::new();
    world.run(async {
        let mut p = world.program(Setup::default()).await;
        make(&mut p, "tmp/a", b"a").await;
        make(&mut p, "tmp/b", b"bb").await;
        p.on_path("path_create_directory", 3, "tmp/d").await;
        assert_eq!(two(&mut p, "path_rename", (3, "tmp/a"), (3, "tmp/b")).await, 0);
        assert_eq!(p.stat_at(3, 0, "tmp/b").await.unwrap().size, 1);
        assert_eq!(p.stat_at(3, 0, "tmp/a").await, Err(errno::NOENT));
        assert_eq!(two(&mut p, "path_rename", (3, "tmp/b"), (3, "tmp/d")).await, errno::ISDIR);
        assert_eq!(two(&mut p, "path_rename", (3, "tmp/d"), (3, "tmp/b")).await, errno::NOTDIR);
        assert_eq!(two(&mut p, "path_rename", (3, "tmp/d"), (3, "tmp/d/e")).await, errno::INVAL);
        assert_eq!(two(&mut p, "path_rename", (3, "tmp/b"), (4, "b")).await, errno::XDEV);
        assert_eq!(two(&mut p, "path_rename", (3, "tmp/none"), (3, "tmp/x")).await, errno::NOENT);
        assert_eq!(two(&mut p, "path_rename", (3, "tmp/b"), (99, "b")).await, errno::BADF);
    });
}

#[test]
fn times_are_set_by_path() {
    let world = World::new();
    world.run(async {
        let mut p = world.program(Setup::default()).await;
        make(&mut p, "tmp/f", b"").await;
        assert_eq!(symlink(&mut p, "f", "tmp/l").await, 0);
        let path = p.put(b"tmp/l");
        p.ok("path_filestat_set_times", &[3, FOLLOW, path, 5, 7, 8, 1 | 4]).await;
        let stat = p.stat_at(3, FOLLOW, "tmp/l").await.unwrap();
        assert_eq!((stat.atime, stat.mtime), (7, 8));
        p.ok("path_filestat_set_times", &[3, 0, path, 5, 9, 10, 4]).await;
        assert_eq!(p.stat_at(3, 0, "tmp/l").await.unwrap().mtime, 10);
        assert_eq!(p.stat_at(3, FOLLOW, "tmp/l").await.unwrap().mtime, 8);
        assert_eq!(p.call("path_filestat_set_times", &[3, 0, path, 5, 0, 0, 3]).await, errno::INVAL);
    });
}

#[test]
fn permissions_are_those_of_the_user() {
    let world = World::new();
    world.run(async {
        let cred = Cred { uid: 1000, gid: 1000, groups: vec![] };
        let mut p = world.program(Setup { cred, ..Setup::default() }).await;
        assert_eq!(p.open("etc/motd", 0, WRITE, 0).await, Err(errno::ACCES));
        assert_eq!(p.open("secret/x", 0, READ, 0).await, Err(errno::ACCES));
        assert_eq!(p.open("etc/new", CREAT, WRITE, 0).await, Err(errno::ACCES));
        make(&mut p, "tmp/mine", b"x").await;
        p.open("etc/motd", 0, READ, 0).await.unwrap();
    });
}

#[test]
fn a_flood_of_descriptors_ends_in_emfile_and_makes_nothing() {
    let world = World::new();
    world.run(async {
        let mut p = world.program(Setup::default()).await;
        let mut opened = 0;
        let errno = loop {
            p.clear();
            match p.open("etc/motd", 0, READ, 0).await {
                Ok(_) => opened += 1,
                Err(errno) => break errno,
            }
            assert!(opened <= 1024);
        };
        assert_eq!((errno, opened), (errno::MFILE, 1024 - 8), "three streams and five directories");
        assert_eq!(p.open("tmp/not-made", CREAT, WRITE, 0).await, Err(errno::MFILE));
        assert_eq!(p.stat_at(3, 0, "tmp/not-made").await, Err(errno::NOENT));
        p.ok("fd_close", &[100]).await;
        assert_eq!(p.open("etc/motd", 0, READ, 0).await, Ok(100));
    });
}
