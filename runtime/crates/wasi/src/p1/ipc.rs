//! Message queues, semaphores and shared memory for core modules: the functions of the module [`MODULE`], in the style of preview 1.
//! What they do is in the kernel's `ipcns`; this file moves bytes straight from and to the guest's memory, and waits.
//!
//! Handles are descriptors: `fd_close` closes them, `poll_oneoff` polls them together with sockets and clocks, FDFLAGS_NONBLOCK makes their
//! calls return EAGAIN instead of waiting. `fd_read` and `fd_write` are EINVAL. A deadline is a time of the monotonic clock in nanoseconds;
//! [`FOREVER`] is none, and one that has passed is ETIMEDOUT only if the call would have to wait.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use wasmpod_kernel::file::{Description, Descriptor};
use wasmpod_kernel::ipcns::limits::MAX_SHM_COPY;
use wasmpod_kernel::ipcns::{Ipc, OpenFlags, OpenQueue, OpenSegment, OpenSemaphore, QueueLimits};
use wasmpod_kernel::sim::{Clock, Instant};
use wasmpod_kernel::wait::Ready;
use wasmpod_kernel::wchan::{self, WaitOn};
use wasmpod_kernel::{Errno, Result};
use wasmtime::{Caller, Linker};

use super::errno::{Fail, WasiErrno, finish};
use super::memory::Guest;
use super::sock::room_for_one;
use super::types::check_bits;
use super::{Blocking, CALL_FUEL, PATH_FUEL, blocking, plain};
use crate::HasCtx;

/// The module that programs import from. Its functions change only with its name.
pub const MODULE: &str = "wasmpod_ipc_v0";

/// Open without waiting in later calls (O_NONBLOCK). The other flags are those of [`OpenFlags`].
pub const OPEN_NONBLOCK: u32 = 32;

/// A deadline that never comes.
pub const FOREVER: u64 = u64::MAX;

/// Bytes of what `mq_getattr` writes: mq_maxmsg, mq_msgsize, mq_curmsgs, mq_flags.
const ATTRIBUTES_SIZE: usize = 16;

/// Adds the module to `linker`.
///
/// # Errors
/// If `linker` already has one of the functions.
pub(super) fn add_to_linker<T: HasCtx>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    plain! { linker:
        "mq_open" => mq_open,
            (name: u32, len: u32, flags: u32, mode: u32, max_messages: u32, message_size: u32, out: u32);
        "mq_unlink" => mq_unlink, (name: u32, len: u32);
        "mq_getattr" => mq_getattr, (fd: u32, out: u32);
        "mq_notify" => mq_notify, (fd: u32, out: u32);
        "sem_open" => sem_open, (name: u32, len: u32, flags: u32, mode: u32, value: u32, out: u32);
        "sem_unlink" => sem_unlink, (name: u32, len: u32);
        "sem_trywait" => sem_trywait, (fd: u32);
        "sem_post" => sem_post, (fd: u32);
        "sem_getvalue" => sem_getvalue, (fd: u32, out: u32);
        "shm_open" => shm_open, (name: u32, len: u32, flags: u32, mode: u32, out: u32);
        "shm_unlink" => shm_unlink, (name: u32, len: u32);
        "shm_set_size" => shm_set_size, (fd: u32, size: u64);
        "shm_size" => shm_size, (fd: u32, out: u32);
        "shm_add32" => shm_add32, (fd: u32, offset: u64, value: u32, out: u32);
        "shm_add64" => shm_add64, (fd: u32, offset: u64, value: u64, out: u32);
        "shm_cas32" => shm_cas32, (fd: u32, offset: u64, expected: u32, replacement: u32, out: u32);
        "shm_cas64" => shm_cas64, (fd: u32, offset: u64, expected: u64, replacement: u64, out: u32);
        "shm_notify" => shm_notify, (fd: u32, offset: u64, count: u32, out: u32);
        "shm_watch" => shm_watch, (fd: u32, offset: u64, expected: u32, out: u32);
    }
    blocking! { linker:
        "mq_send" => mq_send, (fd: u32, data: u32, len: u32, priority: u32, deadline: u64);
        "mq_receive" => mq_receive, (fd: u32, buffer: u32, len: u32, deadline: u64, out_len: u32, out_priority: u32);
        "sem_wait" => sem_wait, (fd: u32, deadline: u64);
        "shm_read" => shm_read, (fd: u32, offset: u64, buffer: u32, len: u32, out: u32);
        "shm_write" => shm_write, (fd: u32, offset: u64, data: u32, len: u32);
        "shm_wait" => shm_wait, (fd: u32, offset: u64, expected: u32, deadline: u64);
    }
    Ok(())
}

