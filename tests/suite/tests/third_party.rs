//! Programs that nobody here wrote: uutils coreutils, built from its published source (`cargo xtask coreutils`).

use std::time::Duration;

use serde_json::{Value, json};
use wasmpod_suite::manifest::{Folder, pod, with};
use wasmpod_suite::play::Play;
use wasmpod_suite::root;
use xtask::coreutils;
use xtask::guests::Target;

/// Compiling 10 MB for the first time takes long and says nothing.
const COMPILING: Duration = Duration::from_secs(270);

const FRUIT: &str = "banana 3\napple 10\ncherry 1\napple 10\n";

/// A tool's arguments, its exit code, and what it prints.
type Case = (&'static [&'static str], u8, &'static [&'static str]);

const TOOLS: &[Case] = &[
    (&["echo", "two  words", "$HOME"], 0, &["two  words $HOME"]),
    (&["cat", "/in/fruit"], 0, &["banana 3", "apple 10", "cherry 1", "apple 10"]),
    (&["sort", "-k2", "-n", "/in/fruit"], 0, &["cherry 1", "banana 3", "apple 10", "apple 10"]),
    (&["sort", "-u", "/in/fruit"], 0, &["apple 10", "banana 3", "cherry 1"]),
    (&["head", "-n", "2", "/in/fruit"], 0, &["banana 3", "apple 10"]),
    (&["tail", "-n", "1", "/in/fruit"], 0, &["apple 10"]),
    (&["wc", "/in/fruit"], 0, &[" 4  8 36 /in/fruit"]),
    (&["cut", "-d", " ", "-f", "1", "/in/fruit"], 0, &["banana", "apple", "cherry", "apple"]),
    (&["nl", "/in/two"], 0, &["     1\tone", "     2\ttwo"]),
    (&["seq", "-s", ",", "5", "5", "25"], 0, &["5,10,15,20,25"]),
    (&["factor", "1001", "65537"], 0, &["1001: 7 11 13", "65537: 65537"]),
    (&["expr", "6", "*", "7"], 0, &["42"]),
    (&["expr", "1", "=", "2"], 1, &["0"]),
    (&["basename", "/usr/lib/x.so", ".so"], 0, &["x"]),
    (&["dirname", "/usr/lib/x.so"], 0, &["/usr/lib"]),
    (&["base64", "/in/two"], 0, &["b25lCnR3bwo="]),
    (&["sha256sum", "/in/two"], 0, &["c3f9c8c283a2b1f2f1896f27a01cbe3cddc0c9d93f752e4639035a0f5b36f6e8  /in/two"]),
    (&["printf", "%05d|%s|%x\\n", "42", "x", "255"], 0, &["00042|x|ff"]),
    (&["printenv", "ONLY"], 0, &["value"]),
    (&["od", "-An", "-tx1", "/in/two"], 0, &[" 6f 6e 65 0a 74 77 6f 0a"]),
    (&["pwd"], 0, &["/"]),
    (&["test", "-f", "/in/two"], 0, &[]),
    (&["test", "-d", "/in/two"], 1, &[]),
    (&["false"], 1, &[]),
    (&["true"], 0, &[]),
    (&["fold", "-w", "4", "/in/fruit"], 0, &["bana", "na 3", "appl", "e 10", "cher", "ry 1", "appl", "e 10"]),
    (&["uniq", "-d", "/in/fruit"], 0, &[]),
    (&["tr", "a", "b"], 0, &[]),
    (&["comm", "-12", "/in/two", "/in/two"], 0, &["one", "two"]),
    (&["numfmt", "--to=iec", "1048576"], 0, &["1.0M"]),
    (&["paste", "-d", "+", "/in/two", "/in/two"], 0, &["one+one", "two+two"]),
    (&["cat", "/in/none"], 1, &[]),
];

/// Steps on one volume, one after the other.
const STEPS: &[Case] = &[
    (&["mkdir", "-p", "/w/a/b"], 0, &[]),
    (&["cp", "/in/two", "/w/a/copy"], 0, &[]),
    (&["mv", "/w/a/copy", "/w/a/b/moved"], 0, &[]),
    (&["ln", "-s", "b/moved", "/w/a/link"], 0, &[]),
    (&["touch", "/w/a/empty"], 0, &[]),
    (&["truncate", "-s", "5", "/w/a/b/moved"], 0, &[]),
    (&["cat", "/w/a/link"], 0, &["one", "t"]),
    (&["readlink", "/w/a/link"], 0, &["b/moved"]),
    (&["ls", "-1", "/w/a"], 0, &["b", "empty", "link"]),
    (&["rm", "-r", "/w/a/b"], 0, &[]),
    (&["ls", "-1", "/w/a"], 0, &["empty", "link"]),
    // in the end, as an init container that fails ends the pod
    (&["rmdir", "/w/a/b"], 1, &[]),
];

