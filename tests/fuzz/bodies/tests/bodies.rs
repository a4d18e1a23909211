//! Each body over its seeds, which hold every input that once showed a bug, and over generated inputs. The same in every run.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use wasmpod_fuzz_bodies::{TARGETS, Target, generate};

/// Manifests of the project are seeds, too.
const MANIFESTS: [&str; 2] = ["../../../specs/pods", "../../../specs/invalid"];

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).expect("a target of that name")
}

/// Runs the body over `inputs`, and says which of them shows a bug and how to see it again.
fn run(target: &Target, inputs: impl Iterator<Item = (String, Vec<u8>)>) -> u32 {
    let mut count = 0;
    for (name, bytes) in inputs {
        if catch_unwind(AssertUnwindSafe(|| (target.run)(&bytes))).is_err() {
            let saved = std::env::temp_dir().join(format!("wasmpod-fuzz-{}", target.name));
            fs::write(&saved, &bytes).unwrap();
            panic!(
                "{}: {name} shows a bug. Again: cargo xtask fuzz {} --input {}",
                target.name,
                target.name,
                saved.display()
            );
        }
        count += 1;
    }
    count
}

fn seeds_and_generated(name: &str) {
    let target = target(name);
    let mut seeds = files(&here("../seeds").join(name));
    if name == "manifest" {
        seeds.extend(MANIFESTS.into_iter().flat_map(|folder| files(&here(folder))));
    }
    assert!(!seeds.is_empty(), "{name} has no seeds");
    run(target, seeds.iter().map(|(path, bytes)| (path.display().to_string(), bytes.clone())));
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, bytes)| bytes).collect();
    let generated = (0..target.generated).map(|i| (format!("generated input {i}"), generate::input(target, &seeds, i)));
    assert_eq!(run(target, generated), target.generated);
}

#[test]
fn manifests_are_refused_or_stay_what_they_are() {
    seeds_and_generated("manifest");
}

#[test]
fn quantities_agree_with_schoolbook_arithmetic() {
    seeds_and_generated("quantity");
}

#[test]
fn paths_lead_where_a_model_of_linux_says() {
    seeds_and_generated("vfs");
}

#[test]
fn bytes_arrive_in_order_complete_and_at_the_right_socket() {
    seeds_and_generated("net");
}

#[test]
#[cfg(feature = "wasm")]
fn system_calls_with_any_arguments_end_in_an_errno_and_leave_nothing() {
    seeds_and_generated("p1");
}

#[test]
#[cfg(feature = "wasm")]
fn any_bytes_are_a_program_or_refused() {
    seeds_and_generated("load");
}

#[test]
#[cfg(feature = "wasm")]
fn every_target_has_a_binary_and_seeds() {
    let manifest = fs::read_to_string(here("../Cargo.toml")).unwrap();
    for Target { name, .. } in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in tests/fuzz/Cargo.toml");
        assert!(here(&format!("../fuzz_targets/{name}.rs")).is_file(), "{name} has no binary");
        assert!(here(&format!("../seeds/{name}")).is_dir(), "{name} has no seeds");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len(), "a binary without a target");
}
