//! Quantities against schoolbook arithmetic: an amount is a list of decimal digits here, doubled and shifted one digit at a time, so
//! that nothing of the real reader's care for overflow and rounding is repeated. What is written is read again.

use std::cmp::Ordering;

use arbitrary::{Arbitrary, Result, Unstructured};
use wasmpod_api::Quantity;
use wasmpod_api::quantity::{MAX_EXPONENT, ParseQuantityError};

/// 2^63-1 in nanos, the largest amount.
const MAX_NANOS: i128 = i64::MAX as i128 * 1_000_000_000;
/// More quantities than this in one input show nothing more.
const TEXTS: usize = 6;
const SUFFIXES: [&str; 26] = [
    "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e0", "e3", "E9", "e-9",
    "e64", "e-64", "e65", "K", "mi", "e",
];

/// Reads, writes, compares and adds the quantities that the bytes describe.
///
/// # Panics
/// If a quantity is not what the model says.
pub fn run(data: &[u8]) {
    let texts = texts(&mut Unstructured::new(data)).unwrap_or_default();
    let amounts: Vec<(Quantity, Amount)> = texts.iter().filter_map(|text| read(text)).collect();
    for (at, (x, a)) in amounts.iter().enumerate() {
        for (y, b) in &amounts[at..] {
            two(x, a, y, b);
        }
    }
}

fn texts(u: &mut Unstructured<'_>) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    while !u.is_empty() && texts.len() < TEXTS {
        texts.push(text(u)?);
    }
    Ok(texts)
}

fn text(u: &mut Unstructured<'_>) -> Result<String> {
    if u.ratio(1, 8)? {
        return String::arbitrary(u);
    }
    let mut text = String::from(*u.choose(&["", "", "-", "+"])?);
    digits(u, &mut text)?;
    if u.arbitrary()? {
        text.push('.');
        digits(u, &mut text)?;
    }
    if u.ratio(1, 4)? {
        text += &format!("{}{}", u.choose(&["e", "E"])?, u.int_in_range(-70..=70)?);
    } else {
        text += u.choose(&SUFFIXES)?;
    }
    Ok(text)
}

/// Some digits, at times many: the same one over and over, which is where carries are.
fn digits(u: &mut Unstructured<'_>, text: &mut String) -> Result<()> {
    for _ in 0..u.int_in_range(0..=3)? {
        let digit = char::from(b'0' + u.int_in_range(0..=9)?);
        let times = if u.arbitrary()? { 1 } else { u.int_in_range(0..=60)? };
        text.extend(std::iter::repeat_n(digit, times));
    }
    Ok(())
}

/// How an amount was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Decimal,
    Binary,
    Exponent,
}

/// An amount as the model has it.
#[derive(Debug, Clone, Copy)]
struct Amount {
    nanos: i128,
    form: Form,
}

fn read(text: &str) -> Option<(Quantity, Amount)> {
    let (real, model) = (Quantity::parse(text), Amount::read(text));
    match (real, model) {
        (Ok(real), Ok(model)) => {
            one(text, &real, &model);
            Some((real, model))
        }
        (real, model) => {
            assert_eq!(real.map(|q| q.to_string()), model.map(|a| a.write()), "{text:?}");
            None
        }
    }
}

fn one(text: &str, real: &Quantity, model: &Amount) {
    let shown = real.to_string();
    assert_eq!(shown, model.write(), "{text:?}");
    let again =
        Quantity::parse(&shown).unwrap_or_else(|e| panic!("{text:?} is shown as {shown:?}, which is refused: {e}"));
    assert_eq!((&again, again.to_string()), (real, shown), "{text:?} changes when it is written and read");
    assert_eq!(i128::from(real.value()), model.rounded_up(1_000_000_000), "{text:?} in units");
    let millis = model.rounded_up(1_000_000).clamp(i64::MIN.into(), i64::MAX.into());
    assert_eq!(i128::from(real.millis()), millis, "{text:?} in thousandths");
    assert_eq!(
        (real.is_zero(), real.is_negative(), real.is_integer()),
        (model.nanos == 0, model.nanos < 0, model.nanos % 1_000_000_000 == 0),
        "{text:?}"
    );
    let up = if model.nanos < 0 { -model.negated().rounded_up(1_000_000) } else { model.rounded_up(1_000_000) };
    let up = Amount { nanos: (up * 1_000_000).clamp(-MAX_NANOS, MAX_NANOS), ..*model };
    assert_eq!(real.round_up_to_millis().to_string(), up.write(), "{text:?} rounded to thousandths");
}

fn two(x: &Quantity, a: &Amount, y: &Quantity, b: &Amount) {
    assert_eq!(x.cmp(y), a.nanos.cmp(&b.nanos), "{a:?} to {b:?}");
    assert_eq!(x == y, x.cmp(y) == Ordering::Equal);
    let sum = |nanos: i128| {
        let form = if a.nanos == 0 { b.form } else { a.form };
        (nanos.abs() <= MAX_NANOS).then(|| Amount { nanos, form }.write())
    };
    assert_eq!(x.checked_add(y).map(|q| q.to_string()), sum(a.nanos + b.nanos), "{a:?} + {b:?}");
    assert_eq!(x.checked_sub(y).map(|q| q.to_string()), sum(a.nanos - b.nanos), "{a:?} - {b:?}");
}

