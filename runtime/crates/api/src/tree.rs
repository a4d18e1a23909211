//! Files that are not manifests of [`crate::KINDS`], read with the same care: every value has its place, an unknown field is an error with
//! the field that was probably meant, and the limits of `yaml` hold.
//!
//! Owns walking a tree and collecting what is wrong with it. What the fields mean is the caller's.

use std::cell::RefCell;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::schema::distance;
use crate::yaml;
use crate::yaml::node::{Node, Pos, Value};

/// A file that could be parsed.
#[derive(Debug)]
pub struct Documents {
    file: String,
    trees: Vec<Node>,
}

/// What was found wrong so far.
#[derive(Debug, Default)]
pub struct Problems(RefCell<Vec<Diagnostic>>);

impl Problems {
    /// The errors, in the order of the lines, or the warnings if there are none.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn finish(self) -> Result<Vec<Diagnostic>, Diagnostics> {
        let (errors, warnings): (Vec<_>, Vec<_>) =
            self.0.into_inner().into_iter().partition(|problem| problem.severity == Severity::Error);
        if errors.is_empty() {
            Ok(Diagnostics::new(warnings, 0).into_items())
        } else {
            Err(Diagnostics::new(errors, 0))
        }
    }
}

impl Documents {
    /// Parses YAML or JSON. `file` is only used to say where something is.
    ///
    /// # Errors
    /// The first thing that cannot be read.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self, Diagnostics> {
        match yaml::parse(bytes) {
            Ok(parsed) => Ok(Self { file: file.to_owned(), trees: parsed.documents }),
            Err(error) => {
                let Pos { line, column } = error.pos;
                let (message, help) = (error.message, error.help.map(str::to_owned));
                let (severity, file, field) = (Severity::Error, file.to_owned(), String::new());
                Err(Diagnostics::new(vec![Diagnostic { severity, file, line, column, field, message, help }], 0))
            }
        }
    }

    /// The documents, in order.
    pub fn roots<'a>(&'a self, problems: &'a Problems) -> Vec<View<'a>> {
        let root = |node| View { file: &self.file, node, pos: node.pos, path: String::new(), problems };
        self.trees.iter().map(root).collect()
    }
}

/// A value, and how to say what is wrong with it.
#[derive(Debug, Clone)]
pub struct View<'a> {
    file: &'a str,
    node: &'a Node,
    pos: Pos,
    path: String,
    problems: &'a Problems,
}

