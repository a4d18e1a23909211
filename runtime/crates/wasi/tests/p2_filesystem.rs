//! `wasi:filesystem` over the mount namespace: each call, and each error that a guest can provoke.

mod p2_support;

use std::sync::Arc;

use p2_support::{FsCode, World, b, fs_code, own};
use wasmpod_kernel::Errno;
use wasmpod_kernel::file::{Description, Descriptor, Stream};
use wasmpod_kernel::mntns::{TmpfsOptions, Volume};
use wasmpod_kernel::pipe::pipe;
use wasmpod_wasi::Ctx;
use wasmpod_wasi::p2::bindings::clocks::wall_clock::Datetime;
use wasmpod_wasi::p2::bindings::filesystem::preopens::Host as _;
use wasmpod_wasi::p2::bindings::filesystem::types::{
    Advice, DescriptorFlags, DescriptorType, Host as _, HostDescriptor, HostDirectoryEntryStream, NewTimestamp,
    OpenFlags, PathFlags,
};
use wasmpod_wasi::p2::filesystem::{FileFailure, FileHandle, FsError};
use wasmtime::component::Resource;
use wasmtime_wasi_io::bindings::wasi::io::streams::{HostInputStream, HostOutputStream};
use wasmtime_wasi_io::streams::StreamError;

const R: DescriptorFlags = DescriptorFlags::READ;
const W: DescriptorFlags = DescriptorFlags::WRITE;
const FOLLOW: PathFlags = PathFlags::SYMLINK_FOLLOW;
const CREATE: OpenFlags = OpenFlags::CREATE;

type Dir = Resource<FileHandle>;

fn rw() -> DescriptorFlags {
    R | W
}

fn none() -> PathFlags {
    PathFlags::empty()
}

fn plain() -> OpenFlags {
    OpenFlags::empty()
}

fn preopen(ctx: &mut Ctx, path: &str) -> Dir {
    let mut found = ctx.get_directories().unwrap();
    let at = found.iter().position(|(_, at)| at == path).unwrap();
    let kept = found.swap_remove(at).0;
    for (handle, _) in found {
        HostDescriptor::drop(ctx, handle).unwrap();
    }
    kept
}

fn open(ctx: &mut Ctx, dir: &Dir, path: &str, how: OpenFlags, flags: DescriptorFlags) -> Result<Dir, FsError> {
    ctx.open_at(b(dir), FOLLOW, path.to_owned(), how, flags)
}

fn write_file(ctx: &mut Ctx, dir: &Dir, path: &str, bytes: &[u8]) {
    let file = open(ctx, dir, path, CREATE | OpenFlags::TRUNCATE, W).unwrap();
    assert_eq!(HostDescriptor::write(ctx, b(&file), bytes.to_vec(), 0).unwrap(), bytes.len() as u64);
    HostDescriptor::drop(ctx, file).unwrap();
}

fn read_file(ctx: &mut Ctx, dir: &Dir, path: &str) -> Vec<u8> {
    let file = open(ctx, dir, path, plain(), R).unwrap();
    let (bytes, _) = HostDescriptor::read(ctx, b(&file), 1 << 20, 0).unwrap();
    HostDescriptor::drop(ctx, file).unwrap();
    bytes
}

fn names(ctx: &mut Ctx, dir: &Dir) -> Vec<String> {
    let stream = ctx.read_directory(b(dir)).unwrap();
    let mut names = Vec::new();
    while let Some(entry) = ctx.read_directory_entry(b(&stream)).unwrap() {
        names.push(entry.name);
    }
    HostDirectoryEntryStream::drop(ctx, stream).unwrap();
    names.sort();
    names
}

