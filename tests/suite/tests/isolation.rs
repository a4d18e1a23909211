//! What is kept apart: pods from pods, containers from containers where a pod keeps them apart, and all of them from the host.

use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};

use serde_json::{Value, json};
use wasmpod_suite::manifest::{Folder, container, pod, with};
use wasmpod_suite::outcome::Outcome;
use wasmpod_suite::play::Play;

fn run(objects: &[Value]) -> Outcome {
    let folder = Folder::new();
    Play::file(folder.manifest("m", objects)).seeded(0).run()
}

/// A pod that is ended after a virtual minute.
fn for_a_minute(object: Value) -> Value {
    with(object, "spec", &json!({"activeDeadlineSeconds": 60, "terminationGracePeriodSeconds": 0}))
}

#[test]
fn a_pods_loopback_is_its_own() {
    let server = for_a_minute(pod("server", &[container("c", "net_http_hello", &["127.0.0.1:8080"])]));
    let own =
        with(pod("own", &[container("c", "net_http_get", &["localhost:8080/"])]), "metadata", &json!({"name": "own"}));
    // the same server by the pod's address: it listens on loopback only
    let named = pod("named", &[container("c", "net_http_get", &["server:8080/"])]);
    let run = run(&[server, own, named]).expect(1);
    assert_eq!(run.errors_of("own/c"), ["connect localhost:8080: ConnectionRefused"]);
    assert_eq!(run.errors_of("named/c"), ["connect server:8080: ConnectionRefused"]);
    assert_eq!(run.of("server/c"), ["listening on 127.0.0.1:8080"], "nobody reached it");
}

#[test]
fn containers_of_a_pod_share_loopback_and_ports() {
    let containers = [
        container("holds", "net_bind_conflict", &["hold", "127.0.0.1:9000", "1000"]),
        container("wants", "net_bind_conflict", &["hold", "127.0.0.1:9000", "1", "500"]),
    ];
    let other = pod("other", &[container("wants", "net_bind_conflict", &["hold", "127.0.0.1:9000", "1", "500"])]);
    let run = run(&[pod("p", &containers), other]).expect(1);
    assert_eq!(run.errors_of("p/wants"), ["bind 127.0.0.1:9000: AddrInUse"]);
    assert_eq!(run.row("p", "wants")[1], "1");
    assert_eq!(run.of("other/wants"), ["listening on 127.0.0.1:9000", "released"]);
}

#[test]
fn the_hosts_ports_cannot_be_reached() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket can be told so");
    let port = listener.local_addr().expect("it has one").port();
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    udp.set_nonblocking(true).expect("a socket can be told so");
    let udp_port = udp.local_addr().expect("it has one").port();
    let containers = [
        container("tcp", "net_http_get", &[&format!("127.0.0.1:{port}/")]),
        container("udp", "net_udp_echo_client", &[&format!("127.0.0.1:{udp_port}"), "1", "8"]),
    ];
    let folder = Folder::new();
    let file = folder.manifest("m", &[for_a_minute(pod("p", &containers))]);
    let run = Play::file(&file).seeded(0).run().expect(1);
    assert_eq!(run.errors_of("p/tcp"), [format!("connect 127.0.0.1:{port}: ConnectionRefused")]);
    assert_ne!(run.row("p", "udp")[1], "0");
    // in real time too; once is enough, so it is ended early
    Play::file(&file).args(&["--timeout", "1s"]).run().expect(124);
    assert_eq!(listener.accept().err().map(|error| error.kind()), Some(ErrorKind::WouldBlock), "somebody connected");
    assert_eq!(
        udp.recv_from(&mut [0; 64]).err().map(|error| error.kind()),
        Some(ErrorKind::WouldBlock),
        "somebody sent"
    );
}

#[test]
fn nothing_outside_can_be_reached() {
    // a documentation address, a resolver of the world, the way to the host's own address
    let outside = ["192.0.2.1:80", "9.9.9.9:53", "172.17.0.1:80", "[2001:db8::1]:80"];
    let containers: Vec<Value> =
        outside.iter().enumerate().map(|(n, to)| container(&format!("c{n}"), "net_errors", &[to])).collect();
    let folder = Folder::new();
    let file = folder.manifest("m", &[pod("p", &containers)]);
    for play in [Play::file(&file), Play::file(&file).seeded(0)] {
        let run = play.run().expect(0);
        for n in 0..outside.len() {
            assert_eq!(run.of(&format!("p/c{n}")).last().map(String::as_str), Some("net_errors: all done"));
        }
    }
}

