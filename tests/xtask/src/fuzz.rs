//! Fuzzing with libFuzzer and the stable compiler: builds the targets of `tests/fuzz`, runs them, says what they found. Owns no
//! target: what they do is in `tests/fuzz/bodies`.
//!
//! Only the project's own crates (and the parsers that hostile bytes meet first) are instrumented: this program is the compiler's
//! wrapper and adds the flags to those. So wasmtime is built as always, and coverage counts our code, not the compiler's.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::run::{self, RunError};

/// How long each target runs with `--quick`, in seconds.
pub const QUICK_SECONDS: u32 = 60;
/// How long each target runs when nothing else is said, in seconds.
pub const DEFAULT_SECONDS: u32 = 15 * 60;

/// Set for the children that are compilers: this program is their wrapper then.
const WRAPPER: &str = "WASMPOD_FUZZ_WRAPPER";
/// A body that takes longer than this with one input has no bound, in seconds.
const INPUT_TIMEOUT: u32 = 20;
/// A body that takes more memory than this has no bound, in MiB.
const MEMORY_LIMIT: u32 = 4096;
/// Longer inputs show little and slow the search.
const INPUT_BYTES: u32 = 1 << 14;
/// The targets that run wasm: wasmtime is compiled for these only, which takes minutes.
const WASM: [&str; 2] = ["load", "p1"];
/// Crates that are instrumented beside the project's own.
const PARSERS: [&str; 2] = ["saphyr_parser", "wasmparser"];
/// What cargo-fuzz passes to a compiler of any channel, without a sanitizer.
const INSTRUMENT: [&str; 7] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum FuzzError {
    /// There is no such target.
    #[error("no fuzz target is called {name}; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names of the targets.
        known: String,
    },
    /// A folder could not be read or made.
    #[error("{path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A target could not be built or started.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Inputs were found that show a bug.
    #[error("{}", .0.join("\n"))]
    Found(Vec<String>),
}

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only this target.
    pub target: Option<String>,
    /// How long each target runs.
    pub seconds: u32,
    /// Run the target once with this file instead of searching.
    pub input: Option<PathBuf>,
}

