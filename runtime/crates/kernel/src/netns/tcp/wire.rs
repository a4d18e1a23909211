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
//! What happens to the connection is in [`pass`].
//!
//! Lock order: the wire, the halves of the stream, the links' table. Wakers and what a link releases run afterwards, unlocked.

mod pass;

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use wasmpod_sim::Instant;

use self::pass::Pass;
use super::TcpState;
use super::listen::Listener;
use super::stream::Connection;
use crate::cgroup::Cgroup;
use crate::fabric::link::{self, Links, Path};
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
