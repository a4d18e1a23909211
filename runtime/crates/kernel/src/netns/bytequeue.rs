//! The bytes that wait in one direction of a connection: copied into a [`Ring`] if they are few, kept as the allocation they came in if they
//! are many, so that a large write is not copied on its way through the kernel. Both are charged to whoever will read them. Owns no
//! limit on its size (the socket does) and no lock.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::ring::Ring;
use crate::Result;
use crate::cgroup::{Cgroup, Charge};

/// The least that is kept as it came. Below this a copy is cheap, and what an allocation costs beyond its bytes would not be counted.
pub(super) const WHOLE_MIN: usize = 16 * 1024;

/// The least that is kept as it came behind other bytes that were. Less has them all copied, so that order is kept.
pub(super) const BEHIND_MIN: usize = 1024;

/// A queue of bytes.
pub(super) struct ByteQueue {
    /// The older bytes.
    ring: Ring,
    /// The newer ones.
    whole: VecDeque<Bytes>,
    /// How many those are.
    whole_len: usize,
    memory: Option<Arc<Cgroup>>,
    /// What is charged for `whole`.
    charge: Option<Charge>,
}

impl ByteQueue {
    /// An empty queue without memory. Bytes in it will be charged to `memory`.
    pub(super) fn new(memory: Option<Arc<Cgroup>>) -> Self {
        Self { ring: Ring::new(memory.clone()), whole: VecDeque::new(), whole_len: 0, memory, charge: None }
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.ring.len() + self.whole_len
    }

    /// True if none wait.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory held.
    pub(super) fn capacity(&self) -> usize {
        self.ring.capacity() + self.whole_len
    }

    /// Makes room so that `more` bytes can be pushed, as far as `limit` allows.
    ///
    /// # Errors
    /// As [`Ring::reserve`].
    pub(super) fn reserve(&mut self, more: usize, limit: usize) -> Result<()> {
        if self.whole.is_empty() {
            return self.ring.reserve(more, limit);
        }
        // The new bytes belong behind those that were kept whole: these go into the ring. A byte does so once at most.
        self.ring.reserve(self.whole_len.saturating_add(more), limit.max(self.len()))?;
        for bytes in std::mem::take(&mut self.whole) {
            self.ring.push(&bytes);
        }
        self.release(self.whole_len);
        Ok(())
    }

    /// Appends as much of `bytes` as was reserved. Nothing if a [`ByteQueue::reserve`] failed with bytes kept whole.
    pub(super) fn push(&mut self, bytes: &[u8]) -> usize {
        if self.whole.is_empty() { self.ring.push(bytes) } else { 0 }
    }

    /// How many bytes are worth a [`ByteQueue::push_whole`].
    pub(super) fn whole_min(&self) -> usize {
        if self.whole.is_empty() { WHOLE_MIN } else { BEHIND_MIN }
    }

    /// Appends all of `bytes` without a copy. They should be at least [`ByteQueue::whole_min`].
    ///
    /// # Errors
    /// [`crate::Errno::NoMem`] if the cgroup has no room; the queue stays as it is.
    pub(super) fn push_whole(&mut self, bytes: Bytes) -> Result<()> {
        let len = bytes.len() as u64;
        match (&mut self.charge, &self.memory) {
            (Some(charge), _) => charge.try_grow(len)?,
            (none, Some(memory)) => *none = Some(memory.try_charge(len)?),
            (None, None) => {}
        }
        self.whole_len += bytes.len();
        self.whole.push_back(bytes);
        Ok(())
    }

    /// Copies the oldest bytes, without removing them.
    pub(super) fn copy(&self, out: &mut [u8]) -> usize {
        let mut count = self.ring.copy(0, out);
        for bytes in &self.whole {
            let room = bytes.len().min(out.len() - count);
            out[count..count + room].copy_from_slice(&bytes[..room]);
            count += room;
        }
        count
    }

    /// Moves the oldest bytes out.
    pub(super) fn pop(&mut self, out: &mut [u8]) -> usize {
        let mut count = self.ring.pop(out);
        while count < out.len()
            && let Some(bytes) = self.take_whole(out.len() - count)
        {
            out[count..count + bytes.len()].copy_from_slice(&bytes);
            count += bytes.len();
        }
        count
    }

    /// Takes up to `max` of the oldest bytes out as they came, if they were kept whole.
    pub(super) fn pop_whole(&mut self, max: usize) -> Option<Bytes> {
        if self.ring.is_empty() { self.take_whole(max) } else { None }
    }

