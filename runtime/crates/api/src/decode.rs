//! A file to objects: the one way in.
//!
//! ```text
//! bytes ─ yaml::parse ─ list::flatten ─ schema::check ─ k8s-openapi ─ defaults ─ validate ─ Decoded
//! ```
//!
//! Every step reports into the same list; a document with an unknown field is still validated, so that a person sees all problems of
//! a file at once. Nothing is returned unless all of it is right.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::defaults::{default_config_map, default_pod, default_secret};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::list::{self, Item};
use crate::schema::check::{self, Problem};
use crate::validate::{FieldError, pod_warnings, validate_config_map, validate_pod, validate_secret};
use crate::yaml::node::{Node, Pos};
use crate::yaml::{self, MAX_DOCUMENTS};

/// Objects in one file, those inside of lists counted.
pub const MAX_OBJECTS: usize = MAX_DOCUMENTS;

/// What a file holds, all of it defaulted and valid.
#[derive(Debug)]
pub struct Manifest {
    /// In the order of the file.
    pub objects: Vec<Decoded>,
    /// What is allowed but was probably not meant.
    pub warnings: Vec<Diagnostic>,
}

/// One object of a file.
#[derive(Debug)]
pub struct Decoded {
    /// The object.
    pub object: Object,
    file: String,
    prefix: String,
    tree: Node,
}

/// The kinds that a manifest may hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// `v1` Pod.
    Pod(Box<Pod>),
    /// `v1` ConfigMap.
    ConfigMap(Box<ConfigMap>),
    /// `v1` Secret; `stringData` is already in `data`.
    Secret(Box<Secret>),
}

impl Object {
    /// The object's metadata.
    #[must_use]
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Pod(pod) => &pod.metadata,
            Self::ConfigMap(map) => &map.metadata,
            Self::Secret(secret) => &secret.metadata,
        }
    }

    /// The object's kind, as in `kind:`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Pod(_) => "Pod",
            Self::ConfigMap(_) => "ConfigMap",
            Self::Secret(_) => "Secret",
        }
    }

    /// `metadata.namespace`, which defaulting has set.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.metadata().namespace.as_deref().unwrap_or_default()
    }

    /// `metadata.name`; empty if there is only a `generateName`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }
}

impl Decoded {
    /// Line and column of a field, given its path (`spec.containers[0].image`), or of the nearest thing around it that the file has.
    /// The empty path is the object's own start.
    #[must_use]
    pub fn position(&self, field: &str) -> (u32, u32) {
        let Pos { line, column } = self.tree.locate(field);
        (line, column)
    }

    /// The file it came from, as the user named it.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// A problem with a field of this object, with its place: for what later steps find, such as a feature that is not built.
    #[must_use]
    pub fn diagnostic(&self, severity: Severity, field: &str, message: impl Into<String>) -> Diagnostic {
        let (line, column) = self.position(field);
        Diagnostic {
            severity,
            file: self.file.clone(),
            line,
            column,
            field: format!("{}{field}", self.prefix),
            message: message.into(),
            help: None,
        }
    }
}

/// Reads, defaults and validates all objects of a file. `file` is only used to say where something is.
///
/// # Errors
/// All problems of the file, in the order of its lines, at most [`crate::diagnostic::MAX_DIAGNOSTICS`].
pub fn decode(file: &str, bytes: &[u8]) -> Result<Manifest, Diagnostics> {
    let mut decoder = Decoder { file, errors: Vec::new(), warnings: Vec::new(), omitted: 0 };
    let objects = decoder.all(bytes);
    if decoder.errors.is_empty() {
        check_duplicates(&objects, &mut decoder.errors);
    }
    if decoder.errors.is_empty() {
        return Ok(Manifest { objects, warnings: Diagnostics::new(decoder.warnings, 0).into_items() });
    }
    Err(Diagnostics::new(decoder.errors, decoder.omitted))
}

/// Problems that only show between files: the same object twice in what is decoded together. For files decoded one by one, as
/// [`decode`] has already looked inside each.
///
/// # Errors
/// One problem for each object that another one has the kind, namespace and name of.
pub fn check_duplicate_objects<'a>(objects: impl IntoIterator<Item = &'a Decoded>) -> Result<(), Diagnostics> {
    let mut errors = Vec::new();
    check_duplicates(objects, &mut errors);
    if errors.is_empty() { Ok(()) } else { Err(Diagnostics::new(errors, 0)) }
}

fn check_duplicates<'a>(objects: impl IntoIterator<Item = &'a Decoded>, errors: &mut Vec<Diagnostic>) {
    let mut seen: BTreeMap<(&str, &str, &str), &Decoded> = BTreeMap::new();
    for decoded in objects {
        let object = &decoded.object;
        if object.name().is_empty() {
            continue; // the name is generated, and so differs
        }
        let key = (object.kind(), object.namespace(), object.name());
        let Some(first) = seen.get(&key) else {
            seen.insert(key, decoded);
            continue;
        };
        let place = match first.position("metadata.name") {
            (line, _) if first.file == decoded.file => format!("line {line}"),
            (line, column) => format!("{}:{line}:{column}", first.file),
        };
        let message = format!("duplicate {} \"{}/{}\"; the first is on {place}", key.0, key.1, key.2);
        errors.push(decoded.diagnostic(Severity::Error, "metadata.name", message));
    }
}

struct Decoder<'a> {
    file: &'a str,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    omitted: usize,
}

