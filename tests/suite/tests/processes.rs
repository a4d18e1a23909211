//! Signals and pids as programs in pods meet them.

use serde_json::{Value, json};
use wasmpod_suite::manifest::{Folder, container, pod, with};
use wasmpod_suite::outcome::Outcome;
use wasmpod_suite::play::Play;

fn run(object: Value) -> Outcome {
    let folder = Folder::new();
    Play::file(folder.manifest("m", &[object])).seeded(0).run()
}

/// A pod whose containers share a pid namespace.
fn shared(containers: &[Value]) -> Value {
    with(pod("p", containers), "spec", &json!({"shareProcessNamespace": true}))
}

fn listening(container: Value) -> Value {
    with(container, "", &json!({"ports": [{"containerPort": 8080}]}))
}

#[test]
fn a_program_with_a_handler_ends_itself_and_one_without_is_killed() {
    let containers = [
        container("handler", "signal_cases_p1", &["graceful", "7"]),
        container("c", "signal_c", &["5"]),
        listening(container("fd-p1", "signal_cases_p1", &["fd", "8"])),
        container("fd-p2", "signal_cases_p2", &["fd", "9"]),
        container("deaf", "sleep_for_p1", &["3600000"]),
    ];
    let spec = json!({"activeDeadlineSeconds": 1, "terminationGracePeriodSeconds": 3});
    let run = run(with(pod("p", &containers), "spec", &spec)).expect(1);
    for (name, code) in [("handler", "7"), ("c", "5"), ("fd-p1", "8"), ("fd-p2", "9"), ("deaf", "137")] {
        assert_eq!(run.row("p", name)[1], code, "{name}: {}", run.stderr());
        assert_eq!(run.journalled(&format!("p/{name}"), "signal SIGTERM grace 3").len(), 1, "{name}");
    }
    assert_eq!(run.of("p/handler"), ["waiting", "caught 15", "sleep: errno 27"]);
    assert_eq!(run.of("p/c"), ["pid 1 waits (0, was 0)", "woken", "stopped by signal 15"]);
    for name in ["p/fd-p1", "p/fd-p2"] {
        // the fifth tick is due at the moment of the signal: the seed says which is first
        let lines = run.of(name);
        assert_eq!(lines[0], "signal 10 from pid 1", "{name}");
        let ticks = lines[1].strip_prefix("signal 15 from pid 0 after ");
        assert!(matches!(ticks, Some("4 ticks" | "5 ticks")), "{name}: {lines:?}");
    }
    let got = |name: &str| run.journalled(name, "got SIGTERM").remove(0).1;
    assert_eq!(got("p/handler"), "got SIGTERM as pid 1 from the runtime: to its handler");
    assert_eq!(got("p/fd-p2"), "got SIGTERM as pid 1 from the runtime: pending");
    assert_eq!(got("p/deaf"), "got SIGTERM as pid 1 from the runtime: ignored (pid 1 without a handler)");
    assert!(run.times("p/handler", "signal SIGKILL").is_empty());
    let term = run.times("p/deaf", "signal SIGTERM")[0];
    assert_eq!(run.times("p/deaf", "signal SIGKILL"), [term + 3_000_000_000]);
    assert!(run.times("p/handler", "exited code 7")[0] < term + 100_000_000);
}

#[test]
fn a_blocked_call_ends_with_eintr_or_goes_on() {
    let target = listening(container("target", "signal_cases_p1", &["interrupted"]));
    let sender = container("sender", "signal_cases_p2", &["send", "interrupted", "10", "10", "10"]);
    let run1 = run(shared(&[target, sender])).expect(0);
    let expected = ["caught 10", "accept: errno 27", "caught 10", "sleep: errno 27", "caught 10", "read: EINTR"];
    assert_eq!(run1.of("p/target"), expected, "{}", run1.stderr());

    let target = container("target", "signal_cases_p1", &["restarted"]);
    let sender = container("sender", "signal_cases_p1", &["send", "restarted", "10"]);
    let run2 = run(shared(&[target, sender])).expect(0);
    assert_eq!(run2.of("p/target"), ["caught 10", "slept 2 s"], "{}", run2.stderr());
}

#[test]
fn a_call_that_waits_for_ipc_ends_with_eintr_or_goes_on() {
    let target = container("target", "signal_cases_p1", &["ipc"]);
    let sender = container("sender", "signal_cases_p2", &["send", "ipc", "15", "15", "15", "15", "15"]);
    let run1 = run(shared(&[target, sender])).expect(0);
    let mut expected = Vec::new();
    for call in ["mq_receive", "mq_timedsend", "sem_wait", "shm_wait", "poll"] {
        expected.extend(["caught 15".to_owned(), format!("{call}: Err(\"EINTR\")")]);
    }
    expected.push("left: 1 messages, value 0".to_owned());
    assert_eq!(run1.of("p/target"), expected, "{}", run1.stderr());

    for (guest, told) in [
        ("signal_cases_p1", &["caught 15", "mq_timedreceive: Err(\"ETIMEDOUT\")"][..]),
        ("signal_cases_p2", &["mq_timedreceive: Err(\"ETIMEDOUT\"), pending [15]"]),
    ] {
        let target = container("target", guest, &["ipc-restarted"]);
        let sender = container("sender", "signal_cases_p1", &["send", "ipc-restarted", "15"]);
        let run2 = run(shared(&[target, sender])).expect(0);
        assert_eq!(run2.of("p/target"), told, "{}", run2.stderr());
    }
}

