//! A connection whose bytes take time: send buffers, segments on their way, acknowledgements, retransmission and keepalive. A connection gets
//! a [`Wire`] when a link is between its ends ([`crate::fabric::link`]); without one, [`super::stream`] puts bytes straight into the
//! receiver's queue and nothing here runs.
//!
//! ```text
//!   side 0: write ► buffer ► segments ══ link ══► halves[1] ► read : side 1
//!                     ▲ una     │ nxt                  │ received
//!                     └──────── acks ◄══ link back ════┘ (number, edge of the window)
//! ```
//! Numbers are offsets in the stream; a FIN counts as one, behind the last byte (RFC 9293 section 3.4). Segments of one direction arrive in
//! order. What is lost is known to be lost, so that nothing is sent twice in vain: the sender tries again after 200 ms, doubling, as Linux'
//! retransmission timer without round-trip estimates, selective acknowledgements or congestion control.
//!
//! Lock order: the wire, the halves of the stream, the links' table. Wakers and what a link releases run afterwards, unlocked.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use wasmpod_sim::Instant;

use super::TcpState;
use super::listen::Listener;
use super::stream::Connection;
use crate::cgroup::Cgroup;
use crate::fabric::link::{self, Links, MTU, Path, Verdict};
use crate::fabric::tap::{self, TcpFlags};
use crate::netns::ring::Ring;
use crate::netns::wakers::Wakers;
use crate::{Errno, Result};

/// How long the sender of a lost segment waits before it tries again, doubled each time (Linux' `TCP_RTO_MIN`).
pub const RETRANSMIT_MIN: Duration = Duration::from_millis(200);
/// The longest of these waits (Linux' `TCP_RTO_MAX`).
pub const RETRANSMIT_MAX: Duration = Duration::from_secs(120);
/// How often a segment is sent again before the connection ends in ETIMEDOUT (`tcp_retries2`): 924.6 s after the first loss.
pub const MAX_RETRANSMITS: u32 = 15;
/// The most segments of one direction that are on their way. It bounds what is kept per segment when a program writes single bytes; what is
/// written beyond goes in larger segments later.
pub const MAX_SEGMENTS: usize = 1024;

/// `TCP_KEEPIDLE`, `TCP_KEEPINTVL` and `TCP_KEEPCNT` of a socket that has `SO_KEEPALIVE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keepalive {
    pub(super) idle: Duration,
    pub(super) interval: Duration,
    pub(super) count: u32,
}

/// What delays a connection.
pub(super) struct Wire {
    links: Arc<Links>,
    /// From side 0 to side 1; none inside of one pod.
    path: Option<Path>,
    headers: usize,
    state: Mutex<State>,
}

struct State {
    sides: [Side; 2],
    /// The time for which the pump was asked last.
    scheduled: Option<Instant>,
    /// The server's end is not in an accept queue yet: its listener, and its number there.
    half_open: Option<(Weak<Listener>, u64)>,
}

/// One side: what it sends, and how far it has received.
struct Side {
    /// Bytes that were not acknowledged, those that were not sent included.
    buffer: Ring,
    /// The number of the first byte of `buffer`.
    base: u64,
    /// How much the buffer takes (`SO_SNDBUF`).
    limit: usize,
    /// What is below was acknowledged.
    una: u64,
    /// What is below was sent.
    nxt: u64,
    /// What is below fits the receiver's window.
    edge: u64,
    /// The last byte was written.
    fin: bool,
    segments: VecDeque<Segment>,
    /// Acknowledgements on their way to this side.
    acks: VecDeque<Ack>,
    last_due: Instant,
    last_ack_due: Instant,
    /// When to send again, if something was lost.
    retry: Option<Instant>,
    tries: u32,
    /// A segment was lost: nothing is sent before the retry.
    stalled: bool,
    /// The link holds what this side sends: its segments, its acknowledgements, its reset.
    held: bool,
    held_ack: bool,
    held_reset: bool,
    /// When a reset from this side arrives.
    reset: Option<Instant>,
    /// Nothing is sent any more.
    over: bool,
    writers: Wakers,
    /// What is below has arrived here.
    received: u64,
    /// The edge of the window that the other side was last told.
    advertised: u64,
    /// When something arrived here last.
    heard: Instant,
    keepalive: Option<Keepalive>,
    probes: u32,
    /// When the last of them was sent.
    probed: Instant,
    memory: Option<Arc<Cgroup>>,
}

