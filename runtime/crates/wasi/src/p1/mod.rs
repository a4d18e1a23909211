//! `wasi_snapshot_preview1` for core modules, written by hand over the kernel: every function of the witx file, none of them
//! backed by the host. Where the witx file leaves something open, it behaves as wasmtime 48 does; where wasmtime has nothing
//! (sockets, FDFLAGS_NONBLOCK of anything but files), as Linux does.
//!
//! A map of the code:
//! - `types`: numbers, bits and layouts of the ABI.
//! - `memory`: checked access to the guest's memory; a bad pointer ends the program ([`GuestFault`]).
//! - `errno`: the kernel's errors in preview 1's numbers ([`WasiErrno`]).
//! - `args`: arguments, environment, random numbers, exit. `clock`: clocks.
//! - `fd`: everything on an open descriptor but moving bytes; `io` moves them, straight from and to the guest's memory.
//! - `path`: everything that takes a path.
//! - `poll`: `poll_oneoff`. `sock`: sockets.
//! - [`ipc`], [`process`]: modules of our own beside preview 1.
//!
//! A function that cannot block is a plain host function. One that can tries first and waits only if it must; while it waits it
//! holds nothing but the guest's memory, so the program can be killed there by dropping the future.
//!
//! Host work is charged as fuel ([`crate::Ctx::charge`]), so that a program cannot have more done than it could do: a unit stands
//! for about a nanosecond, as in guest code. The constants are rough on purpose; what matters is that nothing is free.

mod args;
mod clock;
mod errno;
mod fd;
mod io;
pub mod ipc;
mod memory;
mod path;
mod poll;
pub mod process;
mod sock;
mod types;

use std::future::poll_fn;
use std::task::{Context, Poll};

use wasmpod_kernel::file::Description;
use wasmpod_kernel::wait::Ready;
use wasmpod_kernel::wchan;
use wasmtime::{Caller, Linker, Memory};

pub use self::errno::WasiErrno;
pub use self::memory::{GuestFault, MAX_IOVECS, MAX_TRANSFER};
pub use self::poll::MAX_SUBSCRIPTIONS;

use self::errno::{Fail, finish};
use self::memory::{Guest, memory_of};
use crate::HasCtx;

/// The module that programs import from.
pub const MODULE: &str = "wasi_snapshot_preview1";

/// What each call costs, in fuel.
pub const CALL_FUEL: u64 = 100;
/// How many copied bytes cost one unit of fuel.
pub const BYTES_PER_FUEL: u64 = 8;
/// What a buffer of a scattered read or write costs.
pub const IOVEC_FUEL: u64 = 5;
/// What looking up a path costs, in addition to a unit for each of its bytes.
pub const PATH_FUEL: u64 = 200;
/// What an entry of a directory costs.
pub const DIRENT_FUEL: u64 = 30;
/// What a subscription costs each time it is looked at.
pub const SUBSCRIPTION_FUEL: u64 = 40;
/// How many random bytes cost one unit of fuel.
pub const RANDOM_BYTES_PER_FUEL: u64 = 1;

/// How many bytes are moved before others may run, so that a call on all of a 4 GiB memory does not hold a thread.
const CHUNK: u32 = 1024 * 1024;

/// A call that may have to wait.
struct Blocking<'a, T: 'static> {
    caller: Caller<'a, T>,
    memory: Memory,
}

impl<'a, T: HasCtx> Blocking<'a, T> {
    fn new(mut caller: Caller<'a, T>) -> Result<Self, GuestFault> {
        let memory = memory_of(&mut caller)?;
        let mut call = Self { caller, memory };
        call.guest().ctx.charge(CALL_FUEL);
        Ok(call)
    }

