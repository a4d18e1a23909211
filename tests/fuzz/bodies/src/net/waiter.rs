//! Who waits for a socket, and whether it was woken: a lost wake is a program that hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A task that waits, or not.
pub(super) struct Waiter {
    woken: Arc<Woken>,
    waker: Waker,
    waits: bool,
}

impl Default for Waiter {
    fn default() -> Self {
        let woken = Arc::<Woken>::default();
        Self { waker: woken.clone().into(), woken, waits: false }
    }
}

impl Waiter {
    /// If it waits: whether it was woken since.
    pub(super) fn asked(&self) -> Option<bool> {
        self.waits.then(|| self.woken.0.load(Ordering::Relaxed))
    }

    /// What to poll with.
    pub(super) fn context(&mut self) -> Context<'_> {
        self.woken.0.store(false, Ordering::Relaxed);
        Context::from_waker(&self.waker)
    }

    /// The poll told it to wait, or not.
    pub(super) fn waits(&mut self, waits: bool) {
        self.waits = waits;
    }
}
