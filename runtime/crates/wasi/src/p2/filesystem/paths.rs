//! Opening files by path, and the entries of directories.

use std::collections::VecDeque;
use std::sync::Arc;

use wasmpod_kernel::file::FileType;
use wasmpod_kernel::mntns::{OpenFile, OpenOptions};
use wasmtime::component::Resource;

use super::{FileHandle, FsResult};
use crate::Ctx;
use crate::p2::bindings::filesystem::types::{
    DescriptorFlags, DescriptorType, DirectoryEntry, ErrorCode, HostDirectoryEntryStream, OpenFlags, PathFlags,
};
use crate::p2::{CALL_FUEL, ITEM_FUEL, Slot};

/// How many entries a directory stream asks the kernel for at once.
const ENTRIES_AT_ONCE: usize = 64;
/// The permission bits of a file that is made: 0666 less the usual umask of a container.
const NEW_FILE_MODE: u32 = 0o644;
/// The permission bits of a directory that is made: 0777 less the usual umask of a container.
pub(super) const NEW_DIRECTORY_MODE: u32 = 0o755;

/// True if a link at the end of the path is followed.
pub(super) fn follows(flags: PathFlags) -> bool {
    flags.contains(PathFlags::SYMLINK_FOLLOW)
}

/// What the WIT calls a type.
pub(super) fn descriptor_type(file_type: FileType) -> DescriptorType {
    match file_type {
        FileType::Regular => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::CharDevice => DescriptorType::CharacterDevice,
        FileType::Fifo => DescriptorType::Fifo,
        FileType::Anonymous => DescriptorType::Unknown,
        FileType::SocketStream | FileType::SocketDgram => DescriptorType::Socket,
    }
}

/// The kernel's open options for a call of `open-at`. As in wasmtime's host, create and truncate open for writing, and what is
/// not opened for writing is opened for reading; opening for synchronous writes is refused, for preview 1 (FDFLAGS_SYNC) too.
fn open_options(path: PathFlags, open: OpenFlags, flags: DescriptorFlags) -> Result<OpenOptions, ErrorCode> {
    let changes = OpenFlags::CREATE | OpenFlags::EXCLUSIVE | OpenFlags::TRUNCATE;
    if open.contains(OpenFlags::DIRECTORY) && open.intersects(changes) {
        return Err(ErrorCode::Invalid);
    }
    let sync = DescriptorFlags::FILE_INTEGRITY_SYNC
        | DescriptorFlags::DATA_INTEGRITY_SYNC
        | DescriptorFlags::REQUESTED_WRITE_SYNC;
    if flags.intersects(sync) {
        return Err(ErrorCode::Unsupported);
    }
    let write = flags.contains(DescriptorFlags::WRITE);
    Ok(OpenOptions {
        read: flags.contains(DescriptorFlags::READ) || !write,
        write: write || open.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE),
        append: false,
        create: open.contains(OpenFlags::CREATE),
        exclusive: open.contains(OpenFlags::CREATE | OpenFlags::EXCLUSIVE),
        truncate: open.contains(OpenFlags::TRUNCATE),
        directory: open.contains(OpenFlags::DIRECTORY),
        follow_symlinks: follows(path),
        mode: NEW_FILE_MODE,
    })
}

/// What `get-flags` says of what was opened with `asked`.
fn granted(file: &OpenFile, options: OpenOptions, asked: DescriptorFlags) -> DescriptorFlags {
    if file.is_dir() {
        // as wasmtime's host, a directory may be changed through any descriptor; libc opens them for reading only
        return DescriptorFlags::READ | (asked & DescriptorFlags::MUTATE_DIRECTORY);
    }
    let mut flags = DescriptorFlags::empty();
    if options.read {
        flags |= DescriptorFlags::READ;
    }
    if options.write {
        flags |= DescriptorFlags::WRITE;
    }
    flags
}

impl Ctx {
    /// `open-at`: opens `path` under the directory `this`.
    pub(super) fn open(
        &mut self,
        this: &Resource<FileHandle>,
        path_flags: PathFlags,
        path: &str,
        open: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<FileHandle>> {
        self.charge_path(path);
        let options = open_options(path_flags, open, flags)?;
        let dir = self.table.get(this)?.dir()?;
        // counted first: at the limit nothing may be made or truncated
        let slot = Slot::take(&self.process)?;
        let file = dir.open_at(&self.process.spec.cred, path, options)?;
        let flags = granted(&file, options, flags);
        Ok(self.table.push(FileHandle { file, flags, _slot: slot })?)
    }

    /// `read-directory`: the entries of the directory `this`, from its start.
    pub(super) fn entries(&mut self, this: &Resource<FileHandle>) -> FsResult<Resource<DirectoryStream>> {
        self.charge(CALL_FUEL);
        let handle = self.table.get(this)?;
        let dir = handle.dir()?.clone();
        let stream = DirectoryStream { dir, cookie: 0, read: VecDeque::new() };
        Ok(self.table.push(stream)?)
    }
}

/// The resource `directory-entry-stream`: a position in a directory. Entries made or removed meanwhile may be seen or not; others
/// are seen exactly once.
pub struct DirectoryStream {
    dir: Arc<OpenFile>,
    cookie: u64,
    read: VecDeque<DirectoryEntry>,
}

impl DirectoryStream {
    /// The next entry and how many the kernel was asked for.
    fn next(&mut self) -> FsResult<(Option<DirectoryEntry>, usize)> {
        let mut asked = 0;
        while self.read.is_empty() {
            let entries = self.dir.read_dir(self.cookie, ENTRIES_AT_ONCE)?;
            let Some(last) = entries.last() else { return Ok((None, asked)) };
            asked += entries.len();
            self.cookie = last.next_cookie;
            // the WIT leaves "." and ".." out
            let named = entries.into_iter().filter(|entry| entry.name != "." && entry.name != "..");
            self.read.extend(
                named.map(|entry| DirectoryEntry { type_: descriptor_type(entry.file_type), name: entry.name }),
            );
        }
        Ok((self.read.pop_front(), asked))
    }
}

impl HostDirectoryEntryStream for Ctx {
    fn read_directory_entry(&mut self, this: Resource<DirectoryStream>) -> FsResult<Option<DirectoryEntry>> {
        let (entry, asked) = self.table.get_mut(&this)?.next()?;
        self.charge(CALL_FUEL + ITEM_FUEL * asked as u64);
        Ok(entry)
    }

    fn drop(&mut self, this: Resource<DirectoryStream>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_flags_become_those_of_open_2() {
        let none = (PathFlags::empty(), OpenFlags::empty(), DescriptorFlags::empty());
        let options = open_options(none.0, none.1, none.2).unwrap();
        assert!(options.read && !options.write && !options.follow_symlinks);

        let options = open_options(PathFlags::SYMLINK_FOLLOW, OpenFlags::CREATE, DescriptorFlags::WRITE).unwrap();
        assert!(options.write && options.create && !options.read && options.follow_symlinks && !options.exclusive);

        let options = open_options(none.0, OpenFlags::TRUNCATE, DescriptorFlags::READ).unwrap();
        assert!(options.read && options.write && options.truncate);

        // O_EXCL alone is nothing, as on Linux
        assert!(!open_options(none.0, OpenFlags::EXCLUSIVE, none.2).unwrap().exclusive);
        let both = open_options(none.0, OpenFlags::DIRECTORY | OpenFlags::CREATE, none.2);
        assert_eq!(both.unwrap_err(), ErrorCode::Invalid);
    }
}