#[test]
fn a_pod_is_reached_by_each_of_its_names() {
    let names = [
        "server:7000",
        "custom.fleet:7000",
        "custom.fleet.default.svc.cluster.local:7000",
        "10-244-0-2.default.pod.cluster.local:7000",
    ];
    let connections = names.len().to_string();
    let server = with(
        pod("server", &[container("c", "net_echo_server", &["7000", &connections])]),
        "spec",
        &json!({"hostname": "custom", "subdomain": "fleet"}),
    );
    let containers: Vec<Value> =
        names.iter().enumerate().map(|(n, name)| container(&format!("c{n}"), "net_name", &[name, "connect"])).collect();
    let run = run(&[server, pod("client", &containers)]).expect(0);
    for (n, name) in names.iter().enumerate() {
        let lines = run.of(&format!("client/c{n}"));
        let host = name.trim_end_matches(":7000");
        assert_eq!(lines.first(), Some(&format!("{host} is 10.244.0.2")), "{lines:?}");
        assert_eq!(lines.last().map(String::as_str), Some("hello by address"), "{lines:?}");
    }
}

#[test]
fn names_of_the_world_are_not_found() {
    let run = run(&[pod("p", &[container("c", "net_name", &["example.com:80"])])]).expect(1);
    assert_eq!(run.row("p", "c")[1], "1");
}