/// A container that runs a tool.
fn tool(name: &str, args: &[&str]) -> Value {
    let image = coreutils::find(&root(), Target::RustP1).unwrap_or_else(|why| panic!("{why}"));
    json!({
        "name": name,
        "image": image,
        "args": args,
        "env": [{"name": "ONLY", "value": "value"}],
        "volumeMounts": [{"name": "in", "mountPath": "/in"}, {"name": "w", "mountPath": "/w"}],
    })
}

fn config_map() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "files"},
        "data": {"fruit": FRUIT, "two": "one\ntwo\n"},
    })
}

fn volumes() -> Value {
    json!({"volumes": [{"name": "in", "configMap": {"name": "files"}}, {"name": "w", "emptyDir": {}}]})
}

#[test]
fn coreutils_run_as_containers() {
    let names: Vec<&str> = TOOLS.iter().chain(STEPS).map(|(args, ..)| args[0]).collect();
    let different: std::collections::BTreeSet<&str> = names.iter().copied().collect();
    assert!(different.len() >= 20, "only {different:?}");
    assert!(different.iter().all(|tool| coreutils::TOOLS.contains(tool)));

    let containers: Vec<Value> =
        TOOLS.iter().enumerate().map(|(n, (args, ..))| tool(&format!("t{n}-{}", args[0]), args)).collect();
    let folder = Folder::new();
    let file = folder.manifest("m", &[config_map(), with(pod("p", &containers), "spec", &volumes())]);
    let run = Play::file(file).seeded(0).limit(COMPILING).run().expect(1);
    for (n, (args, code, lines)) in TOOLS.iter().enumerate() {
        let name = format!("t{n}-{}", args[0]);
        assert_eq!(
            run.of(&format!("p/{name}")),
            *lines,
            "{args:?}: {}",
            run.errors_of(&format!("p/{name}")).join("\n")
        );
        assert_eq!(run.row("p", &name)[1], code.to_string(), "{args:?}");
    }
    let missing = TOOLS.iter().position(|(args, ..)| args.contains(&"/in/none")).expect("there is such a case");
    let told = run.errors_of(&format!("p/t{missing}-cat")).join("\n");
    assert!(told.contains("No such file or directory"), "{told}");
}

#[test]
fn coreutils_bytes_pass_unchanged() {
    let folder = Folder::new();
    // not UTF-8, a carriage return, a line without an end
    let object = with(pod("p", &[tool("c", &["printf", "\\377\\376a\\r\\nb"])]), "spec", &volumes());
    let file = folder.manifest("m", &[config_map(), object]);
    let run = Play::file(&file).arg("--quiet").limit(COMPILING).run().expect(0);
    assert_eq!(run.stdout, b"\xff\xfea\r\nb");
    let run = Play::file(&file).args(&["--output", "json", "--quiet"]).limit(COMPILING).run().expect(0);
    let lines = run.json();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0]["base64"], "//5hDQ==");
    assert_eq!((&lines[1]["text"], &lines[1]["partial"]), (&json!("b"), &json!(true)));
}

#[test]
fn coreutils_work_on_one_volume() {
    let (fails, steps): (Vec<&Case>, Vec<&Case>) = STEPS.iter().partition(|(_, code, _)| *code != 0);
    let name = |n: usize, args: &[&str]| format!("s{n}-{}", args[0]);
    let init: Vec<Value> = steps.iter().enumerate().map(|(n, (args, ..))| tool(&name(n, args), args)).collect();
    let last: Vec<Value> = fails.iter().enumerate().map(|(n, (args, ..))| tool(&name(n, args), args)).collect();
    let object = with(pod("p", &last), "spec", &volumes());
    let object = with(object, "spec", &json!({"initContainers": init}));
    let folder = Folder::new();
    let run = Play::file(folder.manifest("m", &[config_map(), object])).limit(COMPILING).run().expect(1);
    for cases in [&steps, &fails] {
        for (n, (args, code, lines)) in cases.iter().enumerate() {
            let who = format!("p/{}", name(n, args));
            assert_eq!(run.of(&who), *lines, "{args:?}: {}", run.errors_of(&who).join("\n"));
            assert_eq!(run.row("p", &name(n, args))[1], code.to_string(), "{args:?}");
        }
    }
}
