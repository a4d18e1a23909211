//! Passing a worker on: a task that is woken while another runs, and by it, runs next on the same thread, without a way through the
//! executor's queues. Two programs that send each other messages then take turns on one thread, as two processes on Linux are put on one
//! CPU by a synchronous wake-up, instead of waking a second thread for each message. Owns the turns; the executor owns the tasks.
//!
//! ```text
//!            wake, by a task of this thread     ┌────────────────► next on this thread ─┐
//!   Idle ────────────────────────────► Queued ──┤                                       ├─► Running ──► Idle or Done
//!     ▲      wake, by anybody else      ▲       └─► the executor's queue ► Owner::poll ─┘      │ wake
//!     └─────────────────────────────────┴── last on this thread ◄─────────────────────────── Again
//! ```
//! Whoever brings a task from Queued to Running polls it; nobody else can at that time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

/// How many tasks run one after the other before the executor looks after its timers, its sockets and its other tasks. At the end of it
/// another worker may take the next one away, which costs a pair of programs that talk to each other more than 30 turns do.
const MAX_TURNS: usize = 1024;

/// How long they run, if they do more than answer each other: the executor's timers and other tasks wait no longer than this and the last
/// one's slice. Out of reach in this crate's tests, which count turns on machines of any load.
const MAX_TURNS_TIME: Duration = Duration::from_micros(if cfg!(test) { 60_000_000 } else { 1_000 });

/// Waits for a wake.
const IDLE: u8 = 0;
/// Was woken; one thread or the executor's queue has it.
const QUEUED: u8 = 1;
/// Is being polled.
const RUNNING: u8 = 2;
/// Is being polled and was woken meanwhile.
const AGAIN: u8 = 3;
/// Has ended.
const DONE: u8 = 4;

/// How many turns pass between two looks at the clock: reading it costs a tenth of a short turn.
const LOOK_EACH: usize = 4;

type Body = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Task {
    state: AtomicU8,
    /// Locked by the one who polls it, and by the executor when it drops the task.
    body: Mutex<Option<Body>>,
    /// The executor's task.
    owner: AtomicWaker,
}

/// What the executor runs: holds the task for as long as the executor holds it.
pub(crate) struct Owner(Arc<Task>);

thread_local! {
    static TURN: RefCell<Turn> =
        const { RefCell::new(Turn { active: false, next: None, later: VecDeque::new() }) };
}

/// Who is next on this thread.
struct Turn {
    /// A task of this thread is being polled.
    active: bool,
    /// Was woken by the one that runs.
    next: Option<Arc<Task>>,
    /// Let others go first, and run after them.
    later: VecDeque<Arc<Task>>,
}

impl Turn {
    fn take(&mut self) -> Option<Arc<Task>> {
        self.next.take().or_else(|| self.later.pop_front())
    }
}

/// True if others wait for this thread: a task that wakes itself and returns Pending then runs after them.
pub(crate) fn others_wait() -> bool {
    let ask = |turn: &Turn| turn.active && (turn.next.is_some() || !turn.later.is_empty());
    TURN.try_with(|turn| turn.try_borrow().is_ok_and(|turn| ask(&turn))).unwrap_or(false)
}

impl Owner {
    pub(crate) fn new(body: impl Future<Output = ()> + Send + 'static) -> Self {
        let body = Mutex::new(Some(Box::pin(body) as Body));
        Self(Arc::new(Task { state: AtomicU8::new(QUEUED), body, owner: AtomicWaker::new() }))
    }
}

impl Future for Owner {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.owner.register(cx.waker()); // before the state is looked at, so that no end is missed
        take_turns(self.0.clone());
        if self.0.state.load(Ordering::Acquire) == DONE { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let body = self.0.body.lock().take();
        drop(body);
    }
}

