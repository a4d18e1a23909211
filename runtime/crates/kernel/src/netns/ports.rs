//! One table of local ports per protocol: who holds which port, what conflicts, and which ephemeral port is free. Follows
//! net/ipv4/inet_connection_sock.c and inet_hashtables.c where programs can tell. Owns no sockets: entries are weak.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Weak;
use std::time::Duration;

use wasmpod_sim::{Instant, Stream as RandomStream};

use super::addr::Bound;
use crate::{Errno, Result};

/// Where ports come from that nobody asked for by number, as Linux' `ip_local_port_range`.
pub(super) const EPHEMERAL_PORTS: RangeInclusive<u16> = 32_768..=60_999;

/// How long the side that ended a connection first keeps its addresses and ports (Linux' `TCP_TIMEWAIT_LEN`).
pub const TIME_WAIT: Duration = Duration::from_secs(60);
/// The most connections of one pod in TIME-WAIT, as Linux' `tcp_max_tw_buckets`, but so that they neither take a large part of the ephemeral
/// ports nor much memory, which nobody is charged for. Beyond it, the oldest ends early.
pub const MAX_TIME_WAIT: usize = 4096;

/// What a socket holds of the port table.
pub(super) struct Entry<S> {
    /// The local addresses it takes.
    pub(super) bound: Bound,
    /// `SO_REUSEADDR` when it was bound.
    pub(super) reuse: bool,
    /// A listening TCP socket, which never shares.
    pub(super) listening: bool,
    /// The port was chosen by connect alone, so that connections to other destinations may share it.
    pub(super) for_connect: bool,
    /// The other end, if connected.
    pub(super) remote: Option<SocketAddr>,
    /// The connection is over and in TIME-WAIT until then; there is no socket any more.
    pub(super) time_wait: Option<Instant>,
    /// Whose it is.
    pub(super) socket: Weak<S>,
}

/// The ports of one protocol.
pub(super) struct PortTable<S> {
    entries: BTreeMap<(u16, u64), Entry<S>>,
    ephemeral: Ephemeral,
    /// What is in TIME-WAIT, the oldest first.
    waiting: VecDeque<(Instant, u16, u64)>,
}

impl<S> Default for PortTable<S> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), ephemeral: Ephemeral::default(), waiting: VecDeque::new() }
    }
}

impl<S> PortTable<S> {
    /// The entries of one port, oldest first.
    pub(super) fn at(&self, port: u16) -> impl DoubleEndedIterator<Item = (u64, &Entry<S>)> {
        self.entries.range((port, 0)..=(port, u64::MAX)).map(|(&(_, id), entry)| (id, entry))
    }

    /// All entries, by port.
    pub(super) fn all(&self) -> impl Iterator<Item = (u16, &Entry<S>)> {
        self.entries.iter().map(|(&(port, _), entry)| (port, entry))
    }

    /// The entry of the socket `id`.
    pub(super) fn get_mut(&mut self, port: u16, id: u64) -> Option<&mut Entry<S>> {
        self.entries.get_mut(&(port, id))
    }

    /// Adds the entry of the socket `id`.
    pub(super) fn insert(&mut self, port: u16, id: u64, entry: Entry<S>) {
        let first = self.at(port).next().is_none();
        self.entries.insert((port, id), entry);
        if first {
            self.ephemeral.set(port, true);
        }
    }

    /// Removes the entry of the socket `id`.
    pub(super) fn remove(&mut self, port: u16, id: u64) {
        let removed = self.entries.remove(&(port, id)).is_some();
        if removed && self.at(port).next().is_none() {
            self.ephemeral.set(port, false);
        }
    }

    /// Keeps the entry of the connection `id`, whose socket is closed, in TIME-WAIT.
    pub(super) fn time_wait(&mut self, port: u16, id: u64, now: Instant) {
        let Some(entry) = self.entries.get_mut(&(port, id)) else { return };
        let until = now + TIME_WAIT;
        (entry.socket, entry.time_wait) = (Weak::new(), Some(until));
        self.waiting.push_back((until, port, id));
        if self.waiting.len() > MAX_TIME_WAIT
            && let Some((_, port, id)) = self.waiting.pop_front()
        {
            self.remove(port, id);
        }
    }

    /// Forgets what has been in TIME-WAIT for long enough. Whoever looks at the table calls this before.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((_, port, id)) = self.waiting.pop_front_if(|(until, ..)| *until <= now) {
            self.remove(port, id);
        }
    }

    /// True if the socket `id` cannot take `bound` at `port`: an overlapping socket is there, unless both reuse addresses and
    /// the other does not listen (`inet_csk_bind_conflict`).
    pub(super) fn conflicts(&self, port: u16, id: u64, bound: Bound, reuse: bool) -> bool {
        self.at(port).any(|(other, entry)| {
            other != id && bound.overlaps(entry.bound) && !(reuse && entry.reuse && !entry.listening)
        })
    }

    /// A port that nobody holds, for bind or listen.
    ///
    /// # Errors
    /// [`Errno::AddrInUse`] if there is none.
    pub(super) fn free_port(&self, random: &mut RandomStream) -> Result<u16> {
        self.ephemeral.free(random).ok_or(Errno::AddrInUse)
    }

    /// A port for a connection from `source` to `remote`. Ports may be shared by connections to different destinations, so
    /// that the range limits the connections per destination only.
    ///
    /// # Errors
    /// [`Errno::AddrNotAvail`] if there is none.
    pub(super) fn free_port_for(&self, source: IpAddr, remote: SocketAddr, random: &mut RandomStream) -> Result<u16> {
        if let Some(port) = self.ephemeral.free(random) {
            return Ok(port);
        }
        let shareable =
            |entry: &Entry<S>| entry.for_connect && (entry.remote != Some(remote) || entry.bound != Bound::One(source));
        let start = EPHEMERAL_PORTS.start() + random.below(EPHEMERAL_PORTS.len() as u64) as u16;
        let mut around = (start..=*EPHEMERAL_PORTS.end()).chain(*EPHEMERAL_PORTS.start()..start);
        around.find(|&port| self.at(port).all(|(_, entry)| shareable(entry))).ok_or(Errno::AddrNotAvail)
    }
}

