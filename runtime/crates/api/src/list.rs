//! Documents to objects: lists are taken apart, and each object's kind is one that can be read.

use crate::schema::check::Problem;
use crate::yaml::node::{Entry, Node, Value};

/// The kinds that a manifest may hold, all of `apiVersion: v1`.
pub const KINDS: [&str; 3] = ["Pod", "ConfigMap", "Secret"];

/// A tree that claims to be an object of one of [`KINDS`].
#[derive(Debug)]
pub(crate) struct Item {
    pub tree: Node,
    /// What stands before its field paths in messages: `items[3].` for one out of a list.
    pub prefix: String,
    pub kind: &'static str,
}

/// Takes documents apart. What is of no known kind is reported and left out.
pub(crate) fn flatten(documents: Vec<Node>) -> (Vec<Item>, Vec<Problem>) {
    let (mut items, mut problems) = (Vec::new(), Vec::new());
    for document in documents {
        one(document, String::new(), None, &mut items, &mut problems);
    }
    (items, problems)
}

/// `implied` is the kind of the items of a typed list, which need not repeat it. Lists inside of lists are as deep as the tree, which
/// has a limit.
fn one(tree: Node, prefix: String, implied: Option<&'static str>, items: &mut Vec<Item>, problems: &mut Vec<Problem>) {
    let mut report = |node: &Node, field: &str, message: String, help: Option<String>| {
        let pos = if field.is_empty() { node.pos } else { node.locate(field) };
        problems.push(Problem { pos, field: format!("{prefix}{field}"), message, help, meant: None });
    };
    if !matches!(tree.value, Value::Map(_)) {
        let message = format!("expected an object with apiVersion and kind, found {}", tree.kind());
        return report(&tree, "", message, None);
    }
    for field in ["apiVersion", "kind"] {
        if let Some(entry) = tree.get(field).filter(|entry| !matches!(entry.value.value, Value::Str(_) | Value::Null)) {
            return report(&tree, field, format!("expected string, found {}", entry.value.kind()), None);
        }
    }
    let kind = tree.str("kind").filter(|kind| !kind.is_empty());
    let version = tree.str("apiVersion").filter(|version| !version.is_empty());
    let (kind, version) = match (kind, version, implied) {
        (Some(kind), Some(version), _) => (kind, version),
        (Some(kind), None, Some(_)) => (kind, "v1"),
        (None, version, Some(kind)) => (kind, version.unwrap_or("v1")),
        (Some(_), None, None) => {
            return report(&tree, "", "apiVersion is missing".into(), Some("write apiVersion: v1".into()));
        }
        (None, ..) => {
            return report(&tree, "", "kind is missing".into(), Some(format!("supported kinds are {}", supported())));
        }
    };
    let known = KINDS.into_iter().find(|known| *known == kind);
    let list_of = kind.strip_suffix("List").and_then(|item| match item {
        "" => Some(None),
        item => KINDS.into_iter().find(|known| *known == item).map(Some),
    });
    if known.is_none() && list_of.is_none() {
        let help = match KINDS.into_iter().chain(["List"]).find(|known| known.eq_ignore_ascii_case(kind)) {
            Some(known) => format!("did you mean {known:?}?"),
            None => format!("supported kinds are {}", supported()),
        };
        return report(&tree, "kind", format!("unsupported kind {kind:?} of apiVersion {version:?}"), Some(help));
    }
    if version != "v1" {
        let message = format!("no kind {kind:?} is registered for version {version:?}");
        return report(&tree, "apiVersion", message, Some("write apiVersion: v1".into()));
    }
    if let Some(kind) = known {
        return items.push(Item { tree: with_type(tree, kind), prefix, kind });
    }
    let implied = list_of.flatten();
    for entry in tree.entries() {
        if !["apiVersion", "kind", "metadata", "items"].contains(&entry.key.as_str()) {
            report(&tree, &entry.key, "unknown field".into(), None);
        }
    }
    if let Some(entry) = tree.get("items").filter(|entry| !matches!(entry.value.value, Value::Seq(_) | Value::Null)) {
        return report(&tree, "items", format!("expected array, found {}", entry.value.kind()), None);
    }
    let Value::Map(entries) = tree.value else { return };
    let list = entries.into_iter().find(|entry| entry.key == "items").map(|entry| entry.value.value);
    if let Some(Value::Seq(list)) = list {
        for (index, item) in list.into_iter().enumerate() {
            one(item, format!("{prefix}items[{index}]."), implied, items, problems);
        }
    }
}

/// Items of a typed list get the type they leave out.
fn with_type(mut tree: Node, kind: &str) -> Node {
    let pos = tree.pos;
    if let Value::Map(entries) = &mut tree.value {
        for (key, value) in [("apiVersion", "v1"), ("kind", kind)] {
            let value = || Node { pos, value: Value::Str(value.to_owned()), raw: None };
            match entries.iter_mut().find(|entry| entry.key == key) {
                Some(entry) if matches!(entry.value.value, Value::Null) => entry.value = value(),
                Some(_) => {}
                None => entries.push(Entry { key: key.to_owned(), key_pos: pos, value: value() }),
            }
        }
    }
    tree
}

fn supported() -> String {
    format!("{} and List, of apiVersion v1", KINDS.join(", "))
}
