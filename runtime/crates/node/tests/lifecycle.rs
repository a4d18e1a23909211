//! Whole lives of pods in virtual time, through the real runtime and engine: each test is a manifest, a few tiny programs, and the
//! exact list of what happens when.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use serde_json::{Value, json};
use wasmpod_cri::{ImageSource, NodeConfig, Runtime, RuntimeConfig};
use wasmpod_engine::{Engine, EngineConfig};
use wasmpod_node::agent::node_facts;
use wasmpod_node::events::{ContainerChange, Event, Observer, OutputStream};
use wasmpod_node::lifecycle::phase::Phase;
use wasmpod_node::objects::{Objects, PodRef};
use wasmpod_node::volumes::host_path::HostPaths;
use wasmpod_node::{Agent, AgentConfig, PodHandle, PodRequest};
use wasmpod_sim::{Clock, Sim};

/// Programs for WASI preview 1, by name.
const PROGRAMS: [(&str, &str); 5] = [
    ("exit0", r#"(module (memory (export "memory") 1) (func (export "_start")))"#),
    (
        "exit1",
        r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
            (func (export "_start") (call $exit (i32.const 1))))"#,
    ),
    (
        "fail",
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1) (data (i32.const 32) "no\ngood\n")
            (func (export "_start")
                (i32.store (i32.const 0) (i32.const 32)) (i32.store (i32.const 4) (i32.const 8))
                (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 16)))
                (call $exit (i32.const 2))))"#,
    ),
    // poll_oneoff with one relative clock subscription
    (
        "sleep5",
        r#"(module (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "_start")
                (i32.store (i32.const 16) (i32.const 1))            ;; clock id: monotonic
                (i64.store (i32.const 24) (i64.const 5000000000))   ;; timeout
                (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))))"#,
    ),
    (
        "hello",
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1) (data (i32.const 32) "hello\n")
            (func (export "_start")
                (i32.store (i32.const 0) (i32.const 32)) (i32.store (i32.const 4) (i32.const 6))
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))"#,
    ),
];

/// Writes down what it is told: `<seconds> <what>`.
struct Recorder {
    clock: Clock,
    lines: Mutex<Vec<String>>,
}

impl Recorder {
    fn note(&self, what: String) {
        // starting a program and its few instructions take microseconds of virtual time
        let millis = self.clock.now().as_nanos() / 1_000_000;
        self.lines.lock().unwrap().push(format!("{}.{:03} {what}", millis / 1000, millis % 1000));
    }
}

impl Observer for Recorder {
    fn event(&self, _: &PodRef, event: &Event) {
        if !matches!(event.reason, "Scheduled" | "Pulled" | "Created" | "Started") {
            let container = event.container.as_deref().map(|name| format!("{name}: ")).unwrap_or_default();
            self.note(format!("{container}{} {}", event.reason, event.message));
        }
    }
    fn container(&self, _: &PodRef, container: &str, change: &ContainerChange) {
        match change {
            ContainerChange::Started { attempt } => self.note(format!("{container}: started {attempt}")),
            ContainerChange::Exited { code, reason, .. } => self.note(format!("{container}: exited {code} {reason}")),
            ContainerChange::Waiting { reason, .. } => self.note(format!("{container}: waiting {reason}")),
        }
    }
    fn status(&self, _: &PodRef, _: &PodStatus) {}
    fn output(&self, _: &PodRef, container: &str, stream: OutputStream, line: &[u8], _: bool) {
        self.note(format!("{container}: {stream:?} {}", String::from_utf8_lossy(line)));
    }
}

struct World {
    sim: Sim,
    agent: Agent,
    recorder: Arc<Recorder>,
    images: BTreeMap<String, ImageSource>,
    _temp: tempfile::TempDir,
}

impl World {
    fn new(objects: Objects) -> Self {
        let sim = Sim::new_virtual(1);
        let temp = tempfile::tempdir().unwrap();
        let image = |(name, text): (&str, &str)| {
            let path: PathBuf = temp.path().join(format!("{name}.wasm"));
            std::fs::write(&path, wat::parse_str(text).unwrap()).unwrap();
            (name.to_owned(), ImageSource::WasmFile(path))
        };
        let images = PROGRAMS.into_iter().map(image).collect();
        let engine = Engine::new(&sim, EngineConfig::default()).unwrap();
        let node = NodeConfig { cpus: 2, memory_bytes: 1 << 30, fuel_per_cpu_second: 1_000_000_000, max_pods: 110 };
        let state_dir = temp.path().join("state");
        let runtime = Runtime::new(RuntimeConfig { state_dir, node, log: Default::default() }, &sim, engine).unwrap();
        let recorder = Arc::new(Recorder { clock: sim.clock().clone(), lines: Mutex::default() });
        let node = node_facts(2000, 1 << 30, 1 << 30, vec!["10.244.0.1".parse().unwrap()]);
        let config = AgentConfig { node, host_paths: HostPaths::default(), objects, observer: recorder.clone() };
        Self { agent: Agent::new(&sim, runtime, config), sim, recorder, images, _temp: temp }
    }

