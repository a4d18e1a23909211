//! Inputs without a fuzzer: the same for every run, as many as asked for. Not clever: what needs cleverness is for the fuzzer, whose
//! finds are kept as seeds.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

use crate::Target;

/// The longest random input, in bytes.
const LONGEST: u64 = 1 << 12;
/// How often a text is changed before it is an input.
const CHANGES: u64 = 8;
/// What a byte is changed to: the letters of YAML's grammar, digits, and what is no text.
const BYTES: &[u8] = b" \n:-\"'[]{}&*0123456789.~!|>%#?a\t\0\xff";

/// The `index`th input for `target`: random bytes, or for a target of texts one of `seeds` with some changes.
#[must_use]
pub fn input(target: &Target, seeds: &[Vec<u8>], index: u32) -> Vec<u8> {
    let mut random = Random(ChaCha8Rng::seed_from_u64(u64::from(index)));
    if !target.text || seeds.is_empty() {
        // lengths of every order of magnitude
        let longest = LONGEST >> random.below(8);
        let mut bytes = vec![0; random.below(longest) as usize];
        random.0.fill_bytes(&mut bytes);
        return bytes;
    }
    let mut bytes = seeds[random.below(seeds.len() as u64) as usize].clone();
    for _ in 0..=random.below(CHANGES) {
        random.change(&mut bytes, seeds);
    }
    bytes
}

struct Random(ChaCha8Rng);

impl Random {
    /// A number less than `end`; 0 if there is none.
    fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end.max(1)
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let (a, b) = (self.below(length as u64 + 1) as usize, self.below(32) as usize);
        a..(a + b).min(length)
    }

    /// One change: a byte, a piece that goes, comes twice or comes from another seed.
    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let here = self.range(bytes.len());
        match self.below(5) {
            0 => {
                if let Some(byte) = bytes.get_mut(here.start) {
                    *byte = BYTES[self.below(BYTES.len() as u64) as usize];
                }
            }
            1 => drop(bytes.drain(here)),
            2 => {
                let piece = bytes[here.clone()].to_vec();
                drop(bytes.splice(here.start..here.start, piece));
            }
            3 => {
                let other = &seeds[self.below(seeds.len() as u64) as usize];
                let piece = other[self.range(other.len())].to_vec();
                drop(bytes.splice(here, piece));
            }
            _ => {
                let to = self.below(bytes.len() as u64 + 1) as usize;
                let piece = bytes[here].to_vec();
                drop(bytes.splice(to..to, piece));
            }
        }
    }
}
