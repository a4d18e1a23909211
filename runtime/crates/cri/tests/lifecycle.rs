//! Sandboxes and containers from the outside, with real guests in virtual time: what starts, what cannot, how it is stopped, and
//! that doing things twice or too late is no error (as critest's idempotence tests demand).

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use wasmpod_cri::{
    Container, ContainerConfig, ContainerEventKind, ContainerState, CriError, DnsSettings, Image, ImageSource,
    LogLimits, NodeConfig, OutputSink, Port, Protocol, Runtime, RuntimeConfig, Sandbox, SandboxConfig, StdStream,
};
use wasmpod_engine::{Engine, EngineConfig};
use wasmpod_kernel::cgroup::Limits;
use wasmpod_kernel::cgroup::kubernetes::QosClass;
use wasmpod_kernel::mntns::Cred;
use wasmpod_kernel::netns::Family;
use wasmpod_sim::{Instant, Sim};

struct Node {
    runtime: Runtime,
    sim: Sim,
    _dir: tempfile::TempDir,
}

fn node() -> Node {
    let sim = Sim::new_virtual(3);
    let dir = tempfile::tempdir().expect("a directory");
    let engine = Engine::new(&sim, EngineConfig::default()).expect("an engine");
    let node = NodeConfig { cpus: 2, memory_bytes: 1 << 30, fuel_per_cpu_second: sim.fuel_per_second(), max_pods: 110 };
    let config = RuntimeConfig { state_dir: dir.path().to_owned(), node, log: LogLimits::default() };
    let runtime = Runtime::new(config, &sim, engine).expect("a runtime");
    Node { runtime, sim, _dir: dir }
}

fn pod(name: &str) -> SandboxConfig {
    SandboxConfig {
        name: name.to_owned(),
        namespace: "default".to_owned(),
        uid: format!("uid-{name}"),
        hostname: None,
        subdomain: None,
        fqdn_as_hostname: false,
        cluster_domain: "cluster.local".to_owned(),
        qos: QosClass::BestEffort,
        limits: Limits::default(),
        host_aliases: Vec::<(IpAddr, Vec<String>)>::new(),
        dns: DnsSettings::default(),
        share_process_namespace: false,
    }
}

fn guest(name: &str) -> ImageSource {
    let dist = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../guest-examples/dist");
    ImageSource::WasmFile(PathBuf::from(dist).join(format!("{name}.wasm")))
}

fn config(name: &str, image: Arc<Image>, args: &[&str]) -> ContainerConfig {
    ContainerConfig {
        name: name.to_owned(),
        attempt: 0,
        image,
        command: vec![],
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: vec![],
        working_dir: String::new(),
        cred: Cred::root(),
        limits: Limits::default(),
        mounts: vec![],
        ports: vec![],
        termination_message_path: "/dev/termination-log".to_owned(),
        ephemeral_storage_limit: None,
        read_only_root: false,
        output: None,
    }
}

async fn create(node: &Node, sandbox: &Arc<Sandbox>, image: &str, args: &[&str]) -> Arc<Container> {
    let image = node.runtime.load_image(&guest(image), image).await.expect("an image");
    node.runtime.create_container(sandbox, config("c", image, args)).await.expect("a container")
}

fn run<T>(node: &Node, test: impl Future<Output = T>) -> T {
    node.sim.block_on(test).expect("no deadlock")
}

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl OutputSink for Lines {
    fn line(&self, stream: StdStream, line: &[u8], partial: bool) {
        let text = String::from_utf8_lossy(line).into_owned();
        self.0.lock().push(format!("{} {partial} {text}", stream.as_str()));
    }
}

#[test]
fn a_container_runs_to_its_end_and_leaves_a_log() {
    let node = node();
    run(&node, async {
        let mut events = node.runtime.subscribe();
        let sandbox = node.runtime.run_pod_sandbox(pod("hello")).expect("a sandbox");
        let image = node.runtime.load_image(&guest("hello_rust_p1"), "hello").await.expect("an image");
        let lines = Arc::new(Lines::default());
        let output: Option<Arc<dyn OutputSink>> = Some(lines.clone());
        let made = ContainerConfig { output, ..config("c", image, &[]) };
        let container = node.runtime.create_container(&sandbox, made).await.expect("a container");
        assert_eq!(container.state(), ContainerState::Created);
        container.start().expect("started");
        let exited = container.wait().await;
        assert_eq!((exited.exit_code, exited.reason), (0, "Completed"));
        let kinds = [events.recv().await.kind, events.recv().await.kind];
        assert_eq!(kinds, [ContainerEventKind::Started, ContainerEventKind::Exited]);
        let log = std::fs::read_to_string(container.log().path()).expect("a log");
        assert!(log.ends_with(" stdout F Hello from Rust on wasm32-wasip1\n"), "{log}");
        assert_eq!(*lines.0.lock(), ["stdout false Hello from Rust on wasm32-wasip1"]);
    });
}