#[test]
fn the_preopens_are_the_root_and_the_mounts() {
    let (_world, mut ctx) = World::lone();
    let mut paths: Vec<_> = ctx.get_directories().unwrap().into_iter().map(|(_, path)| path).collect();
    paths.sort();
    assert_eq!(paths, [".", "/", "/data", "/dev", "/ro", "data", "ro"]);
    let root = preopen(&mut ctx, "/");
    assert_eq!(names(&mut ctx, &root), ["data", "dev", "ro"]);
    assert_eq!(ctx.get_type(b(&root)).unwrap(), DescriptorType::Directory);
    assert_eq!(ctx.get_flags(b(&root)).unwrap(), R | DescriptorFlags::MUTATE_DIRECTORY);
}

#[test]
fn opening_follows_its_flags() {
    let (_world, mut ctx) = World::lone();
    let dir = preopen(&mut ctx, "/data");
    assert_eq!(fs_code(open(&mut ctx, &dir, "a", plain(), R)), FsCode::NoEntry);
    let file = open(&mut ctx, &dir, "a", CREATE | OpenFlags::EXCLUSIVE, rw()).unwrap();
    assert_eq!(ctx.get_flags(b(&file)).unwrap(), rw());
    assert_eq!(ctx.get_type(b(&file)).unwrap(), DescriptorType::RegularFile);
    assert_eq!(fs_code(open(&mut ctx, &dir, "a", CREATE | OpenFlags::EXCLUSIVE, rw())), FsCode::Exist);
    assert_eq!(fs_code(open(&mut ctx, &dir, "a", OpenFlags::DIRECTORY, R)), FsCode::NotDirectory);
    assert_eq!(fs_code(open(&mut ctx, &dir, "a", OpenFlags::DIRECTORY | CREATE, R)), FsCode::Invalid);
    assert_eq!(fs_code(open(&mut ctx, &file, "b", CREATE, rw())), FsCode::NotDirectory);
    assert_eq!(fs_code(open(&mut ctx, &dir, "a/", plain(), R)), FsCode::NotDirectory);

    HostDescriptor::write(&mut ctx, b(&file), b"content".to_vec(), 0).unwrap();
    open(&mut ctx, &dir, "a", OpenFlags::TRUNCATE, W).unwrap();
    assert_eq!(ctx.stat(b(&file)).unwrap().size, 0);

    ctx.create_directory_at(b(&dir), "sub".to_owned()).unwrap();
    assert_eq!(fs_code(ctx.create_directory_at(b(&dir), "sub".to_owned())), FsCode::Exist);
    let sub = open(&mut ctx, &dir, "sub", OpenFlags::DIRECTORY, R).unwrap();
    assert_eq!(ctx.get_flags(b(&sub)).unwrap(), R);
    assert_eq!(fs_code(open(&mut ctx, &dir, "sub", plain(), W)), FsCode::IsDirectory);
    // a directory opened for reading can be changed, as libc expects
    write_file(&mut ctx, &sub, "inner", b"1");
    assert_eq!(read_file(&mut ctx, &dir, "sub/inner"), b"1");
    // as wasmtime's host; the adapter of preview 1 passes FDFLAGS_SYNC and its like on to here
    for sync in [
        DescriptorFlags::FILE_INTEGRITY_SYNC,
        DescriptorFlags::DATA_INTEGRITY_SYNC,
        DescriptorFlags::REQUESTED_WRITE_SYNC,
    ] {
        assert_eq!(fs_code(open(&mut ctx, &dir, "a", plain(), W | sync)), FsCode::Unsupported);
    }
    ctx.sync(b(&file)).unwrap();
    ctx.sync_data(b(&file)).unwrap();
    ctx.sync(b(&dir)).unwrap();
}

