//! Who has an object open, and who has taken of a semaphore: what a deadlock report needs to say who could end a wait.
//!
//! Owns no permission and no lifetime of an object; it is told of every open and close. A process that ends closes what it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use parking_lot::Mutex;

use super::OpenFlags;

/// A process, as the others of its pod know it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party {
    /// For people: `<pod>/<container>`.
    pub name: String,
    /// Its number in its pid namespace.
    pub pid: u32,
}

/// Who could end a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enders {
    /// These have taken a semaphore that is used as a lock, and may give it back; nobody if who took it is gone. The one that waits is
    /// among them if it took it itself.
    Holders(Vec<Arc<Party>>),
    /// These have the object open for what would end the wait: for sending if the wait is for a message. The one that waits is among
    /// them if its own handle is for that, too.
    Openers(Vec<Arc<Party>>),
}

/// A process' share of an object, the same for all of its handles.
pub(super) struct User {
    party: Arc<Party>,
    /// Taken and not given back; negative for one that gave what it did not take.
    taken: AtomicI64,
}

impl User {
    /// Counts what was taken.
    pub(super) fn took(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what was given. False if it had not been taken before.
    pub(super) fn gave(&self) -> bool {
        self.taken.fetch_sub(1, Ordering::Relaxed) > 0
    }
}

/// The flags of a handle, as [`Users`] counts it.
pub(super) fn flags(reads: bool, writes: bool) -> OpenFlags {
    let mut flags = OpenFlags::empty();
    flags.set(OpenFlags::READ, reads);
    flags.set(OpenFlags::WRITE, writes);
    flags
}

/// The processes that have an object open, in the order in which they opened it: no more than there are descriptors.
#[derive(Default)]
pub(super) struct Users(Mutex<Vec<Entry>>);

struct Entry {
    user: Arc<User>,
    handles: usize,
    readers: usize,
    writers: usize,
}

impl Users {
    /// A handle more.
    pub(super) fn open(&self, party: &Arc<Party>, flags: OpenFlags) -> Arc<User> {
        let mut entries = self.0.lock();
        let at = entries.iter().position(|entry| Arc::ptr_eq(&entry.user.party, party)).unwrap_or_else(|| {
            let user = Arc::new(User { party: party.clone(), taken: AtomicI64::new(0) });
            entries.push(Entry { user, handles: 0, readers: 0, writers: 0 });
            entries.len() - 1
        });
        let entry = &mut entries[at];
        entry.handles += 1;
        entry.readers += usize::from(flags.contains(OpenFlags::READ));
        entry.writers += usize::from(flags.contains(OpenFlags::WRITE));
        entry.user.clone()
    }

    /// A handle less, of those that were opened with the same flags.
    pub(super) fn close(&self, user: &Arc<User>, flags: OpenFlags) {
        let mut entries = self.0.lock();
        let Some(at) = entries.iter().position(|entry| Arc::ptr_eq(&entry.user, user)) else { return };
        let entry = &mut entries[at];
        entry.handles -= 1;
        entry.readers -= usize::from(flags.contains(OpenFlags::READ));
        entry.writers -= usize::from(flags.contains(OpenFlags::WRITE));
        if entry.handles == 0 {
            entries.remove(at);
        }
    }

    /// Who has it open for all of `flags`.
    pub(super) fn openers(&self, flags: OpenFlags) -> Enders {
        Enders::Openers(self.of(|entry| {
            (!flags.contains(OpenFlags::READ) || entry.readers > 0)
                && (!flags.contains(OpenFlags::WRITE) || entry.writers > 0)
        }))
    }

    /// Who has taken more than it gave.
    pub(super) fn holders(&self) -> Enders {
        Enders::Holders(self.of(|entry| entry.user.taken.load(Ordering::Relaxed) > 0))
    }

    fn of(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<Arc<Party>> {
        let entries = self.0.lock();
        entries.iter().filter(|entry| wanted(entry)).map(|entry| entry.user.party.clone()).collect()
    }
}
