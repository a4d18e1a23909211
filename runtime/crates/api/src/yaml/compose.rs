//! Events of `saphyr-parser` to trees.
//!
//! The parser is only asked for events, never for its own recursive loader: depth, values, documents and the growth through aliases
//! are counted here. A collection more than [`MAX_DEPTH`] deep ends the reading before the parser goes deeper.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};

use super::explain::explain;
use super::map::MapBuilder;
use super::node::{Node, Pos, Value};
use super::scalar::{go_float, resolve};
use super::{MAX_DEPTH, MAX_DOCUMENTS, MAX_EXPANDED_BYTES, MAX_LINE_INDICATORS, MAX_NODES, Parsed, SyntaxError};

/// What a value costs besides its text when an alias copies it.
const NODE_BYTES: usize = std::mem::size_of::<Node>();

pub(super) fn compose(text: &str) -> Result<Parsed, SyntaxError> {
    for (line, content) in (1..).zip(text.split('\n')) {
        if content.len() > MAX_LINE_INDICATORS
            && content.bytes().filter(|b| matches!(b, b',' | b':')).count() > MAX_LINE_INDICATORS
        {
            let message = format!("more than {MAX_LINE_INDICATORS} commas and colons in one line");
            return Err(SyntaxError::limit(Pos { line, column: 1 }, message));
        }
    }
    let mut composer = Composer {
        text,
        parser: Parser::new_from_str(text),
        nodes: 0,
        expanded: 0,
        anchors: BTreeMap::new(),
        notes: Vec::new(),
    };
    let mut documents = Vec::new();
    let mut count = 0;
    loop {
        let (event, span) = composer.next()?;
        match event {
            Event::StreamEnd => return Ok(Parsed { documents, notes: composer.notes }),
            Event::DocumentStart(_) => {
                count += 1;
                if count > MAX_DOCUMENTS {
                    return Err(SyntaxError::too_many_documents(pos(span.start)));
                }
                let (event, span) = composer.next()?;
                documents.push(composer.node(event, span, 0)?);
                composer.anchors.clear(); // anchors end with their document
            }
            _ => {}
        }
    }
}

struct Composer<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    nodes: usize,
    expanded: usize,
    /// By the parser's number for the anchor; `None` while the anchored value is still being read.
    anchors: BTreeMap<usize, Option<Node>>,
    notes: Vec<(Pos, String)>,
}

impl<'a> Composer<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), SyntaxError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(explain(self.text, &error)),
            // the parser ends with StreamEnd, after which nothing asks again
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The value that starts with `event`; `depth` collections are around it.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, SyntaxError> {
        let at = pos(span.start);
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(SyntaxError::too_many_nodes(at));
        }
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, tag) => (anchor, scalar(text, style, tag.as_deref(), at)?),
            Event::Alias(anchor) => return self.alias(anchor, at, depth),
            Event::SequenceStart(anchor, _) => {
                self.open(anchor, depth, at)?;
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        break;
                    }
                    items.push(self.node(event, span, depth + 1)?);
                }
                (anchor, Node { pos: at, value: Value::Seq(items), raw: None })
            }
            Event::MappingStart(anchor, _) => {
                self.open(anchor, depth, at)?;
                (anchor, Node { pos: at, value: self.mapping(depth)?, raw: None })
            }
            _ => return Err(SyntaxError::new(at, "YAML syntax error: a value was expected")),
        };
        if anchor != 0 {
            self.charge(&node)?;
            self.anchors.insert(anchor, Some(node.clone()));
        }
        Ok(node)
    }

    fn open(&mut self, anchor: usize, depth: usize, at: Pos) -> Result<(), SyntaxError> {
        if depth >= MAX_DEPTH {
            return Err(SyntaxError::too_deep(at));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, None);
        }
        Ok(())
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        let mut map = MapBuilder::default();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(map.finish());
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, None) if text == "<<");
            let key_pos = pos(span.start);
            let key = self.node(event, span, depth + 1)?;
            let key = if is_merge { "<<".to_owned() } else { self.key(key)? };
            if !is_merge {
                map.check(&key, key_pos)?;
            }
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if is_merge { map.merge(value)? } else { map.insert(key, key_pos, value) }
        }
    }

    /// A key as JSON has it: a string. What YAML reads as another scalar is written out, as sigs.k8s.io/yaml does.
    fn key(&mut self, node: Node) -> Result<String, SyntaxError> {
        let kind = node.kind();
        let key = match node.value {
            Value::Str(text) => return Ok(text),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => go_float(value),
            Value::Null | Value::BigInt(_) | Value::Seq(_) | Value::Map(_) => {
                return Err(SyntaxError::new(node.pos, format!("a key must be a string, found {kind}")));
            }
        };
        let raw = node.raw.as_deref().unwrap_or_default();
        if key != raw {
            self.notes.push((node.pos, format!("the key {raw} is the {kind} {key} in YAML; quote it: {raw:?}")));
        }
        Ok(key)
    }

    fn alias(&mut self, anchor: usize, at: Pos, depth: usize) -> Result<Node, SyntaxError> {
        let node = match self.anchors.get(&anchor) {
            Some(Some(node)) => node.clone(),
            Some(None) => return Err(SyntaxError::new(at, "the alias stands inside the value it refers to")),
            None => return Err(SyntaxError::new(at, "the alias refers to an anchor of another document")),
        };
        if depth + height(&node) > MAX_DEPTH {
            return Err(SyntaxError::too_deep(at));
        }
        self.charge(&node).map_err(|error| SyntaxError { pos: at, ..error })?;
        Ok(node)
    }

    fn charge(&mut self, node: &Node) -> Result<(), SyntaxError> {
        self.expanded = self.expanded.saturating_add(weight(node));
        if self.expanded > MAX_EXPANDED_BYTES {
            return Err(SyntaxError::new(
                node.pos,
                format!("anchors and aliases expand to more than {} MiB", MAX_EXPANDED_BYTES / 1024 / 1024),
            ));
        }
        Ok(())
    }
}

