//! Builds guests from source into `guest-examples/dist`, the same bytes wherever the same compiler runs.

use std::fs;
use std::path::Path;

use crate::guests::{self, Built, Guest, GuestsError, Manifest, Target, at};
use crate::run::{self, RunError};
use crate::toolchain::{CCompiler, Toolchain, ToolchainError};

/// Why guests could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Table, manifest or files.
    #[error(transparent)]
    Guests(#[from] GuestsError),
    /// No compiler.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// The compiler failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The manifest could not be written.
    #[error("cannot write the manifest: {0}")]
    Manifest(#[from] serde_json::Error),
}

/// Builds the guests whose file does not agree with their sources, or all; returns the names of those it built.
pub fn guests(root: &Path, all: bool) -> Result<Vec<String>, BuildError> {
    let folder = guests::folder(root);
    let table = guests::table(&folder)?;
    let mut manifest = guests::manifest(&folder)?;
    manifest.retain(|name, _| table.contains_key(name));
    let dist = folder.join("dist");
    at(&dist, fs::create_dir_all(&dist))?;

    // bring the lock file up to date before its content counts
    let metadata = ["metadata", "--quiet", "--format-version", "1"];
    run::output(run::cargo().args(metadata).current_dir(&folder))?;

    let mut built = Vec::new();
    for target in [Target::RustP1, Target::RustP2, Target::CP1] {
        let mut due: Vec<(&String, &Guest)> = Vec::new();
        for (name, guest) in table.iter().filter(|(_, g)| g.target == target) {
            if all || guests::is_fresh(&folder, name, guest, &manifest)?.is_err() {
                due.push((name, guest));
            }
        }
        if due.is_empty() {
            continue;
        }
        let compiler = match target {
            Target::CP1 => build_c(root, &due)?,
            Target::RustP1 | Target::RustP2 => build_rust(root, target, &due)?,
        };
        for (name, guest) in due {
            copy(&folder, name, guest)?;
            let entry = describe(&folder, name, guest, &compiler)?;
            manifest.insert(name.clone(), entry);
            built.push(name.clone());
        }
    }
    write(&folder, &manifest)?;
    remove_strangers(&dist, &manifest)?;
    Ok(built)
}

fn build_rust(root: &Path, target: Target, due: &[(&String, &Guest)]) -> Result<String, BuildError> {
    let toolchain = Toolchain::ensure(root)?;
    let out = root.join("target/guests");
    let mut cargo = toolchain.cargo();
    cargo.args(["build", "--quiet", "--locked", "--release", "--target", target.triple()]);
    cargo.current_dir(guests::folder(root)).env("CARGO_TARGET_DIR", &out);
    cargo.env("CARGO_ENCODED_RUSTFLAGS", remap(root).join("\u{1f}"));
    for (_, guest) in due {
        cargo.args(["--bin", &guest.bin]);
    }
    run::loudly(&mut cargo)?;
    for (name, guest) in due {
        let from = out.join(target.triple()).join("release").join(format!("{}.wasm", guest.bin));
        let bytes = at(&from, fs::read(&from))?;
        let to = guests::wasm_path(&guests::folder(root), name);
        at(&to, fs::write(&to, bytes))?;
    }
    Ok(toolchain.version()?)
}

fn build_c(root: &Path, due: &[(&String, &Guest)]) -> Result<String, BuildError> {
    let compiler = CCompiler::ensure(root)?;
    let folder = guests::folder(root);
    for (name, guest) in due {
        let source = Path::new(&guest.package).join("c").join(format!("{}.c", guest.bin));
        let mut clang = compiler.compile(&source, &guests::wasm_path(&folder, name));
        run::loudly(clang.arg("-I").arg(guests::SDK_HEADERS).current_dir(&folder))?;
    }
    Ok(compiler.version()?)
}

/// No path of this machine gets into a guest: panic messages name files.
fn remap(root: &Path) -> Vec<String> {
    let home =
        std::env::var_os("CARGO_HOME").map(Into::into).or_else(|| std::env::home_dir().map(|h| h.join(".cargo")));
    let mut flags = vec![format!("--remap-path-prefix={}=/wasmpod", root.display())];
    flags.extend(home.map(|home: std::path::PathBuf| format!("--remap-path-prefix={}=/cargo", home.display())));
    flags
}

fn describe(folder: &Path, name: &str, guest: &Guest, compiler: &str) -> Result<Built, BuildError> {
    let path = guests::wasm_path(folder, name);
    let wasm = at(&path, fs::read(&path))?;
    Ok(Built {
        target: guest.target,
        sources: guests::source_hash(folder, guest)?,
        sha256: guests::sha256(&wasm),
        size: wasm.len() as u64,
        compiler: compiler.to_owned(),
    })
}

/// Puts the copy that some guests have where it belongs, as executable as git keeps it.
fn copy(folder: &Path, name: &str, guest: &Guest) -> Result<(), GuestsError> {
    let Some(to) = guest.copy.as_ref().map(|copy| folder.join(copy)) else { return Ok(()) };
    if let Some(parent) = to.parent() {
        at(parent, fs::create_dir_all(parent))?;
    }
    at(&to, fs::copy(guests::wasm_path(folder, name), &to)).map(|_| ())
}

fn write(folder: &Path, manifest: &Manifest) -> Result<(), BuildError> {
    let path = folder.join("dist/manifest.json");
    let mut text = serde_json::to_string_pretty(manifest)?;
    text.push('\n');
    Ok(at(&path, fs::write(&path, text))?)
}

/// A guest that left the table leaves dist too.
fn remove_strangers(dist: &Path, manifest: &Manifest) -> Result<(), GuestsError> {
    for entry in at(dist, fs::read_dir(dist))? {
        let path = at(dist, entry)?.path();
        let is_wasm = path.extension().is_some_and(|e| e == "wasm");
        if is_wasm && !path.file_stem().is_some_and(|stem| manifest.contains_key(&*stem.to_string_lossy())) {
            at(&path, fs::remove_file(&path))?;
        }
    }
    Ok(())
}
