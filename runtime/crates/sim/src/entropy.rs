//! Named random streams. Each name has a stream of its own, so one more draw in one place never shifts another place's numbers.
//! Owns the derivation seed × name → stream; not what the numbers are used for.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// The root from which streams are made. Cheap to clone.
#[derive(Clone)]
pub struct Entropy {
    root: [u8; 16],
}

impl Entropy {
    /// Streams that depend on `seed` and their name only.
    pub fn from_seed(seed: u64) -> Self {
        let mut root = [0; 16];
        root[..8].copy_from_slice(&seed.to_le_bytes());
        Self { root }
    }

    /// Streams that start from the system's randomness.
    ///
    /// # Panics
    /// If the operating system has no randomness to give, which leaves nothing sensible to do.
    #[cfg(feature = "real")]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system for randomness")]
    pub fn from_os() -> Self {
        let mut root = [0; 16];
        getrandom::fill(&mut root).expect("the operating system has a source of randomness");
        Self { root }
    }

    /// The stream called `name`. The same name gives the same numbers again.
    pub fn stream(&self, name: &str) -> Stream {
        let mut seed = [0; 32];
        seed[..16].copy_from_slice(&self.root);
        seed[16..24].copy_from_slice(&fnv1a(0xcbf2_9ce4_8422_2325, name).to_le_bytes());
        seed[24..].copy_from_slice(&fnv1a(0x6c62_272e_07bb_0142, name).to_le_bytes());
        Stream(ChaCha12Rng::from_seed(seed))
    }
}

/// FNV-1a over the bytes of `text`; a fixed function, so that streams are the same on every machine and version.
fn fnv1a(basis: u64, text: &str) -> u64 {
    text.bytes().fold(basis, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy(..)") // never shows the root: guests draw from it
    }
}

/// One random stream.
pub struct Stream(ChaCha12Rng);

impl Stream {
    /// Fills `buffer`.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        self.0.fill_bytes(buffer);
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..n`; 0 if `n` is 0. (Multiply and shift; the bias is below `n / 2^64`.)
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_gives_the_same_numbers_and_another_name_others() {
        let entropy = Entropy::from_seed(7);
        let (mut a, mut b, mut c) = (entropy.stream("net"), entropy.stream("net"), entropy.stream("fs"));
        let first: Vec<u64> = (0..4).map(|_| a.next_u64()).collect();
        assert_eq!(first, (0..4).map(|_| b.next_u64()).collect::<Vec<_>>());
        assert_ne!(first, (0..4).map(|_| c.next_u64()).collect::<Vec<_>>());
        assert_ne!(first[0], Entropy::from_seed(8).stream("net").next_u64());
    }

    proptest::proptest! {
        #[test]
        fn below_stays_below(seed: u64, n in 1u64..) {
            assert!(Entropy::from_seed(seed).stream("x").below(n) < n);
        }
    }

    #[test]
    fn below_nothing_is_zero() {
        assert_eq!(Entropy::from_seed(1).stream("x").below(0), 0);
    }
}
