//! Quantities as the API server reads and writes them.

use proptest::prelude::*;

use super::*;

fn canonical(text: &str) -> String {
    match Quantity::parse(text) {
        Ok(quantity) => quantity.to_string(),
        Err(ParseQuantityError::Format) => "format".into(),
        Err(ParseQuantityError::Suffix) => "suffix".into(),
    }
}

#[test]
fn canonical_forms() {
    for (text, want) in [
        ("0", "0"),
        ("-0", "0"),
        ("0Ki", "0"),
        ("1", "1"),
        ("0.5", "500m"),
        (".5", "500m"),
        ("5.", "5"),
        ("1000m", "1"),
        ("1024Ki", "1Mi"),
        ("1e9", "1e9"),
        ("1E9", "1e9"),
        ("12e6", "12e6"),
        ("1e3", "1e3"),
        ("1e2", "100"),
        ("1e-3", "1e-3"),
        ("1.5Gi", "1536Mi"),
        ("0.9Gi", "966367641600m"),
        ("0.5Ki", "512"),
        ("0.5", "500m"),
        ("0.1Ki", "102400m"),
        ("1023Ki", "1023Ki"),
        ("512Mi", "512Mi"),
        ("1025", "1025"),
        ("4000", "4k"),
        ("1500k", "1500k"),
        ("1E", "1E"),
        ("1Ei", "1Ei"),
        ("8Ei", "9223372036854775807"),
        ("99999999999999999999", "9223372036854775807"),
        ("1e30", "9223372036854775807"),
        ("0.0005", "500u"),
        ("1n", "1n"),
        ("0.0000000001", "1n"),
        ("0.1n", "1n"),
        ("1e-60", "1e-9"),
        ("-1", "-1"),
        ("-1.5Gi", "-1536Mi"),
        ("+1", "1"),
        ("007", "7"),
        ("", "format"),
        (" 1", "format"),
        ("m", "format"),
        ("-", "format"),
        ("10MB", "format"),
        ("1.2.3", "format"),
        ("1 Gi", "format"),
        ("ten", "format"),
        ("1e400", "format"),
        ("1e99999999999999999999", "format"),
        ("10Mm", "suffix"),
        ("1KI", "format"),
        ("1ki", "suffix"),
        ("1K", "suffix"),
        ("1e", "suffix"),
        ("1mi", "suffix"),
        ("1k3", "suffix"),
    ] {
        assert_eq!(canonical(text), want, "{text}");
    }
}

#[test]
fn long_texts_are_cheap_and_capped() {
    assert_eq!(canonical(&"9".repeat(1_000_000)), "9223372036854775807");
    assert_eq!(canonical(&format!("1.{}1", "0".repeat(1_000_000))), "1000000001n");
    assert_eq!(canonical(&format!("{}1", "0".repeat(1_000_000))), "1");
}

#[test]
fn values_round_up() {
    let of = |text: &str| Quantity::parse(text).map(|q| (q.value(), q.millis())).ok();
    assert_eq!(of("100m"), Some((1, 100)));
    assert_eq!(of("1.0001"), Some((2, 1001)));
    assert_eq!(of("-1500m"), Some((-1, -1500)));
    assert_eq!(of("8Ei"), Some((i64::MAX, i64::MAX)));
    assert_eq!(Quantity::parse("0.0005").map(|q| q.round_up_to_millis().to_string()), Ok("1m".into()));
}

#[test]
fn arithmetic_is_checked() {
    let max = Quantity::from_units(i64::MAX);
    assert_eq!(max.checked_add(&Quantity::from_units(1)), None);
    assert_eq!(Quantity::from_millis(500).checked_add(&Quantity::from_millis(500)), Some(Quantity::from_units(1)));
    let sum = Quantity::ZERO.checked_add(&Quantity::from_bytes(2048)).map(|q| q.to_string());
    assert_eq!(sum.as_deref(), Some("2Ki"));
    assert_eq!(Quantity::from_units(1).checked_sub(&Quantity::from_units(3)), Some(Quantity::from_units(-2)));
}

proptest! {
    #[test]
    fn parse_never_panics(text in "[-+]?[0-9.]{0,40}[a-zA-Z]{0,3}[-+]?[0-9]{0,6}") {
        let _ = Quantity::parse(&text);
    }

    #[test]
    fn canonical_form_is_a_fixed_point(number in 0u64..1_000_000_000_000, fraction in 0u32..1_000_000, suffix in "(n|u|m||k|M|G|Ki|Mi|Gi|e3|e-2|E2)") {
        let quantity = Quantity::parse(&format!("{number}.{fraction:06}{suffix}")).unwrap();
        let again = Quantity::parse(&quantity.to_string()).unwrap();
        prop_assert_eq!(quantity, again);
        prop_assert_eq!(quantity.to_string(), again.to_string());
    }

    #[test]
    fn order_is_that_of_the_numbers(a in -1_000_000i64..1_000_000, b in -1_000_000i64..1_000_000) {
        let (x, y) = (Quantity::parse(&format!("{a}m")).unwrap(), Quantity::from_millis(b));
        prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        prop_assert_eq!(x.checked_add(&y), Some(Quantity::from_millis(a + b)));
        prop_assert_eq!(x.millis(), a);
    }

    #[test]
    fn binary_fractions_are_exact(tenths in 0i64..1000, suffix in 0usize..4) {
        let factor = 1i128 << (10 * (suffix + 1));
        let text = format!("{}.{}{}", tenths / 10, tenths % 10, ["Ki", "Mi", "Gi", "Ti"][suffix]);
        let nanos = i128::from(tenths) * factor * 100_000_000;
        prop_assert_eq!(Quantity::parse(&text).unwrap().nanos, nanos);
    }
}
