//! A layer of an image: a read-only tree that is made once and shared by all containers of the image. It is made from a list
//! of entries (an archive) or from a directory of the host; what is hostile in either is refused here, the whole layer with it
//! (F17, F21). Owns no merging of layers: that is `overlay.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use wasmpod_sim::UnixNanos;

use super::inode::Meta;
use super::types::{MODE_MASK, NAME_MAX, PATH_MAX};

/// What a layer may hold at most, and how a host directory is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerLimits {
    /// Bytes of all files together. They are held in memory.
    pub bytes_max: u64,
    /// Number of entries.
    pub entries_max: u64,
    /// Keep the modification times of a host directory. Otherwise they are the Unix epoch, which makes two checkouts of one
    /// image equal.
    pub keep_mtime: bool,
}

impl Default for LayerLimits {
    /// 2 GiB and 200 000 entries: the large images of the field have some 100 000.
    fn default() -> Self {
        Self { bytes_max: 2 << 30, entries_max: 200_000, keep_mtime: false }
    }
}

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerEntry {
    /// Where, from the root of the image: `usr/bin/env`; a leading `/` or `./` is ignored, `..` is refused.
    pub path: String,
    /// What it is.
    pub kind: LayerEntryKind,
    /// Permission bits with the set-id and sticky bits.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Last change.
    pub mtime: UnixNanos,
}

/// What an entry of a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerEntryKind {
    /// A directory; an `opaque` one hides what lower layers have under it.
    Directory {
        /// Hide the same directory of the layers below.
        opaque: bool,
    },
    /// A regular file.
    File(Bytes),
    /// A symbolic link to this target.
    Symlink(String),
    /// Another name for a file earlier in the same layer.
    HardLink(String),
    /// Hides this name of the layers below.
    Whiteout,
}

/// Why a layer was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct LayerError {
    /// The entry at fault, as the layer names it.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

impl LayerError {
    pub(crate) fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { path: path.into(), reason: reason.into() }
    }
}

/// A read-only tree of files, as an arena: place 0 is the root.
pub struct Layer {
    nodes: Vec<LayerNode>,
    bytes: u64,
}

pub(crate) struct LayerNode {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: UnixNanos,
    pub(crate) links: u64,
    pub(crate) body: LayerBody,
}

pub(crate) enum LayerBody {
    /// `implicit`: no entry of its own, made because something is in it.
    Dir {
        children: BTreeMap<Box<str>, u32>,
        opaque: bool,
        implicit: bool,
    },
    File(Bytes),
    Symlink(Box<str>),
    Whiteout,
}

impl LayerNode {
    fn implicit_dir() -> Self {
        let body = LayerBody::Dir { children: BTreeMap::new(), opaque: false, implicit: true };
        Self { mode: 0o755, uid: 0, gid: 0, mtime: 0, links: 1, body }
    }

    pub(crate) fn is_opaque(&self) -> bool {
        matches!(self.body, LayerBody::Dir { opaque: true, .. })
    }

    pub(crate) fn is_implicit(&self) -> bool {
        matches!(self.body, LayerBody::Dir { implicit: true, .. })
    }

    pub(crate) fn meta(&self) -> Meta {
        Meta { nlink: self.links, ..Meta::new(self.mode, self.uid, self.gid, self.mtime) }
    }
}

