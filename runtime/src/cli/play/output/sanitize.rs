//! What a program says must not steer the user's terminal: moving its cursor, changing its title or answering for the user.
//! Follows the fix of CVE-2021-25743 in kubectl: control characters are shown, not sent. Piped output is passed as it is.

use std::borrow::Cow;
use std::fmt::Write;

/// `line` for a terminal: control characters but tab become `\x1b`, `\r` and so on, and bytes that are not UTF-8 `\xff`. One
/// carriage return at the end goes, as the line's end is ours.
pub fn for_terminal(line: &[u8]) -> Cow<'_, str> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if let Ok(text) = std::str::from_utf8(line)
        && !text.chars().any(is_unsafe)
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(line.len() + 16);
    for chunk in line.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\r' => out.push_str("\\r"),
                '\n' => out.push_str("\\n"),
                c if is_unsafe(c) && u32::from(c) < 0x100 => push_byte(&mut out, u32::from(c)),
                c if is_unsafe(c) => {
                    let _ = write!(out, "\\u{{{:x}}}", u32::from(c)); // writing to a String cannot fail
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            push_byte(&mut out, u32::from(*byte));
        }
    }
    Cow::Owned(out)
}

/// Text of wasmpod's own that may quote a program or a manifest, for a terminal: its line breaks stay.
pub fn message_for_terminal(text: &str) -> String {
    text.split('\n').map(|line| for_terminal(line.as_bytes()).into_owned()).collect::<Vec<_>>().join("\n")
}

/// C0 but tab, DEL, C1, and the characters that turn the direction of what follows (CVE-2021-42574).
fn is_unsafe(c: char) -> bool {
    (c.is_control() && c != '\t') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn push_byte(out: &mut String, byte: u32) {
    let _ = write!(out, "\\x{byte:02x}"); // writing to a String cannot fail
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_shown() {
        for (line, shown) in [
            (&b"plain \t text \xc3\xa9"[..], "plain \t text é"),
            (b"\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
            (b"50%\r100%\r", "50%\\r100%"),
            (b"\xff\xfe", "\\xff\\xfe"),
            (b"\xc2\x9b31m", "\\x9b31m"),
            ("a\u{202e}b".as_bytes(), "a\\u{202e}b"),
            (b"", ""),
        ] {
            assert_eq!(for_terminal(line), shown);
        }
        assert_eq!(message_for_terminal("a\nb\x1b"), "a\nb\\x1b");
    }

    #[test]
    fn nothing_unsafe_is_left_of_any_bytes() {
        for byte in 0..=255u8 {
            for line in [vec![byte], vec![b'a', byte, b'b'], vec![0xc2, byte], vec![0xe2, 0x80, byte]] {
                let shown = for_terminal(&line);
                assert!(!shown.chars().any(is_unsafe), "{line:?} gives {shown:?}");
            }
        }
    }
}
