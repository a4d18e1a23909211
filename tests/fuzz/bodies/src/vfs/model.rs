//! A file system as plain as can be: numbered nodes, names in maps, mounts in a list, and the path walk of `path_resolution(7)`
//! written by recursion. Owns what each call should answer; it knows no permissions and no limits on room.

use std::collections::BTreeMap;

use wasmpod_kernel::file::FileType;
use wasmpod_kernel::mntns::{NAME_MAX, PATH_MAX, SYMLINKS_MAX};
use wasmpod_kernel::{Errno, Result};

/// A node, by number.
pub(super) type Id = usize;

/// A place: in which mount, and what.
pub(super) type Place = (usize, Id);

#[derive(Debug)]
pub(super) enum Kind {
    Dir { names: BTreeMap<String, Id>, dead: bool },
    File(Vec<u8>),
    Link(String),
}

#[derive(Debug)]
struct Mount {
    root: Id,
    read_only: bool,
    over: Place,
}

/// What a path means.
pub(super) struct Found {
    parent: Place,
    name: Option<String>,
    at: Option<Place>,
    must_be_dir: bool,
}

impl Found {
    fn existing(&self) -> Result<Place> {
        self.at.ok_or(Errno::NoEnt)
    }
}

/// How to open.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Open {
    pub(super) write: bool,
    pub(super) create: bool,
    pub(super) exclusive: bool,
    pub(super) directory: bool,
    pub(super) follow: bool,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) nodes: Vec<Kind>,
    mounts: Vec<Mount>,
}

/// A walk under way.
struct Walk<'a> {
    model: &'a Model,
    rooted: bool,
    follow: bool,
    stack: Vec<Place>,
    links: u32,
    must_be_dir: bool,
}

impl Model {
    pub(super) fn dir(&mut self) -> Id {
        self.add(Kind::Dir { names: BTreeMap::new(), dead: false })
    }

    pub(super) fn add(&mut self, kind: Kind) -> Id {
        self.nodes.push(kind);
        self.nodes.len() - 1
    }

    /// Puts a new node under a name.
    pub(super) fn put(&mut self, dir: Id, name: &str, kind: Kind) -> Id {
        let id = self.add(kind);
        self.insert(dir, name, id);
        id
    }

    pub(super) fn mount(&mut self, over: Place, root: Id, read_only: bool) -> usize {
        self.mounts.push(Mount { root, read_only, over });
        self.mounts.len() - 1
    }

    pub(super) fn root(&self) -> Place {
        (0, self.mounts[0].root)
    }

    pub(super) fn file_type(&self, id: Id) -> FileType {
        match self.nodes[id] {
            Kind::Dir { .. } => FileType::Directory,
            Kind::File(_) => FileType::Regular,
            Kind::Link(_) => FileType::Symlink,
        }
    }

    pub(super) fn names(&self, id: Id) -> Option<(&BTreeMap<String, Id>, bool)> {
        match &self.nodes[id] {
            Kind::Dir { names, dead } => Some((names, *dead)),
            _ => None,
        }
    }

    /// How many names a node has; of a directory as `stat(2)` counts.
    pub(super) fn links(&self, id: Id) -> u64 {
        match &self.nodes[id] {
            Kind::Dir { dead: true, .. } => 0,
            Kind::Dir { names, .. } => 2 + names.values().filter(|id| self.names(**id).is_some()).count() as u64,
            _ => {
                let dirs = self.nodes.iter().filter_map(|kind| match kind {
                    Kind::Dir { names, .. } => Some(names),
                    _ => None,
                });
                dirs.flat_map(BTreeMap::values).filter(|other| **other == id).count() as u64
            }
        }
    }

    fn insert(&mut self, dir: Id, name: &str, id: Id) {
        if let Kind::Dir { names, .. } = &mut self.nodes[dir] {
            names.insert(name.to_owned(), id);
        }
    }

    fn take(&mut self, dir: Id, name: &str) {
        if let Kind::Dir { names, .. } = &mut self.nodes[dir] {
            names.remove(name);
        }
    }

    fn is_dead(&self, id: Id) -> bool {
        matches!(self.nodes[id], Kind::Dir { dead: true, .. })
    }

    fn is_empty(&self, id: Id) -> bool {
        self.names(id).is_none_or(|(names, _)| names.is_empty())
    }

    fn bury(&mut self, id: Id) {
        if let Kind::Dir { dead, .. } = &mut self.nodes[id] {
            *dead = true;
        }
    }

    /// Whether `id` is `top` or somewhere below it.
    fn below(&self, id: Id, top: Id) -> bool {
        id == top || self.names(top).is_some_and(|(names, _)| names.values().any(|child| self.below(id, *child)))
    }

    fn child(&self, here: Place, name: &str) -> Result<Place> {
        let (names, _) = self.names(here.1).ok_or(Errno::NotDir)?;
        let mut at = (here.0, *names.get(name).ok_or(Errno::NoEnt)?);
        while let Some(mount) = self.mounts.iter().skip(1).position(|mount| mount.over == at) {
            at = (mount + 1, self.mounts[mount + 1].root);
        }
        Ok(at)
    }

