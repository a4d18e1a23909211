//! `wasi:clocks` over the clock of the process, real or virtual. Owns the timers that a guest subscribes to.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use wasmpod_kernel::sim::{Clock, Instant};
use wasmpod_kernel::wchan::{self, WaitOn};
use wasmtime::component::Resource;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

use super::CALL_FUEL;
use super::bindings::clocks::{monotonic_clock, timezone, wall_clock};
use crate::Ctx;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What a pollable of the monotonic clock waits for.
pub(crate) struct Deadline {
    clock: Clock,
    at: Instant,
    /// The deadline had passed when it was made. A guest that polls with a timeout of 0 in a loop lets the others run once each
    /// time; else it would starve the very sockets it asks about.
    give_way: bool,
}

#[async_trait]
impl Pollable for Deadline {
    async fn ready(&mut self) {
        if std::mem::take(&mut self.give_way) {
            let mut gave_way = false;
            return poll_fn(|cx| {
                if std::mem::replace(&mut gave_way, true) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
        if self.clock.now() < self.at {
            let mut sleep = self.clock.sleep_until(self.at);
            poll_fn(|cx| {
                let polled = Pin::new(&mut sleep).poll(cx);
                if polled.is_pending() {
                    wchan::note(|| WaitOn::Clock(self.at));
                }
                polled
            })
            .await;
        }
    }
}

impl Ctx {
    fn subscribe_deadline(&mut self, at: Instant) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(CALL_FUEL);
        let clock = self.process.clock().clone();
        let give_way = at <= clock.now();
        // the timer itself is no handle of the guest: it goes with its pollable
        let deadline = self.table.push(Deadline { clock, at, give_way })?;
        subscribe(&mut self.table, deadline)
    }
}

impl monotonic_clock::Host for Ctx {
    fn now(&mut self) -> wasmtime::Result<monotonic_clock::Instant> {
        self.charge(CALL_FUEL);
        Ok(self.process.clock().now().as_nanos())
    }

    fn resolution(&mut self) -> wasmtime::Result<monotonic_clock::Duration> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: monotonic_clock::Instant) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_deadline(Instant::from_nanos(when))
    }

    fn subscribe_duration(&mut self, when: monotonic_clock::Duration) -> wasmtime::Result<Resource<DynPollable>> {
        let at = self.process.clock().now() + Duration::from_nanos(when);
        self.subscribe_deadline(at)
    }
}

impl wall_clock::Host for Ctx {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        self.charge(CALL_FUEL);
        Ok(datetime(self.process.wall()))
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: 1 })
    }
}

/// A container's clock is in UTC, as in an image without `/etc/localtime`.
impl timezone::Host for Ctx {
    fn display(&mut self, _when: wall_clock::Datetime) -> wasmtime::Result<timezone::TimezoneDisplay> {
        Ok(timezone::TimezoneDisplay { utc_offset: 0, name: "UTC".to_owned(), in_daylight_saving_time: false })
    }

    fn utc_offset(&mut self, _when: wall_clock::Datetime) -> wasmtime::Result<i32> {
        Ok(0)
    }
}

/// The WIT's form of nanoseconds since the Unix epoch.
pub(crate) fn datetime(nanos: u64) -> wall_clock::Datetime {
    let nanoseconds = u32::try_from(nanos % NANOS_PER_SECOND).unwrap_or(0);
    wall_clock::Datetime { seconds: nanos / NANOS_PER_SECOND, nanoseconds }
}

/// Nanoseconds since the Unix epoch; `None` beyond the year 2554, which does not fit.
pub(crate) fn unix_nanos(time: wall_clock::Datetime) -> Option<u64> {
    time.seconds.checked_mul(NANOS_PER_SECOND)?.checked_add(u64::from(time.nanoseconds))
}