/// Bytes on their way, from the end of the segment before up to `end`. None, if it only asks for an acknowledgement.
#[derive(Clone, Copy)]
struct Segment {
    end: u64,
    due: Instant,
}

#[derive(Clone, Copy)]
struct Ack {
    number: u64,
    edge: u64,
    due: Instant,
}

impl Side {
    fn data_end(&self) -> u64 {
        self.base + self.buffer.len() as u64
    }

    fn end(&self) -> u64 {
        self.data_end() + u64::from(self.fin)
    }

    fn room(&self) -> usize {
        self.limit.saturating_sub(self.buffer.len())
    }

    fn roomy(&self) -> bool {
        self.room() >= (self.limit / 3).max(1)
    }

    /// True if it waits for the other side: for an acknowledgement, or for room in a window.
    fn waits(&self) -> bool {
        self.una < self.end()
    }

    fn stop(&mut self) {
        self.over = true;
        (self.retry, self.stalled) = (None, false);
    }

    fn clear(&mut self) {
        self.buffer = Ring::new(self.memory.take());
        (self.una, self.nxt) = (u64::MAX, u64::MAX);
        self.segments.clear();
    }
}

/// What a side of a wired connection looks like to its program.
pub(super) struct SideView {
    pub(super) fin: bool,
    pub(super) fin_acked: bool,
    pub(super) unacked: usize,
    pub(super) room: usize,
    pub(super) roomy: bool,
    pub(super) half_open: bool,
}

/// What has to be done once the locks are released.
#[derive(Default)]
struct Later {
    wakers: Vec<Wakers>,
    released: Vec<(Path, usize)>,
    /// A server's end that will never be accepted.
    forgotten: Option<(Weak<Listener>, u64)>,
}

impl Connection {
    /// Makes the connection one that takes the links of `path`, which leads from side 0 to side 1. `send_limits` are the sides' `SO_SNDBUF`.
    pub(super) fn wire_up(
        self: &Arc<Self>,
        links: Arc<Links>,
        path: Option<Path>,
        options: [(usize, Option<Keepalive>); 2],
    ) {
        let (mut first, mut second) = (self.halves[0].state.lock(), self.halves[1].state.lock());
        if first.wired {
            return;
        }
        let now = links.pump().now();
        let headers = link::tcp_headers(self.addrs[0]);
        let [of_first, of_second] = options;
        // what a side sends is in the half of the other one
        let mut sides =
            [(0, &mut *second, of_first), (1, &mut *first, of_second)].map(|(side, half, (limit, keepalive))| {
                let done = u64::from(half.fin);
                Side {
                    buffer: Ring::new(self.memory[side].clone()),
                    base: 0,
                    limit,
                    una: done,
                    nxt: done,
                    edge: half.room() as u64,
                    fin: half.fin,
                    segments: VecDeque::new(),
                    acks: VecDeque::new(),
                    last_due: now,
                    last_ack_due: now,
                    retry: None,
                    tries: 0,
                    stalled: false,
                    held: false,
                    held_ack: false,
                    held_reset: false,
                    reset: None,
                    over: half.reset,
                    writers: half.writers.take(),
                    received: 0,
                    advertised: 0,
                    heard: now,
                    keepalive,
                    probes: 0,
                    probed: now,
                    memory: self.memory[side].clone(),
                }
            });
        let [a, b] = &mut sides;
        (a.received, b.received) = (b.nxt, a.nxt);
        (a.advertised, b.advertised) = (b.edge, a.edge);
        let state = Mutex::new(State { sides, scheduled: None, half_open: None });
        if self.wire.set(Wire { links, path, headers, state }).is_ok() {
            (first.wired, second.wired) = (true, true);
        }
    }

