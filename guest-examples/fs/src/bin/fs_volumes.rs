//! `fs_volumes DIR [OTHER [READ_ONLY [SMALL]]]`: file work across volumes, each step checked as on Linux.
//!
//! DIR and OTHER are writable and of different mounts; READ_ONLY is mounted read-only; SMALL is limited to a few MiB.
//! `-` skips a place.
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use guest_fs::{check, check_errno, check_that, names, symlink};
use libc::{EEXIST, EINVAL, EIO, EISDIR, ELOOP, ENOENT, ENOSPC, ENOTDIR, ENOTEMPTY, EROFS, EXDEV};

/// More than any volume called small may hold.
const FULL_AT_MOST: usize = 64 << 20;

fn main() {
    let place = |n: usize| std::env::args().nth(n).filter(|a| a != "-").map(PathBuf::from);
    let dir = place(1).unwrap_or_else(|| "/data".into());
    files(&dir);
    renames(&dir);
    links(&dir);
    directories(&dir);
    times(&dir);
    if let Some(other) = place(2) {
        across(&dir, &other);
    }
    if let Some(read_only) = place(3) {
        refused(&read_only);
    }
    if let Some(small) = place(4) {
        full(&small);
    }
    println!("fs_volumes: all done");
}

fn files(dir: &Path) {
    let path = dir.join("file");
    let mut f = check("create", OpenOptions::new().read(true).write(true).create_new(true).open(&path));
    check_errno("create_new again", OpenOptions::new().write(true).create_new(true).open(&path), EEXIST);
    check("write", f.write_all(b"0123456789"));
    check("seek back", f.seek(SeekFrom::Start(4)));
    check("overwrite in the middle", f.write_all(b"xy"));
    check("truncate to 8", f.set_len(8));
    check("grow to 12", f.set_len(12));
    check("rewind", f.rewind());
    let mut text = Vec::new();
    check("read all", f.read_to_end(&mut text));
    check_that("content after truncate and grow", text == b"0123xy67\0\0\0\0", &text);
    check_that("seek from the end", matches!(f.seek(SeekFrom::End(-2)), Ok(10)), &());
    check_errno("seek before the start", f.seek(SeekFrom::Current(-100)), EINVAL);
    let mut a = check("open for append", OpenOptions::new().append(true).open(&path));
    check("append", a.write_all(b"end"));
    check_that(
        "append went to the end",
        fs::metadata(&path).is_ok_and(|m| m.len() == 15),
        &fs::metadata(&path).map(|m| m.len()),
    );
    check("sync", f.sync_all());
    check("unlink while open", fs::remove_file(&path));
    check_errno("it is gone by name", File::open(&path), ENOENT);
    check("write to the unlinked file", f.write_all(b"!"));
    check("rewind it", f.rewind());
    text.clear();
    check("read the unlinked file", f.read_to_end(&mut text));
    check_that("it is all there", text.len() == 15 && text[10] == b'!', &text);
    check_errno(
        "open below a file",
        {
            check("touch plain", fs::write(dir.join("plain"), ""));
            File::open(dir.join("plain/x"))
        },
        ENOTDIR,
    );
    check_errno("open a directory for writing", OpenOptions::new().write(true).open(dir), EISDIR);
    check("remove plain", fs::remove_file(dir.join("plain")));
}

fn renames(dir: &Path) {
    let (a, b) = (dir.join("a"), dir.join("b"));
    check("write a", fs::write(&a, "A"));
    check("write b", fs::write(&b, "B"));
    check("rename a over b", fs::rename(&a, &b));
    check_that("b is a now", fs::read_to_string(&b).is_ok_and(|t| t == "A"), &fs::read_to_string(&b));
    check_errno("rename what is not there", fs::rename(&a, &b), ENOENT);
    check("mkdir d", fs::create_dir(dir.join("d")));
    check_errno("rename a file over a directory", fs::rename(&b, dir.join("d")), EISDIR);
    check_errno("rename a directory over a file", fs::rename(dir.join("d"), &b), ENOTDIR);
    check("mkdir d/sub", fs::create_dir(dir.join("d/sub")));
    check_errno("rename a directory into itself", fs::rename(dir.join("d"), dir.join("d/sub/d")), EINVAL);
    check("mkdir e", fs::create_dir(dir.join("e")));
    check_errno("rename over a full directory", fs::rename(dir.join("e"), dir.join("d")), ENOTEMPTY);
    check("rename a directory over an empty one", fs::rename(dir.join("d"), dir.join("e")));
    check_that("its entry came along", dir.join("e/sub").is_dir(), &());
    check("remove the rest", fs::remove_dir_all(dir.join("e")).and_then(|()| fs::remove_file(&b)));
}