#[test]
fn paths_do_not_leave_their_directory() {
    let (_world, mut ctx) = World::lone();
    let root = preopen(&mut ctx, "/");
    write_file(&mut ctx, &root, "secret", b"1");
    let dir = preopen(&mut ctx, "/data");
    for path in ["../secret", "/secret", "/", "..", "x/../../secret"] {
        let code = fs_code(open(&mut ctx, &dir, path, plain(), R));
        assert!(matches!(code, FsCode::NotPermitted | FsCode::NoEntry), "{path}: {code:?}");
    }
    assert_eq!(fs_code(ctx.stat_at(b(&dir), FOLLOW, "../secret".to_owned())), FsCode::NotPermitted);
    assert_eq!(fs_code(ctx.create_directory_at(b(&dir), "../x".to_owned())), FsCode::NotPermitted);
    assert_eq!(fs_code(ctx.unlink_file_at(b(&dir), "../secret".to_owned())), FsCode::NotPermitted);
    assert_eq!(fs_code(ctx.rename_at(b(&dir), "../secret".to_owned(), b(&dir), "x".to_owned())), FsCode::NotPermitted);
    ctx.symlink_at(b(&dir), "../secret".to_owned(), "way-out".to_owned()).unwrap();
    assert_eq!(fs_code(ctx.symlink_at(b(&dir), "/etc".to_owned(), "absolute".to_owned())), FsCode::NotPermitted);
    assert_eq!(fs_code(open(&mut ctx, &dir, "way-out", plain(), R)), FsCode::NotPermitted);
    assert_eq!(fs_code(ctx.stat_at(b(&dir), FOLLOW, "way-out".to_owned())), FsCode::NotPermitted);
    assert_eq!(ctx.stat_at(b(&dir), none(), "way-out".to_owned()).unwrap().type_, DescriptorType::SymbolicLink);
    let long = "x".repeat(256);
    assert_eq!(fs_code(open(&mut ctx, &dir, &long, CREATE, W)), FsCode::NameTooLong);
    assert_eq!(fs_code(open(&mut ctx, &dir, "", plain(), R)), FsCode::NoEntry);
    assert_eq!(fs_code(open(&mut ctx, &dir, "a\0b", CREATE, W)), FsCode::Invalid);
}

#[test]
fn positional_reads_and_writes() {
    let (_world, mut ctx) = World::lone();
    let dir = preopen(&mut ctx, "/data");
    let file = open(&mut ctx, &dir, "f", CREATE, rw()).unwrap();
    assert_eq!(HostDescriptor::write(&mut ctx, b(&file), b"hello".to_vec(), 0).unwrap(), 5);
    assert_eq!(HostDescriptor::write(&mut ctx, b(&file), b"there".to_vec(), 10).unwrap(), 5);
    let (bytes, end) = HostDescriptor::read(&mut ctx, b(&file), 100, 0).unwrap();
    assert_eq!((bytes.as_slice(), end), (&b"hello\0\0\0\0\0there"[..], false));
    assert_eq!(HostDescriptor::read(&mut ctx, b(&file), 3, 13).unwrap(), (b"re".to_vec(), false));
    assert_eq!(HostDescriptor::read(&mut ctx, b(&file), 3, 15).unwrap(), (Vec::new(), true));
    assert_eq!(HostDescriptor::read(&mut ctx, b(&file), u64::MAX, 1 << 40).unwrap(), (Vec::new(), true));
    ctx.set_size(b(&file), 2).unwrap();
    assert_eq!(read_file(&mut ctx, &dir, "f"), b"he");
    ctx.advise(b(&file), 0, 10, Advice::Sequential).unwrap();

    // what a read-only or write-only descriptor may not
    let reader = open(&mut ctx, &dir, "f", plain(), R).unwrap();
    assert_eq!(fs_code(HostDescriptor::write(&mut ctx, b(&reader), b"x".to_vec(), 0)), FsCode::BadDescriptor);
    assert_eq!(fs_code(ctx.write_via_stream(b(&reader), 0)), FsCode::BadDescriptor);
    assert_eq!(fs_code(ctx.append_via_stream(b(&reader))), FsCode::BadDescriptor);
    let code = fs_code(ctx.set_size(b(&reader), 0));
    assert!(matches!(code, FsCode::Invalid | FsCode::BadDescriptor), "{code:?}");
    let writer = open(&mut ctx, &dir, "f", plain(), W).unwrap();
    assert_eq!(fs_code(HostDescriptor::read(&mut ctx, b(&writer), 1, 0)), FsCode::BadDescriptor);
    assert_eq!(fs_code(ctx.read_via_stream(b(&writer), 0)), FsCode::BadDescriptor);

    // what a directory may not
    assert_eq!(fs_code(HostDescriptor::read(&mut ctx, b(&dir), 1, 0)), FsCode::BadDescriptor);
    assert_eq!(fs_code(HostDescriptor::write(&mut ctx, b(&dir), b"x".to_vec(), 0)), FsCode::BadDescriptor);
    assert_eq!(fs_code(ctx.set_size(b(&dir), 0)), FsCode::BadDescriptor);
    assert_eq!(fs_code(ctx.advise(b(&dir), 0, 0, Advice::Normal)), FsCode::BadDescriptor);
    assert_eq!(fs_code(ctx.read_via_stream(b(&dir), 0)), FsCode::IsDirectory);
    assert_eq!(fs_code(ctx.write_via_stream(b(&dir), 0)), FsCode::BadDescriptor);
    assert_eq!(fs_code(ctx.read_directory(b(&file))), FsCode::NotDirectory);
    assert_eq!(fs_code(ctx.stat_at(b(&file), none(), "x".to_owned())), FsCode::NotDirectory);
    assert!(matches!(ctx.stat(Resource::new_borrow(9999)), Err(FsError::Trap(_))));
}