/// Which ephemeral ports are held, one bit each, so that a crowded range is searched fast. Empty until one is held.
#[derive(Default)]
struct Ephemeral {
    held: Vec<u64>,
}

impl Ephemeral {
    fn set(&mut self, port: u16, held: bool) {
        if !EPHEMERAL_PORTS.contains(&port) {
            return;
        }
        self.held.resize(EPHEMERAL_PORTS.len().div_ceil(64), 0);
        let index = usize::from(port - EPHEMERAL_PORTS.start());
        let bit = 1 << (index % 64);
        if held {
            self.held[index / 64] |= bit;
        } else {
            self.held[index / 64] &= !bit;
        }
    }

    /// The first free port from a random one on, around the range.
    fn free(&self, random: &mut RandomStream) -> Option<u16> {
        let count = EPHEMERAL_PORTS.len();
        let start = random.below(count as u64) as usize;
        if self.held.is_empty() {
            return Some(EPHEMERAL_PORTS.start() + start as u16);
        }
        let words = self.held.len();
        for step in 0..=words {
            let word = (start / 64 + step) % words;
            let before_start = if step == 0 { (1u64 << (start % 64)) - 1 } else { 0 };
            let index = word * 64 + (self.held[word] | before_start).trailing_ones() as usize;
            if index < (word * 64 + 64).min(count) {
                return Some(EPHEMERAL_PORTS.start() + index as u16);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use wasmpod_sim::Entropy;

    use super::*;

    fn entry(bound: Bound, reuse: bool, listening: bool) -> Entry<()> {
        Entry { bound, reuse, listening, for_connect: false, remote: None, time_wait: None, socket: Weak::new() }
    }

    fn one(ip: &str) -> Bound {
        Bound::One(ip.parse().unwrap())
    }

    #[test]
    fn overlapping_addresses_conflict_and_others_do_not() {
        let mut table = PortTable::default();
        table.insert(80, 1, entry(one("127.0.0.1"), false, false));
        assert!(table.conflicts(80, 2, Bound::AnyV4, false) && table.conflicts(80, 2, Bound::AnyDual, true));
        assert!(!table.conflicts(80, 2, one("10.244.0.2"), false) && !table.conflicts(81, 2, Bound::AnyV4, false));
        assert!(!table.conflicts(80, 2, Bound::AnyV6, false) && !table.conflicts(80, 1, Bound::AnyV4, false));
    }

    #[test]
    fn reuse_must_be_mutual_and_never_shares_with_a_listener() {
        let mut table = PortTable::default();
        table.insert(80, 1, entry(Bound::AnyV4, true, false));
        assert!(!table.conflicts(80, 2, Bound::AnyV4, true) && table.conflicts(80, 2, Bound::AnyV4, false));
        table.get_mut(80, 1).unwrap().listening = true;
        assert!(table.conflicts(80, 2, Bound::AnyV4, true));
    }

    #[test]
    fn a_full_range_ends_in_the_errors_of_linux() {
        let mut table = PortTable::default();
        let mut random = Entropy::from_seed(1).stream("ports");
        for id in 0..EPHEMERAL_PORTS.len() as u64 {
            let port = table.free_port(&mut random).unwrap();
            assert!(EPHEMERAL_PORTS.contains(&port));
            table.insert(port, id, entry(Bound::AnyV4, false, false));
        }
        let (source, remote) = ("127.0.0.1".parse().unwrap(), "127.0.0.1:80".parse().unwrap());
        assert_eq!(table.free_port(&mut random), Err(Errno::AddrInUse));
        assert_eq!(table.free_port_for(source, remote, &mut random), Err(Errno::AddrNotAvail));
        // connections to somewhere else may share a port, those to the same place may not
        let id = table.at(40_000).next().unwrap().0;
        let shared = table.get_mut(40_000, id).unwrap();
        (shared.for_connect, shared.remote, shared.bound) =
            (true, Some("127.0.0.1:81".parse().unwrap()), Bound::One(source));
        assert_eq!(table.free_port_for(source, remote, &mut random), Ok(40_000));
        assert_eq!(table.free_port_for(source, "127.0.0.1:81".parse().unwrap(), &mut random), Err(Errno::AddrNotAvail));
        let id = table.at(50_000).next().unwrap().0;
        table.remove(50_000, id);
        assert_eq!(table.free_port(&mut random), Ok(50_000));
    }

    #[test]
    fn the_choice_follows_the_seed() {
        let table = PortTable::<()>::default();
        let pick = |seed| table.free_port(&mut Entropy::from_seed(seed).stream("ports")).unwrap();
        assert_eq!(pick(3), pick(3));
        assert!((0..20).any(|seed| pick(seed) != pick(3)));
    }
}
