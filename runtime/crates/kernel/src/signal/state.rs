//! What a process has pending, blocks, ignores and handles, and what follows from a signal. The rules are those of Linux'
//! `kernel/signal.c`; each pending signal is kept once, as standard signals are. Owns no permission and no execution.
//!
//! ```text
//!   send ── ignored? ──► gone
//!    └─► pending ── blocked, or held by a signalfd ──► stays
//!             ├─ default: ends, stops ──► Control, which the engine obeys at the next end of a slice
//!             └─ handler ──► interrupts a waiting call; taken by the next call that may run it
//! ```

use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Waker};

use parking_lot::Mutex;

use super::{DefaultAction, Signal, SignalSet};
use crate::wait::{Ready, WaitQueue};
use crate::{Errno, Result};

/// What a process wants done with a signal (`sigaction(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Disposition {
    /// [`Signal::default_action`].
    #[default]
    Default,
    /// Nothing.
    Ignore,
    /// The program's handler runs.
    Handler {
        /// SA_RESTART: a call that can be restarted goes on after the handler, instead of EINTR.
        restart: bool,
    },
}

/// Who sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// A process of the same pid namespace.
    Process {
        /// Its number.
        pid: u32,
        /// Its user.
        uid: u32,
    },
    /// Something that the process did itself: a write that nobody reads.
    Kernel,
    /// The runtime: from outside of the namespace, which is what ends pid 1.
    Runtime,
}

/// A signal and who sent it (`siginfo_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalInfo {
    /// The signal.
    pub signal: Signal,
    /// The sender.
    pub sender: Sender,
}

impl SignalInfo {
    /// The sender's number in the receiver's namespace; 0 for one outside of it, as on Linux.
    pub const fn pid(&self) -> u32 {
        match self.sender {
            Sender::Process { pid, .. } => pid,
            Sender::Kernel | Sender::Runtime => 0,
        }
    }

    /// The sender's user.
    pub const fn uid(&self) -> u32 {
        match self.sender {
            Sender::Process { uid, .. } => uid,
            Sender::Kernel | Sender::Runtime => 0,
        }
    }
}

/// What became of a signal that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Nothing: it is ignored, or its default is to do nothing.
    Ignored,
    /// Nothing: the receiver is pid 1 of its namespace and has no handler for it.
    IgnoredByInit,
    /// It ends the process.
    Ended,
    /// It stops the process, or lets it go on.
    Obeyed,
    /// The program's handler will run.
    Handled,
    /// It is blocked, or waits to be read from a signalfd.
    Pending,
}

impl Taken {
    /// For the journal.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::IgnoredByInit => "ignored (pid 1 without a handler)",
            Self::Ended => "ends the program",
            Self::Obeyed => "obeyed",
            Self::Handled => "to its handler",
            Self::Pending => "pending",
        }
    }
}

/// What to do with a mask (`sigprocmask(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaskHow {
    /// Block these too.
    Block,
    /// Block these no longer.
    Unblock,
    /// Block these and no others.
    Set,
}

/// What the engine has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Go on.
    Run,
    /// Leave it alone until SIGCONT.
    Stopped,
    /// End it.
    Ended(Signal),
}

const ENDED: u8 = 1;
const STOPPED: u8 = 2;
const HANDLER: u8 = 4;

const COUNT: usize = Signal::ALL.len();

/// The signals of one process.
pub struct Signals {
    /// What the engine and a waiting call look at each time: a copy of what `state` says.
    flags: AtomicU8,
    state: Mutex<State>,
    /// The task that runs the process.
    runner: Mutex<Option<Waker>>,
    /// Who waits to read from a signalfd.
    readers: WaitQueue,
}

struct State {
    /// Pid 1 of its namespace.
    init: bool,
    pending: [Option<Sender>; COUNT],
    blocked: SignalSet,
    /// Blocked because their handler runs.
    running: SignalSet,
    /// How many signalfds wait for each.
    held: [u32; COUNT],
    actions: [Disposition; COUNT],
    ended: Option<Signal>,
    stopped: bool,
}

const fn at(signal: Signal) -> usize {
    signal.number() as usize - 1
}

impl Signals {
    /// Those of a new process; `init` if it is pid 1 of its namespace. SIGPIPE begins ignored: a WASI program expects EPIPE, and its
    /// runtime has no `main` before which it could say so.
    pub fn new(init: bool) -> Self {
        let mut actions = [Disposition::Default; COUNT];
        actions[at(Signal::Pipe)] = Disposition::Ignore;
        let state = State {
            init,
            pending: [None; COUNT],
            blocked: SignalSet::EMPTY,
            running: SignalSet::EMPTY,
            held: [0; COUNT],
            actions,
            ended: None,
            stopped: false,
        };
        let (runner, readers) = (Mutex::new(None), WaitQueue::new());
        Self { flags: AtomicU8::new(0), state: Mutex::new(state), runner, readers }
    }

