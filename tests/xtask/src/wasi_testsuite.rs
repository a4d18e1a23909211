//! Runs a folder of foreign WASI tests, in the shape of the WebAssembly community's `wasi-testsuite`, through `wasmpod play`, as
//! anybody could: each `NAME.wasm`, with an optional `NAME.json` that says how to run it and what it must answer.
//!
//! Owns reading the tests, the manifest of each, and the comparison. It knows of wasmpod only the command line.
//!
//! How a test becomes a pod of one container:
//! - `args` and `env` are the container's; the environment also has what every container has (`PATH`, `HOSTNAME`).
//! - each entry of `dirs` is copied to a temporary folder, which is a hostPath volume at `/ENTRY`. As the working directory is `/`,
//!   the program finds it pre-opened as `/ENTRY` and, as the suite expects, as `ENTRY`.
//! - `root` becomes an image that is a folder: a copy, with the program as `/bin/test`. Without it the image is the program alone.
//! - `/` is the writable root of the container, also pre-opened as `.`: what a test without `dirs` works in.
//! - standard input is empty; `exit_code` (0 without one), `stdout` and `stderr` (only if given) are compared.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};

/// How long one test may take.
const TIMEOUT: &str = "60s";

/// Tests of the published suite that wasmpod is not meant to pass, and why. `specs/SPECIFICATION.md` has the same reasons.
pub const SKIPPED: &[(&str, &str)] = &[
    ("environ_get-multiple-variables", "a container has PATH and HOSTNAME too"),
    ("environ_sizes_get-multiple-variables", "a container has PATH and HOSTNAME too"),
    ("environ_sizes_get-no-variables", "a container has PATH and HOSTNAME too"),
    ("fopen-with-no-access", "expects that nothing is pre-opened; a container always has its root"),
];

/// Why the tests could not be run at all.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// A file or folder.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A `.json` that is none, or has other types than the suite's.
    #[error("{}: {source}", path.display())]
    Json {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// There is nothing to run.
    #[error("{}: no .wasm file is in it", .0.display())]
    Empty(PathBuf),
}

/// What a `.json` says. Fields that are missing have these defaults; others are for the suite's own runner.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Expectation {
    /// Arguments after the program's name.
    pub args: Vec<String>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Folders beside the test that it gets, by these names.
    pub dirs: Vec<String>,
    /// A folder beside the test that is its root directory.
    pub root: Option<String>,
    /// The exit code.
    pub exit_code: i32,
    /// All of standard output, if it matters.
    pub stdout: Option<String>,
    /// All of standard error, if it matters.
    pub stderr: Option<String>,
    /// The newer form, for tests that are talked to while they run.
    operations: Vec<Operation>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
struct Operation {
    #[serde(rename = "type")]
    kind: String,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    dirs: Vec<String>,
    root: Option<String>,
    exit_code: i32,
    id: String,
    payload: String,
}

/// One test.
#[derive(Debug, Clone)]
pub struct Case {
    /// The file's name without `.wasm`.
    pub name: String,
    wasm: PathBuf,
    expectation: Expectation,
}

/// How a test went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All is as expected.
    Pass,
    /// What is different.
    Fail(String),
    /// Not run, and why.
    Skip(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("pass"),
            Self::Fail(why) => write!(f, "FAIL   {why}"),
            Self::Skip(why) => write!(f, "skip   {why}"),
        }
    }
}

/// The tests of a folder and of the folders in it, by name.
///
/// # Errors
/// [`SuiteError`]: what cannot be read, or that there is nothing.
pub fn find(folder: &Path) -> Result<Vec<Case>, SuiteError> {
    let mut cases = Vec::new();
    collect(folder, &mut cases)?;
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    if cases.is_empty() { Err(SuiteError::Empty(folder.to_owned())) } else { Ok(cases) }
}

fn collect(folder: &Path, cases: &mut Vec<Case>) -> Result<(), SuiteError> {
    let entries = file(folder, fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>))?;
    for path in entries.into_iter().map(|entry| entry.path()) {
        if path.is_dir() {
            // a test's own folder holds no tests
            if path.extension().is_none_or(|extension| extension != "dir") {
                collect(&path, cases)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "wasm") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            cases.push(Case { expectation: expectation(&path.with_extension("json"))?, name, wasm: path });
        }
    }
    Ok(())
}

