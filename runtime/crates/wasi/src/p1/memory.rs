//! Checked access to a guest's memory. Every pointer and length comes from a hostile program: it is checked against the memory's
//! size as it is now, and a bad one ends the program, as the witx documents demand ("the function shall trap") and wasmtime does.
//! Nothing is copied that can be used in place.

use wasmtime::{Caller, Extern, Memory};

use super::errno::{Fail, WasiErrno};
use super::types::IOVEC_SIZE;
use super::{BYTES_PER_FUEL, IOVEC_FUEL};
use crate::{Ctx, HasCtx};

/// The most buffers of one call (`IOV_MAX` of Linux); more is EINVAL.
pub const MAX_IOVECS: u32 = 1024;
/// The most bytes that one call moves (Linux' `MAX_RW_COUNT`); what is beyond is left for the next call.
pub const MAX_TRANSFER: u32 = 0x7fff_f000;

/// A guest handed a bad pointer to the system. The program ends: on Linux the same mistake, made without a system call, is SIGSEGV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GuestFault {
    /// It points out of the memory.
    #[error("a system call was given {len} bytes at {pointer:#x}, which is outside of the memory of {size} bytes")]
    OutOfBounds {
        /// Where it begins.
        pointer: u32,
        /// How many bytes.
        len: u64,
        /// The memory's size.
        size: u64,
    },
    /// It does not point at a multiple of the alignment of what it points at.
    #[error("a system call was given the pointer {pointer:#x}, which is not a multiple of {align}")]
    Misaligned {
        /// The pointer.
        pointer: u32,
        /// What it must be a multiple of.
        align: u32,
    },
    /// The program exports no memory called `memory` that it alone uses.
    #[error("the program exports no memory named \"memory\"")]
    NoMemory,
}

/// The memory of the program that calls.
///
/// # Errors
/// [`GuestFault::NoMemory`]. Shared memories are not supported.
pub(super) fn memory_of<T: HasCtx>(caller: &mut Caller<'_, T>) -> Result<Memory, GuestFault> {
    match caller.get_export("memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => Err(GuestFault::NoMemory),
    }
}

/// What a call works on: the guest's memory, and what the process has.
pub(super) struct Guest<'a> {
    pub(super) memory: Bytes<'a>,
    pub(super) ctx: &'a mut Ctx,
}

impl<'a> Guest<'a> {
    pub(super) fn of<T: HasCtx>(caller: &'a mut Caller<'_, T>) -> Result<Self, GuestFault> {
        let memory = memory_of(caller)?;
        Ok(Self::in_memory(caller, memory))
    }

    pub(super) fn in_memory<T: HasCtx>(caller: &'a mut Caller<'_, T>, memory: Memory) -> Self {
        let (data, state) = memory.data_and_store_mut(caller);
        Self { memory: Bytes(data), ctx: state.ctx() }
    }

    /// Charges for `bytes` that were copied.
    pub(super) fn charge_bytes(&mut self, bytes: usize) {
        self.ctx.charge(bytes as u64 / BYTES_PER_FUEL);
    }
}

/// The guest's memory.
pub(super) struct Bytes<'a>(pub(super) &'a mut [u8]);

