//! What the documents say is so: links lead somewhere, promises name tests that are there, and the README's run is one.

use std::path::{Path, PathBuf};

use wasmpod_suite::play::Play;
use wasmpod_suite::{read, root, walk};

/// The project's documents.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    walk(&root(), &mut |path| {
        if path.extension().is_some_and(|e| e == "md") {
            found.push(path.to_owned());
        }
    });
    assert!(found.len() > 10, "{found:?}");
    found
}

/// The links of a document, `[text](target)`: text and target.
fn links(text: &str) -> Vec<(String, String)> {
    let mut links = Vec::new();
    for (at, _) in text.match_indices("](") {
        let target = text[at + 2..].split(')').next().unwrap_or_default();
        let label = text[..at].rsplit('[').next().unwrap_or_default();
        links.push((label.to_owned(), target.to_owned()));
    }
    links
}

fn is_local(target: &str) -> bool {
    !target.contains("://") && !target.starts_with('#') && !target.starts_with("mailto:")
}

#[test]
fn links_lead_to_files() {
    let mut broken = Vec::new();
    let mut checked = 0;
    for document in documents() {
        let folder = document.parent().unwrap_or(Path::new(""));
        for (_, target) in links(&read(&document)).into_iter().filter(|(_, target)| is_local(target)) {
            let file = target.split('#').next().unwrap_or_default();
            checked += 1;
            if !folder.join(file).exists() {
                broken.push(format!("{}: {target}", document.strip_prefix(root()).unwrap_or(&document).display()));
            }
        }
    }
    assert!(checked > 50, "only {checked} links");
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn promises_name_tests_that_are_there() {
    let path = root().join("specs/SPECIFICATION.md");
    let mut missing = Vec::new();
    let mut checked = 0;
    for (label, target) in links(&read(&path)).into_iter().filter(|(_, target)| target.ends_with(".rs")) {
        let source = path.with_file_name("").join(&target);
        let text = if source.is_file() { read(&source) } else { String::new() };
        // names of tests are in back quotes
        for name in label.split('`').skip(1).step_by(2) {
            checked += 1;
            if !text.contains(&format!("fn {name}(")) {
                missing.push(format!("{name} in {target}"));
            }
        }
    }
    assert!(checked > 50, "only {checked} names");
    assert!(missing.is_empty(), "specs/SPECIFICATION.md promises by tests that are not there: {missing:#?}");
}

#[test]
fn the_readmes_run_is_what_a_run_prints() {
    let readme = read(&root().join("README.md"));
    let heading = "<!-- output: cargo run --release -- play specs/pods/sidecar.yaml -->\n```\n";
    let told =
        readme.split_once(heading).and_then(|(_, rest)| rest.split_once("```")).expect("the README shows a run").0;
    let run = Play::spec("sidecar.yaml").run().expect(0);
    // two programs at once: each stream's lines may come in another order
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(told), sorted(&format!("{}{}", run.stdout(), run.stderr())));
}