/// The flags of an open, and whether the handle is non-blocking.
fn open_flags(flags: u32) -> Result<(OpenFlags, bool), Fail> {
    check_bits(flags, OpenFlags::all().bits() | OPEN_NONBLOCK)?;
    Ok((OpenFlags::from_bits_truncate(flags), flags & OPEN_NONBLOCK != 0))
}

/// Gives the process a descriptor for `ipc`.
fn insert(guest: &mut Guest<'_>, ipc: Ipc, nonblocking: bool, out: u32) -> Result<(), Fail> {
    let descriptor = Descriptor { nonblocking, ..Descriptor::new(Description::Ipc(ipc)) };
    let fd = guest.ctx.process.fds.lock().insert(descriptor)?;
    Ok(guest.memory.put_u32(out, fd)?)
}

/// What `fd` refers to, if `of` knows it; EBADF if not.
fn handle<H>(guest: &Guest<'_>, fd: u32, of: impl FnOnce(&Ipc) -> Option<&Arc<H>>) -> Result<(Arc<H>, bool)> {
    let fds = guest.ctx.process.fds.lock();
    let descriptor = fds.get(fd)?;
    let Description::Ipc(ipc) = &descriptor.description else { return Err(Errno::BadF) };
    Ok((of(ipc).ok_or(Errno::BadF)?.clone(), descriptor.nonblocking))
}

fn queue(guest: &Guest<'_>, fd: u32) -> Result<(Arc<OpenQueue>, bool)> {
    handle(guest, fd, |ipc| if let Ipc::Queue(queue) = ipc { Some(queue) } else { None })
}

fn semaphore(guest: &Guest<'_>, fd: u32) -> Result<(Arc<OpenSemaphore>, bool)> {
    handle(guest, fd, |ipc| if let Ipc::Semaphore(semaphore) = ipc { Some(semaphore) } else { None })
}

fn segment(guest: &Guest<'_>, fd: u32) -> Result<Arc<OpenSegment>> {
    handle(guest, fd, |ipc| if let Ipc::Segment(segment) = ipc { Some(segment) } else { None }).map(|found| found.0)
}

/// Tries, and waits for `interest` and tries again for as long as the answer is EAGAIN, until the deadline.
async fn retry<T: HasCtx, R>(
    call: &mut Blocking<'_, T>,
    ipc: &Ipc,
    interest: Ready,
    deadline: u64,
    mut attempt: impl FnMut(&mut Guest<'_>) -> Result<R, Fail>,
) -> Result<R, Fail> {
    // who has just asked another container lets it answer before it goes to sleep: see `sim::let_woken_run`
    if wasmpod_sim::let_woken_run().await {
        match attempt(&mut call.guest()) {
            Err(Fail::Errno(WasiErrno::Again)) => {}
            result => return result,
        }
    }
    let description = Description::Ipc(ipc.clone());
    let clock = call.guest().ctx.process.clock().clone();
    let mut timer = Timer::new(&clock, deadline);
    let mut waited = false;
    loop {
        // readiness is a hint: after a false one others run first
        if std::mem::replace(&mut waited, true) {
            call.yield_now().await;
        }
        let poll = |cx: &mut Context<'_>| {
            if !description.poll_ready(interest, cx).is_empty() {
                return Poll::Ready(true);
            }
            wchan::note_file(&description, interest);
            timer.poll(cx).map(|()| false)
        };
        if !call.wait(poll).await? {
            return Err(WasiErrno::TimedOut.into());
        }
        match attempt(&mut call.guest()) {
            Err(Fail::Errno(WasiErrno::Again)) => {}
            result => return result,
        }
    }
}

