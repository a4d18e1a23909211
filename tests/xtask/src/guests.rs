//! The table of guests (`guest-examples/guests.yaml`), the manifest of what was built (`dist/manifest.json`), and whether
//! they, the sources and the built files agree. Nothing is compiled here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The crate that guests use for what is not WASI, below `guest-examples`.
const SDK: &str = "sdk";
/// The same for C.
pub const SDK_HEADERS: &str = "sdk/include";

/// What a guest is compiled to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Target {
    /// Rust, a core module of WASI 0.1.
    #[serde(rename = "wasm32-wasip1")]
    RustP1,
    /// Rust, a component of WASI 0.2.
    #[serde(rename = "wasm32-wasip2")]
    RustP2,
    /// C through wasi-libc, a core module of WASI 0.1.
    #[serde(rename = "c-wasm32-wasip1")]
    CP1,
}

impl Target {
    /// The compiler's name of the target.
    #[must_use]
    pub fn triple(self) -> &'static str {
        match self {
            Self::RustP1 | Self::CP1 => "wasm32-wasip1",
            Self::RustP2 => "wasm32-wasip2",
        }
    }
}

/// A row of `guests.yaml`: where a guest comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    /// The folder below `guest-examples` with its package.
    pub package: String,
    /// The program: `src/bin/<bin>.rs`, or `c/<bin>.c`.
    pub bin: String,
    /// What it is compiled to.
    pub target: Target,
    /// Where else the file is kept, relative to `guest-examples`: an image that is a directory needs its program inside.
    #[serde(default)]
    pub copy: Option<String>,
}

/// What `dist/manifest.json` says of one built file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Built {
    /// What it was compiled to.
    pub target: Target,
    /// SHA-256 over the sources, see [`source_hash`].
    pub sources: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Bytes of the file.
    pub size: u64,
    /// The compiler that made it.
    pub compiler: String,
}

/// `dist/manifest.json`, by guest name.
pub type Manifest = BTreeMap<String, Built>;

/// Why the guests cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum GuestsError {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `guests.yaml` is wrong.
    #[error("{path}: {source}")]
    Table {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_yaml::Error,
    },
    /// `manifest.json` is wrong.
    #[error("{path}: {source}")]
    Manifest {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// Attaches the path to an IO error.
pub fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, GuestsError> {
    result.map_err(|source| GuestsError::Io { path: path.to_path_buf(), source })
}

/// The folder of guests in a checkout.
#[must_use]
pub fn folder(root: &Path) -> PathBuf {
    root.join("guest-examples")
}

/// Where a guest's built file is.
#[must_use]
pub fn wasm_path(guests: &Path, name: &str) -> PathBuf {
    guests.join("dist").join(format!("{name}.wasm"))
}

/// Reads the table of guests, by name.
pub fn table(guests: &Path) -> Result<BTreeMap<String, Guest>, GuestsError> {
    let path = guests.join("guests.yaml");
    let text = at(&path, fs::read_to_string(&path))?;
    serde_yaml::from_str(&text).map_err(|source| GuestsError::Table { path, source })
}

/// Reads the manifest of built files; none is an empty one.
pub fn manifest(guests: &Path) -> Result<Manifest, GuestsError> {
    let path = guests.join("dist/manifest.json");
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| GuestsError::Manifest { path, source }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Manifest::new()),
        Err(source) => Err(GuestsError::Io { path, source }),
    }
}