    /// Where a path leads, from a directory that no path leaves.
    pub(super) fn resolve(&self, start: Place, path: &str, follow: bool) -> Result<Found> {
        check(path)?;
        if path.starts_with('/') {
            return Err(Errno::Perm);
        }
        let (rooted, stack) = (start == self.root(), vec![start]);
        let mut walk = Walk { model: self, rooted, follow, stack, links: 0, must_be_dir: false };
        match walk.steps(path, false, true, false)? {
            Some(found) => Ok(found),
            None => {
                let here = *walk.stack.last().unwrap_or(&start);
                Ok(Found { parent: here, name: None, at: Some(here), must_be_dir: true })
            }
        }
    }

    /// As [`Model::resolve`], for calls that care for what is there and not for its name.
    fn find(&self, start: Place, path: &str, follow: bool) -> Result<Found> {
        self.resolve(start, path, follow || path.ends_with('/'))
    }

    pub(super) fn stat(&self, start: Place, path: &str, follow: bool) -> Result<Place> {
        self.find(start, path, follow)?.existing()
    }

    pub(super) fn readlink(&self, start: Place, path: &str) -> Result<&str> {
        match &self.nodes[self.stat(start, path, false)?.1] {
            Kind::Link(target) => Ok(target),
            _ => Err(Errno::Inval),
        }
    }

    pub(super) fn open(&mut self, start: Place, path: &str, open: Open) -> Result<Place> {
        if open.create && open.directory {
            return Err(Errno::Inval);
        }
        let found = self.find(start, path, open.follow && !(open.create && open.exclusive))?;
        let Some(at) = found.at else {
            if !open.create {
                return Err(Errno::NoEnt);
            }
            if found.must_be_dir {
                return Err(Errno::IsDir);
            }
            return self.make(&found, Kind::File(Vec::new()));
        };
        if open.create && open.exclusive {
            return Err(Errno::Exist);
        }
        match self.file_type(at.1) {
            FileType::Symlink => Err(Errno::Loop),
            FileType::Directory if open.write || open.create => Err(Errno::IsDir),
            FileType::Directory => Ok(at),
            _ if open.directory => Err(Errno::NotDir),
            _ if open.write && self.mounts[at.0].read_only => Err(Errno::RoFs),
            _ => Ok(at),
        }
    }

    pub(super) fn mkdir(&mut self, start: Place, path: &str) -> Result<()> {
        let name = path.trim_end_matches('/');
        let found = self.resolve(start, if name.is_empty() { path } else { name }, false)?;
        self.make(&found, Kind::Dir { names: BTreeMap::new(), dead: false }).map(drop)
    }

    pub(super) fn symlink(&mut self, start: Place, target: &str, path: &str) -> Result<()> {
        let found = self.resolve(start, path, false)?;
        if found.must_be_dir && found.at.is_none() {
            return Err(Errno::NoEnt);
        }
        self.may_make(&found)?;
        check(target)?;
        if target.len() >= PATH_MAX {
            return Err(Errno::NameTooLong);
        }
        self.make(&found, Kind::Link(target.to_owned())).map(drop)
    }

    fn may_make(&self, found: &Found) -> Result<()> {
        match found {
            Found { at: Some(_), .. } => Err(Errno::Exist),
            Found { parent, .. } if self.mounts[parent.0].read_only => Err(Errno::RoFs),
            Found { parent, .. } if self.is_dead(parent.1) => Err(Errno::NoEnt),
            _ => Ok(()),
        }
    }

    fn make(&mut self, found: &Found, kind: Kind) -> Result<Place> {
        self.may_make(found)?;
        let name = found.name.as_deref().ok_or(Errno::Exist)?;
        Ok((found.parent.0, self.put(found.parent.1, name, kind)))
    }

    /// Something is mounted on the node somewhere.
    fn busy(&self, id: Id) -> bool {
        self.mounts.iter().skip(1).any(|mount| mount.over.1 == id)
    }

    pub(super) fn remove(&mut self, start: Place, path: &str, directory: bool) -> Result<()> {
        let found = self.resolve(start, path, false)?;
        let at = found.existing()?;
        let Some(name) = &found.name else {
            let up = path.trim_end_matches('/').ends_with("..");
            return Err(if !directory {
                Errno::IsDir
            } else if up {
                Errno::NotEmpty
            } else {
                Errno::Inval
            });
        };
        if at.0 != found.parent.0 {
            return Err(Errno::Busy);
        }
        if self.mounts[at.0].read_only {
            return Err(Errno::RoFs);
        }
        match (directory, self.names(at.1).is_some()) {
            (true, false) => return Err(Errno::NotDir),
            _ if self.busy(at.1) => return Err(Errno::Busy),
            (false, true) => return Err(Errno::IsDir),
            (true, true) if !self.is_empty(at.1) => return Err(Errno::NotEmpty),
            _ => {}
        }
        self.bury(at.1);
        self.take(found.parent.1, name);
        Ok(())
    }

