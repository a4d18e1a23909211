//! The datagrams that wait in a UDP socket, and the error that came back from the network. Bounded in bytes; what does not fit is
//! dropped and counted, as on Linux. Owns no addresses.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Context;

use parking_lot::Mutex;

use super::Received;
use crate::cgroup::Cgroup;
use crate::netns::ring::Ring;
use crate::netns::wakers::Wakers;
use crate::wait::Ready;
use crate::{Errno, Result};

/// What a datagram costs of the receive buffer beside its bytes, as Linux counts a buffer's real size. It bounds the number of
/// empty datagrams that wait.
pub const DATAGRAM_OVERHEAD: usize = 256;

pub(super) struct Queue {
    state: Mutex<State>,
}

struct State {
    ring: Ring,
    datagrams: VecDeque<(SocketAddr, usize)>,
    limit: usize,
    drops: u64,
    /// A port-unreachable came back for something sent (`ECONNREFUSED`, reported once).
    refused: bool,
    readers: Wakers,
}

impl State {
    /// True if a datagram of `len` bytes is taken: one is always, as on Linux, however small the buffer.
    fn has_room(&self, len: usize) -> bool {
        let used = self.ring.len() + self.datagrams.len() * DATAGRAM_OVERHEAD;
        self.datagrams.is_empty() || used + len + DATAGRAM_OVERHEAD <= self.limit
    }
}

impl Queue {
    pub(super) fn new(memory: Option<Arc<Cgroup>>, limit: usize) -> Self {
        let state = State {
            ring: Ring::new(memory),
            datagrams: VecDeque::new(),
            limit,
            drops: 0,
            refused: false,
            readers: Wakers::default(),
        };
        Self { state: Mutex::new(state) }
    }

    /// Adds a datagram or drops it.
    pub(super) fn push(&self, from: SocketAddr, bytes: &[u8]) {
        let mut state = self.state.lock();
        if !state.has_room(bytes.len()) || state.ring.reserve(bytes.len(), usize::MAX).is_err() {
            state.drops = state.drops.saturating_add(1);
            return;
        }
        state.ring.push(bytes);
        state.datagrams.push_back((from, bytes.len()));
        let readers = state.readers.take();
        drop(state);
        readers.wake();
    }

    pub(super) fn pop(&self, buf: &mut [u8], peek: bool) -> Result<Received> {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.refused) {
            return Err(Errno::ConnRefused);
        }
        let &(from, len) = state.datagrams.front().ok_or(Errno::Again)?;
        let count = len.min(buf.len());
        state.ring.copy(0, &mut buf[..count]);
        if !peek {
            state.ring.skip(len);
            state.datagrams.pop_front();
        }
        Ok((count, from, len - count))
    }

    pub(super) fn refuse(&self) {
        let mut state = self.state.lock();
        state.refused = true;
        let readers = state.readers.take();
        drop(state);
        readers.wake();
    }

    pub(super) fn take_refused(&self) -> bool {
        std::mem::take(&mut self.state.lock().refused)
    }

    pub(super) fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        let mut state = self.state.lock();
        let mut ready = Ready::WRITE;
        ready.set(Ready::READ, !state.datagrams.is_empty() || state.refused);
        ready.set(Ready::ERR, state.refused);
        let answer = ready.answering(interest);
        if answer.is_empty() {
            state.readers.register(cx);
        }
        answer
    }

    pub(super) fn set_limit(&self, limit: usize) {
        self.state.lock().limit = limit;
    }

    /// Bytes that wait, and datagrams that were dropped.
    pub(super) fn counts(&self) -> (usize, u64) {
        let state = self.state.lock();
        (state.ring.len(), state.drops)
    }
}