/// SHA-256 over the sorted relative paths and the contents of what a guest is made of: for Rust its own program, its
/// package without the other programs, and the workspace's manifest and lock file; for C its file and the headers beside it;
/// for both the SDK if they use it. Line ends count as `\n`, as a checkout may change them.
pub fn source_hash(guests: &Path, guest: &Guest) -> Result<String, GuestsError> {
    let package = guests.join(&guest.package);
    let mut files = BTreeSet::new();
    if guest.target == Target::CP1 {
        let source = package.join("c").join(format!("{}.c", guest.bin));
        files.insert(source.clone());
        collect(&package.join("c"), &mut |path| {
            if path.extension().is_some_and(|e| e == "h") {
                files.insert(path.to_path_buf());
            }
        })?;
        if at(&source, fs::read_to_string(&source))?.contains("<wasmpod/") {
            collect(&guests.join(SDK_HEADERS), &mut |path| _ = files.insert(path.to_path_buf()))?;
        }
    } else {
        files.extend([guests.join("Cargo.toml"), guests.join("Cargo.lock")]);
        let own = format!("{}.rs", guest.bin);
        collect(&package, &mut |path| {
            let relative = path.strip_prefix(&package).unwrap_or(path);
            let other_program = relative.starts_with("src/bin") && relative != Path::new("src/bin").join(&own);
            if !other_program && !relative.starts_with("c") {
                files.insert(path.to_path_buf());
            }
        })?;
        files.insert(package.join("src/bin").join(own));
        let manifest = package.join("Cargo.toml");
        if at(&manifest, fs::read_to_string(&manifest))?.lines().any(|line| line.starts_with("wasmpod-sdk")) {
            let sdk = guests.join(SDK);
            files.insert(sdk.join("Cargo.toml"));
            collect(&sdk.join("src"), &mut |path| _ = files.insert(path.to_path_buf()))?;
        }
    }
    let mut hash = Sha256::new();
    for path in files {
        let relative = path.strip_prefix(guests).unwrap_or(&path);
        let name = relative.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        let mut content = at(&path, fs::read(&path))?;
        content.retain(|byte| *byte != b'\r');
        // lengths go in first, so that no two sets of files give the same bytes
        for part in [name.as_bytes(), &content] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    Ok(hex::encode(hash.finalize()))
}

/// SHA-256 of bytes, in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Whether one guest's built file is there, is what the manifest says, and was made of these sources.
pub fn is_fresh(
    guests: &Path,
    name: &str,
    guest: &Guest,
    manifest: &Manifest,
) -> Result<Result<(), String>, GuestsError> {
    let Some(built) = manifest.get(name) else { return Ok(Err("was never built".into())) };
    let wasm = match fs::read(wasm_path(guests, name)) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Err(format!("dist/{name}.wasm is missing"))),
        Err(source) => return Err(GuestsError::Io { path: wasm_path(guests, name), source }),
    };
    if built.target != guest.target {
        return Ok(Err("was built for another target".into()));
    }
    if built.sources != source_hash(guests, guest)? {
        return Ok(Err("its sources changed since it was built".into()));
    }
    if built.size != wasm.len() as u64 || built.sha256 != sha256(&wasm) {
        return Ok(Err(format!("dist/{name}.wasm is not the file that was built")));
    }
    if let Some(copy) = &guest.copy
        && fs::read(guests.join(copy)).ok().as_ref() != Some(&wasm)
    {
        return Ok(Err(format!("{copy} is not its copy")));
    }
    Ok(Ok(()))
}

/// Every disagreement between table, sources, manifest and dist, one line each; empty when all is well.
pub fn check(guests: &Path) -> Result<Vec<String>, GuestsError> {
    let (table, manifest) = (table(guests)?, manifest(guests)?);
    let mut wrong = Vec::new();
    for (name, guest) in &table {
        if let Err(why) = is_fresh(guests, name, guest, &manifest)? {
            wrong.push(format!("{name}: {why}"));
        }
    }
    for name in manifest.keys().filter(|name| !table.contains_key(*name)) {
        wrong.push(format!("{name}: in dist/manifest.json but not in guests.yaml"));
    }
    let mut present = BTreeSet::new();
    collect(&guests.join("dist"), &mut |path| {
        if path.extension().is_some_and(|e| e == "wasm") {
            present.extend(path.file_stem().map(|s| s.to_string_lossy().into_owned()));
        }
    })?;
    for name in present.iter().filter(|name| !table.contains_key(*name)) {
        wrong.push(format!("{name}: dist/{name}.wasm is of no guest in guests.yaml"));
    }
    for package in table.values().map(|g| &g.package).collect::<BTreeSet<_>>() {
        for (folder, extension) in [("src/bin", "rs"), ("c", "c")] {
            collect(&guests.join(package).join(folder), &mut |path| {
                let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
                let known = table.values().any(|g| g.package == *package && g.bin == stem);
                if path.extension().is_some_and(|e| e == extension) && !known {
                    wrong.push(format!(
                        "{package}/{folder}/{stem}.{extension}: no guest in guests.yaml is built from it"
                    ));
                }
            })?;
        }
    }
    Ok(wrong)
}

