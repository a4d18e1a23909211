//! What ends a run from outside: Ctrl-C, SIGTERM, a reader that goes away.

use serde_json::json;
use wasmpod_suite::manifest::{Folder, container, pod, with};
use wasmpod_suite::play::{Play, Running};

/// A pod with a program that computes and one that waits, and `grace` seconds to end. Started, and both heard of.
fn started(folder: &Folder, grace: u32) -> Running {
    let containers = [container("spins", "cpu_spin", &["forever"]), container("sleeps", "sleep_for_p1", &["3600000"])];
    let object = with(pod("p", &containers), "spec", &json!({"terminationGracePeriodSeconds": grace}));
    let mut run = Play::file(folder.manifest("p", &[object])).journalled().start();
    run.line_with("spinning: forever");
    run.line_with("sleeping 3600000 ms");
    run
}

#[test]
fn a_signal_stops_with_grace() {
    let folder = Folder::new();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let run = started(&folder, 1);
        run.signal(signal);
        let run = run.finish().expect(code);
        assert!(run.stderr().contains("wasmpod: stopping the pods; once more kills them\n"), "{}", run.stderr());
        for container in ["p/spins", "p/sleeps"] {
            let (term, kill) = (run.times(container, "signal SIGTERM grace 1"), run.times(container, "signal SIGKILL"));
            assert_eq!((term.len(), kill.len()), (1, 1), "{container}");
            assert!(kill[0] - term[0] >= 1_000_000_000, "{container}: killed before its grace was over");
        }
        assert_eq!(run.row("p", "spins")[1], "137");
        assert_eq!(run.row("p", "sleeps")[1], "137");
        assert_eq!(run.left, 0);
    }
}

#[test]
fn a_second_signal_kills_at_once() {
    let folder = Folder::new();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        // nobody would wait for this grace
        let mut run = started(&folder, 86_400);
        run.signal(signal);
        run.line_with("stopping the pods; once more kills them");
        run.signal("INT"); // the first reason is the one that counts
        run.line_with("killing the pods");
        let run = run.finish().expect(code);
        assert_eq!(run.row("p", "spins")[1], "137");
        assert_eq!(run.row("p", "sleeps")[1], "137");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    use std::process::{Command, Stdio};
    let folder = Folder::new();
    let object = pod("p", &[container("c", "log_flood", &["100000000", "100"])]);
    let file = folder.manifest("flood", &[object]);
    // `head` takes one line and leaves; the shell tells the exit code of the first of the pipe
    let script = "\"$0\" play --quiet \"$1\" | head -n 1; echo \"${PIPESTATUS[0]}\"";
    let out = Command::new("bash")
        .args(["-c", script])
        .arg(wasmpod_suite::binary::path())
        .arg(&file)
        .env("XDG_CACHE_HOME", wasmpod_suite::binary::kept().join("suite-cache"))
        .stdin(Stdio::null())
        .output()
        .expect("there is a bash");
    let stdout = String::from_utf8_lossy(&out.stdout);
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines, [format!("00000000 {}", "x".repeat(91)).as_str(), "141"]);
    assert!(!String::from_utf8_lossy(&out.stderr).contains("panic"), "{}", String::from_utf8_lossy(&out.stderr));
}
