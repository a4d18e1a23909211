//! The same seed gives the same bytes, and `--check-determinism` finds out when it does not.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use wasmpod_suite::manifest::{Folder, container, pod, with};
use wasmpod_suite::outcome::Outcome;
use wasmpod_suite::play::Play;
use wasmpod_suite::root;

/// Runs `work` for every item, as many at once as there are CPUs, and returns what came of each in order.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(at) else { return done };
            done.push((at, work(item)));
        }
    };
    let mut all: Vec<(usize, R)> = std::thread::scope(|scope| {
        let cpus = std::thread::available_parallelism().map_or(1, NonZero::get);
        let workers: Vec<_> = (0..cpus).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no worker panics")).collect()
    });
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, result)| result).collect()
}

fn told(run: &Outcome, text: &str) -> bool {
    run.stderr().contains(text)
}

#[test]
fn two_runs_are_compared_and_the_exit_code_is_theirs() {
    let run = Play::spec("sidecar.yaml").arg("--check-determinism").journalled().run().expect(0);
    let plain = Play::spec("sidecar.yaml").seeded(0).run().expect(0);
    assert_eq!(run.stdout(), plain.stdout(), "the first run's output is shown");
    assert_eq!(run.journal, plain.journal, "and its journal kept");
    let verdict = format!(
        "wasmpod: deterministic: two runs gave the same output, exit code and journal ({} lines, sha256 ",
        plain.journal.lines().count()
    );
    assert!(told(&run, &verdict), "{}", run.stderr());
    assert_eq!(run.left, 0, "nothing is left in the folder for temporary files");

    let failed = Play::spec("exit-code.yaml").args(&["--check-determinism", "--seed", "3"]).run().expect(1);
    assert!(told(&failed, "deterministic: two runs gave the same"), "{}", failed.stderr());
    let again = "reproduce with: wasmpod play --virtual-time specs/pods/exit-code.yaml --seed 3\n";
    assert!(told(&failed, again), "{}", failed.stderr());

    let late = Play::spec("grace.yaml").args(&["--check-determinism", "--timeout", "500ms"]).run().expect(124);
    let again = "reproduce with: wasmpod play --seed 0 --virtual-time specs/pods/grace.yaml --timeout 500ms\n";
    assert!(told(&late, again) && told(&late, "deterministic: "), "{}", late.stderr());
}

#[test]
fn the_json_result_has_the_hash_of_the_journal() {
    let check = Play::spec("hello.yaml").args(&["--check-determinism", "--output", "json"]).journalled().run();
    let check = check.expect(0);
    let verdict = check.json().pop().expect("a verdict");
    assert_eq!((&verdict["type"], &verdict["same"]), (&json!("determinism"), &json!(true)));
    assert_eq!(verdict["journals"][0], verdict["journals"][1]);
    let run = Play::spec("hello.yaml").args(&["--virtual-time", "--output", "json"]).run().expect(0);
    assert_eq!(run.json().pop().expect("a result")["journal"], verdict["journals"][0], "without a file too");
    assert_eq!(verdict["journals"][0]["lines"], json!(check.journal.lines().count()));
}

#[test]
fn a_manifest_on_standard_input_is_read_by_both() {
    let text = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"restartPolicy": "Never", "containers": [container("c", "hello_rust_p1", &[])]},
    });
    let run = Play::new().arg("-").arg("--check-determinism").stdin(text.to_string()).run().expect(0);
    assert_eq!(run.of("p/c"), ["Hello from Rust on wasm32-wasip1"]);
    assert!(told(&run, "deterministic: two runs"), "{}", run.stderr());
}

#[test]
fn what_is_wrong_is_told_once() {
    let run = Play::file("no-such-file.yaml").arg("--check-determinism").run().expect(2);
    assert_eq!(run.stderr().matches("no-such-file.yaml").count(), 1, "{}", run.stderr());
    for flag in ["--virtual-time", "--check-determinism"] {
        let run = Play::spec("hello.yaml").args(&[flag, "--publish", "0:80"]).run().expect(2);
        let why =
            format!("--publish cannot be used with {flag}: simulated time does not wait for this machine's network");
        assert!(told(&run, &why), "{}", run.stderr());
    }
}

/// A pod that appends a line to a file of the host and shows the file.
fn counts_its_runs(shared: &Path) -> Value {
    let mounts = json!({"volumeMounts": [{"name": "host", "mountPath": "/host"}]});
    let writer = with(container("writer", "fs_writer", &["/host/log", "1"]), "", &mounts);
    let reader = with(container("reader", "fs_cat", &["/host/log"]), "", &mounts);
    let volumes = json!([{"name": "host", "hostPath": {"path": shared, "type": "Directory"}}]);
    with(pod("counts", &[reader]), "spec", &json!({"initContainers": [writer], "volumes": volumes}))
}

