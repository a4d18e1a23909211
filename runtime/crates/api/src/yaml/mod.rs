//! From bytes to trees: YAML and JSON, with places, and with a limit on everything a hostile file could make large.
//!
//! - `source` checks size and encoding, and explains them
//! - `compose` turns `saphyr-parser`'s events into trees: anchors, merge keys, limits
//! - `scalar` says what a plain scalar means (YAML 1.1, as kubectl reads it)
//! - `json` reads JSON, where its rules differ from YAML's (surrogate pairs, `\/`)
//! - `node` is the tree, and finds field paths in it
//!
//! Does not know Kubernetes: kinds and fields are the business of `schema`.

mod compose;
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

/// Values in a file, counted before aliases are expanded. Twice what 3 MiB of ordinary manifest holds.
pub const MAX_NODES: usize = 500_000;

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
}

impl SyntaxError {
    fn new(pos: Pos, message: impl Into<String>) -> Self {
        Self { pos, message: message.into(), help: None }
    }

    fn help(self, help: &'static str) -> Self {
        Self { help: Some(help), ..self }
    }

    fn too_deep(pos: Pos) -> Self {
        Self::new(pos, format!("nested more than {MAX_DEPTH} levels deep"))
    }

    fn too_many_nodes(pos: Pos) -> Self {
        Self::new(pos, format!("more than {MAX_NODES} values in one file"))
    }

    fn too_many_documents(pos: Pos) -> Self {
        Self::new(pos, format!("more than {MAX_DOCUMENTS} documents in one file"))
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
            Err(error) => {
                let quoted_key = first[1..].trim_start().starts_with(['"', '{', '[']);
                compose::compose(text).map_err(|yaml_error| if quoted_key { error } else { yaml_error })?
            }
        }
    } else {
        compose::compose(text)?
    };
    parsed.documents.retain(|node| !matches!(node.value, Value::Null));
    Ok(parsed)
}

#[cfg(test)]
mod tests;
