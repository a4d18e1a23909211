//! What every object of the namespace has: a name, an owner, a mode, and what it is counted and charged with.

use std::sync::Arc;

use parking_lot::Mutex;

use super::limits::NAME_MAX;
use super::party::{Party, Users};
use super::{Caller, IpcUsage, OpenFlags};
use crate::cgroup::Charge;
use crate::mntns::{Cred, MAY_READ, MAY_WRITE, Owner};
use crate::{Errno, Result};

/// Permission bits of a mode.
const PERMISSIONS: u32 = 0o777;

/// Something with an [`Object`].
pub(super) trait Named {
    fn object(&self) -> &Object;
}

/// The part that all kinds have.
pub(super) struct Object {
    pub(super) name: Arc<str>,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Who made it.
    pub(super) creator: Arc<Party>,
    /// Who has it open.
    pub(super) users: Users,
    /// Given back with the object.
    pub(super) memory: Mutex<Vec<Charge>>,
    pub(super) held: Mutex<Held>,
}

impl Object {
    pub(super) fn new(name: &str, mode: u32, caller: Caller<'_>, held: Held, memory: Charge) -> Self {
        Self {
            name: name.into(),
            mode: mode & PERMISSIONS,
            uid: caller.cred.uid,
            gid: caller.cred.gid,
            creator: caller.party.clone(),
            users: Users::default(),
            memory: Mutex::new(vec![memory]),
            held: Mutex::new(held),
        }
    }

    /// # Errors
    /// EACCES if the mode does not let `cred` do what `flags` want.
    pub(super) fn check(&self, flags: OpenFlags, cred: &Cred) -> Result<()> {
        let mut want = 0;
        for (flag, bit) in [(OpenFlags::READ, MAY_READ), (OpenFlags::WRITE, MAY_WRITE)] {
            want |= if flags.contains(flag) { bit } else { 0 };
        }
        cred.check(Owner { uid: self.uid, gid: self.gid, mode: self.mode, directory: false }, want)
    }

    pub(super) fn is_owner(&self, cred: &Cred) -> bool {
        cred.uid == 0 || cred.uid == self.uid
    }

    /// Bytes charged so far.
    pub(super) fn bytes(&self) -> u64 {
        self.memory.lock().iter().map(Charge::bytes).sum()
    }
}

/// Objects and bytes of a namespace.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) queues: usize,
    pub(super) semaphores: usize,
    pub(super) segments: usize,
    pub(super) queue_bytes: u64,
    pub(super) shm_bytes: u64,
}

impl Counts {
    pub(super) fn usage(&self) -> IpcUsage {
        let Self { queues, semaphores, segments, queue_bytes, shm_bytes } = *self;
        IpcUsage { queues, semaphores, segments, queue_bytes, shm_bytes }
    }
}

type Count = fn(&mut Counts) -> &mut usize;
type Bytes = fn(&mut Counts) -> &mut u64;

/// One object's part of the counts, given back when dropped.
pub(super) struct Held {
    counts: Arc<Mutex<Counts>>,
    count: Count,
    bytes: Option<(Bytes, u64)>,
}

impl Held {
    /// # Errors
    /// ENOSPC if there are `most` already.
    pub(super) fn take(counts: &Arc<Mutex<Counts>>, count: Count, most: usize) -> Result<Self> {
        let mut all = counts.lock();
        let number = count(&mut all);
        if *number >= most {
            return Err(Errno::NoSpc);
        }
        *number += 1;
        Ok(Self { counts: counts.clone(), count, bytes: None })
    }

    /// Counts bytes too, once.
    ///
    /// # Errors
    /// `full` if that would be more than `most` in all.
    pub(super) fn and_bytes(mut self, bytes: u64, of: Bytes, most: u64, full: Errno) -> Result<Self> {
        self.add_bytes(bytes, of, most, full)?;
        Ok(self)
    }

    /// As [`Held::and_bytes`].
    pub(super) fn add_bytes(&mut self, bytes: u64, of: Bytes, most: u64, full: Errno) -> Result<()> {
        let mut all = self.counts.lock();
        let sum = of(&mut all);
        *sum = sum.checked_add(bytes).filter(|sum| *sum <= most).ok_or(full)?;
        self.bytes = Some((of, bytes));
        Ok(())
    }

    /// Gives the bytes back.
    pub(super) fn drop_bytes(&mut self) {
        if let Some((of, bytes)) = self.bytes.take() {
            *of(&mut self.counts.lock()) -= bytes;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.drop_bytes();
        *(self.count)(&mut self.counts.lock()) -= 1;
    }
}

/// A name as `mq_open(3)` takes it, to its letter.
///
/// # Errors
/// EINVAL without a leading slash or with a NUL; ENOENT for the slash alone; ENAMETOOLONG beyond [`NAME_MAX`] bytes; EACCES with another
/// slash, and for `/.` and `/..`, which are no files to make.
pub(super) fn check_name(name: &str) -> Result<&str> {
    let rest = name.strip_prefix('/').ok_or(Errno::Inval)?;
    match rest {
        "" => Err(Errno::NoEnt),
        _ if rest.contains('\0') => Err(Errno::Inval),
        _ if rest.len() > NAME_MAX => Err(Errno::NameTooLong),
        "." | ".." => Err(Errno::Acces),
        _ if rest.contains('/') => Err(Errno::Acces),
        _ => Ok(name),
    }
}
