//! Building one mapping: keys in the order of the file, none twice, and merge keys as go-yaml v2 applies them.

use std::collections::BTreeMap;

use super::SyntaxError;
use super::node::{Entry, Node, Pos, Value};

/// Mappings up to this size are searched from end to end, which beats a tree and needs no copy of the keys.
const LINEAR_KEYS: usize = 16;

#[derive(Default)]
pub(super) struct MapBuilder {
    entries: Vec<Entry>,
    /// Whether the entry of that index came from a merge key only, so that a key of the mapping itself may still follow.
    merged: Vec<bool>,
    index: BTreeMap<String, usize>,
}

impl MapBuilder {
    fn find(&self, key: &str) -> Option<usize> {
        if self.index.is_empty() {
            self.entries.iter().position(|entry| entry.key == key)
        } else {
            self.index.get(key).copied()
        }
    }

    /// Refuses a key that the mapping already has. To be asked before the value is read, so that the error comes in file order.
    pub fn check(&self, key: &str, key_pos: Pos) -> Result<(), SyntaxError> {
        match self.find(key) {
            Some(at) if !self.merged[at] => Err(SyntaxError::new(
                key_pos,
                format!("duplicate key {key:?}; it was first given on line {}", self.entries[at].key_pos.line),
            )),
            _ => Ok(()),
        }
    }

    /// Adds a key of the mapping itself; one that came from a merge key before is replaced.
    pub fn insert(&mut self, key: String, key_pos: Pos, value: Node) {
        self.put(Entry { key, key_pos, value }, false);
    }

    /// Applies `<<: value`. As go-yaml v2 does it, what is merged replaces keys that stand before the merge key, and of a sequence
    /// the earlier mappings win.
    pub fn merge(&mut self, value: Node) -> Result<(), SyntaxError> {
        let pos = value.pos;
        match value.value {
            Value::Map(entries) => entries.into_iter().for_each(|entry| self.put(entry, true)),
            Value::Seq(items) => {
                for item in items.into_iter().rev() {
                    let Value::Map(entries) = item.value else { return Err(not_a_map(item.pos)) };
                    entries.into_iter().for_each(|entry| self.put(entry, true));
                }
            }
            _ => return Err(not_a_map(pos)),
        }
        Ok(())
    }

    fn put(&mut self, entry: Entry, merged: bool) {
        if let Some(at) = self.find(&entry.key) {
            self.entries[at] = entry;
            self.merged[at] &= merged;
            return;
        }
        if !self.index.is_empty() {
            self.index.insert(entry.key.clone(), self.entries.len());
        }
        self.entries.push(entry);
        self.merged.push(merged);
        if self.index.is_empty() && self.entries.len() > LINEAR_KEYS {
            self.index = self.entries.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
        }
    }

    pub fn finish(self) -> Value {
        Value::Map(self.entries)
    }
}

fn not_a_map(pos: Pos) -> SyntaxError {
    SyntaxError::new(pos, "a merge key (<<) needs a mapping or a sequence of mappings")
}