#[test]
fn stopping_waits_for_the_grace_and_then_kills() {
    let node = node();
    run(&node, async {
        let sandbox = node.runtime.run_pod_sandbox(pod("p")).expect("a sandbox");
        let container = create(&node, &sandbox, "sleep_for_p1", &["3600000"]).await;
        container.start().expect("started");
        let exited = container.stop(Duration::from_secs(30)).await.expect("it ran");
        // pid 1 has no handler for SIGTERM, so it sleeps on until SIGKILL
        assert_eq!((exited.exit_code, exited.reason), (137, "Error"));
        assert_eq!(node.sim.clock().now(), Instant::from_nanos(30_000_000_000));
        // stopping or killing what has ended changes nothing
        assert_eq!(container.stop(Duration::ZERO).await, Some(exited.clone()));
        container.kill();
        assert_eq!(container.wait().await, exited);
    });
}

#[test]
fn a_second_stop_may_only_shorten_the_grace() {
    for (second, ends_at) in [(5, 6), (100, 30)] {
        let node = node();
        run(&node, async {
            let sandbox = node.runtime.run_pod_sandbox(pod("p")).expect("a sandbox");
            let container = create(&node, &sandbox, "sleep_for_p2", &["3600000"]).await;
            container.start().expect("started");
            let (first, later) = (container.clone(), container.clone());
            let clock = node.sim.clock().clone();
            let stopping = node.sim.spawn("first stop", async move { first.stop(Duration::from_secs(30)).await });
            clock.sleep(Duration::from_secs(1)).await;
            let shorter = later.stop(Duration::from_secs(second)).await.expect("it ran");
            assert_eq!(shorter.exit_code, 137);
            assert_eq!(clock.now(), Instant::from_nanos(ends_at * 1_000_000_000));
            assert_eq!(stopping.await.expect("no panic"), Some(shorter));
        });
    }
}

#[test]
fn a_container_that_was_not_started_has_nothing_to_stop() {
    let node = node();
    run(&node, async {
        let sandbox = node.runtime.run_pod_sandbox(pod("p")).expect("a sandbox");
        let container = create(&node, &sandbox, "hello_rust_p1", &[]).await;
        assert_eq!(container.stop(Duration::from_secs(30)).await, None);
        container.kill();
        assert_eq!(container.state(), ContainerState::Created);
        sandbox.stop().await;
        sandbox.stop().await;
    });
}

#[test]
fn what_cannot_be_started_has_exited_with_128() {
    let node = node();
    run(&node, async {
        let sandbox = node.runtime.run_pod_sandbox(pod("p")).expect("a sandbox");
        let image = node.runtime.load_image(&guest("hello_rust_p1"), "./hello.wasm").await.expect("an image");
        let command =
            |path: &str| ContainerConfig { command: vec![path.to_owned()], ..config("c", image.clone(), &[]) };
        for (path, said) in [
            ("/bin/app", "exec: \"/bin/app\": stat /bin/app: no such file or directory"),
            ("app", "exec: \"app\": executable file not found in $PATH"),
            ("/etc", "exec: \"/etc\": is a directory"),
            ("/etc/hosts", "exec: \"/etc/hosts\": permission denied"),
        ] {
            let container =
                node.runtime.create_container(&sandbox, command(path)).await.expect("it is made all the same");
            let refused = container.start().expect_err("nothing to run");
            assert!(matches!(&refused, CriError::Start(text) if text.starts_with(said)), "{path}: {refused}");
            let ContainerState::Exited(exited) = container.state() else { panic!("it has exited") };
            assert_eq!((exited.exit_code, exited.reason), (128, "StartError"));
            assert!(matches!(container.start(), Err(CriError::State(_))), "a container starts once");
        }
    });
}

