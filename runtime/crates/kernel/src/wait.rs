//! Readiness and wait queues: how something that would block says when to try again. Follows `poll(2)`: readiness is a hint, the
//! call itself decides. Owns wakers; not what they wait for.

use std::task::{Context, Waker};

use parking_lot::Mutex;

bitflags::bitflags! {
    /// What a file is ready for, in `poll(2)`'s sense.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Ready: u8 {
        /// A read (or accept) would not block.
        const READ = 1;
        /// A write would not block, or a connect has ended.
        const WRITE = 2;
        /// The other side is gone. Always reported, asked for or not.
        const HUP = 4;
        /// An error is pending. Always reported, asked for or not.
        const ERR = 8;
    }
}

impl Ready {
    /// The part of `self` that answers a poll for `interest`: what was asked for, and HUP and ERR in any case.
    #[must_use]
    pub fn answering(self, interest: Ready) -> Ready {
        self & (interest | Ready::HUP | Ready::ERR)
    }
}

/// The tasks that wait for one thing. Registration and the check of the condition must happen under the same lock of the owner,
/// or a wake between them is lost.
#[derive(Default)]
pub struct WaitQueue {
    wakers: Mutex<Vec<Waker>>,
}

impl WaitQueue {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { wakers: Mutex::new(Vec::new()) }
    }

    /// Remembers the task of `cx` until the next wake. A task that is already there is not added twice.
    pub fn register(&self, cx: &mut Context<'_>) {
        let mut wakers = self.wakers.lock();
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
    }

    /// Wakes every waiting task, in the order in which they came.
    pub fn wake_all(&self) {
        let wakers = std::mem::take(&mut *self.wakers.lock());
        for waker in wakers {
            waker.wake();
        }
    }

    /// Number of waiting tasks.
    pub fn len(&self) -> usize {
        self.wakers.lock().len()
    }

    /// True if no task waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Debug for WaitQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WaitQueue").field("waiting", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_task_is_kept_once_and_woken_once() {
        let (queue, count) = (WaitQueue::new(), Arc::new(Count(AtomicUsize::new(0))));
        let waker = Waker::from(count.clone());
        let mut cx = Context::from_waker(&waker);
        queue.register(&mut cx);
        queue.register(&mut cx);
        assert_eq!(queue.len(), 1);
        queue.wake_all();
        queue.wake_all();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn hang_up_and_errors_are_always_reported() {
        let all = Ready::all();
        assert_eq!(all.answering(Ready::READ), Ready::READ | Ready::HUP | Ready::ERR);
        assert_eq!(Ready::WRITE.answering(Ready::READ), Ready::empty());
    }
}
