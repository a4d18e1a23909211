//! The content of a regular file: pages over an optional read-only base (an image layer's bytes). A page is copied up from the
//! base, or made, when it is first written; holes cost nothing, however long the file. Every page is counted by a
//! [`PageHold`]. Owns no timestamps and no permission.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::quota::{Quota, QuotaHold};
use super::types::FILE_SIZE_MAX;
use crate::cgroup::{Cgroup, Charge};
use crate::{Errno, Result};

/// Who is charged for memory-backed pages; nobody for what the node itself writes.
pub(crate) type Payer<'a> = Option<&'a Arc<Cgroup>>;

/// Bytes in a page: the unit of allocation and of what is counted.
pub(crate) const PAGE: usize = 4096;
const PAGE_BYTES: u64 = PAGE as u64;

/// A file's bytes.
pub(crate) struct Pages {
    size: u64,
    /// Sorted by page number. Pages beyond `size` do not exist, and the last page is zero after `size`.
    pages: BTreeMap<u64, Box<[u8]>>,
    /// What is read where there is no page; shrinks with the file and does not grow again.
    base: Bytes,
    hold: PageHold,
}

impl Pages {
    /// A file of `base`, which costs nothing until it is written.
    pub(crate) fn new(base: Bytes, hold: PageHold) -> Self {
        Self { size: base.len() as u64, pages: BTreeMap::new(), base, hold }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Reads at `offset`; 0 at the end of the file and beyond it.
    pub(crate) fn read_at(&self, buf: &mut [u8], offset: u64) -> usize {
        let left = self.size.saturating_sub(offset);
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let buf = &mut buf[..length];
        let (mut done, mut number, mut within) = (0, offset / PAGE_BYTES, (offset % PAGE_BYTES) as usize);
        while done < length {
            let end = length.min(done + PAGE - within);
            let part = &mut buf[done..end];
            match self.pages.get(&number) {
                Some(page) => part.copy_from_slice(&page[within..within + part.len()]),
                None => self.read_base(part, number * PAGE_BYTES + within as u64),
            }
            (done, number, within) = (end, number + 1, 0);
        }
        length
    }

    fn read_base(&self, part: &mut [u8], offset: u64) {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.base.len());
        let known = (self.base.len() - from).min(part.len());
        part[..known].copy_from_slice(&self.base[from..from + known]);
        part[known..].fill(0);
    }

