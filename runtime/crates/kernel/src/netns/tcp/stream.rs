//! An established connection: two one-way streams of bytes between two endpoints, as RFC 9293 delivers them and `tcp(7)` reports
//! them. Owns the buffers, FIN, RST and who waits; not ports, listening or connecting.
//!
//! ```text
//!   endpoint 0 ── write ──► halves[1] ── read ──► endpoint 1
//!   endpoint 0 ◄── read ── halves[0] ◄── write ── endpoint 1
//! ```
//! A read or a write takes exactly one short lock, that of its half. What concerns both directions (close, reset) takes both, the
//! first half first. Every byte arrives at once; a connection over a link is [`super::wire`]'s, where a half is what has arrived.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Context;

use bytes::{Buf, Bytes};
use parking_lot::{Mutex, MutexGuard};

use super::TcpState;
use super::wire::{self, Keepalive, SideView, Wire};
use crate::cgroup::Cgroup;
use crate::netns::bytequeue::{BEHIND_MIN, ByteQueue};
use crate::netns::wakers::Wakers;
use crate::wait::Ready;
use crate::{Errno, Result};

/// What one side brings into a connection.
pub(super) struct Party {
    /// How many unread bytes it takes (its `SO_RCVBUF`).
    pub(super) limit: usize,
    /// Who pays for them.
    pub(super) memory: Option<Arc<Cgroup>>,
}

/// Both directions of a connection.
pub(super) struct Connection {
    pub(super) halves: [Half; 2],
    /// The pending error of each side (`sk_err`), 0 if none. It is reported once.
    errors: [AtomicU16; 2],
    /// The sides' addresses.
    pub(super) addrs: [SocketAddr; 2],
    /// Who pays for what is in the memory of each side.
    pub(super) memory: [Option<Arc<Cgroup>>; 2],
    /// Which side sent its FIN first, plus one; 0 while none did.
    first_fin: AtomicU8,
    /// The initial sequence number of each side, which only a tap sees.
    pub(super) isn: [u32; 2],
    /// Set when there is a link between the sides, or a tap.
    pub(super) wire: OnceLock<Wire>,
}

impl Connection {
    pub(super) fn set_error(&self, side: usize, error: Errno) {
        self.errors[side].store(error.number(), Ordering::Release);
    }

    /// The pending error, cleared.
    pub(super) fn take_error(&self, side: usize) -> Option<Errno> {
        match self.errors[side].swap(0, Ordering::AcqRel) {
            0 => None,
            number if number == Errno::Pipe.number() => Some(Errno::Pipe),
            number if number == Errno::TimedOut.number() => Some(Errno::TimedOut),
            _ => Some(Errno::ConnReset),
        }
    }

    /// Remembers who ended the connection first, for TIME-WAIT.
    pub(super) fn note_fin(&self, side: usize) {
        let side = side as u8 + 1;
        _ = self.first_fin.compare_exchange(0, side, Ordering::AcqRel, Ordering::Acquire);
    }

    pub(super) fn ended_first(&self, side: usize) -> bool {
        usize::from(self.first_fin.load(Ordering::Acquire)) == side + 1
    }
}

/// One direction. Aligned so that two processors working in opposite directions do not share a cache line.
#[repr(align(128))]
pub(super) struct Half {
    pub(super) state: Mutex<HalfState>,
}

/// One direction, towards the receiver.
pub(super) struct HalfState {
    pub(super) queue: ByteQueue,
    /// How many unread bytes the receiver takes now: less than it asked for while its memory is short.
    pub(super) limit: usize,
    /// How many it asked for.
    full_limit: usize,
    /// The sender has sent its last byte.
    pub(super) fin: bool,
    /// The connection was reset; no bytes are added any more.
    pub(super) reset: bool,
    /// The receiver has closed its socket: whatever is sent now is answered by a reset.
    pub(super) gone: bool,
    /// The receiver has shut down reading.
    pub(super) deaf: bool,
    /// The connection has a wire: what is sent goes there, and this half is what has arrived.
    pub(super) wired: bool,
    pub(super) readers: Wakers,
    pub(super) writers: Wakers,
}

impl HalfState {
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.queue.len())
    }

    /// A third of the buffer must be free before a waiting writer is woken, as in Linux' `sk_stream_is_writeable`: otherwise a
    /// fast writer and a slow reader would take turns at every byte.
    fn roomy(&self) -> bool {
        self.room() >= self.limit / 3
    }

    fn read_ready(&self) -> bool {
        !self.queue.is_empty() || self.fin || self.reset || self.deaf
    }

    fn write_ready(&self) -> bool {
        self.roomy() || self.fin || self.reset || self.gone
    }

    pub(super) fn everyone(&mut self) -> [Wakers; 2] {
        [self.readers.take(), self.writers.take()]
    }
}

