//! A tree against the schema: every problem with its place, and JSON that the typed object can be made of.
//!
//! A value of the wrong type is left out of the JSON after it has been reported, so that the rest can still be validated. `null` is
//! what Go makes of it: a field that is not there, and the zero value in lists and maps.

use base64::Engine as _;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Number, Value as Json};

use super::suggest::{Suggestion, suggest};
use super::{SCHEMA, Type};
use crate::diagnostic::MAX_DIAGNOSTICS;
use crate::quantity::Quantity;
use crate::validate::shorten;
use crate::yaml::node::{Node, Pos, Value};
use crate::yaml::scalar::go_float;

/// Something that does not fit the schema.
#[derive(Debug)]
pub(crate) struct Problem {
    pub pos: Pos,
    pub field: String,
    pub message: String,
    pub help: Option<String>,
    /// The field that was probably meant: that it is missing need not be said as well.
    pub meant: Option<String>,
}

/// The outcome of a check.
#[derive(Debug)]
pub(crate) struct Checked {
    pub json: Json,
    pub problems: Vec<Problem>,
    /// Problems beyond those kept.
    pub omitted: usize,
}

/// Checks an object of a kind that the schema has; `None` if it has not.
pub(crate) fn check(root: &Node, kind: &str) -> Option<Checked> {
    let index = SCHEMA.kind(kind)?;
    let mut checker = Checker { root: index, path: Vec::new(), problems: Vec::new(), omitted: 0 };
    let json = checker.object(root, index).unwrap_or_else(|| Json::Object(Map::new()));
    Some(Checked { json, problems: checker.problems, omitted: checker.omitted })
}

enum Step<'a> {
    Field(&'a str),
    Key(&'a str),
    Index(usize),
}

struct Checker<'a> {
    root: usize,
    path: Vec<Step<'a>>,
    problems: Vec<Problem>,
    omitted: usize,
}

impl<'a> Checker<'a> {
    fn field(&self) -> String {
        let mut out = String::new();
        for step in &self.path {
            match step {
                Step::Field(name) if out.is_empty() => out.push_str(shorten(name)),
                Step::Field(name) => {
                    out.push('.');
                    out.push_str(shorten(name));
                }
                Step::Key(key) => {
                    out.push('[');
                    out.push_str(shorten(key));
                    out.push(']');
                }
                Step::Index(index) => out.push_str(&format!("[{index}]")),
            }
        }
        out
    }

    fn report(&mut self, pos: Pos, message: impl Into<String>, help: Option<String>) {
        if self.problems.len() >= MAX_DIAGNOSTICS {
            self.omitted += 1;
            return;
        }
        let field = self.field();
        self.problems.push(Problem { pos, field, message: message.into(), help, meant: None });
    }

    fn wrong_type(&mut self, node: &Node, expected: &str, help: Option<String>) -> Option<Json> {
        self.report(node.pos, format!("expected {expected}, found {}", node.kind()), help);
        None
    }

    fn object(&mut self, node: &'a Node, index: usize) -> Option<Json> {
        let Value::Map(entries) = &node.value else { return self.wrong_type(node, "object", None) };
        let object = &SCHEMA.objects[index];
        let mut out = Map::new();
        for entry in entries {
            self.path.push(Step::Field(&entry.key));
            if let Some(kind) = object.field(&entry.key) {
                if !matches!(entry.value.value, Value::Null)
                    && let Some(value) = self.value(&entry.value, kind)
                {
                    out.insert(entry.key.clone(), value);
                }
            } else {
                self.unknown(entry.key_pos, index, &entry.key);
            }
            self.path.pop();
        }
        Some(Json::Object(out))
    }

    fn unknown(&mut self, pos: Pos, object: usize, name: &str) {
        self.report(pos, "unknown field", None);
        if self.omitted > 0 {
            return;
        }
        let suggestion = suggest(self.root, object, name);
        let own = self.path.pop();
        let parent = self.field();
        self.path.extend(own);
        let Some(problem) = self.problems.last_mut() else { return };
        match suggestion {
            Some(Suggestion::Spelling(field)) => {
                problem.help = Some(format!("did you mean {field:?}?"));
                problem.meant = Some(if parent.is_empty() { field.to_owned() } else { format!("{parent}.{field}") });
            }
            Some(Suggestion::Elsewhere(path)) => {
                problem.help = Some(format!("{name:?} belongs under {path}"));
                problem.meant = Some(format!("{path}.{name}"));
            }
            Some(Suggestion::Resource) => problem.help = Some(format!("{name:?} belongs under requests or limits")),
            None => {}
        }
    }