    /// Sends a signal: what becomes of it. The caller wakes the process where it waits.
    pub(crate) fn send(&self, info: SignalInfo) -> Taken {
        let taken = self.change(|state| state.send(info));
        if matches!(taken, Taken::Pending) {
            self.readers.wake_all();
        }
        taken
    }

    /// Changes what is done with `signal`: what was done before (`sigaction(2)`).
    ///
    /// # Errors
    /// [`Errno::Inval`] for SIGKILL and SIGSTOP.
    pub fn set_disposition(&self, signal: Signal, to: Disposition) -> Result<Disposition> {
        if signal.is_uncatchable() {
            return Err(Errno::Inval);
        }
        Ok(self.change(|state| {
            let before = std::mem::replace(&mut state.actions[at(signal)], to);
            if state.is_ignored(signal) {
                state.pending[at(signal)] = None; // POSIX: also if it is blocked
            }
            before
        }))
    }

    /// What is done with `signal`.
    pub fn disposition(&self, signal: Signal) -> Disposition {
        self.state.lock().actions[at(signal)]
    }

    /// Changes which signals are blocked: which were before (`sigprocmask(2)`).
    pub fn set_mask(&self, how: MaskHow, set: SignalSet) -> SignalSet {
        self.change(|state| {
            let before = state.blocked;
            state.blocked = match how {
                MaskHow::Block => before.union(set),
                MaskHow::Unblock => before.without(set),
                MaskHow::Set => set,
            };
            before
        })
    }

    /// The signals that are blocked.
    pub fn mask(&self) -> SignalSet {
        self.state.lock().blocked
    }

    /// The signals that are pending (`sigpending(2)`).
    pub fn pending(&self) -> SignalSet {
        self.state.lock().pending_set()
    }

    /// The signals that are ignored and those with a handler, as `/proc/PID/status` shows them.
    pub fn dispositions(&self) -> (SignalSet, SignalSet) {
        let state = self.state.lock();
        let of = |wanted: fn(&Disposition) -> bool| {
            Signal::ALL.iter().copied().filter(|signal| wanted(&state.actions[at(*signal)])).collect()
        };
        (of(|to| *to == Disposition::Ignore), of(|to| matches!(to, Disposition::Handler { .. })))
    }

    /// True if a handler is to run: a waiting call ends for it.
    pub fn interrupts(&self) -> bool {
        self.flags.load(Ordering::Acquire) & HANDLER != 0
    }

    /// Takes the signal whose handler is to run next, and whether it has SA_RESTART. It is blocked until [`Signals::handled`].
    pub fn begin_handler(&self) -> Option<(SignalInfo, bool)> {
        if !self.interrupts() {
            return None;
        }
        self.change(|state| {
            let signal =
                state.deliverable().find(|signal| matches!(state.actions[at(*signal)], Disposition::Handler { .. }))?;
            let sender = state.pending[at(signal)].take()?;
            let Disposition::Handler { restart } = state.actions[at(signal)] else { return None };
            state.running.insert(signal);
            Some((SignalInfo { signal, sender }, restart))
        })
    }

    /// The handler of `signal` has returned.
    pub fn handled(&self, signal: Signal) {
        self.change(|state| state.running.remove(signal));
    }

    /// What the engine has to do.
    pub fn control(&self) -> Control {
        match self.flags.load(Ordering::Acquire) {
            flags if flags & ENDED != 0 => self.state.lock().ended.map_or(Control::Run, Control::Ended),
            flags if flags & STOPPED != 0 => Control::Stopped,
            _ => Control::Run,
        }
    }

    /// Says which task runs the process, to be woken for [`Signals::control`].
    pub fn run_by(&self, waker: &Waker) {
        *self.runner.lock() = Some(waker.clone());
    }

    pub(super) fn hold(&self, mask: SignalSet) {
        self.change(|state| mask.iter().for_each(|signal| state.held[at(signal)] += 1));
    }

    pub(super) fn release(&self, mask: SignalSet) {
        self.change(|state| {
            for signal in mask.iter() {
                state.held[at(signal)] = state.held[at(signal)].saturating_sub(1);
            }
        });
    }

    /// Takes a pending signal of `mask`.
    pub(super) fn take(&self, mask: SignalSet) -> Option<SignalInfo> {
        let mut state = self.state.lock();
        let signal = state.pending_set().and(mask).iter().next()?;
        let sender = state.pending[at(signal)].take()?;
        Some(SignalInfo { signal, sender })
    }

