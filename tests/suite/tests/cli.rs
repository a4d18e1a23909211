//! The command line: what is refused before anything starts, the forms of input and output, exit codes, limits of time.

use serde_json::{Value, json};
use wasmpod_suite::guest;
use wasmpod_suite::manifest::{Folder, container, pod, with};
use wasmpod_suite::outcome::Outcome;
use wasmpod_suite::play::Play;

/// Refused: exit code 2, nothing on standard output, `text` on standard error, and nothing started.
#[track_caller]
fn refused(play: Play, text: &str) {
    let run = play.run().expect(2);
    let stderr = run.stderr();
    assert!(stderr.contains(text), "expected {text:?} in:\n{stderr}");
    assert!(run.stdout.is_empty(), "{}", run.stdout());
    assert!(!stderr.contains(" started"), "{stderr}");
}

fn hello(name: &str) -> Value {
    pod(name, &[container("c", "hello_rust_p1", &[])])
}

const SAID: &str = "Hello from Rust on wasm32-wasip1";

#[test]
fn a_wrong_command_line_is_refused() {
    let play = || Play::spec("hello.yaml");
    refused(Play::new(), "required arguments were not provided");
    refused(play().arg("--nope"), "unexpected argument '--nope'");
    refused(play().args(&["--timeout", "soon"]), "expected a duration above 0, such as 30s, 1m30s or 500ms");
    refused(play().args(&["--timeout", "0"]), "expected a duration above 0");
    refused(play().args(&["--output", "xml"]), "invalid value 'xml'");
    refused(play().arg("--seed=-1"), "invalid value '-1'");
    refused(play().args(&["--seed", "x"]), "invalid value 'x'");
    refused(play().args(&["--cpu-speed", "0"]), "expected a number of fuel units per second above 0");
    let measured = "--cpu-speed auto cannot be used with --virtual-time";
    refused(play().args(&["--virtual-time", "--cpu-speed", "auto"]), measured);
    refused(play().args(&["--journal", "/no/such/folder/j"]), "error: --journal /no/such/folder/j: ");
    refused(play().args(&["--allow-hostpath", "/no/such/folder"]), "error: --allow-hostpath: ");
    refused(Play::verb("paly"), "unrecognized subcommand 'paly'");
}

#[test]
fn a_wrong_published_port_is_refused() {
    let play = || Play::spec("hello.yaml");
    let publish = |what: &str| play().args(&["--publish", what]);
    refused(publish("8080:80").arg("--virtual-time"), "--publish cannot be used with --virtual-time: ");
    for address in ["0.0.0.0", "192.0.2.1", "10.0.0.1"] {
        refused(publish(&format!("{address}:8080:80")), &format!("{address} is not a loopback address"));
    }
    refused(publish("8080"), "expected [POD/][IP:]HOST_PORT:POD_PORT[/udp], such as 8080:80");
    refused(publish("8080:0"), "a pod has no port 0");
    refused(publish("70000:80"), "\"70000\" is not a port");
    refused(publish("other/0:80"), "there is no pod \"other\"");
    let folder = Folder::new();
    let two = folder.manifest("two", &[hello("a"), hello("b")]);
    refused(Play::file(two).args(&["--publish", "0:80"]), "no pod has the containerPort 80");
}

#[test]
fn an_input_that_cannot_be_read_is_refused() {
    let folder = Folder::new();
    refused(Play::file("no-such.yaml").dir(folder.path()), "no-such.yaml: ");
    refused(Play::file(".").dir(folder.path()), ".: no manifest (*.yaml, *.yml or *.json) in this directory");
    refused(Play::new().args(&["-", "-"]), "<stdin>: standard input can be read only once");
    refused(Play::new().arg("-"), "<stdin>:1:1: no object in this file");
    folder.write("map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: only\n");
    refused(Play::file("map.yaml").dir(folder.path()), "no Pod in these manifests: there is nothing to run");
    // one bad file is enough for none to start
    let good = folder.manifest("good", &[hello("good")]);
    refused(Play::file(good).arg("no-such.yaml"), "no-such.yaml: ");
}

