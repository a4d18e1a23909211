//! Which `wasmpod` is tested: the one that `WASMPOD_BIN` names, else the one of this build, brought up to date first.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Names the binary to test.
pub const VARIABLE: &str = "WASMPOD_BIN";

/// The binary.
///
/// # Panics
/// There is none and it cannot be built.
pub fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(path) = std::env::var_os(VARIABLE).map(PathBuf::from) {
            assert!(path.is_file(), "{VARIABLE}: {} is not there", path.display());
            return path;
        }
        let path = target_dir().join(format!("wasmpod{}", std::env::consts::EXE_SUFFIX));
        build_once(&path);
        path
    })
}

/// A folder for what tests may keep between runs: `tmp` of the target folder, as cargo has it.
///
/// # Panics
/// It cannot be made.
pub fn kept() -> PathBuf {
    let path = target_dir().parent().map_or_else(|| target_dir().join("tmp"), |target| target.join("tmp"));
    std::fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

/// `target/debug`: where this test's own folder `deps` is.
fn target_dir() -> PathBuf {
    let me = std::env::current_exe().expect("a test knows its own file");
    me.ancestors().nth(2).expect("a test is in target/PROFILE/deps").to_owned()
}

/// Under nextest every test is a process: the first of a run builds and leaves the run's name, the others find it.
fn build_once(path: &Path) {
    let mark = kept().join("suite-built");
    let run = std::env::var("NEXTEST_RUN_ID").unwrap_or_default();
    if !run.is_empty() && std::fs::read_to_string(&mark).is_ok_and(|built| built == run) && path.is_file() {
        return;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let built = Command::new(cargo)
        // with the features of the whole workspace, as the tests were built: else wasmtime is compiled once more
        .args(["build", "--quiet", "--workspace", "--bin", "wasmpod"])
        .args(if cfg!(debug_assertions) { None } else { Some("--release") })
        .current_dir(crate::root())
        .env("CARGO_TARGET_DIR", target_dir().parent().expect("target/PROFILE is in target"))
        .status();
    assert!(built.is_ok_and(|status| status.success()), "wasmpod cannot be built; set {VARIABLE} to test another one");
    let _ = std::fs::write(mark, run); // without it the next test asks cargo again
}
