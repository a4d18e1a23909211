//! What a process is blocked on (`/proc/PID/wchan`, with the object's name): told by what makes it wait, kept by the process while it
//! waits, rendered when somebody asks. Owns no waiting and no waking.
//!
//! ```text
//!   a system call's wait ── Process::wait(poll) ──► poll: Pending, and note(WaitOn) for each thing that it waits for
//!                                   └── Pending: the notes and the waker stay with the process until the wait is over
//! ```
//! A call that does not wait costs a flag of its thread; one that does, a lock that nobody else wants and a reference count.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use wasmpod_sim::Instant;

use crate::file::{Description, FileType};
use crate::netns::{SocketInfo, TcpState};
use crate::wait::Ready;

/// How many of the things that one poll waits for are kept; the others are counted. Enough to read, and no list to grow.
pub const MAX_NOTED: usize = 8;

/// One thing that a process waits for, as cheap as its handle. [`WaitOn::channel`] says it in words.
#[derive(Clone)]
pub enum WaitOn {
    /// Readiness of an open file description.
    File(Description, Ready),
    /// The monotonic clock.
    Clock(Instant),
    /// An object with a name: `mq_receive` on `/jobs`, `sem_wait` on `/lock`.
    Object {
        /// The call, as a manual page names it.
        call: &'static str,
        /// The object's name.
        name: Arc<str>,
    },
    /// Any signal (`pause(2)`, `sigsuspend(2)`).
    Signal,
}

/// What a process is blocked on, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitChannel {
    /// Bytes from a pipe, a terminal or another stream.
    Read(FileType),
    /// Room in a pipe, a terminal or another stream.
    Write(FileType),
    /// The other side's answer.
    TcpConnect {
        /// This side.
        local: Option<SocketAddr>,
        /// The other side.
        remote: Option<SocketAddr>,
    },
    /// A connection to accept.
    TcpAccept {
        /// Where it listens.
        local: Option<SocketAddr>,
    },
    /// Bytes from the other side.
    TcpReceive {
        /// This side.
        local: Option<SocketAddr>,
        /// The other side.
        remote: Option<SocketAddr>,
    },
    /// The other side has to read first.
    TcpSend {
        /// This side.
        local: Option<SocketAddr>,
        /// The other side.
        remote: Option<SocketAddr>,
    },
    /// A datagram.
    UdpReceive {
        /// Where it is bound.
        local: Option<SocketAddr>,
    },
    /// Room for a datagram.
    UdpSend {
        /// Where it is bound.
        local: Option<SocketAddr>,
    },
    /// The clock.
    Sleep {
        /// Until then.
        until: Instant,
    },
    /// An object with a name.
    Object {
        /// The call.
        call: &'static str,
        /// The object's name.
        name: Arc<str>,
    },
    /// Any signal.
    Signal,
    /// The first of several.
    Poll {
        /// The first [`MAX_NOTED`] of them.
        of: Vec<WaitChannel>,
        /// How many there are.
        total: usize,
    },
    /// Quota: its cgroup has used up its CPU time of this period.
    Throttled {
        /// The next period.
        until: Instant,
    },
    /// A CPU: it could run, and others do.
    Cpu,
    /// SIGCONT: it is stopped.
    Stopped,
}

/// What a process is blocked on, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// When the wait began; `None` for the moment between the call and the end of its slice.
    pub since: Option<Instant>,
    /// What for.
    pub channel: WaitChannel,
}

