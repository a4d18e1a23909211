//! I: more objects than there may be, names of another pod, and locks of the dead.

use serde_json::json;
use wasmpod_suite::manifest::{Folder, container, pod, with};
use wasmpod_suite::play::Play;

use super::{attacker, beside, end, held};

#[test]
fn i01_objects_and_bytes_without_end() {
    let guest = container("c", "abuse_ipc", &["i01"]);
    let guest = with(guest, "", &json!({"resources": {"limits": {"memory": "128Mi"}}}));
    let run = beside(&[with(attacker(&[guest]), "spec", &json!({"activeDeadlineSeconds": 60}))]);
    held(&run, "c");
}

#[test]
fn i01_memory_of_objects_is_the_containers() {
    // the limits of the namespace would allow more than this container may have
    let guest = container("c", "abuse_ipc", &["i01"]);
    let guest = with(guest, "", &json!({"resources": {"limits": {"memory": "12Mi"}}}));
    let run = beside(&[with(attacker(&[guest]), "spec", &json!({"activeDeadlineSeconds": 60}))]);
    // refused, or killed for it: what it made is charged to it
    let [code, reason] = end(&run, "c");
    let out_of_memory = run.of("attacker/c").iter().any(|line| line.contains("out-of-memory"));
    assert!(out_of_memory || reason == "OOMKilled", "{code} {reason}: {:?}", run.of("attacker/c"));
}

#[test]
fn i02_names_of_another_pod() {
    let other = pod("other", &[container("c", "abuse_ipc", &["hold"])]);
    let run = beside(&[other, attacker(&[container("c", "abuse_ipc", &["i02"])])]);
    held(&run, "c");
    assert_eq!(run.of("other/c").last().map(String::as_str), Some("abuse_ipc hold: all refused"));
}

#[test]
fn i03_the_holder_of_a_lock_dies() {
    let run = beside(&[attacker(&[
        container("dies", "abuse_ipc", &["die"]),
        container("inherits", "abuse_ipc", &["inherit"]),
    ])]);
    assert_eq!(end(&run, "dies")[0], "134");
    held(&run, "inherits");
}

#[test]
fn i03_who_waits_for_ever_is_named() {
    let folder = Folder::new();
    let containers =
        [container("a", "abuse_ipc", &["wait", "receive"]), container("b", "abuse_ipc", &["wait", "semaphore"])];
    let run = Play::file(folder.manifest("m", &[pod("stuck", &containers)])).seeded(1).run();
    assert!(run.stderr().contains("stuck/a") && run.stderr().contains("stuck/b"), "{}", run.stderr());
    assert!(run.stderr().to_lowercase().contains("deadlock"), "{}", run.stderr());
    assert_ne!(run.code, Some(0));
}
