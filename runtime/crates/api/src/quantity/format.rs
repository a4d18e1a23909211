//! The text of a quantity, in both directions.

use std::fmt;

use super::{Format, MAX_EXPONENT, MAX_NANOS, NANOS, ParseQuantityError, Quantity};

/// Numbers of this many digits before the point are above the cap (2^63-1 has 19).
const CAPPED_DIGITS: i64 = 20;

/// Digits behind the point that are looked at one by one; what follows can only mean "round up", whatever the exponent.
const MAX_FRACTION: usize = MAX_EXPONENT as usize + 9;

pub(super) fn parse(text: &str) -> Result<Quantity, ParseQuantityError> {
    let (negative, rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let digits_end = |s: &str| s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
    let (whole, rest) = rest.split_at(digits_end(rest));
    let (fraction, suffix, point) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (fraction, suffix) = rest.split_at(digits_end(rest));
            (fraction, suffix, true)
        }
        None => ("", rest, false),
    };
    if whole.is_empty() && !point {
        return Err(ParseQuantityError::Format);
    }
    check_suffix_form(suffix)?;
    let (base, exponent, format) = interpret(suffix)?;
    let magnitude = magnitude(whole.trim_start_matches('0'), fraction, base, exponent);
    let format =
        if format == Format::BinarySi && magnitude > 0 && magnitude < NANOS { Format::DecimalSi } else { format };
    Ok(Quantity { nanos: if negative { -magnitude } else { magnitude }, format })
}

/// The second half of the expression in [`ParseQuantityError::Format`].
fn check_suffix_form(suffix: &str) -> Result<(), ParseQuantityError> {
    let rest = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    if rest.bytes().all(|b| b.is_ascii_digit()) { Ok(()) } else { Err(ParseQuantityError::Format) }
}

/// Base (10 or 2), exponent to that base, and format of a suffix.
fn interpret(suffix: &str) -> Result<(i128, i64, Format), ParseQuantityError> {
    let decimal = |exponent| Ok((10, exponent, Format::DecimalSi));
    let binary = |exponent| Ok((2, exponent, Format::BinarySi));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let digits = suffix.strip_prefix(['e', 'E']).ok_or(ParseQuantityError::Suffix)?;
            let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
            if unsigned.is_empty() || !unsigned.bytes().all(|b| b.is_ascii_digit()) {
                return Err(ParseQuantityError::Suffix);
            }
            match digits.parse::<i64>() {
                Ok(exponent) if exponent.abs() <= MAX_EXPONENT => Ok((10, exponent, Format::DecimalExponent)),
                _ => Err(ParseQuantityError::Format),
            }
        }
    }
}

/// `whole.fraction × base^exponent` in nanos, rounded up, at most the cap.
fn magnitude(whole: &str, fraction: &str, base: i128, exponent: i64) -> i128 {
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() && fraction.is_empty() {
        return 0;
    }
    // value = digits × 10^shift [× 2^exponent], in nanos
    let mut shift = if base == 10 { exponent + 9 } else { 9 };
    let digits = i64::try_from(whole.len()).unwrap_or(i64::MAX);
    if digits.saturating_add(if base == 10 { exponent } else { 0 }) >= CAPPED_DIGITS && digits > 0 {
        return MAX_NANOS;
    }
    let kept = &fraction[..fraction.len().min(MAX_FRACTION)];
    let mut inexact = kept.len() < fraction.len();
    shift -= i64::try_from(kept.len()).unwrap_or(i64::MAX);
    // Digits are taken one by one, so that any number of them costs no memory; a leftover beyond the arithmetic is either above the
    // cap or, behind the point, only says "round up".
    let mut value: i128 = 0;
    let mut digits = whole.bytes().chain(kept.bytes());
    for digit in digits.by_ref() {
        let Some(next) = value.checked_mul(10).and_then(|v| v.checked_add(i128::from(digit - b'0'))) else {
            inexact |= digit != b'0';
            shift += 1;
            break;
        };
        value = next;
    }
    for digit in digits {
        inexact |= digit != b'0';
        shift += 1;
    }
    for _ in 0..shift.max(0) {
        value = value.saturating_mul(10);
    }
    let twos = if base == 2 { exponent } else { 0 };
    scale(value, (-shift).max(0), twos, inexact)
}

/// `value × 2^twos / 10^tens`, rounded once, at the end. Multiplies while there is room and divides when there is none, so that the
/// digits that are lost are those that do not matter.
fn scale(mut value: i128, mut tens: i64, mut twos: i64, mut inexact: bool) -> i128 {
    while twos > 0 || tens > 0 {
        if twos > 0 && value <= i128::MAX / 2 {
            value *= 2;
            twos -= 1;
        } else if tens > 0 {
            inexact |= value % 10 != 0;
            value /= 10;
            tens -= 1;
        } else {
            return MAX_NANOS;
        }
    }
    value.saturating_add(i128::from(inexact)).min(MAX_NANOS)
}

pub(super) fn write(quantity: &Quantity, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let nanos = quantity.nanos;
    if nanos == 0 {
        return f.write_str("0");
    }
    let binary = quantity.format == Format::BinarySi && nanos.abs() >= 1024 * NANOS && nanos % NANOS == 0;
    if binary {
        let mut value = nanos / NANOS;
        let mut power = 0;
        while value % 1024 == 0 && power < 6 {
            value /= 1024;
            power += 1;
        }
        return write!(f, "{value}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power]);
    }
    let mut value = nanos;
    let mut power = 0;
    while value % 1000 == 0 && power < 9 {
        value /= 1000;
        power += 1;
    }
    match quantity.format {
        Format::DecimalExponent => match 3 * (i64::try_from(power).unwrap_or(0) - 3) {
            0 => write!(f, "{value}"),
            exponent => write!(f, "{value}e{exponent}"),
        },
        Format::DecimalSi | Format::BinarySi => {
            write!(f, "{value}{}", ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][power])
        }
    }
}