impl WaitOn {
    /// What it is, in words. Locks the object for a moment.
    pub fn channel(&self) -> WaitChannel {
        match self {
            Self::Clock(until) => WaitChannel::Sleep { until: *until },
            Self::Object { call, name } => WaitChannel::Object { call, name: name.clone() },
            Self::Signal => WaitChannel::Signal,
            Self::File(Description::Tcp(socket), interest) => {
                let (local, remote) = addresses(socket.info());
                match socket.state() {
                    TcpState::Listen => WaitChannel::TcpAccept { local },
                    TcpState::SynSent => WaitChannel::TcpConnect { local, remote },
                    _ if interest.contains(Ready::WRITE) => WaitChannel::TcpSend { local, remote },
                    _ => WaitChannel::TcpReceive { local, remote },
                }
            }
            Self::File(Description::Udp(socket), interest) => {
                let (local, _) = addresses(socket.info());
                match interest.contains(Ready::WRITE) {
                    true => WaitChannel::UdpSend { local },
                    false => WaitChannel::UdpReceive { local },
                }
            }
            Self::File(Description::Ipc(ipc), interest) => {
                let (call, name) = ipc.waits(*interest);
                WaitChannel::Object { call, name }
            }
            Self::File(description, interest) => match interest.contains(Ready::WRITE) {
                true => WaitChannel::Write(description.file_type()),
                false => WaitChannel::Read(description.file_type()),
            },
        }
    }
}

fn addresses(info: Option<SocketInfo>) -> (Option<SocketAddr>, Option<SocketAddr>) {
    info.map_or((None, None), |info| (Some(info.local), (info.remote.port() != 0).then_some(info.remote)))
}

impl fmt::Display for WaitChannel {
    /// One line: the call, then its object.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |f: &mut fmt::Formatter<'_>, call: &str, at: &Option<SocketAddr>| match at {
            Some(at) => write!(f, "{call} {at}"),
            None => f.write_str(call),
        };
        let two = |f: &mut fmt::Formatter<'_>, call: &str, from: &Option<SocketAddr>, to: &Option<SocketAddr>| {
            one(f, call, from)?;
            to.map_or(Ok(()), |to| write!(f, " to {to}"))
        };
        match self {
            Self::Read(kind) => write!(f, "read {}", name_of(*kind)),
            Self::Write(kind) => write!(f, "write {}", name_of(*kind)),
            Self::TcpConnect { local, remote } => two(f, "connect", local, remote),
            Self::TcpAccept { local } => one(f, "accept", local),
            Self::TcpReceive { local, remote } => two(f, "tcp receive", local, remote),
            Self::TcpSend { local, remote } => two(f, "tcp send", local, remote),
            Self::UdpReceive { local } => one(f, "udp receive", local),
            Self::UdpSend { local } => one(f, "udp send", local),
            Self::Sleep { until } => write!(f, "sleep until {until}"),
            Self::Object { call, name } => write!(f, "{call} {name}"),
            Self::Signal => f.write_str("signal"),
            Self::Throttled { until } => write!(f, "cpu quota until {until}"),
            Self::Cpu => f.write_str("cpu"),
            Self::Stopped => f.write_str("stopped"),
            Self::Poll { of, total } => {
                write!(f, "poll of {total}:")?;
                of.iter().enumerate().try_for_each(|(at, one)| write!(f, "{} {one}", if at > 0 { "," } else { "" }))?;
                if *total > of.len() { f.write_str(", …") } else { Ok(()) }
            }
        }
    }
}

const fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::Regular => "file",
        FileType::Directory => "directory",
        FileType::Symlink => "link",
        FileType::CharDevice => "device",
        FileType::Fifo => "pipe",
        FileType::SocketStream | FileType::SocketDgram => "socket",
        FileType::Anonymous => "object",
    }
}

/// What one wait is for.
#[derive(Default)]
struct Notes {
    of: Vec<WaitOn>,
    total: usize,
}

impl Notes {
    fn clear(&mut self) {
        self.of.clear();
        self.total = 0;
    }
}

thread_local! {
    /// True while a wait of a process is being polled on this thread.
    static COLLECTING: Cell<bool> = const { Cell::new(false) };
    /// What it said so far. Empty between two polls, so that no handle lives longer for it; the room is used again.
    static NOTES: RefCell<Notes> = const { RefCell::new(Notes { of: Vec::new(), total: 0 }) };
}

