//! Rules that the sources keep: which crate may use which, and how files look. DESIGN: docs/ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use wasmpod_suite::{read, root, walk};

/// What each room may use of the others. Nothing below `node` knows manifests (`api`); nothing above `cri` runs wasm, but the
/// binary makes the engine and hands it down.
const ARROWS: &[(&str, &[&str])] = &[
    ("wasmpod", &["api", "cri", "engine", "node", "sim"]),
    ("wasmpod-node", &["api", "cri", "kernel", "sim"]),
    ("wasmpod-cri", &["engine", "kernel", "sim", "wasi"]),
    ("wasmpod-engine", &["kernel", "sim", "wasi"]),
    ("wasmpod-wasi", &["kernel", "sim"]),
    ("wasmpod-kernel", &["sim"]),
    ("wasmpod-sim", &[]),
    ("wasmpod-api", &[]),
];
/// Who may import wasmtime.
const WASMTIME: &[&str] = &["wasmpod-engine", "wasmpod-wasi", "wasmpod-benches", "wasmpod-fuzz-bodies"];
/// Who may know Kubernetes' objects.
const OBJECTS: &[&str] = &["wasmpod", "wasmpod-node", "wasmpod-api", "wasmpod-benches", "wasmpod-fuzz-bodies"];
/// Rooms that stay plain: the kernel's and the manifests' own dependencies, and all of theirs.
const PLAIN: &[&str] = &["wasmpod-kernel", "wasmpod-api"];
/// A longer file is two.
const LINES_MAX: usize = 800;

fn cargo(args: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let out = Command::new(cargo).args(args).current_dir(root()).output().expect("cargo runs");
    assert!(out.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("cargo writes UTF-8")
}

/// A member of the workspace.
struct Member {
    /// Names and kinds (`normal`, `dev`, `build`).
    dependencies: Vec<(String, String)>,
    manifest: PathBuf,
}

/// The members of the workspace, by name.
fn members() -> BTreeMap<String, Member> {
    let text = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&text).expect("cargo writes JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies").iter();
            let kind = |d: &Value| d["kind"].as_str().unwrap_or("normal").to_owned();
            let dependencies = dependencies.map(|d| (text(&d["name"]), kind(d))).collect();
            (text(&package["name"]), Member { dependencies, manifest: text(&package["manifest_path"]).into() })
        })
        .collect()
}

/// The members that use a package which `is` says yes to. A room's own tests may use more.
fn users_of(is: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let uses = |member: &Member| member.dependencies.iter().any(|(name, kind)| kind != "dev" && is(name));
    members().into_iter().filter(|(_, member)| uses(member)).map(|(name, _)| name).collect()
}

#[test]
fn rooms_use_what_they_may() {
    let members = members();
    for (room, allowed) in ARROWS {
        let member = members.get(*room).unwrap_or_else(|| panic!("{room} is no member"));
        for (dependency, kind) in &member.dependencies {
            let Some(other) = dependency.strip_prefix("wasmpod-") else { continue };
            assert!(kind == "dev" || allowed.contains(&other), "{room} must not use {dependency}");
        }
    }
    let rooms: BTreeSet<&str> = ARROWS.iter().map(|(room, _)| *room).collect();
    for (name, member) in &members {
        let in_runtime = member.manifest.starts_with(root().join("runtime"));
        assert!(!in_runtime || rooms.contains(name.as_str()), "{name}: a new room; say here what it may use");
    }
}

#[test]
fn only_the_engine_and_the_system_calls_import_wasmtime() {
    let users = users_of(|name| name.starts_with("wasmtime") || name.starts_with("cranelift"));
    let strangers: Vec<_> = users.iter().filter(|user| !WASMTIME.contains(&user.as_str())).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
    assert!(users.contains("wasmpod-engine"), "the check sees no use at all");
}

#[test]
fn nothing_below_the_node_knows_manifests() {
    let users = users_of(|name| ["k8s-openapi", "wasmpod-api", "saphyr-parser"].contains(&name));
    let strangers: Vec<_> = users.iter().filter(|user| !OBJECTS.contains(&user.as_str())).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
    assert!(users.contains("wasmpod-node"), "the check sees no use at all");
}

#[test]
fn the_kernel_and_the_manifests_are_plain() {
    for room in PLAIN {
        let tree = cargo(&["tree", "--package", room, "--edges", "normal", "--prefix", "none", "--format", "{p}"]);
        let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(names.len() > 5, "{tree}");
        for name in names {
            let heavy =
                name == "tokio" || name == "mio" || name.starts_with("wasmtime") || name.starts_with("cranelift");
            assert!(!heavy, "{room} comes with {name}");
        }
    }
}

#[test]
fn every_crate_takes_the_workspaces_lints_and_versions() {
    for (name, Member { dependencies, manifest }) in members() {
        let text = read(&manifest);
        assert!(text.contains("[lints]\nworkspace = true"), "{name} does not take the workspace's lints");
        for field in ["version", "edition", "rust-version", "license"] {
            assert!(text.contains(&format!("{field}.workspace = true")), "{name}: {field}");
        }
        for (dependency, _) in dependencies {
            let line =
                text.lines().find(|line| line.starts_with(&dependency) || line.contains(&format!("\"{dependency}\"")));
            let pinned_once = line.is_none_or(|line| line.contains("workspace = true") || line.contains("path = "));
            assert!(pinned_once, "{name}: {dependency} has a version of its own");
        }
    }
}

