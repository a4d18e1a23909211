//! Hostile programs, case by case: the letters and numbers are those of docs/THREAT_MODEL.md. Each case runs beside a victim, a pod of
//! the same process that ticks and asks an echo server: it must be served as if it were alone.
//!
//! - [`files`]: F, what a program may do to files
//! - [`cpu`]: C, computing without end, and programs that cost too much before they run
//! - [`memory`]: M, more memory than there may be, the host's or another's
//! - [`time`]: T, floods of timers and polls, and what tells one run from another
//! - [`logs`]: L, output without end
//! - [`ipc`]: I, message queues, semaphores and shared memory
//! - [`killed`]: P5, killed inside of each call that waits
//! - [`network`]: N, other pods, the host, and floods
//!
//! Times are virtual, so a case has the same outcome on every machine.

mod cpu;
mod files;
mod ipc;
mod killed;
mod logs;
mod memory;
mod network;
mod time;

use serde_json::{Value, json};
use wasmpod_suite::manifest::{Folder, container, pod, with};
use wasmpod_suite::outcome::Outcome;
use wasmpod_suite::play::Play;

/// How often the victim ticks and asks: one virtual second and a half.
const ROUNDS: &str = "300";
/// What a time of the victim may be off beside being doubled: two quanta of virtual time, the grain of who runs when.
const GRAIN_NS: u64 = 200_000;

/// A pod that serves itself, and measures.
fn victim() -> Value {
    pod(
        "victim",
        &[
            container("server", "net_echo_server", &["127.0.0.1:7000", "1"]),
            container("c", "abuse_victim", &["127.0.0.1:7000", ROUNDS]),
        ],
    )
}

/// The same with a CPU of its own by request, for a node that is busy.
fn guaranteed_victim() -> Value {
    let mut victim = victim();
    for container in victim["spec"]["containers"].as_array_mut().expect("containers") {
        container["resources"] = json!({"requests": {"cpu": "500m"}});
    }
    victim
}

/// A pod that is killed after a virtual second and a half, if it has not ended by itself.
fn attacker(containers: &[Value]) -> Value {
    with(pod("attacker", containers), "spec", &json!({"activeDeadlineSeconds": 2, "terminationGracePeriodSeconds": 0}))
}

/// What the victim said about its times: their median, 99th percentile and maximum, for ticks and for answers.
fn times(outcome: &Outcome) -> Vec<(String, u64)> {
    let mut times = Vec::new();
    for line in outcome.of("victim/c") {
        let Some((name, rest)) = line.split_once(": ").filter(|(name, _)| ["late", "answer"].contains(name)) else {
            continue;
        };
        for word in rest.split(' ') {
            let (what, ns) = word.split_once('=').expect("NAME=NANOSECONDS");
            times.push((format!("{name} {what}"), ns.parse().expect("nanoseconds")));
        }
    }
    assert_eq!(times.len(), 6, "the victim was not served: {}\n{}", outcome.stdout(), outcome.stderr());
    times
}

/// Plays hostile pods (and what they need) beside the victim, and checks that the victim was served in time and that the node has
/// everything back.
#[track_caller]
fn beside(objects: &[Value]) -> Outcome {
    let alone = play(&[]);
    let run = play(objects);
    assert_eq!(run.row("victim", "c")[1], "0", "{}", run.stderr());
    for ((what, alone), (_, disturbed)) in times(&alone).into_iter().zip(times(&run)) {
        assert!(
            disturbed <= 2 * alone + GRAIN_NS,
            "{what}: {disturbed} beside the attacker, {alone} alone\n{}",
            run.stderr()
        );
    }
    run
}

fn play(objects: &[Value]) -> Outcome {
    let mut all = vec![victim()];
    all.extend_from_slice(objects);
    play_only(&all)
}

fn play_only(objects: &[Value]) -> Outcome {
    let folder = Folder::new();
    let run = Play::file(folder.manifest("m", objects)).seeded(1).run();
    assert!(run.code.is_some_and(|code| code < 2), "{:?}\n{}", run.code, run.stderr());
    assert_eq!(run.left, 0, "files are left behind");
    let holds: Vec<String> = run.journalled("node", "holds").into_iter().map(|(_, what)| what).collect();
    assert_eq!(holds, ["holds nothing"], "the node has not everything back");
    run
}

/// Checks that a hostile program says at its end that all of its attempts were refused.
#[track_caller]
fn held(run: &Outcome, container: &str) {
    let lines = run.of(&format!("attacker/{container}"));
    let last = lines.last().map_or("", String::as_str);
    assert!(last.ends_with(": all refused"), "{container}: {lines:#?}\n{}", run.stderr());
    assert_eq!(run.row("attacker", container)[1], "0");
}

/// A container that runs a program given as text.
fn wat(folder: &Folder, name: &str, text: &str) -> Value {
    wasm(folder, name, &wat::parse_str(text).unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// A container that runs these bytes.
fn wasm(folder: &Folder, name: &str, bytes: &[u8]) -> Value {
    json!({"name": name, "image": folder.write(&format!("{name}.wasm"), bytes)})
}

/// Exit code and reason of a container of the attacker.
#[track_caller]
fn end(run: &Outcome, container: &str) -> [String; 2] {
    let [_, code, reason, _] = run.row("attacker", container);
    [code, reason]
}
