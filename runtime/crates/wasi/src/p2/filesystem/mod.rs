//! `wasi:filesystem` over the mount namespace. Every call is made in place: the files are the kernel's own, so a read is a copy
//! from memory and no thread is asked. Owns the handles; not the files.
//!
//! - [`errors`](FsError): the kernel's errors in the WIT's words.
//! - `descriptor`: the calls of a descriptor.
//! - `paths`: opening, and reading directories.
//! - `streams`: files as byte streams.
//!
//! Where the WIT and containers disagree, containers win: absolute symbolic links, of which images are full, can be read and
//! followed. Nothing escapes by them, for the kernel resolves every path inside the namespace. A program cannot make one.

mod descriptor;
mod errors;
mod paths;
mod streams;

use std::sync::Arc;

use wasmpod_kernel::mntns::OpenFile;
use wasmtime::component::Resource;

pub use self::errors::{FileFailure, FsError};
pub use self::paths::DirectoryStream;
use super::bindings::filesystem::types::{DescriptorFlags, ErrorCode};
use super::bindings::filesystem::{preopens, types};
use super::{CALL_FUEL, ITEM_FUEL, Slot};
use crate::{Ctx, preopen};

/// What a call on a file returns.
pub(crate) type FsResult<T> = Result<T, FsError>;

/// The resource `descriptor`: an open file or directory. Counts as one of the process' descriptors.
pub struct FileHandle {
    file: Arc<OpenFile>,
    /// What `get-flags` says.
    flags: DescriptorFlags,
    _slot: Slot,
}

impl FileHandle {
    /// The file, which must not be a directory.
    fn file(&self) -> Result<&Arc<OpenFile>, ErrorCode> {
        if self.file.is_dir() { Err(ErrorCode::BadDescriptor) } else { Ok(&self.file) }
    }

    /// The directory, which must be one.
    fn dir(&self) -> Result<&Arc<OpenFile>, ErrorCode> {
        if self.file.is_dir() { Ok(&self.file) } else { Err(ErrorCode::NotDirectory) }
    }
}

impl types::Host for Ctx {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        match error {
            FsError::Code(code) => Ok(code),
            FsError::Trap(error) => Err(error),
        }
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        self.charge(CALL_FUEL);
        Ok(self.table.get(&error)?.downcast_ref::<FileFailure>().map(|failure| failure.0.into()))
    }
}

impl preopens::Host for Ctx {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<FileHandle>, String)>> {
        let directories = preopen::preopened(&self.process)?;
        self.charge(CALL_FUEL + ITEM_FUEL * directories.len() as u64);
        let flags = DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY;
        let mut handles = Vec::with_capacity(directories.len());
        for (path, file) in directories {
            let handle = FileHandle { file, flags, _slot: Slot::take(&self.process)? };
            handles.push((self.table.push(handle)?, path));
        }
        Ok(handles)
    }
}
