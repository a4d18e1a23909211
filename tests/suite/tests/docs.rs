//! What the documents say is so: links lead somewhere, promises name tests that are there, and the README's run is one.

use std::collections::BTreeMap;
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
fn the_threat_models_tests_are_there() {
    let path = root().join("docs/THREAT_MODEL.md");
    let (mut missing, mut checked) = (Vec::new(), 0);
    for (label, target) in links(&read(&path)).into_iter().filter(|(_, target)| target.ends_with(".rs")) {
        let text = read(&path.with_file_name("").join(&target));
        for name in label.split('`').skip(1).step_by(2) {
            checked += 1;
            if !text.contains(&format!("fn {name}(")) {
                missing.push(format!("{name} in {target}"));
            }
        }
    }
    assert!(checked > 100, "only {checked} names");
    assert!(missing.is_empty(), "docs/THREAT_MODEL.md names tests that are not there: {missing:#?}");
}

/// `64 * 1024`, `4 << 20`, `1_000`: what the limits are written as. Others are left alone.
fn value(expression: &str) -> Option<u64> {
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().ok();
    if let Some((number_of, shift)) = expression.split_once("<<") {
        return number(number_of)?.checked_shl(u32::try_from(number(shift)?).ok()?);
    }
    expression.split('*').map(number).try_fold(1u64, |product, factor| product.checked_mul(factor?))
}

/// `64 KiB`, `1,000 per pod`, `3 MiB`: what the first words of a cell say.
fn said(cell: &str) -> Option<u64> {
    let mut words = cell.split(' ');
    let number = words.next()?.trim_end_matches(',').replace(',', "").parse::<u64>().ok()?;
    match words.next() {
        Some(unit) if unit.starts_with("KiB") => Some(number << 10),
        Some(unit) if unit.starts_with("MiB") => Some(number << 20),
        Some(unit) if unit.starts_with("GiB") => Some(number << 30),
        Some("s" | "ms" | "µs" | "s,") => None,
        _ => Some(number),
    }
}

#[test]
fn the_threat_models_limits_are_those_of_the_code() {
    let mut constants: BTreeMap<String, Vec<String>> = BTreeMap::new();
    walk(&root().join("runtime"), &mut |path| {
        if path.extension().is_some_and(|e| e == "rs") {
            let text = read(path);
            for rest in text.split("const ").skip(1) {
                if let Some((name, rest)) = rest.split_once(':')
                    && let Some((_, expression)) = rest.split_once('=')
                    && let Some((expression, _)) = expression.split_once(';')
                {
                    constants.entry(name.trim().to_owned()).or_default().push(expression.trim().to_owned());
                }
            }
        }
    });
    let text = read(&root().join("docs/THREAT_MODEL.md"));
    let limits =
        text.split("## Limits").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a chapter of limits");
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for line in limits.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let names: Vec<&str> = cells[1].split('`').skip(1).step_by(2).collect();
        for name in
            names.iter().filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit()))
        {
            let Some(expressions) = constants.get(*name) else {
                wrong.push(format!("{name} is not in the code"));
                continue;
            };
            let values: Vec<u64> = expressions.iter().filter_map(|expression| value(expression)).collect();
            if let (Some(said), [_], false) = (said(cells[2]), &names[..], values.is_empty()) {
                compared += 1;
                if !values.contains(&said) {
                    wrong.push(format!("{name} is {values:?}, not {said}"));
                }
            }
        }
    }
    assert!(compared > 30, "only {compared} values");
    assert!(wrong.is_empty(), "docs/THREAT_MODEL.md: {wrong:#?}");
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