#[test]
fn an_image_that_is_none_is_refused_with_its_place() {
    let folder = Folder::new();
    folder.write("text.wasm", "not wasm at all");
    folder.write("empty.wasm", "");
    folder.write("rootfs/file", "");
    for (image, text) in [
        ("nginx:1.27", "image \"nginx:1.27\" is not a path"),
        ("./missing.wasm", "image \"./missing.wasm\": no such file or directory: "),
        ("text.wasm", "not a WebAssembly program (it does not start with \"\\0asm\")"),
        ("empty.wasm", "not a WebAssembly program"),
        ("./rootfs", "is a directory, and command names the program in it"),
    ] {
        let yaml = format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n  containers:\n    - name: c\n      image: {image}\n"
        );
        folder.write("pod.yaml", &yaml);
        refused(Play::file("pod.yaml").dir(folder.path()), text);
        let place = if image == "./rootfs" { "pod.yaml:7:7: " } else { "pod.yaml:8:14: " };
        refused(Play::file("pod.yaml").dir(folder.path()), place);
    }
}

#[test]
fn standard_input_holds_yaml_or_json() {
    let yaml = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: yaml}}\nspec:\n  restartPolicy: Never\n  containers:\n  - name: c\n    image: '{}'\n",
        guest("hello_rust_p1").display()
    );
    for (text, who) in [(yaml, "yaml/c"), (hello("json").to_string(), "json/c")] {
        let run = Play::new().arg("-").stdin(text).run().expect(0);
        assert_eq!(run.stdout(), format!("{who} | {SAID}\n"));
    }
    // relative to the current directory, as there is no file
    let folder = Folder::new();
    std::fs::copy(guest("hello_rust_p1"), folder.path().join("app.wasm")).expect("a guest can be copied");
    let relative = hello("r").to_string().replace(&json!(guest("hello_rust_p1")).to_string(), "\"./app.wasm\"");
    assert!(relative.contains("./app.wasm"), "{relative}");
    Play::new().arg("-").stdin(relative).dir(folder.path()).run().expect(0);
}

#[test]
fn a_file_holds_documents_and_lists() {
    let folder = Folder::new();
    let documents = folder.write("many.yaml", format!("---\n{}\n---\n# nothing\n---\n{}\n", hello("a"), hello("b")));
    let list = folder.manifest("list", &[hello("c"), hello("d")]);
    let run = Play::file(documents).arg(list).run().expect(0);
    let mut who: Vec<String> = run.by_container().into_keys().collect();
    who.sort();
    assert_eq!(who, ["a/c", "b/c", "c/c", "d/c"]);
    for who in who {
        assert_eq!(run.of(&who), [SAID]);
    }
    // the table has the pods in the manifests' order
    let stderr = run.stderr();
    let table: Vec<&str> = stderr.lines().skip_while(|line| !line.starts_with("POD ")).skip(1).collect();
    let first: Vec<&str> = table.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(first, ["a", "b", "c", "d"]);
}

#[test]
fn a_node_runs_110_pods_and_more_only_if_told() {
    let folder = Folder::new();
    let pods: Vec<Value> = (0..111).map(|n| hello(&format!("p{n}"))).collect();
    refused(Play::file(folder.manifest("many", &pods)), "111 pods: the node runs at most 110 (--max-pods)");
    Play::file(folder.manifest("many", &pods)).arg("--max-pods=111").run().expect(0);
    let run = Play::file(folder.manifest("most", &pods[1..])).run().expect(0);
    let lines = run.by_container();
    assert_eq!(lines.len(), 110);
    assert!(lines.values().all(|said| *said == [SAID]), "{lines:?}");
}

#[test]
fn a_directory_is_all_its_manifests() {
    let folder = Folder::new();
    folder.manifest("one", &[hello("one")]);
    folder.write("two.yml", hello("two").to_string());
    folder.write("README.md", "no manifest");
    let run = Play::file(folder.path()).run().expect(0);
    assert_eq!(run.by_container().into_keys().collect::<Vec<_>>(), ["one/c", "two/c"]);
}

