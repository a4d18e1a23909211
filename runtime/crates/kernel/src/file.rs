//! Open file descriptions and the descriptor table (`open(2)`, `dup(2)`, `fcntl(2)`). What is behind a descriptor lives in
//! [`crate::mntns`], [`crate::netns`], [`crate::ipcns`] and [`crate::pipe`]; this file only joins them.

use std::fmt;
use std::sync::Arc;
use std::task::Context;

use crate::ipcns::Ipc;
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
    /// An IPC object, which has no type, as what Linux calls an anonymous inode.
    Anonymous,
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
    /// An object of the pod's IPC namespace.
    Ipc(Ipc),
}

impl Description {
    /// What `stat(2)` calls it.
    pub fn file_type(&self) -> FileType {
        match self {
            Self::File(file) => file.file_type(),
            Self::Tcp(_) => FileType::SocketStream,
            Self::Udp(_) => FileType::SocketDgram,
            Self::Stream(stream) => stream.file_type(),
            Self::Ipc(_) => FileType::Anonymous,
        }
    }

    /// Readiness as of `poll(2)`; regular files and directories are always ready.
    pub fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        match self {
            Self::File(file) => file.poll_ready(interest, cx),
            Self::Tcp(socket) => socket.poll_ready(interest, cx),
            Self::Udp(socket) => socket.poll_ready(interest, cx),
            Self::Stream(stream) => stream.poll_ready(interest, cx),
            Self::Ipc(ipc) => ipc.poll_ready(interest, cx),
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

    /// How many descriptors are held elsewhere.
    pub const fn held(&self) -> usize {
        self.held
    }

    /// How many numbered descriptors are open.
    pub const fn open(&self) -> usize {
        self.open
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A stream that does nothing; its address tells which it is.
    struct Null;

    impl Stream for Null {
        fn read(&self, _buf: &mut [u8]) -> Result<usize> {
            Ok(0)
        }
        fn write(&self, buf: &[u8]) -> Result<usize> {
            Ok(buf.len())
        }
        fn poll_ready(&self, interest: Ready, _cx: &mut Context<'_>) -> Ready {
            interest
        }
    }

    /// A descriptor that is recognised by its preopen name.
    fn descriptor(name: usize) -> Descriptor {
        let description = Description::Stream(Arc::new(Null));
        Descriptor { preopen: Some(name.to_string()), ..Descriptor::new(description) }
    }

    fn name(descriptor: &Descriptor) -> usize {
        descriptor.preopen.as_deref().and_then(|name| name.parse().ok()).expect("named by the test")
    }

    #[test]
    fn the_lowest_free_number_is_used_until_there_is_none() {
        let mut table = FdTable::new();
        for number in 0..MAX_DESCRIPTORS {
            assert_eq!(table.insert(descriptor(number)), u32::try_from(number).map_err(|_| Errno::MFile));
        }
        assert_eq!(table.insert(descriptor(0)), Err(Errno::MFile));
        assert_eq!(table.hold(), Err(Errno::MFile));
        for fd in [900, 7, 1023] {
            table.remove(fd).expect("open");
        }
        assert_eq!([(); 3].map(|()| table.insert(descriptor(0))), [Ok(7), Ok(900), Ok(1023)]);
    }

    #[test]
    fn what_is_held_elsewhere_counts_too() {
        let mut table = FdTable::new();
        for _ in 0..MAX_DESCRIPTORS {
            table.hold().expect("room");
        }
        assert_eq!(table.insert(descriptor(0)), Err(Errno::MFile));
        table.release();
        assert_eq!(table.insert(descriptor(0)), Ok(0));
        FdTable::new().release(); // one too many is no underflow
    }

    #[test]
    fn flags_are_of_the_descriptor() {
        let mut table = FdTable::new();
        let fd = table.insert(Descriptor::new(Description::Stream(Arc::new(Null)))).expect("room");
        assert!(!table.get(fd).expect("open").nonblocking);
        table.get_mut(fd).expect("open").nonblocking = true;
        assert!(table.get(fd).expect("open").nonblocking);
        assert_eq!(table.get(fd).expect("open").description.file_type(), FileType::CharDevice);
        assert_eq!(table.get_mut(u32::MAX).err(), Some(Errno::BadF));
    }

    #[derive(Debug, Clone)]
    enum Op {
        Insert,
        Remove(u32),
        Renumber(u32, u32),
        Get(u32),
        Hold,
        Release,
        TakeAll,
    }

    fn op() -> impl Strategy<Value = Op> {
        let fd = || prop_oneof![9 => 0u32..12, 1 => Just(u32::MAX)];
        prop_oneof![
            5 => Just(Op::Insert),
            3 => fd().prop_map(Op::Remove),
            3 => (fd(), fd()).prop_map(|(from, to)| Op::Renumber(from, to)),
            2 => fd().prop_map(Op::Get),
            1 => Just(Op::Hold),
            1 => Just(Op::Release),
            1 => Just(Op::TakeAll),
        ]
    }

    proptest! {
        #[test]
        fn the_table_is_a_map_with_the_lowest_free_number(ops in prop::collection::vec(op(), 1..200)) {
            let (mut table, mut model, mut next) = (FdTable::new(), BTreeMap::<u32, usize>::new(), 0);
            for op in ops {
                match op {
                    Op::Insert => {
                        next += 1;
                        let free = (0..).find(|fd| !model.contains_key(fd)).expect("few are open");
                        prop_assert_eq!(table.insert(descriptor(next)), Ok(free));
                        model.insert(free, next);
                    }
                    Op::Remove(fd) => {
                        let removed = table.remove(fd).map(|descriptor| name(&descriptor));
                        prop_assert_eq!(removed, model.remove(&fd).ok_or(Errno::BadF));
                    }
                    Op::Renumber(from, to) => {
                        let expected = match (model.get(&from).copied(), model.contains_key(&to)) {
                            (Some(_), true) if from == to => Ok(None),
                            (Some(moved), true) => {
                                model.remove(&from);
                                Ok(model.insert(to, moved))
                            }
                            _ => Err(Errno::BadF),
                        };
                        let replaced = table.renumber(from, to).map(|replaced| replaced.as_ref().map(name));
                        prop_assert_eq!(replaced, expected);
                    }
                    Op::Get(fd) => {
                        prop_assert_eq!(table.get(fd).map(name), model.get(&fd).copied().ok_or(Errno::BadF));
                    }
                    Op::Hold => prop_assert_eq!(table.hold(), Ok(())),
                    Op::Release => table.release(),
                    Op::TakeAll => {
                        let taken: Vec<_> = table.take_all().iter().flatten().map(name).collect();
                        prop_assert_eq!(taken, std::mem::take(&mut model).into_values().collect::<Vec<_>>());
                    }
                }
                let open: Vec<_> = table.iter().map(|(fd, descriptor)| (fd, name(descriptor))).collect();
                prop_assert_eq!(open, model.clone().into_iter().collect::<Vec<_>>());
            }
        }
    }
}