    fn value(&mut self, node: &'a Node, kind: &'a Type) -> Option<Json> {
        match kind {
            Type::Str => match &node.value {
                Value::Str(text) => Some(Json::String(text.clone())),
                _ => self.wrong_type(node, "string", node.raw.as_deref().map(|raw| format!("quote it: {raw:?}"))),
            },
            Type::Bool => match &node.value {
                Value::Bool(value) => Some(Json::Bool(*value)),
                Value::Str(text) if text == "true" || text == "false" => {
                    self.wrong_type(node, "boolean", Some(unquote(text)))
                }
                _ => self.wrong_type(node, "boolean", None),
            },
            Type::Int32 => self.integer(node, i64::from(i32::MIN), i64::from(i32::MAX), "a 32-bit integer"),
            Type::Int64 => self.integer(node, i64::MIN, i64::MAX, "a 64-bit integer"),
            Type::Quantity => self.quantity(node),
            Type::IntOrString => match &node.value {
                Value::Str(text) => Some(Json::String(text.clone())),
                Value::Int(_) | Value::Float(_) | Value::BigInt(_) => {
                    self.integer(node, i64::from(i32::MIN), i64::from(i32::MAX), "a 32-bit integer")
                }
                _ => self.wrong_type(node, "integer or string", None),
            },
            Type::Time => match &node.value {
                Value::Str(text) if text.parse::<Timestamp>().is_ok() => Some(Json::String(text.clone())),
                Value::Str(_) => {
                    self.report(
                        node.pos,
                        "not a time of RFC 3339",
                        Some("for example \"2006-01-02T15:04:05Z\"".into()),
                    );
                    None
                }
                _ => self.wrong_type(node, "string", None),
            },
            Type::Bytes => self.base64(node),
            Type::Any => Some(plain(node)),
            Type::Array(item) => {
                let Value::Seq(items) = &node.value else { return self.wrong_type(node, "array", None) };
                let mut out = Vec::with_capacity(items.len());
                for (index, node) in items.iter().enumerate() {
                    self.path.push(Step::Index(index));
                    // a slot must be kept even for a value that was reported, or later indices would not be those of the file
                    out.push(self.element(node, item));
                    self.path.pop();
                }
                Some(Json::Array(out))
            }
            Type::Map(item) => {
                let Value::Map(entries) = &node.value else { return self.wrong_type(node, "object", None) };
                let mut out = Map::new();
                for entry in entries {
                    self.path.push(Step::Key(&entry.key));
                    out.insert(entry.key.clone(), self.element(&entry.value, item));
                    self.path.pop();
                }
                Some(Json::Object(out))
            }
            Type::Object(index) => self.object(node, *index),
        }
    }

    fn element(&mut self, node: &'a Node, kind: &'a Type) -> Json {
        if matches!(node.value, Value::Null) {
            return zero(kind);
        }
        self.value(node, kind).unwrap_or_else(|| zero(kind))
    }

    fn integer(&mut self, node: &Node, min: i64, max: i64, name: &str) -> Option<Json> {
        let value = match &node.value {
            Value::Int(value) => *value,
            // exact in 53 bits, and what is larger is out of range below or was never an integer to its author
            Value::Float(value) if value.fract() == 0.0 && value.abs() < 9e15 => *value as i128,
            Value::Float(value) => {
                self.report(node.pos, format!("expected integer, found number {}", go_float(*value)), None);
                return None;
            }
            Value::BigInt(text) => {
                self.report(node.pos, format!("expected {name}, found {}", abbreviate(text)), None);
                return None;
            }
            Value::Str(text) if text.parse::<i64>().is_ok() => {
                return self.wrong_type(node, "integer", Some(unquote(text)));
            }
            _ => return self.wrong_type(node, "integer", None),
        };
        match i64::try_from(value) {
            Ok(value) if (min..=max).contains(&value) => Some(Json::Number(value.into())),
            _ => {
                self.report(node.pos, format!("expected {name}, found {value}"), None);
                None
            }
        }
    }

    fn quantity(&mut self, node: &Node) -> Option<Json> {
        let text = match &node.value {
            Value::Str(text) => text.trim().to_owned(),
            Value::Int(value) => value.to_string(),
            Value::BigInt(text) => text.to_string(),
            Value::Float(value) => go_float(*value),
            _ => return self.wrong_type(node, "quantity", None),
        };
        match Quantity::parse(&text) {
            Ok(quantity) => Some(Json::String(quantity.to_string())),
            Err(error) => {
                self.report(node.pos, format!("{:?} is not a quantity: {error}", abbreviate(&text)), None);
                None
            }
        }
    }

