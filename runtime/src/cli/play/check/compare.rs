//! Two streams of lines, and the first line in which they differ. Pure but for reading.

use std::collections::VecDeque;
use std::io::{BufRead, Read};

use sha2::{Digest as _, Sha256};

/// How many lines before the difference are shown.
const CONTEXT: usize = 4;
/// A longer line is compared in pieces of this size, so that a program without line breaks costs no memory.
const MAX_LINE: u64 = 64 * 1024;
/// How much of a line is shown.
const SHOWN: usize = 240;

/// What a stream comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digest {
    /// How many lines.
    pub lines: u64,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub sha256: String,
}

/// The first difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The line's number, from 1.
    pub line: u64,
    /// The lines just before it, which both have.
    pub before: Vec<Vec<u8>>,
    /// The line in the first stream; none if it has ended.
    pub first: Option<Vec<u8>>,
    /// The line in the second stream.
    pub second: Option<Vec<u8>>,
}

impl Difference {
    /// For people: the lines before, and both sides.
    pub fn lines(&self) -> Vec<String> {
        let start = self.line - self.before.len() as u64;
        let before =
            self.before.iter().enumerate().map(|(at, line)| format!("{:>8} | {}", start + at as u64, text(line)));
        let side = |name: &str, line: &Option<Vec<u8>>| match line {
            Some(line) => format!("{name:>8} | {}", text(line)),
            None => format!("{name:>8} | (ends here)"),
        };
        before.chain([side("first", &self.first), side("second", &self.second)]).collect()
    }
}

fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let whole = String::from_utf8_lossy(line);
    let cut: String = whole.chars().take(SHOWN).collect();
    if cut.len() < whole.len() { format!("{cut}…") } else { cut }
}

/// The next line with its end, at most [`MAX_LINE`] bytes of it. False at the end of the stream.
///
/// # Errors
/// The stream's own.
pub fn next_line(stream: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    Ok(stream.by_ref().take(MAX_LINE).read_until(b'\n', line)? > 0)
}

/// Reads both streams to their ends: the first difference, if there is one, and what each comes to.
///
/// # Errors
/// The streams' own.
pub fn first_difference(
    a: &mut impl BufRead,
    b: &mut impl BufRead,
) -> std::io::Result<(Option<Difference>, [Digest; 2])> {
    let (mut hash_a, mut hash_b) = (Hash::default(), Hash::default());
    let (mut line_a, mut line_b) = (Vec::new(), Vec::new());
    let mut before = VecDeque::new();
    let mut found = None;
    let mut line = 0;
    loop {
        let (has_a, has_b) = (next_line(a, &mut line_a)?, next_line(b, &mut line_b)?);
        if !has_a && !has_b {
            break;
        }
        line += 1;
        hash_a.add(&line_a);
        hash_b.add(&line_b);
        if found.is_some() {
            continue;
        }
        if line_a != line_b || has_a != has_b {
            let side = |has: bool, line: &[u8]| has.then(|| line.to_vec());
            let (first, second) = (side(has_a, &line_a), side(has_b, &line_b));
            found = Some(Difference { line, before: std::mem::take(&mut before).into(), first, second });
        } else {
            before.push_back(line_a.clone());
            if before.len() > CONTEXT {
                before.pop_front();
            }
        }
    }
    Ok((found, [hash_a.finish(), hash_b.finish()]))
}

#[derive(Default)]
struct Hash {
    lines: u64,
    state: Sha256,
}

impl Hash {
    fn add(&mut self, line: &[u8]) {
        self.state.update(line);
        self.lines += u64::from(line.ends_with(b"\n"));
    }

    fn finish(self) -> Digest {
        Digest { lines: self.lines, sha256: hex::encode(self.state.finalize()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(a: &str, b: &str) -> (Option<Difference>, [Digest; 2]) {
        first_difference(&mut a.as_bytes(), &mut b.as_bytes()).expect("memory can be read")
    }

    #[test]
    fn equal_streams_have_no_difference_and_one_hash() {
        let (difference, [a, b]) = compare("x\ny\n", "x\ny\n");
        assert_eq!(difference, None);
        assert_eq!(a, b);
        assert_eq!((a.lines, a.sha256), (2, hex::encode(Sha256::digest(b"x\ny\n"))));
    }

    #[test]
    fn the_first_difference_has_its_line_and_what_came_before() {
        let common = "1\n2\n3\n4\n5\n";
        let (difference, [a, b]) = compare(&format!("{common}a\nq\n"), &format!("{common}b\n"));
        let shown = difference.expect("they differ").lines();
        let expected = ["       2 | 2", "       3 | 3", "       4 | 4", "       5 | 5", "   first | a", "  second | b"];
        assert_eq!(shown, expected);
        assert_eq!((a.lines, b.lines), (7, 6));
        assert_ne!(a.sha256, b.sha256);
    }

    #[test]
    fn a_stream_that_ends_before_the_other_differs() {
        let (difference, _) = compare("1\n", "1\n2\n");
        let difference = difference.expect("they differ");
        assert_eq!((difference.line, difference.first, difference.second), (2, None, Some(b"2\n".to_vec())));
        assert!(compare("1\n", "1").0.is_some(), "the end of the line counts");
    }

    #[test]
    fn long_lines_are_compared_in_pieces_and_shown_cut() {
        let long = "x".repeat(200_000);
        let (difference, _) = compare(&format!("{long}a"), &format!("{long}b"));
        let lines = difference.expect("they differ").lines();
        assert!(lines.iter().all(|line| line.len() < 300), "{lines:?}");
    }
}
