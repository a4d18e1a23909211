//! Names and directories: make, link, rename, remove, list, permissions.

use super::super::testing::{ROOT, Words, empty, user};
use super::super::{NAME_MAX, OpenOptions, PATH_MAX, SetTime};
use crate::Errno;
use crate::file::FileType;

#[test]
fn directories_are_made_listed_and_removed() {
    let root = empty();
    root.mkdir("a").unwrap();
    root.mkdir("a/b/").unwrap();
    root.put("a/f", "x").unwrap();
    assert_eq!(root.names("a").unwrap(), ["b", "f"]);
    assert_eq!(root.mkdir("a"), Err(Errno::Exist));
    assert_eq!(root.mkdir("a/f/c"), Err(Errno::NotDir));
    assert_eq!(root.mkdir("none/c"), Err(Errno::NoEnt));
    assert_eq!(root.rmdir_at(ROOT, "a"), Err(Errno::NotEmpty));
    assert_eq!(root.rmdir_at(ROOT, "a/f"), Err(Errno::NotDir));
    assert_eq!(root.unlink_at(ROOT, "a/b"), Err(Errno::IsDir));
    assert_eq!(root.stat_at(ROOT, "a", true).unwrap().nlink, 3);
    root.rmdir_at(ROOT, "a/b/").unwrap();
    root.unlink_at(ROOT, "a/f").unwrap();
    assert_eq!(root.stat_at(ROOT, "a", true).unwrap().nlink, 2);
    root.rmdir_at(ROOT, "a").unwrap();
    assert_eq!(root.names(".").unwrap(), Vec::<String>::new());
}

#[test]
fn nothing_can_be_made_in_a_directory_that_was_removed() {
    let root = empty();
    root.mkdir("gone").unwrap();
    let gone = root.dir("gone");
    root.rmdir_at(ROOT, "gone").unwrap();
    assert_eq!(gone.put("f", "x"), Err(Errno::NoEnt));
    assert_eq!(gone.mkdir("d"), Err(Errno::NoEnt));
    assert_eq!(gone.stat().unwrap().nlink, 0);
    assert_eq!(gone.read_dir(0, 9), Ok(vec![]));
    root.put("f", "x").unwrap();
    assert_eq!(root.rename_at(ROOT, "f", &gone, "f"), Err(Errno::NoEnt));
    assert_eq!(root.link_at(ROOT, "f", false, &gone, "f"), Err(Errno::NoEnt));
    assert_eq!(root.text("f").unwrap(), "x");
}

#[test]
fn dot_dotdot_and_slashes_at_the_end_mean_what_they_mean_on_linux() {
    let root = empty();
    root.mkdir("d").unwrap();
    root.put("f", "x").unwrap();
    assert_eq!(root.rmdir_at(ROOT, "d/."), Err(Errno::Inval));
    assert_eq!(root.rmdir_at(ROOT, "."), Err(Errno::Inval));
    assert_eq!(root.rmdir_at(ROOT, "d/.."), Err(Errno::NotEmpty));
    assert_eq!(root.unlink_at(ROOT, "d/.."), Err(Errno::IsDir));
    assert_eq!(root.rename_at(ROOT, "d/.", &root, "e"), Err(Errno::Busy));
    assert_eq!(root.mkdir("d/."), Err(Errno::Exist));
    assert_eq!(root.mkdir("e/."), Err(Errno::NoEnt));
    assert_eq!(root.unlink_at(ROOT, "f/"), Err(Errno::NotDir));
    assert_eq!(root.text("f/").unwrap_err(), Errno::NotDir);
    assert_eq!(root.text("f/.").unwrap_err(), Errno::NotDir);
    assert_eq!(root.put("new/", "x"), Err(Errno::IsDir));
    assert_eq!(root.symlink_at(ROOT, "d", "new/"), Err(Errno::NoEnt));
    assert_eq!(root.link_at(ROOT, "f", false, &root, "new/"), Err(Errno::NoEnt));
    assert_eq!(root.rename_at(ROOT, "f", &root, "new/"), Err(Errno::NotDir));
    assert_eq!(root.rename_at(ROOT, "f/", &root, "new"), Err(Errno::NotDir));
    assert_eq!(root.rename_at(ROOT, "f", &root, "d/"), Err(Errno::NotDir));
    root.rename_at(ROOT, "d/", &root, "e//").unwrap();
    assert_eq!(root.text("./e/.././f").unwrap(), "x");
    assert_eq!(root.names("e/..").unwrap(), ["e", "f"]);
    assert_eq!(root.stat_at(ROOT, "", true), Err(Errno::NoEnt));
    assert_eq!(root.stat_at(ROOT, "f/x", true), Err(Errno::NotDir));
}

