//! Shared memory (`shm_overview(7)`): bytes that are copied in and out, atomic operations on aligned numbers in them, and waiting for a
//! number to change as with `futex(2)`. Nothing is mapped: a guest's memory is its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Waker};

use parking_lot::Mutex;

use super::info::{IpcInfo, IpcKind};
use super::limits::{MAX_SHM_BYTES, MAX_SHM_COPY, MAX_SHM_WAITS};
use super::object::{Counts, Named, Object};
use super::party::{Enders, User, flags};
use super::{Caller, OpenFlags};
use crate::cgroup::Cgroup;
use crate::wait::Ready;
use crate::{Errno, Result};

/// A segment, open or not.
pub(super) struct Segment {
    object: Object,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// Who waits, by offset and then by age.
    waits: BTreeMap<(u64, u64), Wait>,
    next_wait: u64,
}

#[derive(Default)]
struct Wait {
    waker: Option<Waker>,
    notified: bool,
}

impl Named for Segment {
    fn object(&self) -> &Object {
        &self.object
    }
}

impl Segment {
    pub(super) fn new(object: Object) -> Self {
        Self { object, state: Mutex::default() }
    }

    pub(super) fn info(&self) -> IpcInfo {
        let state = self.state.lock();
        let size = state.bytes.len() as u64;
        IpcInfo::of(&self.object, IpcKind::Segment { size }, size, state.waits.len())
    }
}

/// A handle of a segment.
pub struct OpenSegment {
    segment: Arc<Segment>,
    reads: bool,
    writes: bool,
    user: Arc<User>,
}

impl Drop for OpenSegment {
    fn drop(&mut self) {
        self.segment.object.users.close(&self.user, flags(self.reads, self.writes));
    }
}

/// A number that atomic operations work on.
pub trait Word: Copy + PartialEq {
    /// Its size and alignment.
    const SIZE: usize;
    /// From its bytes, which are `SIZE`, little-endian.
    fn load(bytes: &[u8]) -> Self;
    /// The other way round.
    fn store(self, bytes: &mut [u8]);
    /// Modulo its range.
    #[must_use]
    fn wrapping_add(self, other: Self) -> Self;
}