#[test]
fn a_host_path_is_refused_in_virtual_time_unless_asked_for_and_its_difference_is_found() {
    let (folder, shared) = (Folder::new(), Folder::new());
    let file = folder.manifest("counts", &[counts_its_runs(shared.path())]);
    let play = |flags: &[&str]| Play::file(&file).args(flags).arg("--allow-hostpath").arg(shared.path()).run();
    for flag in ["--virtual-time", "--check-determinism"] {
        let run = play(&[flag]).expect(2);
        let why = "spec.volumes[0].hostPath: the host's files may differ from run to run: in virtual time this needs --allow-nondeterminism";
        assert!(told(&run, why), "{}", run.stderr());
    }
    play(&["--virtual-time", "--allow-nondeterminism"]).expect(0);
    let run = play(&["--check-determinism", "--allow-nondeterminism"]).expect(4);
    let stderr = run.stderr();
    // the file has one line more in the second run
    let report = "wasmpod: not deterministic: two runs of the same seed differ\n\
                  wasmpod: the first difference is in the journal, line ";
    assert!(stderr.contains(report) || stderr.contains("the first difference is in stdout, line 7:\n"), "{stderr}");
    assert!(stderr.contains("exit codes: 0 and 0\n"), "{stderr}");
    assert!(stderr.contains("   first | ") && stderr.contains("  second | "), "{stderr}");
    assert!(stderr.contains("wasmpod: reproduce with: wasmpod play --seed 0 "), "{stderr}");
    assert!(stderr.contains(" --check-determinism --allow-nondeterminism "), "{stderr}");
}

#[test]
fn every_guest_that_no_manifest_runs_repeats() {
    let table = xtask::guests::table(&xtask::guests::folder(&root())).expect("guests.yaml can be read");
    let manifests: String = ["specs/pods", "specs/faults/pods"]
        .iter()
        .filter_map(|folder| std::fs::read_dir(root().join(folder)).ok())
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok())
        .collect();
    let alone: Vec<&String> = table.keys().filter(|name| !manifests.contains(&format!("{name}.wasm"))).collect();
    assert!(alone.len() > 10, "{alone:?}");
    let folder = Folder::new();
    // a slow CPU, so that those who compute for ever are not waited for; those who wait for ever are in a deadlock
    let flags = ["--virtual-time", "--seed", "5", "--timeout", "2s", "--cpu-speed", "20000000"];
    let differ = in_parallel(&alone, |name| {
        let file = folder.manifest(name, &[pod("p", &[container("c", name, &[])])]);
        let run = || Play::file(&file).args(&flags).journalled().run();
        let (first, second) = (run(), run());
        let said = |run: &Outcome| {
            let own = |line: &&str| !line.contains("reproduce with");
            let text: Vec<String> = run.stderr().lines().filter(own).map(str::to_owned).collect();
            (run.code, run.stdout(), text, run.journal.clone())
        };
        assert!(!first.journal.is_empty(), "{name} was not started: {}", first.stderr());
        (said(&first) != said(&second)).then_some((*name).clone())
    });
    let differ: Vec<String> = differ.into_iter().flatten().collect();
    assert!(differ.is_empty(), "these are not the same every time: {differ:?}");
}

/// Seeds of [`a_seed_gives_one_run_and_200_seeds_many`]; two runs each.
const SEEDS: u64 = 200;
/// How many of them must differ. Orders of five programs that meet at a server and a file: hardly two seeds give the same.
const DISTINCT: usize = 190;

#[test]
fn a_seed_gives_one_run_and_200_seeds_many() {
    let seeds: Vec<u64> = (0..SEEDS).collect();
    let runs = in_parallel(&seeds, |seed| {
        let run = || Play::spec("determinism.yaml").seeded(*seed).run().expect(0);
        let (first, second) = (run(), run());
        assert_eq!(first.journal, second.journal, "seed {seed}: the journal");
        assert_eq!(first.stdout(), second.stdout(), "seed {seed}: the output");
        assert_eq!(first.stderr(), second.stderr(), "seed {seed}: the messages");
        // the order in which lines came to the server, without what is random in them
        let order: Vec<String> = first
            .of("mix/server")
            .iter()
            .map(|line| line.split(' ').skip(1).take(2).collect::<Vec<_>>().join(" "))
            .collect();
        let received: Vec<String> =
            first.of("mix/see").into_iter().filter(|line| line.starts_with("message ")).collect();
        (first.journal, order, received)
    });
    let journals: BTreeSet<&String> = runs.iter().map(|(journal, ..)| journal).collect();
    assert!(journals.len() >= DISTINCT, "only {} different journals of {SEEDS}", journals.len());
    let orders: BTreeSet<&Vec<String>> = runs.iter().map(|(_, order, _)| order).collect();
    assert!(orders.len() >= 50, "only {} orders at the server", orders.len());
    let received: BTreeSet<&Vec<String>> = runs.iter().map(|(.., received)| received).collect();
    assert!(received.len() >= 50, "only {} orders in the queue", received.len());
}
