//! `resource.Quantity`: amounts such as `500m`, `1.5Gi` and `1e3`.
//!
//! Follows apimachinery's `pkg/api/resource/quantity.go`: what is accepted, which suffix an amount is shown with, and rounding of what
//! is finer than a nano upwards. Two things differ, both far outside of what a machine has: every amount is capped at 2^63-1 (there,
//! only amounts in the slow path are), and an exponent beyond ±[`MAX_EXPONENT`] is refused (there, it is kept and overflows later).

mod format;

use std::cmp::Ordering;
use std::fmt;

/// Exponents beyond this cannot mean an amount that is representable, however many digits stand before them.
pub const MAX_EXPONENT: i64 = 64;

/// Units of 1e-9 in 1: nothing finer is kept.
const NANOS: i128 = 1_000_000_000;

/// The largest amount, 2^63-1.
const MAX_NANOS: i128 = i64::MAX as i128 * NANOS;

/// How an amount was written, and so how it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// `12M`
    DecimalSi,
    /// `12Mi`
    BinarySi,
    /// `12e6`
    DecimalExponent,
}

/// Why a text is not a quantity. The words are the API server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseQuantityError {
    /// The text does not have the form of a quantity.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The form is right, but there is no such suffix.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// An amount of a resource, exact to a nano. Compares by amount: `1000m` equals `1`.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

impl Quantity {
    /// Nothing, shown as `0`.
    pub const ZERO: Self = Self { nanos: 0, format: Format::DecimalSi };

    /// Reads a quantity.
    ///
    /// # Errors
    /// [`ParseQuantityError`] with the API server's words.
    pub fn parse(text: &str) -> Result<Self, ParseQuantityError> {
        format::parse(text)
    }

    /// Whole units, shown in decimal (`4k`).
    #[must_use]
    pub fn from_units(units: i64) -> Self {
        Self { nanos: i128::from(units) * NANOS, format: Format::DecimalSi }
    }

    /// Thousandths, shown in decimal (`500m`).
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self { nanos: i128::from(millis) * (NANOS / 1000), format: Format::DecimalSi }
    }

    /// Whole units, shown with a binary suffix (`4Ki`).
    #[must_use]
    pub fn from_bytes(bytes: i64) -> Self {
        Self { nanos: i128::from(bytes) * NANOS, format: Format::BinarySi }
    }

    /// Whole units, rounded up.
    #[must_use]
    pub fn value(&self) -> i64 {
        clamp(div_ceil(self.nanos, NANOS))
    }

    /// Thousandths, rounded up; [`i64::MAX`] if there are more.
    #[must_use]
    pub fn millis(&self) -> i64 {
        clamp(div_ceil(self.nanos, NANOS / 1000))
    }

    /// Whether there is nothing of it.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    /// Whether it is less than nothing.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// Whether it is a whole number of units.
    #[must_use]
    pub fn is_integer(&self) -> bool {
        self.nanos % NANOS == 0
    }

    /// The sum, shown as `self` is (as `other` if `self` is nothing); `None` beyond 2^63-1.
    #[must_use]
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        self.combine(other, self.nanos.checked_add(other.nanos)?)
    }

    /// The difference, shown as `self` is (as `other` if `self` is nothing); `None` beyond ±(2^63-1).
    #[must_use]
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        self.combine(other, self.nanos.checked_sub(other.nanos)?)
    }

    fn combine(&self, other: &Self, nanos: i128) -> Option<Self> {
        let format = if self.is_zero() { other.format } else { self.format };
        (nanos.abs() <= MAX_NANOS).then_some(Self { nanos, format })
    }

    /// Rounded up (away from zero) to thousandths, as the API server does with resource lists.
    #[must_use]
    pub fn round_up_to_millis(&self) -> Self {
        let step = NANOS / 1000;
        let magnitude = div_ceil(self.nanos.abs(), step) * step;
        Self { nanos: (magnitude * self.nanos.signum()).clamp(-MAX_NANOS, MAX_NANOS), format: self.format }
    }
}

/// Division rounded towards plus infinity; `divisor` is positive.
fn div_ceil(value: i128, divisor: i128) -> i128 {
    value.div_euclid(divisor) + i128::from(value.rem_euclid(divisor) != 0)
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl fmt::Display for Quantity {
    /// Canonical form: no fraction, and the largest suffix that loses nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        format::write(self, f)
    }
}

#[cfg(test)]
mod tests;