/// The deadline of a call, whose timer is made only if the call waits.
struct Timer<'a> {
    clock: &'a Clock,
    at: Option<Instant>,
    sleep: Option<wasmpod_kernel::sim::Sleep>,
}

impl<'a> Timer<'a> {
    fn new(clock: &'a Clock, deadline: u64) -> Self {
        Self { clock, at: (deadline != FOREVER).then(|| Instant::from_nanos(deadline)), sleep: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| self.clock.sleep_until(at));
        let polled = Pin::new(sleep).poll(cx);
        if polled.is_pending() {
            wchan::note(|| WaitOn::Clock(at));
        }
        polled
    }
}

#[expect(clippy::too_many_arguments, reason = "the import has them")]
fn mq_open(
    guest: &mut Guest<'_>,
    name: u32,
    len: u32,
    flags: u32,
    mode: u32,
    max_messages: u32,
    message_size: u32,
    out: u32,
) -> Result<(), Fail> {
    guest.ctx.charge(PATH_FUEL);
    let (flags, nonblocking) = open_flags(flags)?;
    room_for_one(guest.ctx)?;
    // zero for both stands for mq_open without attributes
    let limits = (max_messages != 0 || message_size != 0).then_some(QueueLimits { max_messages, message_size });
    let process = &guest.ctx.process;
    let name = guest.memory.path(name, len)?;
    let queue = process.spec.ipc.open_queue(name, flags, mode, limits, process.ipc_caller())?;
    insert(guest, Ipc::Queue(queue), nonblocking, out)
}

fn mq_unlink(guest: &mut Guest<'_>, name: u32, len: u32) -> Result<(), Fail> {
    guest.ctx.charge(PATH_FUEL);
    let spec = &guest.ctx.process.spec;
    Ok(spec.ipc.unlink_queue(guest.memory.path(name, len)?, &spec.cred)?)
}

fn mq_getattr(guest: &mut Guest<'_>, fd: u32, out: u32) -> Result<(), Fail> {
    let (queue, nonblocking) = queue(guest, fd)?;
    let (limits, messages) = queue.status();
    let mut record = [0; ATTRIBUTES_SIZE];
    let values = [limits.max_messages, limits.message_size, messages, u32::from(nonblocking) * OPEN_NONBLOCK];
    for (bytes, value) in record.chunks_exact_mut(4).zip(values) {
        bytes.copy_from_slice(&value.to_le_bytes());
    }
    Ok(guest.memory.put(out, &record, 4)?)
}

/// The new descriptor becomes readable when the message has come; closing it withdraws the request.
fn mq_notify(guest: &mut Guest<'_>, fd: u32, out: u32) -> Result<(), Fail> {
    let (queue, _) = queue(guest, fd)?;
    room_for_one(guest.ctx)?;
    insert(guest, Ipc::Notification(queue.notify()?), false, out)
}

async fn mq_send<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    fd: u32,
    data: u32,
    len: u32,
    priority: u32,
    deadline: u64,
) -> Result<(), Fail> {
    let mut guest = call.guest();
    let (queue, nonblocking) = queue(&guest, fd)?;
    guest.charge_bytes(len as usize);
    let send = |guest: &mut Guest<'_>| Ok(queue.send(guest.memory.slice(data, len)?, priority)?);
    match send(&mut guest) {
        Err(Fail::Errno(WasiErrno::Again)) if !nonblocking => {}
        result => return result,
    }
    retry(call, &Ipc::Queue(queue.clone()), Ready::WRITE, deadline, send).await
}

async fn mq_receive<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    fd: u32,
    buffer: u32,
    len: u32,
    deadline: u64,
    out_len: u32,
    out_priority: u32,
) -> Result<(), Fail> {
    let mut guest = call.guest();
    let (queue, nonblocking) = queue(&guest, fd)?;
    // before a message is taken that could not be handed over
    guest.memory.array(out_len, 1, 4, 4)?;
    guest.memory.array(out_priority, 1, 4, 4)?;
    let receive = |guest: &mut Guest<'_>| {
        let (len, priority) = queue.receive(guest.memory.slice_mut(buffer, len)?)?;
        guest.charge_bytes(len);
        guest.memory.put_u32(out_len, len as u32)?; // at most MAX_MESSAGE_SIZE
        Ok(guest.memory.put_u32(out_priority, priority)?)
    };
    match receive(&mut guest) {
        Err(Fail::Errno(WasiErrno::Again)) if !nonblocking => {}
        result => return result,
    }
    let _blocked = queue.block();
    retry(call, &Ipc::Queue(queue.clone()), Ready::READ, deadline, receive).await
}

