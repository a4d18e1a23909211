//! What `play --inspect` and SIGUSR1 show of real pods: the shapes of the tools people know, in text and in JSON, the same in every run.

use std::path::PathBuf;

use serde_json::{Value, json};
use wasmpod_suite::manifest::{Folder, container, pod, with};
use wasmpod_suite::outcome::Outcome;
use wasmpod_suite::play::Play;

/// A server with limits and a volume, a client that talks to it for ever, one that waits, and one that is done at once: one pod.
fn web(folder: &Folder) -> PathBuf {
    let more = json!({
        "ports": [{"name": "http", "containerPort": 7000}],
        "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "250m", "memory": "64Mi"}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    });
    let slowly = json!({"resources": {"limits": {"cpu": "10m"}}});
    let containers = [
        with(container("server", "net_p1_server", &["echo", "1"]), "", &more),
        with(container("client", "net_echo_client", &["127.0.0.1:7000", "1000000000"]), "", &slowly),
        container("idle", "net_echo_server", &["7001"]),
        container("done", "cli_exit_p1", &["3"]),
    ];
    let more =
        json!({"volumes": [{"name": "data", "emptyDir": {"sizeLimit": "1Mi"}}], "terminationGracePeriodSeconds": 1});
    folder.manifest("web", &[with(pod("web", &containers), "spec", &more)])
}

/// Stopped when all have begun to talk; what is inside is shown then, and again when all have ended.
fn timed_out(file: &PathBuf) -> Play {
    Play::file(file).seeded(5).args(&["--timeout", "30ms", "--inspect"])
}

/// The block of lines that begins with `inside of POD (MOMENT)`.
fn block(run: &Outcome, pod: &str, moment: &str) -> Vec<String> {
    let stderr = run.stderr();
    let heading = format!("wasmpod: inside of {pod} ({moment}) at ");
    let lines = stderr.lines().skip_while(|line| !line.starts_with(&heading)).skip(1);
    let lines: Vec<String> = lines.take_while(|line| !line.starts_with("wasmpod: ")).map(str::to_owned).collect();
    assert!(!lines.is_empty(), "nothing is inside of {pod} ({moment}): {stderr}");
    lines
}

/// The rows of the table of a block whose heading begins with `heading`, as cells.
fn table(block: &[String], heading: &str) -> Vec<Vec<String>> {
    let rows = block.iter().skip_while(|line| !line.starts_with(heading)).skip(1).take_while(|line| !line.is_empty());
    let cells = |line: &String| {
        let cells = line.split("   ").map(str::trim).filter(|cell| !cell.is_empty());
        cells.map(str::to_owned).collect()
    };
    rows.map(cells).collect()
}

#[test]
fn a_running_pod_shows_namespaces_processes_sockets_mounts_and_cgroups() {
    let folder = Folder::new();
    let run = timed_out(&web(&folder)).run().expect(124);
    let block = block(&run, "web", "timeout");
    let all = "(client, done, idle, server)";
    for kind in ["net", "ipc", "uts"] {
        assert!(
            block.iter().any(|line| line.starts_with(&format!("├─ {kind} 40265318")) && line.ends_with(all)),
            "{block:#?}"
        );
    }
    assert_eq!(block.iter().filter(|line| line.contains("─ mnt 40265318")).count(), 4, "each has files of its own");

    let processes = table(&block, "CONTAINER   PID   PPID");
    let of = |name: &str| {
        processes.iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("{name}: {processes:?}")).clone()
    };
    assert_eq!(of("done")[4..], ["Z", "0:00.00", "0", "-", "/cli_exit_p1.wasm 3 <defunct>"]);
    assert_eq!(of("idle")[1..5], ["1", "0", "root", "S"]);
    assert_eq!(of("idle")[7..], ["accept 0.0.0.0:7001", "/net_echo_server.wasm 7001"]);
    let kib: u64 = of("idle")[6].parse().expect("a number of KiB");
    assert!((64..65536).contains(&kib), "{kib}");

    let descriptors = table(&block, "CONTAINER   PID   FD");
    let handed = ["server", "1", "3u", "TCP", "[::]:7000 (LISTEN) http"];
    assert!(descriptors.iter().any(|row| row[..] == handed), "{descriptors:?}");
    assert!(descriptors.iter().any(|row| row[..] == ["server", "1", "5r", "DIR", "/data"]), "{descriptors:?}");

    let sockets = table(&block, "Netid   State");
    let local = |state: &str| -> Vec<&str> {
        sockets.iter().filter(|row| row[1] == state).map(|row| row[4].as_str()).collect()
    };
    assert_eq!(local("LISTEN"), ["[::]:7000", "0.0.0.0:7001"]);
    let (client, server) = (&sockets[3], &sockets[1]);
    assert_eq!((local("ESTAB").len(), client[5].as_str()), (2, "127.0.0.1:7000"), "{sockets:?}");
    assert_eq!(server[5], format!("[::ffff:127.0.0.1]:{}", client[4].rsplit(':').next().expect("a port")));
    assert!(server[6].starts_with("users:((\"server\",pid=1,fd="), "{server:?}");
    assert_eq!(client[6], "users:((\"client\",pid=1))", "a component's handle has no number");

    let mounts = table(&block, "CONTAINER   TARGET");
    assert!(
        mounts.iter().any(|row| row[..] == ["server", "/data", "data", "tmpfs", "rw", "0", "1M", "0", "131072"]),
        "{mounts:?}"
    );
    assert!(
        mounts.iter().any(|row| row[..5] == ["client", "/sys/fs/cgroup", "cgroup2", "cgroup2", "ro"]),
        "{mounts:?}"
    );

    let cgroups = table(&block, "cpu.max");
    let server = cgroups.iter().find(|row| row[11].ends_with("/server")).expect("the server's cgroup");
    assert_eq!((server[0].as_str(), server[7].as_str()), ("25000 100000", "67108864"));
    assert_eq!(cgroups.len(), 5, "the pod's and four more");
}

#[test]
fn at_its_end_a_pod_shows_what_is_left() {
    let folder = Folder::new();
    let run = timed_out(&web(&folder)).run().expect(124);
    let block = block(&run, "web", "ended");
    assert!(block.iter().any(|line| line.starts_with("├─ client exited 137 Error, image ")), "{block:#?}");
    let processes = table(&block, "CONTAINER   PID   PPID");
    assert_eq!(processes.len(), 4);
    assert!(processes.iter().all(|row| row[4] == "Z" && row[6] == "0"), "{processes:?}");
    assert!(table(&block, "CONTAINER   PID   FD").is_empty(), "all is closed");
    let sockets = table(&block, "Netid");
    assert!(sockets.iter().all(|row| row[1] == "TIME-WAIT"), "and so are the sockets: {sockets:?}");
    assert!(!table(&block, "CONTAINER   TARGET").is_empty());
    let cgroups = table(&block, "cpu.max");
    assert!(cgroups.iter().all(|row| row[5] == "0"), "no memory is left: {cgroups:?}");
    assert!(cgroups[0][6].parse::<u64>().expect("bytes") > 1 << 20, "the peak is known: {cgroups:?}");
}

#[test]
fn the_same_seed_shows_the_same_to_the_byte() {
    let folder = Folder::new();
    let file = web(&folder);
    let [first, second] = [(); 2].map(|()| timed_out(&file).run().expect(124));
    // the command that reproduces it names the journal, which is another file
    let said = |run: &Outcome| -> Vec<String> {
        let stderr = run.stderr();
        stderr.lines().filter(|line| !line.starts_with("wasmpod: reproduce with")).map(str::to_owned).collect()
    };
    assert!(said(&first) == said(&second), "--- first\n{}--- second\n{}", first.stderr(), second.stderr());
    assert_eq!(first.journal, second.journal);
    // looking changes nothing
    let unseen = Play::file(&file).seeded(5).args(&["--timeout", "30ms"]).run().expect(124);
    assert_eq!(unseen.journal, first.journal);
}

#[test]
fn json_has_one_object_a_pod_with_the_files_as_they_are() {
    let folder = Folder::new();
    let run = timed_out(&web(&folder)).args(&["--output", "json", "--quiet"]).run().expect(124);
    let all = run.json();
    let inspections: Vec<&Value> = all.iter().filter(|object| object["type"] == "inspection").collect();
    assert_eq!(inspections.iter().map(|object| &object["moment"]).collect::<Vec<_>>(), ["timeout", "ended"]);
    let inside = inspections[0];
    let keys: Vec<&str> = inside.as_object().expect("an object").keys().map(String::as_str).collect();
    let expected = [
        "time",
        "type",
        "namespace",
        "pod",
        "moment",
        "uid",
        "sandboxId",
        "hostname",
        "ips",
        "namespaces",
        "pause",
        "containers",
        "sockets",
        "ipc",
        "cgroups",
    ];
    assert_eq!(keys, expected, "the order is fixed");
    assert_eq!(inside["namespaces"][0]["type"], "net");
    assert_eq!(inside["namespaces"][0]["containers"], json!(["client", "done", "idle", "server"]));
    let container = |name: &str| {
        let all = inside["containers"].as_array().expect("a list");
        all.iter().find(|container| container["name"] == name).unwrap_or_else(|| panic!("{name}: {inside}"))
    };
    let done = container("done");
    assert_eq!((&done["state"], &done["exitCode"], &done["reason"]), (&json!("exited"), &json!(3), &json!("Error")));
    let idle = &container("idle")["processes"]["items"][0];
    assert_eq!((&idle["state"], &idle["wchan"]), (&json!("S"), &json!("accept 0.0.0.0:7001")));
    let client = &container("client")["processes"]["items"][0];
    assert!(
        client["cpuNanos"].as_u64().is_some_and(|nanos| nanos > 500_000),
        "it has used its quota of 1 ms: {client}"
    );
    assert!(idle["waitingSinceNanos"].as_u64().is_some_and(|since| since < 30_000_000), "{idle}");
    assert_eq!((inside["sockets"]["items"].as_array().map(Vec::len), &inside["sockets"]["more"]), (Some(4), &json!(0)));
    let cgroups = inside["cgroups"].as_array().expect("a list");
    let server = cgroups.iter().find(|cgroup| cgroup["path"].as_str().is_some_and(|path| path.ends_with("/server")));
    let files = &server.expect("the server's cgroup")["files"];
    assert_eq!((&files["cpu.max"], &files["memory.max"]), (&json!("25000 100000"), &json!("67108864")));
    assert!(
        files["cpu.stat"]
            .as_str()
            .is_some_and(|text| text.starts_with("usage_usec ") && text.contains("\nnr_periods "))
    );
}

#[cfg(unix)]
#[test]
fn a_signal_shows_the_inside_while_it_runs() {
    let folder = Folder::new();
    let containers =
        [container("server", "net_echo_server", &["7000"]), container("sleeps", "sleep_for_p1", &["3600000"])];
    let object = with(pod("p", &containers), "spec", &json!({"terminationGracePeriodSeconds": 1}));
    let mut run = Play::file(folder.manifest("p", &[object])).start();
    run.line_with("p/server | listening on 0.0.0.0:7000");
    run.line_with("p/sleeps | sleeping 3600000 ms");
    run.signal("USR1");
    run.line_with("wasmpod: inside of p (running) at ");
    run.line("the listening socket", |line| line.starts_with("tcp     LISTEN") && line.contains("0.0.0.0:7000"));
    run.line("the last row of the last table", |line| line.ends_with("/sleeps") && line.contains("kubepods"));
    run.signal("TERM"); // it went on
    let run = run.finish().expect(143);
    assert_eq!(run.stderr().matches("inside of").count(), 1, "not at its end without --inspect: {}", run.stderr());
}

#[test]
fn a_deadlock_shows_who_waits_and_a_shared_pid_namespace_shows_pause() {
    let folder = Folder::new();
    let containers = [container("a", "net_echo_server", &["7000"]), container("b", "net_echo_server", &["7001"])];
    let object = with(pod("stuck", &containers), "spec", &json!({"shareProcessNamespace": true}));
    let run = Play::file(folder.manifest("stuck", &[object])).seeded(1).arg("--inspect").run().expect(3);
    let block = block(&run, "stuck", "deadlock");
    assert!(block.iter().any(|line| line.starts_with("├─ pid 40265318") && line.ends_with("(a, b)")), "{block:#?}");
    let processes = table(&block, "CONTAINER   PID   PPID");
    let told: Vec<[&str; 4]> = processes.iter().map(|row| [&*row[0], &*row[1], &*row[4], &*row[7]]).collect();
    let mut numbers = [told[1][1], told[2][1]];
    numbers.sort_unstable();
    assert_eq!((told[0], numbers), (["-", "1", "S", "-"], ["2", "3"]), "{processes:?}");
    assert_eq!([told[1][3], told[2][3]], ["accept 0.0.0.0:7000", "accept 0.0.0.0:7001"]);
}