#[test]
fn a_port_that_another_container_has_ends_a_preview_1_program_as_its_own_bind_would() {
    let node = node();
    run(&node, async {
        let sandbox = node.runtime.run_pod_sandbox(pod("p")).expect("a sandbox");
        let image = node.runtime.load_image(&guest("sleep_for_p1"), "sleep").await.expect("an image");
        let port = Port { name: Some("web".to_owned()), port: 8080, protocol: Protocol::Tcp };
        let with_port = |name| ContainerConfig { ports: vec![port.clone()], ..config(name, image.clone(), &["1000"]) };
        let first = node.runtime.create_container(&sandbox, with_port("first")).await.expect("made");
        let second = node.runtime.create_container(&sandbox, with_port("second")).await.expect("made");
        first.start().expect("started");
        second.start().expect("it starts, and ends");
        let exited = second.wait().await;
        assert_eq!((exited.exit_code, exited.reason), (1, "Error"));
        let log = std::fs::read_to_string(second.log().path()).expect("a log");
        assert!(log.ends_with("stderr F listen on port 8080: Address already in use\n"), "{log}");
        assert_eq!(first.wait().await.exit_code, 0);
    });
}

/// Exits with the flags that `fd_fdstat_get` shows of its first socket: 4 is non-blocking.
fn socket_flags(custom: &str) -> Vec<u8> {
    let text = format!(
        r#"(module {custom}
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $stat (param i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "_start")
                (drop (call $stat (i32.const 3) (i32.const 64)))
                (call $exit (i32.load16_u (i32.const 66)))))"#
    );
    wat::parse_str(text).expect("well-formed")
}

#[test]
fn a_program_of_go_finds_its_socket_non_blocking_and_any_other_blocking() {
    for (custom, flags) in [(r#"(@custom "go:buildid" "x")"#, 4), ("", 0)] {
        let node = node();
        run(&node, async {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("server.wasm");
            std::fs::write(&path, socket_flags(custom)).expect("written");
            let image = node.runtime.load_image(&ImageSource::WasmFile(path), "server").await.expect("an image");
            let port = Port { name: None, port: 80, protocol: Protocol::Tcp };
            let made = ContainerConfig { ports: vec![port], ..config("c", image, &[]) };
            let sandbox = node.runtime.run_pod_sandbox(pod("p")).expect("a sandbox");
            let container = node.runtime.create_container(&sandbox, made).await.expect("a container");
            container.start().expect("started");
            assert_eq!(container.wait().await.exit_code, flags, "{custom}");
        });
    }
}

#[test]
fn the_address_goes_back_when_the_sandbox_stops_and_names_are_unique() {
    let node = node();
    run(&node, async {
        let first = node.runtime.run_pod_sandbox(pod("p")).expect("a sandbox");
        assert!(matches!(node.runtime.run_pod_sandbox(pod("p")), Err(CriError::Sandbox(_))), "one sandbox for a UID");
        let container = create(&node, &first, "cpu_spin", &["forever"]).await;
        container.start().expect("started");
        node.sim.clock().sleep(Duration::from_millis(5)).await;
        first.stop().await;
        assert_eq!(container.wait().await.exit_code, 137);
        assert!(node.runtime.sandboxes().is_empty());
        let again = node.runtime.run_pod_sandbox(pod("p")).expect("the UID is free again");
        assert_ne!(again.id(), first.id());
        assert_eq!(first.cgroup().memory_stats().current, 0, "all memory was given back");
    });
}

#[test]
fn a_directory_without_a_command_is_no_program() {
    let node = node();
    run(&node, async {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("motd"), "hello").expect("written");
        let source = ImageSource::Directory(dir.path().to_owned());
        let image = node.runtime.load_image(&source, "./rootfs").await.expect("an image");
        let sandbox = node.runtime.run_pod_sandbox(pod("p")).expect("a sandbox");
        let refused = node.runtime.create_container(&sandbox, config("c", image.clone(), &[])).await;
        let said = refused.err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains("name its program in `command`"), "{said}");
        // equal content has an equal id, whatever its path
        let copy = tempfile::tempdir().expect("a directory");
        std::fs::write(copy.path().join("motd"), "hello").expect("written");
        let twin = ImageSource::Directory(copy.path().to_owned());
        assert_eq!(node.runtime.load_image(&twin, "./twin").await.expect("an image").id, image.id);
    });
}

