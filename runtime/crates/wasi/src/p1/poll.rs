//! `poll_oneoff`: waiting for descriptors and clocks at once. It takes any descriptor that can be read or written and, as `poll(2)`
//! does, directories; it never sleeps on a thread, and a poll that waits for nothing costs fuel like any other call.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use wasmpod_kernel::file::{Description, FileType};
use wasmpod_kernel::sim::{Clock, Instant};
use wasmpod_kernel::wait::Ready;
use wasmpod_kernel::wchan::{self, WaitOn};

use super::clock::deadline;
use super::errno::{Fail, WasiErrno};
use super::fd::{described, directions};
use super::memory::{Guest, le_u16, le_u32, le_u64};
use super::types::{
    CLOCK_ABSTIME, EVENT_CLOCK, EVENT_FD_READ, EVENT_FD_WRITE, EVENT_SIZE, READWRITE_HANGUP, SUBSCRIPTION_SIZE,
    check_bits,
};
use super::{Blocking, SUBSCRIPTION_FUEL};
use crate::HasCtx;

/// The most subscriptions of one call; more is EINVAL. Enough for reading and writing on every descriptor that a process may hold,
/// and as many clocks.
pub const MAX_SUBSCRIPTIONS: u32 = 4096;

struct Subscription {
    userdata: u64,
    wanted: Wanted,
}

enum Wanted {
    Clock(Instant),
    Read(Description),
    Write(Description),
}

struct Event {
    userdata: u64,
    kind: u8,
    hangup: bool,
}

pub(super) async fn oneoff<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    subscriptions: u32,
    events: u32,
    count: u32,
    out: u32,
) -> Result<(), Fail> {
    if count == 0 || count > MAX_SUBSCRIPTIONS {
        return Err(WasiErrno::Inval.into());
    }
    let mut guest = call.guest();
    let subscriptions = parse(&mut guest, subscriptions, count)?;
    // a bad pointer is found before the wait, not after it
    guest.memory.array(events, count, EVENT_SIZE, 8)?;
    let clock = guest.ctx.process.clock().clone();
    let (found, looks) = wait(call, &subscriptions, &clock).await?;

    let mut guest = call.guest();
    guest.ctx.charge(SUBSCRIPTION_FUEL.saturating_mul(u64::from(count)).saturating_mul(looks));
    let room = guest.memory.array_mut(events, count, EVENT_SIZE, 8)?;
    for (event, record) in found.iter().zip(room.chunks_exact_mut(EVENT_SIZE as usize)) {
        event.put(record);
    }
    Ok(guest.memory.put_u32(out, found.len() as u32)?) // at most `count`
}

/// Reads the subscriptions. As in wasmtime, one that makes no sense fails the whole call.
fn parse(guest: &mut Guest<'_>, pointer: u32, count: u32) -> Result<Vec<Subscription>, Fail> {
    let records = guest.memory.array(pointer, count, SUBSCRIPTION_SIZE, 8)?;
    let (clock, wall) = (guest.ctx.process.clock(), guest.ctx.process.wall());
    let mut subscriptions = Vec::with_capacity(count as usize);
    for record in records.chunks_exact(SUBSCRIPTION_SIZE as usize) {
        let wanted = match record[8] {
            EVENT_CLOCK => {
                let flags = le_u16(record, 40);
                check_bits(u32::from(flags), u32::from(CLOCK_ABSTIME))?;
                let absolute = flags & CLOCK_ABSTIME != 0;
                Wanted::Clock(deadline(clock, wall, le_u32(record, 16), le_u64(record, 24), absolute)?)
            }
            kind @ (EVENT_FD_READ | EVENT_FD_WRITE) => {
                let (description, _) = described(guest.ctx, le_u32(record, 16))?;
                let streams = !matches!(description, Description::File(_));
                let (read, write) = if streams { directions(&description) } else { (true, true) };
                match (kind, read, write) {
                    (EVENT_FD_READ, true, _) => Wanted::Read(description),
                    (EVENT_FD_WRITE, _, true) => Wanted::Write(description),
                    _ => return Err(WasiErrno::BadF.into()), // it would never be ready
                }
            }
            _ => return Err(WasiErrno::Inval.into()),
        };
        subscriptions.push(Subscription { userdata: le_u64(record, 0), wanted });
    }
    Ok(subscriptions)
}