impl<'a> View<'a> {
    /// Where it is: file, line, column.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}:{}", self.file, self.pos.line, self.pos.column)
    }

    /// Says that it is wrong.
    pub fn error(&self, message: impl Into<String>) {
        self.report(Severity::Error, self.pos, self.path.clone(), message.into(), None);
    }

    /// Says that a field is wrong: one of it, whether it is there or not.
    pub fn error_at(&self, field: &str, message: impl Into<String>) {
        match self.entry(field) {
            Some(view) => view.error(message),
            None => self.report(Severity::Error, self.pos, self.join(field), message.into(), None),
        }
    }

    /// Says that it probably does not do what it seems to.
    pub fn warning(&self, message: impl Into<String>) {
        self.report(Severity::Warning, self.pos, self.path.clone(), message.into(), None);
    }

    fn report(&self, severity: Severity, pos: Pos, field: String, message: String, help: Option<String>) {
        let (file, Pos { line, column }) = (self.file.to_owned(), pos);
        self.problems.0.borrow_mut().push(Diagnostic { severity, file, line, column, field, message, help });
    }

    fn join(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn entry(&self, name: &str) -> Option<Self> {
        let entry = self.node.get(name)?;
        let collection = matches!(entry.value.value, Value::Seq(_) | Value::Map(_) | Value::Null);
        let pos = if collection { entry.key_pos } else { entry.value.pos };
        Some(Self { node: &entry.value, pos, path: self.join(name), ..self.clone() })
    }

    /// Requires an object with no other fields than `known`, and with none of `unsupported`, which exist but are not built. False if it
    /// is no object at all.
    pub fn object(&self, known: &[&str], unsupported: &[&str]) -> bool {
        if !matches!(self.node.value, Value::Map(_)) {
            self.error(format!("expected object, found {}", self.node.kind()));
            return false;
        }
        for entry in self.node.entries() {
            let name = entry.key.as_str();
            if unsupported.contains(&name) {
                let message = "not supported by this version of wasmpod".to_owned();
                self.report(Severity::Error, entry.key_pos, self.join(name), message, None);
            } else if !known.contains(&name) {
                let nearest = known.iter().map(|known| (distance(known, name), known)).min();
                let help = nearest.filter(|(far, _)| *far <= 2).map(|(_, known)| format!("did you mean {known:?}?"));
                self.report(Severity::Error, entry.key_pos, self.join(name), "unknown field".to_owned(), help);
            }
        }
        true
    }

    /// A field; none if it is not there, or null.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Self> {
        self.entry(name).filter(|view| !matches!(view.node.value, Value::Null))
    }

    /// A field that must be there.
    #[must_use]
    pub fn required(&self, name: &str) -> Option<Self> {
        let found = self.get(name);
        if found.is_none() && matches!(self.node.value, Value::Map(_)) {
            self.error_at(name, "Required value");
        }
        found
    }

    /// Its text; an error if it is something else.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Str(text) => Some(text),
            _ => {
                self.error(format!("expected string, found {}", self.node.kind()));
                None
            }
        }
    }

    /// Its whole number; an error if it is something else.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        match &self.node.value {
            Value::Int(number) => i64::try_from(*number).ok().or_else(|| {
                self.error("the number is too large");
                None
            }),
            _ => {
                self.error(format!("expected integer, found {}", self.node.kind()));
                None
            }
        }
    }

    /// Its items; an error if it is no array.
    #[must_use]
    pub fn items(&self) -> Vec<Self> {
        let Value::Seq(items) = &self.node.value else {
            self.error(format!("expected array, found {}", self.node.kind()));
            return Vec::new();
        };
        let view = |(index, node): (usize, &'a Node)| Self {
            node,
            pos: node.pos,
            path: format!("{}[{index}]", self.path),
            ..self.clone()
        };
        items.iter().enumerate().map(view).collect()
    }

    /// Its names and values; an error if it is no object.
    #[must_use]
    pub fn entries(&self) -> Vec<(&'a str, Self)> {
        if !matches!(self.node.value, Value::Map(_)) {
            self.error(format!("expected object, found {}", self.node.kind()));
        }
        let view = |entry: &'a crate::yaml::node::Entry| {
            let path = format!("{}[{}]", self.path, entry.key);
            (entry.key.as_str(), Self { node: &entry.value, pos: entry.value.pos, path, ..self.clone() })
        };
        self.node.entries().iter().map(view).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str, look: impl Fn(View<'_>)) -> Vec<String> {
        let documents = Documents::parse("f.yaml", text.as_bytes()).expect("it can be parsed");
        let problems = Problems::default();
        documents.roots(&problems).into_iter().for_each(look);
        problems.finish().err().map_or_else(Vec::new, |found| found.to_string().lines().map(str::to_owned).collect())
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_its_field() {
        let found = problems("a: 1\nbb: {dd: x, d: [1, two]}\ne: later\n", |root| {
            root.object(&["a", "bbb", "bb"], &["e"]);
            let _ = root.get("a").and_then(|a| a.text());
            let inner = root.required("bb").expect("it is there");
            inner.object(&["d", "long"], &[]);
            let numbers: Vec<_> = inner.get("d").expect("there").items().iter().map(View::integer).collect();
            assert_eq!(numbers, [Some(1), None]);
            assert!(root.required("gone").is_none());
        });
        let expected = [
            "f.yaml:1:1: gone: Required value",
            "f.yaml:1:4: a: expected string, found integer",
            "f.yaml:2:6: bb.dd: unknown field; did you mean \"d\"?",
            "f.yaml:2:20: bb.d[1]: expected integer, found string",
            "f.yaml:3:1: e: not supported by this version of wasmpod",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_that_cannot_be_parsed_is_one_problem() {
        assert!(Documents::parse("f.yaml", b"a: [").is_err());
        let documents = Documents::parse("f.yaml", b"# nothing\n").expect("it says nothing");
        assert!(documents.roots(&Problems::default()).is_empty());
    }
}
