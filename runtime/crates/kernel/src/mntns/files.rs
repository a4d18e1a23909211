//! The layout of configMap and secret volumes and its atomic swap, as the kubelet's AtomicWriter makes it
//! (pkg/volume/util/atomic_writer.go):
//!
//! ```text
//! key    -> ..data/key
//! ..data -> ..2026_01_01_00_00_00.0000000001
//! ..2026_01_01_00_00_00.0000000001/key
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use wasmpod_sim::UnixNanos;

use super::inode::{Body, Ctx, Inode, Meta};
use super::tmpfs::{New, ensure_dir, place};
use super::types::{NAME_MAX, PATH_MAX};
use crate::{Errno, Result};

const DATA: &str = "..data";
const DATA_NEW: &str = "..data_tmp";

/// One file of a configMap, secret, projected or downwardAPI volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Where in the volume: a key, or the path that an item gives.
    pub path: String,
    /// The content.
    pub data: Bytes,
    /// The mode: the item's, or the volume's defaultMode.
    pub mode: u32,
}

/// What such a volume holds now.
pub(crate) struct FilesState {
    /// The pod's fsGroup: the files belong to it and can be read by it.
    fs_group: Option<u32>,
    entries: Vec<FileEntry>,
    /// The names that users see, each a link into `..data`.
    visible: BTreeSet<String>,
    /// The directory that `..data` leads to.
    current: String,
}

impl FilesState {
    pub(crate) fn new(
        root: &Arc<Inode>,
        entries: Vec<FileEntry>,
        fs_group: Option<u32>,
        now: UnixNanos,
    ) -> Result<Self> {
        let mut state = Self { fs_group, entries: Vec::new(), visible: BTreeSet::new(), current: String::new() };
        state.swap(root, entries, now)?;
        Ok(state)
    }

    /// Puts `entries` in the place of what is there. The same content again changes nothing, as with the kubelet.
    pub(crate) fn update(&mut self, root: &Arc<Inode>, entries: Vec<FileEntry>, now: UnixNanos) -> Result<()> {
        if entries == self.entries { Ok(()) } else { self.swap(root, entries, now) }
    }

    fn swap(&mut self, root: &Arc<Inode>, entries: Vec<FileEntry>, now: UnixNanos) -> Result<()> {
        let visible = entries.iter().map(check_entry).collect::<Result<BTreeSet<String>>>()?;
        let ctx = Ctx::node(now);
        let busy = BTreeSet::new();
        // the directory is complete before it has a name
        let content = Inode::new(&root.fs, Meta::new(0o755, 0, 0, now), Body::dir(Arc::downgrade(root), 1, Vec::new()));
        for entry in &entries {
            let (parents, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
            let dir = parents
                .split('/')
                .filter(|name| !name.is_empty())
                .try_fold(content.clone(), |dir, name| ensure_dir(&dir, &ctx, name, 0o755))?;
            if dir.dir()?.get(name).is_some() {
                return Err(Errno::Exist);
            }
            let body = Body::file(&root.fs, entry.data.clone());
            // pkg/volume/volume_linux.go `changeFilePermission`, for a read-only volume
            let group_reads = if self.fs_group.is_some() { 0o440 } else { 0 };
            let meta = Meta::new(entry.mode | group_reads, 0, self.fs_group.unwrap_or(0), now);
            place(&dir, name, Inode::new(&root.fs, meta, body))?;
        }
        let current = free_name(root, now)?;
        place(root, &current, content)?;
        root.make(&ctx, DATA_NEW, &New::Symlink { target: &current })?;
        root.rename(&ctx, DATA_NEW, root, DATA, &busy)?;
        for name in visible.difference(&self.visible) {
            root.make(&ctx, name, &New::Symlink { target: &format!("{DATA}/{name}") })?;
        }
        for name in self.visible.difference(&visible) {
            root.unlink(&ctx, name, &busy)?;
        }
        if !self.current.is_empty() {
            let old = root.dir_mut()?.remove(&self.current);
            drop(old);
        }
        (self.entries, self.visible, self.current) = (entries, visible, current);
        Ok(())
    }
}

/// Checks an entry and returns its first name, which users will see (AtomicWriter's `validatePath`).
fn check_entry(entry: &FileEntry) -> Result<String> {
    let path = &entry.path;
    let names = || path.split('/');
    if path.is_empty() || path.starts_with(['/', '\0']) || path.contains('\0') || path.starts_with("..") {
        return Err(Errno::Inval);
    }
    if names().any(|name| matches!(name, "" | "." | "..")) {
        return Err(Errno::Inval);
    }
    if path.len() > PATH_MAX - DATA.len() - 2 || names().any(|name| name.len() > NAME_MAX) {
        return Err(Errno::NameTooLong);
    }
    Ok(names().next().unwrap_or(path).to_owned())
}

/// A name for a directory made at `now`, as the kubelet writes it. Where it has a random number, this has the nanoseconds, and
/// counts up if the name is taken.
fn free_name(root: &Arc<Inode>, now: UnixNanos) -> Result<String> {
    let (secs, mut suffix) = (now / 1_000_000_000, now % 1_000_000_000);
    let (days, of_day) = (secs / 86_400, secs % 86_400);
    let (year, month, day) = civil_from_days(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    loop {
        let name = format!("..{year:04}_{month:02}_{day:02}_{hour:02}_{minute:02}_{second:02}.{suffix:010}");
        if root.dir()?.get(&name).is_none() {
            return Ok(name);
        }
        suffix += 1;
    }
}

/// The date of a day counted from 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}
