//! Several threads in one tree: no deadlock, nothing lost, nothing left over. What one call does against another is decided by the
//! host's threads; what is checked holds for every order.

use std::sync::Arc;

use wasmpod_sim::Entropy;

use super::super::testing::{ROOT, Words, clock, memory};
use super::super::{MountNs, MountOptions, OpenFile, OpenOptions, Quota, TmpfsOptions, Volume};
use crate::file::FileType;

const THREADS: u64 = 4;
const CALLS: u64 = 3000;

/// Random calls on a small tree. Their results are not looked at: the others may have been first.
fn mess(root: &OpenFile, seed: u64) {
    let mut random = Entropy::from_seed(seed).stream("crowd");
    let mut path = || {
        let names: Vec<&str> = (0..=random.below(3)).map(|_| ["a", "b", "c"][random.below(3) as usize]).collect();
        (format!("v/{}", names.join("/")), random.below(8))
    };
    for _ in 0..CALLS {
        let ((path, call), (other, _)) = (path(), path());
        let _whoever_was_first = match call {
            0 | 1 => root.mkdir(&path),
            2 => root.rmdir_at(ROOT, &path),
            3 => root.unlink_at(ROOT, &path),
            4 => root.rename_at(ROOT, &path, root, &other),
            5 => root.link_at(ROOT, &path, false, root, &other),
            6 => root.names(&path).map(drop),
            _ => root.put(&path, "some text"),
        };
    }
}

/// Names in the tree under `dir`, with link counts checked on the way. Nothing else runs any more.
fn count(dir: &Arc<OpenFile>) -> u64 {
    let (mut names, mut left) = (0, vec![dir.clone()]);
    while let Some(dir) = left.pop() {
        let entries = dir.read_dir(0, usize::MAX).unwrap();
        let subdirs = entries.iter().filter(|entry| entry.file_type == FileType::Directory).count() as u64;
        assert_eq!(dir.stat().unwrap().nlink, subdirs, "`.` and `..` are two of them");
        for entry in entries.into_iter().filter(|entry| entry.name != "." && entry.name != "..") {
            names += 1;
            if entry.file_type == FileType::Directory {
                left.push(dir.dir(&entry.name));
            }
        }
    }
    names
}

#[test]
fn many_threads_leave_a_sound_tree_and_exact_accounts() {
    let (quota, memory) = (Quota::root("node", None, None), memory());
    let volume = Volume::tmpfs(TmpfsOptions { memory_backed: true, quota: Some(quota.clone()), ..Default::default() });
    let ns = MountNs::builder(clock(), memory.clone()).root(vec![], Quota::root("u", None, None));
    let root = ns.mount("/v", volume.clone(), MountOptions::default()).build().unwrap().root_dir();
    std::thread::scope(|scope| {
        for seed in 0..THREADS {
            let root = &root;
            scope.spawn(move || mess(root, seed));
        }
    });
    assert_eq!(volume.usage().inodes, count(&root.dir("v")));
    drop((root, volume));
    assert_eq!((quota.usage().bytes, quota.usage().inodes, memory.memory_stats().current), (0, 0, 0));
}

#[test]
fn writers_that_append_lose_nothing() {
    let ns = MountNs::builder(clock(), memory()).root(vec![], Quota::root("u", None, None)).build().unwrap();
    let root = ns.root_dir();
    let options = OpenOptions { append: true, ..OpenOptions::read_write_create() };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let log = root.open("log", options).unwrap();
            scope.spawn(move || (0..500).for_each(|_| assert_eq!(log.write(b"0123456789"), Ok(10))));
        }
    });
    let text = root.text("log").unwrap();
    assert_eq!(text, "0123456789".repeat(500 * THREADS as usize));
}