    fn with_wire<R>(self: &Arc<Self>, act: impl FnOnce(&mut Pass<'_>) -> R) -> Option<R> {
        let wire = self.wire.get()?;
        let mut state = wire.state.lock();
        let now = wire.links.pump().now();
        let mut pass = Pass { connection: self, wire, state: &mut state, now, later: Later::default(), unseen: false };
        let result = act(&mut pass);
        pass.settle();
        pass.schedule();
        let later = std::mem::take(&mut pass.later);
        drop(state);
        later.wakers.into_iter().for_each(Wakers::wake);
        if let Some((listener, id)) = later.forgotten
            && let Some(listener) = listener.upgrade()
        {
            listener.forget(id);
        }
        for (path, side) in later.released {
            let me = self.clone();
            wire.links.when_released(path, Box::new(move || me.released(side)));
        }
        Some(result)
    }

    /// Does what is due.
    fn tick(self: &Arc<Self>) {
        self.with_wire(|pass| {
            if pass.state.scheduled.is_some_and(|at| at <= pass.now) {
                pass.state.scheduled = None;
            }
        });
    }

    /// The link lets go of what `side` sends.
    fn released(self: &Arc<Self>, side: usize) {
        self.with_wire(|pass| {
            let sender = &mut pass.state.sides[side];
            let (ack, reset) = (std::mem::take(&mut sender.held_ack), std::mem::take(&mut sender.held_reset));
            sender.held = false;
            if ack {
                pass.send_ack(side);
            }
            pass.transmit(side);
            let sender = &pass.state.sides[side];
            let silent = sender.segments.is_empty() && !sender.over && !sender.held;
            if silent && (sender.waits() || pass.state.half_open.is_some()) {
                pass.probe(side);
            }
            if reset {
                pass.send_reset(side);
            }
        });
    }

    /// The links between the two ends are not what they were.
    pub(super) fn link_changed(self: &Arc<Self>) {
        self.with_wire(|pass| {
            let now = pass.now;
            for side in &mut pass.state.sides {
                // probes that a good link would have answered
                if let Some(keepalive) = side.keepalive.filter(|_| side.probes == 0) {
                    let (since, idle) = (now.saturating_since(side.heard).as_nanos(), keepalive.idle.as_nanos());
                    let rest = u64::try_from(since % idle.max(1)).unwrap_or(0);
                    side.heard = Instant::from_nanos(now.as_nanos().saturating_sub(rest));
                }
            }
        });
    }

    /// The server's end waits for the client's acknowledgement before it can be accepted.
    pub(super) fn set_half_open(self: &Arc<Self>, listener: Weak<Listener>, id: u64) {
        self.with_wire(|pass| pass.state.half_open = Some((listener, id)));
    }

    /// Shows the handshake of a connection that was made at once, but for the SYN, which the tap has seen.
    pub(super) fn show_handshake(&self) {
        let Some(wire) = self.wire.get() else { return };
        let ([client, server], [of_client, of_server]) = (self.addrs, self.isn.map(|number| number.wrapping_add(1)));
        wire.links.show_bare(server, client, TcpFlags::SYN | TcpFlags::ACK, (self.isn[1], of_client));
        let window = wire.state.lock().sides[0].advertised >> tap::WINDOW_SCALE;
        let window = u16::try_from(window).unwrap_or(u16::MAX);
        let mss = link::mss(client);
        let ack = tap::Segment::Tcp { seq: of_client, ack: of_server, flags: TcpFlags::ACK, window, mss, payload: &[] };
        wire.links.show(client, server, ack);
    }

    /// The number of the server's end while it is half open.
    pub(super) fn half_open_id(self: &Arc<Self>) -> Option<u64> {
        self.with_wire(|pass| pass.state.half_open.as_ref().map(|(_, id)| *id)).flatten()
    }

    /// Sends an acknowledgement that has to arrive, as the client does at the end of the handshake.
    pub(super) fn confirm(self: &Arc<Self>, side: usize) {
        self.with_wire(|pass| pass.probe(side));
    }

    pub(super) fn wire_write(self: &Arc<Self>, side: usize, bytes: &[u8]) -> Result<usize> {
        self.with_wire(|pass| pass.write(side, bytes)).unwrap_or(Err(Errno::Pipe))
    }

    /// The receiver has read: tells the other side if it made room worth telling.
    pub(super) fn wire_read(self: &Arc<Self>, side: usize) {
        self.with_wire(|pass| pass.window_update(side));
    }

    pub(super) fn wire_view(
        self: &Arc<Self>,
        side: usize,
        cx: Option<&mut std::task::Context<'_>>,
    ) -> Option<SideView> {
        self.with_wire(|pass| {
            let half_open = pass.state.half_open.is_some() && side == 1;
            let sender = &mut pass.state.sides[side];
            let dead = sender.fin || sender.over;
            let view = SideView {
                fin: sender.fin,
                fin_acked: sender.fin && sender.una >= sender.end(),
                unacked: sender.buffer.len(),
                room: if dead { 0 } else { sender.room() },
                roomy: dead || sender.roomy(),
                half_open,
            };
            if let Some(cx) = cx.filter(|_| !view.roomy) {
                sender.writers.register(cx);
            }
            view
        })
    }

    pub(super) fn wire_shutdown(self: &Arc<Self>, side: usize, read: bool, write: bool) -> Result<()> {
        let shut = self.with_wire(|pass| {
            let mut half = self.halves[side].state.lock();
            if half.reset || (half.fin && pass.state.sides[side].fin) {
                return Err(Errno::NotConn);
            }
            half.deaf |= read;
            pass.later.wakers.extend(half.everyone());
            drop(half);
            if write {
                pass.finish(side);
            }
            Ok(())
        });
        shut.unwrap_or(Err(Errno::NotConn))
    }

    pub(super) fn wire_close(self: &Arc<Self>, side: usize, abort: bool) {
        self.with_wire(|pass| {
            let mut half = self.halves[side].state.lock();
            let over = half.reset || (half.fin && pass.state.sides[side].fin);
            let reset = !over && (abort || !half.queue.is_empty());
            half.gone = true;
            half.queue.clear();
            let reading_over = half.reset;
            pass.later.wakers.extend(half.everyone());
            drop(half);
            pass.state.sides[side].keepalive = None;
            if reset {
                pass.send_reset(side);
            } else if !reading_over {
                pass.finish(side);
            }
        });
    }

    pub(super) fn wire_limit(self: &Arc<Self>, side: usize, limit: usize) {
        self.with_wire(|pass| {
            let sender = &mut pass.state.sides[side];
            sender.limit = limit;
            if sender.roomy() {
                pass.later.wakers.push(sender.writers.take());
            }
        });
    }

    pub(super) fn wire_keepalive(self: &Arc<Self>, side: usize, keepalive: Option<Keepalive>) {
        self.with_wire(|pass| (pass.state.sides[side].keepalive, pass.state.sides[side].probes) = (keepalive, 0));
    }

    pub(super) fn is_wired(&self) -> bool {
        self.wire.get().is_some()
    }
}

/// One look at a wired connection, under its lock.
struct Pass<'a> {
    connection: &'a Arc<Connection>,
    wire: &'a Wire,
    state: &'a mut State,
    now: Instant,
    later: Later,
    /// What is sent now is only how this model learns something: the tap does not see it.
    unseen: bool,
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