    pub(super) fn link(&mut self, start: Place, old: &str, follow: bool, to: Place, new: &str) -> Result<()> {
        let source = self.stat(start, old, follow)?;
        let found = self.resolve(to, new, false)?;
        if found.must_be_dir && found.at.is_none() {
            return Err(Errno::NoEnt);
        }
        if source.0 != found.parent.0 {
            return Err(Errno::XDev);
        }
        match found {
            Found { at: Some(_), .. } => return Err(Errno::Exist),
            _ if self.mounts[source.0].read_only => return Err(Errno::RoFs),
            _ if self.names(source.1).is_some() => return Err(Errno::Perm),
            _ => self.may_make(&found)?,
        }
        self.insert(found.parent.1, found.name.as_deref().ok_or(Errno::Exist)?, source.1);
        Ok(())
    }

    pub(super) fn rename(&mut self, start: Place, old: &str, to: Place, new: &str) -> Result<()> {
        let from = self.resolve(start, old, false)?;
        let into = self.resolve(to, new, false)?;
        let (Some(old), Some(new)) = (&from.name, &into.name) else { return Err(Errno::Busy) };
        if from.parent.0 != into.parent.0 {
            return Err(Errno::XDev);
        }
        let moved = from.existing()?;
        if self.mounts[from.parent.0].read_only {
            return Err(Errno::RoFs);
        }
        let roots = moved.0 != from.parent.0 || into.at.is_some_and(|at| at.0 != into.parent.0);
        let directory = self.names(moved.1).is_some();
        match into.at {
            _ if roots => return Err(Errno::Busy),
            _ if into.must_be_dir && !directory => return Err(Errno::NotDir),
            Some(target) if self.busy(moved.1) || self.busy(target.1) => return Err(Errno::Busy),
            None if self.busy(moved.1) => return Err(Errno::Busy),
            _ if self.is_dead(into.parent.1) => return Err(Errno::NoEnt),
            _ if directory && self.below(into.parent.1, moved.1) => return Err(Errno::Inval),
            Some(target) if target == moved => return Ok(()),
            Some(target) => match (directory, self.names(target.1).is_some()) {
                (true, false) => return Err(Errno::NotDir),
                (false, true) if self.below(from.parent.1, target.1) => return Err(Errno::NotEmpty),
                (false, true) => return Err(Errno::IsDir),
                (true, true) if !self.is_empty(target.1) => return Err(Errno::NotEmpty),
                _ => self.bury(target.1),
            },
            None => {}
        }
        self.take(from.parent.1, old);
        self.insert(into.parent.1, new, moved.1);
        Ok(())
    }
}

/// What holds for every path and every target of a link.
fn check(path: &str) -> Result<()> {
    match path {
        "" => Err(Errno::NoEnt),
        _ if path.len() > PATH_MAX => Err(Errno::NameTooLong),
        _ if path.contains('\0') => Err(Errno::Inval),
        _ => Ok(()),
    }
}

impl Walk<'_> {
    /// Walks the names of `path`. `last`: nothing comes after them; `dot`: but a `.`. Without a result the place is on the stack.
    fn steps(&mut self, path: &str, from_link: bool, last: bool, dot: bool) -> Result<Option<Found>> {
        let trimmed = path.trim_end_matches('/');
        // a name before a last `.` is a directory, under no name that could be removed
        let dot = dot || last && (trimmed == "." || trimmed.ends_with("/."));
        self.must_be_dir |= last && (dot || path.ends_with('/'));
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
        for (index, name) in names.iter().enumerate() {
            let here = self.stack[self.stack.len() - 1];
            let last = last && index + 1 == names.len();
            if *name == ".." {
                if self.stack.len() > 1 {
                    self.stack.pop();
                } else if !(from_link && self.rooted) {
                    return Err(Errno::Perm);
                }
                continue;
            }
            if name.len() > NAME_MAX {
                return Err(Errno::NameTooLong);
            }
            let at = match self.model.child(here, name) {
                Err(Errno::NoEnt) if last && !dot => None,
                at => Some(at?),
            };
            let found = |at, must_be_dir| {
                let name = (!dot).then(|| (*name).to_owned());
                Ok(Some(Found { parent: here, name, at, must_be_dir }))
            };
            let Some(at) = at else { return found(None, self.must_be_dir) };
            match &self.model.nodes[at.1] {
                Kind::Link(target) if !last || self.follow || dot => {
                    self.links += 1;
                    if self.links > SYMLINKS_MAX {
                        return Err(Errno::Loop);
                    }
                    if target.starts_with('/') {
                        if !self.rooted {
                            return Err(Errno::Perm);
                        }
                        self.stack.truncate(1);
                    }
                    if let Some(found) = self.steps(target, true, last, last && dot)? {
                        return Ok(Some(found));
                    }
                }
                Kind::Dir { .. } if !last => self.stack.push(at),
                Kind::Dir { .. } => return found(Some(at), self.must_be_dir),
                _ if !last || self.must_be_dir => return Err(Errno::NotDir),
                _ => return found(Some(at), false),
            }
        }
        Ok(None)
    }
}