macro_rules! word {
    ($ty:ty) => {
        impl Word for $ty {
            const SIZE: usize = size_of::<$ty>();
            fn load(bytes: &[u8]) -> Self {
                let mut all = [0; Self::SIZE];
                all.copy_from_slice(bytes);
                Self::from_le_bytes(all)
            }
            fn store(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
            fn wrapping_add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
        }
    };
}

word!(u32);
word!(u64);

impl OpenSegment {
    pub(super) fn new(segment: Arc<Segment>, flags: OpenFlags, caller: Caller<'_>) -> Self {
        let user = segment.object.users.open(caller.party, flags);
        Self { segment, reads: flags.contains(OpenFlags::READ), writes: flags.contains(OpenFlags::WRITE), user }
    }

    /// Its name, also if it was unlinked.
    pub fn name(&self) -> &Arc<str> {
        &self.segment.object.name
    }

    /// The size; 0 until it is set.
    pub fn size(&self) -> u64 {
        self.segment.state.lock().bytes.len() as u64
    }

    /// `ftruncate(2)`, once: gives the segment `size` bytes of zeros, charged to `cgroup` at once (a page that cannot be had later
    /// would be SIGBUS). Zero bytes, and the size that it has, are no error.
    ///
    /// # Errors
    /// EINVAL if not open for writing or if it has another size; ENOSPC beyond [`MAX_SHM_BYTES`] in the namespace; ENOMEM.
    pub fn set_size(&self, size: u64, cgroup: &Arc<Cgroup>) -> Result<()> {
        if !self.writes {
            return Err(Errno::Inval);
        }
        let object = &self.segment.object;
        let mut held = object.held.lock(); // before the state: two that set the size at once
        match self.size() {
            now if now == size => return Ok(()),
            0 => {}
            _ => return Err(Errno::Inval),
        }
        let len = usize::try_from(size).map_err(|_| Errno::NoSpc)?;
        held.add_bytes(size, |counts: &mut Counts| &mut counts.shm_bytes, MAX_SHM_BYTES, Errno::NoSpc)?;
        match cgroup.try_charge(size) {
            Ok(charge) => object.memory.lock().push(charge),
            Err(errno) => {
                held.drop_bytes();
                return Err(errno);
            }
        }
        self.segment.state.lock().bytes = vec![0; len];
        Ok(())
    }

    /// Copies bytes at `offset` into `buffer`: how many, fewer at the end of the segment and no more than [`MAX_SHM_COPY`].
    ///
    /// # Errors
    /// EBADF if not open for it.
    pub fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.read_with(offset, buffer.len(), |bytes| {
            buffer[..bytes.len()].copy_from_slice(bytes);
            bytes.len()
        })
    }

    /// As [`OpenSegment::read`], but hands the bytes to `take`, which must not block.
    ///
    /// # Errors
    /// As [`OpenSegment::read`].
    pub fn read_with<R>(&self, offset: u64, len: usize, take: impl FnOnce(&[u8]) -> R) -> Result<R> {
        if !self.reads {
            return Err(Errno::BadF);
        }
        let state = self.segment.state.lock();
        let size = state.bytes.len();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(size);
        let len = len.min(MAX_SHM_COPY).min(size - from);
        Ok(take(&state.bytes[from..from + len]))
    }

    /// Copies `data` to `offset`: how much, no more than [`MAX_SHM_COPY`].
    ///
    /// # Errors
    /// EBADF if not open for it; EFAULT, with nothing written, if not all of it is inside of the segment.
    pub fn write(&self, offset: u64, data: &[u8]) -> Result<usize> {
        if !self.writes {
            return Err(Errno::BadF);
        }
        let mut state = self.segment.state.lock();
        let range = inside(&state.bytes, offset, data.len())?;
        let part = range.start..range.end.min(range.start + MAX_SHM_COPY);
        let len = part.len();
        state.bytes[part].copy_from_slice(&data[..len]);
        Ok(len)
    }

    /// Adds to the number at `offset` and returns what it was.
    ///
    /// # Errors
    /// EBADF unless open for reading and writing; EINVAL if it is not aligned; EFAULT outside of the segment.
    pub fn fetch_add<W: Word>(&self, offset: u64, value: W) -> Result<W> {
        self.update(offset, |old: W| Some(old.wrapping_add(value)))
    }

    /// Replaces the number at `offset` if it is `expected`, and returns what it was.
    ///
    /// # Errors
    /// As [`OpenSegment::fetch_add`].
    pub fn compare_exchange<W: Word>(&self, offset: u64, expected: W, replacement: W) -> Result<W> {
        self.update(offset, |old: W| (old == expected).then_some(replacement))
    }

    fn update<W: Word>(&self, offset: u64, new: impl FnOnce(W) -> Option<W>) -> Result<W> {
        if !self.reads || !self.writes {
            return Err(Errno::BadF);
        }
        let mut state = self.segment.state.lock();
        let range = aligned::<W>(&state.bytes, offset)?;
        let bytes = &mut state.bytes[range];
        let old = W::load(bytes);
        if let Some(new) = new(old) {
            new.store(bytes);
        }
        Ok(old)
    }

    /// FUTEX_WAIT: if the number at `offset` is `expected`, a wait for the next notify there.
    ///
    /// # Errors
    /// EAGAIN if it is not; EBADF if not open for reading; EINVAL and EFAULT as [`OpenSegment::fetch_add`]; ENOSPC at
    /// [`MAX_SHM_WAITS`].
    pub fn watch(&self, offset: u64, expected: u32) -> Result<Watch> {
        if !self.reads {
            return Err(Errno::BadF);
        }
        let mut state = self.segment.state.lock();
        let range = aligned::<u32>(&state.bytes, offset)?;
        if u32::load(&state.bytes[range]) != expected {
            return Err(Errno::Again);
        }
        if state.waits.len() >= MAX_SHM_WAITS {
            return Err(Errno::NoSpc);
        }
        let key = (offset, state.next_wait);
        state.next_wait += 1;
        state.waits.insert(key, Wait::default());
        Ok(Watch { segment: self.segment.clone(), key })
    }

    /// FUTEX_WAKE: ends at most `count` waits at `offset`, the oldest first: how many. It needs no permission to write, as on Linux.
    ///
    /// # Errors
    /// EINVAL and EFAULT as [`OpenSegment::fetch_add`].
    pub fn notify(&self, offset: u64, count: u32) -> Result<u32> {
        let mut woken = Vec::new();
        let mut ended = 0;
        {
            let mut state = self.segment.state.lock();
            aligned::<u32>(&state.bytes, offset)?;
            let waits = state.waits.range_mut((offset, 0)..=(offset, u64::MAX));
            for (_, wait) in waits.filter(|(_, wait)| !wait.notified).take(count as usize) {
                wait.notified = true;
                ended += 1;
                woken.extend(wait.waker.take());
            }
        }
        for waker in woken {
            waker.wake();
        }
        Ok(ended)
    }
}

/// # Errors
/// EFAULT if not all `len` bytes at `offset` are there.
fn inside(bytes: &[u8], offset: u64, len: usize) -> Result<std::ops::Range<usize>> {
    let start = usize::try_from(offset).map_err(|_| Errno::Fault)?;
    let end = start.checked_add(len).filter(|end| *end <= bytes.len()).ok_or(Errno::Fault)?;
    Ok(start..end)
}

/// # Errors
/// EINVAL if `offset` is not a multiple of the size; EFAULT.
fn aligned<W: Word>(bytes: &[u8], offset: u64) -> Result<std::ops::Range<usize>> {
    if !offset.is_multiple_of(W::SIZE as u64) {
        return Err(Errno::Inval);
    }
    inside(bytes, offset, W::SIZE)
}

/// A wait for a notify. Dropping it ends it.
pub struct Watch {
    segment: Arc<Segment>,
    key: (u64, u64),
}

impl Watch {
    /// The segment's name.
    pub fn name(&self) -> &Arc<str> {
        &self.segment.object.name
    }

    /// Who could notify: whoever has the segment open, as it needs no permission to write.
    pub fn enders(&self) -> Enders {
        self.segment.object.users.openers(OpenFlags::empty())
    }

    /// Where it waits.
    pub fn offset(&self) -> u64 {
        self.key.0
    }

    /// READ once notified, for ever.
    pub fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        let mut state = self.segment.state.lock();
        match state.waits.get_mut(&self.key) {
            Some(wait) if !wait.notified => {
                // one task waits with one watch: the process that made it
                wait.waker = Some(cx.waker().clone());
                Ready::empty()
            }
            _ => Ready::READ.answering(interest),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.segment.state.lock().waits.remove(&self.key);
    }
}
