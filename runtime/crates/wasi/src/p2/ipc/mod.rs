//! `wasmpod:ipc` for components: what the pod's containers say to each other beside the network. The objects are the kernel's
//! (`ipcns`); this folder has the handles of a component, its pollables and its errors.
//!
//! - [`bindings`]: what the WIT says, generated.
//! - `mqueue`, `semaphore`, `memory`: the interfaces.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use wasmpod_kernel::file::Description;
use wasmpod_kernel::ipcns::{Ipc, OpenFlags};
use wasmpod_kernel::process::Process;
use wasmpod_kernel::wait::Ready;
use wasmpod_kernel::wchan::{self, WaitOn};
use wasmpod_kernel::{Errno, Result};
use wasmtime::component::{Linker, Resource, ResourceTableError};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

pub mod bindings;
mod memory;
mod mqueue;
mod semaphore;

pub use self::memory::SegmentHandle;
pub use self::mqueue::{NotificationHandle, QueueHandle};
pub use self::semaphore::SemaphoreHandle;

use self::bindings::types;
use super::{CALL_FUEL, Preview2, Slot};
use crate::{Ctx, HasCtx};

/// What a call returns.
pub(crate) type IpcResult<T> = Result<T, IpcError>;

/// Why a call failed: an error of the guest's making, or one that ends it.
#[derive(Debug)]
pub enum IpcError {
    /// The guest is told.
    Code(types::ErrorCode),
    /// The guest is ended: it used a handle that it does not have.
    Trap(wasmtime::Error),
}

impl From<Errno> for IpcError {
    fn from(errno: Errno) -> Self {
        use types::ErrorCode;
        Self::Code(match errno {
            Errno::Acces => ErrorCode::Access,
            Errno::Again => ErrorCode::WouldBlock,
            Errno::BadF => ErrorCode::BadDescriptor,
            Errno::Busy => ErrorCode::Busy,
            Errno::Exist => ErrorCode::Exist,
            Errno::Fault => ErrorCode::OutOfRange,
            Errno::Intr => ErrorCode::Interrupted,
            Errno::MFile => ErrorCode::TooManyOpen,
            Errno::MsgSize => ErrorCode::MessageSize,
            Errno::NameTooLong => ErrorCode::NameTooLong,
            Errno::NoEnt => ErrorCode::NoEntry,
            Errno::NoMem => ErrorCode::OutOfMemory,
            Errno::NoSpc => ErrorCode::NoSpace,
            Errno::Overflow => ErrorCode::Overflow,
            Errno::TimedOut => ErrorCode::TimedOut,
            // all that the kernel's ipcns says besides
            _ => ErrorCode::Invalid,
        })
    }
}

impl From<ResourceTableError> for IpcError {
    fn from(error: ResourceTableError) -> Self {
        match error {
            ResourceTableError::Full => Self::Code(types::ErrorCode::TooManyOpen),
            _ => Self::Trap(error.into()),
        }
    }
}

impl types::Host for Ctx {
    fn convert_error_code(&mut self, error: IpcError) -> wasmtime::Result<types::ErrorCode> {
        match error {
            IpcError::Code(code) => Ok(code),
            IpcError::Trap(error) => Err(error),
        }
    }
}

impl From<types::OpenFlags> for OpenFlags {
    fn from(flags: types::OpenFlags) -> Self {
        let pairs = [
            (types::OpenFlags::READ, Self::READ),
            (types::OpenFlags::WRITE, Self::WRITE),
            (types::OpenFlags::CREATE, Self::CREATE),
            (types::OpenFlags::EXCLUSIVE, Self::EXCLUSIVE),
            (types::OpenFlags::UNDO, Self::UNDO),
        ];
        pairs.into_iter().filter(|(theirs, _)| flags.contains(*theirs)).map(|(_, ours)| ours).collect()
    }
}

/// Links the interfaces.
///
/// # Errors
/// If one is linked already.
pub(super) fn add_to_linker<T: HasCtx>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let get = T::ctx;
    types::add_to_linker::<T, Preview2>(linker, get)?;
    bindings::mqueue::add_to_linker::<T, Preview2>(linker, get)?;
    bindings::semaphore::add_to_linker::<T, Preview2>(linker, get)?;
    bindings::shared_memory::add_to_linker::<T, Preview2>(linker, get)
}

/// Waits for readiness, or for the end of `timeout`, and tries again for as long as the answer is EAGAIN.
async fn retry<R>(
    process: &Process,
    ipc: Ipc,
    interest: Ready,
    timeout: Option<types::Duration>,
    mut attempt: impl FnMut() -> Result<R>,
) -> Result<R> {
    let description = Description::Ipc(ipc);
    let deadline = timeout.map(|nanos| process.clock().now() + Duration::from_nanos(nanos));
    let mut sleep = None;
    let mut waited = false;
    loop {
        if std::mem::replace(&mut waited, true) {
            give_way().await; // readiness is a hint: after a false one others run first
        }
        let poll = |cx: &mut Context<'_>| {
            if !description.poll_ready(interest, cx).is_empty() {
                return Poll::Ready(true);
            }
            wchan::note_file(&description, interest);
            let Some(deadline) = deadline else { return Poll::Pending };
            let sleep = sleep.get_or_insert_with(|| process.clock().sleep_until(deadline));
            let polled = Pin::new(sleep).poll(cx);
            if polled.is_pending() {
                wchan::note(|| WaitOn::Clock(deadline));
            }
            polled.map(|()| false)
        };
        if !process.wait(poll).await {
            return Err(Errno::TimedOut);
        }
        match attempt() {
            Err(Errno::Again) => {}
            result => return result,
        }
    }
}

async fn give_way() {
    let mut gave_way = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut gave_way, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What a pollable of an IPC object waits for. It holds the object, so that the handle may go before the pollable's child is looked at.
struct Readiness {
    description: Description,
    interest: Ready,
}

#[async_trait]
impl Pollable for Readiness {
    async fn ready(&mut self) {
        poll_fn(|cx| {
            if self.description.poll_ready(self.interest, cx).is_empty() {
                wchan::note_file(&self.description, self.interest);
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }
}

/// A pollable of something that has happened.
struct Now;

#[async_trait]
impl Pollable for Now {
    async fn ready(&mut self) {}
}

impl Ctx {
    /// A pollable that counts as one of the process' descriptors only by its owner.
    fn subscribe_ipc(&mut self, ipc: Ipc, interest: Ready) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(CALL_FUEL);
        let readiness = self.table.push(Readiness { description: Description::Ipc(ipc), interest })?;
        subscribe(&mut self.table, readiness)
    }
}
