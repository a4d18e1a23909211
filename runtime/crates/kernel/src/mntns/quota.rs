//! Quotas on bytes and names, in a tree: a volume under a container's ephemeral-storage limit under the node. What the
//! in-memory file systems hold lives in the host's memory, so every page and every name is counted here, and a full quota is
//! ENOSPC, as on a full disk. Memory-backed volumes are charged to a cgroup as well; that is `tmpfs.rs`' part.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::types::Usage;
use crate::{Errno, Result};

/// The names that a file system may hold when nothing else is said. A name with its inode costs the host some 300 bytes, so a
/// flood of empty files stops near 40 MiB.
pub const DEFAULT_INODES_MAX: u64 = 128 * 1024;

/// A limit on bytes and names, and what is used of it. Used as `Arc<Quota>`; a child counts against its parents as well.
#[derive(Debug)]
pub struct Quota {
    name: String,
    parent: Option<Arc<Quota>>,
    bytes: Counter,
    inodes: Counter,
    /// Nothing more may be taken, whatever the limits say.
    full: AtomicBool,
}

impl Quota {
    /// A quota of its own. `None` is no limit.
    pub fn root(name: impl Into<String>, bytes_limit: Option<u64>, inodes_limit: Option<u64>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            parent: None,
            bytes: Counter::new(bytes_limit),
            inodes: Counter::new(inodes_limit),
            full: AtomicBool::new(false),
        })
    }

    /// No limit at all: for content that the node made itself and bounded before.
    pub fn unlimited() -> Arc<Self> {
        Self::root("unlimited", None, None)
    }

    /// A quota whose use counts against `self` too. `None` is no limit but that of the parents.
    pub fn child(
        self: &Arc<Self>,
        name: impl Into<String>,
        bytes_limit: Option<u64>,
        inodes_limit: Option<u64>,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            parent: Some(self.clone()),
            bytes: Counter::new(bytes_limit),
            inodes: Counter::new(inodes_limit),
            full: AtomicBool::new(false),
        })
    }

    /// What it is called, for messages and inspection.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is a part of.
    pub fn parent(&self) -> Option<&Arc<Quota>> {
        self.parent.as_ref()
    }

    /// What is used and what is allowed, at this level.
    pub fn usage(&self) -> Usage {
        Usage {
            bytes: self.bytes.used.load(Ordering::Relaxed),
            bytes_limit: self.bytes.limit,
            inodes: self.inodes.used.load(Ordering::Relaxed),
            inodes_limit: self.inodes.limit,
        }
    }

    /// Makes it full, or lets the limits decide again: a disk that others have filled. What is used stays used and can be given back.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// Takes room until the guard is dropped.
    ///
    /// # Errors
    /// [`Errno::NoSpc`] if a limit here or above would be exceeded; nothing is taken then.
    pub fn hold(self: &Arc<Self>, bytes: u64, inodes: u64) -> Result<QuotaHold> {
        let mut hold = QuotaHold { quota: self.clone(), bytes: 0, inodes: 0 };
        hold.grow(bytes, inodes)?;
        Ok(hold)
    }

    fn take(&self, bytes: u64, inodes: u64) -> Result<()> {
        let mut level = Some(self);
        while let Some(quota) = level {
            if quota.full.load(Ordering::Relaxed) && (bytes > 0 || inodes > 0) {
                self.give_below(quota, bytes, inodes);
                return Err(Errno::NoSpc);
            }
            let taken = quota
                .bytes
                .take(bytes)
                .and_then(|()| quota.inodes.take(inodes).inspect_err(|_| quota.bytes.give(bytes)));
            if let Err(errno) = taken {
                self.give_below(quota, bytes, inodes);
                return Err(errno);
            }
            level = quota.parent.as_deref();
        }
        Ok(())
    }

    /// Gives back at every level below `end`.
    fn give_below(&self, end: *const Quota, bytes: u64, inodes: u64) {
        let mut level = Some(self);
        while let Some(quota) = level.filter(|quota| !std::ptr::eq(*quota, end)) {
            quota.bytes.give(bytes);
            quota.inodes.give(inodes);
            level = quota.parent.as_deref();
        }
    }
}