/// Waits until something is ready: all that is then, in the order of the subscriptions, and how often they were looked at.
async fn wait<T: HasCtx>(
    call: &mut Blocking<'_, T>,
    subscriptions: &[Subscription],
    clock: &Clock,
) -> Result<(Vec<Event>, u64), Fail> {
    let deadlines = subscriptions.iter().filter_map(|subscription| match subscription.wanted {
        Wanted::Clock(deadline) => Some(deadline),
        _ => None,
    });
    let earliest = deadlines.min();
    let mut sleep = None;
    let mut looks = 0;
    let poll = move |cx: &mut Context<'_>| {
        looks += 1;
        let found = ready(subscriptions, clock, earliest, cx);
        if !found.is_empty() {
            return Poll::Ready((found, looks));
        }
        let Some(deadline) = earliest else { return Poll::Pending };
        let sleep = sleep.get_or_insert_with(|| clock.sleep_until(deadline));
        if Pin::new(sleep).poll(cx).is_pending() {
            wchan::note(|| WaitOn::Clock(deadline));
            return Poll::Pending;
        }
        // due between the look and the timer
        looks += 1;
        Poll::Ready((due(subscriptions, deadline.max(clock.now())), looks))
    };
    call.wait(poll).await
}

/// What is ready now; for what is not, the task of `cx` is woken when that may have changed.
fn ready(subscriptions: &[Subscription], clock: &Clock, earliest: Option<Instant>, cx: &mut Context<'_>) -> Vec<Event> {
    let now = earliest.map(|_| clock.now()); // reading a clock is not free
    let mut found = Vec::new();
    for Subscription { userdata, wanted } in subscriptions {
        let event = match wanted {
            Wanted::Clock(deadline) if now.is_some_and(|now| *deadline <= now) => (EVENT_CLOCK, false),
            Wanted::Clock(_) => continue,
            Wanted::Read(description) => match description.poll_ready(Ready::READ, cx) {
                ready if ready.is_empty() => {
                    wchan::note_file(description, Ready::READ);
                    continue;
                }
                ready => (EVENT_FD_READ, ready.contains(Ready::HUP) || at_end(description)),
            },
            Wanted::Write(description) => match description.poll_ready(Ready::WRITE, cx) {
                ready if ready.is_empty() => {
                    wchan::note_file(description, Ready::WRITE);
                    continue;
                }
                ready => (EVENT_FD_WRITE, ready.contains(Ready::HUP)),
            },
        };
        found.push(Event { userdata: *userdata, kind: event.0, hangup: event.1 });
    }
    found
}

/// The clocks that are due at `now`.
fn due(subscriptions: &[Subscription], now: Instant) -> Vec<Event> {
    let due = subscriptions.iter().filter(|subscription| match subscription.wanted {
        Wanted::Clock(deadline) => deadline <= now,
        _ => false,
    });
    due.map(|subscription| Event { userdata: subscription.userdata, kind: EVENT_CLOCK, hangup: false }).collect()
}

/// True for a regular file with nothing left to read, which wasmtime reports as a hang-up.
fn at_end(description: &Description) -> bool {
    match description {
        Description::File(file) if file.file_type() == FileType::Regular => match (file.stat(), file.tell()) {
            (Ok(stat), Ok(position)) => stat.size <= position,
            _ => false,
        },
        _ => false,
    }
}

impl Event {
    fn put(&self, record: &mut [u8]) {
        record.fill(0);
        record[..8].copy_from_slice(&self.userdata.to_le_bytes());
        record[10] = self.kind;
        if self.kind != EVENT_CLOCK {
            // how much can be read is a hint that nobody may count on: at least one byte, as wasmtime says
            record[16..24].copy_from_slice(&1u64.to_le_bytes());
        }
        if self.hangup {
            record[24..26].copy_from_slice(&READWRITE_HANGUP.to_le_bytes());
        }
    }
}