#[test]
fn the_hosts_environment_is_not_seen() {
    let folder = Folder::new();
    let containers = [container("p1", "cli_args_p1", &[]), container("p2", "cli_args_p2", &[])];
    let file = folder.manifest("m", &[pod("p", &containers)]);
    let run = Play::file(file).env("OF_THE_HOST", "secret").run().expect(0);
    for name in ["p1", "p2"] {
        let env: Vec<String> =
            run.of(&format!("p/{name}")).into_iter().filter(|line| line.starts_with("env ")).collect();
        assert_eq!(env, ["env HOSTNAME=p", "env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]);
    }
}

#[test]
fn the_hosts_files_are_not_seen() {
    let secret = Folder::new();
    let path = secret.write("secret.txt", "SECRET of the host\n");
    let path = path.to_string_lossy().replace('\\', "/");
    // WASI lets no path climb out of the directory it begins at, not even out of `/`, where Linux would stay
    let climbing = format!("/../../../../../..{path}");
    let run = run(&[pod("p", &[container("c", "fs_cat", &[&path, &climbing, "/etc"])])]).expect(0);
    let lines = run.of("p/c");
    assert_eq!(lines[..2], [format!("== {path}: NotFound"), format!("== {climbing}: PermissionDenied")]);
    assert_eq!(lines[2], "== /etc/: hostname hosts resolv.conf");
    assert!(lines.contains(&"127.0.0.1\tlocalhost".to_owned()), "{lines:?}");
    assert!(!run.stdout().contains("SECRET"));
}

#[test]
fn volumes_and_names_of_two_pods_are_their_own() {
    let volume = json!({"volumes": [{"name": "data", "emptyDir": {}}]});
    let mount = json!({"volumeMounts": [{"name": "data", "mountPath": "/data"}]});
    let of = |name: &str, containers: &[Value]| with(pod(name, containers), "spec", &volume);
    let writer = of("writer", &[with(container("c", "fs_writer", &["/data/log", "1"]), "", &mount)]);
    let late = json!({"initContainers": [container("wait", "sleep_for_p1", &["5000"])]});
    let reader = of("reader", &[with(container("c", "fs_cat", &["/data", "/etc/hostname"]), "", &mount)]);
    let run = run(&[writer, with(reader, "spec", &late)]).expect(0);
    assert_eq!(run.of("writer/c"), ["wrote line 1", "writer finished"]);
    assert_eq!(run.of("reader/c"), ["== /data/: ", "== /etc/hostname", "reader"]);
}

#[test]
fn containers_of_a_pod_share_volumes_but_not_root_file_systems() {
    let mount = |value: Value| with(value, "", &json!({"volumeMounts": [{"name": "data", "mountPath": "/data"}]}));
    let object = with(
        pod(
            "p",
            &[
                mount(container("writes", "fs_writer", &["/data/log", "3", "100"])),
                container("private", "fs_writer", &["/private", "1"]),
                mount(container("follows", "fs_follow", &["/data/log", "3"])),
            ],
        ),
        "spec",
        &json!({"volumes": [{"name": "data", "emptyDir": {}}]}),
    );
    let late =
        with(object, "spec", &json!({"initContainers": [container("first", "fs_writer", &["/left-by-init", "1"])]}));
    let mut late = late;
    let looks = mount(container("looks", "fs_cat", &["/private", "/left-by-init"]));
    late.pointer_mut("/spec/containers").and_then(Value::as_array_mut).expect("containers").push(looks);
    let run = run(&[late]).expect(0);
    assert_eq!(
        run.of("p/follows"),
        ["saw line 1 of 3", "saw line 2 of 3", "saw line 3 of 3", "follower saw all 3 lines"]
    );
    assert_eq!(run.of("p/private"), ["wrote line 1", "writer finished"]);
    assert_eq!(run.of("p/looks"), ["== /private: NotFound", "== /left-by-init: NotFound"]);
}

#[test]
fn a_restart_begins_with_a_fresh_root_but_the_same_volume() {
    // what makes files refuses where they are already: in its own root it never sees those of its last run, on a volume it does
    let mounted = with(
        container("volume", "fs_write_p1", &["/data"]),
        "",
        &json!({"volumeMounts": [{"name": "data", "mountPath": "/data"}]}),
    );
    let object = with(
        pod("p", &[container("root", "fs_write_p1", &["/"]), mounted]),
        "spec",
        &json!({
            "restartPolicy": "Always",
            "activeDeadlineSeconds": 15,
            "volumes": [{"name": "data", "emptyDir": {}}],
        }),
    );
    let run = run(&[object]).expect(1);
    let root = run.of("p/root");
    assert_eq!(root.iter().filter(|line| *line == "fs_write: all done").count(), 3, "{root:?}");
    assert_eq!(run.row("p", "root"), ["Failed (DeadlineExceeded)", "0", "Completed", "2"]);
    let volume = run.of("p/volume");
    assert_eq!(volume.iter().filter(|line| *line == "fs_write: all done").count(), 1, "{volume:?}");
    assert!(volume.last().is_some_and(|line| line.contains("AlreadyExists")), "{volume:?}");
    assert_eq!(run.row("p", "volume"), ["Failed (DeadlineExceeded)", "1", "Error", "2"]);
}

#[test]
fn sockets_work_as_on_linux_in_every_pod() {
    let guests = ["net_half_close", "net_reset", "net_v6", "net_wildcard", "net_bind_conflict", "net_errors"];
    let containers: Vec<Value> = guests.iter().map(|guest| container(&guest.replace('_', "-"), guest, &[])).collect();
    let folder = Folder::new();
    let file = folder.manifest("m", &[pod("a", &containers), pod("b", &containers)]);
    for play in [Play::file(&file), Play::file(&file).seeded(5)] {
        let run = play.run().expect(0);
        for pod in ["a", "b"] {
            for guest in guests {
                let lines = run.of(&format!("{pod}/{}", guest.replace('_', "-")));
                assert_eq!(lines.last(), Some(&format!("{guest}: all done")), "{lines:?}");
            }
        }
    }
}

#[test]
fn both_standards_wait_for_many_things_and_see_an_end_of_input() {
    let containers = [
        container("poll-p1", "poll_many_p1", &["200"]),
        container("poll-p2", "poll_many_p2", &["200"]),
        container("stdin-p1", "cli_stdin_p1", &[]),
        container("stdin-p2", "cli_stdin_p2", &[]),
        container("c", "hello_c_p1", &[]),
        container("read-p1", "fs_cat", &["/dev/null"]),
    ];
    // the host's own input is not the containers'
    let folder = Folder::new();
    let file = folder.manifest("m", &[pod("p", &containers)]);
    let run = Play::file(file).stdin("for nobody\n").seeded(0).run().expect(0);
    assert_eq!(run.of("p/poll-p1"), ["200 timers in order"]);
    assert_eq!(run.of("p/poll-p2"), ["200 timers in order"]);
    assert_eq!(run.of("p/stdin-p1"), ["stdin: 0 bytes, 0 lines"]);
    assert_eq!(run.of("p/stdin-p2"), ["stdin: 0 bytes, 0 lines"]);
    assert_eq!(run.of("p/c").len(), 1);
}
