//! uutils coreutils, a program nobody here wrote, built from its published source for the tests. It is not committed: it
//! is built once into `target/third-party`, under its version.
//!
//! One file holds all tools. It takes the tool from the name it is called by (`argv[0]`, so a file or link named `ls` is
//! `ls`), and under its own name from the first argument (`coreutils ls -l`); so the version is in the folder's name.

use std::fs;
use std::path::{Path, PathBuf};

use crate::build::BuildError;
use crate::guests::{Target, at};
use crate::run;
use crate::toolchain::Toolchain;

/// The version that is built.
pub const VERSION: &str = "0.12.0";

/// The tools it holds, as `coreutils --list` prints them.
#[rustfmt::skip]
pub const TOOLS: [&str; 79] = [
    "[", "arch", "b2sum", "base32", "base64", "basename", "basenc", "cat", "cksum", "comm", "cp", "csplit",
    "cut", "date", "dd", "dir", "dircolors", "dirname", "echo", "expand", "expr", "factor", "false", "fmt",
    "fold", "head", "hostid", "join", "link", "ln", "ls", "md5sum", "mkdir", "mktemp", "mv", "nice", "nl",
    "nproc", "numfmt", "od", "paste", "pathchk", "pr", "printenv", "printf", "ptx", "pwd", "readlink",
    "realpath", "rm", "rmdir", "seq", "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum", "shred",
    "shuf", "sleep", "sort", "split", "sum", "tail", "tee", "test", "touch", "tr", "true", "truncate",
    "tsort", "tty", "uname", "unexpand", "uniq", "unlink", "vdir", "wc", "yes",
];

/// Where the built file is or will be.
#[must_use]
pub fn path(root: &Path, target: Target) -> PathBuf {
    root.join("target/third-party").join(format!("coreutils-{VERSION}")).join(target.triple()).join("coreutils.wasm")
}

/// The built file, or a text that says how to get it.
pub fn find(root: &Path, target: Target) -> Result<PathBuf, String> {
    let path = path(root, target);
    if path.is_file() {
        return Ok(path);
    }
    Err(format!("{} is not there: build it with `cargo xtask coreutils` (`cargo xtask test` does)", path.display()))
}

/// Builds it for one target unless it is there (two to four minutes on two cores), and returns where it is.
pub fn ensure(root: &Path, target: Target) -> Result<PathBuf, BuildError> {
    let path = path(root, target);
    if path.is_file() {
        return Ok(path);
    }
    let toolchain = Toolchain::ensure(root)?;
    let folder = root.join("target/third-party");
    let installed = folder.join("install").join(target.triple());
    at(&folder, fs::create_dir_all(&folder))?;
    let mut cargo = toolchain.cargo();
    cargo.current_dir(&folder).env("CARGO_TARGET_DIR", folder.join("build"));
    cargo.args(["install", "coreutils", "--quiet", "--locked", "--force", "--version", &format!("={VERSION}")]);
    cargo.args(["--no-default-features", "--features", "feat_wasm", "--target", target.triple()]);
    cargo.arg("--root").arg(&installed);
    run::loudly(&mut cargo)?;
    // the file appears in its place last, so that a build that was cut short is not taken for one
    let built = installed.join("bin/coreutils.wasm");
    let place = path.parent().unwrap_or(&folder);
    at(place, fs::create_dir_all(place))?;
    at(&built, fs::rename(&built, &path))?;
    Ok(path)
}
