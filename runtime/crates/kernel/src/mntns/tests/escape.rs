//! Links: loops, absolute targets, and the property that no path leads out of the directory it starts from.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::testing::{ROOT, Words, builder, empty, layer};
use super::super::{MountOptions, OpenFile, OpenOptions, Volume};
use crate::Errno;

#[test]
fn loops_end_after_forty_links() {
    let root = empty();
    root.symlink_at(ROOT, "b", "a").unwrap();
    root.symlink_at(ROOT, "a", "b").unwrap();
    assert_eq!(root.text("a"), Err(Errno::Loop));
    assert_eq!(root.put("a/x", ""), Err(Errno::Loop));
    assert_eq!(root.readlink_at(ROOT, "a").unwrap(), "b");
    root.put("l0", "end").unwrap();
    for i in 1..=41 {
        root.symlink_at(ROOT, &format!("l{}", i - 1), &format!("l{i}")).unwrap();
    }
    assert_eq!(root.text("l40").unwrap(), "end");
    assert_eq!(root.text("l41"), Err(Errno::Loop));
    // a link that doubles itself is bounded as well
    root.symlink_at(ROOT, "x/x", "x").unwrap();
    assert_eq!(root.text("x"), Err(Errno::Loop));
}

#[test]
fn only_the_root_knows_absolute_links() {
    let image = layer(&[
        ("etc/passwd", "root"),
        ("d/abs", "-> /etc/passwd"),
        ("d/up", "-> ../../../../etc/passwd"),
        ("d/side", "-> ../etc"),
    ]);
    let root = builder(vec![image]).build().unwrap().root_dir();
    let d = root.dir("d");
    for link in ["abs", "up", "side/passwd"] {
        assert_eq!(root.text(&format!("d/{link}")).unwrap(), "root", "{link}");
        assert_eq!(d.text(link), Err(Errno::Perm), "{link}: F5");
    }
    assert_eq!(root.text("/etc/passwd"), Err(Errno::Perm));
    assert_eq!(root.text("../etc/passwd"), Err(Errno::Perm));
    assert_eq!(root.text("d/../../etc/passwd"), Err(Errno::Perm));
    assert_eq!(d.text("../etc/passwd"), Err(Errno::Perm));
    assert_eq!(d.mkdir(".."), Err(Errno::Perm));
    assert_eq!(d.rename_at(ROOT, "abs", &d, "../abs"), Err(Errno::Perm));
    // the root opened again is the root
    assert_eq!(root.dir("d/..").text("d/abs").unwrap(), "root");
}

/// What the forest is made of: where, and what.
#[derive(Debug, Clone)]
enum Plant {
    Dir(String),
    File(String),
    Link(String, String),
    Move(String, String),
}

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof![4 => "[abc]", 1 => Just("..".to_owned()), 1 => Just(".".to_owned())], 1..6)
        .prop_flat_map(|names| {
            (
                Just(names.join("/")),
                prop_oneof![6 => Just(""), 1 => Just("/")],
                prop_oneof![8 => Just(""), 1 => Just("/")],
            )
        })
        .prop_map(|(path, end, start)| format!("{start}{path}{end}"))
}

fn plant() -> impl Strategy<Value = Plant> {
    prop_oneof![
        path().prop_map(Plant::Dir),
        path().prop_map(Plant::File),
        (path(), path()).prop_map(|(target, at)| Plant::Link(target, at)),
        (path(), path()).prop_map(|(old, new)| Plant::Move(old, new)),
    ]
}

fn grow(base: &OpenFile, plants: &[Plant]) {
    for plant in plants {
        // many are refused, which is fine: what must not happen is that one works outside
        let _refused = match plant {
            Plant::Dir(path) => base.mkdir(path),
            Plant::File(path) => base.put(path, "inside"),
            Plant::Link(target, path) => base.symlink_at(ROOT, target, path),
            Plant::Move(old, new) => base.rename_at(ROOT, old, base, new),
        };
    }
}

fn check_stays_inside(root: &Arc<OpenFile>, base: &Arc<OpenFile>, plants: &[Plant], paths: &[String]) {
    let outside = ["a", "b", "c", "keep"];
    let mut forbidden = BTreeSet::from([root.stat().unwrap().ino]);
    for name in outside {
        root.put(name, "outside").unwrap();
        forbidden.insert(root.stat_at(ROOT, name, true).unwrap().ino);
    }
    grow(base, plants);
    for path in paths {
        for follow in [true, false] {
            if let Ok(stat) = base.stat_at(ROOT, path, follow) {
                assert!(!forbidden.contains(&stat.ino), "{path} leads out");
            }
            let options = OpenOptions { follow_symlinks: follow, ..OpenOptions::read_only() };
            if let Ok(file) = base.open(path, options) {
                assert!(!forbidden.contains(&file.stat().unwrap().ino), "{path} leads out");
            }
        }
        let _refused = (base.put(path, "inside"), base.unlink_at(ROOT, path), base.rmdir_at(ROOT, path));
    }
    for name in outside {
        assert_eq!(root.text(name).unwrap(), "outside", "{name} was changed");
    }
    assert_eq!(root.names(".").unwrap(), ["a", "b", "base", "c", "keep"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_path_leads_out_of_a_directory(
        plants in proptest::collection::vec(plant(), 1..25),
        paths in proptest::collection::vec(path(), 1..25),
    ) {
        let root = empty();
        root.mkdir("base").unwrap();
        check_stays_inside(&root, &root.dir("base"), &plants, &paths);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_path_leads_out_of_a_directory_of_the_host(
        plants in proptest::collection::vec(plant(), 1..20),
        paths in proptest::collection::vec(path(), 1..15),
    ) {
        let host = tempfile::tempdir().unwrap();
        let dir = cap_std::fs::Dir::open_ambient_dir(host.path(), cap_std::ambient_authority()).unwrap();
        std::fs::create_dir(host.path().join("base")).unwrap();
        let ns = builder(vec![]).mount("/h", Volume::host(dir, false), MountOptions::default()).build().unwrap();
        let outer = ns.root_dir().dir("h");
        check_stays_inside(&outer, &outer.dir("base"), &plants, &paths);
    }
}
