//! T: floods of timers and polls, and what tells one run from another.

use serde_json::json;
use wasmpod_suite::manifest::{Folder, container, with};
use wasmpod_suite::play::Play;

use super::{attacker, beside, end, held, victim};

#[test]
fn t01_a_flood_of_timers() {
    let containers = ["p1", "p2"].map(|which| container(which, &format!("abuse_host_{which}"), &["t01", "50000"]));
    let run = beside(&[with(attacker(&containers), "spec", &json!({"activeDeadlineSeconds": 60}))]);
    for which in ["p1", "p2"] {
        held(&run, which);
    }
}

#[test]
fn t02_polls_without_sense() {
    let containers = ["p1", "p2"].map(|which| container(which, &format!("abuse_host_{which}"), &["t02"]));
    let run = beside(&[with(attacker(&containers), "spec", &json!({"activeDeadlineSeconds": 60}))]);
    held(&run, "p1");
    let said = run.of("attacker/p2");
    assert_eq!(said.last().map(String::as_str), Some("a poll of too much"), "{said:?}");
    assert_ne!(end(&run, "p2")[0], "0");
}

#[test]
fn t03_a_lone_timer_stops_nobody_in_real_time() {
    // as many as stop every thread of the host, if each stopped one
    let containers: Vec<_> = (0..32)
        .map(|n| container(&format!("c{n}"), if n % 2 == 0 { "abuse_host_p1" } else { "abuse_host_p2" }, &["t03"]))
        .collect();
    let folder = Folder::new();
    let objects = [victim(), with(attacker(&containers), "spec", &json!({"activeDeadlineSeconds": 60}))];
    let run = Play::file(folder.manifest("m", &objects)).run().expect(0);
    assert_eq!(run.of("victim/c").last().map(String::as_str), Some("victim: served 300"));
}

#[test]
fn t04_nothing_tells_two_runs_of_one_seed_apart() {
    let containers = ["p1", "p2"].map(|which| container(which, &format!("abuse_host_{which}"), &["t04"]));
    let folder = Folder::new();
    let file = folder.manifest("m", &[attacker(&containers)]);
    let run = |seed: u64| Play::file(&file).seeded(seed).run().expect(0);
    let (first, second, other) = (run(1), run(1), run(2));
    assert_eq!(first.stdout(), second.stdout());
    assert_eq!(first.journal, second.journal);
    for which in ["p1", "p2"] {
        let container = format!("attacker/{which}");
        let random = |run: &wasmpod_suite::outcome::Outcome| run.of(&container)[1].clone();
        assert_ne!(random(&first), random(&other), "another seed has other random numbers");
        assert!(first.of(&container)[0].starts_with("wall SystemTime"), "{}", first.stdout());
    }
}
