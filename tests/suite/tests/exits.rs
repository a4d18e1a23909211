//! How containers end, and what the pod and `play` make of it.

use serde_json::{Value, json};
use wasmpod_suite::manifest::{Folder, container, pod, with};
use wasmpod_suite::outcome::Outcome;
use wasmpod_suite::play::Play;

fn run(objects: &[Value]) -> Outcome {
    let folder = Folder::new();
    Play::file(folder.manifest("m", objects)).seeded(0).run()
}

#[test]
fn a_trap_ends_as_the_signal_it_stands_for() {
    let kinds = [
        ("unreachable", "134", "wasm `unreachable` instruction executed"),
        ("oob", "139", "out of bounds memory access"),
        ("stack", "139", "call stack exhausted"),
        ("divzero", "136", "integer divide by zero"),
        ("abort", "134", "wasm `unreachable` instruction executed"),
        ("panic", "134", "wasm `unreachable` instruction executed"),
    ];
    let containers: Vec<Value> = kinds.iter().map(|(kind, ..)| container(kind, "cli_trap", &[kind])).collect();
    let run = run(&[pod("p", &containers)]).expect(1);
    for (kind, code, why) in kinds {
        assert_eq!(run.row("p", kind), ["Failed", code, "Error", "0"], "{kind}");
        assert_eq!(run.of(&format!("p/{kind}")), [format!("about to trap: {kind}")]);
        let told = format!("wasmpod: p/{kind} exited with code {code} (Error): wasm trap: {why}\n");
        assert!(run.stderr().contains(&told), "{kind}: {}", run.stderr());
    }
    assert!(run.errors_of("p/panic").contains(&"as asked".to_owned()), "{}", run.stderr());
}

#[test]
fn what_is_told_of_a_trap_does_not_depend_on_the_hosts_environment() {
    let folder = Folder::new();
    let file = folder.manifest("m", &[pod("p", &[container("c", "cli_trap", &["oob"])])]);
    let plain = Play::file(&file).arg("--virtual-time").run().expect(1);
    let full = Play::file(&file).arg("--virtual-time").env("RUST_BACKTRACE", "full").run().expect(1);
    assert_eq!(plain.stderr(), full.stderr());
}

#[test]
fn exit_codes_are_kept_as_far_as_the_standard_has_them() {
    let codes = ["0", "1", "2", "77", "125", "126"];
    let mut containers: Vec<Value> =
        codes.iter().map(|code| container(&format!("p1-{code}"), "cli_exit_p1", &[code])).collect();
    containers.extend(codes.iter().map(|code| container(&format!("p2-{code}"), "cli_exit_p2", &[code])));
    let run = run(&[pod("p", &containers)]).expect(1);
    for code in codes {
        assert_eq!(run.row("p", &format!("p1-{code}"))[1], code);
        // WASI 0.2 knows success and failure
        let of_p2 = if code == "0" { "0" } else { "1" };
        assert_eq!(run.row("p", &format!("p2-{code}"))[1], of_p2, "{code}");
    }
}

#[test]
fn only_who_takes_too_much_memory_is_killed() {
    let limited = |name: &str, mib: &str, limit: &str| {
        with(container(name, "mem_eat", &[mib, "1000"]), "", &json!({"resources": {"limits": {"memory": limit}}}))
    };
    let greedy = pod("greedy", &[limited("a", "32", "8Mi"), limited("b", "4", "8Mi")]);
    let modest = pod("modest", &[limited("a", "4", "8Mi")]);
    let run = run(&[greedy, modest]).expect(1);
    assert_eq!(run.row("greedy", "a"), ["Failed", "137", "OOMKilled", "0"]);
    assert_eq!(run.row("greedy", "b"), ["Failed", "0", "Completed", "0"]);
    assert_eq!(run.row("modest", "a"), ["Succeeded", "0", "Completed", "0"]);
    // it was killed while the others held theirs, not at the end
    let killed = run.times("greedy/a", "exited code 137 reason OOMKilled");
    let others = [run.times("greedy/b", "exited code 0"), run.times("modest/a", "exited code 0")].concat();
    assert!(killed.len() == 1 && others.iter().all(|time| *time > killed[0]), "{killed:?} {others:?}");
    assert!(!run.of("greedy/a").iter().any(|line| line.starts_with("done")));
}