#[test]
fn a_slash_after_a_link_follows_it_but_not_to_remove_it() {
    let root = empty();
    root.mkdir("d").unwrap();
    root.put("d/f", "x").unwrap();
    root.symlink_at(ROOT, "d", "l").unwrap();
    assert_eq!(root.text("l/f").unwrap(), "x");
    assert_eq!(root.rmdir_at(ROOT, "l/"), Err(Errno::NotDir));
    assert_eq!(root.unlink_at(ROOT, "l/"), Err(Errno::NotDir));
    assert_eq!(root.rename_at(ROOT, "l/", &root, "m"), Err(Errno::NotDir));
    assert_eq!(root.stat_at(ROOT, "l/", false).unwrap().file_type, FileType::Directory);
    assert_eq!(root.readlink_at(ROOT, "l/"), Err(Errno::Inval));
    assert_eq!(root.mkdir("l/"), Err(Errno::Exist));
    assert_eq!(root.link_at(ROOT, "l/", false, &root, "x"), Err(Errno::Perm));
    root.symlink_at(ROOT, "nowhere", "dangling").unwrap();
    assert_eq!(root.put("dangling/", "x"), Err(Errno::IsDir));
    assert_eq!(root.mkdir("dangling/"), Err(Errno::Exist));
    root.unlink_at(ROOT, "l").unwrap();
    assert_eq!(root.text("d/f").unwrap(), "x");
}

#[test]
fn a_dot_at_the_end_is_one_with_slashes_after_it_and_in_the_target_of_a_link() {
    let root = empty();
    root.mkdir("d").unwrap();
    root.put("f", "x").unwrap();
    assert_eq!(root.rmdir_at(ROOT, "d/./"), Err(Errno::Inval));
    assert_eq!(root.rename_at(ROOT, "d/.//", &root, "e"), Err(Errno::Busy));
    assert_eq!(root.symlink_at(ROOT, "d", "new/./"), Err(Errno::NoEnt));
    assert_eq!(root.put("new/./", "x"), Err(Errno::NoEnt));
    root.symlink_at(ROOT, "f/.", "file").unwrap();
    root.symlink_at(ROOT, "new/.", "new-file").unwrap();
    root.symlink_at(ROOT, "d/.", "dir").unwrap();
    assert_eq!(root.text("file").unwrap_err(), Errno::NotDir);
    assert_eq!(root.put("new-file", "x"), Err(Errno::NoEnt));
    assert_eq!(root.stat_at(ROOT, "dir", true).unwrap().file_type, FileType::Directory);
}

#[test]
fn names_and_paths_have_a_limit() {
    let root = empty();
    let long = "n".repeat(NAME_MAX);
    root.put(&long, "x").unwrap();
    assert_eq!(root.put(&format!("{long}n"), "x"), Err(Errno::NameTooLong));
    assert_eq!(root.put(&"a/".repeat(PATH_MAX), "x"), Err(Errno::NameTooLong));
    assert_eq!(root.put(&"x".repeat(1 << 20), "x"), Err(Errno::NameTooLong));
    assert_eq!(root.put("a\0b", "x"), Err(Errno::Inval));
    assert_eq!(root.symlink_at(ROOT, &"t".repeat(PATH_MAX), "l"), Err(Errno::NameTooLong));
    assert_eq!(root.symlink_at(ROOT, "", "l"), Err(Errno::NoEnt));
}

