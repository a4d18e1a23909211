//! What the tests of this module share: a cgroup, a clock, a namespace, and short words for common calls.

use std::sync::Arc;

use bytes::Bytes;
use wasmpod_sim::{Clock, Sim};

use super::{
    Cred, Layer, LayerEntry, LayerEntryKind, LayerLimits, MountNs, MountNsBuilder, OpenFile, OpenOptions, Quota,
};
use crate::Result;
use crate::cgroup::{Cgroup, RootConfig};

pub(crate) const ROOT: &Cred = &Cred::root();

pub(crate) fn clock() -> Clock {
    Sim::new_virtual(1).clock().clone()
}

/// A cgroup with plenty of memory.
pub(crate) fn memory() -> Arc<Cgroup> {
    memory_of(1 << 40)
}

pub(crate) fn memory_of(bytes: u64) -> Arc<Cgroup> {
    Cgroup::root(RootConfig { cpus: 1, memory_bytes: bytes, fuel_per_cpu_second: 1_000_000_000 }, clock())
}

pub(crate) fn user(uid: u32, gid: u32) -> Cred {
    Cred { uid, gid, groups: Vec::new() }
}

/// A layer of files by path; a path that ends in `/` is a directory, content `-> x` is a link, `wh` with `!` before it a whiteout.
pub(crate) fn layer(entries: &[(&str, &str)]) -> Arc<Layer> {
    let entry = |(path, content): &(&str, &str)| {
        let kind = match content.strip_prefix("-> ") {
            Some(target) => LayerEntryKind::Symlink(target.to_owned()),
            None if path.ends_with('/') => LayerEntryKind::Directory { opaque: *content == "opaque" },
            None if path.starts_with('!') => LayerEntryKind::Whiteout,
            None => LayerEntryKind::File(Bytes::copy_from_slice(content.as_bytes())),
        };
        let mode = if path.ends_with('/') { 0o755 } else { 0o644 };
        LayerEntry { path: path.trim_start_matches('!').to_owned(), kind, mode, uid: 0, gid: 0, mtime: 7 }
    };
    Layer::from_entries(entries.iter().map(entry), &LayerLimits::default()).unwrap()
}

/// A namespace over `layers`, without a limit, to which more can be added.
pub(crate) fn builder(layers: Vec<Arc<Layer>>) -> MountNsBuilder {
    MountNs::builder(clock(), memory()).root(layers, Quota::root("upper", None, None))
}

/// The root of a namespace over an empty image.
pub(crate) fn empty() -> Arc<OpenFile> {
    builder(vec![]).build().unwrap().root_dir()
}

/// The words that tests are written in: everything as root.
pub(crate) trait Words {
    fn put(&self, path: &str, content: &str) -> Result<()>;
    fn text(&self, path: &str) -> Result<String>;
    fn names(&self, path: &str) -> Result<Vec<String>>;
    fn mkdir(&self, path: &str) -> Result<()>;
    fn open(&self, path: &str, options: OpenOptions) -> Result<Arc<OpenFile>>;
    fn dir(&self, path: &str) -> Arc<OpenFile>;
}

impl Words for OpenFile {
    fn put(&self, path: &str, content: &str) -> Result<()> {
        let file = self.open(path, OpenOptions { truncate: true, ..OpenOptions::read_write_create() })?;
        let mut left = content.as_bytes();
        while !left.is_empty() {
            left = &left[file.write(left)?..];
        }
        Ok(())
    }

    fn text(&self, path: &str) -> Result<String> {
        let file = self.open(path, OpenOptions::read_only())?;
        let mut content = Vec::new();
        let mut buf = [0; 1000];
        loop {
            match file.read(&mut buf)? {
                0 => return Ok(String::from_utf8(content).unwrap()),
                read => content.extend_from_slice(&buf[..read]),
            }
        }
    }

    fn names(&self, path: &str) -> Result<Vec<String>> {
        let dir = self.open(path, OpenOptions::read_only())?;
        let (mut names, mut cookie) = (Vec::new(), 0);
        loop {
            let entries = dir.read_dir(cookie, 3)?;
            let Some(last) = entries.last() else { break };
            cookie = last.next_cookie;
            names.extend(entries.into_iter().map(|entry| entry.name).filter(|name| name != "." && name != ".."));
        }
        names.sort();
        Ok(names)
    }

    fn mkdir(&self, path: &str) -> Result<()> {
        self.mkdir_at(ROOT, path, 0o755)
    }

    fn open(&self, path: &str, options: OpenOptions) -> Result<Arc<OpenFile>> {
        self.open_at(ROOT, path, options)
    }

    fn dir(&self, path: &str) -> Arc<OpenFile> {
        self.open(path, OpenOptions { directory: true, ..OpenOptions::read_only() }).unwrap()
    }
}