#[test]
fn a_flood_is_cut_and_counted_when_a_pod_is_looked_into() {
    use wasmpod_cri::inspect::{MAX_LISTED_DESCRIPTORS, MAX_LISTED_SOCKETS};
    let node = node();
    run(&node, async {
        let sandbox = node.runtime.run_pod_sandbox(pod("flood")).expect("a sandbox");
        assert_eq!(sandbox.inspect().containers, []);
        let image = node.runtime.load_image(&guest("net_p1_server"), "server").await.expect("an image");
        let port = |port| Port { name: None, port, protocol: Protocol::Tcp };
        let ports: Vec<Port> = (1000..1256).map(port).collect();
        // the pod has 50 sockets more than are listed
        let sockets = (0..50).map(|_| {
            let socket = sandbox.net().udp_socket(Family::V4, sandbox.cgroup().clone()).expect("room");
            socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
            socket
        });
        let sockets: Vec<_> = sockets.collect();
        let made = ContainerConfig { ports, ..config("c", image, &["\u{1b}[2J"]) };
        let container = node.runtime.create_container(&sandbox, made).await.expect("a container");
        assert_eq!(sandbox.inspect().containers[0].processes.items[0].state, '-');
        container.start().expect("started");
        node.sim.clock().sleep(Duration::from_millis(10)).await;
        let inside = sandbox.inspect();
        assert_eq!(
            (inside.sockets.items.len(), inside.sockets.more),
            (MAX_LISTED_SOCKETS, 256 + 50 - MAX_LISTED_SOCKETS)
        );
        let process = &inside.containers[0].processes.items[0];
        assert_eq!(
            (process.state, process.command.as_str()),
            ('S', "/net_p1_server.wasm \u{1b}[2J"),
            "raw: who shows it escapes"
        );
        let open = container.process().fds.lock().open();
        let listed = &process.descriptors;
        assert_eq!((listed.items.len(), listed.more), (MAX_LISTED_DESCRIPTORS, open - MAX_LISTED_DESCRIPTORS));
        assert!(open > 3 + 256, "streams, sockets and directories: {open}");
        assert!(process.rss_bytes > 64 << 10 && process.cpu_nanos > 0, "{process:?}");
        assert_eq!(inside, sandbox.inspect(), "looking changes nothing");
        container.kill();
        container.wait().await;
        drop(sockets);
        let ended = sandbox.inspect();
        let process = &ended.containers[0].processes.items[0];
        assert_eq!((process.state, process.rss_bytes, process.descriptors.items.len()), ('Z', 0, 0));
        assert_eq!((ended.containers[0].exit_code, ended.sockets.items.len()), (Some(137), 0));
        sandbox.stop().await;
        assert_eq!(sandbox.inspect().containers, [], "nothing is left, and looking is no error");
    });
}

#[test]
fn removing_takes_logs_and_files_away_and_doing_it_again_is_no_error() {
    let node = node();
    run(&node, async {
        let sandbox = node.runtime.run_pod_sandbox(pod("gone")).expect("a sandbox");
        let empty = node.runtime.storage().usage();
        // never started
        let container = create(&node, &sandbox, "hello_rust_p1", &[]).await;
        let log = container.log().path();
        assert!(log.exists() && node.runtime.storage().usage().inodes > empty.inodes);
        container.remove().await;
        container.remove().await;
        assert!(!log.exists() && sandbox.containers().is_empty());
        assert!(matches!(container.start(), Err(CriError::State(_))), "nothing is left to start");
        drop(container);
        assert_eq!(node.runtime.storage().usage(), empty, "the writable layer is gone");

        // running: it is killed first
        let container = create(&node, &sandbox, "cpu_spin", &["forever"]).await;
        container.start().expect("started");
        node.sim.clock().sleep(Duration::from_millis(5)).await;
        container.remove().await;
        let ContainerState::Exited(exited) = container.state() else { panic!("it runs") };
        assert_eq!(exited.exit_code, 137);
        assert_eq!(container.stop(Duration::ZERO).await, Some(exited), "stopping what was removed");
        container.kill();

        // an older run of the same name leaves the newer one alone
        let newer = create(&node, &sandbox, "hello_rust_p1", &[]).await;
        container.remove().await;
        assert_eq!(sandbox.containers().iter().map(|known| known.id().to_owned()).collect::<Vec<_>>(), [newer.id()]);
        newer.start().expect("started");
        newer.wait().await;
        sandbox.stop().await;
        sandbox.stop().await;
        newer.remove().await;
        assert!(!newer.log().path().exists(), "also when the sandbox is gone");
    });
}