    fn write(&mut self, side: usize, bytes: &[u8]) -> Result<usize> {
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

    fn finish(&mut self, side: usize) {
        let sender = &mut self.state.sides[side];
        if !sender.over && !sender.fin {
            sender.fin = true;
            self.connection.note_fin(side);
            self.later.wakers.push(sender.writers.take());
            self.transmit(side);
        }
    }

    /// Everything that is due, until nothing is.
    fn settle(&mut self) {
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
    fn schedule(&mut self) {
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
    fn transmit(&mut self, side: usize) {
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
    fn probe(&mut self, side: usize) {
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
    fn send_ack(&mut self, side: usize) {
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

    fn window_update(&mut self, side: usize) {
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
    fn send_reset(&mut self, side: usize) {
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

/// The state that Linux would show, given what has arrived and what the view says.
pub(super) fn state_of(received_fin: bool, view: &SideView, closed_first: bool) -> TcpState {
    match (received_fin, view.fin) {
        (false, false) if view.half_open => TcpState::SynRecv,
        (false, false) => TcpState::Established,
        (true, false) => TcpState::CloseWait,
        (false, true) if view.fin_acked => TcpState::FinWait2,
        (false, true) => TcpState::FinWait1,
        (true, true) if view.fin_acked && closed_first => TcpState::TimeWait,
        (true, true) if view.fin_acked => TcpState::Close,
        (true, true) if closed_first => TcpState::Closing,
        (true, true) => TcpState::LastAck,
    }
}
