//! The path walk (`path_resolution(7)` with `openat2(2)`'s RESOLVE_BENEATH): from a directory to what a path means, across mounts
//! and symbolic links, never out of that directory. It goes by handles: no step is taken twice, so nothing that is swapped
//! meanwhile changes what was checked. Iterative and bounded: [`PATH_MAX`] bytes of path and [`SYMLINKS_MAX`] links.

use super::mount::{Location, MountTable};
use super::node::Node;
use super::types::{Cred, MAY_EXEC, NAME_MAX, PATH_MAX, SYMLINKS_MAX};
use crate::file::FileType;
use crate::{Errno, Result};

/// The most directories of the host that one walk holds open at a time: each is a descriptor of the whole node.
const HOST_DEPTH_MAX: usize = 128;

/// Where a walk begins and what rules it has.
pub(crate) struct Walk<'a> {
    pub(crate) table: &'a MountTable,
    pub(crate) start: &'a Location,
    pub(crate) cred: &'a Cred,
    /// `start` is the namespace's root: absolute links begin here, and a link's `..` stays here.
    pub(crate) rooted: bool,
}

/// What a path means.
pub(crate) struct Found {
    /// The directory that the last name is in.
    pub(crate) parent: Location,
    /// The last name; `None` if the path ends in `.` or `..` or is the start itself.
    pub(crate) name: Option<String>,
    /// What is there, if anything is.
    pub(crate) at: Option<Location>,
    /// The path says that it is a directory, by a slash at its end.
    pub(crate) must_be_dir: bool,
}

impl Found {
    /// What is there.
    ///
    /// # Errors
    /// [`Errno::NoEnt`] if nothing is.
    pub(crate) fn existing(&self) -> Result<&Location> {
        self.at.as_ref().ok_or(Errno::NoEnt)
    }
}

struct Step {
    name: Box<str>,
    from_link: bool,
}

impl Walk<'_> {
    /// Walks `path`. A link at its end is followed if `follow` says so.
    ///
    /// # Errors
    /// [`Errno::Perm`] for a way out, [`Errno::Loop`], [`Errno::NameTooLong`], [`Errno::NotDir`], [`Errno::Acces`],
    /// [`Errno::NoEnt`] if a directory on the way is missing, [`Errno::Inval`] for NUL.
    pub(crate) fn resolve(&self, path: &str, follow: bool) -> Result<Found> {
        check_path(path)?;
        if path.starts_with('/') {
            return Err(Errno::Perm);
        }
        if !self.start.node.is_dir() {
            return Err(Errno::NotDir);
        }
        // `x/.` is the directory x, but under no name that could be removed
        let mut dot = ends_in_dot(path);
        let mut must_be_dir = dot || path.ends_with('/');
        let mut left = Vec::new();
        push_steps(&mut left, path, false);
        let mut stack = vec![self.start.clone()];
        let mut links = 0;
        while let Some(Step { name, from_link }) = left.pop() {
            let last = left.is_empty();
            let here = stack.last().unwrap_or(self.start).clone();
            if &*name == ".." {
                self.go_up(&mut stack, from_link)?;
                continue;
            }
            if name.len() > NAME_MAX {
                return Err(Errno::NameTooLong);
            }
            self.check_search(&here)?;
            let at = match self.table.child(&here, &name) {
                Ok(at) => at,
                Err(Errno::NoEnt) if last && !dot => {
                    return Ok(Found { parent: here, name: Some(name.into()), at: None, must_be_dir });
                }
                Err(errno) => return Err(errno),
            };
            match at.node.file_type() {
                FileType::Symlink if !last || follow || dot => {
                    links += 1;
                    if links > SYMLINKS_MAX {
                        return Err(Errno::Loop);
                    }
                    let target = at.node.readlink()?;
                    check_path(&target)?;
                    if target.starts_with('/') {
                        if !self.rooted {
                            return Err(Errno::Perm);
                        }
                        stack.truncate(1);
                    }
                    dot |= last && ends_in_dot(&target);
                    must_be_dir |= last && (dot || target.ends_with('/'));
                    push_steps(&mut left, &target, true);
                }
                FileType::Directory if !last => {
                    if matches!(at.node, Node::Host(_)) {
                        let held = stack.iter().filter(|location| matches!(location.node, Node::Host(_))).count();
                        if held >= HOST_DEPTH_MAX {
                            return Err(Errno::NameTooLong);
                        }
                    }
                    stack.push(at);
                }
                file_type if last => {
                    if must_be_dir && file_type != FileType::Directory {
                        return Err(Errno::NotDir);
                    }
                    let name = (!dot).then(|| name.into());
                    return Ok(Found { parent: here, name, at: Some(at), must_be_dir });
                }
                _ => return Err(Errno::NotDir),
            }
        }
        let here = stack.pop().unwrap_or_else(|| self.start.clone());
        Ok(Found { parent: here.clone(), name: None, at: Some(here), must_be_dir: true })
    }

    fn check_search(&self, dir: &Location) -> Result<()> {
        // root may search every directory; asking the host would cost a call for each step
        if self.cred.uid == 0 { Ok(()) } else { self.cred.check(dir.node.owner()?, MAY_EXEC) }
    }

    fn go_up(&self, stack: &mut Vec<Location>, from_link: bool) -> Result<()> {
        let here = stack.last().unwrap_or(self.start);
        self.check_search(here)?;
        if stack.len() > 1 {
            stack.pop();
            return Ok(());
        }
        // `/..` is `/`: links in images rely on it. A guest's own path that leaves its directory is refused.
        if from_link && self.rooted { Ok(()) } else { Err(Errno::Perm) }
    }
}

/// Checks what holds for every path, and for the target of every link.
pub(crate) fn check_path(path: &str) -> Result<()> {
    match path {
        "" => Err(Errno::NoEnt),
        _ if path.len() > PATH_MAX => Err(Errno::NameTooLong),
        _ if path.contains('\0') => Err(Errno::Inval),
        _ => Ok(()),
    }
}

/// True for `.`, `x/.` and `x/./`: the last name is a dot.
fn ends_in_dot(path: &str) -> bool {
    let path = path.trim_end_matches('/');
    path == "." || path.ends_with("/.")
}

/// Puts the names of `path` on the stack of what is left to walk, the first on top.
fn push_steps(left: &mut Vec<Step>, path: &str, from_link: bool) {
    let names = path.split('/').filter(|name| !matches!(*name, "" | "."));
    let from = left.len();
    left.extend(names.map(|name| Step { name: name.into(), from_link }));
    left[from..].reverse();
}
