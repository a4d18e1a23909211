//! The bytes that wait in a socket: a ring that grows as it is used and is charged to the memory cgroup of whoever will read
//! them. Owns no limit on its size (the socket does) and no lock.

use std::sync::Arc;

use crate::Result;
use crate::cgroup::{Cgroup, Charge};

/// The smallest buffer that is ever allocated, one page. An idle connection has none.
pub(super) const MIN_CAPACITY: usize = 4096;

/// A ring of bytes.
#[derive(Default)]
pub(super) struct Ring {
    data: Vec<u8>,
    head: usize,
    len: usize,
    /// One per growth; at most one per doubling of the size.
    charges: Vec<Charge>,
}

/// Room for a ring to grow into, paid for while no lock was held: charging may wake the task that watches for out-of-memory.
pub(super) struct Growth {
    from: usize,
    to: usize,
    charge: Option<Charge>,
}

impl Growth {
    /// Pays for growing from `from` to `to` bytes. `memory` is `None` for sockets of the node itself.
    ///
    /// # Errors
    /// [`crate::Errno::NoMem`] if the cgroup has no room.
    pub(super) fn pay(memory: Option<&Arc<Cgroup>>, from: usize, to: usize) -> Result<Self> {
        let charge = memory.map(|cgroup| cgroup.charge(to.saturating_sub(from) as u64)).transpose()?;
        Ok(Self { from, to, charge })
    }
}

impl Ring {
    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// True if none wait.
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory held.
    pub(super) fn capacity(&self) -> usize {
        self.data.len()
    }

    /// The capacity it should grow to before `more` bytes are pushed, if it is too small; never beyond `limit`.
    pub(super) fn growth(&self, more: usize, limit: usize) -> Option<usize> {
        let needed = self.len.saturating_add(more).min(limit);
        if needed <= self.capacity() {
            return None;
        }
        Some(needed.checked_next_power_of_two().unwrap_or(needed).max(MIN_CAPACITY).min(limit.max(MIN_CAPACITY)))
    }

    /// Grows into what was paid for. Nothing happens if the ring has grown meanwhile.
    pub(super) fn grow(&mut self, growth: Growth) {
        if growth.from != self.capacity() || growth.to <= growth.from {
            return;
        }
        let mut data = vec![0; growth.to];
        self.copy(0, &mut data[..self.len]);
        self.data = data;
        self.head = 0;
        self.charges.extend(growth.charge);
    }

    /// Appends as much of `bytes` as there is capacity for.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.capacity() - self.len);
        if count == 0 {
            return 0;
        }
        let mut tail = self.head + self.len;
        if tail >= self.capacity() {
            tail -= self.capacity();
        }
        let first = count.min(self.capacity() - tail);
        self.data[tail..tail + first].copy_from_slice(&bytes[..first]);
        self.data[..count - first].copy_from_slice(&bytes[first..count]);
        self.len += count;
        count
    }

    /// Copies bytes that start `offset` after the oldest one, without removing them.
    pub(super) fn copy(&self, offset: usize, out: &mut [u8]) -> usize {
        let count = out.len().min(self.len.saturating_sub(offset));
        if count == 0 {
            return 0;
        }
        let mut start = self.head + offset;
        if start >= self.capacity() {
            start -= self.capacity();
        }
        let first = count.min(self.capacity() - start);
        out[..first].copy_from_slice(&self.data[start..start + first]);
        out[first..count].copy_from_slice(&self.data[..count - first]);
        count
    }

    /// Removes up to `count` of the oldest bytes.
    pub(super) fn skip(&mut self, count: usize) {
        let count = count.min(self.len);
        self.len -= count;
        self.head += count;
        if self.head >= self.capacity() {
            self.head -= self.capacity();
        }
        if self.len == 0 {
            self.head = 0; // the next bytes go where the last ones were, which the processor still has in its cache
        }
    }

    /// Moves the oldest bytes out.
    pub(super) fn pop(&mut self, out: &mut [u8]) -> usize {
        let count = self.copy(0, out);
        self.skip(count);
        count
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn grown(ring: &mut Ring, more: usize, limit: usize) {
        if let Some(to) = ring.growth(more, limit) {
            let growth = Growth::pay(None, ring.capacity(), to).unwrap();
            ring.grow(growth);
        }
    }

    #[test]
    fn it_grows_by_need_and_never_beyond_the_limit() {
        let mut ring = Ring::default();
        assert_eq!(ring.growth(1, 8192), Some(4096));
        assert_eq!(ring.growth(5000, 6000), Some(6000));
        grown(&mut ring, 100_000, 8192);
        assert_eq!(ring.push(&[7; 100_000]), 8192);
        assert_eq!(ring.growth(1, 8192), None);
    }

    #[test]
    fn a_stale_growth_is_refused() {
        let mut ring = Ring::default();
        let stale = Growth::pay(None, 0, 4096).unwrap();
        grown(&mut ring, 8192, 8192);
        ring.push(&[1; 5000]);
        ring.grow(stale);
        assert_eq!((ring.capacity(), ring.len()), (8192, 5000));
    }

    proptest! {
        #[test]
        fn it_is_a_queue_of_bytes(ops in prop::collection::vec((0u8..4, 0usize..9000), 1..80)) {
            let (mut ring, mut model, mut next) = (Ring::default(), VecDeque::new(), 0u8);
            for (op, amount) in ops {
                match op {
                    0 | 1 => {
                        let bytes: Vec<u8> = (0..amount).map(|at| next.wrapping_add(at as u8)).collect();
                        grown(&mut ring, amount, 10_000);
                        let pushed = ring.push(&bytes);
                        prop_assert_eq!(pushed, amount.min(10_000 - model.len()));
                        model.extend(&bytes[..pushed]);
                        next = next.wrapping_add(pushed as u8);
                    }
                    2 => {
                        let mut out = vec![0; amount];
                        let popped = ring.pop(&mut out);
                        prop_assert_eq!(&out[..popped], &model.drain(..amount.min(model.len())).collect::<Vec<_>>()[..]);
                    }
                    _ => {
                        let mut out = vec![0; 100];
                        let seen = ring.copy(amount, &mut out);
                        let expected: Vec<u8> = model.iter().skip(amount).take(100).copied().collect();
                        prop_assert_eq!(&out[..seen], &expected[..]);
                    }
                }
                prop_assert_eq!(ring.len(), model.len());
            }
        }
    }
}