/// Says what a wait is for. Called by whatever returns [`Poll::Pending`] on behalf of a system call, each time it does; outside of
/// [`crate::process::Process::wait`] it does nothing.
pub fn note(on: impl FnOnce() -> WaitOn) {
    if !COLLECTING.get() {
        return;
    }
    NOTES.with_borrow_mut(|notes| {
        notes.total = notes.total.saturating_add(1);
        if notes.of.len() < MAX_NOTED {
            notes.of.push(on());
        }
    });
}

/// [`note`] for readiness of `description`.
pub fn note_file(description: &Description, interest: Ready) {
    note(|| WaitOn::File(description.clone(), interest));
}

/// Ends the collection, also if the poll panics.
struct Collection;

impl Collection {
    fn begin() -> Self {
        COLLECTING.set(true);
        Self
    }
}

impl Drop for Collection {
    fn drop(&mut self) {
        COLLECTING.set(false);
        let mut notes = NOTES.take();
        notes.clear();
        NOTES.set(notes);
    }
}

/// Not noted by the engine yet.
const UNKNOWN: u64 = u64::MAX;

/// A process' wait: empty while it runs.
pub(crate) struct WaitSlot {
    slot: Mutex<Slot>,
    since: AtomicU64,
}

#[derive(Default)]
struct Slot {
    notes: Notes,
    waits: bool,
    /// Whom a signal wakes.
    waker: Option<Waker>,
}

impl WaitSlot {
    pub(crate) fn new() -> Self {
        Self { slot: Mutex::default(), since: AtomicU64::new(UNKNOWN) }
    }

    /// Polls once. Pending: what was noted is kept, and the waker.
    pub(crate) fn poll<T>(&self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
        let collection = Collection::begin();
        let polled = poll(cx);
        if polled.is_pending() {
            self.keep(cx);
        }
        drop(collection);
        polled
    }