impl Bytes<'_> {
    fn range(&self, pointer: u32, len: u64) -> Result<std::ops::Range<usize>, GuestFault> {
        let size = self.0.len() as u64;
        let end = u64::from(pointer).checked_add(len).filter(|end| *end <= size);
        // both fit: they are not beyond the length of a slice
        end.map(|end| pointer as usize..end as usize).ok_or(GuestFault::OutOfBounds { pointer, len, size })
    }

    /// `len` bytes at `pointer`.
    pub(super) fn slice(&self, pointer: u32, len: u32) -> Result<&[u8], GuestFault> {
        self.range(pointer, u64::from(len)).map(|range| &self.0[range])
    }

    /// `len` bytes at `pointer`, to be written.
    pub(super) fn slice_mut(&mut self, pointer: u32, len: u32) -> Result<&mut [u8], GuestFault> {
        self.range(pointer, u64::from(len)).map(|range| &mut self.0[range])
    }

    /// `count` records of `size` bytes at `pointer`.
    pub(super) fn array(&self, pointer: u32, count: u32, size: u32, align: u32) -> Result<&[u8], GuestFault> {
        check_aligned(pointer, align)?;
        self.range(pointer, u64::from(count) * u64::from(size)).map(|range| &self.0[range])
    }

    /// As [`Bytes::array`], to be written.
    pub(super) fn array_mut(
        &mut self,
        pointer: u32,
        count: u32,
        size: u32,
        align: u32,
    ) -> Result<&mut [u8], GuestFault> {
        check_aligned(pointer, align)?;
        self.range(pointer, u64::from(count) * u64::from(size)).map(|range| &mut self.0[range])
    }

    /// A record whose greatest field is `align` bytes long.
    pub(super) fn put(&mut self, pointer: u32, record: &[u8], align: u32) -> Result<(), GuestFault> {
        check_aligned(pointer, align)?;
        let range = self.range(pointer, record.len() as u64)?;
        self.0[range].copy_from_slice(record);
        Ok(())
    }

    pub(super) fn put_u16(&mut self, pointer: u32, value: u16) -> Result<(), GuestFault> {
        self.put(pointer, &value.to_le_bytes(), 2)
    }

    pub(super) fn put_u32(&mut self, pointer: u32, value: u32) -> Result<(), GuestFault> {
        self.put(pointer, &value.to_le_bytes(), 4)
    }

    pub(super) fn put_u64(&mut self, pointer: u32, value: u64) -> Result<(), GuestFault> {
        self.put(pointer, &value.to_le_bytes(), 8)
    }

    /// A path or another text.
    ///
    /// # Errors
    /// A trap if it is out of bounds, EILSEQ if it is not UTF-8, ENAMETOOLONG before that if it is longer than any path may be.
    pub(super) fn path(&self, pointer: u32, len: u32) -> Result<&str, Fail> {
        let bytes = self.slice(pointer, len)?;
        if bytes.len() > wasmpod_kernel::mntns::PATH_MAX {
            return Err(WasiErrno::NameTooLong.into());
        }
        std::str::from_utf8(bytes).map_err(|_| WasiErrno::IlSeq.into())
    }

    /// The buffers that an array of `$iovec` or `$ciovec` names.
    ///
    /// # Errors
    /// EINVAL beyond [`MAX_IOVECS`]; a trap if the array or one of the buffers is out of bounds.
    pub(super) fn regions(&self, pointer: u32, count: u32) -> Result<Regions, Fail> {
        if count > MAX_IOVECS {
            return Err(WasiErrno::Inval.into());
        }
        let array = self.array(pointer, count, IOVEC_SIZE, 4)?;
        let mut regions = Regions { first: Region::default(), rest: Vec::new(), total: 0 };
        for iovec in array.chunks_exact(IOVEC_SIZE as usize) {
            let wanted = Region { pointer: le_u32(iovec, 0), len: le_u32(iovec, 4) };
            self.range(wanted.pointer, u64::from(wanted.len))?;
            regions.push(wanted);
        }
        Ok(regions)
    }
}

fn check_aligned(pointer: u32, align: u32) -> Result<(), GuestFault> {
    if pointer.is_multiple_of(align) { Ok(()) } else { Err(GuestFault::Misaligned { pointer, align }) }
}

/// The number at `at` of a record; the caller has checked that it is there.
pub(super) fn le_u16(record: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([record[at], record[at + 1]])
}

/// As [`le_u16`].
pub(super) fn le_u32(record: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]])
}

/// As [`le_u16`].
pub(super) fn le_u64(record: &[u8], at: usize) -> u64 {
    u64::from(le_u32(record, at)) | u64::from(le_u32(record, at + 4)) << 32
}

/// One buffer in the guest's memory, known to be inside of it. Memories never shrink, so it stays so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) pointer: u32,
    pub(super) len: u32,
}

/// The non-empty buffers of one call, at most [`MAX_TRANSFER`] bytes together. Most calls have one, for which nothing is allocated.
#[derive(Debug)]
pub(super) struct Regions {
    first: Region,
    rest: Vec<Region>,
    total: u32,
}

impl Regions {
    fn push(&mut self, wanted: Region) {
        let region = Region { len: wanted.len.min(MAX_TRANSFER - self.total), ..wanted };
        self.total += region.len;
        if region.len == 0 {
        } else if self.first.len == 0 {
            self.first = region;
        } else {
            self.rest.push(region);
        }
    }

