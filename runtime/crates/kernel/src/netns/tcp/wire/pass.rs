//! What happens to a wired connection, under its lock: sending what the window takes, taking in what arrives, trying again, giving up.
//! Owns the rules of [`super`]; not the locks or the timers, and no program's call.

use std::sync::Arc;

use wasmpod_sim::Instant;

use super::{Ack, Later, MAX_RETRANSMITS, MAX_SEGMENTS, RETRANSMIT_MAX, RETRANSMIT_MIN, Segment, State, Wire};
use crate::fabric::link::{self, MTU, Path, Verdict};
use crate::fabric::tap::{self, TcpFlags};
use crate::netns::ring::Ring;
use crate::netns::tcp::stream::Connection;
use crate::{Errno, Result};

/// One look at a wired connection, under its lock.
pub(super) struct Pass<'a> {
    pub(super) connection: &'a Arc<Connection>,
    pub(super) wire: &'a Wire,
    pub(super) state: &'a mut State,
    pub(super) now: Instant,
    pub(super) later: Later,
    /// What is sent now is only how this model learns something: the tap does not see it.
    pub(super) unseen: bool,
}

impl Pass<'_> {
    fn path(&self, side: usize) -> Option<Path> {
        if side == 0 { self.wire.path } else { self.wire.path.map(Path::back) }
    }

    /// Hands a packet of `side` to the link; without one, it arrives now.
    fn send(&self, side: usize, bytes: usize) -> Verdict {
        match self.path(side) {
            Some(path) => self.wire.links.send(path, bytes + self.wire.headers),
            None => Verdict::Arrives(self.now),
        }
    }

    /// False if what `side` sent does not arrive, as the link was cut meanwhile.
    fn arrives(&self, side: usize) -> bool {
        self.path(side).is_none_or(|path| self.wire.links.arrives(path))
    }

    /// Shows a segment of `side` to the tap: its flags, and `len` bytes from number `at` on.
    fn show(&self, side: usize, flags: TcpFlags, at: u64, len: usize) {
        if self.unseen || !self.wire.links.tapped() {
            return;
        }
        let (sender, connection) = (&self.state.sides[side], self.connection);
        let mut payload = [0; MTU];
        let payload = &mut payload[..len.min(MTU)];
        let offset = usize::try_from(at.saturating_sub(sender.base)).unwrap_or(usize::MAX);
        let count = sender.buffer.copy(offset, payload);
        let number = |side: usize, at: u64| connection.isn[side].wrapping_add(1).wrapping_add(at as u32);
        let window = sender.advertised.saturating_sub(sender.received) >> tap::WINDOW_SCALE;
        let (from, to) = (connection.addrs[side], connection.addrs[1 - side]);
        let segment = tap::Segment::Tcp {
            seq: number(side, at),
            ack: number(1 - side, sender.received),
            flags: flags | TcpFlags::ACK,
            window: u16::try_from(window).unwrap_or(u16::MAX),
            mss: link::mss(from),
            payload: &payload[..count],
        };
        self.wire.links.show(from, to, segment);
    }

    fn mss(&self) -> usize {
        MTU - self.wire.headers
    }

    pub(super) fn write(&mut self, side: usize, bytes: &[u8]) -> Result<usize> {
        let sender = &mut self.state.sides[side];
        if sender.fin || sender.over || self.connection.halves[side].state.lock().reset {
            return Err(self.connection.take_error(side).unwrap_or(Errno::Pipe));
        }
        let take = bytes.len().min(sender.room());
        let reserved = sender.buffer.reserve(take, sender.limit.max(sender.buffer.len()));
        let count = sender.buffer.push(&bytes[..take]);
        if count == 0 && !bytes.is_empty() {
            let short = reserved.is_err() && sender.buffer.is_empty();
            return Err(if short { Errno::NoBufs } else { Errno::Again });
        }
        self.transmit(side);
        Ok(count)
    }

    pub(super) fn finish(&mut self, side: usize) {
        let sender = &mut self.state.sides[side];
        if !sender.over && !sender.fin {
            sender.fin = true;
            self.connection.note_fin(side);
            self.later.wakers.push(sender.writers.take());
            self.transmit(side);
        }
    }

    /// Everything that is due, until nothing is.
    pub(super) fn settle(&mut self) {
        while (0..2)
            .any(|side| self.deliver(side) | self.acknowledge(side) | self.reset_arrives(side) | self.retry(side))
        {
        }
        for side in 0..2 {
            self.keep_alive(side);
            let sender = &mut self.state.sides[side];
            if sender.over && sender.segments.is_empty() && sender.reset.is_none() && !sender.held_reset {
                sender.clear();
            }
        }
    }

    /// Asks the pump for the next thing that is due.
    pub(super) fn schedule(&mut self) {
        let dues = (0..2).flat_map(|side| {
            let sender = &self.state.sides[side];
            let segment = sender.segments.front().map(|segment| segment.due);
            let ack = sender.acks.front().map(|ack| ack.due);
            [segment, ack, sender.reset, sender.retry, self.keepalive_due(side)]
        });
        let Some(next) = dues.flatten().min() else { return };
        if self.state.scheduled.is_none_or(|at| next < at) {
            self.state.scheduled = Some(next);
            let connection = self.connection.clone();
            self.wire.links.pump().at(next, Box::new(move || connection.tick()));
        }
    }

    /// Sends what the window takes.
    pub(super) fn transmit(&mut self, side: usize) {
        let mss = self.mss() as u64;
        loop {
            let sender = &mut self.state.sides[side];
            if sender.over || sender.stalled || sender.held || sender.segments.len() >= MAX_SEGMENTS {
                return;
            }
            let (data_end, window) = (sender.data_end(), sender.edge.saturating_sub(sender.nxt));
            let bytes = data_end.saturating_sub(sender.nxt).min(window).min(mss);
            let fin = sender.fin && sender.nxt + bytes == data_end;
            if bytes == 0 && !fin {
                return;
            }
            let start = sender.nxt;
            let verdict = self.send(side, bytes as usize);
            if verdict != Verdict::Held {
                let push = if bytes > 0 { TcpFlags::PSH } else { TcpFlags::empty() };
                let flags = if fin { push | TcpFlags::FIN } else { push };
                self.show(side, flags, start, bytes as usize);
            }
            let sender = &mut self.state.sides[side];
            match verdict {
                Verdict::Arrives(due) => {
                    sender.last_due = due.max(sender.last_due);
                    sender.nxt += bytes + u64::from(fin);
                    sender.segments.push_back(Segment { end: sender.nxt, due: sender.last_due });
                }
                Verdict::Lost => return self.lost(side),
                Verdict::Held => return self.hold(side),
            }
        }
    }

    /// Asks for an acknowledgement: a window probe, a keepalive, or something sent twice.
    pub(super) fn probe(&mut self, side: usize) {
        if self.state.sides[side].over {
            return;
        }
        let verdict = self.send(side, 0);
        if verdict != Verdict::Held {
            self.show(side, TcpFlags::empty(), self.state.sides[side].nxt, 0);
        }
        match verdict {
            Verdict::Arrives(due) => {
                let sender = &mut self.state.sides[side];
                sender.last_due = due.max(sender.last_due);
                sender.segments.push_back(Segment { end: sender.nxt, due: sender.last_due });
            }
            Verdict::Lost => self.lost(side),
            Verdict::Held => self.hold(side),
        }
    }

    fn hold(&mut self, side: usize) {
        if !std::mem::replace(&mut self.state.sides[side].held, true) {
            self.later.released.extend(self.path(side).map(|path| (path, side)));
        }
    }

    /// A segment of this side is lost: nothing more is sent before it was sent again.
    fn lost(&mut self, side: usize) {
        let received = self.state.sides[1 - side].received;
        let sender = &mut self.state.sides[side];
        if sender.segments.is_empty() {
            sender.nxt = received.max(sender.una);
        }
        sender.stalled = true;
        self.try_again(side);
    }

    fn try_again(&mut self, side: usize) {
        let sender = &mut self.state.sides[side];
        if sender.retry.is_some() || sender.over {
            return;
        }
        let wait = RETRANSMIT_MIN.saturating_mul(1 << sender.tries.min(20)).min(RETRANSMIT_MAX);
        sender.retry = Some(self.now + wait);
        sender.tries += 1;
    }

    fn retry(&mut self, side: usize) -> bool {
        let sender = &mut self.state.sides[side];
        if sender.retry.is_none_or(|at| at > self.now) {
            return false;
        }
        (sender.retry, sender.stalled) = (None, false);
        if sender.tries > MAX_RETRANSMITS {
            self.time_out(side);
            return true;
        }
        let before = sender.segments.len();
        self.transmit(side);
        let sender = &self.state.sides[side];
        let sent = sender.segments.len() > before || sender.retry.is_some() || sender.held || sender.over;
        if !sent {
            self.probe(side);
        }
        true
    }

    /// Segments of `side` arrive.
    fn deliver(&mut self, side: usize) -> bool {
        let other = 1 - side;
        let mut any = false;
        while let Some(segment) = self.state.sides[side].segments.front().copied().filter(|next| next.due <= self.now) {
            any = true;
            // no TCP acknowledges the last segment of the handshake; here the client learns by it that it arrived
            self.unseen = other == 1 && self.state.half_open.is_some() && segment.end == self.state.sides[1].received;
            let arrived = self.arrives(side) && self.establish(other) && self.receive(side, segment);
            self.unseen = false;
            if !arrived {
                self.state.sides[side].segments.clear();
                self.lost(side);
                break;
            }
        }
        any
    }

    /// Takes a segment in. False if there is no memory for it.
    fn receive(&mut self, side: usize, segment: Segment) -> bool {
        let [first, second] = &mut self.state.sides;
        let (sender, receiver) = if side == 0 { (first, second) } else { (second, first) };
        let mut half = self.connection.halves[1 - side].state.lock();
        let end = segment.end.min(sender.data_end());
        let bytes = usize::try_from(end.saturating_sub(receiver.received)).unwrap_or(0);
        receiver.heard = self.now;
        receiver.probes = 0;
        if half.reset || (half.gone && bytes > 0) {
            sender.segments.pop_front();
            drop(half);
            self.send_reset(1 - side);
            return true;
        }
        let mut chunk = [0; MTU];
        let chunk = &mut chunk[..bytes.min(MTU)];
        sender.buffer.copy(usize::try_from(receiver.received.saturating_sub(sender.base)).unwrap_or(usize::MAX), chunk);
        let limit = half.queue.len() + chunk.len();
        let limit = limit.max(half.limit);
        if !chunk.is_empty()
            && (half.queue.reserve(chunk.len(), limit).is_err() || half.queue.push(chunk) < chunk.len())
        {
            return false;
        }
        sender.segments.pop_front();
        receiver.received = receiver.received.max(segment.end);
        half.fin |= sender.fin && segment.end > sender.data_end();
        self.later.wakers.push(half.readers.take());
        drop(half);
        self.send_ack(1 - side);
        true
    }

    /// Puts the server's end into its accept queue if it is not there. False if that is full.
    fn establish(&mut self, side: usize) -> bool {
        if side == 0 {
            return true;
        }
        let Some((listener, id)) = &self.state.half_open else { return true };
        let Some(listener) = listener.upgrade() else { return true };
        match listener.establish(*id) {
            Some(acceptors) => {
                self.state.half_open = None;
                self.later.wakers.push(acceptors);
                true
            }
            None => false,
        }
    }

    /// Acknowledges what has arrived at `side`.
    pub(super) fn send_ack(&mut self, side: usize) {
        let receiver = &mut self.state.sides[side];
        if receiver.held_ack {
            return;
        }
        let room = self.connection.halves[side].state.lock().room() as u64;
        receiver.advertised = receiver.advertised.max(receiver.received + room);
        let (number, edge) = (receiver.received, receiver.advertised);
        let last = self.state.sides[1 - side].last_ack_due;
        let verdict = self.send(side, 0);
        if verdict != Verdict::Held {
            self.show(side, TcpFlags::empty(), self.state.sides[side].nxt, 0);
        }
        match verdict {
            Verdict::Arrives(due) => {
                let due = due.max(last);
                let sender = &mut self.state.sides[1 - side];
                sender.last_ack_due = due;
                sender.acks.push_back(Ack { number, edge, due });
            }
            Verdict::Lost => self.ack_lost(1 - side),
            Verdict::Held => {
                let receiver = &mut self.state.sides[side];
                receiver.held_ack = true;
                self.later.released.extend(self.path(side).map(|path| (path, side)));
            }
        }
    }

    fn ack_lost(&mut self, side: usize) {
        if self.state.sides[side].waits() {
            self.try_again(side);
        }
    }

    /// Acknowledgements arrive at `side`.
    fn acknowledge(&mut self, side: usize) -> bool {
        let mut any = false;
        while let Some(ack) = self.state.sides[side].acks.front().copied().filter(|next| next.due <= self.now) {
            any = true;
            if !self.arrives(1 - side) {
                self.state.sides[side].acks.clear();
                self.ack_lost(side);
                break;
            }
            let sender = &mut self.state.sides[side];
            sender.acks.pop_front();
            (sender.heard, sender.probes) = (self.now, 0);
            let progress = ack.number > sender.una && !sender.over;
            if !sender.stalled || progress {
                sender.tries = 0;
            }
            if sender.over {
                continue;
            }
            if progress && sender.stalled {
                sender.retry = None;
                self.try_again(side); // the timer starts anew, as on Linux
            }
            let sender = &mut self.state.sides[side];
            let freed = ack.number.min(sender.data_end()).saturating_sub(sender.base);
            sender.buffer.skip(usize::try_from(freed).unwrap_or(usize::MAX));
            sender.base += freed;
            (sender.una, sender.edge) = (sender.una.max(ack.number), sender.edge.max(ack.edge));
            sender.nxt = sender.nxt.max(sender.una);
            let blocked = sender.nxt < sender.end() && sender.edge <= sender.nxt;
            if !sender.stalled && sender.una == sender.nxt && !blocked {
                sender.retry = None;
            }
            if sender.buffer.is_empty() && sender.fin {
                sender.buffer = Ring::new(sender.memory.clone());
            }
            if sender.roomy() {
                self.later.wakers.push(sender.writers.take());
            }
            self.transmit(side);
        }
        any
    }

    pub(super) fn window_update(&mut self, side: usize) {
        let half = self.connection.halves[side].state.lock();
        let (room, limit, done) = (half.room() as u64, half.limit as u64, half.fin || half.reset);
        drop(half);
        let receiver = &self.state.sides[side];
        let gained = (receiver.received + room).saturating_sub(receiver.advertised);
        if !done && gained >= (limit / 2).min(2 * self.mss() as u64).max(1) {
            self.send_ack(side);
        }
    }

    /// Ends the connection at `side` and tells the other, once: a reset that is lost is not sent again.
    pub(super) fn send_reset(&mut self, side: usize) {
        let verdict = self.send(side, 0);
        if verdict != Verdict::Held {
            self.show(side, TcpFlags::RST, self.state.sides[side].nxt, 0);
        }
        let sender = &mut self.state.sides[side];
        sender.stop();
        match verdict {
            Verdict::Arrives(due) => {
                sender.last_due = due.max(sender.last_due);
                sender.reset = Some(sender.last_due);
            }
            Verdict::Lost => {}
            Verdict::Held => {
                sender.held_reset = true;
                self.later.released.extend(self.path(side).map(|path| (path, side)));
            }
        }
    }

    /// A reset from `side` arrives.
    fn reset_arrives(&mut self, side: usize) -> bool {
        let sender = &mut self.state.sides[side];
        if sender.reset.is_none_or(|due| due > self.now) {
            return false;
        }
        sender.reset = None;
        if self.arrives(side) {
            let other = 1 - side;
            let mut half = self.connection.halves[other].state.lock();
            if !half.reset && !half.gone {
                let error = if half.fin { Errno::Pipe } else { Errno::ConnReset };
                self.connection.set_error(other, error);
            }
            half.reset = true;
            self.later.wakers.push(half.readers.take());
            drop(half);
            self.stop(other);
            if other == 1 {
                self.later.forgotten = self.state.half_open.take();
            }
        }
        true
    }

    /// Gives up: nothing has answered for too long.
    fn time_out(&mut self, side: usize) {
        let mut half = self.connection.halves[side].state.lock();
        if !half.reset {
            self.connection.set_error(side, Errno::TimedOut);
        }
        half.reset = true;
        self.later.wakers.push(half.readers.take());
        drop(half);
        self.stop(side);
    }

    fn stop(&mut self, side: usize) {
        let sender = &mut self.state.sides[side];
        sender.stop();
        sender.clear();
        self.later.wakers.push(sender.writers.take());
    }

    /// When the next keepalive probe is due. A good link answers every probe, so that none needs to be sent.
    fn keepalive_due(&self, side: usize) -> Option<Instant> {
        let sender = &self.state.sides[side];
        let keepalive = sender.keepalive.filter(|_| !sender.over && !sender.waits() && sender.segments.is_empty())?;
        let impaired = self.wire.path.is_some_and(|path| self.wire.links.impaired(path));
        impaired.then(|| {
            if sender.probes == 0 { sender.heard + keepalive.idle } else { sender.probed + keepalive.interval }
        })
    }

    fn keep_alive(&mut self, side: usize) {
        if self.keepalive_due(side).is_none_or(|due| due > self.now) {
            return;
        }
        let sender = &mut self.state.sides[side];
        if sender.probes >= sender.keepalive.map_or(u32::MAX, |keepalive| keepalive.count) {
            return self.time_out(side);
        }
        (sender.probes, sender.probed) = (sender.probes + 1, self.now);
        if let Verdict::Arrives(due) = self.send(side, 0) {
            let sender = &mut self.state.sides[side];
            sender.last_due = due.max(sender.last_due);
            sender.segments.push_back(Segment { end: sender.nxt, due: sender.last_due });
        }
    }
}
