//! The virtual backend: one thread, a clock that moves only when nothing can run, and a seeded choice among the tasks that can.
//! Owns tasks, timers and the virtual clock. It never looks at the host's clock.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use parking_lot::Mutex;

use crate::entropy::{Entropy, Stream};
use crate::{BlockOnError, Instant};

type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
type TaskId = u64;

/// The id of the future given to `block_on`, which is not in the task table.
const MAIN: TaskId = 0;
/// FNV-1a's basis and prime, here over words instead of bytes: quick, and no attacker chooses the input.
const TRACE_START: u64 = 0xcbf2_9ce4_8422_2325;
const TRACE_PRIME: u64 = 0x0000_0100_0000_01b3;

pub(crate) struct Core {
    now: AtomicU64,
    /// Wakers by deadline; the second part of the key keeps equal deadlines in the order in which they were set.
    timers: Mutex<BTreeMap<(Instant, u64), Waker>>,
    next_timer: AtomicU64,
    tasks: Mutex<BTreeMap<TaskId, Slot>>,
    next_task: AtomicU64,
    ready: Mutex<Vec<Arc<Woken>>>,
    /// Decides which of the tasks that can run is next.
    order: Mutex<Stream>,
    /// How often a task was polled, and a hash over which and when: what two runs in the same order agree on.
    polls: AtomicU64,
    trace: AtomicU64,
}

struct Slot {
    name: String,
    /// Taken out while it is polled, so that a task may spawn and wake others meanwhile.
    future: Option<BoxFuture>,
    woken: Arc<Woken>,
}

/// What a waker points at.
struct Woken {
    id: TaskId,
    queued: AtomicBool,
    core: std::sync::Weak<Core>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        Self::wake_by_ref(&self);
    }
    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(core) = self.core.upgrade()
            && !self.queued.swap(true, Ordering::AcqRel)
        {
            core.ready.lock().push(self.clone());
        }
    }
}

impl Core {
    pub(crate) fn new(entropy: &Entropy) -> Arc<Self> {
        Arc::new(Self {
            now: AtomicU64::new(0),
            timers: Mutex::default(),
            next_timer: AtomicU64::new(0),
            tasks: Mutex::default(),
            next_task: AtomicU64::new(MAIN + 1),
            ready: Mutex::default(),
            order: Mutex::new(entropy.stream("sim/order")),
            polls: AtomicU64::new(0),
            trace: AtomicU64::new(TRACE_START),
        })
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(self.now.load(Ordering::Acquire))
    }

    pub(crate) fn spawn(self: &Arc<Self>, name: String, future: BoxFuture) {
        let id = self.next_task.fetch_add(1, Ordering::Relaxed);
        let woken = Arc::new(Woken { id, queued: AtomicBool::new(false), core: Arc::downgrade(self) });
        self.tasks.lock().insert(id, Slot { name, future: Some(future), woken: woken.clone() });
        woken.wake();
    }

    pub(crate) fn block_on<F: Future>(
        self: &Arc<Self>,
        main: F,
        report: &dyn Fn() -> Vec<String>,
    ) -> Result<F::Output, BlockOnError> {
        let mut main = pin!(main);
        let main_woken = Arc::new(Woken { id: MAIN, queued: AtomicBool::new(false), core: Arc::downgrade(self) });
        main_woken.wake_by_ref();
        let result = loop {
            let Some(next) = self.pick() else {
                if self.advance() {
                    continue;
                }
                break Err(self.deadlock(report));
            };
            next.queued.store(false, Ordering::Release);
            self.note_poll(next.id);
            if next.id == MAIN {
                let waker = Waker::from(main_woken.clone());
                if let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                    break Ok(output);
                }
            } else {
                self.poll_task(next.id);
            }
        };
        self.drop_tasks();
        result
    }

    /// How often a task was polled so far, and the hash over which and when.
    pub(crate) fn trace(&self) -> (u64, u64) {
        (self.polls.load(Ordering::Relaxed), self.trace.load(Ordering::Relaxed))
    }

    /// One thread polls, so that loading and storing is one step.
    fn note_poll(&self, id: TaskId) {
        self.polls.fetch_add(1, Ordering::Relaxed);
        let mixed =
            [id, self.now.load(Ordering::Relaxed)].iter().fold(self.trace.load(Ordering::Relaxed), |hash, word| {
                (hash ^ word).wrapping_mul(TRACE_PRIME).rotate_left(23)
            });
        self.trace.store(mixed, Ordering::Relaxed);
    }

    /// The next task to run: any of those that can, as the seed says.
    fn pick(&self) -> Option<Arc<Woken>> {
        let mut ready = self.ready.lock();
        match ready.len() {
            0 => None,
            1 => ready.pop(),
            n => {
                let at = self.order.lock().below(n as u64);
                Some(ready.swap_remove(usize::try_from(at).unwrap_or(0)))
            }
        }
    }

    fn poll_task(&self, id: TaskId) {
        let taken = self.tasks.lock().get_mut(&id).and_then(|slot| Some((slot.future.take()?, slot.woken.clone())));
        let Some((mut future, woken)) = taken else { return };
        let waker = Waker::from(woken);
        // a panic in the future itself is caught inside; this one is of a destructor, when the task was aborted
        let poll = AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
        let done = catch_unwind(poll).unwrap_or(true);
        if done {
            // dropped outside the lock: a future's destructor may wake, spawn or take timers away
            self.tasks.lock().remove(&id);
            drop(future);
        } else if let Some(slot) = self.tasks.lock().get_mut(&id) {
            slot.future = Some(future);
        }
    }

    /// Moves the clock to the next deadline and wakes all that wait for it. False if there is none.
    fn advance(&self) -> bool {
        let due = {
            let mut timers = self.timers.lock();
            let Some((&(deadline, _), _)) = timers.first_key_value() else { return false };
            self.now.fetch_max(deadline.as_nanos(), Ordering::AcqRel);
            let later = timers.split_off(&(deadline + std::time::Duration::from_nanos(1), 0));
            std::mem::replace(&mut *timers, later)
        };
        for waker in due.into_values() {
            waker.wake();
        }
        true
    }

    fn deadlock(&self, report: &dyn Fn() -> Vec<String>) -> BlockOnError {
        let waiting = self.tasks.lock().values().map(|slot| slot.name.clone()).collect();
        BlockOnError::Deadlock { at: self.now(), waiting, report: report() }
    }

    fn drop_tasks(&self) {
        loop {
            let left = std::mem::take(&mut *self.tasks.lock());
            if left.is_empty() {
                break;
            }
            drop(left); // may spawn: a destructor's last task is dropped in the next round
        }
        self.ready.lock().clear();
    }
}

/// One timer of the virtual clock; taken out when dropped.
pub(crate) struct Timer {
    core: Arc<Core>,
    deadline: Instant,
    key: Option<(Instant, u64)>,
}

impl Timer {
    pub(crate) fn new(core: Arc<Core>, deadline: Instant) -> Self {
        Self { core, deadline, key: None }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.core.now() >= self.deadline {
            self.cancel();
            return Poll::Ready(());
        }
        if self.deadline == Instant::FAR_FUTURE {
            return Poll::Pending; // waits for ever: no timer, so that a deadlock is seen as one
        }
        let key =
            *self.key.get_or_insert_with(|| (self.deadline, self.core.next_timer.fetch_add(1, Ordering::Relaxed)));
        self.core.timers.lock().insert(key, cx.waker().clone());
        Poll::Pending
    }

    fn cancel(&mut self) {
        if let Some(key) = self.key.take() {
            self.core.timers.lock().remove(&key);
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.cancel();
    }
}