/// Files of the project: what git has, and what it would be given. Outside of git, what is not hidden or built.
fn files() -> Vec<PathBuf> {
    let root = root();
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&root)
        .output()
        .ok()
        .filter(|out| out.status.success() && root.join(".git").exists());
    let mut files = match listed {
        Some(out) => {
            let names = String::from_utf8(out.stdout).expect("names are UTF-8");
            names.split('\0').filter(|name| !name.is_empty()).map(|name| root.join(name)).collect()
        }
        None => {
            let mut files = Vec::new();
            walk(&root, &mut |path| files.push(path.to_owned()));
            files
        }
    };
    files.retain(|path| path.is_file()); // one that was just deleted is listed still
    files.sort();
    assert!(files.len() > 100, "the project is not here");
    files
}

fn sources() -> Vec<(String, String)> {
    let files = files();
    let rust = files.iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    rust.map(|path| (name(path), read(path))).collect()
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

#[test]
fn every_file_begins_with_what_it_owns() {
    let silent: Vec<_> = sources().into_iter().filter(|(_, text)| !text.starts_with("//! ")).map(|(n, _)| n).collect();
    assert!(silent.is_empty(), "these begin without `//! `: {silent:#?}");
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> =
        sources().into_iter().filter(|(_, text)| text.lines().count() > LINES_MAX).map(|(n, _)| n).collect();
    assert!(long.is_empty(), "longer than {LINES_MAX} lines: {long:#?}");
}

#[test]
fn nothing_is_left_to_do_in_the_runtime() {
    // in two parts, so that this file does not hold them
    let banned = [
        ("todo", "!("),
        ("unimplemented", "!("),
        ("#[ign", "ore"),
        ("thread::sl", "eep("),
        ("FIX", "ME"),
        ("dbg", "!("),
    ];
    let mut found = Vec::new();
    for (name, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            // guests are programs like any: they may sleep
            let in_runtime = name.starts_with("runtime/");
            let sleep = |word: &str| word.starts_with("thread");
            for (a, b) in banned.iter().filter(|(a, _)| in_runtime || !sleep(a)) {
                if line.contains(&format!("{a}{b}")) {
                    found.push(format!("{name}:{}: {a}{b}", number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn unsafe_code_is_forbidden_but_in_the_engine() {
    for Member { manifest, .. } in members().into_values() {
        let folder = manifest.parent().expect("a manifest is in a folder");
        let tops =
            ["src/lib.rs", "src/main.rs"].map(|file| folder.join(file)).into_iter().filter(|path| path.is_file());
        let tops: Vec<PathBuf> = tops.collect();
        assert!(!tops.is_empty(), "{} has neither lib.rs nor main.rs", folder.display());
        let is_engine = folder.ends_with("crates/engine");
        for top in tops {
            let forbids = read(&top).contains("#![forbid(unsafe_code)]");
            assert!(forbids || is_engine, "{} does not forbid unsafe code", name(&top));
        }
    }
    // and there only where the file says why
    for (name, text) in sources().into_iter().filter(|(name, _)| name.starts_with("runtime/crates/engine/")) {
        let blocks = text.matches("unsafe {").count() + text.matches("unsafe impl").count();
        assert!(text.matches("SAFETY:").count() >= blocks, "{name}: an unsafe block without its reason");
    }
}

#[test]
fn nothing_names_this_machine() {
    let banned: Vec<Vec<u8>> = [
        ("/ro", "ot/."),
        ("/home", "/"),
        ("/Use", "rs/"),
        ("sparse", "+http"),
        ("artif", "actory"),
        ("/wor", "k/main"),
    ]
    .map(|(a, b)| [a, b].concat().into_bytes())
    .to_vec();
    let here = root().to_string_lossy().into_owned().into_bytes();
    let mut found = Vec::new();
    for path in files() {
        if path.file_name().is_some_and(|file| file == "Cargo.lock") {
            continue; // cargo's own
        }
        let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for word in banned.iter().chain([&here]) {
            if bytes.windows(word.len()).any(|window| window == word) {
                found.push(format!("{}: {}", name(&path), String::from_utf8_lossy(word)));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn guests_agree_with_their_sources() {
    let guests = xtask::guests::folder(&root());
    let wrong = xtask::guests::check(&guests).expect("guests can be looked at");
    assert!(wrong.is_empty(), "`cargo xtask guests` rebuilds: {wrong:#?}");
}

#[test]
fn every_guest_is_used() {
    let guests = xtask::guests::folder(&root());
    let table = xtask::guests::table(&guests).expect("guests.yaml can be read");
    let users: Vec<String> = files()
        .iter()
        .filter(|path| {
            let name = name(path);
            let text = path.extension().is_some_and(|e| e == "rs" || e == "yaml");
            text && (name.starts_with("specs/") || name.starts_with("tests/") || name.starts_with("runtime/"))
        })
        .map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned())
        .collect();
    let unused = |name: &str, guest: &xtask::guests::Guest| {
        let word = |text: &String| {
            text.match_indices(name).any(|(at, _)| {
                let next = text[at + name.len()..].chars().next();
                next.is_none_or(|c| !c.is_alphanumeric() && c != '_')
            })
        };
        guest.copy.is_none() && !users.iter().any(word)
    };
    let unused: Vec<_> = table.iter().filter(|(name, guest)| unused(name, guest)).map(|(name, _)| name).collect();
    assert!(unused.is_empty(), "no manifest and no test runs these: {unused:#?}");
}