    fn pod(&self, spec: Value) -> PodHandle {
        let metadata = json!({"name": "p", "namespace": "default", "uid": "u"});
        let pod: Pod = serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap();
        self.agent.run_pod(PodRequest { pod, images: self.images.clone() })
    }

    fn lines(&self) -> Vec<String> {
        self.recorder.lines.lock().unwrap().clone()
    }
}

/// The life of a pod to its end, or for `limit` seconds.
fn life(spec: Value, limit: u64) -> (Vec<String>, Option<Phase>, PodStatus) {
    let world = World::new(Objects::default());
    let pod = world.pod(spec);
    let end = world.sim.block_on(world.sim.clock().timeout(Duration::from_secs(limit), pod.wait())).unwrap();
    (world.lines(), end.ok().map(Result::unwrap), pod.status())
}

fn container(name: &str, image: &str) -> Value {
    json!({"name": name, "image": image})
}

#[test]
fn a_program_runs_and_its_pod_succeeds() {
    let (lines, phase, status) = life(json!({"restartPolicy": "Never", "containers": [container("c", "hello")]}), 60);
    assert_eq!(lines, ["0.000 c: started 0", "0.000 c: Stdout hello", "0.000 c: exited 0 Completed"]);
    assert_eq!(phase, Some(Phase::Succeeded));
    let container = &status.container_statuses.unwrap()[0];
    assert_eq!((container.restart_count, container.ready), (0, false));
    assert!(container.image_id.starts_with("sha256:") && container.container_id.as_ref().unwrap().len() > 64);
    assert_eq!(status.qos_class.as_deref(), Some("BestEffort"));
    assert_eq!((status.pod_ip.as_deref(), status.host_ip.as_deref()), (Some("10.244.0.2"), Some("10.244.0.1")));
}

#[test]
fn a_crash_loop_meets_the_kubelets_delays() {
    let (lines, phase, _) = life(json!({"containers": [container("c", "exit1")]}), 1000);
    assert_eq!(phase, None, "restartPolicy Always never ends");
    let starts: Vec<&str> = lines.iter().filter_map(|line| line.split_once(" c: started")).map(|(at, _)| at).collect();
    assert_eq!(starts, ["0.000", "0.000", "10.000", "30.000", "70.000", "150.000", "310.000", "610.000", "910.000"]);
    let backs_off =
        lines.iter().filter(|line| line.contains("BackOff Back-off restarting failed container c in pod p_default(u)"));
    assert_eq!(backs_off.count(), 8);
}

#[test]
fn exit_0_restarts_with_always_but_not_with_on_failure() {
    let (lines, phase, _) = life(json!({"containers": [container("c", "exit0")]}), 15);
    assert_eq!((lines.iter().filter(|line| line.contains("started")).count(), phase), (3, None));
    let (lines, phase, _) = life(json!({"restartPolicy": "OnFailure", "containers": [container("c", "exit0")]}), 15);
    assert_eq!((lines.iter().filter(|line| line.contains("started")).count(), phase), (1, Some(Phase::Succeeded)));
}

#[test]
fn init_containers_run_one_after_another() {
    let init = [container("one", "sleep5"), container("two", "sleep5")];
    let (lines, phase, _) =
        life(json!({"restartPolicy": "Never", "initContainers": init, "containers": [container("c", "hello")]}), 60);
    let expected = [
        "0.000 one: started 0",
        "5.000 one: exited 0 Completed",
        "5.000 two: started 0",
        "10.000 two: exited 0 Completed",
        "10.000 c: started 0",
        "10.000 c: Stdout hello",
        "10.000 c: exited 0 Completed",
    ];
    assert_eq!((lines, phase), (expected.map(str::to_owned).to_vec(), Some(Phase::Succeeded)));
}

#[test]
fn a_failed_init_container_ends_a_pod_that_never_restarts() {
    let spec = json!({"restartPolicy": "Never", "initContainers": [container("i", "exit1")], "containers": [container("c", "hello")]});
    let (lines, phase, status) = life(spec, 60);
    assert_eq!((lines.len(), phase), (2, Some(Phase::Failed)));
    let main = status.container_statuses.unwrap()[0].state.clone().unwrap().waiting.unwrap();
    assert_eq!(main.reason.as_deref(), Some("PodInitializing"), "it never started");
}

#[test]
fn the_deadline_stops_with_the_pods_grace() {
    let spec = json!({"activeDeadlineSeconds": 2, "terminationGracePeriodSeconds": 4, "containers": [container("c", "sleep5"), container("d", "exit1")]});
    let (lines, phase, status) = life(spec, 60);
    let expected = [
        "2.000 DeadlineExceeded Pod was active on the node longer than the specified deadline",
        "2.000 c: Killing Stopping container c",
    ];
    let at = lines.iter().position(|line| line == expected[0]).expect("the deadline is told");
    assert_eq!(lines[at + 1], expected[1]);
    assert_eq!(lines.last().unwrap(), "5.000 c: exited 0 Completed", "it ended by itself before SIGKILL");
    assert_eq!((phase, status.reason.as_deref()), (Some(Phase::Failed), Some("DeadlineExceeded")));
}

