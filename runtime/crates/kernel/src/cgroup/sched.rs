//! Who runs next when all CPUs are busy: weighted fair queueing, level by level, as the kernel's fair scheduler does it with
//! cgroup v2 weights. A state machine without a lock or a clock.
//!
//! Every cgroup and every client is an entity among its siblings. It has a virtual runtime, which advances by fuel ÷ weight; from
//! the root downwards the sibling with the least that has something waiting is chosen. An entity that becomes active is put no
//! further back than the least of its active siblings, so that one that slept has no credit saved up.
//!
//! Nothing is searched while CPUs are free: the lists are of active entities only.
//!
//! A slice that was used up while others wait leaves its client in the queue ("expected"). If it wins again before it has asked,
//! its CPU is kept for [`CLAIM_GRACE`]; one waiting client, the watcher, is told to look again after that, so that a client that
//! does not come back cannot keep a CPU idle. (Were it taken out of the queue instead, the next in line would win whatever the
//! weights.)

use std::task::Waker;
use std::time::Duration;

use slab::Slab;
use wasmpod_sim::Instant;

use super::bandwidth::{Bandwidth, Reservation};
use super::cpu::CpuStats;
use super::{DEFAULT_WEIGHT, MAX_WEIGHT, MIN_WEIGHT};

/// How long a CPU is kept for a client that is expected to ask again. Such a client is runnable, so it asks as soon as the
/// executor comes to it.
pub(super) const CLAIM_GRACE: Duration = Duration::from_millis(1);

/// How many may wait before slices get shorter.
const FULL_SLICES: u64 = 8;
/// The shortest is this part of a slice: 1 ms, the least that is worth a switch to CFS on a machine of some CPUs.
const SHORTEST_PART: u64 = 5;

/// A cgroup here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupId(usize);
/// A client here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientId(usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entity {
    Group(GroupId),
    Client(ClientId),
}

/// Fuel × 2^32 ÷ weight. 128 bits hold any sum of 64-bit fuel at any weight.
type Vruntime = u128;

/// What an entity is to its siblings.
#[derive(Debug)]
struct Share {
    /// 2^32 ÷ weight: a multiplication is cheaper than a division at each release.
    inverse_weight: u64,
    vruntime: Vruntime,
    /// When it became active or began to wait: the first comes first if the virtual runtimes are equal.
    since: u64,
    /// Where it is in its parent's list of active entities, while it is active.
    slot: usize,
}

impl Share {
    fn new(weight: u64) -> Self {
        Self { inverse_weight: inverse(weight), vruntime: 0, since: 0, slot: 0 }
    }

    fn turn(&self) -> (Vruntime, u64) {
        (self.vruntime, self.since)
    }

    fn advance(&mut self, fuel: u64) {
        let delta = u128::from(fuel) * u128::from(self.inverse_weight);
        self.vruntime = self.vruntime.saturating_add(delta);
    }

    /// Puts `used` in the place of `ahead`, which it was advanced by before.
    fn settle(&mut self, ahead: u64, used: u64) {
        if used >= ahead {
            self.advance(used - ahead);
        } else {
            let delta = u128::from(ahead - used) * u128::from(self.inverse_weight);
            self.vruntime = self.vruntime.saturating_sub(delta);
        }
    }
}

fn inverse(weight: u64) -> u64 {
    (1 << 32) / weight.clamp(MIN_WEIGHT, MAX_WEIGHT)
}

#[derive(Debug)]
struct Group {
    parent: Option<GroupId>,
    /// The nearest group above with a quota, so that each acquire visits only those.
    limited_above: Option<GroupId>,
    share: Share,
    /// No active child is to be put behind this.
    min_vruntime: Vruntime,
    /// Children with something that runs or waits.
    active: Vec<Entity>,
    /// Clients at or below that wait.
    waiting: usize,
    usage: u64,
    bandwidth: Bandwidth,
}