impl Layer {
    /// Makes a layer of `entries`. Directories that have no entry of their own are made; a later entry replaces an earlier one
    /// of the same path, but a directory keeps what is in it.
    ///
    /// # Errors
    /// [`LayerError`] for paths with `..`, NUL or over-long names, for paths through something that is no directory, for links
    /// to nothing, and beyond the limits.
    pub fn from_entries(
        entries: impl IntoIterator<Item = LayerEntry>,
        limits: &LayerLimits,
    ) -> Result<Arc<Self>, LayerError> {
        let mut builder = LayerBuilder::new(*limits);
        for entry in entries {
            builder.add(entry)?;
        }
        Ok(builder.finish())
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of entries, the root not counted.
    pub fn entries(&self) -> u64 {
        self.nodes.len() as u64 - 1
    }

    /// Hands a canonical encoding of the tree to `sink`, piece by piece: equal trees give equal bytes, so a hash of them names
    /// the layer. Names and contents come with their lengths, in the order of the paths.
    pub fn encode(&self, mut sink: impl FnMut(&[u8])) {
        let mut piece = |bytes: &[u8]| {
            sink(&(bytes.len() as u64).to_le_bytes());
            sink(bytes);
        };
        let mut left: Vec<(&str, u32)> = vec![("", 0)];
        while let Some((name, index)) = left.pop() {
            let node = self.node(index);
            piece(name.as_bytes());
            let meta = [u64::from(node.mode), u64::from(node.uid), u64::from(node.gid), node.mtime];
            meta.iter().for_each(|number| piece(&number.to_le_bytes()));
            match &node.body {
                LayerBody::Dir { children, opaque, .. } => {
                    piece(if *opaque { b"opaque" } else { b"dir" });
                    piece(&(children.len() as u64).to_le_bytes());
                    left.extend(children.iter().rev().map(|(name, index)| (&**name, *index)));
                }
                LayerBody::File(bytes) => {
                    piece(b"file");
                    piece(bytes);
                }
                LayerBody::Symlink(target) => {
                    piece(b"symlink");
                    piece(target.as_bytes());
                }
                LayerBody::Whiteout => piece(b"whiteout"),
            }
        }
    }

    pub(crate) fn root(&self) -> &LayerNode {
        &self.nodes[0]
    }

    pub(crate) fn node(&self, index: u32) -> &LayerNode {
        &self.nodes[index as usize]
    }
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Layer({} entries, {} bytes)", self.entries(), self.bytes)
    }
}

/// Takes entries in, one by one, and keeps to the limits.
pub(crate) struct LayerBuilder {
    layer: Layer,
    pub(crate) limits: LayerLimits,
}

impl LayerBuilder {
    pub(crate) fn new(limits: LayerLimits) -> Self {
        Self { layer: Layer { nodes: vec![LayerNode::implicit_dir()], bytes: 0 }, limits }
    }

    pub(crate) fn finish(self) -> Arc<Layer> {
        Arc::new(self.layer)
    }

    /// Bytes that files may still have.
    pub(crate) fn bytes_left(&self) -> u64 {
        self.limits.bytes_max - self.layer.bytes
    }

    pub(crate) fn add(&mut self, entry: LayerEntry) -> Result<(), LayerError> {
        let LayerEntry { path, kind, mode, uid, gid, mtime } = entry;
        let mode = mode & MODE_MASK;
        let names = components(&path)?;
        let Some((name, parents)) = names.split_last() else {
            return match kind {
                LayerEntryKind::Directory { opaque } => {
                    self.set_dir(0, opaque, (mode, uid, gid, mtime));
                    Ok(())
                }
                _ => Err(LayerError::new(path, "the root is not a directory")),
            };
        };
        let parent = self.make_parents(&path, parents)?;
        let body = match kind {
            LayerEntryKind::Directory { opaque } => {
                let at = match self.child(parent, name) {
                    Some(at) if matches!(self.layer.node(at).body, LayerBody::Dir { .. }) => at,
                    _ => self.place(&path, parent, name, LayerNode::implicit_dir())?,
                };
                self.set_dir(at, opaque, (mode, uid, gid, mtime));
                return Ok(());
            }
            LayerEntryKind::HardLink(target) => return self.link(&path, parent, name, &target),
            LayerEntryKind::File(bytes) => {
                if bytes.len() as u64 > self.bytes_left() {
                    let limit = self.limits.bytes_max;
                    return Err(LayerError::new(path, format!("the layer is larger than {limit} bytes")));
                }
                self.layer.bytes += bytes.len() as u64;
                LayerBody::File(bytes)
            }
            LayerEntryKind::Symlink(target) => {
                if target.is_empty() || target.len() >= PATH_MAX || target.contains('\0') {
                    return Err(LayerError::new(path, "the link's target is empty, too long or holds NUL"));
                }
                LayerBody::Symlink(target.into())
            }
            LayerEntryKind::Whiteout => LayerBody::Whiteout,
        };
        self.place(&path, parent, name, LayerNode { mode, uid, gid, mtime, links: 1, body }).map(drop)
    }