#[test]
fn a_stop_gives_grace_and_a_second_one_may_only_shorten_it() {
    let world = World::new(Objects::default());
    // sleep5 sleeps beyond both graces; as pid 1 it does not die of SIGTERM
    let pod = world.pod(json!({"terminationGracePeriodSeconds": 4, "containers": [container("c", "sleep5")]}));
    let clock = world.sim.clock().clone();
    let phase = world.sim.block_on(async {
        clock.sleep(Duration::from_millis(100)).await;
        pod.stop(None);
        clock.sleep(Duration::from_millis(100)).await;
        pod.stop(Some(Duration::from_secs(60)));
        pod.stop(Some(Duration::from_secs(2)));
        pod.wait().await
    });
    assert_eq!(phase.unwrap(), Ok(Phase::Failed));
    let expected = ["0.000 c: started 0", "0.100 c: Killing Stopping container c", "2.200 c: exited 137 Error"];
    assert_eq!(world.lines(), expected);
}

#[test]
fn a_kill_does_not_wait() {
    let world = World::new(Objects::default());
    let pod = world.pod(json!({"containers": [container("c", "sleep5")]}));
    let clock = world.sim.clock().clone();
    let phase = world.sim.block_on(async {
        clock.sleep(Duration::from_secs(1)).await;
        pod.kill();
        pod.wait().await
    });
    assert_eq!(phase.unwrap(), Ok(Phase::Failed));
    assert_eq!(world.lines().last().unwrap(), "1.000 c: exited 137 Error");
}

#[test]
fn a_missing_object_is_waited_for() {
    let env = json!([{"configMapRef": {"name": "cm"}}]);
    let (lines, phase, status) = life(json!({"containers": [{"name": "c", "image": "hello", "envFrom": env}]}), 25);
    let expected = ["0.000", "10.000", "20.000"].iter().flat_map(|at| {
        [
            format!("{at} c: Failed Error: configmap \"cm\" not found"),
            format!("{at} c: waiting CreateContainerConfigError"),
        ]
    });
    assert_eq!((lines, phase), (expected.collect(), None));
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    let volume =
        json!({"containers": [container("c", "hello")], "volumes": [{"name": "v", "configMap": {"name": "cm"}}]});
    let (lines, _, status) = life(volume, 8);
    let message = "FailedMount MountVolume.SetUp failed for volume \"v\" : configmap \"cm\" not found";
    let expected: Vec<String> =
        ["0.000", "0.500", "1.500", "3.500", "7.500"].iter().map(|at| format!("{at} {message}")).collect();
    assert_eq!(lines, expected);
    assert_eq!(status.pod_ip, None, "volumes come before the sandbox");
}

#[test]
fn a_program_that_cannot_start_is_an_exit_with_128() {
    let spec =
        json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "hello", "command": ["/nothing"]}]});
    let (lines, phase, status) = life(spec, 60);
    assert_eq!(lines.last().unwrap(), "0.000 c: exited 128 StartError");
    assert_eq!(phase, Some(Phase::Failed));
    let end = status.container_statuses.unwrap()[0].state.clone().unwrap().terminated.unwrap();
    assert_eq!((end.exit_code, end.reason.as_deref()), (128, Some("StartError")));
}

#[test]
fn the_log_stands_in_for_a_termination_message_if_asked() {
    let message = |policy: &str| {
        let container = json!({"name": "c", "image": "fail", "terminationMessagePolicy": policy});
        let (_, phase, status) = life(json!({"restartPolicy": "Never", "containers": [container]}), 60);
        assert_eq!(phase, Some(Phase::Failed));
        status.container_statuses.unwrap()[0].state.clone().unwrap().terminated.unwrap().message
    };
    assert_eq!(message("FallbackToLogsOnError").as_deref(), Some("no\ngood\n"));
    assert_eq!(message("File"), None);
}

#[test]
fn an_image_that_is_not_there_is_tried_again() {
    let (lines, phase, _) = life(json!({"containers": [container("c", "nope")]}), 15);
    let expected = ["0.000", "10.000"].iter().flat_map(|at| {
        [format!("{at} c: Failed Error: ErrImageNeverPull"), format!("{at} c: waiting ErrImageNeverPull")]
    });
    assert_eq!((lines, phase), (expected.collect(), None));
}

#[test]
fn two_runs_are_the_same() {
    let run = || {
        let spec = json!({"activeDeadlineSeconds": 200, "containers": [container("a", "exit1"), container("b", "sleep5"), container("c", "exit0")]});
        life(spec, 400).0
    };
    let first = run();
    assert!(first.len() > 20, "{first:?}");
    assert_eq!(first, run());
}