#[test]
fn exit_codes_tell_how_the_pods_ended() {
    let folder = Folder::new();
    let exits = |code: &str| pod(&format!("exits-{code}"), &[container("c", "cli_exit_p1", &[code])]);
    let fine = folder.manifest("fine", &[exits("0")]);
    Play::file(&fine).run().expect(0);
    let failed = folder.manifest("failed", &[exits("0"), exits("9")]);
    let run = Play::file(failed).run().expect(1);
    assert_eq!(run.row("exits-0", "c"), ["Succeeded", "0", "Completed", "0"]);
    assert_eq!(run.row("exits-9", "c"), ["Failed", "9", "Error", "0"]);
    Play::verb("version").run().expect(0);
    assert_eq!(Play::verb("--version").run().expect(0).stdout(), Play::verb("version").run().stdout());
    let help = Play::new().arg("--help").run().expect(0).stdout();
    for flag in
        ["--timeout", "--publish", "--allow-hostpath", "--output", "--quiet", "--virtual-time", "--seed", "--journal"]
    {
        assert!(help.contains(flag), "{flag} is not in the help");
    }
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = Play::verb("completion").arg(shell).run().expect(0);
        assert!(script.stdout().contains("wasmpod"), "{shell}");
    }
}

#[test]
fn quiet_passes_the_bytes_of_a_single_container() {
    let folder = Folder::new();
    // the last line has no end, and none is added
    let flood = folder.manifest("flood", &[pod("p", &[container("c", "log_flood", &["3", "12", "5"])])]);
    let run = Play::file(flood).arg("--quiet").run().expect(0);
    assert_eq!(run.stdout(), "00000000 xxx\n00000001 xxx\n00000002 xxx\nLLLLL");
    assert_eq!(run.stderr(), "");
    let both = folder.manifest("both", &[pod("p", &[container("c", "cli_stderr", &[])])]);
    let run = Play::file(both).arg("-q").run().expect(0);
    assert_eq!(run.stdout(), "stdout line 1\nstdout line 2\nstdout line 3\n");
    assert_eq!(run.stderr(), "stderr line 1\nstderr line 2\nstderr line 3\n");
}

#[test]
fn quiet_keeps_the_prefix_where_there_are_two() {
    let folder = Folder::new();
    let two = [container("a", "hello_rust_p1", &[]), container("b", "hello_rust_p1", &[])];
    let run =
        Play::file(folder.manifest("two", &[pod("p", &two)])).args(&["--quiet", "--virtual-time"]).run().expect(0);
    assert_eq!(run.of("p/a"), [SAID]);
    assert_eq!(run.of("p/b"), [SAID]);
    assert_eq!(run.stderr(), "");
    // a failure is told by the exit code alone
    let fails = folder.manifest("fails", &[pod("p", &[container("c", "cli_exit_p1", &["4"])])]);
    let run = Play::file(fails).arg("--quiet").run().expect(1);
    assert_eq!((run.stdout(), run.stderr()), ("exiting with 4\n".into(), String::new()));
}

#[test]
fn long_lines_and_many_are_whole() {
    let folder = Folder::new();
    // longer than a log's line of 16 KiB, and more than any pipe holds
    let flood = folder.manifest("flood", &[pod("p", &[container("c", "log_flood", &["3000", "100", "100000"])])]);
    let run = Play::file(flood).arg("--quiet").run().expect(0);
    let stdout = run.stdout();
    let mut lines = stdout.split('\n');
    for n in 0..3000 {
        assert_eq!(lines.next(), Some(format!("{n:08} {}", "x".repeat(91)).as_str()));
    }
    let last = lines.next().unwrap_or_default();
    assert!(last.len() == 100_000 && last.bytes().all(|b| b == b'L'), "{} bytes", last.len());
    assert_eq!(lines.next(), None);
}

fn typed<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == kind).collect()
}