/// One side of a connection.
pub(super) struct Endpoint {
    pub(super) connection: Arc<Connection>,
    pub(super) side: usize,
    /// This side's address, an IPv4 one unmapped.
    pub(super) local: SocketAddr,
    /// The other side's.
    pub(super) remote: SocketAddr,
}

/// Connects two parties.
pub(super) fn connection(
    client: (SocketAddr, Party),
    server: (SocketAddr, Party),
    isn: [u32; 2],
) -> (Endpoint, Endpoint) {
    let half = |party: Party| Half {
        state: Mutex::new(HalfState {
            queue: ByteQueue::new(party.memory),
            limit: party.limit,
            full_limit: party.limit,
            fin: false,
            reset: false,
            gone: false,
            deaf: false,
            wired: false,
            readers: Wakers::default(),
            writers: Wakers::default(),
        }),
    };
    let (local, remote) = (client.0, server.0);
    let memory = [client.1.memory.clone(), server.1.memory.clone()];
    let connection = Arc::new(Connection {
        halves: [half(client.1), half(server.1)],
        errors: [AtomicU16::new(0), AtomicU16::new(0)],
        addrs: [local, remote],
        memory,
        first_fin: AtomicU8::new(0),
        isn,
        wire: OnceLock::new(),
    });
    let of_client = Endpoint { connection: connection.clone(), side: 0, local, remote };
    (of_client, Endpoint { connection, side: 1, local: remote, remote: local })
}

impl Endpoint {
    fn incoming(&self) -> &Half {
        &self.connection.halves[self.side]
    }

    fn outgoing(&self) -> &Half {
        &self.connection.halves[1 - self.side]
    }

    /// Both halves, (incoming, outgoing), locked in an order that both sides agree on.
    fn both(&self) -> (MutexGuard<'_, HalfState>, MutexGuard<'_, HalfState>) {
        let [first, second] = &self.connection.halves;
        let (first, second) = (first.state.lock(), second.state.lock());
        if self.side == 0 { (first, second) } else { (second, first) }
    }

    /// `recv(2)`, with `MSG_PEEK` if `peek`.
    pub(super) fn read(&self, buf: &mut [u8], peek: bool) -> Result<usize> {
        let mut half = self.incoming().state.lock();
        if half.queue.is_empty() {
            return self.read_nothing(half, buf.is_empty());
        }
        if peek {
            return Ok(half.queue.copy(buf));
        }
        let count = half.queue.pop(buf);
        if half.queue.is_empty() {
            half.limit = half.full_limit;
        }
        let writers = if half.roomy() { half.writers.take() } else { Wakers::default() };
        let wired = half.wired;
        drop(half);
        writers.wake();
        if wired {
            self.connection.wire_read(self.side);
        }
        Ok(count)
    }

    fn read_nothing(&self, half: MutexGuard<'_, HalfState>, wants_nothing: bool) -> Result<usize> {
        if half.fin || (half.deaf && !half.reset) {
            return Ok(0);
        }
        if half.reset {
            return self.take_error().map_or(Ok(0), Err);
        }
        if wants_nothing { Ok(0) } else { Err(Errno::Again) }
    }

    /// As [`Endpoint::read`], for bytes that were written by [`Endpoint::write_bytes`] and are first in line: up to `max` of them, without
    /// a copy. `None` if others are first, or none.
    pub(super) fn read_whole(&self, max: usize) -> Option<Bytes> {
        let mut half = self.incoming().state.lock();
        let bytes = half.queue.pop_whole(max)?;
        if half.queue.is_empty() {
            half.limit = half.full_limit;
        }
        let writers = if half.roomy() { half.writers.take() } else { Wakers::default() };
        let wired = half.wired;
        drop(half);
        writers.wake();
        if wired {
            self.connection.wire_read(self.side);
        }
        Some(bytes)
    }

    /// `send(2)` without SIGPIPE.
    pub(super) fn write(&self, buf: &[u8]) -> Result<usize> {
        self.send(buf, |half| {
            let limit = half.limit;
            if half.queue.reserve(buf.len(), limit).is_err() && half.queue.capacity() > 0 {
                half.limit = half.queue.capacity(); // the reader's memory is short: what is allocated is all there is for now
            }
            let room = half.room();
            half.queue.push(&buf[..buf.len().min(room)])
        })
    }