fn weight(node: &Node) -> usize {
    NODE_BYTES
        + match &node.value {
            Value::Str(text) => text.len(),
            Value::BigInt(text) => text.len(),
            Value::Seq(items) => items.iter().map(weight).sum(),
            Value::Map(entries) => {
                entries.iter().map(|entry| entry.key.len() + NODE_BYTES + weight(&entry.value)).sum()
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
        }
}

/// Collections from here downwards; the tree is at most [`MAX_DEPTH`] high, so this may recurse.
fn height(node: &Node) -> usize {
    match &node.value {
        Value::Seq(items) => 1 + items.iter().map(height).max().unwrap_or(0),
        Value::Map(entries) => 1 + entries.iter().map(|entry| height(&entry.value)).max().unwrap_or(0),
        _ => 0,
    }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>, at: Pos) -> Result<Node, SyntaxError> {
    let core = tag.filter(|tag| tag.handle == "tag:yaml.org,2002:").map(|tag| tag.suffix.as_str());
    let value = match (core, tag) {
        (None, None) if style == ScalarStyle::Plain => resolve(&text),
        (Some("binary"), _) => {
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(text.split_ascii_whitespace().collect::<String>())
                .map_err(|_| SyntaxError::new(at, "!!binary needs base64"))?;
            Value::Str(String::from_utf8(bytes).map_err(|_| SyntaxError::new(at, "!!binary is not UTF-8 text"))?)
        }
        (Some(kind @ ("bool" | "int" | "float" | "null")), _) => {
            let value = match (kind, resolve(&text)) {
                ("float", Value::Int(value)) => Value::Float(value as f64),
                (_, value) => value,
            };
            let fits = matches!(
                (kind, &value),
                ("bool", Value::Bool(_))
                    | ("int", Value::Int(_) | Value::BigInt(_))
                    | ("float", Value::Float(_))
                    | ("null", Value::Null)
            );
            if !fits {
                return Err(SyntaxError::new(at, format!("cannot read {text:?} as !!{kind}")));
            }
            value
        }
        // quoted, `!!str`, `!`, and tags nobody knows: text
        _ => Value::Str(text.clone().into_owned()),
    };
    let raw = if matches!(value, Value::Str(_)) { None } else { Some(text.into()) };
    Ok(Node { pos: at, value, raw })
}

pub(super) fn pos(mark: Marker) -> Pos {
    Pos {
        line: u32::try_from(mark.line()).unwrap_or(u32::MAX),
        column: u32::try_from(mark.col().saturating_add(1)).unwrap_or(u32::MAX),
    }
}
