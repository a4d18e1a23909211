//! The one table of what each field of a pod does in this version: nothing is ignored silently.
//!
//! - `table`: the fields
//! - [`check`][check()]: a pod held against the table
//!
//! A field that works, works as Kubernetes says. One without meaning on a single node is accepted. One that a program could miss is
//! accepted with a warning. Everything else is refused before anything is started.

mod table;

use serde_json::Value;

pub use table::POD;

/// What a field does here.
#[derive(Debug, Clone, Copy)]
pub enum Support {
    /// What Kubernetes says.
    Works,
    /// What Kubernetes says for these values; any other is refused, with the reason.
    Only(&'static [&'static str], &'static str),
    /// Nothing, and nothing is missed: there is nothing here that it could act on.
    Accepted,
    /// Nothing, which is said in a warning with the reason.
    NoEffect(&'static str),
    /// It is refused, with the reason.
    Refused(&'static str),
    /// Its own fields count.
    Fields(&'static Type),
    /// The fields of each of its items count.
    Items(&'static Type),
    /// An amount by resource name: cpu, memory and ephemeral-storage exist here.
    Resources,
}

/// A field of a type.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name in a manifest.
    pub name: &'static str,
    /// What it does here.
    pub support: Support,
}

/// A type of the API and its fields.
#[derive(Debug)]
pub struct Type {
    /// Its name in Kubernetes' OpenAPI document.
    pub name: &'static str,
    /// Its fields, in alphabetical order.
    pub fields: &'static [Field],
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The pod runs, without what the field asks for.
    Warning,
    /// The pod is not started.
    Refused,
}

/// A field of a pod that does not do what Kubernetes says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Warning or refusal.
    pub verdict: Verdict,
    /// Its path, e.g. `spec.containers[0].livenessProbe`.
    pub field: String,
    /// The sentence for the user.
    pub message: String,
}

/// Holds `pod`, the JSON of a Pod, against the table.
pub fn check(pod: &Value) -> Vec<Finding> {
    let mut out = Vec::new();
    walk(&POD, pod, "", &mut out);
    out
}

fn walk(of: &Type, value: &Value, path: &str, out: &mut Vec<Finding>) {
    let Value::Object(map) = value else { return };
    for (name, value) in map {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match of.fields.iter().find(|field| field.name == name) {
            Some(field) => judge(field.support, value, path, out),
            // a field newer than the table; decoding refuses it before it gets here
            None => refuse(path, "not supported by this version of wasmpod", "", out),
        }
    }
}

fn judge(support: Support, value: &Value, path: String, out: &mut Vec<Finding>) {
    if is_empty(value) {
        return;
    }
    match support {
        Support::Works | Support::Accepted => {}
        Support::Only(allowed, reason) => {
            let given = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if !allowed.contains(&given.as_str()) {
                let what = format!("{given:?} is not supported by this version of wasmpod");
                refuse(path, &what, reason, out);
            }
        }
        Support::NoEffect(reason) => {
            out.push(Finding { verdict: Verdict::Warning, field: path, message: format!("has no effect: {reason}") });
        }
        Support::Refused(reason) => refuse(path, "not supported by this version of wasmpod", reason, out),
        Support::Fields(of) => walk(of, value, &path, out),
        Support::Items(of) => {
            for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                walk(of, item, &format!("{path}[{index}]"), out);
            }
        }
        Support::Resources => {
            for name in value.as_object().into_iter().flatten().map(|(name, _)| name) {
                if !["cpu", "memory", "ephemeral-storage"].contains(&name.as_str()) {
                    refuse(format!("{path}[{name}]"), "the node has no such resource", "", out);
                }
            }
        }
    }
}

fn refuse(field: String, what: &str, reason: &str, out: &mut Vec<Finding>) {
    let message = if reason.is_empty() { what.to_owned() } else { format!("{what}: {reason}") };
    out.push(Finding { verdict: Verdict::Refused, field, message });
}

/// True for a value that asks for nothing: absent, off or empty. Defaulting writes some of these.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests;