/// If this process was started as the wrapper of a compiler: runs the compiler and returns how it ended.
#[must_use]
pub fn compiler_wrapper() -> Option<ExitCode> {
    std::env::var_os(WRAPPER)?;
    let mut args = std::env::args_os().skip(1);
    let mut compiler = Command::new(args.next()?);
    let args: Vec<OsString> = args.collect();
    if instruments(&args) {
        compiler.args(INSTRUMENT);
    }
    let code = compiler.args(&args).env_remove(WRAPPER).status().ok().and_then(|status| status.code());
    Some(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// Whether a call of the compiler makes one of the crates that are instrumented.
fn instruments(args: &[OsString]) -> bool {
    let after = |option: &str| args.iter().position(|arg| arg == option).and_then(|at| args.get(at + 1)?.to_str());
    let plugin = after("--crate-type") == Some("proc-macro");
    let ours = |name: &str| name.starts_with("wasmpod_") || PARSERS.contains(&name);
    // the binaries of tests/fuzz are instrumented too: without, libFuzzer finds no counters in some builds
    !plugin && after("--crate-name").is_some_and(|name| ours(name) || std::env::var_os("CARGO_BIN_NAME").is_some())
}

/// Builds and runs the targets.
///
/// # Errors
/// [`FuzzError::Found`] if a target found something; else why it could not run.
pub fn fuzz(root: &Path, options: &Options) -> Result<(), FuzzError> {
    let known = targets(root)?;
    let chosen = match &options.target {
        None => known,
        Some(name) if known.contains(name) => vec![name.clone()],
        Some(name) => return Err(FuzzError::Unknown { name: name.clone(), known: known.join(", ") }),
    };
    let mut found = Vec::new();
    for target in chosen {
        let binary = build(root, &target)?;
        let ended = match &options.input {
            Some(input) => run::status(Command::new(binary).arg(input).env("RUST_BACKTRACE", "1"))?,
            None => run::status(&mut search(root, &target, &binary, options.seconds)?)?,
        };
        if !ended.success() {
            found.push(report(root, &target, options));
        }
    }
    if found.is_empty() { Ok(()) } else { Err(FuzzError::Found(found)) }
}

/// The names of the targets: those of the files.
fn targets(root: &Path) -> Result<Vec<String>, FuzzError> {
    let mut names: Vec<String> = list(&root.join("tests/fuzz/fuzz_targets"))?
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn build(root: &Path, target: &str) -> Result<PathBuf, FuzzError> {
    let built = root.join("target/fuzz");
    let this = std::env::current_exe().map_err(|source| FuzzError::Folder { path: "xtask".into(), source })?;
    let mut cargo = run::cargo();
    cargo.args(["build", "--bin", target]).arg("--manifest-path").arg(root.join("tests/fuzz/Cargo.toml"));
    if WASM.contains(&target) {
        cargo.args(["--features", "wasm"]);
    }
    cargo.arg("--target-dir").arg(&built).env("RUSTC_WRAPPER", this).env(WRAPPER, "1").current_dir(root);
    run::loudly(&mut cargo)?;
    Ok(built.join("debug").join(format!("{target}{}", std::env::consts::EXE_SUFFIX)))
}

/// libFuzzer's command line: its own corpus first, which it adds to, then the seeds, which it only reads.
fn search(root: &Path, target: &str, binary: &Path, seconds: u32) -> Result<Command, FuzzError> {
    let (corpus, found) = (root.join("target/fuzz/corpus").join(target), found_folder(root, target));
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder).map_err(|source| FuzzError::Folder { path: folder.clone(), source })?;
    }
    let mut command = Command::new(binary);
    command.arg(corpus).arg(root.join("tests/fuzz/seeds").join(target));
    if target == "manifest" {
        command.args([root.join("specs/pods"), root.join("specs/invalid")]);
    }
    let dictionary = root.join("tests/fuzz/dictionaries").join(target);
    if dictionary.is_file() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    command
        .arg(format!("-artifact_prefix={}/", found.display()))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={INPUT_TIMEOUT}"))
        .arg(format!("-rss_limit_mb={MEMORY_LIMIT}"))
        .arg(format!("-max_len={INPUT_BYTES}"))
        // what was done is said at the end, not each step of it
        .args(["-verbosity=0", "-print_final_stats=1"])
        .env("RUST_BACKTRACE", "1");
    Ok(command)
}

/// What to say about a target that failed.
fn report(root: &Path, target: &str, options: &Options) -> String {
    if let Some(input) = &options.input {
        return format!("{target}: {} shows a bug", input.display());
    }
    let mut files = list(&found_folder(root, target)).unwrap_or_default();
    files.sort_by_key(|path| fs::metadata(path).and_then(|m| m.modified()).ok());
    match files.last() {
        Some(file) => format!(
            "{target}: found a bug; see it again with `cargo xtask fuzz {target} --input {}`, and keep that file in tests/fuzz/seeds/{target}",
            file.strip_prefix(root).unwrap_or(file).display()
        ),
        None => format!("{target}: ended with a failure and saved no input"),
    }
}

fn found_folder(root: &Path, target: &str) -> PathBuf {
    root.join("target/fuzz/found").join(target)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, FuzzError> {
    let failed = |source| FuzzError::Folder { path: folder.to_owned(), source };
    fs::read_dir(folder).map_err(failed)?.map(|entry| Ok(entry.map_err(failed)?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_fuzzed_is_instrumented() {
        let call = |text: &str| instruments(&text.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(call("--crate-name wasmpod_kernel --edition=2024 src/lib.rs --crate-type lib"));
        assert!(call("--crate-name wasmparser --crate-type lib"));
        assert!(!call("--crate-name wasmtime --crate-type lib"));
        assert!(!call("--crate-name wasmpod_macros --crate-type proc-macro"));
        assert!(!call("--crate-name build_script_build --crate-type bin"));
        assert!(!call("-vV"));
    }

    #[test]
    fn a_target_that_is_not_there_is_named_with_those_that_are() {
        let options = Options { target: Some("vsf".into()), ..Options::default() };
        let error = fuzz(&crate::root(), &options).expect_err("there is none").to_string();
        assert!(error.contains("vsf") && error.contains("manifest") && error.contains("quantity"), "{error}");
    }
}