    /// As [`Endpoint::write`]: takes a prefix off `bytes`. Many bytes are not copied.
    pub(super) fn write_bytes(&self, bytes: &mut Bytes) -> Result<usize> {
        if bytes.len() >= BEHIND_MIN {
            let kept = self.send(bytes, |half| {
                let count = bytes.len().min(half.room());
                let kept = count >= half.queue.whole_min() && half.queue.push_whole(bytes.slice(..count)).is_ok();
                if kept { count } else { 0 }
            });
            match kept {
                Ok(count) => {
                    bytes.advance(count);
                    return Ok(count);
                }
                Err(Errno::Again | Errno::NoBufs) => {} // few, or no memory for them: copied as far as there is room
                Err(errno) => return Err(errno),
            }
        }
        let count = self.write(bytes)?;
        bytes.advance(count);
        Ok(count)
    }

    /// Sends `bytes` by `push`, which says how many it took, unless there is a wire.
    fn send(&self, bytes: &[u8], push: impl FnOnce(&mut HalfState) -> usize) -> Result<usize> {
        let len = bytes.len();
        let mut half = self.outgoing().state.lock();
        if half.wired {
            drop(half);
            return self.connection.wire_write(self.side, bytes);
        }
        if half.fin || half.reset {
            drop(half);
            return Err(self.take_error().unwrap_or(Errno::Pipe));
        }
        if half.gone {
            drop(half);
            self.receive_reset();
            return Ok(len); // the bytes leave; what comes back for them is the reset
        }
        let count = push(&mut half);
        if count == 0 && len > 0 {
            return Err(if half.queue.capacity() == 0 { Errno::NoBufs } else { Errno::Again });
        }
        let readers = half.readers.take();
        drop(half);
        readers.wake();
        Ok(count)
    }

    /// What this side is ready for. Wakers are registered under the lock under which the condition was looked at.
    pub(super) fn poll_ready(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        let mut ready = Ready::empty();
        ready.set(Ready::ERR, self.connection.errors[self.side].load(Ordering::Acquire) != 0);
        let mut finished_writing = None;
        if interest.contains(Ready::WRITE) {
            let mut outgoing = self.outgoing().state.lock();
            if outgoing.wired {
                drop(outgoing);
                let view = self.connection.wire_view(self.side, Some(cx));
                ready.set(Ready::WRITE, view.as_ref().is_none_or(|view| view.roomy));
                finished_writing = view.map(|view| view.fin);
            } else {
                ready.set(Ready::WRITE, outgoing.write_ready());
                finished_writing = Some(outgoing.fin);
                if !ready.contains(Ready::WRITE) {
                    outgoing.writers.register(cx);
                }
            }
        }
        let (finished_reading, reset) = {
            let mut incoming = self.incoming().state.lock();
            ready.set(Ready::READ, incoming.read_ready());
            let half_done = incoming.fin || incoming.deaf;
            let wants_read = interest.contains(Ready::READ) || !interest.contains(Ready::WRITE);
            if wants_read && ready.answering(interest).is_empty() {
                incoming.readers.register(cx);
            }
            (half_done, incoming.reset)
        };
        let both_done = || finished_writing.unwrap_or_else(|| self.finished_writing());
        ready.set(Ready::HUP, reset || (finished_reading && both_done()));
        ready.answering(interest)
    }

    fn finished_writing(&self) -> bool {
        match self.view() {
            Some(view) => view.fin,
            None => self.outgoing().state.lock().fin,
        }
    }

    /// This side of the wire, if there is one.
    fn view(&self) -> Option<SideView> {
        if self.connection.is_wired() { self.connection.wire_view(self.side, None) } else { None }
    }

    /// `shutdown(2)`.
    ///
    /// # Errors
    /// [`Errno::NotConn`] once the connection is over in both directions.
    pub(super) fn shutdown(&self, read: bool, write: bool) -> Result<()> {
        let (mut incoming, mut outgoing) = self.both();
        if incoming.wired {
            drop((incoming, outgoing));
            return self.connection.wire_shutdown(self.side, read, write);
        }
        if incoming.reset || (incoming.fin && outgoing.fin) {
            return Err(Errno::NotConn);
        }
        incoming.deaf |= read;
        outgoing.fin |= write;
        if write {
            self.connection.note_fin(self.side);
        }
        let woken = [incoming.everyone(), outgoing.everyone()];
        drop((incoming, outgoing));
        woken.into_iter().flatten().for_each(Wakers::wake);
        Ok(())
    }

