//! `wasmpod:ipc/mqueue`: the resources `queue` and `notification`.

use std::sync::Arc;

use wasmpod_kernel::ipcns::{Ipc, Notification, OpenQueue, QueueLimits};
use wasmpod_kernel::wait::Ready;
use wasmtime::component::Resource;
use wasmtime_wasi_io::poll::DynPollable;

use super::bindings::mqueue::{Attributes, Host, HostNotification, HostQueue, Message, Status};
use super::bindings::types::{Duration, OpenFlags};
use super::{IpcResult, Slot, retry};
use crate::Ctx;
use crate::p2::CALL_FUEL;

/// The resource `queue`. Counts as one of the process' descriptors.
pub struct QueueHandle {
    queue: Arc<OpenQueue>,
    _slot: Slot,
}

/// The resource `notification`. Counts as one of the process' descriptors.
pub struct NotificationHandle {
    notification: Arc<Notification>,
    _slot: Slot,
}

impl Ctx {
    fn queue(&mut self, this: &Resource<QueueHandle>) -> IpcResult<Arc<OpenQueue>> {
        self.charge(CALL_FUEL);
        Ok(self.table.get(this)?.queue.clone())
    }
}

fn message(data: &[u8], priority: u32) -> Message {
    Message { data: data.to_vec(), priority }
}

impl Host for Ctx {
    fn unlink(&mut self, name: String) -> IpcResult<()> {
        self.charge_path(&name);
        let spec = &self.process.spec;
        Ok(spec.ipc.unlink_queue(&name, &spec.cred)?)
    }
}

impl HostQueue for Ctx {
    fn open(
        &mut self,
        name: String,
        flags: OpenFlags,
        mode: u32,
        attributes: Option<Attributes>,
    ) -> IpcResult<Resource<QueueHandle>> {
        self.charge_path(&name);
        let slot = Slot::take(&self.process)?;
        let limits = attributes
            .map(|wanted| QueueLimits { max_messages: wanted.max_messages, message_size: wanted.message_size });
        let caller = self.process.ipc_caller();
        let queue = self.process.spec.ipc.open_queue(&name, flags.into(), mode, limits, caller)?;
        Ok(self.table.push(QueueHandle { queue, _slot: slot })?)
    }

    fn status(&mut self, this: Resource<QueueHandle>) -> wasmtime::Result<Status> {
        self.charge(CALL_FUEL);
        let (limits, messages) = self.table.get(&this)?.queue.status();
        let QueueLimits { max_messages, message_size } = limits;
        Ok(Status { attributes: Attributes { max_messages, message_size }, messages })
    }

    fn send(&mut self, this: Resource<QueueHandle>, data: Vec<u8>, priority: u32) -> IpcResult<()> {
        self.charge_bytes(data.len());
        Ok(self.queue(&this)?.send(&data, priority)?)
    }

    async fn blocking_send(
        &mut self,
        this: Resource<QueueHandle>,
        data: Vec<u8>,
        priority: u32,
        timeout: Option<Duration>,
    ) -> IpcResult<()> {
        self.charge_bytes(data.len());
        let queue = self.queue(&this)?;
        match queue.send(&data, priority) {
            Err(wasmpod_kernel::Errno::Again) => {}
            result => return Ok(result?),
        }
        let ipc = Ipc::Queue(queue.clone());
        Ok(retry(&self.process, ipc, Ready::WRITE, timeout, || queue.send(&data, priority)).await?)
    }

    fn receive(&mut self, this: Resource<QueueHandle>) -> IpcResult<Message> {
        let received = self.queue(&this)?.receive_with(message)?;
        self.charge_bytes(received.data.len());
        Ok(received)
    }

    async fn blocking_receive(&mut self, this: Resource<QueueHandle>, timeout: Option<Duration>) -> IpcResult<Message> {
        let queue = self.queue(&this)?;
        let received = match queue.receive_with(message) {
            Err(wasmpod_kernel::Errno::Again) => {
                let _blocked = queue.block();
                let ipc = Ipc::Queue(queue.clone());
                retry(&self.process, ipc, Ready::READ, timeout, || queue.receive_with(message)).await?
            }
            result => result?,
        };
        self.charge_bytes(received.data.len());
        Ok(received)
    }

    fn notify(&mut self, this: Resource<QueueHandle>) -> IpcResult<Resource<NotificationHandle>> {
        let queue = self.queue(&this)?;
        let slot = Slot::take(&self.process)?;
        Ok(self.table.push(NotificationHandle { notification: queue.notify()?, _slot: slot })?)
    }

    fn subscribe_receive(&mut self, this: Resource<QueueHandle>) -> wasmtime::Result<Resource<DynPollable>> {
        let queue = self.table.get(&this)?.queue.clone();
        self.subscribe_ipc(Ipc::Queue(queue), Ready::READ)
    }

    fn subscribe_send(&mut self, this: Resource<QueueHandle>) -> wasmtime::Result<Resource<DynPollable>> {
        let queue = self.table.get(&this)?.queue.clone();
        self.subscribe_ipc(Ipc::Queue(queue), Ready::WRITE)
    }

    fn drop(&mut self, this: Resource<QueueHandle>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostNotification for Ctx {
    fn subscribe(&mut self, this: Resource<NotificationHandle>) -> wasmtime::Result<Resource<DynPollable>> {
        let notification = self.table.get(&this)?.notification.clone();
        self.subscribe_ipc(Ipc::Notification(notification), Ready::READ)
    }

    fn drop(&mut self, this: Resource<NotificationHandle>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
