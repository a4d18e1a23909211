//! The overlay: read-only image layers under a writable tree (`Documentation/filesystems/overlayfs.rst`). A directory of the
//! writable tree knows the directories of the layers under it and takes their entries in when it is first looked into; a file
//! reads through to the layer's bytes and copies pages up when they are written (`pages.rs`). What differs from Linux: an inode
//! keeps its number when it is copied up, and a removed name needs no whiteout, since the merge happens once.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::dir::{Dir, Entry};
use super::inode::{Body, Inode, MemFs, Meta};
use super::layer::{Layer, LayerBody, LayerNode};
use super::quota::Quota;

/// A directory of a layer.
#[derive(Clone)]
pub(crate) struct LowerDir {
    layer: Arc<Layer>,
    index: u32,
}

/// Image files with several names, by layer and place in it: the names must meet in one inode.
pub(crate) type HardLinked = BTreeMap<(usize, u32), Weak<Inode>>;

/// Makes the root of a writable tree over `layers`, the lowest first. `quota` counts what is written.
pub(crate) fn new_root(layers: &[Arc<Layer>], quota: Arc<Quota>) -> Arc<Inode> {
    let fs = MemFs::new("overlay", quota, false, false);
    let mut lower = Vec::new();
    for layer in layers.iter().rev() {
        lower.push(LowerDir { layer: layer.clone(), index: 0 });
        if layer.root().is_opaque() {
            break;
        }
    }
    let meta = meta_of(&lower).unwrap_or_else(|| Meta::new(0o755, 0, 0, 0));
    Inode::new_root(&fs, meta, lower)
}

/// Takes the entries of the layers into `dir`, which is the content of `inode`. Sorted by name, so that numbers and cookies are
/// the same in every run.
pub(crate) fn merge(inode: &Arc<Inode>, dir: &mut Dir) {
    let lower = std::mem::take(&mut dir.lower);
    let mut merged: BTreeMap<&str, Merged<'_>> = BTreeMap::new();
    for from in &lower {
        let LayerBody::Dir { children, .. } = &from.layer.node(from.index).body else { continue };
        for (name, index) in children {
            let node = from.layer.node(*index);
            let here = LowerDir { layer: from.layer.clone(), index: *index };
            match merged.get_mut(&**name) {
                Some(Merged::Dir { parts, closed }) if !*closed => {
                    // anything but a directory between two directories parts them
                    let is_dir = matches!(node.body, LayerBody::Dir { .. });
                    *closed = !is_dir || node.is_opaque();
                    if is_dir {
                        parts.push(here);
                    }
                }
                Some(_) => {}
                None => {
                    let found = match &node.body {
                        LayerBody::Dir { .. } => Merged::Dir { parts: vec![here], closed: node.is_opaque() },
                        LayerBody::Whiteout => Merged::Hidden,
                        LayerBody::File(_) | LayerBody::Symlink(_) => Merged::Leaf(node, here),
                    };
                    merged.insert(name, found);
                }
            }
        }
    }
    for (name, merged) in merged {
        let child = match merged {
            Merged::Hidden => continue,
            Merged::Leaf(node, at) => leaf(&inode.fs, node, &at),
            Merged::Dir { parts, .. } => {
                let meta = meta_of(&parts).unwrap_or_else(|| Meta::new(0o755, 0, 0, 0));
                Inode::new(&inode.fs, meta, Body::dir(Arc::downgrade(inode), dir.depth.saturating_add(1), parts))
            }
        };
        dir.insert(Entry { name: name.into(), inode: child, hold: None });
    }
}

enum Merged<'a> {
    Hidden,
    Leaf(&'a LayerNode, LowerDir),
    Dir { parts: Vec<LowerDir>, closed: bool },
}

/// The inode of a file or link of a layer.
fn leaf(fs: &Arc<MemFs>, node: &LayerNode, at: &LowerDir) -> Arc<Inode> {
    let key = (Arc::as_ptr(&at.layer) as usize, at.index);
    if node.links > 1
        && let Some(known) = fs.hard_linked.lock().get(&key).and_then(Weak::upgrade)
    {
        return known;
    }
    let body = match &node.body {
        LayerBody::File(bytes) => Body::file(fs, bytes.clone()),
        // the image's own links cost nothing, as its names do
        LayerBody::Symlink(target) => Body::Symlink { target: target.clone(), _page: None },
        LayerBody::Dir { .. } | LayerBody::Whiteout => Body::file(fs, bytes::Bytes::new()),
    };
    let inode = Inode::new(fs, node.meta(), body);
    if node.links > 1 {
        fs.hard_linked.lock().insert(key, Arc::downgrade(&inode));
    }
    inode
}

/// The metadata of merged directories: that of the topmost one that an image says something about.
fn meta_of(parts: &[LowerDir]) -> Option<Meta> {
    let nodes = || parts.iter().map(|part| part.layer.node(part.index));
    nodes().find(|node| !node.is_implicit()).or_else(|| nodes().next()).map(LayerNode::meta)
}
