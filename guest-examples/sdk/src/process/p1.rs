//! Over the imports of `wasmpod_process_v0`.

use std::cell::Cell;

use super::{Disposition, MaskHow, Signal, SignalInfo, SignalSet};
use crate::{Error, Result};

mod raw {
    #[link(wasm_import_module = "wasmpod_process_v0")]
    unsafe extern "C" {
        pub fn getpid(out: *mut u32) -> u32;
        pub fn getppid(out: *mut u32) -> u32;
        pub fn getuid(out: *mut u32) -> u32;
        pub fn getgid(out: *mut u32) -> u32;
        pub fn process_list(buffer: *mut u32, len: u32, out: *mut u32) -> u32;
        pub fn kill(pid: i32, signal: u32) -> u32;
        pub fn signal_action(signal: u32, action: u32, out: *mut u32) -> u32;
        pub fn signal_mask(how: u32, set: u64, out: *mut u64) -> u32;
        pub fn signal_pending(out: *mut u64) -> u32;
        pub fn signal_suspend(mask: u64) -> u32;
        pub fn signal_fd(set: u64, flags: u32, out: *mut u32) -> u32;
    }

    #[repr(C)]
    pub struct Buffer {
        pub pointer: *mut u8,
        pub len: usize,
    }

    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        pub fn fd_read(fd: u32, iovs: *const Buffer, count: usize, out: *mut usize) -> u32;
        pub fn fd_close(fd: u32) -> u32;
    }
}

fn check(errno: u32) -> Result<()> {
    if errno == 0 { Ok(()) } else { Err(Error::from_wasi(errno as u16)) }
}

fn number(call: unsafe extern "C" fn(*mut u32) -> u32) -> u32 {
    let mut out = 0;
    // SAFETY: `out` is there for the call; these calls cannot fail
    unsafe { call(&mut out) };
    out
}

/// getpid(2)
pub fn getpid() -> u32 {
    number(raw::getpid)
}

/// getppid(2): 0 if the container runtime started this process.
pub fn getppid() -> u32 {
    number(raw::getppid)
}

/// getuid(2)
pub fn getuid() -> u32 {
    number(raw::getuid)
}

/// getgid(2)
pub fn getgid() -> u32 {
    number(raw::getgid)
}

/// The numbers of the processes of this process' namespace.
pub fn pids() -> Vec<u32> {
    let mut pids = vec![0; 16];
    loop {
        let mut count = 0;
        // SAFETY: there is room for as many as are asked for
        unsafe { raw::process_list(pids.as_mut_ptr(), pids.len() as u32, &mut count) };
        let enough = count as usize <= pids.len();
        pids.resize(count as usize, 0);
        if enough {
            return pids;
        }
    }
}

/// Ends this process with any code.
pub fn exit(code: u8) -> ! {
    std::process::exit(code.into())
}

pub(super) fn kill(pid: i32, signal: Option<Signal>) -> Result<()> {
    // SAFETY: no pointers
    check(unsafe { raw::kill(pid, signal.map_or(0, |signal| signal.0.into())) })
}

fn action(signal: Signal, action: u32) -> Result<Disposition> {
    let mut before = 0;
    // SAFETY: `before` is there for the call
    check(unsafe { raw::signal_action(signal.0.into(), action, &mut before) })?;
    Ok(match before {
        0 => Disposition::Default,
        1 => Disposition::Ignore,
        _ => Disposition::Handler,
    })
}

pub(super) fn set_disposition(signal: Signal, to: Disposition) -> Result<Disposition> {
    match to {
        Disposition::Default => action(signal, 0),
        Disposition::Ignore => action(signal, 1),
        Disposition::Handler => Err(Error::Invalid),
    }
}

pub(super) fn set_mask(how: MaskHow, set: SignalSet) -> SignalSet {
    let how = match how {
        MaskHow::Block => 0,
        MaskHow::Unblock => 1,
        MaskHow::Set => 2,
    };
    let mut before = 0;
    // SAFETY: `before` is there for the call, which cannot fail
    unsafe { raw::signal_mask(how, set.0, &mut before) };
    SignalSet(before)
}

pub(super) fn pending() -> SignalSet {
    let mut set = 0;
    // SAFETY: `set` is there for the call, which cannot fail
    unsafe { raw::signal_pending(&mut set) };
    SignalSet(set)
}

thread_local! {
    static HANDLERS: [Cell<Option<fn(Signal)>>; 32] = const { [const { Cell::new(None) }; 32] };
}

/// What wasmpod calls.
#[unsafe(no_mangle)]
pub extern "C" fn __wasmpod_signal_handler(signal: i32) {
    let handler = HANDLERS.with(|handlers| handlers.get(signal as usize).and_then(Cell::get));
    if let Some(handler) = handler {
        handler(Signal(signal as u8));
    }
}

/// Runs `handler` on `signal` (sigaction(2)): in a call that waits, or at the end of the next one that might. A call that waits then fails
/// with EINTR, or with `restart` goes on.
///
/// # Errors
/// `Invalid` for SIGKILL and SIGSTOP.
pub fn on_signal(signal: Signal, handler: fn(Signal), restart: bool) -> Result<Disposition> {
    HANDLERS.with(|handlers| {
        handlers.get(usize::from(signal.0)).map(|slot| slot.set(Some(handler))).ok_or(Error::Invalid)
    })?;
    action(signal, if restart { 3 } else { 2 })
}

/// sigsuspend(2): waits with `mask` until a handler has run.
pub fn suspend(mask: SignalSet) {
    // SAFETY: no pointers. It always ends with EINTR.
    unsafe { raw::signal_suspend(mask.0) };
}

/// Signals that are read instead of being acted on (signalfd(2)).
#[derive(Debug)]
pub struct SignalFd(u32);

/// Bytes of struct signalfd_siginfo.
const RECORD: usize = 128;

impl SignalFd {
    /// Opens one.
    ///
    /// # Errors
    /// `TooManyOpen`.
    pub fn open(set: SignalSet) -> Result<Self> {
        let mut fd = 0;
        // SAFETY: `fd` is there for the call
        check(unsafe { raw::signal_fd(set.0, 0, &mut fd) })?;
        Ok(Self(fd))
    }

    /// The descriptor, for `poll_oneoff`.
    pub fn fd(&self) -> u32 {
        self.0
    }

    /// Waits for a signal and takes it.
    ///
    /// # Errors
    /// `Interrupted` by a handler of another signal.
    pub fn wait(&self) -> Result<SignalInfo> {
        let (mut record, mut read) = ([0u8; RECORD], 0);
        // SAFETY: the buffer is as long as said
        check(unsafe {
            raw::fd_read(self.0, &raw::Buffer { pointer: record.as_mut_ptr(), len: RECORD }, 1, &mut read)
        })?;
        let at = |at: usize| u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
        Ok(SignalInfo { signal: Signal(at(0) as u8), sender: at(12), uid: at(16) })
    }
}

impl Drop for SignalFd {
    fn drop(&mut self) {
        // SAFETY: it is ours
        unsafe { raw::fd_close(self.0) };
    }
}