#[test]
fn handlers_run_before_the_call_returns_and_wait_while_they_are_blocked() {
    let run = run(pod("p", &[container("c", "signal_cases_p1", &["handlers"])])).expect(0);
    assert_eq!(run.of("p/c"), ["caught 10", "blocked", "caught 12", "suspended", "caught 10", "done"]);
}

#[test]
fn pid_1_survives_what_comes_from_inside() {
    let of = |name, guest| container(name, guest, &["myself"]);
    let run = run(pod("p", &[of("p1", "signal_cases_p1"), of("p2", "signal_cases_p2")])).expect(0);
    for name in ["p/p1", "p/p2"] {
        assert_eq!(run.of(name), ["pid 1 is alive"], "{}", run.stderr());
    }
}

#[test]
fn containers_see_each_other_only_where_they_share_a_pid_namespace() {
    let containers = [
        container("ticks", "signal_cases_p2", &["tick", "20"]),
        container("list", "signal_cases_p1", &["list"]),
        container("ids", "signal_cases_p2", &["ids"]),
    ];
    let together = run(shared(&containers)).expect(0);
    let expected = [
        "1 (pause) 0 | /pause",
        "2 (signal_cases_p2) 0 | /signal_cases_p2.wasm tick 20",
        "3 (signal_cases_p1) 0 | /signal_cases_p1.wasm list",
    ];
    // whether another runs at that moment is the seed's to say
    let listed: Vec<String> =
        together.of("p/list").iter().map(|line| line.replace(") S ", ") ").replace(") R ", ") ")).collect();
    assert_eq!(listed[..3], expected, "{}", together.stderr());
    assert_eq!(together.of("p/ids"), ["pid 4 ppid 0 uid 0 gid 0"]);
    let apart = run(pod("p", &containers)).expect(0);
    assert_eq!(apart.of("p/list"), ["1 (signal_cases_p1) R 0 | /signal_cases_p1.wasm list", "in /proc: [1]"]);
    assert_eq!(apart.of("p/ids"), ["pid 1 ppid 0 uid 0 gid 0"]);
}

#[test]
fn a_default_action_ends_a_program_that_is_not_pid_1_whatever_it_does() {
    let containers = [
        container("spin", "signal_cases_p1", &["spin"]),
        container("ticks", "signal_cases_p2", &["tick", "1000"]),
        container("to-spin", "signal_cases_p2", &["send", "spin", "17", "15", "15"]),
        container("to-ticks", "signal_cases_p1", &["send", "tick", "6"]),
        container("pipe", "signal_cases_p2", &["default", "13"]),
    ];
    let run = run(shared(&containers)).expect(1);
    assert_eq!(run.row("p", "spin"), ["Failed", "143", "Error", "0"]);
    assert_eq!(run.row("p", "ticks"), ["Failed", "134", "Error", "0"]);
    assert_eq!(run.row("p", "pipe"), ["Failed", "141", "Error", "0"]);
    assert_eq!(run.of("p/to-spin"), ["sent 17 to spin", "sent 15 to spin", "15 to spin: ESRCH"]);
    assert_eq!(run.of("p/pipe"), [""; 0]);
    let got: Vec<String> = run.journalled("p/spin", "got ").into_iter().map(|(_, what)| what).collect();
    assert_eq!(got, ["got SIGCHLD as pid 2 from pid 4: ignored", "got SIGTERM as pid 2 from pid 4: ends the program"]);
}

#[test]
fn a_stopped_program_does_nothing_until_it_goes_on() {
    let containers = [
        container("ticks", "signal_cases_p1", &["tick", "30"]),
        // SIGURG is ignored: it only passes the time
        container("sender", "signal_cases_p2", &["send", "tick", "19", "23", "23", "18"]),
    ];
    let run = run(shared(&containers)).expect(0);
    let ticks = run.of("p/ticks");
    assert_eq!(ticks.len(), 30, "{ticks:?}");
    let late = ticks.iter().filter(|tick| tick.ends_with("late")).count();
    assert!((5..=15).contains(&late), "{ticks:?}");
    assert!(!ticks[29].ends_with("late"), "{ticks:?}");
}

#[test]
fn another_user_s_process_is_not_to_be_signalled() {
    let user = |container, uid: u32| with(container, "", &json!({"securityContext": {"runAsUser": uid}}));
    let probe = |name, uid| user(container(name, "signal_cases_p2", &["probe", "tick"]), uid);
    let ticks = user(container("ticks", "signal_cases_p1", &["tick", "10"]), 1000);
    let run = run(shared(&[ticks, probe("root", 0), probe("same", 1000), probe("other", 1001)])).expect(0);
    assert_eq!(run.of("p/root"), ["tick: Ok(())"]);
    assert_eq!(run.of("p/same"), ["tick: Ok(())"]);
    assert_eq!(run.of("p/other"), ["tick: Err(\"EPERM\")"]);
}

#[test]
fn every_exit_code_of_both_wasis_is_kept() {
    for (guest, step) in [("signal_cases_p2", 5), ("signal_cases_p1", 17)] {
        let codes: Vec<String> = (0..=255).step_by(step).map(|code: u16| code.to_string()).collect();
        let of = |code: &String| container(&format!("c{code}"), guest, &["exit", code]);
        let run = run(pod("p", &codes.iter().map(of).collect::<Vec<_>>())).expect(1);
        for code in &codes {
            assert_eq!(&run.row("p", &format!("c{code}"))[1], code, "{guest}");
        }
    }
}