    fn base64(&mut self, node: &Node) -> Option<Json> {
        let Value::Str(text) = &node.value else { return self.wrong_type(node, "string", None) };
        let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect(); // as Go's decoder does
        if base64::engine::general_purpose::STANDARD.decode(&text).is_err() {
            self.report(node.pos, "illegal base64 data", Some("plain text goes under stringData".into()));
            return None;
        }
        Some(Json::String(text))
    }
}

fn unquote(text: &str) -> String {
    format!("remove the quotes: {text}")
}

/// The start of a text, enough to recognise it.
fn abbreviate(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// What Go decodes `null` to inside a list or map.
fn zero(kind: &Type) -> Json {
    match kind {
        Type::Str | Type::IntOrString | Type::Bytes => Json::String(String::new()),
        Type::Bool => Json::Bool(false),
        Type::Int32 | Type::Int64 => Json::Number(0.into()),
        Type::Quantity => Json::String("0".into()),
        Type::Array(_) => Json::Array(Vec::new()),
        Type::Map(_) | Type::Object(_) => Json::Object(Map::new()),
        Type::Time | Type::Any => Json::Null,
    }
}

/// A tree without a schema.
fn plain(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => match (i64::try_from(*value), u64::try_from(*value)) {
            (Ok(value), _) => Json::Number(value.into()),
            (_, Ok(value)) => Json::Number(value.into()),
            _ => Json::Null,
        },
        Value::BigInt(text) => Json::String(text.to_string()),
        Value::Float(value) => Number::from_f64(*value).map_or(Json::Null, Json::Number),
        Value::Str(text) => Json::String(text.clone()),
        Value::Seq(items) => Json::Array(items.iter().map(plain).collect()),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|entry| (entry.key.clone(), plain(&entry.value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    fn problems(text: &str) -> Vec<String> {
        let parsed = yaml::parse(text.as_bytes()).unwrap();
        let checked = check(&parsed.documents[0], "Pod").unwrap();
        checked
            .problems
            .iter()
            .map(|p| {
                format!(
                    "{}:{} {}: {} {}",
                    p.pos.line,
                    p.pos.column,
                    p.field,
                    p.message,
                    p.help.as_deref().unwrap_or("")
                )
            })
            .collect()
    }

    #[test]
    fn types_are_named() {
        let text = "spec:\n  containers:\n  - stdin: 'true'\n    env: {}\n    args: [yes, 1, null]\n    ports:\n    - containerPort: '80'\n    - containerPort: 99999999999\n    - containerPort: 1.5\n    - x\n";
        assert_eq!(
            problems(text),
            [
                "3:12 spec.containers[0].stdin: expected boolean, found string remove the quotes: true",
                "4:10 spec.containers[0].env: expected array, found object ",
                "5:12 spec.containers[0].args[0]: expected string, found boolean quote it: \"yes\"",
                "5:17 spec.containers[0].args[1]: expected string, found integer quote it: \"1\"",
                "7:22 spec.containers[0].ports[0].containerPort: expected integer, found string remove the quotes: 80",
                "8:22 spec.containers[0].ports[1].containerPort: expected a 32-bit integer, found 99999999999 ",
                "9:22 spec.containers[0].ports[2].containerPort: expected integer, found number 1.5 ",
                "10:7 spec.containers[0].ports[3]: expected object, found string ",
            ]
        );
    }

    #[test]
    fn numbers_become_quantities_and_octal_modes() {
        let text = "spec: {containers: [{resources: {limits: {cpu: 0.5, memory: 1_000}}}], volumes: [{secret: {defaultMode: 0644}}]}";
        let parsed = yaml::parse(text.as_bytes()).unwrap();
        let json = check(&parsed.documents[0], "Pod").unwrap().json;
        assert_eq!(
            json["spec"]["containers"][0]["resources"]["limits"],
            serde_json::json!({"cpu": "500m", "memory": "1k"})
        );
        assert_eq!(json["spec"]["volumes"][0]["secret"]["defaultMode"], 420);
    }

    #[test]
    fn only_the_first_problems_are_kept() {
        let text = format!("spec: {{{}}}", (0..200).map(|n| format!("a{n}x: 1")).collect::<Vec<_>>().join(", "));
        let parsed = yaml::parse(text.as_bytes()).unwrap();
        let checked = check(&parsed.documents[0], "Pod").unwrap();
        assert_eq!((checked.problems.len(), checked.omitted), (MAX_DIAGNOSTICS, 150));
    }
}
