//! From bytes to trees: YAML and JSON, with places, and with a limit on everything a hostile file could make large.
//!
//! - `source` checks size and encoding, and explains them
//! - `compose` turns `saphyr-parser`'s events into trees: anchors, merge keys, limits
//! - `explain` puts the parser's errors in our words
//! - `scalar` says what a plain scalar means (YAML 1.1, as kubectl reads it)
//! - `json` reads JSON, where its rules differ from YAML's (surrogate pairs, `\/`)
//! - `node` is the tree, and finds field paths in it
//!
//! Does not know Kubernetes: kinds and fields are the business of `schema`.

mod compose;
mod explain;
mod json;
mod map;
pub(crate) mod node;
pub(crate) mod scalar;
mod source;

use node::{Node, Pos, Value};

/// Bytes of one manifest file: what the API server takes as a request body (`MaxRequestBodyBytes`, 3 MiB).
pub const MAX_INPUT_BYTES: usize = 3 * 1024 * 1024;

/// Nesting of collections. A Pod needs 16 levels, managedFields some more; every level is a stack frame of a recursive reader.
pub const MAX_DEPTH: usize = 64;

/// Values in a file, counted before aliases are expanded: a hundred times the largest manifest that is written by hand. Each becomes
/// up to a kilobyte of typed object.
pub const MAX_NODES: usize = 250_000;

/// Commas and colons in one line of YAML. In a line that starts with a brace the parser must read on to its end before it knows
/// whether all of that is a key, and keeps some hundred bytes for each.
pub const MAX_LINE_INDICATORS: usize = 100_000;

/// Documents in a file, empty ones included: each costs work even when it says nothing.
pub const MAX_DOCUMENTS: usize = 1_000;

/// Bytes that anchors and aliases may add to the tree. A few kilobytes is normal; a "billion laughs" file wants gigabytes.
pub const MAX_EXPANDED_BYTES: usize = 8 * 1024 * 1024;

/// Why a file could not be read at all: there is one of these per file, as what follows it cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub pos: Pos,
    pub message: String,
    pub help: Option<&'static str>,
    /// Whether a limit was passed: another way of reading the file would only pass it again.
    pub is_limit: bool,
}

impl SyntaxError {
    fn new(pos: Pos, message: impl Into<String>) -> Self {
        Self { pos, message: message.into(), help: None, is_limit: false }
    }

    fn help(self, help: &'static str) -> Self {
        Self { help: Some(help), ..self }
    }

    fn limit(pos: Pos, message: String) -> Self {
        Self { is_limit: true, ..Self::new(pos, message) }
    }

    fn too_deep(pos: Pos) -> Self {
        Self::limit(pos, format!("nested more than {MAX_DEPTH} levels deep"))
    }

    fn too_many_nodes(pos: Pos) -> Self {
        Self::limit(pos, format!("more than {MAX_NODES} values in one file"))
    }

    fn too_many_documents(pos: Pos) -> Self {
        Self::limit(pos, format!("more than {MAX_DOCUMENTS} documents in one file"))
    }
}

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    /// The documents that say something.
    pub documents: Vec<Node>,
    /// Things that are read differently from how they look.
    pub notes: Vec<(Pos, String)>,
}

/// Reads all documents of a file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed, SyntaxError> {
    let text = source::text(bytes)?;
    let first = text.trim_start();
    // As apimachinery's NewYAMLOrJSONDecoder: what starts with a brace is tried as JSON, and may still be a YAML flow mapping.
    let mut parsed = if first.starts_with('{') || first.starts_with('[') {
        match json::parse(text) {
            Ok(documents) => Parsed { documents, notes: Vec::new() },
            Err(error) if error.is_limit => return Err(error),
            Err(error) => {
                // Quoted keys say that JSON was meant. YAML may still read it, comments as parts of keys: that is not believed.
                let quoted_key = first[1..].trim_start().starts_with(['"', '{', '[']);
                match compose::compose(text) {
                    Err(_) if quoted_key => return Err(error),
                    Ok(parsed) if quoted_key && parsed.documents.iter().any(has_odd_key) => return Err(error),
                    other => other?,
                }
            }
        }
    } else {
        compose::compose(text)?
    };
    parsed.documents.retain(|node| !matches!(node.value, Value::Null));
    Ok(parsed)
}

/// Whether a key holds a quote or a slash pair: what is left of JSON with comments or missing commas.
fn has_odd_key(node: &Node) -> bool {
    node.entries().iter().any(|entry| entry.key.contains('"') || entry.key.contains("//"))
}

#[cfg(test)]
mod tests;
