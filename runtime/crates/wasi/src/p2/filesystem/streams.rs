//! Files as byte streams: `read-via-stream`, `write-via-stream` and `append-via-stream`. A stream of a regular file has an
//! offset of its own; that of a device or pipe reads and writes as it comes.

use std::sync::Arc;
use std::task::Context;

use wasmpod_kernel::file::{Description, FileType};
use wasmpod_kernel::mntns::OpenFile;
use wasmpod_kernel::wait::Ready;
use wasmpod_kernel::wchan::{self, WaitOn};
use wasmpod_kernel::{Errno, Result};
use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use super::{FileFailure, FileHandle, FsResult};
use crate::Ctx;
use crate::p2::CALL_FUEL;
use crate::p2::bindings::filesystem::types::ErrorCode;
use crate::p2::cli::Standard;
use crate::p2::stream::{Input, MAX_WRITE, Output, Sink, Source};

/// Where a stream reads or writes.
#[derive(Clone, Copy)]
enum Place {
    /// At this offset, which moves.
    At(u64),
    /// At the end of the file.
    End,
    /// A device or a pipe, which has no offsets.
    Sequential,
}

/// A file and a place in it.
struct FileStream {
    file: Arc<OpenFile>,
    place: Place,
}

impl FileStream {
    fn new(handle: &FileHandle, place: Place) -> Self {
        let regular = handle.file.file_type() == FileType::Regular;
        let place = if regular { place } else { Place::Sequential };
        Self { file: handle.file.clone(), place }
    }

    fn seekable(&self) -> bool {
        !matches!(self.place, Place::Sequential)
    }

    fn poll_file(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        let ready = self.file.poll_ready(interest, cx);
        if ready.is_empty() {
            wchan::note(|| WaitOn::File(Description::File(self.file.clone()), interest));
        }
        ready
    }
}

impl Source for FileStream {
    const END_IS_FINAL: bool = false;

    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        match &mut self.place {
            Place::At(offset) => {
                let read = self.file.read_at(buf, *offset)?;
                *offset = offset.saturating_add(read as u64);
                Ok(read)
            }
            Place::End | Place::Sequential => self.file.read(buf),
        }
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Ready {
        if self.seekable() { Ready::READ } else { self.poll_file(Ready::READ, cx) }
    }

    fn failure(errno: Errno) -> wasmtime::Error {
        FileFailure(errno).into()
    }
}

impl Sink for FileStream {
    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        match &mut self.place {
            Place::At(offset) => {
                let written = self.file.write_at(buf, *offset)?;
                *offset = offset.saturating_add(written as u64);
                Ok(written)
            }
            Place::End => self.file.append_at_end(buf),
            Place::Sequential => self.file.write(buf),
        }
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Ready {
        if self.seekable() { Ready::WRITE } else { self.poll_file(Ready::WRITE, cx) }
    }

    fn room(&self) -> usize {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        if self.seekable() || !self.file.poll_ready(Ready::WRITE, &mut cx).is_empty() { MAX_WRITE } else { 0 }
    }

    fn failure(errno: Errno) -> wasmtime::Error {
        FileFailure(errno).into()
    }
}

impl Ctx {
    /// The stream of `read-via-stream`.
    pub(super) fn file_input(
        &mut self,
        this: &Resource<FileHandle>,
        offset: u64,
    ) -> FsResult<Resource<DynInputStream>> {
        self.charge(CALL_FUEL);
        let handle = self.table.get(this)?;
        if handle.file.is_dir() {
            return Err(ErrorCode::IsDirectory.into());
        }
        if !handle.file.readable() {
            return Err(ErrorCode::BadDescriptor.into());
        }
        // /dev/stdin is whatever this process reads from
        let stream: DynInputStream = match handle.file.stdio() {
            Some(fd) => Box::new(Input::new(Standard::of(&self.process, fd))),
            None => Box::new(Input::new(FileStream::new(handle, Place::At(offset)))),
        };
        Ok(self.table.push(stream)?)
    }

    /// The stream of `write-via-stream`, or without an offset that of `append-via-stream`.
    pub(super) fn file_output(
        &mut self,
        this: &Resource<FileHandle>,
        offset: Option<u64>,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.charge(CALL_FUEL);
        let handle = self.table.get(this)?;
        handle.file()?;
        if !handle.file.writable() {
            return Err(ErrorCode::BadDescriptor.into());
        }
        let cgroup = self.process.spec.cgroup.clone();
        let stream: DynOutputStream = match handle.file.stdio() {
            Some(fd) => Box::new(Output::new(Standard::of(&self.process, fd), cgroup)),
            None => {
                let place = offset.map_or(Place::End, Place::At);
                Box::new(Output::new(FileStream::new(handle, place), cgroup))
            }
        };
        Ok(self.table.push(stream)?)
    }
}
