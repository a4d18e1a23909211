//! The calls of the resource `descriptor`. Errors and their order are those of wasmtime's host: first the handle, then what the
//! flags forbid, then the kernel.

use wasmpod_kernel::mntns::{SetTime, Stat};
use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use super::paths::{NEW_DIRECTORY_MODE, descriptor_type, follows};
use super::{DirectoryStream, FileHandle, FsResult};
use crate::p2::CALL_FUEL;
use crate::p2::bindings::filesystem::types::{
    Advice, DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, Filesize, HostDescriptor, MetadataHashValue,
    NewTimestamp, OpenFlags, PathFlags,
};
use crate::p2::clocks::{datetime, unix_nanos};
use crate::{Ctx, MAX_READ};

/// The most bytes that one `write` takes; the rest is for the next call, as `write(2)` may do. One call then ends within a
/// fraction of a millisecond, however much the guest offers.
pub(super) const MAX_FILE_WRITE: usize = 1024 * 1024;

impl HostDescriptor for Ctx {
    fn read_via_stream(&mut self, this: Resource<FileHandle>, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        self.file_input(&this, offset)
    }

    fn write_via_stream(
        &mut self,
        this: Resource<FileHandle>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.file_output(&this, Some(offset))
    }

    fn append_via_stream(&mut self, this: Resource<FileHandle>) -> FsResult<Resource<DynOutputStream>> {
        self.file_output(&this, None)
    }

    fn advise(
        &mut self,
        this: Resource<FileHandle>,
        offset: Filesize,
        length: Filesize,
        _advice: Advice,
    ) -> FsResult<()> {
        self.charge(CALL_FUEL);
        Ok(self.table.get(&this)?.file()?.advise(offset, length)?)
    }

    fn sync_data(&mut self, this: Resource<FileHandle>) -> FsResult<()> {
        self.sync(this)
    }

    fn get_flags(&mut self, this: Resource<FileHandle>) -> FsResult<DescriptorFlags> {
        self.charge(CALL_FUEL);
        Ok(self.table.get(&this)?.flags)
    }

    fn get_type(&mut self, this: Resource<FileHandle>) -> FsResult<DescriptorType> {
        self.charge(CALL_FUEL);
        Ok(descriptor_type(self.table.get(&this)?.file.file_type()))
    }

    fn set_size(&mut self, this: Resource<FileHandle>, size: Filesize) -> FsResult<()> {
        self.charge(CALL_FUEL);
        Ok(self.table.get(&this)?.file()?.set_len(size)?)
    }

    fn set_times(&mut self, this: Resource<FileHandle>, atime: NewTimestamp, mtime: NewTimestamp) -> FsResult<()> {
        self.charge(CALL_FUEL);
        let handle = self.table.get(&this)?;
        Ok(handle.file.set_times(set_time(atime)?, set_time(mtime)?)?)
    }

