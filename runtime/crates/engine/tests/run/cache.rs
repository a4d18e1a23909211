//! Compiled programs on disk: used when sound, compiled again when not.

use std::path::{Path, PathBuf};

use wasmpod_engine::EngineConfig;
use wasmpod_kernel::cgroup::Limits;
use wasmpod_sim::Sim;

use crate::harness::{Node, program};

fn node(dir: &Path) -> Node {
    let config = EngineConfig { cache_dir: Some(dir.to_owned()), ..EngineConfig::default() };
    Node::of(Sim::new_virtual(1), 1, config)
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cwasm"))
        .collect();
    found.sort();
    found
}

#[test]
fn a_damaged_entry_is_compiled_again_and_mended() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = program("(call $exit (i32.const 5))");
    assert_eq!(node(dir.path()).run(&text, Limits::default()).0.status.code(), 5);
    let [entry] = &entries(dir.path())[..] else { panic!("one entry") };
    let sound = std::fs::read(entry).expect("readable");

    let mut damaged = sound.clone();
    let at = damaged.len() / 2;
    damaged[at] ^= 0xff;
    for bad in [&damaged[..], &sound[..sound.len() - 1], b"", b"not an object file"] {
        std::fs::write(entry, bad).expect("writable");
        assert_eq!(node(dir.path()).run(&text, Limits::default()).0.status.code(), 5);
        assert_eq!(std::fs::read(entry).expect("readable").len(), sound.len(), "it was written anew");
    }
}

#[test]
fn an_entry_with_a_right_sum_but_foreign_content_does_not_fit() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = program("(call $exit (i32.const 6))");
    assert_eq!(node(dir.path()).run(&text, Limits::default()).0.status.code(), 6);
    let [entry] = &entries(dir.path())[..] else { panic!("one entry") };
    let foreign = b"\x7fELF of another version";
    std::fs::write(entry, foreign).expect("writable");
    let sum = <sha2::Sha256 as sha2::Digest>::digest(foreign);
    std::fs::write(entry.with_extension("sum"), hex::encode(sum)).expect("writable");
    assert_eq!(node(dir.path()).run(&text, Limits::default()).0.status.code(), 6);
}

#[test]
fn different_programs_have_different_entries_and_equal_ones_share() {
    let dir = tempfile::tempdir().expect("a directory");
    for code in [1, 2, 1] {
        let text = program(&format!("(call $exit (i32.const {code}))"));
        assert_eq!(node(dir.path()).run(&text, Limits::default()).0.status.code(), code);
    }
    assert_eq!(entries(dir.path()).len(), 2);
}

#[cfg(unix)]
#[test]
fn the_directory_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().expect("a directory");
    let dir = parent.path().join("a/b");
    drop(node(&dir));
    let mode = std::fs::metadata(&dir).expect("made").permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
}