    pub(super) fn poll_readable(&self, mask: SignalSet, cx: &mut Context<'_>) -> Ready {
        let state = self.state.lock();
        if !state.pending_set().and(mask).is_empty() {
            return Ready::READ;
        }
        self.readers.register(cx);
        Ready::empty()
    }

    /// Changes the state, then does what follows.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (result, news) = {
            let mut state = self.state.lock();
            let result = change(&mut state);
            let flags = state.settle();
            (result, self.flags.swap(flags, Ordering::AcqRel) != flags)
        };
        if news {
            let runner = self.runner.lock().clone();
            if let Some(runner) = runner {
                runner.wake();
            }
        }
        result
    }
}

impl State {
    fn send(&mut self, SignalInfo { signal, sender }: SignalInfo) -> Taken {
        if self.ended.is_some() {
            return Taken::Ignored; // too late
        }
        let stops = signal.default_action() == DefaultAction::Stop;
        if stops {
            self.pending[at(Signal::Cont)] = None;
        }
        let mut resumed = false;
        if signal == Signal::Cont {
            // it goes on whatever it does with the signal itself
            resumed = std::mem::take(&mut self.stopped);
            for stop in [Signal::Stop, Signal::Tstp, Signal::Ttin, Signal::Ttou] {
                self.pending[at(stop)] = None;
            }
        }
        let default = self.actions[at(signal)] == Disposition::Default;
        let waits = self.waits(signal);
        if self.init && default && !waits && !(sender == Sender::Runtime && signal.is_uncatchable()) {
            return Taken::IgnoredByInit;
        }
        if self.is_ignored(signal) && !waits {
            return if resumed { Taken::Obeyed } else { Taken::Ignored };
        }
        self.pending[at(signal)].get_or_insert(sender);
        match (waits, default) {
            (true, _) => Taken::Pending,
            (false, false) => Taken::Handled,
            (false, true) if stops => Taken::Obeyed,
            (false, true) => Taken::Ended,
        }
    }

    /// Does the default actions that are due, and says what else there is.
    fn settle(&mut self) -> u8 {
        let due: SignalSet = self.deliverable().collect();
        let mut handler = 0;
        for signal in due.iter() {
            if matches!(self.actions[at(signal)], Disposition::Handler { .. }) {
                handler = HANDLER;
                continue;
            }
            let Some(sender) = self.pending[at(signal)].take() else { continue };
            let spared = self.init && !(sender == Sender::Runtime && signal.is_uncatchable());
            if self.actions[at(signal)] == Disposition::Ignore || spared {
                continue;
            }
            match signal.default_action() {
                DefaultAction::Terminate | DefaultAction::Core => _ = self.ended.get_or_insert(signal),
                DefaultAction::Stop => self.stopped = true,
                DefaultAction::Ignore | DefaultAction::Continue => {}
            }
        }
        let ended = if self.ended.is_some() { ENDED } else { 0 };
        let stopped = if self.stopped { STOPPED } else { 0 };
        ended | stopped | handler
    }

    fn is_ignored(&self, signal: Signal) -> bool {
        match self.actions[at(signal)] {
            Disposition::Ignore => true,
            Disposition::Default => {
                matches!(signal.default_action(), DefaultAction::Ignore | DefaultAction::Continue)
            }
            Disposition::Handler { .. } => false,
        }
    }

    /// It is kept until it is unblocked or read.
    fn waits(&self, signal: Signal) -> bool {
        let held = self.held[at(signal)] > 0 || self.blocked.contains(signal) || self.running.contains(signal);
        held && !signal.is_uncatchable()
    }

    fn pending_set(&self) -> SignalSet {
        Signal::ALL.iter().copied().filter(|signal| self.pending[at(*signal)].is_some()).collect()
    }

    fn deliverable(&self) -> impl Iterator<Item = Signal> + '_ {
        Signal::ALL.iter().copied().filter(|signal| self.pending[at(*signal)].is_some() && !self.waits(*signal))
    }
}

