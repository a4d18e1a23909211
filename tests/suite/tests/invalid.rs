//! Every manifest of `specs/invalid` is refused with the text beside it, to the letter, and nothing is started.

use std::collections::BTreeSet;

use wasmpod_suite::play::Play;
use wasmpod_suite::{read, root};

#[test]
fn every_wrong_manifest_is_refused_with_its_text() {
    let folder = root().join("specs/invalid");
    let mut names = BTreeSet::new();
    let mut texts = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).expect("specs/invalid is there") {
        let name = entry.expect("it can be listed").file_name().into_string().expect("names are plain");
        match name.rsplit_once('.') {
            Some((stem, "txt")) => texts.insert(stem.to_owned()),
            _ => names.insert(name),
        };
    }
    let stems: BTreeSet<String> =
        names.iter().map(|name| name.rsplit_once('.').map_or(name.clone(), |(stem, _)| stem.to_owned())).collect();
    assert_eq!(stems, texts, "each manifest has one text, and each text a manifest");
    assert!(names.len() >= 30, "the issue asks for 30, here are {}", names.len());

    let mut wrong = Vec::new();
    for name in &names {
        // run in the folder, so that the text names the file without a path
        let run = Play::file(name).dir(&folder).run();
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
        let expected = read(&folder.join(format!("{stem}.txt")));
        if run.code != Some(2) || run.stderr().trim_end() != expected.trim_end() || !run.stdout.is_empty() {
            wrong.push(format!(
                "{name}: exit code {:?}, expected 2\n--- expected\n{}\n--- stderr\n{}--- stdout\n{}",
                run.code,
                expected.trim_end(),
                run.stderr(),
                run.stdout()
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), names.len(), wrong.join("\n\n"));
}