fn sem_open(
    guest: &mut Guest<'_>,
    name: u32,
    len: u32,
    flags: u32,
    mode: u32,
    value: u32,
    out: u32,
) -> Result<(), Fail> {
    guest.ctx.charge(PATH_FUEL);
    let (flags, nonblocking) = open_flags(flags)?;
    room_for_one(guest.ctx)?;
    let process = &guest.ctx.process;
    let name = guest.memory.path(name, len)?;
    let semaphore = process.spec.ipc.open_semaphore(name, flags, mode, value, process.ipc_caller(), &process.undo)?;
    insert(guest, Ipc::Semaphore(semaphore), nonblocking, out)
}

fn sem_unlink(guest: &mut Guest<'_>, name: u32, len: u32) -> Result<(), Fail> {
    guest.ctx.charge(PATH_FUEL);
    let spec = &guest.ctx.process.spec;
    Ok(spec.ipc.unlink_semaphore(guest.memory.path(name, len)?, &spec.cred)?)
}

fn sem_trywait(guest: &mut Guest<'_>, fd: u32) -> Result<(), Fail> {
    Ok(semaphore(guest, fd)?.0.try_wait()?)
}

async fn sem_wait<T: HasCtx>(call: &mut Blocking<'_, T>, fd: u32, deadline: u64) -> Result<(), Fail> {
    let (semaphore, nonblocking) = semaphore(&call.guest(), fd)?;
    match semaphore.try_wait() {
        Err(Errno::Again) if !nonblocking => {}
        result => return Ok(result?),
    }
    let ipc = Ipc::Semaphore(semaphore.clone());
    retry(call, &ipc, Ready::READ, deadline, |_| Ok(semaphore.try_wait()?)).await
}

fn sem_post(guest: &mut Guest<'_>, fd: u32) -> Result<(), Fail> {
    Ok(semaphore(guest, fd)?.0.post()?)
}

fn sem_getvalue(guest: &mut Guest<'_>, fd: u32, out: u32) -> Result<(), Fail> {
    let value = semaphore(guest, fd)?.0.value();
    Ok(guest.memory.put_u32(out, value)?)
}

fn shm_open(guest: &mut Guest<'_>, name: u32, len: u32, flags: u32, mode: u32, out: u32) -> Result<(), Fail> {
    guest.ctx.charge(PATH_FUEL);
    let (flags, nonblocking) = open_flags(flags)?;
    room_for_one(guest.ctx)?;
    let process = &guest.ctx.process;
    let segment = process.spec.ipc.open_segment(guest.memory.path(name, len)?, flags, mode, process.ipc_caller())?;
    insert(guest, Ipc::Segment(segment), nonblocking, out)
}

fn shm_unlink(guest: &mut Guest<'_>, name: u32, len: u32) -> Result<(), Fail> {
    guest.ctx.charge(PATH_FUEL);
    let spec = &guest.ctx.process.spec;
    Ok(spec.ipc.unlink_segment(guest.memory.path(name, len)?, &spec.cred)?)
}

/// Charged as if all of it were written, which its pages are once they are touched.
fn shm_set_size(guest: &mut Guest<'_>, fd: u32, size: u64) -> Result<(), Fail> {
    let segment = segment(guest, fd)?;
    segment.set_size(size, &guest.ctx.process.spec.cgroup)?;
    guest.charge_bytes(usize::try_from(size).unwrap_or(usize::MAX));
    Ok(())
}

fn shm_size(guest: &mut Guest<'_>, fd: u32, out: u32) -> Result<(), Fail> {
    let size = segment(guest, fd)?.size();
    Ok(guest.memory.put_u64(out, size)?)
}

