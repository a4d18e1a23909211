//! `wasmpod:process` for components: pids and signals. The rules are the kernel's (`signal`, `pidns`); this folder has the handle of
//! a component, its pollable and its errors. There are no handlers: a component that waits cannot be entered a second time.

use std::future::poll_fn;
use std::task::Poll;

use wasmpod_kernel::Errno;
use wasmpod_kernel::signal::{Disposition, MaskHow, Signal, SignalFd, SignalSet};
use wasmpod_kernel::wchan::{self, WaitOn};
use wasmtime::component::{Linker, Resource, ResourceTableError};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

pub mod bindings;

use self::bindings::{processes, signals, types};
use super::{CALL_FUEL, ITEM_FUEL, Preview2, Slot};
use crate::{Ctx, HasCtx, ProcExit, still_runs};

/// What sending a signal costs: a lock or two of another process, and a line of the journal.
const KILL_FUEL: u64 = 1_000;

/// Why a call failed: an error of the guest's making, or one that ends it.
#[derive(Debug)]
pub enum ProcessError {
    /// The guest is told.
    Code(types::ErrorCode),
    /// The guest is ended.
    Trap(wasmtime::Error),
}

type ProcessResult<T> = Result<T, ProcessError>;

impl From<Errno> for ProcessError {
    fn from(errno: Errno) -> Self {
        Self::Code(match errno {
            Errno::Srch => types::ErrorCode::NoProcess,
            Errno::Perm => types::ErrorCode::NotPermitted,
            Errno::MFile => types::ErrorCode::TooManyOpen,
            _ => types::ErrorCode::Invalid,
        })
    }
}

impl From<ResourceTableError> for ProcessError {
    fn from(error: ResourceTableError) -> Self {
        match error {
            ResourceTableError::Full => Self::Code(types::ErrorCode::TooManyOpen),
            _ => Self::Trap(error.into()),
        }
    }
}

/// The resource `signal-fd`. Counts as one of the process' descriptors.
pub struct SignalHandle {
    fd: SignalFd,
    _slot: Slot,
}