#[test]
fn streams_keep_their_own_offsets() {
    let (world, mut ctx) = World::lone();
    world
        .sim
        .block_on(async {
            let dir = preopen(&mut ctx, "/data");
            let file = open(&mut ctx, &dir, "f", CREATE, rw()).unwrap();
            let at_0 = ctx.write_via_stream(b(&file), 0).unwrap();
            let at_6 = ctx.write_via_stream(b(&file), 6).unwrap();
            for text in ["wo", "rld"] {
                ctx.blocking_write_and_flush(b(&at_6), text.as_bytes().to_vec()).await.unwrap();
            }
            assert_eq!(HostOutputStream::check_write(&mut ctx, b(&at_0)).unwrap(), 64 * 1024);
            HostOutputStream::write(&mut ctx, b(&at_0), b"hel".to_vec()).unwrap();
            HostOutputStream::write(&mut ctx, b(&at_0), b"lo ".to_vec()).unwrap();
            ctx.blocking_flush(b(&at_0)).await.unwrap();
            assert_eq!(read_file(&mut ctx, &dir, "f"), b"hello world");

            let input = ctx.read_via_stream(b(&file), 4).unwrap();
            assert_eq!(HostInputStream::read(&mut ctx, b(&input), 3).unwrap(), b"o w");
            assert_eq!(HostInputStream::skip(&mut ctx, b(&input), 1).unwrap(), 1);
            assert_eq!(ctx.blocking_read(b(&input), 100).await.unwrap(), b"rld");
            assert!(matches!(ctx.blocking_read(b(&input), 1).await, Err(StreamError::Closed)));
            // a log that grows is read on, as with tail -f
            let end = ctx.append_via_stream(b(&file)).unwrap();
            ctx.blocking_write_and_flush(b(&end), b"!".to_vec()).await.unwrap();
            assert_eq!(ctx.blocking_read(b(&input), 100).await.unwrap(), b"!");
        })
        .unwrap();
}

