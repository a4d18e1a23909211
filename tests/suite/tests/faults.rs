//! `--faults`: every file of `specs/faults` does what it says to its pods, the same for one seed, and what is wrong is refused.

use std::collections::BTreeSet;

use wasmpod_suite::outcome::Outcome;
use wasmpod_suite::play::Play;
use wasmpod_suite::{read, root};

const SECOND: u64 = 1_000_000_000;
const FINE: [&str; 4] = ["Succeeded", "0", "Completed", "0"];

/// Runs the pods with a file of faults twice with one seed; the first run, if the second gave the same bytes.
#[track_caller]
fn with_faults(faults: &str, pods: &str, seed: u64, code: i32) -> Outcome {
    let run = || play(faults, pods).seeded(seed).run().expect(code);
    let (first, second) = (run(), run());
    assert_eq!(first.journal, second.journal);
    assert_eq!(first.stdout(), second.stdout());
    first
}

fn play(faults: &str, pods: &str) -> Play {
    Play::file(format!("specs/faults/pods/{pods}.yaml")).args(&["--faults", &format!("specs/faults/{faults}.yaml")])
}

fn without_faults(pods: &str) -> Outcome {
    Play::file(format!("specs/faults/pods/{pods}.yaml")).seeded(1).run().expect(0)
}

/// When the only run of a container ended, in nanoseconds.
#[track_caller]
fn ended(run: &Outcome, who: &str) -> u64 {
    let times = run.times(who, "exited");
    assert_eq!(times.len(), 1, "{}", run.journal);
    times[0]
}

/// When a fault came and went.
fn fault(run: &Outcome, name: &str) -> (Vec<u64>, Vec<u64>) {
    (run.times("fault", &format!("{name} injected")), run.times("fault", &format!("{name} recovered")))
}

#[test]
fn every_file_has_a_test() {
    let me = read(&root().join("tests/suite/tests/faults.rs"));
    for entry in std::fs::read_dir(root().join("specs/faults")).expect("specs/faults is there") {
        let name = entry.expect("it can be listed").file_name().into_string().expect("names are plain");
        if let Some(stem) = name.strip_suffix(".yaml") {
            assert!(me.contains(&format!("\"{stem}\"")), "{name} has no test");
        }
    }
}

#[test]
fn a_delayed_link_makes_each_round_trip_longer() {
    let run = with_faults("network-delay", "net", 1, 0);
    assert_eq!(run.row("client", "echo"), FINE);
    let (plain, slow) = (ended(&without_faults("net"), "client/echo"), ended(&run, "client/echo"));
    // ten messages there and back, each way 10 ms; the connection may have been made before the link was slow
    let more = slow - plain;
    assert!((200_000_000..260_000_000).contains(&more), "{more} ns more");
    assert_eq!(fault(&run, "slow-link"), (vec![0], vec![]));
}

#[test]
fn a_lossy_link_loses_nothing_of_a_connection() {
    let run = with_faults("network-loss", "net", 1, 0);
    assert_eq!(run.of("client/echo").last().map(String::as_str), Some("echoed 10 messages of 1000 bytes"));
    let (plain, lossy) = (ended(&without_faults("net"), "client/echo"), ended(&run, "client/echo"));
    assert!(lossy > plain + 200_000_000, "what is lost is sent again after 200 ms: {plain} and {lossy}");
    let others: BTreeSet<u64> =
        (1..6).map(|seed| ended(&with_faults("network-loss", "net", seed, 0), "client/echo")).collect();
    assert!(others.len() > 1, "what is lost is the seed's");
}

#[test]
fn a_narrow_link_takes_its_time() {
    let run = with_faults("network-bandwidth", "net", 1, 0);
    let took = ended(&run, "client/echo");
    // 10,000 bytes and their headers at 10,240 bytes a second
    assert!((900_000_000..1_300_000_000).contains(&took), "{took} ns");
}

#[test]
fn a_partition_holds_up_a_conversation_until_it_is_over() {
    let run = with_faults("network-partition", "talk", 1, 0);
    assert_eq!(run.row("client", "talk"), FINE);
    assert_eq!(fault(&run, "cut-link"), (vec![SECOND / 50], vec![SECOND / 50 + 2 * SECOND]));
    assert!(ended(&without_faults("talk"), "client/talk") < SECOND);
    let took = ended(&run, "client/talk");
    assert!(took > SECOND / 50 + 2 * SECOND, "{took} ns");
    assert_eq!(run.of("server/talk").last().map(String::as_str), Some("served 50 lines"), "nothing was lost");
}

#[test]
fn a_killed_container_is_started_again() {
    let run = with_faults("container-kill", "beat", 3, 0);
    let killed: Vec<&str> = ["left", "right"].into_iter().filter(|pod| run.row(pod, "beat")[3] == "1").collect();
    let [killed] = killed[..] else { panic!("one of two: {}", run.stderr()) };
    let who = format!("{killed}/beat");
    assert_eq!(run.times(&who, "signal SIGKILL"), [5 * SECOND / 2], "2.5 s after the event");
    assert_eq!(run.times(&who, "exited code 137"), [5 * SECOND / 2]);
    let beats: Vec<String> = (1..=3).chain(1..=5).map(|n| format!("beat {n}")).collect();
    assert_eq!(run.of(&who), beats);
    let both: BTreeSet<bool> = (0..8)
        .map(|seed| play("container-kill", "beat").seeded(seed).run().expect(0).row("left", "beat")[3] == "1")
        .collect();
    assert_eq!(both.len(), 2, "the seed draws the pod");
}

