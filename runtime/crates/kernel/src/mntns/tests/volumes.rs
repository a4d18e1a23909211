//! Volumes: limits, charges, the configMap layout and its swap, single files.

use super::super::testing::{ROOT, Words, builder, clock, memory_of, user};
use super::super::{Cred, FileEntry, FileOptions, MountNs, MountOptions, OpenOptions, Quota, TmpfsOptions, Volume};
use crate::Errno;
use crate::file::FileType;

const PLAIN: MountOptions = MountOptions { read_only: false, sub_path: None };

fn entries(files: &[(&str, &'static str)]) -> Vec<FileEntry> {
    files.iter().map(|(path, data)| FileEntry { path: (*path).into(), data: (*data).into(), mode: 0o640 }).collect()
}

#[test]
fn a_full_volume_is_enospc_until_room_is_made() {
    let node = Quota::root("node", Some(1 << 20), None);
    let options =
        TmpfsOptions { size_limit: Some(8192), inodes_limit: Some(3), quota: Some(node.clone()), ..Default::default() };
    let volume = Volume::tmpfs(options);
    let root = builder(vec![]).mount("/v", volume.clone(), PLAIN).build().unwrap().root_dir();
    assert_eq!(root.put("v/a", &"x".repeat(8193)), Err(Errno::NoSpc));
    assert_eq!((root.stat_at(ROOT, "v/a", true).unwrap().size, node.usage().bytes), (8192, 8192));
    assert_eq!(root.put("v/b", "x"), Err(Errno::NoSpc), "made, but not written");
    root.mkdir("v/c").unwrap();
    assert_eq!(root.mkdir("v/d"), Err(Errno::NoSpc), "F13");
    assert_eq!(root.link_at(ROOT, "v/a", false, &root, "v/d"), Err(Errno::NoSpc), "names are counted");
    root.unlink_at(ROOT, "v/a").unwrap();
    root.put("v/b", "x").unwrap();
    let usage = volume.usage();
    assert_eq!((usage.bytes, usage.bytes_limit, usage.inodes), (4096, Some(8192), 2));
    drop((root, volume));
    assert_eq!((node.usage().bytes, node.usage().inodes), (0, 0));
}

#[test]
fn memory_backed_bytes_are_charged_to_who_writes_them() {
    let volume = Volume::tmpfs(TmpfsOptions { memory_backed: true, ..TmpfsOptions::default() });
    let (one, two) = (memory_of(1 << 20), memory_of(20_000));
    let mount = |memory: &std::sync::Arc<crate::cgroup::Cgroup>| {
        let ns = MountNs::builder(clock(), memory.clone()).root(vec![], Quota::root("u", None, None));
        ns.mount("/v", volume.clone(), PLAIN).build().unwrap().root_dir()
    };
    let (a, b) = (mount(&one), mount(&two));
    a.put("v/f", &"x".repeat(10_000)).unwrap();
    let used = one.memory_stats().current;
    assert!((12_288..14_000).contains(&used), "three pages and a name: {used}");
    assert_eq!(two.memory_stats().current, 0);
    let file = b.open("v/f", OpenOptions { append: true, ..OpenOptions::read_write_create() }).unwrap();
    assert_eq!(file.write(&[1; 40_000]), Ok(2288 + 4 * 4096));
    assert_eq!(file.write(&[1]), Err(Errno::NoMem));
    assert_eq!(two.memory_stats().current, 4 * 4096);
    b.unlink_at(ROOT, "v/f").unwrap();
    drop(file);
    assert_eq!((one.memory_stats().current, two.memory_stats().current), (0, 0));
}

#[test]
fn a_config_map_has_the_layout_of_the_kubelet() {
    let now = 1_767_225_600_000_000_042; // 2026-01-01T00:00:00.000000042Z
    let volume = Volume::files(entries(&[("key", "value"), ("dir/sub/file", "deep"), ("dir/other", "")]), now).unwrap();
    let root = builder(vec![]).mount("/c", volume.clone(), PLAIN).build().unwrap().root_dir();
    let dated = "..2026_01_01_00_00_00.0000000042";
    assert_eq!(root.names("c").unwrap(), [dated, "..data", "dir", "key"]);
    assert_eq!(root.readlink_at(ROOT, "c/key").unwrap(), "..data/key");
    assert_eq!(root.readlink_at(ROOT, "c/..data").unwrap(), dated);
    assert_eq!(
        (root.text("c/key").unwrap().as_str(), root.text("c/dir/sub/file").unwrap().as_str()),
        ("value", "deep")
    );
    let stat = root.stat_at(ROOT, "c/key", true).unwrap();
    assert_eq!((stat.mode, stat.file_type, stat.mtime), (0o640, FileType::Regular, now));
    assert_eq!(root.put("c/key", "x"), Err(Errno::RoFs));
    assert_eq!(root.unlink_at(ROOT, "c/key"), Err(Errno::RoFs));
    assert_eq!(volume.read_file("key", 3).unwrap(), b"val");
}

#[test]
fn an_update_swaps_everything_at_once_and_leaves_open_files_alone() {
    let volume = Volume::files(entries(&[("a", "1"), ("b", "1")]), 10).unwrap();
    let root = builder(vec![]).mount("/c", volume.clone(), PLAIN).build().unwrap().root_dir();
    let open = root.open("c/a", OpenOptions::read_only()).unwrap();
    let data = root.dir("c/..data");
    volume.update(entries(&[("a", "2"), ("c", "2")]), 20).unwrap();
    assert_eq!(root.names("c").unwrap(), ["..1970_01_01_00_00_00.0000000020", "..data", "a", "c"]);
    assert_eq!((root.text("c/a").unwrap().as_str(), root.text("c/b")), ("2", Err(Errno::NoEnt)));
    let mut buf = [0; 4];
    assert_eq!((open.read(&mut buf), buf[0]), (Ok(1), b'1'));
    assert_eq!(data.text("b").unwrap(), "1", "a directory that is held still has the old");
    volume.update(entries(&[("a", "2"), ("c", "2")]), 30).unwrap();
    assert!(root.readlink_at(ROOT, "c/..data").unwrap().ends_with("20"), "the same again changes nothing");
    volume.update(entries(&[("a", "3")]), 20).unwrap();
    assert!(root.readlink_at(ROOT, "c/..data").unwrap().ends_with("21"), "a name that is taken is not used again");
    assert_eq!(Volume::file("x").update(vec![], 1), Err(Errno::OpNotSupp));
}

#[test]
fn bad_keys_are_refused_and_change_nothing() {
    let volume = Volume::files(entries(&[("a", "1")]), 10).unwrap();
    for bad in ["", "/abs", "..", "../x", "a/../b", "..data", "a//b", "a/", "./a", "nul\0"] {
        assert_eq!(volume.update(entries(&[(bad, "x")]), 20), Err(Errno::Inval), "{bad:?}");
    }
    assert_eq!(volume.update(entries(&[("x", "1"), ("x/y", "2")]), 20), Err(Errno::NotDir));
    assert_eq!(volume.update(entries(&[("x/y", "1"), ("x", "2")]), 20), Err(Errno::Exist));
    assert_eq!(volume.update(entries(&[("x", "1"), ("x", "2")]), 20), Err(Errno::Exist));
    assert_eq!(volume.update(entries(&[(&"n".repeat(300), "1")]), 20), Err(Errno::NameTooLong));
    let root = builder(vec![]).mount("/c", volume, PLAIN).build().unwrap().root_dir();
    assert_eq!(root.names("c").unwrap(), ["..1970_01_01_00_00_00.0000000010", "..data", "a"]);
}

#[test]
fn a_single_file_can_be_written_up_to_its_limit_but_not_replaced() {
    let pod = Quota::root("ephemeral", Some(1 << 20), None);
    let hosts = Volume::file_with(
        "127.0.0.1\tlocalhost\n",
        FileOptions { size_limit: 4096, quota: Some(pod.clone()), ..Default::default() },
    );
    let root = builder(vec![]).mount("/etc/hosts", hosts.clone(), PLAIN).build().unwrap().root_dir();
    assert_eq!(root.text("etc/hosts").unwrap(), "127.0.0.1\tlocalhost\n");
    let file = root.open("etc/hosts", OpenOptions { append: true, ..OpenOptions::read_write_create() }).unwrap();
    assert_eq!(file.write(&[b'x'; 5000]), Ok(4096 - 20));
    assert_eq!(file.write(b"x"), Err(Errno::NoSpc), "F14");
    assert_eq!(pod.usage().bytes, 4096);
    assert_eq!(root.unlink_at(ROOT, "etc/hosts"), Err(Errno::Busy));
    root.put("etc/new", "x").unwrap();
    assert_eq!(root.rename_at(ROOT, "etc/new", &root, "etc/hosts"), Err(Errno::Busy));
    assert_eq!(hosts.read_file("", 9).unwrap(), b"127.0.0.1");
}

#[test]
fn the_group_of_the_pod_may_read_its_secrets() {
    let secret = vec![FileEntry { path: "token".into(), data: "t".into(), mode: 0o400 }];
    let volume = Volume::files_of_group(secret, Some(2000), 1).unwrap();
    let root = builder(vec![]).mount("/s", volume, PLAIN).build().unwrap().root_dir();
    let read = |cred: &Cred| root.open_at(cred, "s/token", OpenOptions::read_only()).map(drop);
    assert_eq!(read(&Cred { uid: 1000, gid: 1000, groups: vec![2000] }), Ok(()));
    assert_eq!(read(&user(1000, 1000)), Err(Errno::Acces));
    let stat = root.stat_at(ROOT, "s/token", true).unwrap();
    assert_eq!((stat.gid, stat.mode), (2000, 0o440));
}