impl std::fmt::Debug for Signals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signals").field("pending", &self.pending()).field("blocked", &self.mask()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Sender = Sender::Process { pid: 7, uid: 0 };

    fn send(signals: &Signals, signal: Signal, sender: Sender) -> Taken {
        signals.send(SignalInfo { signal, sender })
    }

    #[test]
    fn the_default_ends_a_process_but_not_pid_1() {
        for sender in [ROOT, Sender::Runtime] {
            let (child, init) = (Signals::new(false), Signals::new(true));
            assert_eq!(send(&child, Signal::Term, sender), Taken::Ended);
            assert_eq!(child.control(), Control::Ended(Signal::Term));
            assert_eq!(send(&init, Signal::Term, sender), Taken::IgnoredByInit);
            assert_eq!((init.control(), init.pending()), (Control::Run, SignalSet::EMPTY));
        }
    }

    #[test]
    fn pid_1_is_killed_and_stopped_from_outside_only() {
        let init = Signals::new(true);
        assert_eq!(send(&init, Signal::Kill, ROOT), Taken::IgnoredByInit);
        assert_eq!(send(&init, Signal::Stop, ROOT), Taken::IgnoredByInit);
        assert_eq!(init.control(), Control::Run);
        assert_eq!(send(&init, Signal::Stop, Sender::Runtime), Taken::Obeyed);
        assert_eq!(init.control(), Control::Stopped);
        assert_eq!(send(&init, Signal::Kill, Sender::Runtime), Taken::Ended);
        assert_eq!(init.control(), Control::Ended(Signal::Kill)); // stopped or not
    }

    #[test]
    fn a_blocked_default_that_is_unblocked_spares_pid_1() {
        let block = |signals: &Signals| signals.set_mask(MaskHow::Block, [Signal::Term].into_iter().collect());
        let (child, init) = (Signals::new(false), Signals::new(true));
        for signals in [&child, &init] {
            block(signals);
            assert_eq!(send(signals, Signal::Term, ROOT), Taken::Pending);
            assert!(signals.pending().contains(Signal::Term));
            signals.set_mask(MaskHow::Set, SignalSet::EMPTY);
            assert!(signals.pending().is_empty());
        }
        assert_eq!((child.control(), init.control()), (Control::Ended(Signal::Term), Control::Run));
    }

    #[test]
    fn a_handler_interrupts_is_blocked_while_it_runs_and_keeps_one_of_each() {
        let signals = Signals::new(true);
        signals.set_disposition(Signal::Usr1, Disposition::Handler { restart: true }).expect("allowed");
        assert_eq!(send(&signals, Signal::Usr1, ROOT), Taken::Handled);
        assert_eq!(send(&signals, Signal::Usr1, Sender::Runtime), Taken::Handled);
        let info = SignalInfo { signal: Signal::Usr1, sender: ROOT };
        assert_eq!(signals.begin_handler(), Some((info, true)));
        assert_eq!(send(&signals, Signal::Usr1, ROOT), Taken::Pending); // its handler runs
        assert!(!signals.interrupts() && signals.begin_handler().is_none());
        signals.handled(Signal::Usr1);
        assert!(signals.interrupts() && signals.begin_handler().is_some());
    }

    #[test]
    fn stop_and_continue_cancel_each_other() {
        let signals = Signals::new(false);
        assert_eq!(send(&signals, Signal::Tstp, ROOT), Taken::Obeyed);
        assert_eq!(signals.control(), Control::Stopped);
        assert_eq!(send(&signals, Signal::Cont, ROOT), Taken::Obeyed);
        assert_eq!(signals.control(), Control::Run);
        // a blocked stop is forgotten by SIGCONT, which is ignored itself
        signals.set_mask(MaskHow::Set, [Signal::Tstp].into_iter().collect());
        assert_eq!(send(&signals, Signal::Tstp, ROOT), Taken::Pending);
        assert_eq!(send(&signals, Signal::Cont, ROOT), Taken::Ignored);
        assert!(signals.pending().is_empty());
    }

    #[test]
    fn ignoring_forgets_what_is_pending_and_kill_cannot_be_ignored() {
        let signals = Signals::new(false);
        signals.set_mask(MaskHow::Set, SignalSet::from_bits(u64::MAX));
        send(&signals, Signal::Hup, ROOT);
        assert_eq!(signals.set_disposition(Signal::Hup, Disposition::Ignore), Ok(Disposition::Default));
        assert!(signals.pending().is_empty());
        for signal in [Signal::Kill, Signal::Stop] {
            assert_eq!(signals.set_disposition(signal, Disposition::Ignore), Err(Errno::Inval));
        }
        assert_eq!(send(&signals, Signal::Kill, ROOT), Taken::Ended); // and not be blocked
    }

    #[test]
    fn sigpipe_is_ignored_until_the_program_says_otherwise() {
        let signals = Signals::new(false);
        assert_eq!(send(&signals, Signal::Pipe, Sender::Kernel), Taken::Ignored);
        assert_eq!(signals.set_disposition(Signal::Pipe, Disposition::Default), Ok(Disposition::Ignore));
        assert_eq!(send(&signals, Signal::Pipe, Sender::Kernel), Taken::Ended);
    }
}
