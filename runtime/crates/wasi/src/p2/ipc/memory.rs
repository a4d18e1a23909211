//! `wasmpod:ipc/shared-memory`: the resource `segment`.

use std::sync::Arc;

use wasmpod_kernel::Errno;
use wasmpod_kernel::ipcns::limits::MAX_SHM_COPY;
use wasmpod_kernel::ipcns::{Ipc, OpenSegment};
use wasmpod_kernel::wait::Ready;
use wasmtime::component::Resource;
use wasmtime_wasi_io::poll::{DynPollable, subscribe};

use super::bindings::shared_memory::{Host, HostSegment};
use super::bindings::types::{Duration, OpenFlags};
use super::{IpcResult, Now, Slot, retry};
use crate::Ctx;
use crate::p2::CALL_FUEL;

/// The resource `segment`. Counts as one of the process' descriptors.
pub struct SegmentHandle {
    segment: Arc<OpenSegment>,
    _slot: Slot,
}

impl Ctx {
    fn segment(&mut self, this: &Resource<SegmentHandle>) -> IpcResult<&OpenSegment> {
        self.charge(CALL_FUEL);
        Ok(&self.table.get(this)?.segment)
    }
}

impl Host for Ctx {
    fn unlink(&mut self, name: String) -> IpcResult<()> {
        self.charge_path(&name);
        let spec = &self.process.spec;
        Ok(spec.ipc.unlink_segment(&name, &spec.cred)?)
    }
}

impl HostSegment for Ctx {
    fn open(&mut self, name: String, flags: OpenFlags, mode: u32) -> IpcResult<Resource<SegmentHandle>> {
        self.charge_path(&name);
        let slot = Slot::take(&self.process)?;
        let caller = self.process.ipc_caller();
        let segment = self.process.spec.ipc.open_segment(&name, flags.into(), mode, caller)?;
        Ok(self.table.push(SegmentHandle { segment, _slot: slot })?)
    }

    fn set_size(&mut self, this: Resource<SegmentHandle>, size: u64) -> IpcResult<()> {
        let cgroup = self.process.spec.cgroup.clone();
        self.segment(&this)?.set_size(size, &cgroup)?;
        self.charge_bytes(usize::try_from(size).unwrap_or(usize::MAX)); // its pages are written when they are touched
        Ok(())
    }

    fn size(&mut self, this: Resource<SegmentHandle>) -> wasmtime::Result<u64> {
        self.charge(CALL_FUEL);
        Ok(self.table.get(&this)?.segment.size())
    }

    fn read(&mut self, this: Resource<SegmentHandle>, offset: u64, length: u64) -> IpcResult<Vec<u8>> {
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(MAX_SHM_COPY);
        let bytes = self.segment(&this)?.read_with(offset, length, <[u8]>::to_vec)?;
        self.charge_bytes(bytes.len());
        Ok(bytes)
    }

    fn write(&mut self, this: Resource<SegmentHandle>, offset: u64, data: Vec<u8>) -> IpcResult<()> {
        self.charge_bytes(data.len());
        let segment = self.segment(&this)?;
        let mut done = segment.write(offset, &data)?;
        while done < data.len() {
            done += segment.write(offset.saturating_add(done as u64), &data[done..])?;
        }
        Ok(())
    }

    fn atomic_add32(&mut self, this: Resource<SegmentHandle>, offset: u64, value: u32) -> IpcResult<u32> {
        Ok(self.segment(&this)?.fetch_add(offset, value)?)
    }

    fn atomic_add64(&mut self, this: Resource<SegmentHandle>, offset: u64, value: u64) -> IpcResult<u64> {
        Ok(self.segment(&this)?.fetch_add(offset, value)?)
    }

    fn atomic_compare_exchange32(
        &mut self,
        this: Resource<SegmentHandle>,
        offset: u64,
        expected: u32,
        replacement: u32,
    ) -> IpcResult<u32> {
        Ok(self.segment(&this)?.compare_exchange(offset, expected, replacement)?)
    }

    fn atomic_compare_exchange64(
        &mut self,
        this: Resource<SegmentHandle>,
        offset: u64,
        expected: u64,
        replacement: u64,
    ) -> IpcResult<u64> {
        Ok(self.segment(&this)?.compare_exchange(offset, expected, replacement)?)
    }

    async fn wait(
        &mut self,
        this: Resource<SegmentHandle>,
        offset: u64,
        expected: u32,
        timeout: Option<Duration>,
    ) -> IpcResult<()> {
        let watch = Arc::new(self.segment(&this)?.watch(offset, expected)?);
        Ok(retry(&self.process, Ipc::Watch(watch), Ready::READ, timeout, || Ok(())).await?)
    }

    fn notify(&mut self, this: Resource<SegmentHandle>, offset: u64, count: u32) -> IpcResult<u32> {
        let woken = self.segment(&this)?.notify(offset, count)?;
        self.charge(CALL_FUEL * u64::from(woken));
        Ok(woken)
    }

    fn subscribe_wait(
        &mut self,
        this: Resource<SegmentHandle>,
        offset: u64,
        expected: u32,
    ) -> IpcResult<Resource<DynPollable>> {
        let subscribed = match self.segment(&this)?.watch(offset, expected) {
            Ok(watch) => self.subscribe_ipc(Ipc::Watch(Arc::new(watch)), Ready::READ),
            Err(Errno::Again) => {
                let now = self.table.push(Now)?;
                subscribe(&mut self.table, now)
            }
            Err(errno) => return Err(errno.into()),
        };
        subscribed.map_err(super::IpcError::Trap)
    }

    fn drop(&mut self, this: Resource<SegmentHandle>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