#[async_trait]
impl Pollable for SignalHandle {
    async fn ready(&mut self) {
        poll_fn(|cx| {
            if self.fd.poll_readable(cx).is_empty() {
                wchan::note(|| WaitOn::Signal);
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
    }
}

/// Links the interfaces.
///
/// # Errors
/// If one is linked already.
pub(super) fn add_to_linker<T: HasCtx>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let get = T::ctx;
    types::add_to_linker::<T, Preview2>(linker, get)?;
    processes::add_to_linker::<T, Preview2>(linker, get)?;
    signals::add_to_linker::<T, Preview2>(linker, get)
}

impl types::Host for Ctx {
    fn convert_error_code(&mut self, error: ProcessError) -> wasmtime::Result<types::ErrorCode> {
        match error {
            ProcessError::Code(code) => Ok(code),
            ProcessError::Trap(error) => Err(error),
        }
    }
}

impl processes::Host for Ctx {
    fn getpid(&mut self) -> wasmtime::Result<u32> {
        self.charge(CALL_FUEL);
        Ok(self.process.pid())
    }

    fn getppid(&mut self) -> wasmtime::Result<u32> {
        self.charge(CALL_FUEL);
        Ok(self.process.spec.ppid)
    }

    fn getuid(&mut self) -> wasmtime::Result<u32> {
        self.charge(CALL_FUEL);
        Ok(self.process.spec.cred.uid)
    }

    fn getgid(&mut self) -> wasmtime::Result<u32> {
        self.charge(CALL_FUEL);
        Ok(self.process.spec.cred.gid)
    }

    fn list(&mut self) -> wasmtime::Result<Vec<processes::ProcessInfo>> {
        let list = self.process.spec.pids.list();
        let bytes: usize = list.iter().flat_map(|process| &process.args).map(String::len).sum();
        self.charge_bytes(bytes);
        self.charge(ITEM_FUEL * list.len() as u64);
        let info = |process: wasmpod_kernel::pidns::ProcessInfo| processes::ProcessInfo {
            pid: process.pid,
            parent: process.ppid,
            uid: process.uid,
            gid: process.gid,
            stopped: process.state == 'T',
            arguments: process.args,
        };
        Ok(list.into_iter().map(info).collect())
    }

    fn kill(&mut self, pid: i32, signal: Option<types::Signal>) -> ProcessResult<()> {
        self.charge(KILL_FUEL);
        self.process.spec.pids.kill(&self.process, pid, signal.map(Signal::from))?;
        self.settled()
    }

    fn exit(&mut self, code: u8) -> wasmtime::Result<()> {
        Err(ProcExit(code.into()).into())
    }
}

impl Ctx {
    /// What this process has done to itself ends it in the call.
    fn settled(&self) -> ProcessResult<()> {
        still_runs(&self.process).map_err(|exit| ProcessError::Trap(exit.into()))
    }
}

impl signals::Host for Ctx {
    fn set_disposition(
        &mut self,
        signal: types::Signal,
        to: signals::Disposition,
    ) -> ProcessResult<signals::Disposition> {
        self.charge(CALL_FUEL);
        let to = match to {
            signals::Disposition::Default => Disposition::Default,
            signals::Disposition::Ignore => Disposition::Ignore,
        };
        let before = self.process.signals().set_disposition(signal.into(), to)?;
        self.settled()?;
        Ok(match before {
            Disposition::Ignore => signals::Disposition::Ignore,
            // a component has no handlers
            Disposition::Default | Disposition::Handler { .. } => signals::Disposition::Default,
        })
    }

    fn set_mask(&mut self, how: signals::MaskHow, set: types::SignalSet) -> wasmtime::Result<types::SignalSet> {
        self.charge(CALL_FUEL);
        let how = match how {
            signals::MaskHow::Block => MaskHow::Block,
            signals::MaskHow::Unblock => MaskHow::Unblock,
            signals::MaskHow::Set => MaskHow::Set,
        };
        let before = self.process.signals().set_mask(how, set.into());
        still_runs(&self.process)?;
        Ok(before.into())
    }

    fn pending(&mut self) -> wasmtime::Result<types::SignalSet> {
        self.charge(CALL_FUEL);
        Ok(self.process.signals().pending().into())
    }
}

impl signals::HostSignalFd for Ctx {
    fn open(&mut self, set: types::SignalSet) -> ProcessResult<Resource<SignalHandle>> {
        self.charge(CALL_FUEL);
        let slot = Slot::take(&self.process)?;
        let fd = SignalFd::new(self.process.signals(), set.into());
        Ok(self.table.push(SignalHandle { fd, _slot: slot })?)
    }

    fn read(&mut self, this: Resource<SignalHandle>) -> wasmtime::Result<Vec<signals::SignalInfo>> {
        self.charge(CALL_FUEL);
        let fd = &self.table.get(&this)?.fd;
        // one of each at most, also if others send more meanwhile
        let taken = std::iter::from_fn(|| fd.take()).take(Signal::ALL.len());
        let read: Vec<_> = taken
            .map(|info| signals::SignalInfo { signal: info.signal.into(), sender: info.pid(), uid: info.uid() })
            .collect();
        self.charge(ITEM_FUEL * read.len() as u64);
        Ok(read)
    }

    fn subscribe(&mut self, this: Resource<SignalHandle>) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(CALL_FUEL);
        subscribe(&mut self.table, this)
    }

    fn drop(&mut self, this: Resource<SignalHandle>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

macro_rules! signals {
    ($($kernel:ident = $wit:ident, $flag:ident;)*) => {
        impl From<types::Signal> for Signal {
            fn from(signal: types::Signal) -> Self {
                match signal { $(types::Signal::$wit => Self::$kernel,)* }
            }
        }

        impl From<Signal> for types::Signal {
            fn from(signal: Signal) -> Self {
                match signal { $(Signal::$kernel => Self::$wit,)* }
            }
        }

        impl From<types::SignalSet> for SignalSet {
            fn from(set: types::SignalSet) -> Self {
                let pairs = [$((types::SignalSet::$flag, Signal::$kernel),)*];
                let given = pairs.into_iter().filter(|(flag, _)| set.contains(*flag)).map(|(_, signal)| signal);
                given.filter(|signal| !signal.is_uncatchable()).collect()
            }
        }

        impl From<SignalSet> for types::SignalSet {
            fn from(set: SignalSet) -> Self {
                let pairs = [$((types::SignalSet::$flag, Signal::$kernel),)*];
                pairs.into_iter().filter(|(_, signal)| set.contains(*signal)).fold(Self::empty(), |all, (flag, _)| all | flag)
            }
        }
    };
}

signals! {
    Hup = Hup, HUP; Int = Int, INT; Quit = Quit, QUIT; Ill = Ill, ILL; Trap = Trap, TRAP; Abrt = Abrt, ABRT; Bus = Bus, BUS;
    Fpe = Fpe, FPE; Kill = Kill, KILL; Usr1 = Usr1, USR1; Segv = Segv, SEGV; Usr2 = Usr2, USR2; Pipe = Pipe, PIPE;
    Alrm = Alrm, ALRM; Term = Term, TERM; Stkflt = Stkflt, STKFLT; Chld = Chld, CHLD; Cont = Cont, CONT; Stop = Stop, STOP;
    Tstp = Tstp, TSTP; Ttin = Ttin, TTIN; Ttou = Ttou, TTOU; Urg = Urg, URG; Xcpu = Xcpu, XCPU; Xfsz = Xfsz, XFSZ;
    Vtalrm = Vtalrm, VTALRM; Prof = Prof, PROF; Winch = Winch, WINCH; Io = Io, IO; Pwr = Pwr, PWR; Sys = Sys, SYS;
}
