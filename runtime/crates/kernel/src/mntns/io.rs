//! Reading and writing through an open file description (`read(2)`, `pwrite(2)`, `ftruncate(2)`, `fsync(2)`): which of the several
//! things behind a description a call goes to. Owns no content.

use std::sync::Arc;

use super::inode::{Body, Inode};
use super::node::Node;
use super::openfile::{Backing, OpenFile};
use crate::{Errno, Result};

impl OpenFile {
    /// Reads at the offset and moves it. 0 is the end of the file.
    ///
    /// # Errors
    /// [`Errno::BadF`] if it is not open for reading, [`Errno::IsDir`], [`Errno::Again`] if a device would block.
    pub fn read(&self, buf: &mut [u8]) -> Result<usize> {
        if let Some(device) = self.device() {
            self.check_readable()?;
            return device.read(buf);
        }
        let mut offset = self.offset.lock();
        let read = self.read_at(buf, *offset)?;
        *offset += read as u64;
        Ok(read)
    }

    /// Reads at `at`, without regard to the offset (`pread(2)`).
    ///
    /// # Errors
    /// As [`OpenFile::read`]; [`Errno::SPipe`] for a terminal.
    pub fn read_at(&self, buf: &mut [u8], at: u64) -> Result<usize> {
        self.check_readable()?;
        match &self.backing {
            Backing::Provided(content, _) => {
                let from = usize::try_from(at).unwrap_or(usize::MAX).min(content.len());
                let length = buf.len().min(content.len() - from);
                buf[..length].copy_from_slice(&content[from..from + length]);
                Ok(length)
            }
            Backing::Host(file) => file.read_at(buf, at),
            Backing::Node => {
                let inode = self.inode()?;
                match &inode.body {
                    Body::File(pages) => {
                        let read = pages.read().read_at(buf, at);
                        inode.touch_read(|| self.ns.clock().wall());
                        Ok(read)
                    }
                    Body::Device(device) if device.stream().is_some() => Err(Errno::SPipe),
                    Body::Device(device) => device.read(buf),
                    _ => Err(Errno::IsDir),
                }
            }
        }
    }

    /// Writes at the offset, or at the end in append mode, and moves the offset. What there is no room for is left out; the
    /// number of bytes says so.
    ///
    /// # Errors
    /// [`Errno::BadF`] if it is not open for writing, [`Errno::NoSpc`], [`Errno::NoMem`], [`Errno::FBig`], [`Errno::Again`] if a device would
    /// block.
    pub fn write(&self, buf: &[u8]) -> Result<usize> {
        if let Some(device) = self.device() {
            self.check_writable()?;
            return device.write(buf);
        }
        let mut offset = self.offset.lock();
        if self.append() {
            let (written, end) = self.append_now(buf)?;
            *offset = end;
            return Ok(written);
        }
        let written = self.write_at(buf, *offset)?;
        *offset += written as u64;
        Ok(written)
    }

    /// Writes at `at`, without regard to the offset and to append mode (POSIX `pwrite(2)`).
    ///
    /// # Errors
    /// As [`OpenFile::write`]; [`Errno::SPipe`] for a terminal.
    pub fn write_at(&self, buf: &[u8], at: u64) -> Result<usize> {
        self.check_writable()?;
        match &self.backing {
            Backing::Provided(..) => Err(Errno::Acces),
            Backing::Host(file) => file.write_at(buf, at),
            Backing::Node => {
                let inode = self.inode()?;
                match &inode.body {
                    Body::File(pages) => {
                        let written = pages.write().write_at(buf, at, Some(self.ns.memory()))?;
                        inode.touch_write(self.ns.clock().wall());
                        Ok(written)
                    }
                    Body::Device(device) if device.stream().is_some() => Err(Errno::SPipe),
                    Body::Device(device) => device.write(buf),
                    _ => Err(Errno::IsDir),
                }
            }
        }
    }

    /// Writes at the end, in one step with finding it, and leaves the offset (Linux' `pwrite(2)` with O_APPEND).
    ///
    /// # Errors
    /// As [`OpenFile::write_at`].
    pub fn append_at_end(&self, buf: &[u8]) -> Result<usize> {
        match self.device() {
            Some(_) => self.write_at(buf, 0),
            None => self.append_now(buf).map(|(written, _)| written),
        }
    }

    /// Writes at the end, in one step with finding it.
    fn append_now(&self, buf: &[u8]) -> Result<(usize, u64)> {
        self.check_writable()?;
        match &self.backing {
            Backing::Host(file) => file.append(buf),
            Backing::Provided(..) => Err(Errno::Acces),
            Backing::Node => {
                let inode = self.inode()?;
                let Body::File(pages) = &inode.body else { return Err(Errno::IsDir) };
                let mut pages = pages.write();
                let end = pages.size();
                let written = pages.write_at(buf, end, Some(self.ns.memory()))?;
                drop(pages);
                inode.touch_write(self.ns.clock().wall());
                Ok((written, end + written as u64))
            }
        }
    }

    /// Cuts or extends the file (`ftruncate(2)`).
    ///
    /// # Errors
    /// [`Errno::Inval`] if it is not open for writing or no regular file, [`Errno::FBig`].
    pub fn set_len(&self, size: u64) -> Result<()> {
        if !self.writable {
            return Err(Errno::Inval);
        }
        match &self.backing {
            Backing::Host(file) => file.set_len(size),
            Backing::Provided(..) => Err(Errno::Inval),
            Backing::Node => {
                let inode = self.inode()?;
                let Body::File(pages) = &inode.body else { return Err(Errno::Inval) };
                pages.write().set_len(size)?;
                inode.touch_write(self.ns.clock().wall());
                Ok(())
            }
        }
    }

    /// Takes room for `length` bytes at `offset`, and extends the file to there (`posix_fallocate(3)`).
    ///
    /// # Errors
    /// [`Errno::BadF`] if it is not open for writing, [`Errno::NoSpc`], [`Errno::NoMem`], [`Errno::FBig`], [`Errno::Inval`] for nothing,
    /// [`Errno::NoDev`] if it is no regular file.
    pub fn allocate(&self, offset: u64, length: u64) -> Result<()> {
        self.check_writable()?;
        match &self.backing {
            Backing::Host(file) => file.allocate(offset, length),
            Backing::Provided(..) => Err(Errno::NoDev),
            Backing::Node => {
                let inode = self.inode()?;
                let Body::File(pages) = &inode.body else { return Err(Errno::NoDev) };
                pages.write().allocate(offset, length, Some(self.ns.memory()))?;
                inode.touch_change(self.ns.clock().wall());
                Ok(())
            }
        }
    }

    /// Brings the content to the disk, where there is one (`fsync(2)`).
    ///
    /// # Errors
    /// What the host says, for hostPath.
    pub fn sync(&self) -> Result<()> {
        match &self.backing {
            Backing::Host(file) => file.sync(),
            _ => Ok(()),
        }
    }

    /// The in-memory inode; a directory of the host has none and can be neither read nor written.
    fn inode(&self) -> Result<&Arc<Inode>> {
        match &self.at.node {
            Node::Mem(inode) => Ok(inode),
            Node::Host(_) => Err(Errno::IsDir),
        }
    }

    fn check_readable(&self) -> Result<()> {
        if self.readable { Ok(()) } else { Err(Errno::BadF) }
    }

    fn check_writable(&self) -> Result<()> {
        if self.writable { Ok(()) } else { Err(Errno::BadF) }
    }
}