#[test]
fn json_is_one_object_per_line() {
    let folder = Folder::new();
    let two = [container("ok", "cli_stderr", &[]), container("bad", "cli_exit_p1", &["7"])];
    let file = folder.manifest("two", &[pod("p", &two)]);
    let run = Play::file(&file).args(&["--output", "json", "--virtual-time", "--seed", "3"]).run().expect(1);
    let lines = run.json();
    let times: Vec<&str> = lines.iter().filter_map(|line| line["time"].as_str()).collect();
    assert_eq!(times.len(), lines.len(), "every line has its time");
    assert!(times.is_sorted(), "{times:?}");
    let said: Vec<(&str, &str)> = typed(&lines, "output")
        .iter()
        .filter(|line| line["container"] == "ok")
        .map(|line| (line["stream"].as_str().unwrap_or_default(), line["text"].as_str().unwrap_or_default()))
        .collect();
    let expected =
        [1, 2, 3].map(|n| [("stdout", format!("stdout line {n}")), ("stderr", format!("stderr line {n}"))]).concat();
    let expected: Vec<(&str, &str)> = expected.iter().map(|(stream, text)| (*stream, text.as_str())).collect();
    assert_eq!(said, expected, "both streams, in the order they were written");
    let phases: Vec<&Value> = typed(&lines, "phase").iter().map(|line| &line["phase"]).collect();
    assert_eq!(phases, ["Pending", "Running", "Failed"]);
    let ends: Vec<_> = typed(&lines, "container").into_iter().filter(|line| line["state"] == "terminated").collect();
    assert_eq!(ends.len(), 2);
    let last = lines.last().expect("there are lines");
    assert_eq!((&last["type"], &last["exitCode"], &last["outcome"]), (&json!("result"), &json!(1), &json!("failed")));
    assert_eq!(typed(&lines, "result").len(), 1);
    let container = |name: &str| {
        let list = last["pods"][0]["containers"].as_array().expect("containers").clone();
        list.into_iter().find(|container| container["name"] == name).expect("it is told")
    };
    assert_eq!(container("bad"), json!({"name": "bad", "exitCode": 7, "reason": "Error", "restarts": 0}));
    assert_eq!(container("ok"), json!({"name": "ok", "exitCode": 0, "reason": "Completed", "restarts": 0}));

    let run = Play::file(&file).args(&["--output", "json", "--quiet"]).run().expect(1);
    let kinds: Vec<Value> = run.json().iter().map(|line| line["type"].clone()).collect();
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| kind == "output"), "{kinds:?}");
}

#[test]
fn one_seed_gives_one_run_and_another_seed_other_names() {
    let run = |seed| Play::spec("two-pods.yaml").seeded(seed).args(&["--output", "json"]).run().expect(0);
    let uids = |run: &Outcome| -> Vec<Value> {
        let last = run.json().pop().expect("a result");
        last["pods"].as_array().expect("pods").iter().map(|pod| pod["uid"].clone()).collect()
    };
    let (one, again, other) = (run(1), run(1), run(2));
    assert_eq!(one.stdout(), again.stdout());
    assert_eq!(uids(&one).len(), 2);
    assert_ne!(uids(&one), uids(&other));
}

#[test]
fn a_timeout_stops_the_pods_and_says_what_was_not_done() {
    let folder = Folder::new();
    let both = [container("spins", "cpu_spin", &["forever"]), container("ends", "hello_rust_p1", &[])];
    let file = folder.manifest("both", &[pod("p", &both)]);
    for play in
        [Play::file(&file).args(&["--timeout", "1500ms"]), Play::file(&file).args(&["--timeout", "1500ms"]).seeded(1)]
    {
        let run = play.run().expect(124);
        let stderr = run.stderr();
        assert_eq!(run.of("p/ends"), [SAID]);
        assert_eq!(run.row("p", "spins")[1], "137");
        assert!(stderr.contains("wasmpod: timeout after 1.5s: stopping the pods\n"), "{stderr}");
        assert!(stderr.contains("wasmpod: still running: p/spins\n"), "{stderr}");
        assert!(!stderr.contains("still running: p/ends"), "{stderr}");
        if !run.journal.is_empty() {
            // a container may take 2 s of grace after a timeout, then it is killed, whatever it does
            assert_eq!(run.times("p/spins", "signal SIGTERM"), [1_500_000_000]);
            assert_eq!(run.times("p/spins", "signal SIGKILL"), [3_500_000_000]);
            let ended = run.times("p/spins", "exited code 137");
            assert!(ended[0] - 3_500_000_000 < 10_000_000, "{ended:?}");
        }
    }
}

#[test]
fn an_hour_of_sleep_takes_no_time_in_virtual_time() {
    let folder = Folder::new();
    let sleepers = [container("a", "sleep_for_p1", &["3600000"]), container("b", "sleep_for_p2", &["1800000"])];
    let run = Play::file(folder.manifest("sleepers", &[pod("p", &sleepers)])).seeded(0).run().expect(0);
    assert_eq!(run.of("p/a"), ["sleeping 3600000 ms", "elapsed_ms=3600000"]);
    assert_eq!(run.of("p/b"), ["sleeping 1800000 ms", "elapsed_ms=1800000"]);
    assert_eq!(run.times("p/a", "exited")[0] / 1_000_000, 3_600_000);
}