/// Room taken of a [`Quota`]; dropping it gives the room back at every level.
#[derive(Debug)]
pub struct QuotaHold {
    quota: Arc<Quota>,
    bytes: u64,
    inodes: u64,
}

impl QuotaHold {
    /// Takes more.
    ///
    /// # Errors
    /// [`Errno::NoSpc`] as for [`Quota::hold`].
    pub fn grow(&mut self, bytes: u64, inodes: u64) -> Result<()> {
        self.quota.take(bytes, inodes)?;
        self.bytes += bytes;
        self.inodes += inodes;
        Ok(())
    }

    /// Gives `bytes` back; more than is held gives back what is held.
    pub fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.quota.give_below(std::ptr::null(), bytes, 0);
        self.bytes -= bytes;
    }

    /// The bytes held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for QuotaHold {
    fn drop(&mut self) {
        self.quota.give_below(std::ptr::null(), self.bytes, self.inodes);
    }
}

/// One counted thing. Relaxed ordering is enough: the number itself is all that is shared.
#[derive(Debug)]
struct Counter {
    used: AtomicU64,
    limit: Option<u64>,
}

impl Counter {
    fn new(limit: Option<u64>) -> Self {
        Self { used: AtomicU64::new(0), limit }
    }

    fn take(&self, amount: u64) -> Result<()> {
        if amount == 0 {
            return Ok(());
        }
        let limit = self.limit.unwrap_or(u64::MAX);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(amount).filter(|after| *after <= limit)
            })
            .map(drop)
            .map_err(|_| Errno::NoSpc)
    }

    fn give(&self, amount: u64) {
        if amount > 0 {
            self.used.fetch_sub(amount, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_counts_at_every_level_and_is_given_back() {
        let node = Quota::root("node", Some(100), Some(10));
        let pod = node.child("pod", Some(60), None);
        let mut hold = pod.hold(40, 2).unwrap();
        assert_eq!((node.usage().bytes, node.usage().inodes, pod.usage().bytes), (40, 2, 40));
        assert_eq!(hold.grow(30, 0), Err(Errno::NoSpc));
        hold.grow(20, 1).unwrap();
        hold.shrink(50);
        assert_eq!((hold.bytes(), node.usage().bytes), (10, 10));
        drop(hold);
        assert_eq!((node.usage().bytes, node.usage().inodes, pod.usage().inodes), (0, 0, 0));
    }

    #[test]
    fn a_full_disk_takes_nothing_and_gives_back() {
        let node = Quota::root("node", Some(100), None);
        let (pod, other) = (node.child("pod", None, None), node.child("other", None, None));
        let mut kept = pod.hold(10, 1).unwrap();
        pod.set_full(true);
        assert_eq!((kept.grow(1, 0), kept.grow(0, 1), kept.grow(0, 0)), (Err(Errno::NoSpc), Err(Errno::NoSpc), Ok(())));
        assert!(other.hold(90, 1).is_ok(), "the others' disk is not full, and nothing was taken of the node");
        kept.shrink(4);
        assert_eq!((pod.usage().bytes, node.usage().bytes), (6, 6));
        pod.set_full(false);
        kept.grow(94, 0).unwrap();
    }

    #[test]
    fn a_limit_above_refuses_and_leaves_nothing_behind() {
        let node = Quota::root("node", Some(50), Some(2));
        let (a, b) = (node.child("a", None, None), node.child("b", Some(1000), None));
        let _kept = a.hold(40, 1).unwrap();
        assert_eq!(b.hold(11, 0).unwrap_err(), Errno::NoSpc);
        assert_eq!(b.hold(1, 2).unwrap_err(), Errno::NoSpc);
        assert_eq!((b.usage().bytes, b.usage().inodes, node.usage().bytes, node.usage().inodes), (0, 0, 40, 1));
        assert!(b.hold(u64::MAX, 0).is_err(), "no overflow");
    }
}
