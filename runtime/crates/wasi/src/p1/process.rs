//! Processes and signals for core modules: the functions of the module [`MODULE`], in the style of preview 1. The rules are the kernel's
//! (`signal`, `pidns`); this file runs the handlers.
//!
//! A program has one entry for all its handlers: the export [`HANDLER`], called with the signal's number. Wasm that computes cannot be
//! interrupted, so a handler runs where the program is in a call that may wait: in the middle of the wait, which then ends with
//! EINTR or goes on (SA_RESTART), or at the end of the call. Other calls do not look. Unlike on Linux, SA_RESTART restarts
//! `poll_oneoff` too, as its deadline is a time and the standard libraries of WASI do not expect its EINTR.

use std::sync::Arc;
use std::task::Poll;

use wasmpod_kernel::Errno;
use wasmpod_kernel::file::{Description, Descriptor};
use wasmpod_kernel::signal::{Control, Disposition, MaskHow, Signal, SignalFd, SignalSet};
use wasmpod_kernel::wchan::{self, WaitOn};
use wasmtime::{Caller, Extern, Linker};

use super::errno::{Fail, WasiErrno, finish};
use super::memory::Guest;
use super::sock::room_for_one;
use super::types::{FDFLAG_NONBLOCK, check_bits};
use super::{Blocking, CALL_FUEL, blocking, plain};
use crate::{Ctx, HasCtx, raise_sigpipe, still_runs};

/// The module that programs import from. Its functions change only with its name.
pub const MODULE: &str = "wasmpod_process_v0";

/// The function that a program with handlers exports: `(signal: i32) -> ()`.
pub const HANDLER: &str = "__wasmpod_signal_handler";

/// What sending a signal costs: a lock or two of another process, and a line of the journal.
const KILL_FUEL: u64 = 1_000;
/// What looking at one process costs.
const PROCESS_FUEL: u64 = 50;

/// Adds the module to `linker`.
///
/// # Errors
/// If `linker` already has one of the functions.
pub(super) fn add_to_linker<T: HasCtx>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    plain! { linker:
        "getpid" => getpid, (out: u32);
        "getppid" => getppid, (out: u32);
        "getuid" => getuid, (out: u32);
        "getgid" => getgid, (out: u32);
        "process_list" => process_list, (buffer: u32, len: u32, out: u32);
        "signal_pending" => signal_pending, (out: u32);
        "signal_fd" => signal_fd, (set: u64, flags: u32, out: u32);
    }
    blocking! { linker:
        "kill" => kill, (pid: i32, signal: u32);
        "signal_action" => signal_action, (signal: u32, action: u32, out: u32);
        "signal_mask" => signal_mask, (how: u32, set: u64, out: u32);
        "signal_suspend" => signal_suspend, (mask: u64);
    }
    Ok(())
}

/// Runs the handlers that are due, one after another. True if each of them has SA_RESTART.
///
/// # Errors
/// What the handler traps with. It may end the program like any function.
pub(super) async fn run_handlers<T: HasCtx>(call: &mut Blocking<'_, T>) -> wasmtime::Result<bool> {
    let process = call.guest().ctx.process.clone();
    let signals = process.signals();
    let mut restart = true;
    while let Some((info, restarts)) = signals.begin_handler() {
        restart &= restarts;
        let number = i32::from(info.signal.number());
        let Some(Extern::Func(handler)) = call.caller.get_export(HANDLER) else {
            // it was there when the action was set, and exports do not change
            return Err(wasmtime::format_err!("the program exports no function {HANDLER}"));
        };
        let handler = handler.typed::<i32, ()>(&call.caller)?;
        let ran = handler.call_async(&mut call.caller, number).await;
        signals.handled(info.signal);
        ran?;
    }
    Ok(restart)
}

/// What a write that nobody reads ends with.
pub(super) fn broken_pipe(ctx: &Ctx) -> Fail {
    raise_sigpipe(&ctx.process).err().map_or(WasiErrno::Pipe.into(), |exit| Fail::Trap(exit.into()))
}

fn getpid(guest: &mut Guest<'_>, out: u32) -> Result<(), Fail> {
    let pid = guest.ctx.process.pid();
    Ok(guest.memory.put_u32(out, pid)?)
}

fn getppid(guest: &mut Guest<'_>, out: u32) -> Result<(), Fail> {
    let parent = guest.ctx.process.spec.ppid;
    Ok(guest.memory.put_u32(out, parent)?)
}

fn getuid(guest: &mut Guest<'_>, out: u32) -> Result<(), Fail> {
    let uid = guest.ctx.process.spec.cred.uid;
    Ok(guest.memory.put_u32(out, uid)?)
}

fn getgid(guest: &mut Guest<'_>, out: u32) -> Result<(), Fail> {
    let gid = guest.ctx.process.spec.cred.gid;
    Ok(guest.memory.put_u32(out, gid)?)
}

/// The numbers of the processes, as many as `len` of them; how many there are goes to `out`. More is in `/proc`.
fn process_list(guest: &mut Guest<'_>, buffer: u32, len: u32, out: u32) -> Result<(), Fail> {
    let processes = guest.ctx.process.spec.pids.list();
    guest.ctx.charge(PROCESS_FUEL.saturating_mul(processes.len() as u64));
    let count = u32::try_from(processes.len()).unwrap_or(u32::MAX);
    let room = guest.memory.array_mut(buffer, len.min(count), 4, 4)?;
    for (process, record) in processes.iter().zip(room.chunks_exact_mut(4)) {
        record.copy_from_slice(&process.pid.to_le_bytes());
    }
    Ok(guest.memory.put_u32(out, count)?)
}