#[test]
fn a_run_in_which_nothing_can_happen_any_more_ends() {
    let folder = Folder::new();
    let waits = container("c", "net_echo_server", &["7000", "1"]);
    let run = Play::file(folder.manifest("waits", &[pod("p", &[waits])])).seeded(0).run().expect(3);
    assert!(run.stderr().contains("wasmpod: still running: p/c\n"), "{}", run.stderr());
}

#[test]
fn compiled_programs_are_kept_but_not_trusted() {
    let cache = Folder::new();
    let run = || {
        let play = Play::spec("hello.yaml").env("XDG_CACHE_HOME", &cache.path().to_string_lossy());
        let run = play.env("HOME", &cache.path().to_string_lossy()).arg("--quiet").run().expect(0);
        assert_eq!(run.stdout(), "Hello from Rust on wasm32-wasip2\n");
        assert_eq!(run.stderr(), "");
    };
    let kept = || {
        let mut files = Vec::new();
        wasmpod_suite::walk(cache.path(), &mut |path| files.push(path.to_owned()));
        files
    };
    run();
    let files = kept();
    assert!(!files.is_empty() || cfg!(windows), "nothing was kept");
    for file in &files {
        let whole = std::fs::read(file).expect("it was kept");
        let flipped: Vec<u8> =
            whole.iter().enumerate().map(|(at, byte)| if at == whole.len() / 2 { !byte } else { *byte }).collect();
        let cases: [&[u8]; 4] = [b"", b"\x7fELF rubbish", &whole[..whole.len() / 2], &flipped];
        for bytes in cases {
            std::fs::write(file, bytes).expect("our own file");
            run();
        }
    }
}

#[cfg(unix)]
#[test]
fn a_run_needs_no_place_to_keep_compiled_programs() {
    let folder = Folder::new();
    let file = folder.write("file", "no directory");
    let play =
        || Play::spec("hello.yaml").env("XDG_CACHE_HOME", &file.to_string_lossy()).env("HOME", &file.to_string_lossy());
    let run = play().run().expect(0);
    assert_eq!(run.of("hello/hello"), ["Hello from Rust on wasm32-wasip2"]);
    assert!(run.stderr().contains("for compiled programs cannot be used: "), "{}", run.stderr());
    assert_eq!(play().arg("--quiet").run().expect(0).stderr(), "");
}

#[cfg(unix)]
#[test]
fn a_machine_without_a_place_for_temporary_files_is_no_bug_of_ours() {
    let run = Play::spec("hello.yaml").env("TMPDIR", "/nonexistent").run().expect(71);
    assert!(
        run.stderr().starts_with("wasmpod: no directory for logs can be made in /nonexistent: "),
        "{}",
        run.stderr()
    );
    assert_eq!(run.stdout(), "");
}

#[test]
fn nothing_is_left_behind() {
    for name in ["sidecar.yaml", "volumes.yaml"] {
        assert_eq!(Play::spec(name).arg("--virtual-time").run().expect(0).left, 0, "{name}");
    }
    assert_eq!(Play::spec("grace.yaml").args(&["--virtual-time", "--timeout", "500ms"]).run().expect(124).left, 0);
}

#[test]
fn a_field_that_does_nothing_here_is_warned_of_and_one_that_is_not_built_refused() {
    let folder = Folder::new();
    let selected = with(hello("p"), "spec", &json!({"nodeSelector": {"disk": "ssd"}}));
    let run = Play::file(folder.manifest("selected", &[selected])).run().expect(0);
    assert!(run.stderr().contains("spec.nodeSelector: has no effect"), "{}", run.stderr());
    let probed = with(container("c", "hello_rust_p1", &[]), "", &json!({"livenessProbe": {"tcpSocket": {"port": 80}}}));
    let file = folder.manifest("probed", &[pod("p", &[probed])]);
    refused(Play::file(file), "spec.containers[0].livenessProbe: not supported by this version of wasmpod");
}
