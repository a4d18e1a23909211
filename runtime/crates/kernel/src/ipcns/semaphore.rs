//! Counting semaphores (`sem_overview(7)`), and undo (SEM_UNDO of `semop(2)`): what a process has taken and not given back is given back
//! when it ends, however it ends.
//!
//! Undo is of the handle, as it suits some uses only: a lock's holder that dies must not keep it, but a consumer that ends has
//! used up what it took. Unlike System V's, it never takes: a process that gave more than it took leaves the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;

use parking_lot::Mutex;

use super::info::{IpcInfo, IpcKind};
use super::limits::SEM_VALUE_MAX;
use super::object::{Named, Object};
use super::party::{Enders, User};
use super::{Caller, OpenFlags};
use crate::wait::{Ready, WaitQueue};
use crate::{Errno, Result};

/// A semaphore, open or not.
pub(super) struct Semaphore {
    object: Object,
    value: Mutex<u32>,
    /// It began with zero, or somebody gave what it had not taken: it tells of events, and nobody holds it.
    signals: AtomicBool,
    waiting: WaitQueue,
}

impl Named for Semaphore {
    fn object(&self) -> &Object {
        &self.object
    }
}

impl Semaphore {
    pub(super) fn new(object: Object, value: u32) -> Self {
        Self { object, value: Mutex::new(value), signals: AtomicBool::new(value == 0), waiting: WaitQueue::new() }
    }

    pub(super) fn info(&self) -> IpcInfo {
        let value = *self.value.lock();
        IpcInfo::of(&self.object, IpcKind::Semaphore { value }, 0, self.waiting.len())
    }

    /// Gives `count` back to whoever waits; what the greatest value leaves no room for is lost, as in `exit_sem` of Linux.
    fn give_back(&self, count: u32) {
        {
            let mut value = self.value.lock();
            *value = value.saturating_add(count).min(SEM_VALUE_MAX);
        }
        self.waiting.wake_all();
    }
}

/// A handle of a semaphore.
pub struct OpenSemaphore {
    semaphore: Arc<Semaphore>,
    undo: Option<Arc<Undo>>,
    user: Arc<User>,
}

impl OpenSemaphore {
    pub(super) fn new(semaphore: Arc<Semaphore>, undo: Option<&Arc<Undo>>, caller: Caller<'_>) -> Self {
        if let Some(undo) = undo {
            undo.open(&semaphore);
        }
        let user = semaphore.object.users.open(caller.party, OpenFlags::empty());
        Self { semaphore, undo: undo.cloned(), user }
    }

    /// Its name, also if it was unlinked.
    pub fn name(&self) -> &Arc<str> {
        &self.semaphore.object.name
    }

    /// `sem_trywait(3)`.
    ///
    /// # Errors
    /// EAGAIN if the value is zero.
    pub fn try_wait(&self) -> Result<()> {
        let mut value = self.semaphore.value.lock();
        *value = value.checked_sub(1).ok_or(Errno::Again)?;
        drop(value);
        self.user.took();
        self.note(1);
        Ok(())
    }

    /// `sem_post(3)`.
    ///
    /// # Errors
    /// EOVERFLOW at [`SEM_VALUE_MAX`].
    pub fn post(&self) -> Result<()> {
        {
            let mut value = self.semaphore.value.lock();
            if *value >= SEM_VALUE_MAX {
                return Err(Errno::Overflow);
            }
            *value += 1;
        }
        if !self.user.gave() {
            self.semaphore.signals.store(true, Ordering::Relaxed);
        }
        self.note(-1);
        self.semaphore.waiting.wake_all();
        Ok(())
    }

    /// `sem_getvalue(3)`.
    pub fn value(&self) -> u32 {
        *self.semaphore.value.lock()
    }

    /// READ: the value is not zero. WRITE always.
    pub fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        let value = self.semaphore.value.lock();
        let mut ready = Ready::WRITE;
        ready.set(Ready::READ, *value > 0);
        let answer = ready.answering(interest);
        if answer.is_empty() {
            self.semaphore.waiting.register(cx);
        }
        answer
    }

    /// Who could end a wait: who holds it if it is used as a lock, else all that have it open.
    pub fn enders(&self) -> Enders {
        match self.semaphore.signals.load(Ordering::Relaxed) {
            true => self.semaphore.object.users.openers(OpenFlags::empty()),
            false => self.semaphore.object.users.holders(),
        }
    }

    fn note(&self, taken: i32) {
        if let Some(undo) = &self.undo {
            undo.note(&self.semaphore, taken);
        }
    }
}

impl Drop for OpenSemaphore {
    fn drop(&mut self) {
        self.semaphore.object.users.close(&self.user, OpenFlags::empty());
        if let Some(undo) = &self.undo {
            undo.close(&self.semaphore);
        }
    }
}

/// What a process has to give back: one entry for each semaphore, as many as there may be in its namespace at most.
#[derive(Default)]
pub struct Undo(Mutex<Vec<Entry>>);

struct Entry {
    semaphore: Arc<Semaphore>,
    /// Handles with undo. The entry stays without any for as long as something was taken.
    handles: usize,
    taken: u32,
}

impl Undo {
    /// Gives everything back, as the end of the process does. Nothing is to be undone afterwards.
    pub fn give_back(&self) {
        let entries = std::mem::take(&mut *self.0.lock());
        for entry in entries.iter().filter(|entry| entry.taken > 0) {
            entry.semaphore.give_back(entry.taken);
        }
    }

    fn open(&self, semaphore: &Arc<Semaphore>) {
        let mut entries = self.0.lock();
        match position(&entries, semaphore) {
            Some(at) => entries[at].handles += 1,
            None => entries.push(Entry { semaphore: semaphore.clone(), handles: 1, taken: 0 }),
        }
    }

    fn note(&self, semaphore: &Arc<Semaphore>, taken: i32) {
        let mut entries = self.0.lock();
        if let Some(at) = position(&entries, semaphore) {
            entries[at].taken = entries[at].taken.saturating_add_signed(taken);
        }
    }

    fn close(&self, semaphore: &Arc<Semaphore>) {
        let mut entries = self.0.lock();
        let Some(at) = position(&entries, semaphore) else { return };
        entries[at].handles = entries[at].handles.saturating_sub(1);
        if entries[at].handles == 0 && entries[at].taken == 0 {
            let closed = entries.swap_remove(at);
            drop(entries);
            drop(closed); // not under the lock: it may be the last of the semaphore
        }
    }
}

fn position(entries: &[Entry], semaphore: &Arc<Semaphore>) -> Option<usize> {
    entries.iter().position(|entry| Arc::ptr_eq(&entry.semaphore, semaphore))
}
