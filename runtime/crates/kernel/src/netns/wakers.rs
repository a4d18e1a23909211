//! Tasks that wait for one thing, kept inside the lock that guards that thing. Unlike [`crate::wait::WaitQueue`] it has no lock of
//! its own: the owner takes the wakers out under its lock and calls them after unlocking.

use std::task::{Context, Waker};

/// Waiting tasks. One is the usual case and needs no allocation.
#[derive(Default)]
pub(super) struct Wakers {
    first: Option<Waker>,
    more: Vec<Waker>,
}

impl Wakers {
    /// Remembers the task of `cx` until the next [`Wakers::take`]. A task that is already there is not added twice.
    pub(super) fn register(&mut self, cx: &mut Context<'_>) {
        let known = self.first.iter().chain(&self.more).any(|waker| waker.will_wake(cx.waker()));
        match self.first {
            _ if known => {}
            None => self.first = Some(cx.waker().clone()),
            Some(_) => self.more.push(cx.waker().clone()),
        }
    }

    /// Takes all of them out, to be woken once the lock is released.
    #[must_use = "taken wakers must be woken, or their tasks wait for ever"]
    pub(super) fn take(&mut self) -> Self {
        if self.first.is_none() { Self::default() } else { std::mem::take(self) }
    }

    /// Wakes every task, in the order in which they came. Call it without holding a lock.
    pub(super) fn wake(self) {
        for waker in self.first.into_iter().chain(self.more) {
            waker.wake();
        }
    }
}