fn signal_pending(guest: &mut Guest<'_>, out: u32) -> Result<(), Fail> {
    let pending = guest.ctx.process.signals().pending();
    Ok(guest.memory.put_u64(out, pending.bits())?)
}

/// `signalfd(2)`: a descriptor for `fd_read`, which gives records of 128 bytes, and `poll_oneoff`. The only flag is FDFLAGS_NONBLOCK.
fn signal_fd(guest: &mut Guest<'_>, set: u64, flags: u32, out: u32) -> Result<(), Fail> {
    check_bits(flags, FDFLAG_NONBLOCK)?;
    room_for_one(guest.ctx)?;
    let process = &guest.ctx.process;
    let stream = Arc::new(SignalFd::new(process.signals(), SignalSet::from_bits(set)));
    let nonblocking = flags & FDFLAG_NONBLOCK != 0;
    let descriptor = Descriptor { nonblocking, ..Descriptor::new(Description::Stream(stream)) };
    let fd = process.fds.lock().insert(descriptor)?;
    Ok(guest.memory.put_u32(out, fd)?)
}

/// `kill(2)`; signal 0 only asks whether one may.
async fn kill<T: HasCtx>(call: &mut Blocking<'_, T>, pid: i32, signal: u32) -> Result<(), Fail> {
    let signal = if signal == 0 { None } else { Some(Signal::from_number(signal)?) };
    let ctx = call.guest().ctx;
    ctx.charge(KILL_FUEL);
    let process = ctx.process.clone();
    process.spec.pids.kill(&process, pid, signal)?;
    settle(call).await
}

/// After a call that may have sent this program a signal: it does not return to a program that has ended, and not yet to one that is
/// stopped.
async fn settle<T: HasCtx>(call: &mut Blocking<'_, T>) -> Result<(), Fail> {
    let process = call.guest().ctx.process.clone();
    still_runs(&process).map_err(|exit| Fail::Trap(exit.into()))?;
    if process.signals().control() == Control::Stopped {
        call.yield_now().await;
    }
    Ok(())
}

const ACTION_DEFAULT: u32 = 0;
const ACTION_IGNORE: u32 = 1;
const ACTION_HANDLER: u32 = 2;
const ACTION_HANDLER_RESTART: u32 = 3;

/// `sigaction(2)`: 0 is the default, 1 ignores, 2 runs the handler, 3 runs it and restarts calls. What it was goes to `out`.
async fn signal_action<T: HasCtx>(call: &mut Blocking<'_, T>, signal: u32, action: u32, out: u32) -> Result<(), Fail> {
    let signal = Signal::from_number(signal)?;
    let to = match action {
        ACTION_DEFAULT => Disposition::Default,
        ACTION_IGNORE => Disposition::Ignore,
        ACTION_HANDLER | ACTION_HANDLER_RESTART => {
            let handler = call.caller.get_export(HANDLER).and_then(Extern::into_func);
            handler.and_then(|handler| handler.typed::<i32, ()>(&call.caller).ok()).ok_or(WasiErrno::NotSup)?;
            Disposition::Handler { restart: action == ACTION_HANDLER_RESTART }
        }
        _ => return Err(WasiErrno::Inval.into()),
    };
    let mut guest = call.guest();
    let before = match guest.ctx.process.signals().set_disposition(signal, to)? {
        Disposition::Default => ACTION_DEFAULT,
        Disposition::Ignore => ACTION_IGNORE,
        Disposition::Handler { restart: false } => ACTION_HANDLER,
        Disposition::Handler { restart: true } => ACTION_HANDLER_RESTART,
    };
    guest.memory.put_u32(out, before)?;
    settle(call).await
}

/// `sigprocmask(2)`: 0 blocks these too, 1 blocks them no longer, 2 blocks these and no others. What it was goes to `out`.
async fn signal_mask<T: HasCtx>(call: &mut Blocking<'_, T>, how: u32, set: u64, out: u32) -> Result<(), Fail> {
    let how = match how {
        0 => MaskHow::Block,
        1 => MaskHow::Unblock,
        2 => MaskHow::Set,
        _ => return Err(WasiErrno::Inval.into()),
    };
    let mut guest = call.guest();
    let before = guest.ctx.process.signals().set_mask(how, SignalSet::from_bits(set));
    guest.memory.put_u64(out, before.bits())?;
    settle(call).await
}

/// `sigsuspend(2)`: waits with this mask until a handler has run. It always ends with EINTR.
async fn signal_suspend<T: HasCtx>(call: &mut Blocking<'_, T>, mask: u64) -> Result<(), Fail> {
    let process = call.guest().ctx.process.clone();
    let before = process.signals().set_mask(MaskHow::Set, SignalSet::from_bits(mask));
    let waited = process
        .wait_interruptible(|_| {
            wchan::note(|| WaitOn::Signal);
            Poll::<()>::Pending
        })
        .await;
    let ran = run_handlers(call).await; // with the mask of the wait, as on Linux
    process.signals().set_mask(MaskHow::Set, before);
    ran.map_err(Fail::Trap)?;
    settle(call).await?;
    Err(waited.err().unwrap_or(Errno::Intr).into())
}
