//! `specs/invalid/`: wrong manifests, and what is said about them. Every manifest has a text beside it, every text a manifest.
//!
//! `UPDATE=1 cargo test -p wasmpod-api --test invalid` writes the texts anew; read the difference before it is committed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use wasmpod_api::decode;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../specs/invalid")
}

fn names(extension: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let fits = entries.filter(|path| path.extension().is_some_and(|found| found == extension));
    fits.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn wrong_manifests_are_refused_with_the_text_beside_them() {
    let update = std::env::var_os("UPDATE").is_some_and(|value| value == "1");
    let manifests = names("yaml");
    let mut failures = Vec::new();
    for name in &manifests {
        let file = format!("{name}.yaml");
        let bytes = fs::read(folder().join(&file)).unwrap();
        let got = match decode(&file, &bytes) {
            Ok(_) => {
                failures.push(format!("{file} is accepted"));
                continue;
            }
            Err(errors) => format!("{errors}\n"),
        };
        let path = folder().join(format!("{name}.txt"));
        if update {
            fs::write(&path, &got).unwrap();
        }
        match fs::read_to_string(&path) {
            Ok(want) if want == got => {}
            Ok(want) => failures.push(format!("{file}:\n--- want\n{want}--- got\n{got}")),
            Err(error) => failures.push(format!("{file}: its text cannot be read: {error}\n--- got\n{got}")),
        }
    }
    let orphans: Vec<_> = names("txt").difference(&manifests).cloned().collect();
    assert!(orphans.is_empty(), "texts without a manifest: {orphans:?}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(manifests.len() >= 40, "only {} manifests in {}", manifests.len(), folder().display());
}