    /// The buffers in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Region> {
        let first = (self.first.len > 0).then_some(self.first);
        first.into_iter().chain(self.rest.iter().copied())
    }

    /// The buffer with this number.
    pub(super) fn get(&self, at: usize) -> Option<Region> {
        match at {
            0 => (self.first.len > 0).then_some(self.first),
            _ => self.rest.get(at - 1).copied(),
        }
    }

    /// Bytes in all buffers.
    pub(super) fn total(&self) -> u32 {
        self.total
    }

    /// True if there is more than one buffer.
    pub(super) fn is_scattered(&self) -> bool {
        !self.rest.is_empty()
    }

    /// What looking at the array costs.
    pub(super) fn fuel(&self) -> u64 {
        IOVEC_FUEL * (1 + self.rest.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_iovecs(size: usize, iovecs: &[(u32, u32)]) -> Vec<u8> {
        let mut memory = vec![0; size];
        for (at, (pointer, len)) in iovecs.iter().enumerate() {
            memory[at * 8..at * 8 + 4].copy_from_slice(&pointer.to_le_bytes());
            memory[at * 8 + 4..at * 8 + 8].copy_from_slice(&len.to_le_bytes());
        }
        memory
    }

    #[test]
    fn empty_buffers_are_left_out_and_bad_ones_trap() {
        let mut data = with_iovecs(100, &[(0, 0), (40, 10), (100, 0), (50, 50), (51, 50)]);
        let memory = Bytes(&mut data);
        let regions = memory.regions(0, 4).unwrap();
        let found: Vec<_> = regions.iter().map(|region| (region.pointer, region.len)).collect();
        assert_eq!((found, regions.total()), (vec![(40, 10), (50, 50)], 60));
        assert!(matches!(memory.regions(0, 5), Err(Fail::Trap(_))));
        assert!(matches!(memory.regions(2, 1), Err(Fail::Trap(_))), "misaligned");
        assert!(matches!(memory.regions(96, 1), Err(Fail::Trap(_))), "the array itself");
        assert!(matches!(memory.regions(0, MAX_IOVECS + 1), Err(Fail::Errno(WasiErrno::Inval))));
    }

    #[test]
    fn the_same_buffer_many_times_is_cut_at_the_most_that_a_call_moves() {
        // 512 times 4 MiB - 64 KiB would be beyond 2 GiB: the guest needs no such memory to ask for it
        let mut data = with_iovecs(4 << 20, &[(65536, (4 << 20) - 65536); 1024]);
        let regions = Bytes(&mut data).regions(0, 1024).unwrap();
        assert_eq!(regions.total(), MAX_TRANSFER);
        assert_eq!(regions.iter().map(|region| u64::from(region.len)).sum::<u64>(), u64::from(MAX_TRANSFER));
    }

    #[test]
    fn texts_are_utf8_and_not_longer_than_paths() {
        let mut data = vec![b'a'; 5000];
        data[4999] = 0xff;
        let memory = Bytes(&mut data);
        assert_eq!(memory.path(0, 3).unwrap(), "aaa");
        assert!(matches!(memory.path(4999, 1), Err(Fail::Errno(WasiErrno::IlSeq))));
        assert!(matches!(memory.path(0, 4097), Err(Fail::Errno(WasiErrno::NameTooLong))));
        assert!(matches!(memory.path(0, 5001), Err(Fail::Trap(_))));
    }

    proptest! {
        #[test]
        fn no_pointer_gets_out(pointer: u32, len: u32, size in 0usize..70_000) {
            let mut data = vec![0; size];
            let mut memory = Bytes(&mut data);
            let inside = u64::from(pointer) + u64::from(len) <= size as u64;
            prop_assert_eq!(memory.slice(pointer, len).is_ok(), inside);
            prop_assert_eq!(memory.slice_mut(pointer, len).is_ok(), inside);
            let fits = u64::from(pointer) + 8 <= size as u64 && pointer % 8 == 0;
            prop_assert_eq!(memory.put_u64(pointer, 1).is_ok(), fits);
        }

        #[test]
        fn regions_are_always_inside(iovecs in proptest::collection::vec((0u32..300, 0u32..300), 0..16)) {
            let mut data = with_iovecs(256, &iovecs);
            let memory = Bytes(&mut data);
            let inside = iovecs.iter().all(|(pointer, len)| pointer + len <= 256);
            match memory.regions(0, iovecs.len() as u32) {
                Ok(regions) => {
                    prop_assert!(inside);
                    prop_assert_eq!(regions.total(), iovecs.iter().map(|(_, len)| len).sum::<u32>());
                    prop_assert!(regions.iter().all(|region| memory.slice(region.pointer, region.len).is_ok()));
                }
                Err(_) => prop_assert!(!inside),
            }
        }
    }
}