    /// What the call works on, until the next wait.
    fn guest(&mut self) -> Guest<'_> {
        Guest::in_memory(&mut self.caller, self.memory)
    }

    /// Waits until `description` is ready for `interest`, or has an error or the other side is gone.
    ///
    /// # Errors
    /// As [`Blocking::wait`].
    async fn ready(&mut self, description: &Description, interest: Ready) -> Result<(), Fail> {
        let poll = |cx: &mut Context<'_>| {
            if description.poll_ready(interest, cx).is_empty() {
                wchan::note_file(description, interest);
                return Poll::Pending;
            }
            Poll::Ready(())
        };
        self.wait(poll).await
    }

    /// Waits until `poll` is ready: the one place where calls of preview 1 wait. A signal with a handler runs it and goes on waiting if
    /// that has SA_RESTART.
    ///
    /// # Errors
    /// EINTR after a handler without it; a trap of the handler.
    async fn wait<R>(&mut self, mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>) -> Result<R, Fail> {
        let process = self.guest().ctx.process.clone();
        loop {
            match process.wait_interruptible(&mut poll).await {
                Ok(ready) => return Ok(ready),
                Err(interrupted) => {
                    let restart = process::run_handlers(self).await.map_err(Fail::Trap)?;
                    if !restart {
                        return Err(interrupted.into());
                    }
                }
            }
        }
    }

    /// Ends a call: handlers of signals that came meanwhile run before the program goes on.
    async fn end(&mut self, result: Result<(), Fail>) -> wasmtime::Result<u32> {
        if !matches!(result, Err(Fail::Trap(_))) && self.guest().ctx.process.signals().interrupts() {
            process::run_handlers(self).await?;
        }
        finish(result)
    }

    /// Lets others run once, and lets the engine take what the call has cost so far.
    async fn yield_now(&mut self) {
        let mut yielded = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Adds all of preview 1 to `linker`.
///
/// # Errors
/// If `linker` already has one of the functions.
pub fn add_to_linker<T: HasCtx>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    add_plain(linker)?;
    add_blocking(linker)?;
    ipc::add_to_linker(linker)?;
    process::add_to_linker(linker)
}

macro_rules! plain {
    ($linker:ident: $($name:literal => $function:path, ($($arg:ident: $ty:ty),*);)*) => {$(
        $linker.func_wrap(MODULE, $name, |mut caller: Caller<'_, T>, $($arg: $ty),*| -> wasmtime::Result<u32> {
            let mut guest = Guest::of(&mut caller)?;
            guest.ctx.charge(CALL_FUEL);
            finish($function(&mut guest, $($arg),*))
        })?;
    )*};
}

macro_rules! blocking {
    ($linker:ident: $($name:literal => $function:path, ($($arg:ident: $ty:ty),*);)*) => {$(
        $linker.func_wrap_async(MODULE, $name, |caller: Caller<'_, T>, ($($arg,)*): ($($ty,)*)| {
            Box::new(async move {
                let mut call = Blocking::new(caller)?;
                let result = $function(&mut call, $($arg),*).await;
                call.end(result).await
            })
        })?;
    )*};
}

use {blocking, plain}; // for the modules below