#[test]
fn hard_links_share_everything_and_the_last_name_takes_the_file() {
    let root = empty();
    root.mkdir("d").unwrap();
    root.put("a", "one").unwrap();
    root.link_at(ROOT, "a", false, &root.dir("d"), "b").unwrap();
    root.put("d/b", "two").unwrap();
    assert_eq!(root.text("a").unwrap(), "two");
    let (a, b) = (root.stat_at(ROOT, "a", true).unwrap(), root.stat_at(ROOT, "d/b", true).unwrap());
    assert_eq!((a.ino, a.nlink), (b.ino, 2));
    root.unlink_at(ROOT, "a").unwrap();
    assert_eq!((root.text("d/b").unwrap().as_str(), root.stat_at(ROOT, "d/b", true).unwrap().nlink), ("two", 1));
    assert_eq!(root.link_at(ROOT, "d", false, &root, "e"), Err(Errno::Perm));
    assert_eq!(root.link_at(ROOT, "d/b", false, &root, "d"), Err(Errno::Exist));
    assert_eq!(root.link_at(ROOT, "none", false, &root, "e"), Err(Errno::NoEnt));
}

#[test]
fn a_hard_link_to_a_link_is_to_the_link_unless_followed() {
    let root = empty();
    root.put("f", "x").unwrap();
    root.symlink_at(ROOT, "f", "l").unwrap();
    root.link_at(ROOT, "l", false, &root, "plain").unwrap();
    root.link_at(ROOT, "l", true, &root, "followed").unwrap();
    assert_eq!(root.readlink_at(ROOT, "plain").unwrap(), "f");
    assert_eq!(root.stat_at(ROOT, "followed", false).unwrap().file_type, FileType::Regular);
}

#[test]
fn rename_replaces_what_it_may() {
    let root = empty();
    for dir in ["d", "d/sub", "empty", "full", "full/x"] {
        root.mkdir(dir).unwrap();
    }
    root.put("f", "f").unwrap();
    root.put("g", "g").unwrap();
    let rename = |old: &str, new: &str| root.rename_at(ROOT, old, &root, new);
    rename("f", "g").unwrap();
    assert_eq!((root.text("g").unwrap().as_str(), root.text("f")), ("f", Err(Errno::NoEnt)));
    assert_eq!(rename("g", "d"), Err(Errno::IsDir));
    assert_eq!(rename("d", "g"), Err(Errno::NotDir));
    assert_eq!(rename("d", "full"), Err(Errno::NotEmpty));
    assert_eq!(rename("d", "d/sub/e"), Err(Errno::Inval));
    assert_eq!(rename("d", "d/e"), Err(Errno::Inval));
    assert_eq!(rename("d/sub", "d"), Err(Errno::NotEmpty));
    assert_eq!(rename("none", "x"), Err(Errno::NoEnt));
    rename("d", "d").unwrap();
    rename("d", "empty").unwrap();
    assert_eq!(root.names("empty").unwrap(), ["sub"]);
    rename("empty/sub", "full/sub").unwrap();
    assert_eq!(root.stat_at(ROOT, "full", true).unwrap().nlink, 4);
    assert_eq!(root.stat_at(ROOT, "empty", true).unwrap().nlink, 2);
    assert_eq!(root.names("full/sub/..").unwrap(), ["sub", "x"]);
}

#[test]
fn rename_between_two_names_of_one_file_keeps_both() {
    let root = empty();
    root.put("a", "x").unwrap();
    root.link_at(ROOT, "a", false, &root, "b").unwrap();
    root.rename_at(ROOT, "a", &root, "b").unwrap();
    assert_eq!(root.names(".").unwrap(), ["a", "b"]);
}

#[test]
fn a_reader_meets_every_survivor_once_while_the_directory_changes() {
    let root = empty();
    root.mkdir("d").unwrap();
    for i in 0..20 {
        root.put(&format!("d/{i:02}"), "").unwrap();
    }
    let dir = root.dir("d");
    let (mut seen, mut cookie) = (Vec::new(), 0);
    for round in 0.. {
        let entries = dir.read_dir(cookie, 4).unwrap();
        let Some(last) = entries.last() else { break };
        cookie = last.next_cookie;
        seen.extend(entries.into_iter().map(|entry| entry.name));
        match round {
            0 => root.unlink_at(ROOT, "d/00").unwrap(), // before the reader
            1 => root.unlink_at(ROOT, "d/19").unwrap(), // after it
            2 => root.rename_at(ROOT, "d/18", &dir, "00").unwrap(),
            3 => root.rename_at(ROOT, "d/17", &dir, "16").unwrap(),
            _ => {}
        }
    }
    let count = |name: &str| seen.iter().filter(|seen| *seen == name).count();
    assert_eq!((count("."), count("..")), (1, 1));
    assert!((1..=16).all(|i| count(&format!("{i:02}")) == 1), "{seen:?}");
    assert_eq!((count("19"), count("18"), count("17")), (0, 0, 0));
}

