//! Open file descriptions: open flags, reading, writing, seeking, times, unlink while open.

use super::super::testing::{ROOT, Words, builder, clock, empty, memory};
use super::super::{FILE_SIZE_MAX, MountNs, MountOptions, OpenOptions, Quota, SeekFrom, SetTime, Volume};
use crate::Errno;
use crate::file::FileType;

const NEW: OpenOptions = OpenOptions::read_write_create();

#[test]
fn open_flags_mean_what_open_2_says() {
    let root = empty();
    root.put("f", "text").unwrap();
    root.mkdir("d").unwrap();
    root.symlink_at(ROOT, "f", "l").unwrap();
    root.symlink_at(ROOT, "new", "dangling").unwrap();
    let open = |path: &str, options: OpenOptions| root.open(path, options).map(drop);
    assert_eq!(open("f", OpenOptions { exclusive: true, ..NEW }), Err(Errno::Exist));
    assert_eq!(open("l", OpenOptions { exclusive: true, ..NEW }), Err(Errno::Exist));
    assert_eq!(open("l", OpenOptions { follow_symlinks: false, ..NEW }), Err(Errno::Loop));
    assert_eq!(open("f", OpenOptions { directory: true, ..OpenOptions::read_only() }), Err(Errno::NotDir));
    assert_eq!(open("d", OpenOptions { directory: true, ..NEW }), Err(Errno::Inval));
    assert_eq!(open("d", NEW), Err(Errno::IsDir));
    assert_eq!(open("d", OpenOptions { write: true, ..OpenOptions::read_only() }), Err(Errno::IsDir));
    assert_eq!(open("none", OpenOptions::read_only()), Err(Errno::NoEnt));
    assert_eq!(open("dangling", OpenOptions::read_only()), Err(Errno::NoEnt));
    open("dangling", NEW).unwrap();
    assert_eq!(root.stat_at(ROOT, "new", false).unwrap().file_type, FileType::Regular, "made through the link");
    assert_eq!(open("f/x", NEW), Err(Errno::NotDir));
    open("f", OpenOptions { truncate: true, write: true, ..OpenOptions::default() }).unwrap();
    assert_eq!(root.text("f").unwrap(), "");
}

#[test]
fn a_description_does_only_what_it_was_opened_for() {
    let root = empty();
    root.put("f", "text").unwrap();
    let reader = root.open("f", OpenOptions::read_only()).unwrap();
    let writer = root.open("f", OpenOptions { read: false, ..NEW }).unwrap();
    assert_eq!(reader.write(b"x"), Err(Errno::BadF));
    assert_eq!(reader.set_len(0), Err(Errno::Inval));
    assert_eq!(reader.allocate(0, 1), Err(Errno::BadF));
    assert_eq!(writer.read(&mut [0]), Err(Errno::BadF));
    assert_eq!(writer.read_at(&mut [0], 0), Err(Errno::BadF));
    assert_eq!(root.read(&mut [0]), Err(Errno::IsDir));
    assert_eq!(reader.read_dir(0, 1), Err(Errno::NotDir));
    assert_eq!(reader.open_at(ROOT, "x", NEW).unwrap_err(), Errno::NotDir);
    assert_eq!((reader.readable(), reader.writable(), writer.writable()), (true, false, true));
}

#[test]
fn offsets_move_as_lseek_2_says() {
    let root = empty();
    let file = root.open("f", NEW).unwrap();
    assert_eq!(file.write(b"hello world"), Ok(11));
    assert_eq!(file.seek(SeekFrom::Start(6)), Ok(6));
    let mut buf = [0; 16];
    assert_eq!(file.read(&mut buf), Ok(5));
    assert_eq!(&buf[..5], b"world");
    assert_eq!(file.read(&mut buf), Ok(0));
    assert_eq!(file.seek(SeekFrom::End(-5)), Ok(6));
    assert_eq!(file.seek(SeekFrom::Current(-7)), Err(Errno::Inval));
    assert_eq!(file.seek(SeekFrom::Current(i64::MIN)), Err(Errno::Inval));
    assert_eq!(file.seek(SeekFrom::Start(u64::MAX)), Err(Errno::Inval));
    assert_eq!(file.seek(SeekFrom::End(i64::MAX)), Err(Errno::Inval));
    assert_eq!(file.tell(), Ok(6));
    assert_eq!(file.seek(SeekFrom::End(4)), Ok(15));
    assert_eq!(file.write(b"!"), Ok(1));
    assert_eq!(root.text("f").unwrap(), "hello world\0\0\0\0!");
    assert_eq!(file.seek(SeekFrom::Start(FILE_SIZE_MAX)), Ok(FILE_SIZE_MAX));
    assert_eq!(file.write(b"!"), Err(Errno::FBig));
    assert_eq!(file.read(&mut buf), Ok(0));
}