    /// Closes this side for good: FIN, or RST if bytes were left unread (RFC 2525 section 2.17) or `abort` asks for it.
    pub(super) fn close(&self, abort: bool) {
        let (mut incoming, mut outgoing) = self.both();
        if incoming.wired {
            drop((incoming, outgoing));
            return self.connection.wire_close(self.side, abort);
        }
        let over = incoming.reset || (incoming.fin && outgoing.fin);
        let reset = !over && (abort || !incoming.queue.is_empty());
        incoming.gone = true;
        incoming.queue.clear();
        if reset && !outgoing.gone {
            self.mark_reset(1 - self.side, &mut outgoing, &mut incoming);
        }
        outgoing.fin |= !reset;
        if !reset && !incoming.reset {
            self.connection.note_fin(self.side);
        }
        let woken = [incoming.everyone(), outgoing.everyone()];
        drop((incoming, outgoing));
        woken.into_iter().flatten().for_each(Wakers::wake);
    }

    /// This side gets a reset from a peer that is gone.
    fn receive_reset(&self) {
        let (mut incoming, mut outgoing) = self.both();
        if incoming.reset || (incoming.fin && outgoing.fin) {
            return;
        }
        self.mark_reset(self.side, &mut incoming, &mut outgoing);
        let woken = [incoming.everyone(), outgoing.everyone()];
        drop((incoming, outgoing));
        woken.into_iter().flatten().for_each(Wakers::wake);
    }

    /// What `tcp_reset` does to `side`: bytes that have arrived stay readable; the error is EPIPE after a FIN, else ECONNRESET.
    fn mark_reset(&self, side: usize, incoming: &mut HalfState, outgoing: &mut HalfState) {
        let error = if incoming.fin { Errno::Pipe } else { Errno::ConnReset };
        self.connection.errors[side].store(error.number(), Ordering::Release);
        incoming.reset = true;
        outgoing.reset = true;
    }

    /// The pending error, cleared.
    pub(super) fn take_error(&self) -> Option<Errno> {
        self.connection.take_error(self.side)
    }

    /// True if this side sent its FIN first, and the connection did not end in a reset: it stays in TIME-WAIT.
    pub(super) fn time_waits(&self) -> bool {
        self.connection.ended_first(self.side) && !self.incoming().state.lock().reset
    }

    /// The state as Linux would show it. Acknowledgements are immediate, so that some states of RFC 9293 are never seen.
    pub(super) fn state(&self) -> TcpState {
        if let Some(view) = self.view() {
            let incoming = self.incoming().state.lock();
            let ended_first = self.connection.ended_first(self.side);
            return if incoming.reset { TcpState::Close } else { wire::state_of(incoming.fin, &view, ended_first) };
        }
        let (incoming, outgoing) = self.both();
        match (incoming.fin, outgoing.fin) {
            _ if incoming.reset => TcpState::Close,
            (false, false) => TcpState::Established,
            (true, false) => TcpState::CloseWait,
            (false, true) => TcpState::FinWait2,
            (true, true) => TcpState::Close,
        }
    }

    /// Bytes that wait to be read here, and bytes that wait to be read by the other side, or over a link, to be acknowledged by it.
    pub(super) fn queued(&self) -> (usize, usize) {
        if let Some(view) = self.view() {
            return (self.incoming().state.lock().queue.len(), view.unacked);
        }
        let (incoming, outgoing) = self.both();
        (incoming.queue.len(), outgoing.queue.len())
    }

    /// How many bytes a write would take now; 0 also if it would fail.
    pub(super) fn writable_bytes(&self) -> usize {
        if let Some(view) = self.view() {
            return view.room;
        }
        let half = self.outgoing().state.lock();
        if half.fin || half.reset { 0 } else { half.room() }
    }

    /// Sets how many unread bytes this side takes. Bytes that already wait stay, even beyond the limit.
    pub(super) fn set_limit(&self, limit: usize) {
        let mut incoming = self.incoming().state.lock();
        (incoming.limit, incoming.full_limit) = (limit, limit);
        let writers = if incoming.roomy() { incoming.writers.take() } else { Wakers::default() };
        let wired = incoming.wired;
        drop(incoming);
        writers.wake();
        if wired {
            self.connection.wire_read(self.side);
        }
    }

    /// Sets how much of what was written may wait to be acknowledged. Nothing without a link, where what is written has arrived.
    pub(super) fn set_send_limit(&self, limit: usize) {
        if self.connection.is_wired() {
            self.connection.wire_limit(self.side, limit);
        }
    }

    /// Turns keepalive probes on or off. Nothing without a link, where a peer that is gone is known to be.
    pub(super) fn set_keepalive(&self, keepalive: Option<Keepalive>) {
        if self.connection.is_wired() {
            self.connection.wire_keepalive(self.side, keepalive);
        }
    }
}
