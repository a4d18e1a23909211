//! Durations, sizes and rates as Chaos Mesh writes them. Pure.

use std::time::Duration;

use super::Size;

/// A year: what is longer is a mistake in the unit.
const MAX_NANOS: f64 = 365.0 * 86_400.0 * 1e9;

/// A duration of Go (`time.ParseDuration`): `300ms`, `-1.5h`, `2h45m`. In nanoseconds.
///
/// # Errors
/// The sentence for the user.
pub fn signed_duration(text: &str) -> Result<i64, String> {
    let wrong = || format!("Invalid value: {text:?}: expected a duration such as 300ms, 1.5s or 2h45m");
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    let mut nanos = 0.0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (digits, tail) = rest.split_at(number);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let scale = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(wrong()),
        };
        nanos += digits.parse::<f64>().map_err(|_| wrong())? * scale;
        rest = tail;
    }
    if !(0.0..=MAX_NANOS).contains(&nanos) {
        return Err(format!("Invalid value: {text:?}: longer than a year"));
    }
    // below 2^55, so that this is exact to some nanoseconds
    let nanos = nanos.round() as i64;
    Ok(if negative { -nanos } else { nanos })
}

/// A duration that is not negative.
///
/// # Errors
/// The sentence for the user.
pub fn duration(text: &str) -> Result<Duration, String> {
    let nanos = signed_duration(text)?;
    let nanos = u64::try_from(nanos).map_err(|_| format!("Invalid value: {text:?}: must not be negative"))?;
    Ok(Duration::from_nanos(nanos))
}

/// A percentage of up to 100 as text, in parts per million.
///
/// # Errors
/// The sentence for the user.
pub fn percent_ppm(text: &str) -> Result<u32, String> {
    let value = text.parse::<f64>().ok().filter(|value| (0.0..=100.0).contains(value));
    let value = value.ok_or_else(|| format!("Invalid value: {text:?}: expected a percentage from 0 to 100"))?;
    Ok((value * 10_000.0).round() as u32) // at most a million
}

/// A rate such as `1mbps`: bytes per second, each step of the unit 1024, as in Chaos Mesh.
///
/// # Errors
/// The sentence for the user.
pub fn rate(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "Invalid value: {text:?}: expected a rate of bytes above 0, such as 1mbps (bps, kbps, mbps, gbps, tbps)"
        )
    };
    let lower = text.trim().to_ascii_lowercase();
    let units = [("tbps", 4u32), ("gbps", 3), ("mbps", 2), ("kbps", 1), ("bps", 0)];
    let (digits, power) =
        units.iter().find_map(|(unit, power)| Some((lower.strip_suffix(unit)?, *power))).ok_or_else(wrong)?;
    let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
    number.checked_mul(1024u64.pow(power)).filter(|rate| *rate > 0).ok_or_else(wrong)
}

/// A size such as `256MB`, `1GiB` or `50%`: `KB` is a thousand bytes, `KiB` 1024.
///
/// # Errors
/// The sentence for the user.
pub fn size(text: &str) -> Result<Size, String> {
    let wrong = || format!("Invalid value: {text:?}: expected a size above 0, such as 256MB, 1GiB or 50%");
    if let Some(digits) = text.strip_suffix('%') {
        let percent = digits.parse::<u64>().ok().filter(|percent| (1..=1000).contains(percent)).ok_or_else(wrong)?;
        return Ok(Size::Percent(percent));
    }
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let scale = match unit.trim() {
        "" | "B" => 1,
        "KB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1000 * 1000,
        "MiB" => 1 << 20,
        "GB" => 1000 * 1000 * 1000,
        "GiB" => 1 << 30,
        "TB" => 1000 * 1000 * 1000 * 1000,
        "TiB" => 1u64 << 40,
        _ => return Err(wrong()),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(scale)).filter(|bytes| *bytes > 0);
    bytes.map(Size::Bytes).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_go_s() {
        for (text, nanos) in [
            ("300ms", 300_000_000),
            ("-1.5h", -5_400_000_000_000),
            ("2h45m", 9_900_000_000_000),
            ("0", 0),
            ("7us", 7000),
            ("1s", 1_000_000_000),
        ] {
            assert_eq!(signed_duration(text), Ok(nanos), "{text}");
        }
        for text in ["", "-", "1", "s", "1x", "1.2.3s", "9999999h", "1 s", "nan"] {
            assert!(signed_duration(text).is_err(), "{text}");
        }
        assert!(duration("-1s").unwrap_err().contains("must not be negative"));
    }

    #[test]
    fn rates_sizes_and_percentages() {
        assert_eq!((rate("1mbps"), rate("10 bps"), rate("3KBPS")), (Ok(1 << 20), Ok(10), Ok(3072)));
        for text in ["", "1", "0bps", "-1bps", "1mbit", "99999999999tbps"] {
            assert!(rate(text).is_err(), "{text}");
        }
        assert_eq!(
            (size("256MB"), size("1GiB"), size("7")),
            (Ok(Size::Bytes(256_000_000)), Ok(Size::Bytes(1 << 30)), Ok(Size::Bytes(7)))
        );
        assert_eq!(size("50%"), Ok(Size::Percent(50)));
        for text in ["", "0", "1.5GB", "0%", "x%", "5 kb", "99999999999999TB"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!((percent_ppm("25"), percent_ppm("0.5"), percent_ppm("100")), (Ok(250_000), Ok(5000), Ok(1_000_000)));
        assert!(percent_ppm("101").is_err() && percent_ppm("x").is_err());
    }
}
