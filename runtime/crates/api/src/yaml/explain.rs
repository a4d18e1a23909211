//! The parser's errors in our words, for the mistakes that are made most.

use saphyr_parser::ScanError;

use super::SyntaxError;
use super::compose::pos;
use super::node::Pos;
use super::source::position;

/// What the parser says, what we say, and what helps.
const EXPLANATIONS: [(&str, &str, &str); 15] = [
    ("quoted scalar, found unexpected", "the quoted string that starts here does not end", "close the quote"),
    ("invalid indentation in quoted scalar", "the quoted string that starts here does not end", "close the quote"),
    (
        "invalid trailing content after",
        "text after the end of a quoted string",
        "quote all of it, or double the quotes inside",
    ),
    (
        "found unknown escape character",
        "unknown escape in a double-quoted string",
        "use single quotes, or \\\\ for a backslash",
    ),
    (
        "mapping values are not allowed",
        "YAML syntax error: a key is not allowed here",
        "check the indentation, and quote text that contains \": \"",
    ),
    (
        "did not find expected key",
        "YAML syntax error: this line does not fit the lines before it",
        "check the indentation",
    ),
    (
        "did not find expected '-'",
        "YAML syntax error: this line does not fit the lines before it",
        "check the indentation",
    ),
    (
        "simple key expect ':'",
        "YAML syntax error: text before here is neither a key nor part of a value",
        "is a colon missing?",
    ),
    (
        "did not find expected ',' or",
        "YAML syntax error: a bracket or brace before here is not closed",
        "close it, or quote it",
    ),
    ("invalid indentation", "YAML syntax error: a bracket or brace before here is not closed", "close it, or quote it"),
    ("block sequence entries are not", "YAML syntax error: a list item is not allowed here", "start it on a new line"),
    ("unexpected character: `@'", "text may not start with this character", "quote it"),
    ("unexpected character: ``'", "text may not start with this character", "quote it"),
    ("unexpected character: `%'", "text may not start with this character", "quote it"),
    ("must be followed by a valid YAML", "a tab after the colon", "write a space"),
];

/// What `error` means to the author of `text`.
pub(super) fn explain(text: &str, error: &ScanError) -> SyntaxError {
    let at = pos(*error.marker());
    let info = error.info();
    if info.contains("recursion limit") {
        return SyntaxError::too_deep(at);
    }
    if info.contains("unknown anchor") {
        return SyntaxError::new(at, "the alias refers to an anchor that is not defined before it");
    }
    if let Some(tab) = tab_in_indentation(text, at.line) {
        return SyntaxError::new(tab, "tab character in the indentation; YAML allows only spaces there");
    }
    match EXPLANATIONS.iter().find(|(part, ..)| info.contains(part)) {
        Some((_, message, help)) => SyntaxError::new(at, *message).help(help),
        None => SyntaxError::new(at, format!("YAML syntax error: {info}")),
    }
}

/// The first tab before the text of a line.
fn tab_in_indentation(text: &str, line: u32) -> Option<Pos> {
    let content = text.split('\n').nth(usize::try_from(line).ok()?.checked_sub(1)?)?;
    let indentation = &content[..content.len() - content.trim_start_matches([' ', '\t']).len()];
    let at = indentation.find('\t')?;
    Some(Pos { line, column: position(&indentation[..at]).column })
}
