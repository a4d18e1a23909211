//! Open file descriptions and the descriptor table (`open(2)`, `dup(2)`, `fcntl(2)`). What is behind a descriptor lives in
//! [`crate::mntns`], [`crate::netns`] and [`crate::pipe`]; this file only joins them.

use std::fmt;
use std::sync::Arc;
use std::task::Context;

use crate::mntns::OpenFile;
use crate::netns::{TcpSocket, UdpSocket};
use crate::wait::Ready;
use crate::{Errno, Result};

/// The most descriptors a process may hold, as Linux' usual soft RLIMIT_NOFILE. A flood ends in EMFILE.
pub const MAX_DESCRIPTORS: usize = 1024;

/// What a file is (`stat(2)` st_mode's type).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device, a terminal or a log.
    CharDevice,
    /// A pipe.
    Fifo,
    /// A TCP socket.
    SocketStream,
    /// A UDP socket.
    SocketDgram,
}

/// A one-way or two-way stream of bytes: an end of a pipe, a container's log, a terminal, nothing.
pub trait Stream: Send + Sync {
    /// Reads into `buf`. `Ok(0)` for a non-empty `buf` is the end of the stream.
    ///
    /// # Errors
    /// [`Errno::Again`] if it would block, [`Errno::BadF`] if this end cannot be read.
    fn read(&self, buf: &mut [u8]) -> Result<usize>;

    /// Writes a prefix of `buf` and returns its length.
    ///
    /// # Errors
    /// [`Errno::Again`] if it would block, [`Errno::Pipe`] if nobody will read it, [`Errno::BadF`] if this end cannot be written.
    fn write(&self, buf: &[u8]) -> Result<usize>;

    /// What the stream is ready for, of `interest`; if nothing, the task of `cx` is woken when that may have changed.
    fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready;

    /// What `stat(2)` calls it.
    fn file_type(&self) -> FileType {
        FileType::CharDevice
    }

    /// True if `isatty(3)` would say so.
    fn is_terminal(&self) -> bool {
        false
    }
}

/// An open file description: what one or more descriptors refer to.
#[derive(Clone)]
pub enum Description {
    /// A file, directory or device of the mount namespace.
    File(Arc<OpenFile>),
    /// A TCP socket in any state.
    Tcp(Arc<TcpSocket>),
    /// A UDP socket.
    Udp(Arc<UdpSocket>),
    /// A stream of bytes.
    Stream(Arc<dyn Stream>),
}

impl Description {
    /// What `stat(2)` calls it.
    pub fn file_type(&self) -> FileType {
        match self {
            Self::File(file) => file.file_type(),
            Self::Tcp(_) => FileType::SocketStream,
            Self::Udp(_) => FileType::SocketDgram,
            Self::Stream(stream) => stream.file_type(),
        }
    }

    /// Readiness as of `poll(2)`; regular files and directories are always ready.
    pub fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        match self {
            Self::File(file) => file.poll_ready(interest, cx),
            Self::Tcp(socket) => socket.poll_ready(interest, cx),
            Self::Udp(socket) => socket.poll_ready(interest, cx),
            Self::Stream(stream) => stream.poll_ready(interest, cx),
        }
    }
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.file_type())
    }
}

/// One entry of a descriptor table.
#[derive(Clone, Debug)]
pub struct Descriptor {
    /// What it refers to.
    pub description: Description,
    /// The path under which a WASI program was given it, if it is a preopen.
    pub preopen: Option<String>,
    /// FDFLAGS_NONBLOCK: calls return EAGAIN instead of waiting.
    pub nonblocking: bool,
}

impl Descriptor {
    /// A plain, blocking descriptor.
    pub fn new(description: Description) -> Self {
        Self { description, preopen: None, nonblocking: false }
    }
}

/// The descriptors of a process, by number. New ones get the lowest free number, as POSIX wants.
#[derive(Debug, Default)]
pub struct FdTable {
    slots: Vec<Option<Descriptor>>,
    open: usize,
    /// Descriptors held outside of the numbered table (component resources), which count against the same limit.
    held: usize,
}

impl FdTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a descriptor under the lowest free number.
    ///
    /// # Errors
    /// [`Errno::MFile`] at [`MAX_DESCRIPTORS`].
    pub fn insert(&mut self, descriptor: Descriptor) -> Result<u32> {
        self.check_room()?;
        let at = match self.slots.iter().position(Option::is_none) {
            Some(free) if self.open < self.slots.len() => {
                self.slots[free] = Some(descriptor);
                free
            }
            _ => {
                self.slots.push(Some(descriptor));
                self.slots.len() - 1
            }
        };
        self.open += 1;
        u32::try_from(at).map_err(|_| Errno::MFile)
    }

    /// The descriptor with this number.
    ///
    /// # Errors
    /// [`Errno::BadF`] if there is none.
    pub fn get(&self, fd: u32) -> Result<&Descriptor> {
        self.slots.get(fd as usize).and_then(Option::as_ref).ok_or(Errno::BadF)
    }

    /// The descriptor with this number, to change its flags.
    ///
    /// # Errors
    /// [`Errno::BadF`] if there is none.
    pub fn get_mut(&mut self, fd: u32) -> Result<&mut Descriptor> {
        self.slots.get_mut(fd as usize).and_then(Option::as_mut).ok_or(Errno::BadF)
    }

    /// Takes a descriptor out. The caller drops it outside of the table's lock, because that may wake others.
    ///
    /// # Errors
    /// [`Errno::BadF`] if there is none.
    pub fn remove(&mut self, fd: u32) -> Result<Descriptor> {
        let descriptor = self.slots.get_mut(fd as usize).and_then(Option::take).ok_or(Errno::BadF)?;
        self.open -= 1;
        Ok(descriptor)
    }

    /// Moves `from` to the number `to`, which must be open, and returns what was there (WASI `fd_renumber`).
    ///
    /// # Errors
    /// [`Errno::BadF`] if either is not open.
    pub fn renumber(&mut self, from: u32, to: u32) -> Result<Option<Descriptor>> {
        self.get(from)?;
        self.get(to)?;
        if from == to {
            return Ok(None);
        }
        let moved = self.slots[from as usize].take();
        let replaced = std::mem::replace(&mut self.slots[to as usize], moved);
        self.open -= 1;
        Ok(replaced)
    }

    /// Counts one more descriptor that is held elsewhere.
    ///
    /// # Errors
    /// [`Errno::MFile`] at [`MAX_DESCRIPTORS`].
    pub fn hold(&mut self) -> Result<()> {
        self.check_room()?;
        self.held += 1;
        Ok(())
    }

    /// Gives back one [`FdTable::hold`].
    pub fn release(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    /// The open descriptors, in numeric order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Descriptor)> {
        self.slots.iter().enumerate().filter_map(|(fd, slot)| Some((u32::try_from(fd).ok()?, slot.as_ref()?)))
    }

    /// Takes everything out, for a process that ends.
    #[must_use]
    pub fn take_all(&mut self) -> Vec<Option<Descriptor>> {
        self.open = 0;
        std::mem::take(&mut self.slots)
    }

    fn check_room(&self) -> Result<()> {
        if self.open + self.held >= MAX_DESCRIPTORS { Err(Errno::MFile) } else { Ok(()) }
    }
}
