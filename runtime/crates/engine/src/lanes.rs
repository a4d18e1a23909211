//! How many programs are compiled at once, and how many compilations nobody waits for any more. Owns no compiler.
//!
//! A compiler cannot be stopped from outside: past its deadline nobody waits for it, but its thread goes on. Those are counted, so
//! that they are bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use futures_util::lock::{Mutex, MutexGuard};

use crate::config::COMPILE_LANES;

/// A compilation runs and is waited for.
const WAITED_FOR: u8 = 0;
/// Its deadline passed first.
const ABANDONED: u8 = 1;
/// It ended first.
const ENDED: u8 = 2;

/// The places where programs are compiled.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: [Mutex<()>; COMPILE_LANES],
    abandoned: AtomicUsize,
}

impl Lanes {
    /// Waits for the program's place: the same program always has the same, so it is compiled once.
    pub(crate) async fn enter(&self, key: &str) -> MutexGuard<'_, ()> {
        let at = key.bytes().next_back().map_or(0, usize::from) % COMPILE_LANES;
        self.lanes[at].lock().await
    }

    /// Compilations that run without anybody waiting for them.
    pub(crate) fn abandoned(&self) -> usize {
        self.abandoned.load(Ordering::Acquire)
    }
}

/// One compilation, seen from both sides: who waits for it, and its thread.
pub(crate) fn watch(lanes: &Arc<Lanes>) -> (Waiting, Working) {
    let shared = Arc::new(Shared { lanes: lanes.clone(), state: AtomicU8::new(WAITED_FOR) });
    (Waiting(shared.clone()), Working(shared))
}

#[derive(Debug)]
struct Shared {
    lanes: Arc<Lanes>,
    state: AtomicU8,
}

/// Held by who waits. Dropped before the thread has ended (a deadline, or a container that is killed meanwhile), the compilation
/// counts as abandoned until it has.
#[derive(Debug)]
pub(crate) struct Waiting(Arc<Shared>);

impl Drop for Waiting {
    fn drop(&mut self) {
        let abandoned = &self.0.lanes.abandoned;
        // counted first, so that the thread never takes off what is not on yet
        abandoned.fetch_add(1, Ordering::AcqRel);
        if self.0.state.swap(ABANDONED, Ordering::AcqRel) == ENDED {
            abandoned.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// Held by the thread; dropped at its end, also if it panics.
#[derive(Debug)]
pub(crate) struct Working(Arc<Shared>);

impl Drop for Working {
    fn drop(&mut self) {
        if self.0.state.swap(ENDED, Ordering::AcqRel) == ABANDONED {
            self.0.lanes.abandoned.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn what_is_abandoned_counts_until_its_thread_ends() {
        let lanes = Arc::new(Lanes::default());
        let (late, in_time) = (watch(&lanes), watch(&lanes));
        drop(in_time.1);
        drop(in_time.0);
        assert_eq!(lanes.abandoned(), 0);
        drop(late.0);
        assert_eq!(lanes.abandoned(), 1);
        drop(late.1);
        assert_eq!(lanes.abandoned(), 0);
    }

    #[test]
    fn one_program_has_one_place() {
        let lanes = Lanes::default();
        let first = lanes.enter("a0").now_or_never();
        assert!(first.is_some());
        assert!(lanes.enter("b0").now_or_never().is_none());
        assert!(lanes.enter("a1").now_or_never().is_some());
        drop(first);
        assert!(lanes.enter("b0").now_or_never().is_some());
    }
}
