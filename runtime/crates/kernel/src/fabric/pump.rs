//! What happens on the network later: a queue of events by time and the one task that runs them. The task is started with the first
//! event and costs nothing before. Owns when, not what.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use wasmpod_sim::{Instant, Sim, Sleep};

/// What happens at its time. It runs without a lock being held.
pub(crate) type Event = Box<dyn FnOnce() + Send>;

/// The events that are due later. Events of one instant happen in the order in which they were added.
pub(crate) struct Pump {
    sim: Sim,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    events: BTreeMap<(Instant, u64), Event>,
    added: u64,
    running: bool,
    closed: bool,
    task: Option<Waker>,
}

impl Pump {
    pub(super) fn new(sim: Sim) -> Arc<Self> {
        Arc::new(Self { sim, queue: Mutex::default() })
    }

    pub(crate) fn now(&self) -> Instant {
        self.sim.clock().now()
    }

    pub(super) fn wall(&self) -> wasmpod_sim::UnixNanos {
        self.sim.clock().wall()
    }

    /// Runs `event` at `due`. Dropped if the fabric is gone.
    pub(crate) fn at(self: &Arc<Self>, due: Instant, event: Event) {
        let (start, task) = {
            let mut queue = self.queue.lock();
            if queue.closed {
                drop(queue);
                return;
            }
            queue.added += 1;
            let key = (due, queue.added);
            let first = queue.events.first_key_value().is_none_or(|(first, _)| key < *first);
            queue.events.insert(key, event);
            (!std::mem::replace(&mut queue.running, true), if first { queue.task.take() } else { None })
        };
        if start {
            self.start();
        }
        if let Some(task) = task {
            task.wake();
        }
    }

    /// The task holds the pump weakly: it ends with the fabric, and the fabric does not live as long as the run.
    fn start(self: &Arc<Self>) {
        let (me, mut sleep) = (Arc::downgrade(self), None);
        let task = std::future::poll_fn(move |cx| me.upgrade().map_or(Poll::Ready(()), |me| me.poll(&mut sleep, cx)));
        drop(self.sim.spawn("fabric/links", task));
    }

    fn poll(&self, sleep: &mut Option<(Instant, Sleep)>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = self.now();
            let event = {
                let mut queue = self.queue.lock();
                let due = match queue.events.first_key_value() {
                    _ if queue.closed => return Poll::Ready(()),
                    None => {
                        queue.task = Some(cx.waker().clone());
                        *sleep = None; // a timer that nobody needs would keep virtual time going
                        return Poll::Pending;
                    }
                    Some(((due, _), _)) => *due,
                };
                if due > now {
                    queue.task = Some(cx.waker().clone());
                    drop(queue);
                    if sleep.as_ref().is_none_or(|(at, _)| *at != due) {
                        *sleep = Some((due, self.sim.clock().sleep_until(due)));
                    }
                    let early = sleep.as_mut().is_some_and(|(_, sleep)| Pin::new(sleep).poll(cx).is_pending());
                    if early {
                        return Poll::Pending;
                    }
                    *sleep = None;
                    continue;
                }
                queue.events.pop_first()
            };
            if let Some((_, event)) = event {
                event();
            }
        }
    }

    /// Ends the task and drops what was to happen: the events hold sockets, which hold the fabric's parts.
    pub(super) fn close(&self) {
        let (events, task) = {
            let mut queue = self.queue.lock();
            queue.closed = true;
            (std::mem::take(&mut queue.events), queue.task.take())
        };
        drop(events);
        if let Some(task) = task {
            task.wake();
        }
    }
}