#[test]
fn positional_calls_leave_the_offset_alone() {
    let root = empty();
    let file = root.open("f", NEW).unwrap();
    assert_eq!(file.write_at(b"abc", 2), Ok(3));
    let mut buf = [0; 8];
    assert_eq!((file.tell(), file.read_at(&mut buf, 1)), (Ok(0), Ok(4)));
    assert_eq!(&buf[..4], b"\0abc");
    assert_eq!(file.read_at(&mut buf, u64::MAX), Ok(0));
}

#[test]
fn appending_writes_at_the_end_whoever_else_writes() {
    let root = empty();
    let log = root.open("log", OpenOptions { append: true, ..NEW }).unwrap();
    let other = root.open("log", NEW).unwrap();
    log.write(b"a").unwrap();
    other.write(b"123").unwrap();
    log.write(b"b").unwrap();
    assert_eq!((root.text("log").unwrap().as_str(), log.tell()), ("123b", Ok(4)));
    log.set_append(false);
    log.seek(SeekFrom::Start(0)).unwrap();
    log.write(b"0").unwrap();
    assert_eq!(root.text("log").unwrap(), "023b");
}

#[test]
fn a_file_lives_on_while_it_is_open() {
    let quota = Quota::root("upper", None, None);
    let ns = MountNs::builder(clock(), memory()).root(vec![], quota.clone()).build().unwrap();
    let root = ns.root_dir();
    let file = root.open("f", NEW).unwrap();
    file.write(b"still here").unwrap();
    root.unlink_at(ROOT, "f").unwrap();
    root.put("f", "another").unwrap();
    let mut buf = [0; 16];
    assert_eq!(file.read_at(&mut buf, 0), Ok(10));
    assert_eq!(file.stat().unwrap().nlink, 0);
    assert!(!file.same_object(&root.open("f", OpenOptions::read_only()).unwrap()));
    assert_eq!(quota.usage().bytes, 8192);
    drop(file);
    assert_eq!((quota.usage().bytes, quota.usage().inodes), (4096, 1));
}

#[test]
fn times_move_with_reads_writes_and_by_hand() {
    let sim = wasmpod_sim::Sim::new_virtual(1);
    let ns =
        MountNs::builder(sim.clock().clone(), memory()).root(vec![], Quota::root("u", None, None)).build().unwrap();
    let root = ns.root_dir();
    let file = root.open("f", NEW).unwrap();
    let made = file.stat().unwrap();
    assert_eq!((made.atime, made.mtime), (sim.clock().wall(), sim.clock().wall()));
    let wait = |nanos| sim.block_on(sim.clock().sleep(std::time::Duration::from_nanos(nanos))).unwrap();
    wait(5);
    file.write(b"x").unwrap();
    wait(5);
    file.read_at(&mut [0], 0).unwrap();
    let stat = file.stat().unwrap();
    assert_eq!((stat.mtime - made.mtime, stat.ctime - made.ctime, stat.atime - made.atime), (5, 5, 10));
    wait(5);
    file.read_at(&mut [0], 0).unwrap();
    assert_eq!(file.stat().unwrap().atime, stat.atime, "relatime");
    file.set_times(SetTime::At(3), SetTime::Keep).unwrap();
    root.set_times_at(ROOT, "f", true, SetTime::Keep, SetTime::Now).unwrap();
    let stat = file.stat().unwrap();
    assert_eq!((stat.atime, stat.mtime, stat.ctime), (3, made.mtime + 15, made.mtime + 15));
    let dir = root.stat().unwrap().mtime;
    wait(1);
    root.mkdir("d").unwrap();
    assert_eq!(root.stat().unwrap().mtime, dir + 16, "a new name changes the directory");
}

#[test]
fn objects_are_told_apart() {
    let ns = builder(vec![]).mount("/v", Volume::tmpfs(Default::default()), MountOptions::default()).build().unwrap();
    let root = ns.root_dir();
    root.put("a", "").unwrap();
    root.put("v/a", "").unwrap();
    root.link_at(ROOT, "a", false, &root, "b").unwrap();
    let [a, b, other] = ["a", "b", "v/a"].map(|path| root.open(path, OpenOptions::read_only()).unwrap());
    assert!(a.same_object(&b) && !a.same_object(&other) && !a.same_object(&root));
    assert_eq!(a.object_hash(), b.object_hash());
    assert_ne!(a.object_hash(), other.object_hash());
    assert_ne!(a.stat().unwrap().dev, other.stat().unwrap().dev);
}
