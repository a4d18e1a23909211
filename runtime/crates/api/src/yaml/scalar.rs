//! What a plain YAML scalar means to Kubernetes.
//!
//! Follows `resolve.go` of the go-yaml v2 fork inside sigs.k8s.io/yaml, which kubectl and the API server read manifests with: YAML
//! 1.1, so that `yes`, `on` and `n` are booleans and `0644` is octal. Does not own quoting: quoted scalars never come here.

use super::node::Value;

/// Resolves an untagged plain scalar.
pub(crate) fn resolve(text: &str) -> Value {
    let Some(first) = text.bytes().next() else { return Value::Null };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => resolve_word(text),
        b'.' | b'+' | b'-' | b'0'..=b'9' => resolve_number(text),
        _ => None,
    }
    .unwrap_or_else(|| Value::Str(text.to_owned()))
}

fn resolve_word(text: &str) -> Option<Value> {
    Some(match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::Bool(false),
        "~" | "null" | "Null" | "NULL" => Value::Null,
        _ => return None,
    })
}

fn resolve_number(text: &str) -> Option<Value> {
    match text {
        ".nan" | ".NaN" | ".NAN" => return Some(Value::Float(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(Value::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Some(Value::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    if text.starts_with('.') {
        return is_float(text).then(|| parse_finite(text)).flatten();
    }
    if is_timestamp_like(text) {
        return None; // a time.Time in Go, which the decoder hands on as the string it was
    }
    let plain = text.replace('_', "");
    integer(&plain).or_else(|| is_float(&plain).then(|| parse_finite(&plain)).flatten())
}

/// As `strconv.ParseInt(s, 0, 64)`, `ParseUint` and then `big.Int`: an optional sign, and `0x`, `0o`, `0b` or `0` for the base.
fn integer(plain: &str) -> Option<Value> {
    let (negative, digits) = match plain.as_bytes().first()? {
        b'-' => (true, &plain[1..]),
        b'+' => (false, &plain[1..]),
        _ => (false, plain),
    };
    let lower = digits.get(..2).map(str::to_ascii_lowercase);
    let (radix, digits) = match lower.as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some(_) if digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok();
    match magnitude.map(|m| if negative { -m } else { m }) {
        Some(value) if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value) => Some(Value::Int(value)),
        // the digits are only ever shown or refused, so that another base than ten need not be turned into ten
        _ => Some(Value::BigInt(plain.trim_start_matches('+').into())),
    }
}

/// The expression `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`.
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa_fits && exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)))
}

/// Go's ParseFloat refuses what overflows, and the scalar stays a string.
fn parse_finite(text: &str) -> Option<Value> {
    text.parse::<f64>().ok().filter(|f| f.is_finite()).map(Value::Float)
}

/// `2001-12-14` and longer forms: four digits, a hyphen, and only what dates are made of.
fn is_timestamp_like(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() > 4 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-'
}

/// A float as Go's encoding/json writes it.
pub(crate) fn go_float(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        // Rust writes 1e-7 and 1e21, Go 1e-7 and 1e+21
        return match text.split_once('e') {
            Some((mantissa, exponent)) if !exponent.starts_with('-') => format!("{mantissa}e+{exponent}"),
            _ => text,
        };
    }
    format!("{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        match resolve(text) {
            Value::Null => "null".into(),
            Value::Bool(b) => format!("bool {b}"),
            Value::Int(i) => format!("int {i}"),
            Value::BigInt(s) => format!("big {s}"),
            Value::Float(f) => format!("float {}", go_float(f)),
            Value::Str(s) => format!("str {s}"),
            Value::Seq(_) | Value::Map(_) => "collection".into(),
        }
    }

    #[test]
    fn words_are_yaml_1_1() {
        for text in ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"] {
            assert_eq!(show(text), "bool true", "{text}");
        }
        for text in ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"] {
            assert_eq!(show(text), "bool false", "{text}");
        }
        for text in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(show(text), "null", "{text}");
        }
        for text in ["yEs", "tRUE", "nULL", "nothing", "only", "~x"] {
            assert_eq!(show(text), format!("str {text}"));
        }
    }

    #[test]
    fn numbers_are_those_of_go() {
        for (text, want) in [
            ("0", "int 0"),
            ("0644", "int 420"),
            ("0o644", "int 420"),
            ("0x1F", "int 31"),
            ("-0x10", "int -16"),
            ("0b101", "int 5"),
            ("1_000", "int 1000"),
            ("+7", "int 7"),
            ("18446744073709551615", "int 18446744073709551615"),
            ("18446744073709551616", "big 18446744073709551616"),
            ("-9223372036854775809", "big -9223372036854775809"),
            ("08", "float 8"), // not octal, but a float to go-yaml
            ("1.5", "float 1.5"),
            ("1.", "float 1"),
            (".5", "float 0.5"),
            ("1e3", "float 1000"),
            ("1e21", "float 1e+21"),
            ("1e-7", "float 1e-7"),
            ("1e400", "str 1e400"),
            (".inf", "float inf"),
            ("-.INF", "float -inf"),
            ("1.2.3", "str 1.2.3"),
            ("100m", "str 100m"),
            ("1e", "str 1e"),
            ("-", "str -"),
            ("+", "str +"),
            (".", "str ."),
            ("0x", "str 0x"),
            ("2001-01-01", "str 2001-01-01"),
            ("12:30:45", "str 12:30:45"), // no base 60
            ("127.0.0.1", "str 127.0.0.1"),
        ] {
            assert_eq!(show(text), want, "{text}");
        }
    }
}
