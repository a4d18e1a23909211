//! The entries of an in-memory directory, by name and by cookie. A cookie is given once and never again, and new entries get
//! larger ones, so that a reader that comes back with a cookie meets every survivor exactly once. Owns no locking and no rules.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::inode::{Inode, NameHold};
use super::overlay::LowerDir;

/// The cookie of the first real entry; `.` and `..` have 0 and 1.
pub(crate) const FIRST_COOKIE: u64 = 2;

/// The content of a directory.
pub(crate) struct Dir {
    /// The directory it is in; dangling for a root.
    pub(crate) parent: Weak<Inode>,
    /// Distance from the root when it was made; a bound, not a truth: it is not updated when a directory above is moved.
    pub(crate) depth: u32,
    /// The directories of the image under this one that have not been merged in yet, topmost first.
    pub(crate) lower: Vec<LowerDir>,
    /// Number of directories in it.
    pub(crate) subdirs: u64,
    /// It was removed: nothing can be made in it any more.
    pub(crate) dead: bool,
    by_name: BTreeMap<Arc<str>, u64>,
    by_cookie: BTreeMap<u64, Entry>,
    next_cookie: u64,
}

/// A name and what it stands for.
pub(crate) struct Entry {
    pub(crate) name: Arc<str>,
    pub(crate) inode: Arc<Inode>,
    /// Names that come from an image cost nothing.
    #[expect(dead_code, reason = "held as long as the name is there")]
    pub(crate) hold: Option<NameHold>,
}

impl Dir {
    pub(crate) fn new(parent: Weak<Inode>, depth: u32, lower: Vec<LowerDir>) -> Self {
        Self {
            parent,
            depth,
            lower,
            subdirs: 0,
            dead: false,
            by_name: BTreeMap::new(),
            by_cookie: BTreeMap::new(),
            next_cookie: FIRST_COOKIE,
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.by_cookie.get(self.by_name.get(name)?)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Adds an entry. One of the same name is replaced in its place and returned, so that a reader does not meet the name twice.
    pub(crate) fn insert(&mut self, entry: Entry) -> Option<Entry> {
        self.subdirs += u64::from(entry.inode.is_dir());
        let replaced = match self.by_name.get(&entry.name) {
            Some(cookie) => self.by_cookie.insert(*cookie, entry),
            None => {
                self.by_name.insert(entry.name.clone(), self.next_cookie);
                self.by_cookie.insert(self.next_cookie, entry);
                self.next_cookie += 1;
                None
            }
        };
        self.subdirs -= replaced.as_ref().map_or(0, |old| u64::from(old.inode.is_dir()));
        replaced
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Entry> {
        let cookie = self.by_name.remove(name)?;
        let removed = self.by_cookie.remove(&cookie)?;
        self.subdirs -= u64::from(removed.inode.is_dir());
        Some(removed)
    }

    /// The entries from `cookie` on, each with its own cookie.
    pub(crate) fn iter_from(&self, cookie: u64) -> impl Iterator<Item = (u64, &Entry)> {
        self.by_cookie.range(cookie..).map(|(cookie, entry)| (*cookie, entry))
    }

    /// Takes every entry out, for a directory that goes away.
    pub(crate) fn take_all(&mut self) -> Vec<Entry> {
        self.by_name.clear();
        std::mem::take(&mut self.by_cookie).into_values().collect()
    }
}