    fn keep(&self, cx: &Context<'_>) {
        let mut slot = self.slot.lock();
        if !slot.waits {
            slot.waits = true;
            self.since.store(UNKNOWN, Ordering::Relaxed);
        }
        NOTES.with_borrow_mut(|notes| std::mem::swap(notes, &mut slot.notes));
        match &slot.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => slot.waker = Some(cx.waker().clone()),
        }
    }

    /// The wait is over.
    pub(crate) fn end(&self) {
        let mut over = {
            let mut slot = self.slot.lock();
            slot.waits = false;
            std::mem::take(&mut slot.notes)
        };
        over.clear(); // outside of the lock: the last handle of a socket wakes its peer
        NOTES.with_borrow_mut(|notes| {
            if notes.of.capacity() == 0 {
                *notes = over; // its room
            }
        });
    }

    /// The slice that began the wait ended at `now`.
    pub(crate) fn parked(&self, now: Instant) {
        // a spurious wake-up begins no new wait
        let _known = self.since.compare_exchange(UNKNOWN, now.as_nanos(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Wakes the task that waits, if one does.
    pub(crate) fn wake(&self) {
        let waker = {
            let slot = self.slot.lock();
            slot.waker.clone().filter(|_| slot.waits)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// True while a call waits.
    pub(crate) fn waits(&self) -> bool {
        self.slot.lock().waits
    }

    pub(crate) fn waiting_on(&self) -> Vec<WaitOn> {
        let slot = self.slot.lock();
        if slot.waits { slot.notes.of.clone() } else { Vec::new() }
    }

    pub(crate) fn waiting(&self) -> Option<Waiting> {
        let (notes, total) = {
            let slot = self.slot.lock();
            if !slot.waits {
                return None;
            }
            (slot.notes.of.clone(), slot.notes.total)
        };
        let since = Some(self.since.load(Ordering::Relaxed)).filter(|since| *since != UNKNOWN);
        let mut of: Vec<_> = notes.iter().map(WaitOn::channel).collect();
        let channel = if total == 1 { of.pop()? } else { WaitChannel::Poll { of, total } };
        Some(Waiting { since: since.map(Instant::from_nanos), channel })
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;

    use super::*;
    use crate::cgroup::{Cgroup, RootConfig};
    use crate::pipe::pipe;
    use crate::process::testing::process;
    use wasmpod_sim::Sim;

    fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_wait_is_told_while_it_lasts_and_keeps_nothing_alive_afterwards() {
        let process = process(&Sim::new_virtual(1), "pod/app", &[]).expect("made");
        let cgroup = Cgroup::root(
            RootConfig { cpus: 1, memory_bytes: 1 << 20, fuel_per_cpu_second: 1 },
            process.clock().clone(),
        );
        let (reader, _writer) = pipe(&cgroup).expect("room");
        let description = Description::Stream(Arc::new(reader));
        let Description::Stream(stream) = description.clone() else { unreachable!() };
        {
            let mut wait = pin!(process.wait(|_| {
                note_file(&description, Ready::READ);
                Poll::<()>::Pending
            }));
            assert_eq!(process.waiting(), None);
            assert!(poll_once(wait.as_mut()).is_pending());
            let told = Waiting { since: None, channel: WaitChannel::Read(FileType::Fifo) };
            assert_eq!(process.waiting(), Some(told.clone()));
            process.parked(Instant::from_nanos(5));
            assert!(poll_once(wait.as_mut()).is_pending()); // woken for nothing: the same wait
            process.parked(Instant::from_nanos(9));
            assert_eq!(process.waiting(), Some(Waiting { since: Some(Instant::from_nanos(5)), ..told }));
        }
        // killed in its wait
        assert_eq!(process.waiting(), None);
        drop(description);
        assert_eq!(Arc::strong_count(&stream), 1);
    }

    #[test]
    fn a_poll_tells_the_first_few_and_counts_the_others() {
        let process = process(&Sim::new_virtual(1), "pod/app", &[]).expect("made");
        let mut wait = pin!(process.wait(|_| {
            (0..20).for_each(|at| note(|| WaitOn::Clock(Instant::from_nanos(at))));
            Poll::<()>::Pending
        }));
        assert!(poll_once(wait.as_mut()).is_pending());
        let Some(Waiting { channel: WaitChannel::Poll { of, total }, .. }) = process.waiting() else {
            panic!("it polls")
        };
        assert_eq!((of.len(), total), (MAX_NOTED, 20));
        assert_eq!(of[3], WaitChannel::Sleep { until: Instant::from_nanos(3) });
    }

    #[test]
    fn what_is_noted_outside_of_a_wait_is_dropped() {
        note(|| panic!("nobody asks"));
        let process = process(&Sim::new_virtual(1), "pod/app", &[]).expect("made");
        let mut ready = pin!(process.wait(|_| {
            note(|| WaitOn::Signal); // one of two is ready
            Poll::Ready(7)
        }));
        assert_eq!(poll_once(ready.as_mut()), Poll::Ready(7));
        assert_eq!(process.waiting(), None);
    }

    #[test]
    fn the_text_names_the_call_and_the_object() {
        let name: Arc<str> = "/jobs".into();
        let mq = WaitChannel::Object { call: "mq_receive", name };
        let address = |port| Some(SocketAddr::from(([10, 244, 0, 2], port)));
        let tcp = WaitChannel::TcpReceive { local: address(40000), remote: address(80) };
        let poll = WaitChannel::Poll { of: vec![mq, WaitChannel::Read(FileType::Fifo)], total: 3 };
        assert_eq!(tcp.to_string(), "tcp receive 10.244.0.2:40000 to 10.244.0.2:80");
        assert_eq!(poll.to_string(), "poll of 3: mq_receive /jobs, read pipe, …");
    }
}
