//! What is said to the person who wrote the manifest: one problem, where it is, and what helps.
//!
//! Owns the shape, the order and the text of diagnostics. Does not own the problems themselves: those come from `yaml`, `schema`
//! and `validate`. The text is deterministic, as it is part of what `specs/invalid/` promises.

use std::fmt;

/// Problems kept per file; one wrong indentation can make hundreds, and nobody reads beyond the first screen.
pub const MAX_DIAGNOSTICS: usize = 50;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The manifest cannot be used.
    Error,
    /// The manifest is used, but probably does not mean what its author thinks.
    Warning,
}

/// One problem of a manifest.
///
/// Shown as a compiler does: `pod.yaml:7:5: spec.containers[0].imagee: unknown field; did you mean "image"?`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// The file as the user named it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Field path in the object, in Kubernetes' notation; empty if the problem is the document's.
    pub field: String,
    /// What is wrong; for validation the words of the API server.
    pub message: String,
    /// What to do about it, if that can be known.
    pub help: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !self.field.is_empty() {
            write_safe(f, &self.field)?;
            f.write_str(": ")?;
        }
        write_safe(f, &self.message)?;
        if let Some(help) = &self.help {
            f.write_str("; ")?;
            write_safe(f, help)?;
        }
        Ok(())
    }
}

/// Parts of a diagnostic come from the manifest: what could steer a terminal, or show text in another order, is written as an escape.
fn write_safe(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let steers = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut rest = text;
    while let Some(at) = rest.find(steers) {
        let c = rest[at..].chars().next().unwrap_or_default();
        write!(f, "{}{}", &rest[..at], c.escape_unicode())?;
        rest = &rest[at + c.len_utf8()..];
    }
    f.write_str(rest)
}

/// All problems of a file, in the order of their lines, at most [`MAX_DIAGNOSTICS`] of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostics {
    items: Vec<Diagnostic>,
    omitted: usize,
}

impl Diagnostics {
    /// Sorts by place and cuts to [`MAX_DIAGNOSTICS`]. Problems at one place keep the order they were found in. `omitted` more were
    /// counted but not kept.
    #[must_use]
    pub fn new(mut items: Vec<Diagnostic>, omitted: usize) -> Self {
        items.sort_by_key(|item| (item.line, item.column));
        let omitted = omitted + items.len().saturating_sub(MAX_DIAGNOSTICS);
        items.truncate(MAX_DIAGNOSTICS);
        Self { items, omitted }
    }

    /// The problems kept.
    #[must_use]
    pub fn into_items(self) -> Vec<Diagnostic> {
        self.items
    }

    /// The problems kept.
    #[must_use]
    pub fn items(&self) -> &[Diagnostic] {
        &self.items
    }

    /// How many more there were.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

impl fmt::Display for Diagnostics {
    /// One line each, no line end after the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{item}")?;
        }
        if self.omitted > 0 {
            write!(f, "\n… and {} more", self.omitted)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            file: "a.yaml".into(),
            line,
            column: 1,
            field: String::new(),
            message: "wrong".into(),
            help: None,
        }
    }

    #[test]
    fn sorts_and_counts_what_is_left_out() {
        let list = Diagnostics::new((0..60).rev().map(|n| at(n + 1)).collect(), 0);
        assert_eq!(list.items().len(), MAX_DIAGNOSTICS);
        assert_eq!(list.items()[0].line, 1);
        assert!(list.to_string().ends_with("a.yaml:50:1: wrong\n… and 10 more"));
    }

    #[test]
    fn text_has_place_field_message_help() {
        let item = Diagnostic { field: "spec.x".into(), help: Some("remove it".into()), ..at(3) };
        assert_eq!(item.to_string(), "a.yaml:3:1: spec.x: wrong; remove it");
        let hostile = Diagnostic { field: "spec.\u{1b}[2J".into(), message: "a\u{202e}b".into(), ..at(3) };
        assert_eq!(hostile.to_string(), "a.yaml:3:1: spec.\\u{1b}[2J: a\\u{202e}b");
        let warning = Diagnostic { severity: Severity::Warning, ..item };
        assert_eq!(warning.to_string(), "a.yaml:3:1: warning: spec.x: wrong; remove it");
    }
}