/// Reads up to the end of the segment; lets others run after each [`MAX_SHM_COPY`] bytes.
async fn shm_read<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    fd: u32,
    offset: u64,
    buffer: u32,
    len: u32,
    out: u32,
) -> Result<(), Fail> {
    let segment = segment(&call.guest(), fd)?;
    let mut done = 0;
    loop {
        let mut guest = call.guest();
        let whole = guest.memory.slice_mut(buffer, len)?;
        let read = segment.read(offset.saturating_add(done as u64), &mut whole[done..])?;
        done += read;
        guest.charge_bytes(read);
        if read < MAX_SHM_COPY || done == len as usize {
            return Ok(guest.memory.put_u32(out, done as u32)?); // at most `len`
        }
        call.yield_now().await;
    }
}

/// As [`shm_read`]; a segment never shrinks, so that all of it is written once the first part is.
async fn shm_write<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    fd: u32,
    offset: u64,
    data: u32,
    len: u32,
) -> Result<(), Fail> {
    let segment = segment(&call.guest(), fd)?;
    let mut done = 0;
    loop {
        let mut guest = call.guest();
        let rest = &guest.memory.slice(data, len)?[done..];
        let written = segment.write(offset.saturating_add(done as u64), rest)?;
        done += written;
        guest.charge_bytes(written);
        if done == len as usize {
            return Ok(());
        }
        call.yield_now().await;
    }
}

fn shm_add32(guest: &mut Guest<'_>, fd: u32, offset: u64, value: u32, out: u32) -> Result<(), Fail> {
    guest.memory.array(out, 1, 4, 4)?;
    let old = segment(guest, fd)?.fetch_add(offset, value)?;
    Ok(guest.memory.put_u32(out, old)?)
}

fn shm_add64(guest: &mut Guest<'_>, fd: u32, offset: u64, value: u64, out: u32) -> Result<(), Fail> {
    guest.memory.array(out, 1, 8, 8)?;
    let old = segment(guest, fd)?.fetch_add(offset, value)?;
    Ok(guest.memory.put_u64(out, old)?)
}

fn shm_cas32(
    guest: &mut Guest<'_>,
    fd: u32,
    offset: u64,
    expected: u32,
    replacement: u32,
    out: u32,
) -> Result<(), Fail> {
    guest.memory.array(out, 1, 4, 4)?;
    let old = segment(guest, fd)?.compare_exchange(offset, expected, replacement)?;
    Ok(guest.memory.put_u32(out, old)?)
}

fn shm_cas64(
    guest: &mut Guest<'_>,
    fd: u32,
    offset: u64,
    expected: u64,
    replacement: u64,
    out: u32,
) -> Result<(), Fail> {
    guest.memory.array(out, 1, 8, 8)?;
    let old = segment(guest, fd)?.compare_exchange(offset, expected, replacement)?;
    Ok(guest.memory.put_u64(out, old)?)
}

fn shm_notify(guest: &mut Guest<'_>, fd: u32, offset: u64, count: u32, out: u32) -> Result<(), Fail> {
    guest.memory.array(out, 1, 4, 4)?;
    let woken = segment(guest, fd)?.notify(offset, count)?;
    guest.ctx.charge(CALL_FUEL * u64::from(woken));
    Ok(guest.memory.put_u32(out, woken)?)
}

/// The new descriptor becomes readable with the next notify; closing it ends the wait.
fn shm_watch(guest: &mut Guest<'_>, fd: u32, offset: u64, expected: u32, out: u32) -> Result<(), Fail> {
    let segment = segment(guest, fd)?;
    room_for_one(guest.ctx)?;
    insert(guest, Ipc::Watch(Arc::new(segment.watch(offset, expected)?)), false, out)
}

async fn shm_wait<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    fd: u32,
    offset: u64,
    expected: u32,
    deadline: u64,
) -> Result<(), Fail> {
    let watch = Arc::new(segment(&call.guest(), fd)?.watch(offset, expected)?);
    retry(call, &Ipc::Watch(watch), Ready::READ, deadline, |_| Ok(())).await
}
