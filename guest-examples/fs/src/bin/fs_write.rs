//! `fs_write DIR`: leaves files behind in DIR, for `fs_read` in another container.
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use guest_fs::check;

fn main() {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "/data".into());
    let dir = Path::new(&dir);
    check("create greeting.txt", fs::write(dir.join("greeting.txt"), "hello, volume\n"));
    let mut log =
        check("open log.txt for append", OpenOptions::new().append(true).create(true).open(dir.join("log.txt")));
    for i in 1..=3 {
        check(&format!("append line {i}"), writeln!(log, "line {i}"));
    }
    check("make deep/er/est", fs::create_dir_all(dir.join("deep/er/est")));
    check("write into it", fs::write(dir.join("deep/er/est/leaf"), [7u8; 5000]));
    let mut holes = check("create sparse.bin", File::create(dir.join("sparse.bin")));
    check("seek to 10000", holes.seek(SeekFrom::Start(10_000)));
    check("write at 10000", holes.write_all(b"end"));
    check("symlink latest -> log.txt", guest_fs::symlink("log.txt", &dir.join("latest")));
    check("hard link again.txt", fs::hard_link(dir.join("greeting.txt"), dir.join("again.txt")));
    // the last step: what `fs_read` waits for appears whole, by rename
    check("write done.tmp", fs::write(dir.join("done.tmp"), "done\n"));
    check("rename to done", fs::rename(dir.join("done.tmp"), dir.join("done")));
    println!("fs_write: all done");
}