/// Polls `first`, then whom it woke, and so on.
fn take_turns(first: Arc<Task>) {
    let outermost = TURN.with_borrow_mut(|turn| !std::mem::replace(&mut turn.active, true));
    let _end = outermost.then_some(EndOfTurns);
    let begin = now();
    first.run();
    for turn in 1..MAX_TURNS {
        if turn % LOOK_EACH == 0 && begin.elapsed() > MAX_TURNS_TIME {
            break;
        }
        match outermost.then(|| TURN.with_borrow_mut(|turn| turn.take())).flatten() {
            Some(task) => task.run(),
            None => break,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "sim is the seam to the host's clock; this is fairness on a thread, no guest sees it"
)]
fn now() -> Instant {
    Instant::now()
}

/// Gives those who wait to the executor.
struct EndOfTurns;

impl Drop for EndOfTurns {
    fn drop(&mut self) {
        TURN.with_borrow_mut(|turn| turn.active = false);
        while let Some(task) = TURN.with_borrow_mut(Turn::take) {
            task.owner.wake();
        }
    }
}

impl Task {
    /// Polls the task if it was woken and nobody polled it since.
    fn run(self: Arc<Self>) {
        if self.state.compare_exchange(QUEUED, RUNNING, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        let waker = Waker::from(self.clone());
        let mut body = self.body.lock();
        let ended = match body.as_mut() {
            Some(future) => future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready(),
            None => true, // the executor has dropped it
        };
        if ended {
            let body = body.take();
            self.state.store(DONE, Ordering::Release);
            drop(body);
            self.owner.wake();
            return;
        }
        drop(body);
        if self.state.compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // it wants to go on: behind those that wait here. The executor would put it behind everybody else, and wake an idle worker
            // to take it away, which costs a program that computes a tenth of its time.
            self.state.store(QUEUED, Ordering::Release);
            TURN.with_borrow_mut(|turn| turn.later.push_back(self));
        }
    }

    /// True if the task became runnable by this call.
    fn note_wake(&self) -> bool {
        let mut state = self.state.load(Ordering::Acquire);
        loop {
            let next = match state {
                IDLE => QUEUED,
                RUNNING => AGAIN,
                _ => return false,
            };
            match self.state.compare_exchange_weak(state, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return next == QUEUED,
                Err(now) => state = now,
            }
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.note_wake() {
            return;
        }
        let mut task = Some(self);
        // not reachable while the thread ends, or while the slot itself is looked at
        let _ = TURN.try_with(|turn| {
            if let Ok(mut turn) = turn.try_borrow_mut()
                && turn.active
                && turn.next.is_none()
            {
                turn.next = task.take().cloned();
            }
        });
        if let Some(task) = task {
            task.owner.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::Sim;

    /// A queue of tokens with any number of waiting tasks.
    #[derive(Default)]
    struct Channel(Mutex<(VecDeque<u32>, Vec<Waker>)>);

    impl Channel {
        fn send(&self, token: u32) {
            let wakers = {
                let mut inner = self.0.lock();
                inner.0.push_back(token);
                std::mem::take(&mut inner.1)
            };
            wakers.into_iter().for_each(Waker::wake);
        }

        async fn receive(&self) -> u32 {
            std::future::poll_fn(|cx| {
                let mut inner = self.0.lock();
                match inner.0.pop_front() {
                    Some(token) => Poll::Ready(token),
                    None => {
                        inner.1.push(cx.waker().clone());
                        Poll::Pending
                    }
                }
            })
            .await
        }
    }

    async fn yield_now() {
        let mut yielded = false;
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    #[test]
    fn no_wake_is_lost_and_no_task_is_polled_twice_at_once() {
        const TASKS: usize = 24;
        const HOPS: u32 = 4_000;
        for workers in [1, 2, 4] {
            let sim = Sim::new_real(Some(1), workers).expect("a runtime");
            let channels: Arc<Vec<Channel>> = Arc::new((0..TASKS).map(|_| Channel::default()).collect());
            let done = Arc::new(Channel::default());
            for me in 0..TASKS {
                let (channels, done) = (channels.clone(), done.clone());
                sim.spawn(format!("task {me}"), async move {
                    loop {
                        let hops = channels[me].receive().await;
                        match hops % 7 {
                            0 => yield_now().await,
                            1 | 2 => drop(crate::let_woken_run().await),
                            _ => {}
                        }
                        match hops {
                            0 => done.send(0),
                            // two ways through the ring, so that tokens meet
                            _ => channels[(me + if hops % 3 == 0 { 5 } else { 1 }) % TASKS].send(hops - 1),
                        }
                    }
                });
            }
            (0..TASKS).for_each(|at| channels[at].send(HOPS));
            sim.block_on(async {
                for _ in 0..TASKS {
                    done.receive().await;
                }
            })
            .expect("it ends");
        }
    }

    #[test]
    fn whom_a_task_wakes_runs_next_on_its_thread() {
        let sim = Sim::new_real(Some(1), 2).expect("a runtime");
        let (to, back) = (Arc::new(Channel::default()), Arc::new(Channel::default()));
        let moved = Arc::new(AtomicUsize::new(0));
        let echo = (to.clone(), back.clone(), moved.clone());
        let asked_by = Arc::new(Mutex::new(None));
        let asked = asked_by.clone();
        sim.spawn("echo", async move {
            loop {
                let token = echo.0.receive().await;
                if *asked.lock() != Some(std::thread::current().id()) {
                    echo.2.fetch_add(1, Ordering::Relaxed);
                }
                echo.1.send(token);
            }
        });
        let asker = sim.spawn("asker", async move {
            for turn in 0..1000 {
                *asked_by.lock() = Some(std::thread::current().id());
                to.send(turn);
                assert_eq!(back.receive().await, turn);
            }
        });
        sim.block_on(asker).expect("it runs").expect("it ends");
        // the first time the echo may not have waited yet; a turn that is the last of its thread moves too
        let moved = moved.load(Ordering::Relaxed);
        assert!(moved <= 1 + 2 * 2000 / MAX_TURNS, "{moved} of 1000 were answered on another thread");
    }

    #[test]
    fn a_task_that_lets_others_run_first_finds_their_answer() {
        let sim = Sim::new_real(Some(1), 1).expect("a runtime");
        let (to, back) = (Arc::new(Channel::default()), Arc::new(Channel::default()));
        let echo = (to.clone(), back.clone());
        sim.spawn("echo", async move {
            loop {
                echo.1.send(echo.0.receive().await);
            }
        });
        let asker = sim.spawn("asker", async move {
            assert!(!crate::let_woken_run().await, "nobody was woken");
            let mut answered = 0;
            for turn in 0..1000 {
                to.send(turn);
                crate::let_woken_run().await;
                answered += usize::from(!back.0.lock().0.is_empty());
                assert_eq!(back.receive().await, turn);
            }
            answered
        });
        let answered = sim.block_on(asker).expect("it runs").expect("it ends");
        assert!(answered >= 1000 - 1 - 2 * 2000 / MAX_TURNS, "only {answered} of 1000 were there at once");
    }

    #[test]
    fn what_a_task_holds_is_dropped_with_the_runtime() {
        let held = Arc::new(());
        let sim = Sim::new_real(Some(1), 2).expect("a runtime");
        let (inner, channel, started) = (held.clone(), Arc::new(Channel::default()), Arc::new(Channel::default()));
        let begun = started.clone();
        let task = sim.spawn("waits for ever", async move {
            begun.send(1);
            channel.receive().await; // its waker holds the task, which holds the channel, which holds the waker
            drop(inner);
        });
        sim.block_on(started.receive()).expect("it starts");
        drop(sim);
        assert!(task.is_finished());
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
