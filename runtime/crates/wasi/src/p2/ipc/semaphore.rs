//! `wasmpod:ipc/semaphore`: the resource `semaphore`.

use std::sync::Arc;

use wasmpod_kernel::Errno;
use wasmpod_kernel::ipcns::{Ipc, OpenSemaphore};
use wasmpod_kernel::wait::Ready;
use wasmtime::component::Resource;
use wasmtime_wasi_io::poll::DynPollable;

use super::bindings::semaphore::{Host, HostSemaphore};
use super::bindings::types::{Duration, OpenFlags};
use super::{IpcResult, Slot, retry};
use crate::Ctx;
use crate::p2::CALL_FUEL;

/// The resource `semaphore`. Counts as one of the process' descriptors.
pub struct SemaphoreHandle {
    semaphore: Arc<OpenSemaphore>,
    _slot: Slot,
}

impl Ctx {
    fn semaphore(&mut self, this: &Resource<SemaphoreHandle>) -> IpcResult<&OpenSemaphore> {
        self.charge(CALL_FUEL);
        Ok(&self.table.get(this)?.semaphore)
    }
}

impl Host for Ctx {
    fn unlink(&mut self, name: String) -> IpcResult<()> {
        self.charge_path(&name);
        let spec = &self.process.spec;
        Ok(spec.ipc.unlink_semaphore(&name, &spec.cred)?)
    }
}

impl HostSemaphore for Ctx {
    fn open(&mut self, name: String, flags: OpenFlags, mode: u32, value: u32) -> IpcResult<Resource<SemaphoreHandle>> {
        self.charge_path(&name);
        let slot = Slot::take(&self.process)?;
        let process = &self.process;
        let caller = process.ipc_caller();
        let semaphore = process.spec.ipc.open_semaphore(&name, flags.into(), mode, value, caller, &process.undo)?;
        Ok(self.table.push(SemaphoreHandle { semaphore, _slot: slot })?)
    }

    fn try_wait(&mut self, this: Resource<SemaphoreHandle>) -> IpcResult<()> {
        Ok(self.semaphore(&this)?.try_wait()?)
    }

    async fn wait(&mut self, this: Resource<SemaphoreHandle>, timeout: Option<Duration>) -> IpcResult<()> {
        match self.semaphore(&this)?.try_wait() {
            Err(Errno::Again) => {}
            result => return Ok(result?),
        }
        let semaphore = self.table.get(&this)?.semaphore.clone();
        let ipc = Ipc::Semaphore(semaphore.clone());
        Ok(retry(&self.process, ipc, Ready::READ, timeout, || semaphore.try_wait()).await?)
    }

    fn post(&mut self, this: Resource<SemaphoreHandle>) -> IpcResult<()> {
        Ok(self.semaphore(&this)?.post()?)
    }

    fn value(&mut self, this: Resource<SemaphoreHandle>) -> wasmtime::Result<u32> {
        self.charge(CALL_FUEL);
        Ok(self.table.get(&this)?.semaphore.value())
    }

    fn subscribe(&mut self, this: Resource<SemaphoreHandle>) -> wasmtime::Result<Resource<DynPollable>> {
        let semaphore = self.table.get(&this)?.semaphore.clone();
        self.subscribe_ipc(Ipc::Semaphore(semaphore), Ready::READ)
    }

    fn drop(&mut self, this: Resource<SemaphoreHandle>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