    /// Writes at `offset`, as much as there is room for; a hole before it reads as zeros. `payer` is charged where the file
    /// system is memory-backed.
    ///
    /// # Errors
    /// [`Errno::FBig`] at the largest offset; [`Errno::NoSpc`] or [`Errno::NoMem`] if not even one byte has room.
    pub(crate) fn write_at(&mut self, buf: &[u8], offset: u64, payer: Payer<'_>) -> Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if offset >= FILE_SIZE_MAX {
            return Err(Errno::FBig);
        }
        let length = usize::try_from(FILE_SIZE_MAX - offset).unwrap_or(usize::MAX).min(buf.len());
        let (first, last) = (offset / PAGE_BYTES, (offset + (length as u64 - 1)) / PAGE_BYTES);
        let missing = self.missing(first, last);
        // all at once; when that does not fit, page by page up to where the room ends
        let reserved = missing == 0 || self.hold.take(missing, payer).is_ok();
        let (mut done, mut number, mut within) = (0, first, (offset % PAGE_BYTES) as usize);
        while done < length {
            let end = length.min(done + PAGE - within);
            if let Err(errno) = self.write_page(number, within, &buf[done..end], !reserved, payer) {
                if done == 0 {
                    return Err(errno);
                }
                break;
            }
            (done, number, within) = (end, number + 1, 0);
        }
        self.size = self.size.max(offset + done as u64);
        Ok(done)
    }

    fn write_page(&mut self, number: u64, within: usize, part: &[u8], take: bool, payer: Payer<'_>) -> Result<()> {
        if let Some(page) = self.pages.get_mut(&number) {
            page[within..within + part.len()].copy_from_slice(part);
            return Ok(());
        }
        if take {
            self.hold.take(1, payer)?;
        }
        let page = if part.len() == PAGE {
            Box::from(part)
        } else {
            let mut page = vec![0; PAGE].into_boxed_slice();
            self.read_base(&mut page, number * PAGE_BYTES);
            page[within..within + part.len()].copy_from_slice(part);
            page
        };
        self.pages.insert(number, page);
        Ok(())
    }

    /// Number of pages of `first..=last` that do not exist yet.
    fn missing(&self, first: u64, last: u64) -> u64 {
        if first == last {
            return u64::from(!self.pages.contains_key(&first));
        }
        last - first + 1 - self.pages.range(first..=last).count() as u64
    }

    /// Cuts or extends the file. What is cut off is given back and reads as zeros when the file grows again.
    ///
    /// # Errors
    /// [`Errno::FBig`] beyond [`FILE_SIZE_MAX`].
    pub(crate) fn set_len(&mut self, size: u64) -> Result<()> {
        if size > FILE_SIZE_MAX {
            return Err(Errno::FBig);
        }
        if size < self.size {
            let cut = self.pages.split_off(&size.div_ceil(PAGE_BYTES));
            let within = (size % PAGE_BYTES) as usize;
            if within > 0
                && let Some(page) = self.pages.get_mut(&(size / PAGE_BYTES))
            {
                page[within..].fill(0);
            }
            if size < self.base.len() as u64 {
                self.base.truncate(size as usize);
            }
            self.hold.give(cut.len() as u64);
            self.hold.give_reserved();
        }
        self.size = size;
        Ok(())
    }

    /// Makes sure that `offset..offset + length` can be written later (`posix_fallocate(3)`): the room is taken now, the pages
    /// are made when they are written.
    ///
    /// # Errors
    /// [`Errno::FBig`] beyond [`FILE_SIZE_MAX`]; [`Errno::NoSpc`] or [`Errno::NoMem`] if there is no room; nothing has changed then.
    pub(crate) fn allocate(&mut self, offset: u64, length: u64, payer: Payer<'_>) -> Result<()> {
        let end = offset.checked_add(length).filter(|end| *end <= FILE_SIZE_MAX).ok_or(Errno::FBig)?;
        if length == 0 {
            return Err(Errno::Inval);
        }
        let missing = self.missing(offset / PAGE_BYTES, (end - 1) / PAGE_BYTES);
        // what two calls for the same range take twice is limited by the holes that the file has
        let holes = self.size.max(end).div_ceil(PAGE_BYTES) - self.pages.len() as u64;
        self.hold.reserve(missing, holes, payer)?;
        self.size = self.size.max(end);
        Ok(())
    }

    /// The whole content, up to `max` bytes.
    pub(crate) fn to_vec(&self, max: usize) -> Vec<u8> {
        let mut all = vec![0; usize::try_from(self.size).unwrap_or(usize::MAX).min(max)];
        let length = self.read_at(&mut all, 0);
        all.truncate(length);
        all
    }
}

/// The room that a file's pages take, in its file system's quota and, if memory-backed, in the cgroups of those who wrote them.
pub(crate) struct PageHold {
    quota: Arc<Quota>,
    memory_backed: bool,
    held: Option<QuotaHold>,
    /// Who pays for how much. On Linux each page knows its memcg; here the last to come is the first to be given back.
    charges: Vec<(Arc<Cgroup>, Charge)>,
    /// Pages taken by `allocate` that no write has used yet.
    reserved: u64,
}

impl PageHold {
    pub(crate) fn new(quota: Arc<Quota>, memory_backed: bool) -> Self {
        Self { quota, memory_backed, held: None, charges: Vec::new(), reserved: 0 }
    }

    fn take(&mut self, pages: u64, payer: Payer<'_>) -> Result<()> {
        let used = pages.min(self.reserved);
        self.take_more(pages - used, payer)?;
        self.reserved -= used;
        Ok(())
    }

    fn reserve(&mut self, pages: u64, reserved_max: u64, payer: Payer<'_>) -> Result<()> {
        let more = pages.min(reserved_max.saturating_sub(self.reserved));
        self.take_more(more, payer)?;
        self.reserved += more;
        Ok(())
    }