#[test]
fn an_oom_is_restarted_where_the_policy_says_so() {
    let greedy = with(container("c", "mem_eat", &["32"]), "", &json!({"resources": {"limits": {"memory": "8Mi"}}}));
    let object = with(pod("p", &[greedy]), "spec", &json!({"restartPolicy": "OnFailure", "activeDeadlineSeconds": 5}));
    let run = run(&[object]).expect(1);
    assert_eq!(run.row("p", "c"), ["Failed (DeadlineExceeded)", "137", "OOMKilled", "1"]);
    assert_eq!(run.times("p/c", "exited code 137 reason OOMKilled").len(), 2);
}

#[test]
fn a_program_that_cannot_be_found_or_started_is_a_start_error() {
    let commanded =
        |name: &str, command: &str| with(container(name, "cli_exit_p1", &["0"]), "", &json!({"command": [command]}));
    let cases = [
        ("path", "/nope", "exec: \"/nope\": stat /nope: no such file or directory"),
        ("name", "nope", "exec: \"nope\": executable file not found in $PATH"),
        ("text", "/etc/hostname", "exec: \"/etc/hostname\": permission denied"),
    ];
    let containers: Vec<Value> = cases.iter().map(|(name, command, _)| commanded(name, command)).collect();
    let run = run(&[pod("p", &containers)]).expect(1);
    for (name, _, why) in cases {
        assert_eq!(run.row("p", name), ["Failed", "128", "StartError", "0"], "{name}");
        assert!(run.stderr().contains(why), "{why}: {}", run.stderr());
        assert_eq!(run.journalled(&format!("p/{name}"), "started"), [], "{name}");
    }
}

#[test]
fn a_broken_program_is_a_start_error_and_not_a_crash() {
    let folder = Folder::new();
    let whole = std::fs::read(wasmpod_suite::guest("cli_exit_p1")).expect("the guest can be read");
    let component = std::fs::read(wasmpod_suite::guest("cli_exit_p2")).expect("the guest can be read");
    // an empty module is whole, but has nothing to start
    let files: [(&str, &[u8]); 5] = [
        ("garbage", b"\0asm\x01\0\0\0garbage"),
        ("cut", &whole[..3000]),
        ("cut-p2", &component[..3000]),
        ("header", b"\0asm"),
        ("empty", b"\0asm\x01\0\0\0"),
    ];
    let containers: Vec<Value> = files
        .iter()
        .map(|(name, bytes)| json!({"name": name, "image": folder.write(&format!("{name}.wasm"), bytes)}))
        .collect();
    let run = Play::file(folder.manifest("m", &[pod("p", &containers)])).seeded(0).run().expect(1);
    for (name, _) in files {
        assert_eq!(run.row("p", name), ["Failed", "128", "StartError", "0"], "{name}: {}", run.stderr());
    }
    assert_eq!(run.stderr().matches("the program cannot be compiled: ").count(), 3, "{}", run.stderr());
}

#[test]
fn an_image_that_is_a_directory_runs_the_program_that_command_names() {
    let folder = Folder::new();
    let program = folder.write("root/bin/tool", std::fs::read(wasmpod_suite::guest("cli_args_p1")).expect("a guest"));
    folder.write("root/bin/plain", "no program\n");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for path in [&program, &folder.path().join("root/bin/plain")] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
        }
    }
    let image = folder.path().join("root");
    let of = |name: &str, command: &[&str], more: Value| {
        with(json!({"name": name, "image": image, "command": command}), "", &more)
    };
    let containers = [
        of("by-path", &["/bin/tool", "a"], json!({"args": ["b"]})),
        of("by-name", &["tool"], json!({})),
        of("relative", &["./tool"], json!({"workingDir": "/bin"})),
        of("plain", &["/bin/plain"], json!({})),
    ];
    let run = Play::file(folder.manifest("m", &[pod("p", &containers)])).seeded(0).run().expect(1);
    let args = |name: &str| -> Vec<String> {
        run.of(&format!("p/{name}")).into_iter().filter(|line| line.starts_with("arg[")).collect()
    };
    assert_eq!(args("by-path"), ["arg[0]=/bin/tool", "arg[1]=a", "arg[2]=b"]);
    assert_eq!(args("by-name"), ["arg[0]=tool"]);
    assert_eq!(args("relative"), ["arg[0]=./tool"]);
    assert_eq!(run.row("p", "plain"), ["Failed", "128", "StartError", "0"]);
    assert!(run.stderr().contains("/bin/plain: not a WebAssembly program"), "{}", run.stderr());
}