fn expectation(path: &Path) -> Result<Expectation, SuiteError> {
    if !path.is_file() {
        return Ok(Expectation::default());
    }
    let text = file(path, fs::read(path))?;
    serde_json::from_slice(&text).map_err(|source| SuiteError::Json { path: path.to_owned(), source })
}

impl Expectation {
    /// The older form of what may be written in the newer one.
    ///
    /// # Errors
    /// An operation that is not run here.
    fn plain(mut self) -> Result<Self, String> {
        for operation in std::mem::take(&mut self.operations) {
            match (operation.kind.as_str(), operation.id.as_str()) {
                ("run", _) => {
                    (self.args, self.env) = (operation.args, operation.env);
                    (self.dirs, self.root) = (operation.dirs, operation.root);
                }
                ("wait", _) => self.exit_code = operation.exit_code,
                ("read", "stdout") => self.stdout.get_or_insert_default().push_str(&operation.payload),
                ("read", "stderr") => self.stderr.get_or_insert_default().push_str(&operation.payload),
                (kind, id) => return Err(format!("the operation {kind:?} {id:?} is not run here")),
            }
        }
        Ok(self)
    }
}

impl Case {
    /// Runs the test with this `wasmpod`; `scratch` is a folder for its files, which must be empty.
    ///
    /// # Errors
    /// [`SuiteError::File`] for what goes wrong here rather than in the test.
    pub fn run(&self, wasmpod: &Path, scratch: &Path) -> Result<Verdict, SuiteError> {
        let skipped = SKIPPED.iter().find(|(name, _)| *name == self.name);
        if let Some((_, why)) = skipped {
            return Ok(Verdict::Skip((*why).to_owned()));
        }
        let expected = match self.expectation.clone().plain() {
            Ok(expected) => expected,
            Err(why) => return Ok(Verdict::Skip(why)),
        };
        for dir in &expected.dirs {
            let from = self.wasm.with_file_name(dir);
            let to = scratch.join(dir);
            if from.is_dir() { copy(&from, &to)? } else { file(&to, fs::create_dir_all(&to))? }
        }
        let manifest = scratch.join("pod.json");
        let image = match &expected.root {
            Some(root) => self.image(root, &scratch.join("image.root"))?,
            None => file(&self.wasm, fs::canonicalize(&self.wasm))?,
        };
        file(&manifest, fs::write(&manifest, pod(&image, &expected, scratch).to_string()))?;
        let journal = scratch.join("journal");
        let mut play = Command::new(wasmpod);
        play.args(["play", "--quiet", "--timeout", TIMEOUT, "--allow-hostpath"]).arg(scratch);
        play.arg("--journal").arg(&journal).arg(&manifest).stdin(std::process::Stdio::null());
        let output = file(wasmpod, play.output())?;
        let journal = fs::read_to_string(&journal).unwrap_or_default();
        Ok(verdict(&expected, exit_code(&journal), &output.stdout, &output.stderr))
    }
}

impl Case {
    /// Makes the image of a test that has a root directory.
    fn image(&self, root: &str, image: &Path) -> Result<PathBuf, SuiteError> {
        copy(&self.wasm.with_file_name(root), image)?;
        let program = image.join("bin/test");
        file(image, fs::create_dir_all(image.join("bin")))?;
        file(&program, fs::copy(&self.wasm, &program))?;
        #[cfg(unix)]
        file(&program, fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)))?;
        Ok(image.to_owned())
    }
}

/// The pod of a test.
fn pod(image: &Path, expected: &Expectation, scratch: &Path) -> Value {
    // Kubernetes expands $(NAME) in arguments and values; a test means what it says
    let literal = |text: &String| text.replace("$(", "$$(");
    let env = expected.env.iter().map(|(name, value)| json!({"name": name, "value": literal(value)}));
    let dirs = || expected.dirs.iter().enumerate();
    let mounts = dirs().map(|(n, dir)| json!({"name": format!("dir-{n}"), "mountPath": format!("/{dir}")}));
    let volumes = dirs().map(
        |(n, dir)| json!({"name": format!("dir-{n}"), "hostPath": {"path": scratch.join(dir), "type": "Directory"}}),
    );
    let mut container = json!({
        "name": "test",
        "image": image,
        "args": expected.args.iter().map(literal).collect::<Vec<_>>(),
        "env": env.collect::<Vec<_>>(),
        "volumeMounts": mounts.collect::<Vec<_>>(),
    });
    if expected.root.is_some() {
        container["command"] = json!(["/bin/test"]);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "test"},
        "spec": {
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": volumes.collect::<Vec<_>>(),
        },
    })
}

