//! Files that are not stored but made: the mechanism behind `/proc`, `/dev` and `/sys/fs/cgroup`. A [`Provider`] makes a file's
//! content each time it is opened; a [`Device`] has a behaviour of its own. Guests cannot change such a tree (F15). What the
//! files say is the providers' business: this module depends on no other room of the kernel.

use std::sync::{Arc, OnceLock};

use super::Quota;
use super::inode::{Body, Ctx, Inode, MemFs, Meta};
use super::tmpfs::{ensure_dir, place};
use crate::file::Stream;
use crate::{Errno, Result};

/// Makes the content of a file when it is opened.
pub type Provider = Arc<dyn Fn() -> Vec<u8> + Send + Sync>;
/// Fills a buffer with random bytes.
pub type RandomSource = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// The largest content that a provider may make, in bytes; what is beyond is cut off. It is charged to the container while the
/// file is open.
pub(crate) const PROVIDED_MAX: usize = 1 << 20;

/// A character device.
#[derive(Clone)]
pub enum Device {
    /// `/dev/null`: nothing to read, everything may be written.
    Null,
    /// `/dev/zero`: zeros.
    Zero,
    /// `/dev/full`: zeros to read, ENOSPC to write.
    Full,
    /// `/dev/random`, `/dev/urandom`.
    Random(RandomSource),
    /// `/dev/tty`: the controlling terminal; ENXIO without one.
    Tty(Option<Arc<dyn Stream>>),
    /// `/dev/stdin`, `/dev/stdout`, `/dev/stderr`: descriptor 0, 1 or 2 of whoever opens it. The stream is that of the
    /// container's entry point, for callers that do not look at [`super::OpenFile::stdio`]; ENXIO without one.
    Stdio(u32, Option<Arc<dyn Stream>>),
}

impl Device {
    /// The stream behind the device, if there is one.
    pub(crate) fn stream(&self) -> Option<&Arc<dyn Stream>> {
        match self {
            Self::Tty(stream) | Self::Stdio(_, stream) => stream.as_ref(),
            _ => None,
        }
    }

    /// What opening it says.
    pub(crate) fn check_open(&self) -> Result<()> {
        match self {
            Self::Tty(None) => Err(Errno::Nxio),
            _ => Ok(()),
        }
    }

    pub(crate) fn read(&self, buf: &mut [u8]) -> Result<usize> {
        match self {
            Self::Null => return Ok(0),
            Self::Zero | Self::Full => buf.fill(0),
            Self::Random(source) => source(buf),
            Self::Tty(stream) | Self::Stdio(_, stream) => return stream.as_ref().ok_or(Errno::Nxio)?.read(buf),
        }
        Ok(buf.len())
    }

    pub(crate) fn write(&self, buf: &[u8]) -> Result<usize> {
        match self {
            Self::Null | Self::Zero | Self::Random(_) => Ok(buf.len()),
            Self::Full if buf.is_empty() => Ok(0),
            Self::Full => Err(Errno::NoSpc),
            Self::Tty(stream) | Self::Stdio(_, stream) => stream.as_ref().ok_or(Errno::Nxio)?.write(buf),
        }
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Zero => f.write_str("zero"),
            Self::Full => f.write_str("full"),
            Self::Random(_) => f.write_str("random"),
            Self::Tty(_) => f.write_str("tty"),
            Self::Stdio(fd, _) => write!(f, "stdio {fd}"),
        }
    }
}

/// What a namespace says about its own mounts, once it is built.
#[derive(Debug, Default)]
pub(crate) struct MountTexts {
    pub(crate) mounts: String,
    pub(crate) mountinfo: String,
}

/// A tree of synthetic files, to be mounted by [`super::MountNsBuilder::synthetic`]. The paths are the node's own; one that
/// cannot be is reported when the tree is mounted.
pub struct Synthetic {
    pub(crate) root: Arc<Inode>,
    pub(crate) texts: Arc<OnceLock<MountTexts>>,
    /// The first mistake.
    pub(crate) failed: Option<Errno>,
}

impl Synthetic {
    /// An empty tree; `kind` is what `/proc/mounts` calls it, e.g. `proc`.
    pub fn new(kind: &'static str) -> Self {
        let fs = MemFs::new(kind, Quota::unlimited(), false, true);
        let root = Inode::new_root(&fs, Meta::new(0o755, 0, 0, 0), Vec::new());
        Self { root, texts: Arc::default(), failed: None }
    }

    /// Adds a file with generated content, mode 0444. Directories above it are made.
    #[must_use]
    pub fn file(self, path: &str, provider: Provider) -> Self {
        self.add(path, 0o444, Body::Provider(provider))
    }

    /// Adds a directory.
    #[must_use]
    pub fn dir(mut self, path: &str) -> Self {
        let made = self.parents(path.split('/'));
        self.note(made.map(drop));
        self
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.add(path, 0o777, Body::Symlink { target: target.into(), _page: None })
    }

    /// Adds a device, mode 0666.
    #[must_use]
    pub fn device(self, path: &str, device: Device) -> Self {
        self.add(path, 0o666, Body::Device(device))
    }

    /// The files of `/sys/fs/cgroup`: `render` gives the content of a file by its name, or `None` if there is no such file.
    /// `names` are looked at once, when the tree is made.
    pub fn cgroup(names: &[&str], render: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        let render = Arc::new(render);
        let mut tree = Self::new("cgroup2");
        for name in names.iter().filter(|name| render(name).is_some()) {
            let (render, name) = (render.clone(), (*name).to_owned());
            let provider = {
                let name = name.clone();
                Arc::new(move || render(&name).unwrap_or_default().into_bytes())
            };
            tree = tree.file(&name, provider);
        }
        tree
    }

    /// Adds `mounts` and `mountinfo`, which the namespace that the tree is mounted in fills in.
    pub(crate) fn with_mount_texts(self) -> Self {
        let (mounts, mountinfo) = (self.texts.clone(), self.texts.clone());
        let mounts = move || mounts.get().map(|texts| texts.mounts.clone().into_bytes()).unwrap_or_default();
        let mountinfo = move || mountinfo.get().map(|texts| texts.mountinfo.clone().into_bytes()).unwrap_or_default();
        self.file("self/mounts", Arc::new(mounts))
            .file("self/mountinfo", Arc::new(mountinfo))
            .symlink("mounts", "self/mounts")
    }

    fn add(mut self, path: &str, mode: u32, body: Body) -> Self {
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
        let placed = self.parents(parents.split('/')).and_then(|dir| {
            let inode = Inode::new(&self.root.fs, Meta::new(mode, 0, 0, 0), body);
            place(&dir, name, inode)
        });
        self.note(placed);
        self
    }

    fn parents<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<Arc<Inode>> {
        names
            .filter(|name| !name.is_empty())
            .try_fold(self.root.clone(), |dir, name| ensure_dir(&dir, &Ctx::node(0), name, 0o755))
    }

    fn note(&mut self, done: Result<()>) {
        if let Err(errno) = done {
            self.failed.get_or_insert(errno);
        }
    }
}

impl std::fmt::Debug for Synthetic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Synthetic").field("kind", &self.root.fs.kind).finish()
    }
}
