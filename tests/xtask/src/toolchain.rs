//! A compiler for WASI: rustup's own targets where they are installed, else a private one made from Debian packages
//! (`toolchain/debian.sh`), which is kept in `.wasi-toolchain/` or where `WASMPOD_WASI_TOOLCHAIN` says.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{self, RunError};

/// The environment variable with the place of the private toolchain.
pub const PREFIX_VARIABLE: &str = "WASMPOD_WASI_TOOLCHAIN";

/// What guests are compiled for.
pub const TARGETS: [&str; 2] = ["wasm32-wasip1", "wasm32-wasip2"];

/// Why there is no toolchain.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// The script that makes one failed.
    #[error("no toolchain for WASI: rustup has no targets {}, and making one failed: {source}; `rustup target add {}` is enough where it works",
        TARGETS.join(" and "), TARGETS.join(" "))]
    Make {
        /// How it failed.
        source: RunError,
    },
}

/// Compilers for guests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// Where the private toolchain is; none when rustup's rustc has the targets itself.
    private: Option<PathBuf>,
}

/// Where the private toolchain is or will be.
#[must_use]
pub fn prefix(root: &Path) -> PathBuf {
    std::env::var_os(PREFIX_VARIABLE).map_or_else(|| root.join(".wasi-toolchain"), PathBuf::from)
}

impl Toolchain {
    /// Finds the Rust toolchain, or makes it (about two minutes on two cores, once).
    pub fn ensure(root: &Path) -> Result<Self, ToolchainError> {
        if TARGETS.iter().all(|target| rustup_has(target)) && std::env::var_os(PREFIX_VARIABLE).is_none() {
            return Ok(Self { private: None });
        }
        make_private(root).map(|prefix| Self { private: Some(prefix) })
    }

    /// A `cargo` that compiles for WASI. Nothing of the caller's settings for its own builds goes along, or the bytes would
    /// depend on them.
    #[must_use]
    pub fn cargo(&self) -> Command {
        let mut cargo = run::cargo();
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER", "RUSTC"] {
            cargo.env_remove(name);
        }
        if let Some(prefix) = &self.private {
            cargo.env("RUSTC", prefix.join("bin/rustc"));
        }
        cargo
    }

    /// Which compiler it is, for the manifest.
    pub fn version(&self) -> Result<String, RunError> {
        let rustc = self.private.as_ref().map_or_else(|| "rustc".into(), |prefix| prefix.join("bin/rustc"));
        let version = run::output(Command::new(rustc).arg("--version"))?;
        Ok(version.split(" (").next().unwrap_or(&version).to_owned())
    }
}

/// A C compiler for `wasm32-wasip1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CCompiler {
    clang: PathBuf,
    sysroot: PathBuf,
    /// The linker to name; the WASI SDK's clang finds its own.
    linker: Option<PathBuf>,
}

impl CCompiler {
    /// Finds the WASI SDK by `WASI_SDK_PATH`, else finds or makes the private toolchain, which has a clang too.
    pub fn ensure(root: &Path) -> Result<Self, ToolchainError> {
        if let Some(sdk) = std::env::var_os("WASI_SDK_PATH").map(PathBuf::from) {
            return Ok(Self { clang: sdk.join("bin/clang"), sysroot: sdk.join("share/wasi-sysroot"), linker: None });
        }
        let prefix = make_private(root)?;
        Ok(Self {
            clang: prefix.join("bin/clang"),
            sysroot: prefix.join("root/usr"),
            linker: Some(prefix.join("bin/wasm-ld")),
        })
    }

    /// The command that compiles `source` to `out`.
    #[must_use]
    pub fn compile(&self, source: &Path, out: &Path) -> Command {
        let mut clang = Command::new(&self.clang);
        clang.args(["--target=wasm32-wasi", "-Os", "-Wall", "-Wextra", "-Werror", "-Wl,--strip-all"]);
        clang.arg(format!("--sysroot={}", self.sysroot.display()));
        if let Some(linker) = &self.linker {
            clang.arg(format!("-fuse-ld={}", linker.display()));
        }
        clang.arg(source).arg("-o").arg(out);
        clang
    }

    /// Which compiler it is, for the manifest.
    pub fn version(&self) -> Result<String, RunError> {
        let version = run::output(Command::new(&self.clang).arg("--version"))?;
        let line = version.lines().next().unwrap_or_default();
        let number = line.split_once("version ").map_or(line, |(_, rest)| rest.split(' ').next().unwrap_or(rest));
        Ok(format!("clang {number}"))
    }
}

fn make_private(root: &Path) -> Result<PathBuf, ToolchainError> {
    let prefix = prefix(root);
    let script = root.join("tests/xtask/toolchain/debian.sh");
    run::loudly(Command::new("bash").arg(script).arg(&prefix)).map_err(|source| ToolchainError::Make { source })?;
    Ok(prefix)
}

/// Whether rustup's rustc has std for a target.
fn rustup_has(target: &str) -> bool {
    let libs =
        run::output(Command::new("rustc").env_remove("RUSTC").args(["--print", "target-libdir", "--target", target]));
    libs.ok()
        .and_then(|dir| std::fs::read_dir(dir).ok())
        .is_some_and(|entries| entries.flatten().any(|e| e.file_name().to_string_lossy().starts_with("libstd-")))
}
