//! Mounts: crossing, read-only, subPath, mount points that stay, what `/proc/mounts` says.

use super::super::testing::{ROOT, Words, builder, layer};
use super::super::{FileEntry, MountOptions, OpenOptions, SetTime, TmpfsOptions, Volume};
use crate::Errno;

fn tmpfs() -> Volume {
    Volume::tmpfs(TmpfsOptions::default())
}

fn sub(path: &str) -> MountOptions {
    MountOptions { sub_path: Some(path.to_owned()), ..MountOptions::default() }
}

const READ_ONLY: MountOptions = MountOptions { read_only: true, sub_path: None };
const PLAIN: MountOptions = MountOptions { read_only: false, sub_path: None };

#[test]
fn containers_share_a_volume_each_at_its_own_path() {
    let volume = tmpfs();
    let writer = builder(vec![]).mount("/out", volume.clone(), PLAIN).build().unwrap().root_dir();
    let reader = builder(vec![]).mount("/a/b/in", volume.clone(), READ_ONLY).build().unwrap().root_dir();
    writer.put("out/f", "shared").unwrap();
    assert_eq!(reader.text("a/b/in/f").unwrap(), "shared");
    drop(writer);
    assert_eq!(reader.text("a/b/in/../in/f").unwrap(), "shared");
    assert_eq!((volume.usage().bytes, volume.usage().inodes), (4096, 1));
}

#[test]
fn a_read_only_mount_refuses_every_change() {
    let volume = tmpfs();
    let rw = builder(vec![]).mount("/v", volume.clone(), PLAIN).build().unwrap().root_dir();
    rw.put("v/f", "x").unwrap();
    rw.mkdir("v/d").unwrap();
    let ro = builder(vec![]).mount("/v", volume, READ_ONLY).mount("/w", tmpfs(), PLAIN).build().unwrap().root_dir();
    let new = OpenOptions::read_write_create();
    assert_eq!(ro.open("v/f", new).map(drop), Err(Errno::RoFs));
    assert_eq!(ro.open("v/new", new).map(drop), Err(Errno::RoFs));
    let truncate = OpenOptions { truncate: true, ..OpenOptions::read_only() };
    assert_eq!(ro.open("v/f", truncate).map(drop), Err(Errno::RoFs), "F8");
    assert_eq!(ro.mkdir("v/e"), Err(Errno::RoFs));
    assert_eq!(ro.mkdir("v/d"), Err(Errno::Exist));
    assert_eq!(ro.rmdir_at(ROOT, "v/d"), Err(Errno::RoFs));
    assert_eq!(ro.unlink_at(ROOT, "v/f"), Err(Errno::RoFs));
    assert_eq!(ro.symlink_at(ROOT, "f", "v/l"), Err(Errno::RoFs));
    assert_eq!(ro.link_at(ROOT, "v/f", false, &ro, "v/g"), Err(Errno::RoFs));
    assert_eq!(ro.link_at(ROOT, "v/f", false, &ro, "w/g"), Err(Errno::XDev), "F7");
    assert_eq!(ro.rename_at(ROOT, "v/f", &ro, "w/g"), Err(Errno::XDev), "F7");
    assert_eq!(ro.rename_at(ROOT, "v/f", &ro, "v/g"), Err(Errno::RoFs));
    assert_eq!(ro.set_times_at(ROOT, "v/f", true, SetTime::Now, SetTime::Now), Err(Errno::RoFs));
    assert_eq!(ro.chmod_at(ROOT, "v/f", true, 0), Err(Errno::RoFs));
    let file = ro.open("v/f", OpenOptions::read_only()).unwrap();
    assert_eq!((file.set_len(0), file.set_times(SetTime::Now, SetTime::Keep)), (Err(Errno::Inval), Err(Errno::RoFs)));
    assert_eq!(rw.text("v/f").unwrap(), "x");
}

