//! The tree that a manifest is read into: values as JSON knows them, each with its place in the file.
//!
//! Owns the shape of the tree and the way to find a field path in it. Does not own reading (`compose`, `json`).

/// A place in the file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Pos {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A value and where it starts.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub pos: Pos,
    pub value: Value,
    /// What stood in the file, for scalars that are not strings: a message that says "quote it" shows it.
    pub raw: Option<Box<str>>,
}

/// The values of JSON, with integers kept exact.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// Any integer in the range of `i64` or `u64`.
    Int(i128),
    /// An integer beyond that, as its decimal digits.
    BigInt(Box<str>),
    Float(f64),
    Str(String),
    Seq(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub key: String,
    pub key_pos: Pos,
    pub value: Node,
}

impl Node {
    /// The name of the kind of value, as messages say it.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Int(_) | Value::BigInt(_) => "integer",
            Value::Float(_) => "number",
            Value::Str(_) => "string",
            Value::Seq(_) => "array",
            Value::Map(_) => "object",
        }
    }

    /// The entries, if this is a mapping.
    pub fn entries(&self) -> &[Entry] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The entry of that name, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value of that name if it is a string.
    pub fn str(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.value.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Where `path` (`spec.containers[0].env[1].name`, `metadata.labels[app]`) is in the file, or, as far as the path exists, its
    /// nearest ancestor. A scalar's place is that of its value; a collection's is that of its key, as the value often starts on a
    /// later line.
    pub fn locate(&self, path: &str) -> Pos {
        self.walk(path).0
    }

    /// Whether the file has the whole of `path`.
    pub fn has(&self, path: &str) -> bool {
        self.walk(path).1
    }

    /// The place of [`Self::locate`], and whether it is that of the path itself.
    fn walk(&self, path: &str) -> (Pos, bool) {
        let mut node = self;
        let mut pos = self.pos;
        for segment in Segments(path) {
            let found = match (segment, &node.value) {
                (Segment::Name(name), Value::Map(_)) => node.get(name),
                (Segment::Bracket(text), Value::Map(_)) => node.get(text),
                (Segment::Bracket(text), Value::Seq(items)) => {
                    match text.parse::<usize>().ok().and_then(|i| items.get(i)) {
                        Some(item) => {
                            node = item;
                            pos = item.pos;
                            continue;
                        }
                        None => None,
                    }
                }
                _ => None,
            };
            let Some(entry) = found else { return (pos, false) };
            node = &entry.value;
            pos = if matches!(node.value, Value::Seq(_) | Value::Map(_) | Value::Null) {
                entry.key_pos
            } else {
                node.pos
            };
        }
        (pos, true)
    }
}

/// One step of a field path.
#[derive(Debug, PartialEq, Eq)]
enum Segment<'a> {
    Name(&'a str),
    Bracket(&'a str),
}

/// Splits a field path in Kubernetes' notation.
struct Segments<'a>(&'a str);

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        self.0 = self.0.strip_prefix('.').unwrap_or(self.0);
        if self.0.is_empty() {
            return None;
        }
        if let Some(rest) = self.0.strip_prefix('[') {
            let end = rest.find(']').unwrap_or(rest.len());
            let (text, tail) = rest.split_at(end);
            self.0 = tail.strip_prefix(']').unwrap_or(tail);
            return Some(Segment::Bracket(text));
        }
        let end = self.0.find(['.', '[']).unwrap_or(self.0.len());
        let (name, tail) = self.0.split_at(end);
        self.0 = tail;
        Some(Segment::Name(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split() {
        let parts: Vec<_> = Segments("spec.overhead[a.b/c].x[3]").collect();
        assert_eq!(
            parts,
            [
                Segment::Name("spec"),
                Segment::Name("overhead"),
                Segment::Bracket("a.b/c"),
                Segment::Name("x"),
                Segment::Bracket("3")
            ]
        );
        assert_eq!(Segments("").count(), 0);
        assert_eq!(Segments("[").count(), 1);
    }
}
