//! Links: what the way from one pod to another is like (latency, jitter, bandwidth, loss, partition, hold), as `tc-netem(8)` and
//! `tc-tbf(8)` shape an interface. A link has one direction. Owns what happens to a packet at its sender; the sockets say what a packet is,
//! `pump` delivers it later.
//!
//! Pods without a link reach each other at once and pay one branch for it. What stays inside a pod never has a link.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use wasmpod_sim::{Entropy, Instant, Stream};

use super::pump::{Event, Pump};
use super::tap::{Packet, Segment, Tap, TcpFlags};
use crate::{Errno, Result};

/// The longest latency of a link. Longer ones are nearly always a mistake in the unit; hold is there for "for ever".
pub const MAX_LATENCY: Duration = Duration::from_secs(3600);
/// The most datagrams that wait in one link; more are dropped, as by the default `limit` of `tc-netem(8)`. It bounds the host's memory.
pub const LINK_QUEUE: usize = 1000;
/// The loss that loses everything, in parts per million.
pub const LOSS_ALL: u32 = 1_000_000;

/// What a link is like. The default is perfect: everything arrives at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkProps {
    /// How long every packet takes; at most [`MAX_LATENCY`].
    pub latency: Duration,
    /// Up to how much a packet's latency differs, either way and equally likely; at most the latency. Datagrams may overtake each other, the
    /// bytes of a connection do not.
    pub jitter: Duration,
    /// How many bytes pass per second, headers of IP and TCP or UDP included; `None` for no limit. Not 0.
    pub bandwidth_bytes_per_second: Option<u64>,
    /// How many of a million packets are lost; at most [`LOSS_ALL`]. TCP sends them again, after 200 ms at first.
    pub loss_ppm: u32,
    /// Nothing passes, what is on its way included.
    pub partitioned: bool,
    /// Nothing passes now; what is sent waits, and goes on its way in order once this is false again.
    pub held: bool,
}

impl LinkProps {
    /// True if everything arrives at once.
    pub fn is_perfect(&self) -> bool {
        *self == Self::default()
    }

    /// # Errors
    /// [`Errno::Inval`] if a value is outside of its range.
    fn check(&self) -> Result<()> {
        let latency = self.latency <= MAX_LATENCY && self.jitter <= self.latency;
        let valid = latency && self.bandwidth_bytes_per_second != Some(0) && self.loss_ppm <= LOSS_ALL;
        if valid { Ok(()) } else { Err(Errno::Inval) }
    }
}

/// What a link has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Packets that were sent on their way.
    pub passed: u64,
    /// Packets that were lost, by chance, by partition or because too many waited.
    pub dropped: u64,
}

/// From one pod to another, by their IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path {
    pub(crate) from: Ipv4Addr,
    pub(crate) to: Ipv4Addr,
}

impl Path {
    pub(crate) fn back(self) -> Self {
        Self { from: self.to, to: self.from }
    }
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It arrives then; now, if the link is perfect.
    Arrives(Instant),
    /// It is lost.
    Lost,
    /// It has to wait: hand in what to do with [`Links::when_released`].
    Held,
}

/// The links of a fabric.
pub(crate) struct Links {
    /// True once a link was ever set. Until then nobody asks further.
    used: AtomicBool,
    entropy: Entropy,
    pump: Arc<Pump>,
    table: Mutex<BTreeMap<Path, Link>>,
    tap: OnceLock<Tapped>,
}

/// The tap, and where initial sequence numbers come from: only a tap sees them.
struct Tapped {
    tap: Arc<dyn Tap>,
    numbers: Mutex<Stream>,
}

struct Link {
    props: LinkProps,
    /// When its bandwidth is free again.
    free_at: Instant,
    random: Stream,
    /// Datagrams on their way.
    queued: usize,
    held: Vec<Event>,
    stats: LinkStats,
}

impl Links {
    pub(super) fn new(entropy: Entropy, pump: Arc<Pump>) -> Arc<Self> {
        Arc::new(Self { used: AtomicBool::new(false), entropy, pump, table: Mutex::default(), tap: OnceLock::new() })
    }

    pub(super) fn set_tap(&self, tap: Arc<dyn Tap>) -> bool {
        self.tap.set(Tapped { tap, numbers: Mutex::new(self.entropy.stream("net/isn")) }).is_ok()
    }

    /// True if somebody looks at packets.
    pub(crate) fn tapped(&self) -> bool {
        self.tap.get().is_some()
    }

    /// An initial sequence number; 0 if nobody looks.
    pub(crate) fn initial_number(&self) -> u32 {
        self.tap.get().map_or(0, |tapped| (tapped.numbers.lock().next_u64() >> 32) as u32)
    }

    /// Shows a packet to the tap, if there is one.
    pub(crate) fn show(&self, from: SocketAddr, to: SocketAddr, segment: Segment<'_>) {
        if let Some(tapped) = self.tap.get() {
            tapped.tap.packet(&Packet { at: self.pump.wall(), from, to, segment });
        }
    }

    /// Shows a SYN, a SYN-ACK or a refusal.
    pub(crate) fn show_bare(&self, from: SocketAddr, to: SocketAddr, flags: TcpFlags, (seq, ack): (u32, u32)) {
        let mss = mss(from);
        let window = if flags.contains(TcpFlags::RST) { 0 } else { u16::MAX };
        self.show(from, to, Segment::Tcp { seq, ack, flags, window, mss, payload: &[] });
    }

    /// True if there may be a link somewhere.
    pub(crate) fn used(&self) -> bool {
        self.used.load(Ordering::Acquire)
    }

    /// True if there is a link between the two ends of `path`, in either direction.
    pub(crate) fn between(&self, path: Path) -> bool {
        self.used() && {
            let table = self.table.lock();
            table.contains_key(&path) || table.contains_key(&path.back())
        }
    }