#[derive(Debug)]
struct Client {
    group: GroupId,
    share: Share,
    state: State,
    /// Fuel of the slice that it was given, by which it and all above are advanced before it is used. Otherwise several CPUs that come
    /// free during one slice would all go to the group that is next, whose lighter clients would run as much as its heavy one.
    ahead: u64,
    /// Called when it may run, or when its limits change while it is throttled.
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Holds nothing and wants nothing.
    Idle,
    /// Waits for a CPU. `expected`: it has used up a slice and has not asked again yet.
    Queued { expected: bool },
    /// Has a CPU and was told so, or will see it when it asks. `keep_until` if it has not asked for this one.
    Granted { keep_until: Option<Instant> },
    /// Has a CPU and runs. `reservations` of limited cgroups go by the period of the grant.
    Running { reserved: u64, at: Reservation },
    /// Holds nothing and wants nothing, but is still in the list of active entities: see [`Sched::try_park`].
    Parked,
}

#[derive(Debug)]
pub(super) struct Sched {
    cpus: usize,
    slice: u64,
    min_slice: u64,
    /// Clients that are granted a CPU or run on one.
    busy: usize,
    /// Clients that are still in the lists although they want nothing.
    parked: Vec<ClientId>,
    /// Counts what becomes active.
    sequence: u64,
    groups: Slab<Group>,
    clients: Slab<Client>,
    root: GroupId,
    /// Granted clients with a `keep_until`.
    expected: Vec<ClientId>,
    /// The waiting client that looks after them.
    watcher: Option<ClientId>,
    wakers: Vec<Waker>,
    /// Wakers that are not needed any more. Dropping one may end a task, which may own a client: not under the lock.
    discarded: Vec<Waker>,
}

/// The answer to a client that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Run {
        fuel: u64,
    },
    Throttled {
        until: Instant,
    },
    /// Its waker is kept. The watcher must also ask again at `look_again`.
    Queued {
        look_again: Option<Instant>,
    },
}

/// What is to be done once the lock is released.
pub(super) struct Afterwards {
    /// To be woken.
    pub(super) wake: Vec<Waker>,
    /// To be dropped.
    #[expect(dead_code, reason = "it is there to be dropped")]
    discarded: Vec<Waker>,
}

impl Sched {
    pub(super) fn new(cpus: u32, slice: u64, min_slice: u64) -> (Self, GroupId) {
        let mut groups = Slab::new();
        let root = GroupId(groups.insert(Group::new(None, DEFAULT_WEIGHT)));
        let sched = Self {
            cpus: cpus as usize,
            slice,
            min_slice,
            busy: 0,
            parked: Vec::new(),
            sequence: 0,
            groups,
            clients: Slab::new(),
            root,
            expected: Vec::new(),
            watcher: None,
            wakers: Vec::new(),
            discarded: Vec::new(),
        };
        (sched, root)
    }

    pub(super) fn add_group(&mut self, parent: GroupId, weight: u64, quota: Option<u64>, now: Instant) -> GroupId {
        let mut group = Group::new(Some(parent), weight);
        group.bandwidth.set_quota(quota, now, false);
        group.limited_above = self.limited(parent);
        GroupId(self.groups.insert(group))
    }

    /// The group has no clients and no children: they would keep it.
    pub(super) fn remove_group(&mut self, group: GroupId) {
        debug_assert!(self.groups[group.0].active.is_empty(), "a cgroup is dropped while something in it is active");
        self.groups.remove(group.0);
    }

    pub(super) fn set_limits(&mut self, id: GroupId, weight: u64, quota: Option<u64>, now: Instant) {
        self.settle_parked();
        let group = &mut self.groups[id.0];
        group.share.inverse_weight = inverse(weight);
        let occupied = !group.active.is_empty();
        group.bandwidth.set_quota(quota, now, occupied);
        self.link_limited();
        // throttled clients look again, the limit may be gone
        let throttled = |client: &Client| client.state == State::Idle && client.waker.is_some();
        let below = |client: &Client| self.path(client.group).any(|(group, _)| group == id);
        let clients = self.clients.iter().filter(|(_, client)| throttled(client) && below(client));
        let clients: Vec<usize> = clients.map(|(client, _)| client).collect();
        for client in clients {
            self.wakers.extend(self.clients[client].waker.take());
        }
    }