fn links(dir: &Path) {
    check("write target", fs::write(dir.join("target"), "T"));
    check("hard link", fs::hard_link(dir.join("target"), dir.join("hard")));
    check("unlink the first name", fs::remove_file(dir.join("target")));
    check_that("the second name still has it", fs::read_to_string(dir.join("hard")).is_ok_and(|t| t == "T"), &());
    check_errno("hard link to a taken name", fs::hard_link(dir.join("hard"), dir.join("hard")), EEXIST);
    check("symlink", symlink("hard", &dir.join("soft")));
    let said = check("read the link", fs::read_link(dir.join("soft")));
    check_that("it says hard", said == Path::new("hard"), &said);
    check_that("it is followed", fs::read_to_string(dir.join("soft")).is_ok_and(|t| t == "T"), &());
    check_that("it is seen as a link", fs::symlink_metadata(dir.join("soft")).is_ok_and(|m| m.is_symlink()), &());
    check("a link to nowhere", symlink("nowhere", &dir.join("dangling")));
    check_errno("is not found when opened", File::open(dir.join("dangling")), ENOENT);
    check("a loop, one half", symlink("loop2", &dir.join("loop1")));
    check("a loop, other half", symlink("loop1", &dir.join("loop2")));
    check_errno("opening the loop", File::open(dir.join("loop1")), ELOOP);
    for name in ["hard", "soft", "dangling", "loop1", "loop2"] {
        check(&format!("unlink {name}"), fs::remove_file(dir.join(name)));
    }
}

fn directories(dir: &Path) {
    let d = dir.join("dir");
    check("mkdir", fs::create_dir(&d));
    check_errno("mkdir again", fs::create_dir(&d), EEXIST);
    for i in 0..100 {
        if let Err(e) = fs::write(d.join(format!("f{i:03}")), []) {
            check(&format!("create entry {i}"), Err(e))
        }
    }
    let seen = check("list 100 entries", names(&d));
    check_that("all are there once", seen.len() == 100 && seen[0] == "f000" && seen[99] == "f099", &seen.len());
    check_errno("rmdir of a full directory", fs::remove_dir(&d), ENOTEMPTY);
    check_errno("rmdir of a file", fs::remove_dir(d.join("f000")), ENOTDIR);
    check("remove all", fs::remove_dir_all(&d));
    check_errno("list what is gone", names(&d), ENOENT);
}

fn times(dir: &Path) {
    let path = dir.join("times");
    let f = check("create times", File::create(&path));
    let when = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 500);
    check("set the modification time", f.set_times(fs::FileTimes::new().set_modified(when)));
    let seen = check("read it back", fs::metadata(&path).and_then(|m| m.modified()));
    check_that("it is what was set", seen == when, &seen);
    check("write", fs::write(&path, "x"));
    let later = check("read it again", fs::metadata(&path).and_then(|m| m.modified()));
    check_that("a write moves it on", later > when, &later);
    check("remove times", fs::remove_file(&path));
}

fn across(dir: &Path, other: &Path) {
    let (here, there) = (dir.join("mover"), other.join("mover"));
    check("write mover", fs::write(&here, "M"));
    check_errno("rename to another mount", fs::rename(&here, &there), EXDEV);
    check_errno("hard link to another mount", fs::hard_link(&here, &there), EXDEV);
    check_that("copied bytes", matches!(fs::copy(&here, &there), Ok(1)), &());
    check("remove both", fs::remove_file(&here).and_then(|()| fs::remove_file(&there)));
}

fn refused(read_only: &Path) {
    let listed = check("list the read-only mount", names(read_only));
    check_errno("create on it", fs::write(read_only.join("new"), ""), EROFS);
    check_errno("mkdir on it", fs::create_dir(read_only.join("newdir")), EROFS);
    if let Some(first) = listed.first() {
        check_errno("unlink on it", fs::remove_file(read_only.join(first)), EROFS);
        check_errno("rename on it", fs::rename(read_only.join(first), read_only.join("new")), EROFS);
    }
}

fn full(small: &Path) {
    let path = small.join("fill");
    let mut f = check("create on the small volume", File::create(&path));
    let chunk = [b'#'; 4096];
    let mut held = 0usize;
    let outcome = loop {
        match f.write(&chunk) {
            Ok(0) => break Ok(()),
            Ok(n) => held += n,
            Err(e) => break Err(e),
        }
        if held > FULL_AT_MOST {
            break Ok(());
        }
    };
    // the libc of WASI 0.2 makes EIO of every failure of a stream
    check_errno("filling it ends", outcome, if cfg!(target_env = "p2") { EIO } else { ENOSPC });
    println!("small volume held {held} bytes");
    check_that("what fitted is there", fs::metadata(&path).is_ok_and(|m| m.len() == held as u64), &held);
    drop(f);
    check("remove it", fs::remove_file(&path));
    check("there is room again", fs::write(&path, chunk));
    check("remove it again", fs::remove_file(&path));
}
