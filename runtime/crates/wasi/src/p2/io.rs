//! `wasi:io`: errors, polls and the calls on streams. The work is `wasmtime-wasi-io`'s, on the table of handles; this file
//! charges the guest for it, so that no call is free and no list is walked at the node's expense.

use std::future::Future;
use std::pin::pin;

use bytes::Bytes;
use wasmpod_kernel::process::Process;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi_io::bindings::wasi::io::{error, poll, streams};
use wasmtime_wasi_io::poll::DynPollable;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, Error, StreamError, StreamResult};

use super::{CALL_FUEL, ITEM_FUEL};
use crate::{Ctx, HasCtx, raise_sigpipe};

/// The most entries of one `poll` list. One entry costs the host a tree node; `poll(2)` stops at RLIMIT_NOFILE.
pub const MAX_POLL: usize = 64 * 1024;

/// The interface of [`replace_read`], in the version of `wasmtime-wasi-io`'s WIT; the linker serves all 0.2 by it.
const STREAMS: &str = "wasi:io/streams@0.2.12";

/// Links a `read` that, if it finds nothing, lets those run first that the program has just woken: who sends a request and looks for the
/// answer finds it, and need not subscribe, wait, and read again. It never waits for anybody; in virtual time it is the plain one.
///
/// # Errors
/// If the interface is not linked.
pub(super) fn replace_read<T: HasCtx>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    type Params = (Resource<DynInputStream>, u64);
    type Read = (Result<Vec<u8>, streams::StreamError>,);
    linker.allow_shadowing(true);
    let replaced = linker.instance(STREAMS).and_then(|mut instance| {
        instance.func_wrap_async(
            "[method]input-stream.read",
            |mut store: StoreContextMut<'_, T>, (this, len): Params| {
                Box::new(async move {
                    let again = Resource::new_borrow(this.rep());
                    let mut bytes = streams::HostInputStream::read(store.data_mut().ctx(), this, len);
                    let nothing = len > 0 && matches!(&bytes, Ok(bytes) if bytes.is_empty());
                    if nothing && wasmpod_sim::let_woken_run().await {
                        bytes = streams::HostInputStream::read(store.data_mut().ctx(), again, len);
                    }
                    let read: Read = match bytes {
                        Ok(bytes) => (Ok(bytes),),
                        Err(error) => (Err(streams::Host::convert_stream_error(store.data_mut().ctx(), error)?),),
                    };
                    Ok(read)
                })
            },
        )
    });
    linker.allow_shadowing(false);
    replaced
}

/// Waits in a system call of `process`: the one place where calls of preview 2 wait. They are not interrupted: `wasi:io` has no EINTR,
/// and a component cannot be entered a second time to run a handler, so every wait goes on as with SA_RESTART.
async fn waiting<T>(process: &Process, call: impl Future<Output = T>) -> T {
    let mut call = pin!(call);
    process.wait(|cx| call.as_mut().poll(cx)).await
}

impl error::Host for Ctx {}

impl error::HostError for Ctx {
    fn to_debug_string(&mut self, this: Resource<Error>) -> wasmtime::Result<String> {
        self.charge(CALL_FUEL);
        // the text alone: a backtrace of the host is nothing that a guest should see
        Ok(self.table.get(&this)?.to_string())
    }

    fn drop(&mut self, this: Resource<Error>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl poll::Host for Ctx {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        if pollables.len() > MAX_POLL {
            return Err(wasmtime::format_err!("a poll list of {} is too long: {MAX_POLL} at most", pollables.len()));
        }
        self.charge(CALL_FUEL + ITEM_FUEL * pollables.len() as u64);
        waiting(&self.process, poll::Host::poll(&mut self.table, pollables)).await
    }
}

impl poll::HostPollable for Ctx {
    async fn ready(&mut self, this: Resource<DynPollable>) -> wasmtime::Result<bool> {
        self.charge(CALL_FUEL);
        poll::HostPollable::ready(&mut self.table, this).await
    }

    async fn block(&mut self, this: Resource<DynPollable>) -> wasmtime::Result<()> {
        self.charge(CALL_FUEL);
        waiting(&self.process, poll::HostPollable::block(&mut self.table, this)).await
    }

    fn drop(&mut self, this: Resource<DynPollable>) -> wasmtime::Result<()> {
        poll::HostPollable::drop(&mut self.table, this)
    }
}

impl streams::Host for Ctx {
    fn convert_stream_error(&mut self, error: StreamError) -> wasmtime::Result<streams::StreamError> {
        self.table.convert_stream_error(error)
    }
}

impl streams::HostInputStream for Ctx {
    fn read(&mut self, this: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        let bytes = streams::HostInputStream::read(&mut self.table, this, len);
        self.charge_bytes(bytes.as_ref().map_or(0, Vec::len));
        bytes
    }

