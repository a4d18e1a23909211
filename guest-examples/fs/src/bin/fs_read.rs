//! `fs_read DIR`: waits until `fs_write` is done with DIR (at most 30 s), then checks every file it left there.
use std::fs;
use std::path::Path;
use std::time::Duration;

use guest_fs::{check, check_that, names};

const TRIES: u32 = 3000;

fn main() {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "/data".into());
    let dir = Path::new(&dir);
    let waited = (0..TRIES).any(|_| {
        let there = dir.join("done").exists();
        if !there {
            std::thread::sleep(Duration::from_millis(10));
        }
        there
    });
    check_that("the writer is done", waited, &waited);
    let text = |name: &str| fs::read_to_string(dir.join(name));
    let greeting = check("read greeting.txt", text("greeting.txt"));
    check_that("greeting is whole", greeting == "hello, volume\n", &greeting);
    let log = check("read latest through the link", text("latest"));
    check_that("log is whole", log == "line 1\nline 2\nline 3\n", &log);
    let again = check("read the hard link", text("again.txt"));
    check_that("hard link has the same text", again == greeting, &again);
    let leaf = check("read deep/er/est/leaf", fs::read(dir.join("deep/er/est/leaf")));
    check_that("leaf has 5000 sevens", leaf.len() == 5000 && leaf.iter().all(|b| *b == 7), &leaf.len());
    let holes = check("read sparse.bin", fs::read(dir.join("sparse.bin")));
    check_that(
        "the hole reads as zeros",
        holes.len() == 10_003 && holes[..10_000].iter().all(|b| *b == 0) && &holes[10_000..] == b"end",
        &holes.len(),
    );
    let seen = check("list the directory", names(dir));
    check_that(
        "the names are right",
        seen == ["again.txt", "deep", "done", "greeting.txt", "latest", "log.txt", "sparse.bin"],
        &seen,
    );
    println!("fs_read: all done");
}