impl Decoder<'_> {
    fn error(&mut self, pos: Pos, field: String, message: impl Into<String>, help: Option<String>) {
        let error = self.diagnostic(Severity::Error, pos, field, message.into(), help);
        self.errors.push(error);
    }

    fn diagnostic(
        &self,
        severity: Severity,
        pos: Pos,
        field: String,
        message: String,
        help: Option<String>,
    ) -> Diagnostic {
        Diagnostic { severity, file: self.file.to_owned(), line: pos.line, column: pos.column, field, message, help }
    }

    fn all(&mut self, bytes: &[u8]) -> Vec<Decoded> {
        let parsed = match yaml::parse(bytes) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.error(error.pos, String::new(), error.message, error.help.map(str::to_owned));
                return Vec::new();
            }
        };
        for (pos, note) in parsed.notes {
            let warning = self.diagnostic(Severity::Warning, pos, String::new(), note, None);
            self.warnings.push(warning);
        }
        let start = Pos { line: 1, column: 1 };
        let (items, problems) = list::flatten(parsed.documents);
        for problem in problems {
            self.problem("", problem);
        }
        if items.is_empty() && self.errors.is_empty() {
            self.error(start, String::new(), "no object in this file", None); // no document, or lists of nothing
        }
        if items.len() > MAX_OBJECTS {
            self.error(
                start,
                String::new(),
                format!("{} objects in this file; the limit is {MAX_OBJECTS}", items.len()),
                None,
            );
            return Vec::new();
        }
        items.into_iter().filter_map(|item| self.object(item)).collect()
    }

    fn problem(&mut self, prefix: &str, problem: Problem) {
        self.error(problem.pos, format!("{prefix}{}", problem.field), problem.message, problem.help);
    }

    fn object(&mut self, item: Item) -> Option<Decoded> {
        let Item { tree, prefix, kind } = item;
        let checked = check::check(&tree, kind)?;
        self.omitted += checked.omitted;
        let (object, findings) = match kind {
            "Pod" => {
                let mut pod: Pod = self.typed(checked.json, &tree)?;
                default_pod(&mut pod);
                self.warn(&tree, &prefix, pod_warnings(&pod));
                let findings = validate_pod(&pod);
                (Object::Pod(Box::new(pod)), findings)
            }
            "ConfigMap" => {
                let mut map: ConfigMap = self.typed(checked.json, &tree)?;
                default_config_map(&mut map);
                let findings = validate_config_map(&map);
                (Object::ConfigMap(Box::new(map)), findings)
            }
            _ => {
                let mut secret: Secret = self.typed(checked.json, &tree)?;
                default_secret(&mut secret);
                let findings = validate_secret(&secret);
                (Object::Secret(Box::new(secret)), findings)
            }
        };
        self.omitted += findings.omitted;
        for finding in &findings.items {
            if !follows_from(finding, &checked.problems) && !about_copied_request(finding, &findings.items, &tree) {
                self.error(
                    tree.locate(finding.place()),
                    format!("{prefix}{}", finding.field),
                    finding.message.clone(),
                    None,
                );
            }
        }
        for problem in checked.problems {
            self.problem(&prefix, problem);
        }
        Some(Decoded { object, file: self.file.to_owned(), prefix, tree })
    }

    fn typed<T: DeserializeOwned>(&mut self, json: Json, tree: &Node) -> Option<T> {
        match serde_json::from_value(json) {
            Ok(object) => Some(object),
            // the schema check lets nothing through that the types do not take; if they ever disagree this says so
            Err(error) => {
                self.error(tree.pos, String::new(), format!("cannot be read: {error}"), None);
                None
            }
        }
    }

    fn warn(&mut self, tree: &Node, prefix: &str, texts: Vec<String>) {
        for text in texts {
            let (field, message) = match text.split_once(": ") {
                Some((field, message)) if !field.contains(' ') => (field.to_owned(), message.to_owned()),
                _ => (String::new(), text),
            };
            let pos = tree.locate(&field);
            let field = if field.is_empty() { field } else { format!("{prefix}{field}") };
            let warning = self.diagnostic(Severity::Warning, pos, field, message, None);
            self.warnings.push(warning);
        }
    }
}

/// Whether a finding is about a request that defaulting has made of a limit, of which the same is said.
fn about_copied_request(finding: &FieldError, all: &[FieldError], tree: &Node) -> bool {
    let limit = finding.field.replace(".resources.requests[", ".resources.limits[");
    limit != finding.field
        && !tree.has(&finding.field)
        && all.iter().any(|other| other.field == limit && other.message == finding.message)
}

/// Whether a finding only repeats what the schema check has said: about a value that was left out, or a field that was misspelt.
fn follows_from(finding: &FieldError, problems: &[Problem]) -> bool {
    problems.iter().any(|problem| {
        let same = |a: &str, b: &str| a == b || (a.starts_with(b) && a[b.len()..].starts_with(['.', '[']));
        let left_out = problem.message != "unknown field"
            && (same(&problem.field, &finding.field) || same(&finding.field, &problem.field));
        // where a field belongs is said without an index
        let meant = problem.meant.as_deref().is_some_and(|meant| {
            let plain = |path: &str| {
                let mut out = String::new();
                let mut inside = false;
                for c in path.chars() {
                    inside = (inside || c == '[') && c != ']';
                    if !inside && c != ']' {
                        out.push(c);
                    }
                }
                out
            };
            let (meant, field) = (plain(meant), plain(&finding.field));
            same(&field, &meant) || (finding.message.starts_with("Required value") && same(&meant, &field))
        });
        left_out || meant
    })
}
