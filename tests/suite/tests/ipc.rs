//! Message queues, semaphores and shared memory between the containers of a pod, as guests of both WASIs see them. The manifests
//! `specs/pods/ipc-*.yaml` are tested in `pods.rs`.

use serde_json::{Value, json};
use wasmpod_suite::manifest::{Folder, container, pod, with};
use wasmpod_suite::outcome::Outcome;
use wasmpod_suite::play::Play;

/// Both WASIs have the same program.
const CASES: [&str; 2] = ["ipc_cases_p1", "ipc_cases_p2"];

fn run(objects: &[Value]) -> Outcome {
    let folder = Folder::new();
    Play::file(folder.manifest("m", objects)).seeded(3).run()
}

#[test]
fn the_rules_of_each_call_hold() {
    for guest in CASES {
        let run = run(&[pod("p", &[container("c", guest, &["rules"])])]).expect(0);
        let names = "names: EINVAL EINVAL ENOENT EACCES EACCES ENAMETOOLONG";
        assert_eq!(run.of("p/c"), [names, "waited: true", "rules hold"], "{guest}");
    }
}

#[test]
fn one_poll_waits_for_queues_sockets_and_clocks() {
    for (guest, other) in [(CASES[0], CASES[1]), (CASES[1], CASES[1])] {
        let mut poller = container("poller", guest, &["poller", "7000"]);
        if guest == CASES[0] {
            poller = with(poller, "", &json!({"ports": [{"containerPort": 7000}]}));
        }
        let run = run(&[pod("p", &[poller, container("poker", other, &["poker", "7000"])])]).expect(0);
        let expected = [
            "queue of 6",
            "semaphore of 6",
            "notification of 6",
            "memory of 5",
            "socket of 5",
            "clock of 4",
            "a word that differs of 1",
        ];
        assert_eq!(run.of("p/poller"), expected, "{guest}");
    }
}

#[test]
fn another_pod_sees_nothing_of_the_same_name() {
    let keeper = pod("keeper", &[container("c", CASES[0], &["keeper"])]);
    for guest in CASES {
        let stranger = pod("stranger", &[container("c", guest, &["stranger"])]);
        let run = run(&[keeper.clone(), stranger]).expect(0);
        assert_eq!(run.of("keeper/c"), ["made three objects"]);
        assert_eq!(run.of("stranger/c"), ["saw nothing"], "{guest}");
    }
}

#[test]
fn limits_end_in_their_errors() {
    for guest in CASES {
        let run = run(&[pod("p", &[container("c", guest, &["limits"])])]).expect(0);
        let expected = [
            "queues: Some(256)",
            "queue: Some(NoSpace)",
            "huge queue: Some(TooManyOpen)",
            "too many messages: Some(Invalid)",
            "handles: TooManyOpen, many: true",
            "semaphores: Some(4095)", // and /held
            "segment: Some(NoSpace)",
            "segments: Some(4095)", // and /big
        ];
        assert_eq!(run.of("p/c"), expected, "{guest}");
    }
}

#[test]
fn memory_is_charged_to_who_makes_an_object_and_refused_without_a_kill() {
    for guest in CASES {
        let limited =
            with(container("c", guest, &["memory"]), "", &json!({"resources": {"limits": {"memory": "8Mi"}}}));
        let run = run(&[pod("p", &[limited])]).expect(0);
        let expected = ["segment: Some(OutOfMemory)", "queue: Some(OutOfMemory)", "still here"];
        assert_eq!(run.of("p/c"), expected, "{guest}");
    }
}

#[test]
fn who_waits_for_ever_is_told_with_who_could_end_it() {
    for guest in CASES {
        let stuck = pod("stuck", &[container("c", guest, &["stuck"])]);
        let twice = pod("twice", &[container("c", guest, &["twice"])]);
        let pair = [container("a", guest, &["consumer"]), container("b", "ipc_cases_p1", &["stuck"])];
        let run = run(&[stuck, twice, pod("uneven", &pair)]).expect(3);
        let expected = [
            "stuck/c (pid 1) waits since TIME for mq_receive /never, which nobody else has open to send",
            "twice/c (pid 1) waits since TIME for sem_wait /lock, which is held by itself",
            "uneven/a (pid 1) waits since TIME for sem_wait /ready, which nobody else has open",
            "uneven/b (pid 1) waits since TIME for mq_receive /never, which nobody else has open to send",
            "twice/c waits for itself (sem_wait /lock)",
        ];
        assert_eq!(run.deadlock(), expected, "{guest}");
    }
}

#[test]
fn a_lock_keeps_three_containers_apart_in_any_order_of_tasks() {
    let containers = [("a", CASES[0]), ("b", CASES[1]), ("c", CASES[0])]
        .map(|(name, guest)| container(name, guest, &["counter", "40", "3"]));
    let folder = Folder::new();
    let file = folder.manifest("m", &[pod("p", &containers)]);
    for seed in 0..5 {
        let run = Play::file(&file).seeded(seed).run().expect(0);
        assert_eq!(run.by_container().into_values().flatten().collect::<Vec<_>>(), ["all: 120"], "seed {seed}");
    }
}

#[test]
fn c_programs_have_the_same_calls() {
    let containers = [container("ask", "ipc_c", &["ask"]), container("answer", "ipc_c", &["answer"])];
    let run = run(&[pod("p", &containers)]).expect(0);
    assert_eq!(run.of("p/ask"), ["poll 1", "answered 42", "again -1 EAGAIN"]);
    assert_eq!(run.of("p/answer"), ["question what is in memory?, priority 5", "memory from C 41"]);
}

#[test]
fn every_measured_exchange_ends() {
    for guest in ["ipc_bench_p1", "ipc_bench_p2"] {
        let side = |name: &str, side: &str| container(name, guest, &[side, "50"]);
        let pods = [
            pod("mq", &[side("a", "mq-ping"), side("b", "mq-pong")]),
            pod("sem", &[side("a", "sem-ping"), side("b", "sem-pong"), side("c", "sem-alone"), side("d", "shm")]),
        ];
        let run = run(&pods).expect(0);
        let begins = |of: &str, with: &str| assert!(run.of(of)[0].starts_with(with), "{guest} {of}: {:?}", run.of(of));
        begins("mq/a", "mq_ping ns_total=");
        begins("sem/a", "sem_ping ns_total=");
        begins("sem/c", "sem_alone ns_total=");
        begins("sem/d", "shm_copy ns_total=");
    }
}

#[test]
fn a_run_with_ipc_repeats_byte_for_byte() {
    let both = |name: &str, one: &[&str], other: &[&str]| {
        pod(name, &[container("a", CASES[0], one), container("b", CASES[1], other)])
    };
    let pods = [
        both("queue", &["consumer"], &["producer"]),
        both("ring", &["ring-write", "30"], &["ring-read", "30"]),
        both("lock", &["counter", "20", "2"], &["counter", "20", "2"]),
    ];
    let folder = Folder::new();
    let file = folder.manifest("m", &pods);
    let run = |seed| Play::file(&file).seeded(seed).run().expect(0);
    let (first, second, other) = (run(11), run(11), run(12));
    assert_eq!((first.stdout(), &first.journal), (second.stdout(), &second.journal));
    assert_ne!(first.journal, other.journal, "another seed is another order");
}
