//! The WASI surface, from inside: guests that make every call in right and wrong ways, on every kind of directory a container has,
//! and the runner for suites of others.

use std::path::Path;

use serde_json::{Value, json};
use wasmpod_suite::binary;
use wasmpod_suite::guest;
use wasmpod_suite::manifest::{Folder, container, pod, with};
use wasmpod_suite::outcome::Outcome;
use wasmpod_suite::play::Play;
use xtask::wasi_testsuite::{self, SKIPPED, Verdict};

/// `guest ARGS` three times: in the container's writable layer, in an emptyDir and in a directory of the host. Each is the working
/// directory, so all find it as `.`.
fn on_every_kind_of_directory(name: &str, args: &[&str]) -> Outcome {
    let folder = Folder::new();
    let host = folder.path().join("host");
    std::fs::create_dir(&host).expect("a folder for the guest");
    let on = |volume: &str| {
        let place = json!({"workingDir": "/scratch", "volumeMounts": [{"name": volume, "mountPath": "/scratch"}]});
        with(container(volume, name, args), "", &place)
    };
    let containers = [container("layer", name, args), on("empty"), on("host")];
    let volumes = json!({"volumes": [{"name": "empty", "emptyDir": {}}, {"name": "host", "hostPath": {"path": host}}]});
    let file = folder.manifest("m", &[with(pod("p", &containers), "spec", &volumes)]);
    let run = Play::file(file).arg("--allow-hostpath").arg(folder.path()).run();
    let left: Vec<_> = std::fs::read_dir(&host).expect("it is there").collect();
    assert!(left.is_empty(), "each case takes away what it made: {left:?}");
    run
}

#[test]
fn preview_1_answers_as_documented_on_every_kind_of_directory() {
    let run = on_every_kind_of_directory("wasi_p1", &["all"]).expect(0);
    assert_eq!(run.stdout(), "", "it says only what is wrong");
}

#[test]
fn a_scratch_directory_is_found_by_the_name_that_was_typed() {
    let folder = Folder::new();
    // what a program sees of `app DIR`: the mount by its path, by its relative name, and the working directory
    let on = |name: &str, directory: &str| {
        let mount = json!({"volumeMounts": [{"name": "s", "mountPath": "/fs-tests.dir"}]});
        with(container(name, "wasi_p1", &["directories", directory]), "", &mount)
    };
    let containers = [on("path", "/fs-tests.dir"), on("name", "fs-tests.dir"), on("dot", "."), on("root", "/")];
    // one after the other: they make the same names
    let spec = json!({"volumes": [{"name": "s", "emptyDir": {}}], "initContainers": containers[..3]});
    let file = folder.manifest("m", &[with(pod("p", &containers[3..]), "spec", &spec)]);
    Play::file(file).seeded(0).run().expect(0);
}

#[test]
fn a_c_library_finds_files_directories_links_and_waiting_as_it_expects() {
    let run = on_every_kind_of_directory("wasi_libc", &["all"]).expect(0);
    assert_eq!(run.stdout(), "", "it says only what is wrong");
}

#[test]
fn preview_2_answers_as_documented_on_every_kind_of_directory() {
    // sockets have ports of their own choice, so the three containers of one pod do not meet
    let run = on_every_kind_of_directory("wasi_p2", &["all"]).expect(0);
    assert_eq!(run.stdout(), "", "it says only what is wrong");
}

/// The rule, and a word of what is said of it.
const TRAPS: &[(&str, &str)] = &[
    ("empty-poll", "empty poll list"),
    ("stream-before-its-pollable", "has children"),
    ("socket-before-its-stream", "has children"),
    ("write-without-a-permit", "not permitted"),
    ("write-beyond-the-permit", "not permitted"),
    ("write-and-flush-of-4097", "4096"),
    ("zeroes-and-flush-of-4097", "4096"),
    ("send-beyond-the-permit", "not permitted"),
    ("datagram-streams-twice", "not dropped"),
];

#[test]
fn who_breaks_a_rule_of_preview_2_is_ended() {
    let containers: Vec<Value> = TRAPS.iter().map(|(rule, _)| container(rule, "wasi_p2", &["trap", rule])).collect();
    let folder = Folder::new();
    let run = Play::file(folder.manifest("m", &[pod("p", &containers)])).seeded(0).run().expect(1);
    for (rule, said) in TRAPS {
        assert_eq!(run.row("p", rule)[1], "134", "{rule}");
        let who = format!("p/{rule}");
        assert!(run.of(&who).is_empty(), "{rule}: {:?}", run.of(&who));
        let ended = format!("wasmpod: {who} exited with code 134 (Error): ");
        let stderr = run.stderr();
        let why = stderr.lines().find_map(|line| line.strip_prefix(&ended)).unwrap_or_default();
        assert!(why.contains(said), "{rule}: {why:?}");
    }
}

/// A folder in the shape of the community's suite: a program, its expectation and its directory.
fn suite(folder: &Folder, guest_name: &str, tests: &[(&str, Option<Value>)]) {
    for (name, expectation) in tests {
        let wasm = folder.path().join(format!("{name}.wasm"));
        std::fs::copy(guest(guest_name), wasm).expect("a copy");
        if let Some(expectation) = expectation {
            folder.write(&format!("{name}.json"), expectation.to_string());
        }
    }
}

fn verdicts(folder: &Path) -> Vec<(String, Verdict)> {
    let run = |case: wasi_testsuite::Case| {
        let scratch = tempfile::tempdir().expect("a folder for temporary files");
        let verdict = case.run(binary::path(), scratch.path()).expect("it can be run");
        (case.name, verdict)
    };
    wasi_testsuite::find(folder).expect("tests").into_iter().map(run).collect()
}

#[test]
fn a_folder_of_foreign_tests_is_run_and_judged() {
    let folder = Folder::new();
    folder.write("fs-tests.dir/kept", "x");
    folder.write("fs-tests.dir/left.cleanup", "x");
    let dirs = || json!({"args": ["files", "fs-tests.dir"], "dirs": ["fs-tests.dir"]});
    suite(
        &folder,
        "wasi_p1",
        &[
            ("files", Some(dirs())),
            ("root", Some(json!({"args": ["all", "/"], "root": "fs-tests.dir"}))),
            ("new-form", Some(json!({"operations": [{"type": "run", "args": ["system"]}, {"type": "wait"}]}))),
            ("usage", Some(json!({"exit_code": 2, "stdout": "wasi_p1 CASE|all [SCRATCH]\n"}))),
            ("wrong-code", Some(json!({"args": ["system"], "exit_code": 33}))),
            ("wrong-output", Some(json!({"args": ["system"], "stdout": "hello\n"}))),
            ("no-expectation", None),
            (SKIPPED[0].0, None),
        ],
    );
    let found = verdicts(folder.path());
    let of = |name: &str| &found.iter().find(|(found, _)| found == name).expect("it was run").1;
    for passes in ["files", "root", "new-form", "usage"] {
        assert_eq!(of(passes), &Verdict::Pass, "{passes}");
    }
    for (fails, why) in [("wrong-code", "not 33"), ("wrong-output", "stdout"), ("no-expectation", "exit code 2")] {
        assert!(matches!(of(fails), Verdict::Fail(said) if said.contains(why)), "{fails}: {:?}", of(fails));
    }
    assert!(matches!(of(SKIPPED[0].0), Verdict::Skip(_)));
    assert!(folder.path().join("fs-tests.dir/left.cleanup").exists(), "the suite's own folder is left alone");
}
