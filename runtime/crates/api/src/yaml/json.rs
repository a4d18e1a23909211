//! JSON (RFC 8259) into the same tree.
//!
//! Almost all JSON is YAML, but surrogate pairs are not, and `0644` means another thing. What Go's encoding/json is lenient about
//! (a lone surrogate becomes U+FFFD) is read the same way here.

use super::map::MapBuilder;
use super::node::{Node, Pos, Value};
use super::{MAX_DEPTH, MAX_DOCUMENTS, MAX_NODES, SyntaxError};

/// All values of a text; several may follow each other with nothing but white space between.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let mut reader = Reader { rest: text, line: 1, column: 1, nodes: 0 };
    let mut documents = Vec::new();
    loop {
        reader.skip_space();
        if reader.rest.is_empty() {
            return Ok(documents);
        }
        if documents.len() >= MAX_DOCUMENTS {
            return Err(SyntaxError::too_many_documents(reader.pos()));
        }
        documents.push(reader.value(0)?);
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: u32,
    column: u32,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn pos(&self) -> Pos {
        Pos { line: self.line, column: self.column }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.line = self.line.saturating_add(1);
            self.column = 1;
        } else {
            self.column = self.column.saturating_add(1);
        }
        Some(c)
    }

    fn skip(&mut self, characters: usize) {
        for _ in 0..characters {
            self.bump();
        }
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.bump();
        }
    }

    fn unexpected(&self, wanted: &str) -> SyntaxError {
        let found = match self.peek() {
            Some(c) => format!("{c:?}"),
            None => "the end of the file".to_owned(),
        };
        SyntaxError::new(self.pos(), format!("JSON syntax error: expected {wanted}, found {found}"))
    }

    fn value(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        let at = self.pos();
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(SyntaxError::too_many_nodes(at));
        }
        if depth >= MAX_DEPTH && matches!(self.peek(), Some('{' | '[')) {
            return Err(SyntaxError::too_deep(at));
        }
        let (value, raw) = match self.peek() {
            Some('{') => (self.object(depth)?, None),
            Some('[') => (self.array(depth)?, None),
            Some('"') => (Value::Str(self.string()?), None),
            Some('-' | '0'..='9') => {
                let (value, raw) = self.number()?;
                (value, Some(raw))
            }
            _ => {
                let (word, value) = [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)]
                    .into_iter()
                    .find(|(word, _)| self.rest.starts_with(word))
                    .ok_or_else(|| self.unexpected("a value"))?;
                self.skip(word.len());
                (value, Some(word))
            }
        };
        Ok(Node { pos: at, value, raw: raw.map(Into::into) })
    }

    fn object(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.bump();
        let mut map = MapBuilder::default();
        self.skip_space();
        if self.peek() == Some('}') {
            self.bump();
            return Ok(map.finish());
        }
        loop {
            self.skip_space();
            let key_pos = self.pos();
            if self.peek() != Some('"') {
                return Err(self.unexpected("a key in double quotes"));
            }
            let key = self.string()?;
            map.check(&key, key_pos)?;
            self.skip_space();
            if self.peek() != Some(':') {
                return Err(self.unexpected("':'"));
            }
            self.bump();
            self.skip_space();
            let value = self.value(depth + 1)?;
            map.insert(key, key_pos, value);
            self.skip_space();
            match self.peek() {
                Some(',') => self.skip(1),
                Some('}') => {
                    self.bump();
                    return Ok(map.finish());
                }
                _ => return Err(self.unexpected("',' or '}'")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, SyntaxError> {
        self.bump();
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(']') {
            self.bump();
            return Ok(Value::Seq(items));
        }
        loop {
            self.skip_space();
            items.push(self.value(depth + 1)?);
            self.skip_space();
            match self.peek() {
                Some(',') => self.skip(1),
                Some(']') => {
                    self.bump();
                    return Ok(Value::Seq(items));
                }
                _ => return Err(self.unexpected("',' or ']'")),
            }
        }
    }

    fn number(&mut self) -> Result<(Value, &'a str), SyntaxError> {
        let text = self.rest;
        let whole = self.rest.len();
        if self.peek() == Some('-') {
            self.bump();
        }
        let leading_zero = self.peek() == Some('0');
        let digits = self.digits()?;
        if leading_zero && digits > 1 {
            return Err(SyntaxError::new(self.pos(), "JSON syntax error: a number may not start with 0"));
        }
        let mut integral = true;
        if self.peek() == Some('.') {
            integral = false;
            self.bump();
            self.digits()?;
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            integral = false;
            self.bump();
            if matches!(self.peek(), Some('+' | '-')) {
                self.bump();
            }
            self.digits()?;
        }
        let raw = &text[..whole - self.rest.len()];
        let value = match raw.parse::<i128>() {
            Ok(n) if integral && (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&n) => Value::Int(n),
            _ => match raw.parse::<f64>() {
                Ok(f) if !integral && f.is_finite() => Value::Float(f),
                _ => Value::BigInt(raw.into()),
            },
        };
        Ok((value, raw))
    }

    fn digits(&mut self) -> Result<usize, SyntaxError> {
        let before = self.rest.len();
        while matches!(self.peek(), Some('0'..='9')) {
            self.bump();
        }
        let count = before - self.rest.len();
        if count == 0 { Err(self.unexpected("a digit")) } else { Ok(count) }
    }

    fn string(&mut self) -> Result<String, SyntaxError> {
        let start = self.pos();
        self.bump();
        let mut out = String::new();
        loop {
            let at = self.pos();
            match self.bump() {
                None | Some('\n') => {
                    return Err(
                        SyntaxError::new(start, "the string that starts here does not end").help("close the quote")
                    );
                }
                Some('"') => return Ok(out),
                Some('\\') => {
                    let escaped =
                        self.escape().ok_or_else(|| SyntaxError::new(at, "JSON syntax error: invalid escape"))?;
                    out.push(escaped);
                }
                Some(c) if c.is_ascii_control() => {
                    return Err(SyntaxError::new(
                        at,
                        format!("control character U+{:04X} in a JSON string", u32::from(c)),
                    ));
                }
                Some(c) => out.push(c),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.bump()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let first = self.hex4()?;
                if (0xd800..0xdc00).contains(&first) && self.rest.starts_with("\\u") {
                    let digits = self.rest.get(2..6).filter(|s| s.bytes().all(|b| b.is_ascii_hexdigit()))?;
                    let second = u32::from_str_radix(digits, 16).ok()?;
                    if (0xdc00..0xe000).contains(&second) {
                        self.skip(6);
                        return char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00));
                    }
                }
                char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            c @ ('"' | '\\' | '/') => c,
            _ => return None,
        })
    }

    fn hex4(&mut self) -> Option<u32> {
        let digits = self.rest.get(..4).filter(|s| s.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let value = u32::from_str_radix(digits, 16).ok();
        self.skip(4);
        value
    }
}