    fn take_more(&mut self, pages: u64, payer: Payer<'_>) -> Result<()> {
        let bytes = pages.checked_mul(PAGE_BYTES).ok_or(Errno::NoSpc)?;
        if bytes == 0 {
            return Ok(());
        }
        match &mut self.held {
            Some(held) => held.grow(bytes, 0)?,
            None => self.held = Some(self.quota.hold(bytes, 0)?),
        }
        let Some(payer) = payer.filter(|_| self.memory_backed) else {
            return Ok(());
        };
        let charged = match self.charges.iter_mut().find(|(cgroup, _)| Arc::ptr_eq(cgroup, payer)) {
            Some((_, charge)) => charge.grow(bytes),
            None => payer.charge(bytes).map(|charge| self.charges.push((payer.clone(), charge))),
        };
        charged.inspect_err(|_| {
            if let Some(held) = &mut self.held {
                held.shrink(bytes);
            }
        })
    }

    fn give(&mut self, pages: u64) {
        let mut bytes = pages.saturating_mul(PAGE_BYTES);
        if let Some(held) = &mut self.held {
            held.shrink(bytes);
        }
        while bytes > 0
            && let Some((_, charge)) = self.charges.last_mut()
        {
            let part = bytes.min(charge.bytes());
            charge.shrink(part);
            bytes -= part;
            if charge.bytes() == 0 {
                self.charges.pop();
            }
        }
    }