/// The container's exit code: the journal has it.
fn exit_code(journal: &str) -> Option<i32> {
    journal.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once(" test/test exited code ")?;
        rest.split(' ').next()?.parse().ok()
    })
}

fn verdict(expected: &Expectation, code: Option<i32>, stdout: &[u8], stderr: &[u8]) -> Verdict {
    let said = || {
        let text = String::from_utf8_lossy(if stderr.is_empty() { stdout } else { stderr });
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        first.chars().take(160).collect::<String>()
    };
    let differs = |name: &str, expected: &Option<String>, got: &[u8]| {
        let expected = expected.as_ref().filter(|expected| expected.as_bytes() != got)?;
        let got = String::from_utf8_lossy(got);
        Some(format!("{name} is {got:?}, not {expected:?}").chars().take(300).collect::<String>())
    };
    match code {
        None => Verdict::Fail(format!("it did not run to its end: {}", said())),
        Some(code) if code != expected.exit_code => {
            Verdict::Fail(format!("exit code {code}, not {}: {}", expected.exit_code, said()))
        }
        Some(_) => differs("stdout", &expected.stdout, stdout)
            .or_else(|| differs("stderr", &expected.stderr, stderr))
            .map_or(Verdict::Pass, Verdict::Fail),
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), SuiteError> {
    file(to, fs::create_dir_all(to))?;
    let entries = file(from, fs::read_dir(from).and_then(Iterator::collect::<io::Result<Vec<_>>>))?;
    for entry in entries {
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        // what a broken run left behind is no part of the test
        if path.extension().is_some_and(|extension| extension == "cleanup") {
            continue;
        }
        if path.is_dir() { copy(&path, &place)? } else { file(&path, fs::copy(&path, &place).map(drop))? }
    }
    Ok(())
}

fn file<T>(path: &Path, result: io::Result<T>) -> Result<T, SuiteError> {
    result.map_err(|source| SuiteError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Expectation {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn both_forms_of_an_expectation_are_read() {
        let old = parsed(r#"{"args": ["a"], "dirs": ["d.dir"], "env": {"K": "V"}, "exit_code": 33, "stdout": "out"}"#);
        let new = parsed(
            r#"{"operations": [{"type": "run", "args": ["a"], "dirs": ["d.dir"], "env": {"K": "V"}},
                {"type": "read", "id": "stdout", "payload": "out"}, {"type": "wait", "exit_code": 33}]}"#,
        );
        assert_eq!(new.plain().unwrap(), old);
        let talks = parsed(r#"{"operations": [{"type": "write", "id": "stdin", "payload": "x"}]}"#);
        assert_eq!(talks.plain().unwrap_err(), r#"the operation "write" "stdin" is not run here"#);
        assert_eq!(Expectation::default(), parsed(r#"{"proposals": ["http"]}"#));
    }

    #[test]
    fn every_difference_is_a_failure() {
        let expected = parsed(r#"{"exit_code": 1, "stdout": "out\n"}"#);
        assert_eq!(verdict(&expected, Some(1), b"out\n", b"anything"), Verdict::Pass);
        for (code, stdout) in [(Some(0), &b"out\n"[..]), (None, b"out\n"), (Some(1), b"out")] {
            assert!(matches!(verdict(&expected, code, stdout, b""), Verdict::Fail(_)), "{code:?}");
        }
        let silent = parsed(r#"{"stderr": ""}"#);
        assert!(matches!(verdict(&silent, Some(0), b"", b"x"), Verdict::Fail(why) if why.contains("stderr")));
    }

    #[test]
    fn a_test_means_its_arguments_literally() {
        let pod = pod(Path::new("/t.wasm"), &parsed(r#"{"args": ["$(HOME)"], "dirs": ["d"]}"#), Path::new("/tmp/s"));
        assert_eq!(pod["spec"]["containers"][0]["args"][0], "$$(HOME)");
        assert_eq!(pod["spec"]["volumes"][0]["hostPath"]["path"], "/tmp/s/d");
    }

    #[test]
    fn the_exit_code_is_the_journals() {
        let journal =
            "0.000000001 test/test started\n0.000000002 test/test exited code 33 reason Error\n0.000000003 test x\n";
        assert_eq!((exit_code(journal), exit_code("")), (Some(33), None));
    }
}