fn add_plain<T: HasCtx>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    plain! { linker:
        "args_get" => args::args_get, (argv: u32, buffer: u32);
        "args_sizes_get" => args::args_sizes_get, (count: u32, bytes: u32);
        "environ_get" => args::environ_get, (environ: u32, buffer: u32);
        "environ_sizes_get" => args::environ_sizes_get, (count: u32, bytes: u32);
        "proc_raise" => args::proc_raise, (signal: u32);
        "clock_res_get" => clock::res_get, (id: u32, out: u32);
        "clock_time_get" => clock::time_get, (id: u32, precision: u64, out: u32);
        "fd_advise" => fd::advise, (fd: u32, offset: u64, len: u64, advice: u32);
        "fd_allocate" => fd::allocate, (fd: u32, offset: u64, len: u64);
        "fd_close" => fd::close, (fd: u32);
        "fd_datasync" => fd::sync, (fd: u32);
        "fd_fdstat_get" => fd::fdstat_get, (fd: u32, out: u32);
        "fd_fdstat_set_flags" => fd::fdstat_set_flags, (fd: u32, flags: u32);
        "fd_fdstat_set_rights" => fd::fdstat_set_rights, (fd: u32, base: u64, inheriting: u64);
        "fd_filestat_get" => fd::filestat_get, (fd: u32, out: u32);
        "fd_filestat_set_size" => fd::filestat_set_size, (fd: u32, size: u64);
        "fd_filestat_set_times" => fd::filestat_set_times, (fd: u32, atime: u64, mtime: u64, flags: u32);
        "fd_prestat_get" => fd::prestat_get, (fd: u32, out: u32);
        "fd_prestat_dir_name" => fd::prestat_dir_name, (fd: u32, name: u32, len: u32);
        "fd_renumber" => fd::renumber, (from: u32, to: u32);
        "fd_seek" => fd::seek, (fd: u32, offset: i64, whence: u32, out: u32);
        "fd_sync" => fd::sync, (fd: u32);
        "fd_tell" => fd::tell, (fd: u32, out: u32);
        "path_create_directory" => path::create_directory, (fd: u32, path: u32, len: u32);
        "path_filestat_get" => path::filestat_get, (fd: u32, flags: u32, path: u32, len: u32, out: u32);
        "path_filestat_set_times" => path::filestat_set_times,
            (fd: u32, flags: u32, path: u32, len: u32, atime: u64, mtime: u64, times: u32);
        "path_link" => path::link,
            (old_fd: u32, flags: u32, old: u32, old_len: u32, new_fd: u32, new: u32, new_len: u32);
        "path_open" => path::open,
            (fd: u32, lookup: u32, path: u32, len: u32, oflags: u32, base: u64, inheriting: u64, fdflags: u32, out: u32);
        "path_readlink" => path::readlink, (fd: u32, path: u32, len: u32, buffer: u32, buffer_len: u32, out: u32);
        "path_remove_directory" => path::remove_directory, (fd: u32, path: u32, len: u32);
        "path_rename" => path::rename, (old_fd: u32, old: u32, old_len: u32, new_fd: u32, new: u32, new_len: u32);
        "path_symlink" => path::symlink, (target: u32, target_len: u32, fd: u32, path: u32, len: u32);
        "path_unlink_file" => path::unlink_file, (fd: u32, path: u32, len: u32);
        "sock_shutdown" => sock::shutdown, (fd: u32, how: u32);
    }
    linker.func_wrap(MODULE, "proc_exit", |code: u32| -> wasmtime::Result<()> { Err(args::proc_exit(code)) })?;
    Ok(())
}

fn add_blocking<T: HasCtx>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    blocking! { linker:
        "fd_pread" => io::pread, (fd: u32, iovs: u32, count: u32, offset: u64, out: u32);
        "fd_pwrite" => io::pwrite, (fd: u32, iovs: u32, count: u32, offset: u64, out: u32);
        "fd_read" => io::read, (fd: u32, iovs: u32, count: u32, out: u32);
        "fd_write" => io::write, (fd: u32, iovs: u32, count: u32, out: u32);
        "fd_readdir" => fd::readdir, (fd: u32, buffer: u32, len: u32, cookie: u64, out: u32);
        "poll_oneoff" => poll::oneoff, (subscriptions: u32, events: u32, count: u32, out: u32);
        "random_get" => args::random_get, (buffer: u32, len: u32);
        "sched_yield" => args::sched_yield, ();
        "sock_accept" => sock::accept, (fd: u32, flags: u32, out: u32);
        "sock_recv" => sock::recv, (fd: u32, iovs: u32, count: u32, flags: u32, out: u32, out_flags: u32);
        "sock_send" => sock::send, (fd: u32, iovs: u32, count: u32, flags: u32, out: u32);
    }
    Ok(())
}