#[test]
fn permissions_are_those_of_linux() {
    let root = empty();
    let (alice, bob) = (user(1000, 1000), user(1001, 1001));
    root.mkdir_at(ROOT, "tmp", 0o1777).unwrap();
    root.mkdir_at(ROOT, "secret", 0o700).unwrap();
    root.put("secret/f", "x").unwrap();
    let create = OpenOptions { mode: 0o600, ..OpenOptions::read_write_create() };
    drop(root.open_at(&alice, "tmp/a", create).unwrap());
    let stat = root.stat_at(ROOT, "tmp/a", true).unwrap();
    assert_eq!((stat.uid, stat.gid, stat.mode), (1000, 1000, 0o600));
    assert_eq!(root.open_at(&bob, "tmp/a", OpenOptions::read_only()).unwrap_err(), Errno::Acces);
    assert_eq!(root.unlink_at(&bob, "tmp/a"), Err(Errno::Perm), "sticky");
    assert_eq!(root.rename_at(&bob, "tmp/a", &root, "tmp/b"), Err(Errno::Perm), "sticky");
    assert_eq!(root.stat_at(&alice, "secret/f", true), Err(Errno::Acces), "search");
    assert_eq!(root.mkdir_at(&alice, "mine", 0o755), Err(Errno::Acces));
    assert_eq!(root.open_at(&alice, "secret", OpenOptions::read_only()).unwrap_err(), Errno::Acces);
    let unreadable = root.open_at(&alice, "secret", OpenOptions { follow_symlinks: true, ..OpenOptions::default() });
    assert_eq!(unreadable.unwrap().read_dir(0, 9), Err(Errno::Acces));
    assert_eq!(root.chmod_at(&bob, "tmp/a", true, 0o777), Err(Errno::Perm));
    root.chmod_at(&alice, "tmp/a", true, 0o4755).unwrap();
    assert_eq!(root.stat_at(ROOT, "tmp/a", true).unwrap().mode, 0o4755);
    assert_eq!(root.set_times_at(&bob, "tmp/a", true, SetTime::At(1), SetTime::Keep), Err(Errno::Perm));
    assert_eq!(root.set_times_at(&bob, "tmp/a", true, SetTime::Now, SetTime::Now), Err(Errno::Acces));
    let held = root.open_at(&bob, "tmp/a", OpenOptions::read_only()).unwrap();
    assert_eq!(held.set_times(SetTime::At(1), SetTime::Keep), Err(Errno::Perm));
    root.unlink_at(&alice, "tmp/a").unwrap();
    // who makes a file may write it, whatever its mode
    let made = root.open_at(&alice, "tmp/ro", OpenOptions { mode: 0o400, ..create }).unwrap();
    assert_eq!(made.write(b"x"), Ok(1));
    assert_eq!(root.open_at(&alice, "tmp/ro", create).unwrap_err(), Errno::Acces);
}

#[test]
fn a_set_group_id_directory_hands_its_group_down() {
    let root = empty();
    root.mkdir_at(&user(0, 2000), "shared", 0o2777).unwrap();
    root.mkdir_at(&user(1000, 1000), "shared/d", 0o755).unwrap();
    root.open_at(&user(1000, 1000), "shared/f", OpenOptions::read_write_create()).unwrap();
    let (d, f) = (root.stat_at(ROOT, "shared/d", true).unwrap(), root.stat_at(ROOT, "shared/f", true).unwrap());
    assert_eq!((d.gid, d.mode, f.gid), (2000, 0o2755, 2000));
}

#[test]
fn a_very_deep_tree_is_bounded_and_goes_away_without_recursion() {
    let root = empty();
    let mut at = root.clone();
    let mut depth = 0;
    let refused = loop {
        match at.mkdir("d") {
            Ok(()) => at = at.dir("d"),
            Err(errno) => break errno,
        }
        depth += 1;
    };
    assert_eq!((refused, depth), (Errno::NameTooLong, 8192));
    root.mkdir("top").unwrap();
    assert_eq!(root.rename_at(ROOT, "top", &at, "x"), Ok(()));
    assert_eq!(root.rename_at(ROOT, "d", &at, "x"), Err(Errno::Inval));
    drop((at, root)); // on the small stack of a test thread
}
