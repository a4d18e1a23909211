//! Images: layers over layers under a writable tree.

use bytes::Bytes;
use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::super::testing::{ROOT, Words, builder, clock, layer, memory};
use super::super::{Layer, LayerEntry, LayerEntryKind, LayerLimits, MountNs, OpenOptions, Quota};
use crate::Errno;
use crate::file::FileType;

fn refuse(path: &str, kind: LayerEntryKind) -> String {
    let entry = |path: &str, kind| LayerEntry { path: path.to_owned(), kind, mode: 0o644, uid: 0, gid: 0, mtime: 0 };
    let before = [
        entry("file", LayerEntryKind::File(Bytes::from_static(b"x"))),
        entry("link", LayerEntryKind::Symlink("/etc".into())),
        entry(path, kind),
    ];
    Layer::from_entries(before, &LayerLimits::default()).unwrap_err().reason
}

#[test]
fn upper_layers_hide_and_merge_with_lower_ones() {
    let base = layer(&[("etc/a", "base a"), ("etc/b", "base b"), ("bin/sh", "sh"), ("opt/x/y", "y"), ("tmp/", "")]);
    let top = layer(&[
        ("etc/a", "top a"),
        ("!etc/b", ""),
        ("etc/c", "top c"),
        ("opt/", "opaque"),
        ("opt/z", "z"),
        ("bin", "-> usr/bin"),
    ]);
    let root = builder(vec![base, top]).build().unwrap().root_dir();
    assert_eq!(root.names("etc").unwrap(), ["a", "c"]);
    assert_eq!(root.text("etc/a").unwrap(), "top a");
    assert_eq!(root.text("etc/b"), Err(Errno::NoEnt));
    assert_eq!(root.names("opt").unwrap(), ["z"]);
    assert_eq!(root.readlink_at(ROOT, "bin").unwrap(), "usr/bin");
    assert_eq!(root.names(".").unwrap(), ["bin", "etc", "opt", "tmp"]);
}

#[test]
fn a_file_or_a_whiteout_between_two_directories_parts_them() {
    let layers = [
        layer(&[("d/old", "1"), ("e/old", "1")]),
        layer(&[("d", "a file"), ("!e", "")]),
        layer(&[("d/new", "3"), ("e/new", "3")]),
    ];
    let root = builder(layers.to_vec()).build().unwrap().root_dir();
    assert_eq!((root.names("d").unwrap(), root.names("e").unwrap()), (vec!["new".to_owned()], vec!["new".to_owned()]));
}

#[test]
fn containers_of_one_image_change_it_each_for_itself() {
    let image = vec![layer(&[("etc/motd", "hello"), ("etc/other", "x"), ("bin/tool", "tool")])];
    let quota = Quota::root("upper", None, None);
    let ns = MountNs::builder(clock(), memory()).root(image.clone(), quota.clone()).build().unwrap();
    let (one, two) = (ns.root_dir(), builder(image).build().unwrap().root_dir());
    let before = one.stat_at(ROOT, "etc/motd", true).unwrap();
    assert_eq!((quota.usage().bytes, quota.usage().inodes), (0, 0), "reading costs nothing");
    let file = one.open("etc/motd", OpenOptions { append: true, ..OpenOptions::read_write_create() }).unwrap();
    file.write(b" one").unwrap();
    one.unlink_at(ROOT, "etc/other").unwrap();
    one.rename_at(ROOT, "bin", &one, "sbin").unwrap();
    one.chmod_at(ROOT, "sbin/tool", true, 0o755).unwrap();
    assert_eq!(one.text("etc/motd").unwrap(), "hello one");
    assert_eq!((before.size, one.stat_at(ROOT, "etc/motd", true).unwrap().ino), (5, before.ino));
    assert_eq!(
        (one.names("etc").unwrap(), one.names(".").unwrap()),
        (vec!["motd".into()], vec!["etc".into(), "sbin".into()])
    );
    assert_eq!(two.text("etc/motd").unwrap(), "hello");
    assert_eq!(two.names("etc").unwrap(), ["motd", "other"]);
    assert_eq!(two.stat_at(ROOT, "bin/tool", true).unwrap().mode, 0o644);
    assert_eq!(ns.upper_usage().bytes, 4096, "one page was copied up");
    drop((one, file, ns));
    assert_eq!((quota.usage().bytes, quota.usage().inodes), (0, 0));
}

#[test]
fn a_directory_that_was_removed_does_not_show_the_image_again() {
    let root = builder(vec![layer(&[("d/f", "x")])]).build().unwrap().root_dir();
    root.unlink_at(ROOT, "d/f").unwrap();
    root.rmdir_at(ROOT, "d").unwrap();
    root.mkdir("d").unwrap();
    assert!(root.names("d").unwrap().is_empty());
}

