//! What files of faults mean, and what is said of wrong ones. The files of `specs/faults/invalid` are tested with the binary.

use super::super::Size;
use super::*;

fn text(kind: &str, annotations: &str, spec: &str) -> String {
    format!(
        "apiVersion: chaos-mesh.org/v1alpha1\nkind: {kind}\nmetadata: {{name: f, annotations: {{{annotations}}}}}\nspec:\n  mode: all\n  selector: {{labelSelectors: {{app: web}}}}\n{spec}"
    )
}

fn one(kind: &str, annotations: &str, spec: &str) -> Fault {
    let text = text(kind, annotations, spec);
    let (faults, warnings) = decode("f.yaml", text.as_bytes()).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    assert!(warnings.is_empty(), "{warnings:?}");
    let [fault] = <[Fault; 1]>::try_from(faults).expect("one");
    fault
}

fn wrong(kind: &str, annotations: &str, spec: &str) -> String {
    decode("f.yaml", text(kind, annotations, spec).as_bytes()).expect_err("it is wrong").to_string()
}

#[test]
fn every_kind_is_read() {
    let seconds = Duration::from_secs;
    let kind = |kind, spec| one(kind, "", spec).kind;
    let delay = kind("NetworkChaos", "  action: delay\n  delay: {latency: 1s, jitter: 500ms, correlation: '0'}\n");
    let effect = Effect::Delay { latency: seconds(1), jitter: Duration::from_millis(500) };
    assert_eq!(delay, Kind::Network { effect, direction: Direction::To, target: None });
    let partition = "  action: partition\n  direction: both\n  target: {mode: one, selector: {pods: {default: [a]}}}\n";
    let Kind::Network { effect: Effect::Partition, direction: Direction::Both, target: Some(target) } =
        kind("NetworkChaos", partition)
    else {
        panic!("a partition")
    };
    assert_eq!((target.mode, target.pods["default"].clone()), (Mode::One, vec!["a".to_owned()]));
    let loss = kind("NetworkChaos", "  action: loss\n  loss: {loss: '25'}\n");
    assert!(matches!(loss, Kind::Network { effect: Effect::Loss(250_000), .. }));
    assert_eq!(kind("PodChaos", "  action: pod-kill\n  gracePeriod: 3\n"), Kind::PodKill(seconds(3)));
    assert_eq!(kind("PodChaos", "  action: container-kill\n  containerNames: [c]\n"), Kind::ContainerKill);
    let stress =
        kind("StressChaos", "  stressors:\n    cpu: {workers: 2, load: 50}\n    memory: {workers: 2, size: 1MiB}\n");
    assert_eq!(stress, Kind::Stress { cpu: Some((2, 50)), memory: Some(Size::Bytes(2 << 20)) });
    let full = kind("IOChaos", "  action: fault\n  errno: 28\n  methods: [write]\n  volumePath: /data\n");
    assert_eq!(full, Kind::DiskFull("/data".to_owned()));
    assert_eq!(kind("TimeChaos", "  timeOffset: -10m\n"), Kind::ClockSkew(-600_000_000_000));
    let limited =
        text("NetworkChaos", "", "  action: bandwidth\n  bandwidth: {rate: 1mbps, limit: 20971520, buffer: 10000}\n");
    let (faults, warnings) = decode("f.yaml", limited.as_bytes()).expect("it is right");
    assert!(matches!(faults[0].kind, Kind::Network { effect: Effect::Bandwidth(1_048_576), .. }));
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

#[test]
fn when_it_happens_is_in_annotations() {
    let start = |annotations| one("TimeChaos", annotations, "  timeOffset: 1s\n  duration: 5s\n");
    let seconds = Duration::from_secs;
    assert_eq!(start("").start, Start::At(seconds(0), seconds(0)));
    assert_eq!(start("").duration, Some(seconds(5)));
    assert_eq!(start("wasmpod/start-at: 3s").start, Start::At(seconds(3), seconds(3)));
    assert_eq!(start("wasmpod/start-at: 1s..5s").start, Start::At(seconds(1), seconds(5)));
    let when = "wasmpod/start-when: web/c started, wasmpod/start-after: 2s";
    assert_eq!(start(when).start, Start::When("web/c started".to_owned(), seconds(2)));
    let refused = |annotations| wrong("TimeChaos", annotations, "  timeOffset: 1s\n");
    assert!(refused("wasmpod/start-at: 5s..1s").contains("the range ends before it begins"));
    assert!(refused("wasmpod/start-at: 5s, wasmpod/start-when: x").contains("exclude each other"));
    assert!(refused("wasmpod/start-after: 5s").contains("needs wasmpod/start-when"));
    assert!(refused("wasmpod/starts: 5s").contains("unknown annotation"));
}

#[test]
fn what_is_not_built_is_refused_by_its_name() {
    let pairs = [
        ("DNSChaos", "", "f.yaml:2:7: kind: DNSChaos is not supported by this version of wasmpod"),
        ("FooChaos", "", "f.yaml:2:7: kind: unknown kind \"FooChaos\""),
        (
            "PodChaos",
            "  action: pod-failure\n",
            "f.yaml:7:11: spec.action: \"pod-failure\" is not supported by this version",
        ),
        (
            "PodChaos",
            "  action: kill\n",
            "spec.action: Unsupported value: \"kill\": supported values: \"pod-kill\", \"container-kill\"",
        ),
        (
            "NetworkChaos",
            "  action: corrupt\n  corrupt: {}\n",
            "f.yaml:8:3: spec.corrupt: not supported by this version",
        ),
        (
            "NetworkChaos",
            "  action: delay\n  delay: {latency: 1s, correlation: '50'}\n",
            "spec.delay.correlation: not supported",
        ),
        (
            "NetworkChaos",
            "  action: delay\n  delay: {latency: 1s, jiter: 1s}\n",
            "spec.delay.jiter: unknown field; did you mean \"jitter\"?",
        ),
        (
            "NetworkChaos",
            "  action: partition\n  direction: both\n",
            "f.yaml:4:1: spec.target: Required value: direction is",
        ),
        (
            "IOChaos",
            "  action: latency\n  delay: 1s\n",
            "spec.action: \"latency\" is not supported by this version of wasmpod",
        ),
        (
            "IOChaos",
            "  action: fault\n  errno: 5\n  methods: [write]\n  volumePath: /d\n",
            "spec.errno: only 28 (ENOSPC, a full disk)",
        ),
        ("TimeChaos", "  timeOffset: 1s\n  clockIds: [CLOCK_MONOTONIC]\n", "spec.clockIds: only [CLOCK_REALTIME]"),
        (
            "StressChaos",
            "  stressors: {cpu: {workers: 0}}\n",
            "spec.stressors.cpu.workers: Invalid value: 0: must be between 1 and 64",
        ),
        (
            "StressChaos",
            "  stressngStressors: --cpu 1\n",
            "spec.stressngStressors: not supported by this version of wasmpod",
        ),
        ("PodChaos", "  action: pod-kill\n  duration: 1s\n", "spec.duration: a kill happens in a moment"),
        ("TimeChaos", "  timeOffset: soon\n", "spec.timeOffset: Invalid value: \"soon\": expected a duration"),
    ];
    for (kind, spec, expected) in pairs {
        let told = wrong(kind, "", spec);
        assert!(told.contains(expected), "{expected}\nin: {told}");
    }
}