#[test]
fn an_init_container_that_fails_keeps_the_app_from_starting() {
    let object = with(
        pod("p", &[container("app", "hello_rust_p1", &[])]),
        "spec",
        &json!({"initContainers": [container("first", "cli_exit_p1", &["3"]), container("second", "hello_rust_p1", &[])]}),
    );
    let run = run(&[object]).expect(1);
    assert_eq!(run.row("p", "first"), ["Failed", "3", "Error", "0"]);
    for container in ["p/second", "p/app"] {
        assert_eq!(run.journalled(container, "started"), [], "{container}");
        assert_eq!(run.of(container), [""; 0], "{container}");
    }
}

#[test]
fn back_off_doubles_up_to_five_minutes() {
    let object = with(
        pod("p", &[container("c", "cli_exit_p1", &["1"])]),
        "spec",
        &json!({"restartPolicy": "Always", "activeDeadlineSeconds": 1300}),
    );
    let run = run(&[object]).expect(1);
    let (started, exited) = (run.times("p/c", "started attempt "), run.times("p/c", "exited code 1"));
    let waits: Vec<u64> = exited.iter().zip(&started[1..]).map(|(end, start)| (start - end) / 1_000_000_000).collect();
    assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300, 300]);
    assert!(
        exited.iter().zip(&started[1..]).all(|(end, start)| (start - end) % 1_000_000_000 == 0),
        "to the nanosecond"
    );
}

#[test]
fn a_policy_of_always_restarts_success_too() {
    let object = with(
        pod("p", &[container("c", "hello_rust_p1", &[])]),
        "spec",
        &json!({"restartPolicy": "Always", "activeDeadlineSeconds": 15}),
    );
    let run = run(&[object]).expect(1);
    assert_eq!(run.row("p", "c"), ["Failed (DeadlineExceeded)", "0", "Completed", "2"]);
    assert_eq!(run.times("p/c", "exited code 0 reason Completed").len(), 3);
}

#[test]
fn a_blocked_program_is_killed_as_promptly_as_one_that_computes() {
    // each waits in another way: for a timer, a connection, bytes of a file that does not grow, nothing at all
    let containers = [
        container("sleeps", "sleep_for_p2", &["3600000"]),
        container("accepts", "net_echo_server", &["127.0.0.1:7000", "1"]),
        container("receives", "net_udp_echo_server", &["127.0.0.1:7001", "1"]),
        container("spins", "cpu_spin", &["forever"]),
        container("hashes", "cpu_sha256", &["1000000"]),
    ];
    let object = with(pod("p", &containers), "spec", &json!({"terminationGracePeriodSeconds": 0}));
    let folder = Folder::new();
    let file = folder.manifest("m", &[object]);
    let run = Play::file(&file).seeded(0).args(&["--timeout", "3s"]).run().expect(124);
    for name in ["sleeps", "accepts", "receives", "spins", "hashes"] {
        let who = format!("p/{name}");
        assert_eq!(run.row("p", name)[1..3], ["137", "Error"], "{name}");
        let (kill, end) = (run.times(&who, "signal SIGKILL"), run.times(&who, "exited code 137"));
        assert_eq!((kill.len(), end.len()), (1, 1), "{name}");
        assert!(end[0] - kill[0] <= 10_000_000, "{name}: {} ns after the kill", end[0] - kill[0]);
    }
}

#[test]
fn sums_are_right_and_take_the_same_virtual_time_each_time() {
    let object = || pod("p", &[container("c", "cpu_sha256", &["1"])]);
    let (one, two) = (run(&[object()]).expect(0), run(&[object()]).expect(0));
    let digest = "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58";
    assert_eq!(one.of("p/c"), [format!("sha256 of 1 MiB of zeros: {digest}")]);
    assert_eq!(one.times("p/c", "exited"), two.times("p/c", "exited"));
    assert!(one.times("p/c", "exited")[0] > 1_000_000, "a MiB is hashed in no time at all");
}
