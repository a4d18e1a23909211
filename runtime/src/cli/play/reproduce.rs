//! The one line that gives a run again, as a shell takes it.
//!
//! Owns the text. A run is given again by its own command line and its seed; nothing else of it is chance.

use super::args::Args;
use super::world::DEFAULT_SEED;

/// Flags of a compared run that are its command's own, and whether a value follows them.
const OF_THE_COMPARISON: [(&str, bool); 2] = [("--compared-run", false), ("--journal", true)];

/// The command line that gives this run again. `words` is this process' own, the program first.
pub fn line(words: impl Iterator<Item = String>, args: &Args) -> String {
    let words: Vec<String> = words.skip(1).collect();
    let words = if args.compared_run { without(words, &OF_THE_COMPARISON) } else { words };
    let mut line = vec!["wasmpod".to_owned()];
    line.extend(words.iter().map(|word| quote(word)));
    if args.seed.is_none() {
        // behind the verb: behind a `--` it would be a file
        line.insert(2.min(line.len()), format!("--seed {DEFAULT_SEED}"));
    }
    line.join(" ")
}

/// `words` without some flags and their values. What follows a `--` is no flag.
pub fn without<T: AsRef<std::ffi::OsStr>>(words: Vec<T>, flags: &[(&str, bool)]) -> Vec<T> {
    let mut kept = Vec::with_capacity(words.len());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let text = word.as_ref().to_string_lossy().into_owned();
        if text == "--" {
            kept.push(word);
            kept.extend(words);
            break;
        }
        let exact = flags.iter().find(|(flag, _)| *flag == text);
        let joined = flags.iter().any(|(flag, value)| *value && text.starts_with(&format!("{flag}=")));
        match exact {
            Some((_, true)) => drop(words.next()),
            Some((_, false)) => {}
            None if joined => {}
            None => kept.push(word),
        }
    }
    kept
}

/// `word` as a POSIX shell reads it.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        args: Args,
    }

    fn told(words: &[&str]) -> String {
        let args = Only::try_parse_from(words.iter().skip(1)).expect("well formed").args;
        line(words.iter().map(|word| (*word).to_owned()), &args)
    }

    #[test]
    fn a_run_is_told_as_a_command() {
        let words = ["/usr/bin/wasmpod", "play", "my pod's.yaml", "--virtual-time"];
        assert_eq!(told(&words), "wasmpod play --seed 0 'my pod'\\''s.yaml' --virtual-time");
        assert_eq!(told(&["x", "play", "a.yaml", "--seed", "7"]), "wasmpod play a.yaml --seed 7");
        let dashes = ["x", "play", "--virtual-time", "--", "--seed"];
        assert_eq!(told(&dashes), "wasmpod play --seed 0 --virtual-time -- --seed");
    }

    #[test]
    fn a_compared_run_is_told_without_what_compares_it() {
        let words = ["x", "play", "--compared-run", "--journal", "/tmp/j", "--virtual-time", "--seed=3", "a.yaml"];
        assert_eq!(told(&words), "wasmpod play --virtual-time --seed=3 a.yaml");
    }

    #[test]
    fn flags_are_taken_away_with_their_values() {
        let words = vec!["a", "--journal=x", "--check", "--journal", "y", "--journals", "--", "--check"];
        assert_eq!(without(words, &[("--journal", true), ("--check", false)]), ["a", "--journals", "--", "--check"]);
    }
}