    fn read(&mut self, this: Resource<FileHandle>, length: Filesize, offset: Filesize) -> FsResult<(Vec<u8>, bool)> {
        let file = self.table.get(&this)?.file()?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(MAX_READ)];
        let read = file.read_at(&mut bytes, offset)?;
        bytes.truncate(read);
        self.charge_bytes(read);
        Ok((bytes, read == 0))
    }

    fn write(&mut self, this: Resource<FileHandle>, mut buffer: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        buffer.truncate(MAX_FILE_WRITE);
        self.charge_bytes(buffer.len());
        Ok(self.table.get(&this)?.file()?.write_at(&buffer, offset)? as u64)
    }

    fn read_directory(&mut self, this: Resource<FileHandle>) -> FsResult<Resource<DirectoryStream>> {
        self.entries(&this)
    }

    fn sync(&mut self, this: Resource<FileHandle>) -> FsResult<()> {
        self.charge(CALL_FUEL);
        Ok(self.table.get(&this)?.file.sync()?)
    }

    fn create_directory_at(&mut self, this: Resource<FileHandle>, path: String) -> FsResult<()> {
        self.charge_path(&path);
        let dir = self.table.get(&this)?.dir()?;
        Ok(dir.mkdir_at(&self.process.spec.cred, &path, NEW_DIRECTORY_MODE)?)
    }

    fn stat(&mut self, this: Resource<FileHandle>) -> FsResult<DescriptorStat> {
        self.charge(CALL_FUEL);
        Ok(descriptor_stat(&self.table.get(&this)?.file.stat()?))
    }

    fn stat_at(&mut self, this: Resource<FileHandle>, flags: PathFlags, path: String) -> FsResult<DescriptorStat> {
        self.charge_path(&path);
        let dir = self.table.get(&this)?.dir()?;
        Ok(descriptor_stat(&dir.stat_at(&self.process.spec.cred, &path, follows(flags))?))
    }

    fn set_times_at(
        &mut self,
        this: Resource<FileHandle>,
        flags: PathFlags,
        path: String,
        atime: NewTimestamp,
        mtime: NewTimestamp,
    ) -> FsResult<()> {
        self.charge_path(&path);
        let dir = self.table.get(&this)?.dir()?;
        let (atime, mtime) = (set_time(atime)?, set_time(mtime)?);
        Ok(dir.set_times_at(&self.process.spec.cred, &path, follows(flags), atime, mtime)?)
    }

    fn link_at(
        &mut self,
        this: Resource<FileHandle>,
        flags: PathFlags,
        old_path: String,
        new_dir: Resource<FileHandle>,
        new_path: String,
    ) -> FsResult<()> {
        self.charge_path(&old_path);
        self.charge_path(&new_path);
        let old = self.table.get(&this)?.dir()?;
        let new = self.table.get(&new_dir)?.dir()?;
        if follows(flags) {
            return Err(ErrorCode::Invalid.into());
        }
        Ok(old.link_at(&self.process.spec.cred, &old_path, false, new, &new_path)?)
    }

    fn open_at(
        &mut self,
        this: Resource<FileHandle>,
        path_flags: PathFlags,
        path: String,
        open: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<FileHandle>> {
        self.open(&this, path_flags, &path, open, flags)
    }

    fn readlink_at(&mut self, this: Resource<FileHandle>, path: String) -> FsResult<String> {
        self.charge_path(&path);
        Ok(self.table.get(&this)?.dir()?.readlink_at(&self.process.spec.cred, &path)?)
    }

    fn remove_directory_at(&mut self, this: Resource<FileHandle>, path: String) -> FsResult<()> {
        self.charge_path(&path);
        Ok(self.table.get(&this)?.dir()?.rmdir_at(&self.process.spec.cred, &path)?)
    }

    fn rename_at(
        &mut self,
        this: Resource<FileHandle>,
        old_path: String,
        new_dir: Resource<FileHandle>,
        new_path: String,
    ) -> FsResult<()> {
        self.charge_path(&old_path);
        self.charge_path(&new_path);
        let old = self.table.get(&this)?.dir()?;
        let new = self.table.get(&new_dir)?.dir()?;
        Ok(old.rename_at(&self.process.spec.cred, &old_path, new, &new_path)?)
    }

    fn symlink_at(&mut self, this: Resource<FileHandle>, target: String, path: String) -> FsResult<()> {
        self.charge_path(&target);
        self.charge_path(&path);
        let dir = self.table.get(&this)?.dir()?;
        if target.starts_with('/') {
            return Err(ErrorCode::NotPermitted.into()); // the WIT: `old-path` may not be absolute
        }
        Ok(dir.symlink_at(&self.process.spec.cred, &target, &path)?)
    }

    fn unlink_file_at(&mut self, this: Resource<FileHandle>, path: String) -> FsResult<()> {
        self.charge_path(&path);
        Ok(self.table.get(&this)?.dir()?.unlink_at(&self.process.spec.cred, &path)?)
    }

    fn is_same_object(&mut self, this: Resource<FileHandle>, other: Resource<FileHandle>) -> wasmtime::Result<bool> {
        self.charge(CALL_FUEL);
        Ok(self.table.get(&this)?.file.same_object(&self.table.get(&other)?.file))
    }

    fn metadata_hash(&mut self, this: Resource<FileHandle>) -> FsResult<MetadataHashValue> {
        self.charge(CALL_FUEL);
        Ok(metadata_hash(&self.table.get(&this)?.file.stat()?))
    }

    fn metadata_hash_at(
        &mut self,
        this: Resource<FileHandle>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        self.charge_path(&path);
        let dir = self.table.get(&this)?.dir()?;
        Ok(metadata_hash(&dir.stat_at(&self.process.spec.cred, &path, follows(flags))?))
    }

    fn drop(&mut self, this: Resource<FileHandle>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

fn set_time(time: NewTimestamp) -> Result<SetTime, ErrorCode> {
    Ok(match time {
        NewTimestamp::NoChange => SetTime::Keep,
        NewTimestamp::Now => SetTime::Now,
        NewTimestamp::Timestamp(at) => SetTime::At(unix_nanos(at).ok_or(ErrorCode::Overflow)?),
    })
}

fn descriptor_stat(stat: &Stat) -> DescriptorStat {
    DescriptorStat {
        type_: descriptor_type(stat.file_type),
        link_count: stat.nlink,
        size: stat.size,
        data_access_timestamp: Some(datetime(stat.atime)),
        data_modification_timestamp: Some(datetime(stat.mtime)),
        status_change_timestamp: Some(datetime(stat.ctime)),
    }
}

/// The identity of a file, well mixed: libc makes inode numbers of it, which must differ across mounts too. The same for an
/// open file and for its path.
fn metadata_hash(stat: &Stat) -> MetadataHashValue {
    let lower = mix(stat.ino ^ mix(stat.dev));
    MetadataHashValue { lower, upper: mix(lower ^ stat.dev) }
}

/// The finalizer of SplitMix64: a bijection, so that files of one mount never share a number.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