    async fn blocking_read(&mut self, this: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        let bytes = waiting(&self.process, streams::HostInputStream::blocking_read(&mut self.table, this, len)).await;
        self.charge_bytes(bytes.as_ref().map_or(0, Vec::len));
        bytes
    }

    fn skip(&mut self, this: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        let skipped = streams::HostInputStream::skip(&mut self.table, this, len);
        self.charge_moved(&skipped);
        skipped
    }

    async fn blocking_skip(&mut self, this: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        let skipped = waiting(&self.process, streams::HostInputStream::blocking_skip(&mut self.table, this, len)).await;
        self.charge_moved(&skipped);
        skipped
    }

    fn subscribe(&mut self, this: Resource<DynInputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(CALL_FUEL);
        streams::HostInputStream::subscribe(&mut self.table, this)
    }

    async fn drop(&mut self, this: Resource<DynInputStream>) -> wasmtime::Result<()> {
        waiting(&self.process, streams::HostInputStream::drop(&mut self.table, this)).await
    }
}

impl streams::HostOutputStream for Ctx {
    fn check_write(&mut self, this: Resource<DynOutputStream>) -> StreamResult<u64> {
        self.charge(CALL_FUEL);
        streams::HostOutputStream::check_write(&mut self.table, this)
    }

    fn write(&mut self, this: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        self.charge_bytes(bytes.len());
        let written = streams::HostOutputStream::write(&mut self.table, this, bytes);
        self.told_of_broken_pipe(written)
    }

    async fn blocking_write_and_flush(&mut self, this: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        self.charge_bytes(bytes.len());
        let written =
            waiting(&self.process, streams::HostOutputStream::blocking_write_and_flush(&mut self.table, this, bytes))
                .await;
        self.told_of_broken_pipe(written)
    }

    fn flush(&mut self, this: Resource<DynOutputStream>) -> StreamResult<()> {
        self.charge(CALL_FUEL);
        streams::HostOutputStream::flush(&mut self.table, this)
    }

    async fn blocking_flush(&mut self, this: Resource<DynOutputStream>) -> StreamResult<()> {
        self.charge(CALL_FUEL);
        // only for what was accepted to leave, not for room: a program that holds both ends of a connection may fill it
        waiting(&self.process, self.table.get_mut(&this)?.blocking_write_and_flush(Bytes::new())).await
    }

    fn write_zeroes(&mut self, this: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        // more than a permit traps before a byte is made
        self.charge_bytes(usize::try_from(len).unwrap_or(usize::MAX).min(super::stream::MAX_WRITE));
        streams::HostOutputStream::write_zeroes(&mut self.table, this, len)
    }

    async fn blocking_write_zeroes_and_flush(&mut self, this: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        self.charge_bytes(usize::try_from(len).unwrap_or(usize::MAX).min(super::stream::MAX_WRITE));
        waiting(&self.process, streams::HostOutputStream::blocking_write_zeroes_and_flush(&mut self.table, this, len))
            .await
    }

    fn splice(
        &mut self,
        this: Resource<DynOutputStream>,
        from: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        let moved = streams::HostOutputStream::splice(&mut self.table, this, from, len);
        self.charge_moved(&moved);
        moved
    }

    async fn blocking_splice(
        &mut self,
        this: Resource<DynOutputStream>,
        from: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        let moved =
            waiting(&self.process, streams::HostOutputStream::blocking_splice(&mut self.table, this, from, len)).await;
        self.charge_moved(&moved);
        moved
    }

    fn subscribe(&mut self, this: Resource<DynOutputStream>) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(CALL_FUEL);
        streams::HostOutputStream::subscribe(&mut self.table, this)
    }

    async fn drop(&mut self, this: Resource<DynOutputStream>) -> wasmtime::Result<()> {
        waiting(&self.process, streams::HostOutputStream::drop(&mut self.table, this)).await
    }
}

impl Ctx {
    /// A write to what nobody reads raises SIGPIPE, which is ignored unless the program has said otherwise.
    fn told_of_broken_pipe(&self, written: StreamResult<()>) -> StreamResult<()> {
        if matches!(written, Err(StreamError::Closed)) {
            raise_sigpipe(&self.process).map_err(|exit| StreamError::Trap(exit.into()))?;
        }
        written
    }

    fn charge_moved(&mut self, moved: &StreamResult<u64>) {
        let bytes = moved.as_ref().map_or(0, |bytes| usize::try_from(*bytes).unwrap_or(usize::MAX));
        self.charge_bytes(bytes);
    }
}