#[test]
fn a_read_only_root_still_gets_its_mount_points() {
    let ns = builder(vec![layer(&[("bin/sh", "x")])]).read_only_root(true).mount("/data/x", tmpfs(), PLAIN);
    let root = ns.build().unwrap().root_dir();
    assert_eq!(root.mkdir("etc"), Err(Errno::RoFs));
    root.put("data/x/f", "writable").unwrap();
    assert_eq!(root.put("data/f", "x"), Err(Errno::RoFs));
}

#[test]
fn mount_points_stay_where_they_are() {
    let ns = builder(vec![]).mount("/a/v", tmpfs(), PLAIN).mount("/f", Volume::file("text"), PLAIN);
    let root = ns.mount("/a/v/nested", tmpfs(), PLAIN).build().unwrap().root_dir();
    root.mkdir("d").unwrap();
    for result in [
        root.rmdir_at(ROOT, "a/v"),
        root.rename_at(ROOT, "a/v", &root, "a/w"),
        root.rename_at(ROOT, "d", &root, "a/v"),
        root.unlink_at(ROOT, "f"),
        root.rename_at(ROOT, "f", &root, "g"),
        root.rmdir_at(ROOT, "a/v/nested"),
    ] {
        assert_eq!(result, Err(Errno::Busy));
    }
    assert_eq!(root.rename_at(ROOT, "d", &root, "a/v/d"), Err(Errno::XDev));
    // what they are in may move, and takes them along
    root.rename_at(ROOT, "a", &root, "b").unwrap();
    root.put("b/v/nested/f", "x").unwrap();
    assert_eq!(root.names("b/v").unwrap(), ["nested"]);
}

#[test]
fn mounts_follow_the_links_of_the_image_and_nest_in_any_order() {
    let image = layer(&[("var/run", "-> /run"), ("run/", ""), ("up", "-> ../../etc")]);
    let (run, etc, outer, inner) = (tmpfs(), tmpfs(), tmpfs(), tmpfs());
    let ns = builder(vec![image])
        .mount("/x/inner", inner.clone(), PLAIN)
        .mount("/x", outer, PLAIN)
        .mount("/var/run", run, PLAIN)
        .mount("/up/there", etc, PLAIN)
        .build()
        .unwrap();
    assert_eq!(ns.mount_points(), ["/up/there", "/var/run", "/x", "/x/inner"]);
    let root = ns.root_dir();
    root.put("run/pid", "1").unwrap();
    assert_eq!(root.text("var/run/pid").unwrap(), "1");
    root.put("etc/there/f", "x").unwrap();
    root.put("x/inner/f", "deep").unwrap();
    assert_eq!(inner.read_file("f", 10).unwrap(), b"deep");
}

#[test]
fn the_later_of_two_mounts_at_one_path_wins() {
    let ns = builder(vec![]).mount("/f", Volume::file("one"), PLAIN).mount("/f/", Volume::file("two"), PLAIN);
    assert_eq!(ns.build().unwrap().root_dir().text("f").unwrap(), "two");
}

#[test]
fn paths_that_cannot_be_mounted_on_are_named() {
    let refused = |path: &str| {
        let ns = builder(vec![layer(&[("file", "x"), ("loop", "-> loop"), ("dir/", "")])]).mount(path, tmpfs(), PLAIN);
        ns.build().unwrap_err()
    };
    assert_eq!(refused("relative").errno, Errno::Inval);
    assert_eq!(refused("/a/../b").errno, Errno::Inval);
    assert_eq!(refused("/").errno, Errno::Busy);
    assert_eq!(refused("/file/x").errno, Errno::NotDir);
    assert_eq!(refused("/loop/x").errno, Errno::Loop);
    assert_eq!(refused("/file").to_string(), "mount /file: mount point: Not a directory");
    let error = builder(vec![]).mount("/d", tmpfs(), PLAIN).mount("/d/f", tmpfs(), sub("../x")).build().unwrap_err();
    assert_eq!(error.to_string(), "mount /d/f: subPath ../x: Invalid argument");
}

