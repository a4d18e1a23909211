//! The bytes that wait in a socket: a ring that grows as it is used and is charged to the memory cgroup of whoever will read
//! them. Owns no limit on its size (the socket does) and no lock.

use std::sync::Arc;

use crate::Result;
use crate::cgroup::{Cgroup, Charge};

/// The smallest buffer that is ever allocated, one page. An idle connection has none.
pub(super) const MIN_CAPACITY: usize = 4096;

/// A ring of bytes.
pub(super) struct Ring {
    data: Vec<u8>,
    head: usize,
    len: usize,
    /// Who pays; `None` for sockets of the node itself.
    memory: Option<Arc<Cgroup>>,
    charge: Option<Charge>,
}

impl Ring {
    /// An empty ring without memory. Bytes in it will be charged to `memory`.
    pub(super) fn new(memory: Option<Arc<Cgroup>>) -> Self {
        Self { data: Vec::new(), head: 0, len: 0, memory, charge: None }
    }

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

    /// Grows so that `more` bytes can be pushed, as far as `limit` allows. A failure is not an out-of-memory event: the bytes are
    /// somebody else's, who is slowed down instead.
    ///
    /// # Errors
    /// [`crate::Errno::NoMem`] if the cgroup has no room; the ring stays as it is.
    pub(super) fn reserve(&mut self, more: usize, limit: usize) -> Result<()> {
        let needed = self.len.saturating_add(more).min(limit);
        if needed <= self.capacity() {
            return Ok(());
        }
        let doubled = needed.checked_next_power_of_two().unwrap_or(needed);
        let capacity = doubled.clamp(MIN_CAPACITY, limit.max(MIN_CAPACITY));
        let bytes = (capacity - self.capacity()) as u64;
        match (&mut self.charge, &self.memory) {
            (Some(charge), _) => charge.try_grow(bytes)?,
            (none, Some(memory)) => *none = Some(memory.try_charge(bytes)?),
            (None, None) => {}
        }
        let mut data = vec![0; capacity];
        self.copy(0, &mut data[..self.len]);
        self.data = data;
        self.head = 0;
        Ok(())
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

    #[test]
    fn it_grows_by_need_and_never_beyond_the_limit() {
        let mut ring = Ring::new(None);
        let mut capacity_for = |more, limit| {
            ring.reserve(more, limit).unwrap();
            ring.capacity()
        };
        assert_eq!([capacity_for(0, 8192), capacity_for(1, 8192), capacity_for(5000, 6000)], [0, 4096, 6000]);
        assert_eq!([capacity_for(100_000, 8192), capacity_for(1, 8192)], [8192, 8192]);
        assert_eq!(ring.push(&[7; 100_000]), 8192);
    }

    proptest! {
        #[test]
        fn it_is_a_queue_of_bytes(ops in prop::collection::vec((0u8..4, 0usize..9000), 1..80)) {
            let (mut ring, mut model, mut next) = (Ring::new(None), VecDeque::new(), 0u8);
            for (op, amount) in ops {
                match op {
                    0 | 1 => {
                        let bytes: Vec<u8> = (0..amount).map(|at| next.wrapping_add(at as u8)).collect();
                        ring.reserve(amount, 10_000).unwrap();
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