#[test]
fn a_large_read_is_whole() {
    let (world, mut ctx) = World::lone();
    world
        .sim
        .block_on(async {
            let dir = preopen(&mut ctx, "/data");
            let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
            write_file(&mut ctx, &dir, "f", &bytes);
            let file = open(&mut ctx, &dir, "f", plain(), R).unwrap();
            let input = ctx.read_via_stream(b(&file), 0).unwrap();
            let mut read = Vec::new();
            for size in [1, 4095, 4096, 4097, u64::MAX].into_iter().cycle() {
                match ctx.blocking_read(b(&input), size).await {
                    Ok(chunk) => {
                        assert!(!chunk.is_empty() && chunk.len() as u64 <= size.min(64 * 1024));
                        read.extend(chunk);
                    }
                    Err(StreamError::Closed) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            assert!(read == bytes);
        })
        .unwrap();
}

#[test]
fn appends_of_two_processes_never_overwrite() {
    let world = World::new();
    let volume = Volume::tmpfs(TmpfsOptions::default());
    let net = world.pod("pod");
    let mut one = world.process_on("one", &net, &["one"], &[], volume.clone());
    let mut two = world.process_on("two", &net, &["two"], &[], volume);
    world
        .sim
        .block_on(async {
            let (dir_1, dir_2) = (preopen(&mut one, "/data"), preopen(&mut two, "/data"));
            let file_1 = open(&mut one, &dir_1, "log", CREATE, rw()).unwrap();
            let file_2 = open(&mut two, &dir_2, "log", plain(), rw()).unwrap();
            let (log_1, log_2) =
                (one.append_via_stream(b(&file_1)).unwrap(), two.append_via_stream(b(&file_2)).unwrap());
            for _ in 0..50 {
                one.blocking_write_and_flush(b(&log_1), b"one\n".to_vec()).await.unwrap();
                two.blocking_write_and_flush(b(&log_2), b"two\n".to_vec()).await.unwrap();
            }
            // and a positional write through the same descriptor stays where it belongs
            HostDescriptor::write(&mut one, b(&file_1), b"ONE".to_vec(), 0).unwrap();
            assert_eq!(read_file(&mut two, &dir_2, "log"), format!("ONE\ntwo\n{}", "one\ntwo\n".repeat(49)).as_bytes());
        })
        .unwrap();
}

#[test]
fn names_are_made_linked_renamed_and_removed() {
    let (_world, mut ctx) = World::lone();
    let dir = preopen(&mut ctx, "/data");
    write_file(&mut ctx, &dir, "a", b"1");
    ctx.link_at(b(&dir), none(), "a".to_owned(), b(&dir), "b".to_owned()).unwrap();
    assert_eq!(ctx.stat_at(b(&dir), none(), "a".to_owned()).unwrap().link_count, 2);
    assert_eq!(fs_code(ctx.link_at(b(&dir), FOLLOW, "a".to_owned(), b(&dir), "c".to_owned())), FsCode::Invalid);
    assert_eq!(fs_code(ctx.link_at(b(&dir), none(), "a".to_owned(), b(&dir), "b".to_owned())), FsCode::Exist);
    ctx.symlink_at(b(&dir), "a".to_owned(), "s".to_owned()).unwrap();
    assert_eq!(ctx.readlink_at(b(&dir), "s".to_owned()).unwrap(), "a");
    assert_eq!(fs_code(ctx.readlink_at(b(&dir), "a".to_owned())), FsCode::Invalid);
    assert_eq!(read_file(&mut ctx, &dir, "s"), b"1");
    assert_eq!(fs_code(ctx.open_at(b(&dir), none(), "s".to_owned(), plain(), R)), FsCode::Loop);
    ctx.create_directory_at(b(&dir), "d".to_owned()).unwrap();
    let sub = open(&mut ctx, &dir, "d", OpenFlags::DIRECTORY, R).unwrap();
    ctx.rename_at(b(&dir), "b".to_owned(), b(&sub), "moved".to_owned()).unwrap();
    assert_eq!(names(&mut ctx, &dir), ["a", "d", "s"]);
    assert_eq!(names(&mut ctx, &sub), ["moved"]);
    assert_eq!(fs_code(ctx.remove_directory_at(b(&dir), "d".to_owned())), FsCode::NotEmpty);
    assert_eq!(fs_code(ctx.remove_directory_at(b(&dir), "a".to_owned())), FsCode::NotDirectory);
    let code = fs_code(ctx.unlink_file_at(b(&dir), "d".to_owned()));
    assert!(matches!(code, FsCode::IsDirectory | FsCode::NotPermitted), "{code:?}");
    assert_eq!(fs_code(ctx.unlink_file_at(b(&dir), "none".to_owned())), FsCode::NoEntry);
    ctx.unlink_file_at(b(&sub), "moved".to_owned()).unwrap();
    ctx.remove_directory_at(b(&dir), "d".to_owned()).unwrap();
    // a file whose name is gone lives on while it is open
    let file = open(&mut ctx, &dir, "a", plain(), rw()).unwrap();
    ctx.unlink_file_at(b(&dir), "a".to_owned()).unwrap();
    assert_eq!(HostDescriptor::read(&mut ctx, b(&file), 9, 0).unwrap().0, b"1");
    assert_eq!(ctx.stat(b(&file)).unwrap().link_count, 0);
    let other = preopen(&mut ctx, "/");
    assert_eq!(fs_code(ctx.rename_at(b(&dir), "s".to_owned(), b(&other), "s".to_owned())), FsCode::CrossDevice);
}

#[test]
fn a_directory_of_many_entries_is_listed_once_each() {
    let (_world, mut ctx) = World::lone();
    let dir = preopen(&mut ctx, "/data");
    for number in 0..300 {
        write_file(&mut ctx, &dir, &format!("f{number:03}"), b"");
    }
    let listed = names(&mut ctx, &dir);
    assert_eq!(listed.len(), 300);
    assert!(listed.windows(2).all(|pair| pair[0] < pair[1]) && listed[0] == "f000");
    let empty = {
        ctx.create_directory_at(b(&dir), "empty".to_owned()).unwrap();
        open(&mut ctx, &dir, "empty", OpenFlags::DIRECTORY, R).unwrap()
    };
    assert!(names(&mut ctx, &empty).is_empty());
}

#[test]
fn times_and_identity() {
    let (world, mut ctx) = World::lone();
    let dir = preopen(&mut ctx, "/data");
    write_file(&mut ctx, &dir, "a", b"1");
    write_file(&mut ctx, &dir, "z", b"1");
    let file = open(&mut ctx, &dir, "a", plain(), rw()).unwrap();
    let at = |seconds, nanoseconds| NewTimestamp::Timestamp(Datetime { seconds, nanoseconds });
    ctx.set_times(b(&file), at(1, 5), NewTimestamp::NoChange).unwrap();
    ctx.set_times_at(b(&dir), FOLLOW, "a".to_owned(), NewTimestamp::NoChange, at(2, 7)).unwrap();
    let stat = ctx.stat(b(&file)).unwrap();
    let time = stat.data_access_timestamp.unwrap();
    assert_eq!((time.seconds, time.nanoseconds), (1, 5));
    let time = stat.data_modification_timestamp.unwrap();
    assert_eq!((time.seconds, time.nanoseconds), (2, 7));
    assert_eq!(fs_code(ctx.set_times(b(&file), at(u64::MAX, 0), NewTimestamp::Now)), FsCode::Overflow);
    ctx.set_times(b(&file), NewTimestamp::Now, NewTimestamp::Now).unwrap();
    let now = world.sim.clock().wall();
    assert_eq!(ctx.stat(b(&file)).unwrap().data_modification_timestamp.unwrap().seconds, now / 1_000_000_000);

    let same = open(&mut ctx, &dir, "a", plain(), R).unwrap();
    let other = open(&mut ctx, &dir, "z", plain(), R).unwrap();
    assert!(ctx.is_same_object(b(&file), b(&same)).unwrap() && !ctx.is_same_object(b(&file), b(&other)).unwrap());
    let hash = |value: wasmpod_wasi::p2::bindings::filesystem::types::MetadataHashValue| (value.lower, value.upper);
    let of_file = hash(ctx.metadata_hash(b(&file)).unwrap());
    assert_eq!(of_file, hash(ctx.metadata_hash_at(b(&dir), none(), "a".to_owned()).unwrap()));
    assert_ne!(of_file, hash(ctx.metadata_hash(b(&other)).unwrap()));
    assert_eq!(fs_code(ctx.metadata_hash_at(b(&dir), none(), "none".to_owned())), FsCode::NoEntry);
}

#[test]
fn a_read_only_mount_refuses_changes() {
    let (_world, mut ctx) = World::lone();
    let data = preopen(&mut ctx, "/data");
    write_file(&mut ctx, &data, "a", b"1");
    let ro = preopen(&mut ctx, "/ro");
    assert_eq!(read_file(&mut ctx, &ro, "a"), b"1");
    assert_eq!(fs_code(open(&mut ctx, &ro, "new", CREATE, W)), FsCode::ReadOnly);
    assert_eq!(fs_code(open(&mut ctx, &ro, "a", plain(), W)), FsCode::ReadOnly);
    assert_eq!(fs_code(open(&mut ctx, &ro, "a", OpenFlags::TRUNCATE, R)), FsCode::ReadOnly);
    assert_eq!(fs_code(ctx.create_directory_at(b(&ro), "d".to_owned())), FsCode::ReadOnly);
    assert_eq!(fs_code(ctx.unlink_file_at(b(&ro), "a".to_owned())), FsCode::ReadOnly);
    assert_eq!(fs_code(ctx.rename_at(b(&ro), "a".to_owned(), b(&ro), "b".to_owned())), FsCode::ReadOnly);
    assert_eq!(fs_code(ctx.symlink_at(b(&ro), "a".to_owned(), "s".to_owned())), FsCode::ReadOnly);
    let now = || NewTimestamp::Now;
    assert_eq!(fs_code(ctx.set_times_at(b(&ro), none(), "a".to_owned(), now(), now())), FsCode::ReadOnly);
}

#[test]
fn a_full_volume_is_insufficient_space_and_its_stream_says_so() {
    let (world, mut ctx) = World::lone();
    world
        .sim
        .block_on(async {
            let dir = preopen(&mut ctx, "/data");
            let file = open(&mut ctx, &dir, "f", CREATE, rw()).unwrap();
            let mut at = 0;
            let code = loop {
                match HostDescriptor::write(&mut ctx, b(&file), vec![1; 256 * 1024], at) {
                    Ok(written) => at += written,
                    result => break fs_code(result),
                }
                assert!(at <= 1 << 20);
            };
            assert_eq!(code, FsCode::InsufficientSpace);
            let output = ctx.write_via_stream(b(&file), at).unwrap();
            let error = ctx.blocking_write_and_flush(b(&output), vec![0; 4096]).await.unwrap_err();
            let StreamError::LastOperationFailed(error) = error else { panic!("{error}") };
            assert_eq!(error.downcast_ref::<FileFailure>(), Some(&FileFailure(Errno::NoSpc)));
            let error = ctx.table.push(error).unwrap();
            assert_eq!(ctx.filesystem_error_code(b(&error)).unwrap(), Some(FsCode::InsufficientSpace));
            assert!(matches!(HostOutputStream::check_write(&mut ctx, b(&output)), Err(StreamError::Closed)));
            let foreign = ctx.table.push(wasmtime::format_err!("something else")).unwrap();
            assert_eq!(ctx.filesystem_error_code(b(&foreign)).unwrap(), None);
        })
        .unwrap();
}

#[test]
fn a_flood_of_descriptors_ends_and_dropping_helps() {
    let (_world, mut ctx) = World::lone();
    let dir = preopen(&mut ctx, "/data");
    write_file(&mut ctx, &dir, "a", b"1");
    let mut held = Vec::new();
    let code = loop {
        match open(&mut ctx, &dir, "a", plain(), R) {
            Ok(handle) => held.push(handle),
            result => break fs_code(result),
        }
    };
    assert_eq!(code, FsCode::InsufficientMemory);
    assert_eq!(held.len(), wasmpod_kernel::file::MAX_DESCRIPTORS - 1);
    // at the limit nothing is made or cut
    assert_eq!(fs_code(open(&mut ctx, &dir, "b", CREATE, W)), FsCode::InsufficientMemory);
    assert_eq!(fs_code(open(&mut ctx, &dir, "a", OpenFlags::TRUNCATE, W)), FsCode::InsufficientMemory);
    assert_eq!(names(&mut ctx, &dir), ["a"]);
    assert_eq!(ctx.stat(b(&held[0])).unwrap().size, 1);
    HostDescriptor::drop(&mut ctx, own(&held.pop().unwrap())).unwrap();
    open(&mut ctx, &dir, "b", CREATE, W).unwrap();
}

#[test]
fn every_call_is_charged() {
    let (_world, mut ctx) = World::lone();
    let dir = preopen(&mut ctx, "/data");
    let file = open(&mut ctx, &dir, "a", CREATE, rw()).unwrap();
    ctx.take_host_fuel();
    HostDescriptor::write(&mut ctx, b(&file), vec![0; 64 * 1024], 0).unwrap();
    let large = ctx.take_host_fuel();
    HostDescriptor::write(&mut ctx, b(&file), vec![0; 64], 0).unwrap();
    let small = ctx.take_host_fuel();
    assert!(large > small + 30_000 && small > 0);
    ctx.stat_at(b(&dir), none(), "a".to_owned()).unwrap();
    assert!(ctx.take_host_fuel() >= 1000);
}

#[test]
fn devices_are_streams_without_offsets() {
    let world = World::new();
    let net = world.pod("pod");
    let mut ctx = world.process("pod", &net);
    let (log, output) = pipe(&world.node).unwrap();
    let output: Arc<dyn Stream> = Arc::new(output);
    for _ in 0..3 {
        ctx.process.fds.lock().insert(Descriptor::new(Description::Stream(output.clone()))).unwrap();
    }
    world
        .sim
        .block_on(async {
            let dev = preopen(&mut ctx, "/dev");
            let zero = open(&mut ctx, &dev, "zero", plain(), R).unwrap();
            assert_eq!(ctx.get_type(b(&zero)).unwrap(), DescriptorType::CharacterDevice);
            let input = ctx.read_via_stream(b(&zero), 77).unwrap();
            assert_eq!(ctx.blocking_read(b(&input), u64::MAX).await.unwrap(), vec![0; 64 * 1024]);
            assert_eq!(HostDescriptor::read(&mut ctx, b(&zero), 4, 0).unwrap(), (vec![0; 4], false));
            let random = open(&mut ctx, &dev, "urandom", plain(), R).unwrap();
            let input = ctx.read_via_stream(b(&random), 0).unwrap();
            assert_eq!(ctx.blocking_read(b(&input), 3).await.unwrap(), [4; 3]);
            let null = open(&mut ctx, &dev, "null", plain(), rw()).unwrap();
            let sink = ctx.write_via_stream(b(&null), 5).unwrap();
            ctx.blocking_write_and_flush(b(&sink), vec![1; 4096]).await.unwrap();
            let input = ctx.read_via_stream(b(&null), 0).unwrap();
            assert!(matches!(ctx.blocking_read(b(&input), 1).await, Err(StreamError::Closed)));
            let full = open(&mut ctx, &dev, "full", plain(), W).unwrap();
            assert_eq!(fs_code(HostDescriptor::write(&mut ctx, b(&full), vec![1], 0)), FsCode::InsufficientSpace);
            // /dev/stdout is the process' own output
            let stdout = open(&mut ctx, &dev, "stdout", plain(), W).unwrap();
            let stream = ctx.append_via_stream(b(&stdout)).unwrap();
            ctx.blocking_write_and_flush(b(&stream), b"said".to_vec()).await.unwrap();
            let mut buffer = [0; 8];
            assert_eq!(log.read(&mut buffer).unwrap(), 4);
            assert_eq!(&buffer[..4], b"said");
        })
        .unwrap();
}