    pub(super) fn add_client(&mut self, group: GroupId) -> ClientId {
        let client = Client { group, share: Share::new(DEFAULT_WEIGHT), state: State::Idle, ahead: 0, waker: None };
        ClientId(self.clients.insert(client))
    }

    pub(super) fn remove_client(&mut self, id: ClientId, now: Instant) {
        self.release_with(id, 0, now, false);
        self.discarded.extend(self.clients.remove(id.0).waker);
        if self.watcher == Some(id) {
            self.watcher = None;
        }
        self.appoint_watcher();
    }

    pub(super) fn afterwards(&mut self) -> Afterwards {
        Afterwards { wake: std::mem::take(&mut self.wakers), discarded: std::mem::take(&mut self.discarded) }
    }

    /// Remembers whom to wake for a client.
    fn set_waker(&mut self, id: ClientId, waker: &Waker) {
        let kept = &mut self.clients[id.0].waker;
        if !kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            self.discarded.extend(kept.replace(waker.clone()));
        }
    }

    pub(super) fn usage(&self, group: GroupId) -> u64 {
        self.groups[group.0].usage
    }

    pub(super) fn stats(&mut self, id: GroupId, now: Instant) -> (u64, CpuStats) {
        self.settle_parked();
        let group = &mut self.groups[id.0];
        let occupied = !group.active.is_empty();
        group.bandwidth.refresh(now, occupied);
        let stats = CpuStats {
            usage_usec: 0,
            nr_periods: group.bandwidth.nr_periods,
            nr_throttled: group.bandwidth.nr_throttled,
            throttled_usec: group.bandwidth.throttled_usec(),
        };
        (group.usage, stats)
    }

    /// [`Sched::release_and_park`] of a client that ran without a limit while nobody waits: it stays in the lists, so that the next
    /// [`Sched::try_resume`] need not put it there again. Two programs that answer each other come here with each message. False if
    /// it must go the long way. No clock is read.
    pub(super) fn try_park(&mut self, id: ClientId, used: u64) -> bool {
        let client = &self.clients[id.0];
        let State::Running { reserved, at } = client.state else { return false };
        if self.groups[self.root.0].waiting > 0 || !self.expected.is_empty() || self.limited(client.group).is_some() {
            return false;
        }
        self.charge(id, reserved, at, used, Instant::from_nanos(0)); // without limits no time matters
        self.clients[id.0].state = State::Parked;
        self.parked.push(id);
        self.busy -= 1;
        true
    }

    /// [`Sched::acquire`] of a client that was parked and finds a CPU free.
    pub(super) fn try_resume(&mut self, id: ClientId) -> Option<u64> {
        let client = &mut self.clients[id.0];
        if client.state != State::Parked || self.busy >= self.cpus {
            return None;
        }
        client.state = State::Running { reserved: self.slice, at: Reservation::default() };
        self.parked.retain(|&parked| parked != id);
        self.busy += 1;
        Some(self.slice)
    }

    /// Takes the parked clients out of the lists: from here on it matters who is in them.
    fn settle_parked(&mut self) {
        while let Some(id) = self.parked.pop() {
            self.clients[id.0].state = State::Idle;
            self.deactivate(id);
        }
    }

    pub(super) fn acquire(&mut self, id: ClientId, waker: &Waker, now: Instant) -> Decision {
        self.settle_parked();
        let state = self.clients[id.0].state;
        if let State::Running { reserved, .. } = state {
            return Decision::Run { fuel: reserved }; // asked again without a release: the same slice
        }
        if let Some(until) = self.blocked_until(id, now) {
            self.release_with(id, 0, now, false);
            self.set_waker(id, waker);
            return Decision::Throttled { until };
        }
        match state {
            State::Granted { .. } => {
                self.expected.retain(|&expected| expected != id);
                return self.run(id, now);
            }
            State::Idle => {
                self.activate(id);
                if self.busy < self.cpus {
                    self.busy += 1;
                    return self.run(id, now);
                }
                self.count_waiting(id, 1);
            }
            State::Queued { .. } | State::Running { .. } | State::Parked => {}
        }
        self.clients[id.0].state = State::Queued { expected: false };
        self.set_waker(id, waker);
        self.revoke_overdue(now);
        self.appoint_watcher();
        if matches!(self.clients[id.0].state, State::Granted { .. }) {
            return self.run(id, now);
        }
        let watches = self.watcher == Some(id);
        let look_again =
            self.expected.iter().filter(|_| watches).filter_map(|&expected| self.kept_until(expected)).min();
        Decision::Queued { look_again }
    }

    pub(super) fn release(&mut self, id: ClientId, used: u64, now: Instant) {
        self.release_with(id, used, now, true);
    }

    pub(super) fn release_and_park(&mut self, id: ClientId, used: u64, now: Instant) {
        self.release_with(id, used, now, false);
    }

    pub(super) fn park(&mut self, id: ClientId, now: Instant) {
        if !matches!(self.clients[id.0].state, State::Running { .. }) {
            self.release_with(id, 0, now, false);
        }
    }

    /// Charges `used` and leaves any state. `may_stay`: a used-up slice leaves the client in the queue if there is one.
    fn release_with(&mut self, id: ClientId, used: u64, now: Instant, may_stay: bool) {
        self.settle_parked();
        let state = self.clients[id.0].state;
        let (reserved, at) = match state {
            State::Running { reserved, at } => (reserved, at),
            State::Idle if used == 0 => return,
            _ => (0, Reservation::default()),
        };
        self.charge(id, reserved, at, used, now);
        match state {
            State::Idle | State::Parked => return,
            State::Queued { .. } => {
                self.count_waiting(id, -1);
                self.deactivate(id);
            }
            State::Granted { .. } => {
                self.expected.retain(|&expected| expected != id);
                self.busy -= 1;
                self.deactivate(id);
            }
            State::Running { .. } => {
                self.busy -= 1;
                let contended = self.groups[self.root.0].waiting > 0;
                if may_stay && contended && used >= reserved && !self.is_out_of_quota(id) {
                    self.sequence += 1;
                    let client = &mut self.clients[id.0];
                    client.state = State::Queued { expected: true };
                    client.share.since = self.sequence;
                    self.count_waiting(id, 1);
                    self.dispatch(now);
                    return;
                }
                self.deactivate(id);
            }
        }
        let client = &mut self.clients[id.0];
        client.state = State::Idle;
        self.discarded.extend(client.waker.take());
        self.dispatch(now);
    }

    fn run(&mut self, id: ClientId, now: Instant) -> Decision {
        let mut fuel = self.slice_now();
        let limited = self.limited(self.clients[id.0].group);
        let mut next = limited;
        while let Some(group) = next {
            let group = &self.groups[group.0];
            fuel = fuel.min(group.bandwidth.available().unwrap_or(u64::MAX));
            next = group.limited_above;
        }
        let fuel = fuel.max(self.min_slice);
        let mut reservation = Reservation::default();
        let mut next = limited;
        while let Some(group) = next {
            let group = &mut self.groups[group.0];
            reservation = group.bandwidth.reserve(fuel, now);
            next = group.limited_above;
        }
        let client = &mut self.clients[id.0];
        client.state = State::Running { reserved: fuel, at: reservation };
        self.discarded.extend(client.waker.take());
        Decision::Run { fuel }
    }

    fn charge(&mut self, id: ClientId, reserved: u64, at: Reservation, used: u64, now: Instant) {
        let client = &mut self.clients[id.0];
        let ahead = std::mem::take(&mut client.ahead);
        client.share.settle(ahead, used);
        let mut next = Some(client.group);
        while let Some(group) = next {
            let group = &mut self.groups[group.0];
            group.usage = group.usage.saturating_add(used);
            group.share.settle(ahead, used);
            if group.bandwidth.is_limited() {
                group.bandwidth.refresh(now, !group.active.is_empty());
                group.bandwidth.settle(at, reserved, used);
            }
            next = group.parent;
        }
    }

    /// A slice: shorter if many wait, so that each has its turn within a period and loses no quota, as CFS divides its latency.
    fn slice_now(&self) -> u64 {
        let waiting = self.groups[self.root.0].waiting as u64;
        let shorter = self.slice * FULL_SLICES / waiting.max(FULL_SLICES);
        shorter.max(self.slice / SHORTEST_PART).max(1)
    }

    /// Advances a client that is given a CPU by the slice that it will probably use.
    fn advance_ahead(&mut self, id: ClientId) {
        let ahead = self.slice_now();
        let client = &mut self.clients[id.0];
        client.ahead = ahead;
        client.share.advance(ahead);
        let mut next = Some(client.group);
        while let Some(group) = next {
            let group = &mut self.groups[group.0];
            group.share.advance(ahead);
            next = group.parent;
        }
    }

    /// When all quotas on the way up have fuel again, if one has none now; that one counts as throttled.
    fn blocked_until(&mut self, id: ClientId, now: Instant) -> Option<Instant> {
        let mut until = None;
        let mut next = self.limited(self.clients[id.0].group);
        while let Some(group) = next {
            let group = &mut self.groups[group.0];
            group.bandwidth.refresh(now, !group.active.is_empty());
            group.bandwidth.note_runnable();
            if let Some(blocked) = group.bandwidth.blocked_until() {
                group.bandwidth.throttle(now);
                until = until.max(Some(blocked));
            }
            next = group.limited_above;
        }
        until
    }

    /// The same as of the last refresh, without counting it.
    fn is_out_of_quota(&self, id: ClientId) -> bool {
        self.path(self.clients[id.0].group).any(|(_, group)| group.bandwidth.blocked_until().is_some())
    }

    /// Gives free CPUs to those that wait.
    fn dispatch(&mut self, now: Instant) {
        while self.busy < self.cpus
            && let Some(id) = self.pick()
        {
            self.count_waiting(id, -1);
            let blocked = self.blocked_until(id, now).is_some();
            let client = &mut self.clients[id.0];
            let expected = client.state == State::Queued { expected: true };
            self.wakers.extend(client.waker.take());
            if blocked {
                // it is told so when it asks; nobody else would tell it
                client.state = State::Idle;
                self.deactivate(id);
                continue;
            }
            client.state = State::Granted { keep_until: expected.then(|| now + CLAIM_GRACE) };
            self.busy += 1;
            self.advance_ahead(id);
            if expected {
                self.expected.push(id);
                self.watcher = None; // a new one is woken, so that it learns of this deadline
            }
        }
        self.appoint_watcher();
    }

    /// Takes CPUs back that were kept for clients that did not ask in time.
    fn revoke_overdue(&mut self, now: Instant) {
        while let Some(&id) = self.expected.iter().find(|&&id| self.kept_until(id).is_some_and(|until| until <= now)) {
            self.release_with(id, 0, now, false);
        }
    }

    fn kept_until(&self, id: ClientId) -> Option<Instant> {
        match self.clients[id.0].state {
            State::Granted { keep_until } => keep_until,
            _ => None,
        }
    }

    /// Sees to it that somebody looks after the expected clients, if anybody waits for their CPUs.
    fn appoint_watcher(&mut self) {
        if self.expected.is_empty() {
            self.watcher = None;
            return;
        }
        let asked = |client: &Client| client.state == State::Queued { expected: false };
        if self.watcher.is_some_and(|watcher| self.clients.get(watcher.0).is_some_and(asked)) {
            return;
        }
        self.watcher = self.clients.iter().find(|(_, client)| asked(client)).map(|(id, _)| ClientId(id));
        if let Some(watcher) = self.watcher {
            self.wakers.extend(self.clients[watcher.0].waker.clone());
        }
    }

    /// The waiting client that is next.
    fn pick(&self) -> Option<ClientId> {
        let mut group = self.root;
        loop {
            let waiting = self.groups[group.0].active.iter().filter(|&&entity| self.is_waiting(entity));
            match *waiting.min_by_key(|&&entity| self.share(entity).turn())? {
                Entity::Client(id) => return Some(id),
                Entity::Group(below) => group = below,
            }
        }
    }

    fn is_waiting(&self, entity: Entity) -> bool {
        match entity {
            Entity::Group(id) => self.groups[id.0].waiting > 0,
            Entity::Client(id) => matches!(self.clients[id.0].state, State::Queued { .. }),
        }
    }

    /// Adds a client to the lists of active entities, as far up as they are not in them.
    fn activate(&mut self, id: ClientId) {
        self.sequence += 1;
        let since = self.sequence;
        let mut entity = Entity::Client(id);
        let mut next = Some(self.clients[id.0].group);
        while let Some(parent) = next {
            self.raise_min_vruntime(parent);
            let group = &mut self.groups[parent.0];
            let (floor, slot, was_active) = (group.min_vruntime, group.active.len(), !group.active.is_empty());
            group.active.push(entity);
            next = group.parent;
            let share = self.share_mut(entity);
            share.slot = slot;
            share.since = since;
            share.vruntime = share.vruntime.max(floor);
            if was_active {
                return;
            }
            entity = Entity::Group(parent);
        }
    }

    /// Takes a client out of the lists, and every group that has nothing active left.
    fn deactivate(&mut self, id: ClientId) {
        let mut entity = Entity::Client(id);
        let mut next = Some(self.clients[id.0].group);
        while let Some(parent) = next {
            self.raise_min_vruntime(parent);
            let slot = self.share(entity).slot;
            let group = &mut self.groups[parent.0];
            group.active.swap_remove(slot);
            next = group.parent;
            match group.active.get(slot).copied() {
                Some(moved) => self.share_mut(moved).slot = slot,
                None if group.active.is_empty() => {}
                None => return,
            }
            if !self.groups[parent.0].active.is_empty() {
                return;
            }
            entity = Entity::Group(parent);
        }
    }

    fn raise_min_vruntime(&mut self, id: GroupId) {
        let least = self.groups[id.0].active.iter().map(|&entity| self.share(entity).vruntime).min();
        let group = &mut self.groups[id.0];
        group.min_vruntime = group.min_vruntime.max(least.unwrap_or(0));
    }

    fn count_waiting(&mut self, id: ClientId, change: isize) {
        let mut next = Some(self.clients[id.0].group);
        while let Some(group) = next {
            let group = &mut self.groups[group.0];
            group.waiting = group.waiting.saturating_add_signed(change);
            next = group.parent;
        }
    }

    /// The nearest group with a quota, from this one upwards.
    fn limited(&self, id: GroupId) -> Option<GroupId> {
        let group = &self.groups[id.0];
        if group.bandwidth.is_limited() { Some(id) } else { group.limited_above }
    }

    /// Finds all `limited_above` anew.
    fn link_limited(&mut self) {
        let ids: Vec<usize> = self.groups.iter().map(|(id, _)| id).collect();
        for id in ids {
            let limited = self.path(GroupId(id)).skip(1).find(|(_, above)| above.bandwidth.is_limited());
            self.groups[id].limited_above = limited.map(|(id, _)| id);
        }
    }

    fn path(&self, group: GroupId) -> impl Iterator<Item = (GroupId, &Group)> {
        std::iter::successors(Some((group, &self.groups[group.0])), |(_, group)| {
            group.parent.map(|parent| (parent, &self.groups[parent.0]))
        })
    }

    fn share(&self, entity: Entity) -> &Share {
        match entity {
            Entity::Group(id) => &self.groups[id.0].share,
            Entity::Client(id) => &self.clients[id.0].share,
        }
    }

    fn share_mut(&mut self, entity: Entity) -> &mut Share {
        match entity {
            Entity::Group(id) => &mut self.groups[id.0].share,
            Entity::Client(id) => &mut self.clients[id.0].share,
        }
    }
}

impl Group {
    fn new(parent: Option<GroupId>, weight: u64) -> Self {
        Self {
            parent,
            limited_above: None,
            share: Share::new(weight),
            min_vruntime: 0,
            active: Vec::new(),
            waiting: 0,
            usage: 0,
            bandwidth: Bandwidth::default(),
        }
    }
}