    fn link(&mut self, path: &str, parent: u32, name: &str, target: &str) -> Result<(), LayerError> {
        let mut at = 0;
        for name in components(target)? {
            at = self.child(at, name).ok_or_else(|| LayerError::new(path, "hard link to a path not in this layer"))?;
        }
        if !matches!(self.layer.node(at).body, LayerBody::File(_)) {
            return Err(LayerError::new(path, "hard link to something that is no file"));
        }
        if self.child(parent, name) != Some(at) {
            self.layer.nodes[at as usize].links += 1;
            self.enter(parent, name, at);
        }
        Ok(())
    }

    fn child(&self, parent: u32, name: &str) -> Option<u32> {
        match &self.layer.node(parent).body {
            LayerBody::Dir { children, .. } => children.get(name).copied(),
            _ => None,
        }
    }

    fn make_parents(&mut self, path: &str, parents: &[&str]) -> Result<u32, LayerError> {
        let mut at = 0;
        for name in parents {
            at = match self.child(at, name) {
                Some(child) => child,
                None => self.place(path, at, name, LayerNode::implicit_dir())?,
            };
            if !matches!(self.layer.node(at).body, LayerBody::Dir { .. }) {
                return Err(LayerError::new(path, format!("{name} in this path is not a directory")));
            }
        }
        Ok(at)
    }

    fn place(&mut self, path: &str, parent: u32, name: &str, node: LayerNode) -> Result<u32, LayerError> {
        let index = self.layer.nodes.len();
        if index as u64 > self.limits.entries_max {
            let limit = self.limits.entries_max;
            return Err(LayerError::new(path, format!("the layer has more than {limit} entries")));
        }
        let index = u32::try_from(index).map_err(|_| LayerError::new(path, "too many entries"))?;
        self.layer.nodes.push(node);
        self.enter(parent, name, index);
        Ok(index)
    }

    fn enter(&mut self, parent: u32, name: &str, index: u32) {
        let replaced = match &mut self.layer.nodes[parent as usize].body {
            LayerBody::Dir { children, .. } => children.insert(name.into(), index),
            _ => None,
        };
        if let Some(replaced) = replaced {
            let node = &mut self.layer.nodes[replaced as usize];
            node.links = node.links.saturating_sub(1);
        }
    }

    fn set_dir(&mut self, at: u32, now_opaque: bool, (mode, uid, gid, mtime): (u32, u32, u32, UnixNanos)) {
        let node = &mut self.layer.nodes[at as usize];
        (node.mode, node.uid, node.gid, node.mtime) = (mode, uid, gid, mtime);
        if let LayerBody::Dir { opaque, implicit, .. } = &mut node.body {
            *opaque |= now_opaque;
            *implicit = false;
        }
    }
}

/// The names in a path of a layer.
fn components(path: &str) -> Result<Vec<&str>, LayerError> {
    if path.len() > PATH_MAX {
        return Err(LayerError::new(path, "the path is too long"));
    }
    let names: Vec<&str> = path.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    if names.iter().any(|name| *name == ".." || name.contains('\0')) {
        return Err(LayerError::new(path, "the path holds `..` or NUL"));
    }
    if names.iter().any(|name| name.len() > NAME_MAX) {
        return Err(LayerError::new(path, "a name is too long"));
    }
    Ok(names)
}