#[test]
fn a_sub_path_is_made_with_the_mode_of_the_volume() {
    let volume = Volume::tmpfs(TmpfsOptions { mode: 0o2770, gid: 5, ..TmpfsOptions::default() });
    let root = builder(vec![]).mount("/logs", volume.clone(), sub("a/b")).build().unwrap().root_dir();
    root.put("logs/f", "x").unwrap();
    assert_eq!(volume.read_file("a/b/f", 9).unwrap(), b"x");
    let stat = root.stat_at(ROOT, "logs", true).unwrap();
    assert_eq!((stat.mode, stat.gid), (0o2770, 5));
    assert_eq!(root.text("logs/../logs/f").unwrap(), "x");
}

#[test]
fn a_sub_path_never_leaves_its_volume() {
    let volume = tmpfs();
    let hostile = builder(vec![]).mount("/v", volume.clone(), PLAIN).build().unwrap().root_dir();
    hostile.mkdir("v/inside").unwrap();
    hostile.put("v/inside/f", "ok").unwrap();
    for (name, target) in [("abs", "/etc"), ("up", "../etc"), ("hop", "inside/../../etc"), ("fine", "inside/../inside")]
    {
        hostile.symlink_at(ROOT, target, &format!("v/{name}")).unwrap();
    }
    let mounted = |path: &str| {
        let ns = builder(vec![layer(&[("etc/passwd", "secret")])]).mount("/m", volume.clone(), sub(path)).build();
        ns.map(|ns| ns.root_dir())
    };
    for bad in ["abs", "up", "hop", "abs/passwd", "up/new"] {
        assert_eq!(mounted(bad).unwrap_err().errno, Errno::Perm, "{bad}: F1");
    }
    for bad in ["..", "a/../b", "/inside", "/"] {
        assert_eq!(mounted(bad).unwrap_err().errno, Errno::Inval, "{bad}: F3");
    }
    assert_eq!(mounted("fine").unwrap().text("m/f").unwrap(), "ok");
    assert_eq!(mounted("inside/f").unwrap().text("m").unwrap(), "ok", "a single file");
    // what a mount is pinned to does not move when the name is swapped for a link (F2)
    let root = mounted("inside").unwrap();
    hostile.rename_at(ROOT, "v/inside", &hostile, "v/elsewhere").unwrap();
    hostile.symlink_at(ROOT, "/etc", "v/inside").unwrap();
    assert_eq!(root.text("m/f").unwrap(), "ok");
}

#[test]
fn a_key_of_a_config_map_is_mounted_as_a_file_and_not_updated() {
    let entry = |data: &'static str| FileEntry { path: "conf".into(), data: data.into(), mode: 0o644 };
    let volume = Volume::files(vec![entry("one")], 1).unwrap();
    let root = builder(vec![]).mount("/etc/app.conf", volume.clone(), sub("conf")).build().unwrap().root_dir();
    volume.update(vec![entry("two")], 2).unwrap();
    assert_eq!(root.text("etc/app.conf").unwrap(), "one");
    assert_eq!(root.put("etc/app.conf", "x"), Err(Errno::RoFs));
    let error = builder(vec![]).mount("/f", volume, sub("no-such-key")).build().unwrap_err();
    assert_eq!(error.errno, Errno::RoFs, "nothing is made in a configMap");
}

#[test]
fn the_mounts_can_be_read() {
    let limited = Volume::tmpfs(TmpfsOptions { size_limit: Some(1 << 20), ..TmpfsOptions::default() });
    let ns = builder(vec![]).mount("/a b", limited, READ_ONLY).mount("/f", Volume::file(""), PLAIN).build().unwrap();
    let text = "overlay / overlay rw,relatime 0 0\ntmpfs /a\\040b tmpfs ro,relatime,size=1024k 0 0\n";
    assert!(ns.mounts_text().starts_with(text), "{}", ns.mounts_text());
    let mounts = ns.mounts();
    let summary: Vec<_> = mounts.iter().map(|mount| (&*mount.path, mount.read_only, mount.directory)).collect();
    assert_eq!(summary, [("/", false, true), ("/a b", true, true), ("/f", false, false)]);
    assert_eq!(ns.mount_points(), ["/a b"]);
}
