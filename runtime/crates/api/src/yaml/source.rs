//! The bytes of a file before any syntax: their size, their encoding, and characters that no manifest may hold.

use super::node::Pos;
use super::{MAX_INPUT_BYTES, SyntaxError};

/// The text of a file, without a byte order mark.
pub(super) fn text(bytes: &[u8]) -> Result<&str, SyntaxError> {
    let start = Pos { line: 1, column: 1 };
    if bytes.len() > MAX_INPUT_BYTES {
        return Err(SyntaxError::new(
            start,
            format!(
                "the file has {} bytes; the limit is {MAX_INPUT_BYTES}, as for a request to the API server",
                bytes.len()
            ),
        ));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(SyntaxError::new(start, "the file is UTF-16").help("save it as UTF-8"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let byte = bytes.get(at).copied().unwrap_or_default();
        // what is before the wrong byte was just found to be valid
        let before = std::str::from_utf8(&bytes[..at]).unwrap_or_default();
        SyntaxError::new(position(before), format!("byte 0x{byte:02x} is not UTF-8")).help("save the file as UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let unprintable = |c: char| (c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r')) || c == '\u{feff}';
    if let Some(at) = text.find(unprintable) {
        let c = text[at..].chars().next().unwrap_or_default();
        let message = match c {
            '\0' => "NUL character".to_owned(),
            '\u{feff}' => "byte order mark in the middle of the file".to_owned(),
            _ => format!("control character U+{:04X}", u32::from(c)),
        };
        return Err(SyntaxError::new(position(&text[..at]), message)
            .help("remove it or write it as an escape in double quotes"));
    }
    Ok(text)
}

/// The place just behind `before`.
pub(super) fn position(before: &str) -> Pos {
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    Pos { line: u32::try_from(line).unwrap_or(u32::MAX), column: u32::try_from(column).unwrap_or(u32::MAX) }
}