    pub(crate) fn pump(&self) -> &Arc<Pump> {
        &self.pump
    }

    /// # Errors
    /// [`Errno::Inval`] for properties outside of their range.
    pub(super) fn set(&self, path: Path, props: LinkProps) -> Result<()> {
        props.check()?;
        self.used.store(true, Ordering::Release);
        let released = {
            let mut table = self.table.lock();
            let link = table.entry(path).or_insert_with(|| Link {
                props: LinkProps::default(),
                free_at: Instant::ZERO,
                random: self.entropy.stream(&format!("link/{}/{}", path.from, path.to)),
                queued: 0,
                held: Vec::new(),
                stats: LinkStats::default(),
            });
            link.props = props;
            if link.props.held { Vec::new() } else { std::mem::take(&mut link.held) }
        };
        released.into_iter().for_each(|event| event());
        Ok(())
    }

    pub(super) fn get(&self, path: Path) -> LinkProps {
        self.table.lock().get(&path).map(|link| link.props.clone()).unwrap_or_default()
    }

    pub(super) fn stats(&self, path: Path) -> LinkStats {
        self.table.lock().get(&path).map(|link| link.stats).unwrap_or_default()
    }

    pub(super) fn all(&self) -> Vec<(Path, LinkProps)> {
        self.table.lock().iter().map(|(path, link)| (*path, link.props.clone())).collect()
    }

    /// Forgets the links of an address: who gets it next does not inherit them.
    pub(super) fn forget(&self, address: Ipv4Addr) {
        if self.used() {
            let gone: Vec<Link> = {
                let mut table = self.table.lock();
                let paths: Vec<Path> =
                    table.keys().filter(|path| path.from == address || path.to == address).copied().collect();
                paths.iter().filter_map(|path| table.remove(path)).collect()
            };
            drop(gone); // outside of the lock: what was held may own sockets
        }
    }

    /// Sends a packet of `bytes` bytes, headers included.
    pub(crate) fn send(&self, path: Path, bytes: usize) -> Verdict {
        let now = self.pump.now();
        let mut table = self.table.lock();
        let Some(link) = table.get_mut(&path) else { return Verdict::Arrives(now) };
        link.send(now, bytes)
    }

    /// True if something may not arrive in one of the directions, or not now.
    pub(crate) fn impaired(&self, path: Path) -> bool {
        let table = self.table.lock();
        let bad = |props: &LinkProps| props.partitioned || props.held || props.loss_ppm > 0;
        [path, path.back()].iter().any(|path| table.get(path).is_some_and(|link| bad(&link.props)))
    }

    /// False if the link is cut, so that not even what is on its way arrives.
    pub(crate) fn arrives(&self, path: Path) -> bool {
        let mut table = self.table.lock();
        let Some(link) = table.get_mut(&path).filter(|link| link.props.partitioned) else { return true };
        link.stats.dropped += 1;
        false
    }

    /// Runs `event` when the link is no longer held; at once if it is not.
    pub(crate) fn when_released(&self, path: Path, event: Event) {
        let mut table = self.table.lock();
        match table.get_mut(&path) {
            Some(link) if link.props.held => link.held.push(event),
            _ => {
                drop(table);
                event();
            }
        }
    }

    /// Counts a datagram that enters the link's queue; false, and it is dropped, if that is full.
    pub(crate) fn enqueue(&self, path: Path) -> bool {
        let mut table = self.table.lock();
        let Some(link) = table.get_mut(&path) else { return true };
        if link.queued >= LINK_QUEUE {
            link.stats.dropped += 1;
            return false;
        }
        link.queued += 1;
        true
    }

    /// A datagram has left the queue.
    pub(crate) fn dequeue(&self, path: Path) {
        if let Some(link) = self.table.lock().get_mut(&path) {
            link.queued = link.queued.saturating_sub(1);
        }
    }
}

impl Link {
    fn send(&mut self, now: Instant, bytes: usize) -> Verdict {
        if self.props.partitioned {
            self.stats.dropped += 1;
            return Verdict::Lost;
        }
        if self.props.held {
            return Verdict::Held;
        }
        if self.props.loss_ppm > 0 && self.random.below(u64::from(LOSS_ALL)) < u64::from(self.props.loss_ppm) {
            self.stats.dropped += 1;
            return Verdict::Lost;
        }
        self.stats.passed += 1;
        let mut leaves = now;
        if let Some(rate) = self.props.bandwidth_bytes_per_second {
            let nanos = (bytes as u128 * 1_000_000_000).div_ceil(u128::from(rate));
            leaves = now.max(self.free_at) + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            self.free_at = leaves;
        }
        Verdict::Arrives(leaves + self.delay())
    }

    /// The latency, up to the jitter more or less.
    fn delay(&mut self) -> Duration {
        if self.props.jitter.is_zero() {
            return self.props.latency;
        }
        let jitter = u64::try_from(self.props.jitter.as_nanos()).unwrap_or(u64::MAX / 4);
        let drawn = self.random.below(2 * jitter + 1);
        (self.props.latency + Duration::from_nanos(drawn)).saturating_sub(self.props.jitter)
    }
}

/// The largest IP packet of `eth0`.
pub(crate) const MTU: usize = 1500;

/// The bytes that IP and TCP headers take of a packet.
pub(crate) fn tcp_headers(address: SocketAddr) -> usize {
    if address.is_ipv4() { 20 + 20 } else { 40 + 20 }
}

/// The largest segment of a connection.
pub(crate) fn mss(address: SocketAddr) -> u16 {
    u16::try_from(MTU - tcp_headers(address)).unwrap_or(u16::MAX)
}