    /// Throws the bytes away and gives the memory back.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.memory.take());
    }

    fn take_whole(&mut self, max: usize) -> Option<Bytes> {
        let first = self.whole.front_mut()?;
        let bytes = if first.len() <= max { self.whole.pop_front()? } else { first.split_to(max) };
        self.release(bytes.len());
        Some(bytes)
    }

    fn release(&mut self, count: usize) {
        self.whole_len -= count;
        if let Some(charge) = &mut self.charge {
            charge.shrink(count as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cgroup::{Limits, RootConfig};

    fn cgroup(memory_max: u64) -> Arc<Cgroup> {
        let config = RootConfig { cpus: 1, memory_bytes: 1 << 30, fuel_per_cpu_second: 1 };
        let clock = wasmpod_sim::Sim::new_virtual(0).clock().clone();
        Cgroup::root(config, clock).child("c", Limits { memory_max: Some(memory_max), ..Limits::default() })
    }

    #[test]
    fn a_large_write_comes_out_in_the_allocation_it_came_in() {
        let mut queue = ByteQueue::new(None);
        let bytes = Bytes::from(vec![7; 2 * WHOLE_MIN]);
        let place = bytes.as_ptr();
        queue.push_whole(bytes).unwrap();
        let first = queue.pop_whole(WHOLE_MIN).unwrap();
        assert_eq!((first.len(), first.as_ptr(), queue.len()), (WHOLE_MIN, place, WHOLE_MIN));
        assert_eq!(queue.pop_whole(usize::MAX).unwrap().len(), WHOLE_MIN);
        assert!(queue.pop_whole(usize::MAX).is_none() && queue.is_empty());
    }

    #[test]
    fn bytes_in_the_ring_come_first() {
        let mut queue = ByteQueue::new(None);
        queue.reserve(1, 1 << 20).unwrap();
        queue.push(&[1]);
        queue.push_whole(Bytes::from(vec![2; WHOLE_MIN])).unwrap();
        assert!(queue.pop_whole(usize::MAX).is_none());
        let mut out = [0; 3];
        assert_eq!((queue.copy(&mut out), out), (3, [1, 2, 2]));
        queue.reserve(1, 1 << 20).unwrap();
        queue.push(&[3]);
        let mut out = vec![0; WHOLE_MIN + 2];
        assert_eq!(queue.pop(&mut out), WHOLE_MIN + 2);
        assert_eq!((out[0], out[1], out[WHOLE_MIN], out[WHOLE_MIN + 1]), (1, 2, 2, 3));
    }

    #[test]
    fn what_is_kept_whole_is_charged_while_it_waits() {
        let cgroup = cgroup(3 * WHOLE_MIN as u64);
        let current = || cgroup.memory_stats().current;
        let mut queue = ByteQueue::new(Some(cgroup.clone()));
        queue.push_whole(Bytes::from(vec![0; 2 * WHOLE_MIN])).unwrap();
        assert_eq!((current(), queue.capacity()), (2 * WHOLE_MIN as u64, 2 * WHOLE_MIN));
        assert!(queue.push_whole(Bytes::from(vec![0; 2 * WHOLE_MIN])).is_err());
        // no memory to bring them into the ring either: a later byte must not overtake
        assert!(queue.reserve(1, 1 << 20).is_err());
        assert_eq!((queue.push(&[1]), queue.len()), (0, 2 * WHOLE_MIN));
        queue.pop_whole(WHOLE_MIN).unwrap();
        assert_eq!(current(), WHOLE_MIN as u64);
        queue.clear();
        assert_eq!((current(), cgroup.memory_stats().events.oom_kill), (0, 0));
    }

    proptest! {
        #[test]
        fn it_is_a_queue_of_bytes(ops in prop::collection::vec((0u8..5, 0usize..40_000), 1..60)) {
            let cgroup = cgroup(1 << 20);
            let (mut queue, mut model, mut next) = (ByteQueue::new(Some(cgroup.clone())), VecDeque::new(), 0u8);
            for (op, amount) in ops {
                let mut fresh = |len: usize| -> Vec<u8> {
                    next = next.wrapping_add(1);
                    (0..len).map(|at| next.wrapping_add((at / 3) as u8)).collect()
                };
                match op {
                    0 => {
                        let bytes = fresh(amount);
                        queue.reserve(amount, 100_000).unwrap();
                        let room = 100_000usize.saturating_sub(model.len());
                        let pushed = queue.push(&bytes[..amount.min(room)]);
                        prop_assert_eq!(pushed, amount.min(room));
                        model.extend(&bytes[..pushed]);
                    }
                    1 if model.len() + amount + WHOLE_MIN <= 100_000 => {
                        let bytes = fresh(amount + WHOLE_MIN);
                        model.extend(&bytes);
                        queue.push_whole(bytes.into()).unwrap();
                    }
                    2 => {
                        let mut out = vec![0; amount];
                        let popped = queue.pop(&mut out);
                        prop_assert_eq!(&out[..popped], &model.drain(..amount.min(model.len())).collect::<Vec<_>>()[..]);
                    }
                    3 => {
                        if let Some(bytes) = queue.pop_whole(amount) {
                            prop_assert_eq!(&bytes[..], &model.drain(..bytes.len()).collect::<Vec<_>>()[..]);
                        }
                    }
                    _ => {
                        let mut out = vec![0; amount];
                        let seen = queue.copy(&mut out);
                        let expected: Vec<u8> = model.iter().take(amount).copied().collect();
                        prop_assert_eq!(&out[..seen], &expected[..]);
                    }
                }
                prop_assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
                prop_assert_eq!(cgroup.memory_stats().current, queue.capacity() as u64);
            }
        }
    }
}