impl Amount {
    fn read(text: &str) -> std::result::Result<Self, ParseQuantityError> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let number: String = unsigned.chars().take_while(|c| matches!(c, '0'..='9' | '.')).collect();
        let suffix = &unsigned[number.len()..];
        let mut after = suffix.trim_start_matches(['e', 'E', 'i', 'n', 'u', 'm', 'k', 'K', 'M', 'G', 'T', 'P']);
        after = after.strip_prefix(['-', '+']).unwrap_or(after);
        if number.is_empty() || number.matches('.').count() > 1 || after.contains(|c: char| !c.is_ascii_digit()) {
            return Err(ParseQuantityError::Format);
        }
        let (form, tens, twos) = scale_of(suffix)?;
        let fraction = number.split_once('.').map_or("", |(_, fraction)| fraction);
        let digits = number.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
        let magnitude = nanos(digits, tens + 9 - fraction.len() as i64, twos);
        let form = if form == Form::Binary && magnitude < 1_000_000_000 { Form::Decimal } else { form };
        Ok(Self { nanos: if text.starts_with('-') { -magnitude } else { magnitude }, form })
    }

    fn negated(self) -> Self {
        Self { nanos: -self.nanos, ..self }
    }

    fn rounded_up(self, step: i128) -> i128 {
        let down = self.nanos / step; // towards zero
        if down * step < self.nanos { down + 1 } else { down }
    }

    fn write(self) -> String {
        let Self { nanos, form } = self;
        let sign = if nanos < 0 { "-" } else { "" };
        let mut digits = nanos.unsigned_abs().to_string();
        let mut units = nanos.unsigned_abs() / 1_000_000_000;
        if nanos == 0 {
            return "0".into();
        }
        if form == Form::Binary && units >= 1024 && digits.ends_with("000000000") {
            let mut suffixes = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].into_iter();
            let mut suffix = suffixes.next();
            while units % 1024 == 0 {
                (units, suffix) = (units / 1024, suffixes.next());
            }
            return format!("{sign}{units}{}", suffix.expect("2^63 is 8Ei"));
        }
        let mut thousands: i32 = -3;
        while thousands < 6 && digits.ends_with("000") {
            digits.truncate(digits.len() - 3);
            thousands += 1;
        }
        match (form, thousands) {
            (Form::Exponent, 0) => format!("{sign}{digits}"),
            (Form::Exponent, _) => format!("{sign}{digits}e{}", thousands * 3),
            _ => {
                format!("{sign}{digits}{}", ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"][(thousands + 3) as usize])
            }
        }
    }
}

/// What a suffix says: how it is shown, the power of ten and the power of two.
fn scale_of(suffix: &str) -> std::result::Result<(Form, i64, u32), ParseQuantityError> {
    let decimal = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"].iter().position(|known| *known == suffix);
    if let Some(at) = decimal {
        return Ok((Form::Decimal, at as i64 * 3 - 9, 0));
    }
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].iter().position(|known| *known == suffix);
    if let Some(at) = binary {
        return Ok((Form::Binary, 0, at as u32 * 10 + 10));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(ParseQuantityError::Suffix)?;
    let unsigned = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    if unsigned.is_empty() || unsigned.contains(|c: char| !c.is_ascii_digit()) {
        return Err(ParseQuantityError::Suffix);
    }
    match unsigned.trim_start_matches('0').parse().unwrap_or(if unsigned.contains(|c| c != '0') { i64::MAX } else { 0 })
    {
        large if large > MAX_EXPONENT => Err(ParseQuantityError::Format),
        small => Ok((Form::Exponent, if exponent.starts_with('-') { -small } else { small }, 0)),
    }
}

/// `digits × 10^tens × 2^twos`, rounded up, at most the cap.
fn nanos(mut digits: Vec<u8>, tens: i64, twos: u32) -> i128 {
    for _ in 0..twos {
        let mut carry = 0;
        for digit in digits.iter_mut().rev() {
            let doubled = *digit * 2 + carry;
            (*digit, carry) = (doubled % 10, doubled / 10);
        }
        if carry > 0 {
            digits.insert(0, carry);
        }
    }
    let mut up = false;
    for _ in tens..0 {
        up |= digits.pop().is_some_and(|digit| digit != 0);
    }
    digits.extend((0..tens).map(|_| 0));
    let digits = &digits[digits.iter().position(|digit| *digit != 0).unwrap_or(digits.len())..];
    if digits.len() > 30 {
        return MAX_NANOS; // the cap has 28
    }
    let value = digits.iter().fold(0, |value, digit| value * 10 + i128::from(*digit));
    (value + i128::from(up)).min(MAX_NANOS)
}