#[test]
fn a_killed_pod_stays_gone() {
    let run = with_faults("pod-kill", "beat", 2, 1);
    let phases: Vec<String> = ["left", "right"].map(|pod| run.row(pod, "beat")[0].clone()).to_vec();
    assert!(phases.contains(&"Failed".to_owned()) && phases.contains(&"Succeeded".to_owned()), "{phases:?}");
    let (injected, _) = fault(&run, "kill-pod");
    assert!((SECOND..3 * SECOND).contains(&injected[0]), "{injected:?}");
    let other = with_faults("pod-kill", "beat", 3, 1);
    assert_ne!(fault(&other, "kill-pod").0, injected, "the time is the seed's");
}

#[test]
fn cpu_stress_takes_half_of_a_container_s_time_and_nothing_of_its_neighbour_s() {
    let rounds = |run: &Outcome, name: &str| -> u64 {
        let lines = run.of(&format!("spin/{name}"));
        lines.last().and_then(|line| line.strip_prefix("rounds=")?.parse().ok()).unwrap_or_else(|| panic!("{lines:?}"))
    };
    let (plain, run) = (without_faults("spin"), with_faults("cpu-stress", "spin", 1, 0));
    assert_eq!(rounds(&run, "calm"), rounds(&plain, "calm"));
    let (stressed, alone) = (rounds(&run, "stressed"), rounds(&plain, "stressed"));
    assert!((2 * stressed).abs_diff(alone) <= alone / 5, "{stressed} of {alone}");
}

#[test]
fn memory_stress_past_the_limit_is_an_oom_kill() {
    let run = with_faults("memory-stress", "memory", 1, 1);
    assert_eq!(run.row("memory", "greedy"), ["Failed", "137", "OOMKilled", "0"]);
    assert_eq!(run.row("memory", "modest")[1..], FINE[1..]);
    assert_eq!(run.times("memory/greedy", "exited code 137 reason OOMKilled"), [3 * SECOND / 2]);
    assert_eq!(run.times("fault", "hungry is out of memory in memory/greedy"), [3 * SECOND / 2]);
    assert_eq!(fault(&run, "peckish"), (vec![3 * SECOND / 2], vec![5 * SECOND / 2]));
}

#[test]
fn a_full_disk_takes_nothing_until_there_is_room_again() {
    let run = with_faults("disk-full", "disk", 1, 0);
    let wrote = |turn: u32| format!("{turn}: wrote 64 KiB");
    let full = |turn: u32| format!("{turn}: No space left on device (os error 51)");
    assert_eq!(run.of("disk/volume"), [wrote(1), wrote(2), full(3), full(4), wrote(5), wrote(6)]);
    assert_eq!(run.of("disk/root"), [wrote(1), wrote(2), full(3), wrote(4), wrote(5), wrote(6)]);
}

#[test]
fn a_skewed_clock_is_wrong_for_one_container_and_monotonic_time_goes_on() {
    let run = with_faults("clock-skew", "clock", 1, 0);
    let times = |name: &str| -> Vec<(i64, i64)> {
        let number = |text: Option<&str>| text.and_then(|text| text.parse().ok()).expect("a number");
        let line = |line: &String| {
            let mut words = line.split(' ');
            (number(words.nth(1)), number(words.nth(1)))
        };
        run.of(&format!("clock/{name}")).iter().map(line).collect()
    };
    let (wrong, right) = (times("wrong"), times("right"));
    for turn in 0..5 {
        let late = if turn == 2 || turn == 3 { -600_000 } else { 0 };
        assert_eq!(wrong[turn].0 - right[turn].0, late, "turn {turn}: {wrong:?}");
        assert_eq!(wrong[turn].1, 1000 * turn as i64, "{wrong:?}");
    }
}

#[test]
fn faults_work_in_real_time_too() {
    let run = play("network-delay", "net").run().expect(0);
    assert_eq!(run.of("client/echo").last().map(String::as_str), Some("echoed 10 messages of 1000 bytes"));
    assert!(run.stderr().contains("wasmpod: fault slow-link injected: "), "{}", run.stderr());
}

#[test]
fn a_run_with_faults_is_told_as_a_command_and_can_be_checked() {
    let run = play("pod-kill", "beat").args(&["--check-determinism", "--seed", "2"]).run().expect(1);
    let stderr = run.stderr();
    assert!(stderr.contains("deterministic: two runs gave the same"), "{stderr}");
    let command = "reproduce with: wasmpod play --virtual-time specs/faults/pods/beat.yaml --faults specs/faults/pod-kill.yaml --seed 2";
    assert!(stderr.contains(command), "{stderr}");
}

#[test]
fn every_wrong_file_is_refused_with_its_text() {
    let folder = root().join("specs/faults/invalid");
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(&folder).expect("it is there") {
        let name = entry.expect("it can be listed").file_name().into_string().expect("names are plain");
        let Some(stem) = name.strip_suffix(".yaml") else { continue };
        count += 1;
        // run in the folder, so that the text names the file without a path
        let run = Play::file("../pods/beat.yaml").args(&["--faults", &name]).dir(&folder).run();
        let expected = std::fs::read_to_string(folder.join(format!("{stem}.txt"))).unwrap_or_default();
        if run.code != Some(2) || run.stderr().trim_end() != expected.trim_end() || !run.stdout.is_empty() {
            wrong.push(format!(
                "{name}: exit code {:?}\n--- expected\n{expected}\n--- stderr\n{}",
                run.code,
                run.stderr()
            ));
        }
    }
    assert!(count >= 11 && wrong.is_empty(), "{count} files; wrong are:\n{}", wrong.join("\n\n"));
    let missing = Play::spec("hello.yaml").args(&["--faults", "no-such-file.yaml"]).run().expect(2);
    assert!(missing.stderr().starts_with("error: --faults no-such-file.yaml: "), "{}", missing.stderr());
}