    fn give_reserved(&mut self) {
        let reserved = std::mem::take(&mut self.reserved);
        self.give(reserved);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mntns::testing;

    fn pages(base: &'static [u8], limit: Option<u64>) -> (Pages, Arc<Quota>, Arc<Cgroup>) {
        let quota = Quota::root("q", limit, None);
        (Pages::new(Bytes::from_static(base), PageHold::new(quota.clone(), true)), quota, testing::memory())
    }

    #[test]
    fn a_hole_costs_nothing_and_reads_as_zeros() {
        let (mut file, quota, payer) = pages(b"", Some(2 * PAGE_BYTES));
        file.set_len(1 << 60).unwrap();
        assert_eq!(file.write_at(b"end", (1 << 60) - 3, Some(&payer)), Ok(3));
        let mut buf = [9; 8];
        assert_eq!(file.read_at(&mut buf, (1 << 60) - 8), 8);
        assert_eq!(&buf, b"\0\0\0\0\0end");
        assert_eq!((quota.usage().bytes, payer.memory_stats().current), (PAGE_BYTES, PAGE_BYTES));
        assert_eq!(file.read_at(&mut buf, u64::MAX), 0);
    }

    #[test]
    fn the_base_is_read_through_and_copied_up_by_the_page() {
        let (mut file, quota, payer) = pages(b"hello world", None);
        file.write_at(b"J", 0, Some(&payer)).unwrap();
        assert_eq!(file.to_vec(100), b"Jello world");
        assert_eq!(quota.usage().bytes, PAGE_BYTES);
        file.set_len(5).unwrap();
        file.set_len(8).unwrap();
        assert_eq!(file.to_vec(100), b"Jello\0\0\0");
    }

    #[test]
    fn a_base_that_was_cut_does_not_come_back() {
        let (mut file, ..) = pages(b"secret", None);
        file.set_len(1).unwrap();
        file.set_len(6).unwrap();
        assert_eq!(file.to_vec(100), b"s\0\0\0\0\0");
    }

    #[test]
    fn a_full_quota_writes_what_fits_and_then_refuses() {
        let (mut file, quota, payer) = pages(b"", Some(2 * PAGE_BYTES));
        assert_eq!(file.write_at(&[1; 3 * PAGE], 10, Some(&payer)), Ok(2 * PAGE - 10));
        assert_eq!(file.write_at(&[1], 2 * PAGE_BYTES, Some(&payer)), Err(Errno::NoSpc));
        assert_eq!(file.size(), 2 * PAGE_BYTES);
        file.set_len(PAGE_BYTES).unwrap();
        assert_eq!(quota.usage().bytes, PAGE_BYTES);
        drop(file);
        assert_eq!((quota.usage().bytes, payer.memory_stats().current), (0, 0));
    }

    #[test]
    fn a_full_cgroup_refuses_and_leaves_the_quota_as_it_was() {
        let (mut file, quota, _) = pages(b"", None);
        let small = testing::memory_of(PAGE_BYTES);
        assert_eq!(file.write_at(&[1; 2 * PAGE], 0, Some(&small)), Ok(PAGE));
        assert_eq!(file.write_at(&[1], PAGE_BYTES, Some(&small)), Err(Errno::NoMem));
        assert_eq!(quota.usage().bytes, PAGE_BYTES);
    }

    #[test]
    fn what_is_allocated_can_be_written_when_the_quota_is_full() {
        let (mut file, quota, payer) = pages(b"", Some(2 * PAGE_BYTES));
        file.allocate(0, 2 * PAGE_BYTES, Some(&payer)).unwrap();
        assert_eq!((file.size(), quota.usage().bytes), (2 * PAGE_BYTES, 2 * PAGE_BYTES));
        assert_eq!(quota.hold(1, 0).unwrap_err(), Errno::NoSpc);
        assert_eq!(file.write_at(&[7; 2 * PAGE], 0, Some(&payer)), Ok(2 * PAGE));
        assert_eq!(file.allocate(PAGE_BYTES, 2 * PAGE_BYTES, Some(&payer)), Err(Errno::NoSpc));
        assert_eq!(file.allocate(1, u64::MAX, Some(&payer)), Err(Errno::FBig));
        file.set_len(0).unwrap();
        assert_eq!(quota.usage().bytes, 0);
    }

    #[test]
    fn offsets_at_the_end_of_the_range_are_refused_or_cut() {
        let (mut file, _, payer) = pages(b"", None);
        assert_eq!(file.write_at(b"x", FILE_SIZE_MAX, Some(&payer)), Err(Errno::FBig));
        assert_eq!(file.write_at(b"xy", FILE_SIZE_MAX - 1, Some(&payer)), Ok(1));
        assert_eq!(file.set_len(FILE_SIZE_MAX + 1), Err(Errno::FBig));
    }

    proptest! {
        #[test]
        fn pages_behave_like_one_vector(
            base in (any::<u8>(), 0usize..10_000).prop_map(|(first, length)| {
                (0..length).map(|at| first.wrapping_add(at as u8)).collect::<Vec<u8>>()
            }),
            steps in proptest::collection::vec((0u8..3, 0u64..20_000, 0usize..9_000, any::<u8>()), 1..30),
        ) {
            let quota = Quota::root("q", None, None);
            let payer = testing::memory();
            let mut file = Pages::new(Bytes::from(base.clone()), PageHold::new(quota.clone(), true));
            let mut model = base;
            for (kind, offset, length, fill) in steps {
                match kind {
                    0 => {
                        let end = offset as usize + length;
                        if length > 0 && model.len() < end {
                            model.resize(end, 0);
                        }
                        if length > 0 {
                            model[offset as usize..end].fill(fill);
                        }
                        prop_assert_eq!(file.write_at(&vec![fill; length], offset, Some(&payer)), Ok(length));
                    }
                    1 => {
                        model.resize(offset as usize, 0);
                        file.set_len(offset).unwrap();
                    }
                    _ => {
                        let mut buf = vec![0xaa; length];
                        let read = file.read_at(&mut buf, offset);
                        let from = model.len().min(offset as usize);
                        let want = &model[from..model.len().min(from + length)];
                        prop_assert_eq!(&buf[..read], want);
                    }
                }
                prop_assert_eq!(file.size(), model.len() as u64);
                prop_assert_eq!(quota.usage().bytes, file.pages.len() as u64 * PAGE_BYTES);
            }
            prop_assert_eq!(file.to_vec(usize::MAX), model);
            drop(file);
            prop_assert_eq!(payer.memory_stats().current, 0);
        }
    }
}