#[test]
fn hard_links_in_an_image_are_one_file() {
    let mut entries = vec![("usr/bin/python3.14", LayerEntryKind::File(Bytes::from_static(b"py")))];
    entries.push(("usr/bin/python3", LayerEntryKind::HardLink("usr/bin/python3.14".into())));
    entries.push(("bin/python", LayerEntryKind::HardLink("./usr/bin/python3".into())));
    let entries = entries.into_iter().map(|(path, kind)| LayerEntry {
        path: path.into(),
        kind,
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime: 0,
    });
    let image = Layer::from_entries(entries, &LayerLimits::default()).unwrap();
    let root = builder(vec![image]).build().unwrap().root_dir();
    root.put("bin/python", "changed").unwrap();
    assert_eq!(root.text("usr/bin/python3.14").unwrap(), "changed");
    let (a, b) =
        (root.stat_at(ROOT, "usr/bin/python3", true).unwrap(), root.stat_at(ROOT, "bin/python", true).unwrap());
    assert_eq!((a.ino, a.nlink), (b.ino, 3));
}

#[test]
fn a_hostile_layer_is_refused_as_a_whole() {
    let file = || LayerEntryKind::File(Bytes::new());
    assert!(refuse("../etc/passwd", file()).contains(".."));
    assert!(refuse("a/../../b", file()).contains(".."));
    assert!(refuse("a\0b", file()).contains("NUL"));
    assert!(refuse("link/passwd", file()).contains("not a directory"), "no writing through links");
    assert!(refuse("file/x", file()).contains("not a directory"));
    assert!(refuse("hard", LayerEntryKind::HardLink("../../etc/passwd".into())).contains(".."));
    assert!(refuse("hard", LayerEntryKind::HardLink("none".into())).contains("hard link"));
    assert!(refuse("hard", LayerEntryKind::HardLink("link".into())).contains("hard link"));
    assert!(refuse(&"n".repeat(256), file()).contains("too long"));
    assert!(refuse("l", LayerEntryKind::Symlink("t".repeat(5000))).contains("too long"));
    assert!(refuse("/", file()).contains("root"));
}

#[test]
fn layers_have_limits() {
    let limits = LayerLimits { bytes_max: 10, entries_max: 3, ..LayerLimits::default() };
    let entry = |path: &str, length| LayerEntry {
        path: path.to_owned(),
        kind: LayerEntryKind::File(Bytes::from(vec![0; length])),
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: 0,
    };
    assert!(Layer::from_entries([entry("a", 5), entry("b", 5), entry("c", 0)], &limits).is_ok());
    let error = Layer::from_entries([entry("a", 5), entry("b", 6)], &limits).unwrap_err();
    assert_eq!(error.to_string(), "b: the layer is larger than 10 bytes");
    let error = Layer::from_entries([entry("a/b/c/d", 0)], &limits).unwrap_err();
    assert_eq!(error.to_string(), "a/b/c/d: the layer has more than 3 entries");
}

#[test]
fn a_directory_of_the_host_becomes_a_layer() {
    let host = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(host.path().join("usr/bin")).unwrap();
    std::fs::write(host.path().join("usr/bin/tool"), "tool").unwrap();
    std::fs::write(host.path().join("readme"), "text").unwrap();
    let dir = Dir::open_ambient_dir(host.path(), ambient_authority()).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        std::fs::set_permissions(host.path().join("usr/bin/tool"), std::fs::Permissions::from_mode(0o755)).unwrap();
        symlink("/etc/passwd", host.path().join("usr/leak")).unwrap();
    }
    let image = Layer::from_host_dir(&dir, &LayerLimits::default()).unwrap();
    std::fs::write(host.path().join("readme"), "changed later").unwrap();
    let root = builder(vec![image.clone()]).build().unwrap().root_dir();
    assert_eq!((root.text("readme").unwrap().as_str(), root.text("usr/bin/tool").unwrap().as_str()), ("text", "tool"));
    assert_eq!(root.stat_at(ROOT, "readme", true).unwrap().mtime, 0);
    #[cfg(unix)]
    {
        assert_eq!(root.stat_at(ROOT, "usr/bin/tool", true).unwrap().mode & 0o777, 0o755);
        assert_eq!(root.stat_at(ROOT, "usr/leak", false).unwrap().file_type, FileType::Symlink);
        assert_eq!(root.text("usr/leak"), Err(Errno::NoEnt), "it is the container's /etc/passwd");
        assert_eq!((image.entries(), image.bytes()), (5, 8));
    }
    let small = LayerLimits { bytes_max: 7, ..LayerLimits::default() };
    assert!(Layer::from_host_dir(&dir, &small).is_err());
    let few = LayerLimits { entries_max: 2, ..LayerLimits::default() };
    assert!(Layer::from_host_dir(&dir, &few).is_err());
    std::fs::write(host.path().join("aux.txt"), "").unwrap();
    assert!(Layer::from_host_dir(&dir, &LayerLimits::default()).unwrap_err().reason.contains("device"));
}

#[cfg(unix)]
#[test]
fn what_is_no_file_on_the_host_is_refused() {
    let host = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(host.path().join("socket")).unwrap();
    let dir = Dir::open_ambient_dir(host.path(), ambient_authority()).unwrap();
    let error = Layer::from_host_dir(&dir, &LayerLimits::default()).unwrap_err();
    assert_eq!(error.to_string(), "socket: neither a file, a directory nor a symbolic link");
}