/// Calls `each` with every file below a folder; a folder that is not there has none. Build output is left out.
fn collect(folder: &Path, each: &mut dyn FnMut(&Path)) -> Result<(), GuestsError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(GuestsError::Io { path: folder.to_path_buf(), source }),
    };
    for entry in entries {
        let path = at(folder, entry)?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            if name != "target" {
                collect(&path, each)?;
            }
        } else if !name.starts_with('.') {
            each(&path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A checkout that is removed at the end of the test.
    struct Fixture(tempfile::TempDir);

    impl Fixture {
        fn path(&self) -> PathBuf {
            self.0.path().join("guests")
        }
    }

    /// A folder of guests with two programs, built by nobody but described as if.
    fn fixture() -> Fixture {
        let dir = Fixture(tempfile::tempdir().unwrap());
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("Cargo.toml", "[workspace]");
        write("Cargo.lock", "# lock");
        write("s/Cargo.toml", "[package]");
        write("s/src/lib.rs", "// shared");
        write("s/src/bin/s_one.rs", "fn main() {}");
        write("s/c/s_two.c", "int main(void) { return 0; }");
        write("dist/s_one.wasm", "one");
        write("dist/s_two.wasm", "two");
        write("../image/app", "two");
        write(
            "guests.yaml",
            "s_one: { package: s, bin: s_one, target: wasm32-wasip1 }\n\
             s_two: { package: s, bin: s_two, target: c-wasm32-wasip1, copy: ../image/app }\n",
        );
        let built: Manifest = table(&dir.path())
            .unwrap()
            .iter()
            .map(|(name, guest)| {
                let wasm = fs::read(wasm_path(&dir.path(), name)).unwrap();
                let built = Built {
                    target: guest.target,
                    sources: source_hash(&dir.path(), guest).unwrap(),
                    sha256: sha256(&wasm),
                    size: wasm.len() as u64,
                    compiler: "test".into(),
                };
                (name.clone(), built)
            })
            .collect();
        write("dist/manifest.json", &serde_json::to_string(&built).unwrap());
        dir
    }

    #[test]
    fn agreement_is_silent() {
        let dir = fixture();
        assert_eq!(check(&dir.path()).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn a_changed_program_is_stale_and_the_other_is_not() {
        let dir = fixture();
        fs::write(dir.path().join("s/src/bin/s_one.rs"), "fn main() { }").unwrap();
        assert_eq!(check(&dir.path()).unwrap(), ["s_one: its sources changed since it was built"]);
    }

    #[test]
    fn a_changed_library_or_lock_file_makes_rust_stale_but_not_c() {
        for file in ["s/src/lib.rs", "Cargo.lock"] {
            let dir = fixture();
            fs::write(dir.path().join(file), "changed").unwrap();
            assert_eq!(check(&dir.path()).unwrap(), ["s_one: its sources changed since it was built"], "{file}");
        }
    }

    #[test]
    fn a_changed_sdk_makes_those_stale_that_use_it() {
        let dir = fixture();
        let hash = |name: &str| source_hash(&dir.path(), &table(&dir.path()).unwrap()[name]).unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("sdk/Cargo.toml", "[package]");
        write("sdk/src/lib.rs", "// one");
        write("sdk/include/wasmpod/ipc.h", "// one");
        let unused = ["s_one", "s_two"].map(hash);
        write("s/Cargo.toml", "[package]\nwasmpod-sdk.workspace = true\n");
        write("s/c/s_two.c", "#include <wasmpod/ipc.h>");
        let used = ["s_one", "s_two"].map(hash);
        write("sdk/src/lib.rs", "// two");
        write("sdk/include/wasmpod/ipc.h", "// two");
        let changed = ["s_one", "s_two"].map(hash);
        for at in 0..2 {
            assert!(unused[at] != used[at] && used[at] != changed[at], "{at}");
        }
    }

    #[test]
    fn line_ends_do_not_count() {
        let dir = fixture();
        fs::write(dir.path().join("s/Cargo.toml"), "[package]\r\n").unwrap();
        let guest = &table(&dir.path()).unwrap()["s_one"];
        let with_cr = source_hash(&dir.path(), guest).unwrap();
        fs::write(dir.path().join("s/Cargo.toml"), "[package]\n").unwrap();
        assert_eq!(source_hash(&dir.path(), guest).unwrap(), with_cr);
    }

    #[test]
    fn a_changed_missing_or_foreign_file_in_dist_is_seen() {
        let dir = fixture();
        fs::write(wasm_path(&dir.path(), "s_one"), "other").unwrap();
        fs::remove_file(wasm_path(&dir.path(), "s_two")).unwrap();
        fs::write(wasm_path(&dir.path(), "s_three"), "3").unwrap();
        assert_eq!(
            check(&dir.path()).unwrap(),
            [
                "s_one: dist/s_one.wasm is not the file that was built",
                "s_two: dist/s_two.wasm is missing",
                "s_three: dist/s_three.wasm is of no guest in guests.yaml",
            ]
        );
    }

    #[test]
    fn a_copy_that_differs_is_seen() {
        let dir = fixture();
        fs::write(dir.path().join("../image/app"), "too").unwrap();
        assert_eq!(check(&dir.path()).unwrap(), ["s_two: ../image/app is not its copy"]);
    }

    #[test]
    fn a_program_that_no_guest_names_is_seen() {
        let dir = fixture();
        fs::write(dir.path().join("s/src/bin/s_lost.rs"), "fn main() {}").unwrap();
        assert_eq!(check(&dir.path()).unwrap(), ["s/src/bin/s_lost.rs: no guest in guests.yaml is built from it"]);
    }
}
