//! One cgroup's CPU quota: fuel per period, debt, and the statistics of throttling. A state machine without a lock or a clock;
//! follows CFS bandwidth control (Documentation/scheduler/sched-bwc.rst, kernel/sched/fair.c `do_sched_cfs_period_timer`).
//!
//! Periods are aligned to the clock: period `n` is `[n × 100 ms, (n + 1) × 100 ms)`. At each period's start the quota is filled up:
//! what was left over is lost, what was used too much is paid first.
//!
//! The statistics, as this simulation defines them:
//! - `nr_periods`: ends of periods in which the cgroup had a limit and something in it ran, waited for a CPU or was throttled.
//! - `nr_throttled`: ends of periods at which the cgroup was throttled. (Linux counts both when its period timer fires.)
//! - `throttled_usec`: the time from the first refusal for lack of quota to the start of the period in which there is quota again.
//!   It is added when the wait ends, as on Linux. One interval counts once, however many processes waited in it, where Linux
//!   adds up the CPUs on which they did.

use wasmpod_sim::Instant;

/// The length of a period in nanoseconds: Kubernetes' `QuotaPeriod` and the kernel's default, 100 ms.
pub(super) const PERIOD_NANOS: u64 = 100_000_000;
/// The most fuel a quota may be, so that sums of two cannot overflow.
const MAX_QUOTA: i64 = i64::MAX / 4;

/// The start of period `period`.
fn start_of(period: u64) -> Instant {
    Instant::from_nanos(period.saturating_mul(PERIOD_NANOS))
}

#[derive(Debug, Default)]
pub(super) struct Bandwidth {
    /// Fuel per period; `None` is no limit.
    quota: Option<i64>,
    /// The period that `remaining` is about.
    period: u64,
    /// What may still be used in it; negative is debt. Never above `quota`.
    remaining: i64,
    /// Something ran or wanted to in this period.
    runnable: bool,
    /// When something was first refused, while it is.
    throttled_since: Option<Instant>,
    pub(super) nr_periods: u64,
    pub(super) nr_throttled: u64,
    throttled_nanos: u64,
}

impl Bandwidth {
    pub(super) fn is_limited(&self) -> bool {
        self.quota.is_some()
    }

    pub(super) fn throttled_usec(&self) -> u64 {
        self.throttled_nanos / 1_000
    }

    /// Sets or lifts the limit. Fuel used in this period stays used.
    pub(super) fn set_quota(&mut self, quota_fuel: Option<u64>, now: Instant, occupied: bool) {
        self.refresh(now, occupied);
        let quota = quota_fuel.map(|fuel| i64::try_from(fuel).unwrap_or(MAX_QUOTA).clamp(1, MAX_QUOTA));
        match (self.quota, quota) {
            (Some(old), Some(new)) => self.remaining = self.remaining.saturating_add(new - old).min(new),
            (None, Some(new)) => {
                self.period = now.as_nanos() / PERIOD_NANOS;
                self.remaining = new;
                self.runnable = occupied;
            }
            (_, None) => self.end_throttle(now),
        }
        self.quota = quota;
        if self.remaining > 0 {
            self.end_throttle(now);
        }
    }

    /// Moves on to the period of `now` and counts the periods that ended. `occupied`: something in the cgroup runs or waits for a
    /// CPU, and did so since the last call.
    pub(super) fn refresh(&mut self, now: Instant, occupied: bool) {
        let Some(quota) = self.quota else { return };
        if now < start_of(self.period.saturating_add(1)) {
            return;
        }
        let current = now.as_nanos() / PERIOD_NANOS;
        let ended = current - self.period;
        let throttled = if self.throttled_since.is_some() { self.periods_in_debt(quota).max(1).min(ended) } else { 0 };
        if let Some(since) = self.throttled_since
            && self.remaining.saturating_add(fill(quota, throttled)) > 0
        {
            let until = start_of(self.period + throttled);
            self.throttled_nanos =
                self.throttled_nanos.saturating_add(until.as_nanos().saturating_sub(since.as_nanos()));
            self.throttled_since = None;
        }
        self.nr_throttled += throttled;
        self.nr_periods += match (occupied, throttled) {
            (true, _) => ended,
            (false, 0) => u64::from(self.runnable),
            (false, throttled) => throttled,
        };
        self.remaining = self.remaining.saturating_add(fill(quota, ended)).min(quota);
        self.period = current;
        self.runnable = occupied;
    }

    /// When there is quota again, if there is none now. Call [`Bandwidth::refresh`] first.
    pub(super) fn blocked_until(&self) -> Option<Instant> {
        let quota = self.quota?;
        (self.remaining <= 0).then(|| start_of(self.period.saturating_add(self.periods_in_debt(quota))))
    }

    /// Notes that something wants to run in this period.
    pub(super) fn note_runnable(&mut self) {
        self.runnable = true;
    }

    /// Notes that something was refused.
    pub(super) fn throttle(&mut self, now: Instant) {
        self.throttled_since.get_or_insert(now);
    }

    /// What may be used at most now; `None` is no limit. Call [`Bandwidth::refresh`] first.
    pub(super) fn available(&self) -> Option<u64> {
        self.quota.map(|_| self.remaining.max(0).unsigned_abs())
    }

    /// Sets fuel aside for something that starts to run. What it does not use comes back by [`Bandwidth::settle`].
    pub(super) fn reserve(&mut self, fuel: u64, now: Instant) -> Reservation {
        if self.quota.is_some() {
            self.end_throttle(now);
            self.remaining = self.remaining.saturating_sub(signed(fuel));
        }
        Reservation { period: self.period }
    }

    /// Corrects a reservation by what was really used. Fuel that is left over of an earlier period is lost with that period.
    pub(super) fn settle(&mut self, reservation: Reservation, reserved: u64, used: u64) {
        let Some(quota) = self.quota else { return };
        if used >= reserved {
            self.remaining = self.remaining.saturating_sub(signed(used - reserved));
        } else if reservation.period == self.period {
            self.remaining = self.remaining.saturating_add(signed(reserved - used)).min(quota);
        }
    }

    /// How many periods must start before `remaining` is positive; 0 if it is.
    fn periods_in_debt(&self, quota: i64) -> u64 {
        if self.remaining > 0 { 0 } else { self.remaining.unsigned_abs() / quota.unsigned_abs() + 1 }
    }

    fn end_throttle(&mut self, now: Instant) {
        if let Some(since) = self.throttled_since.take() {
            self.throttled_nanos = self.throttled_nanos.saturating_add(now.as_nanos().saturating_sub(since.as_nanos()));
        }
    }
}

/// In which period fuel was reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reservation {
    period: u64,
}

fn signed(fuel: u64) -> i64 {
    i64::try_from(fuel).unwrap_or(i64::MAX)
}

/// What `periods` periods bring.
fn fill(quota: i64, periods: u64) -> i64 {
    quota.saturating_mul(signed(periods))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * MS)
    }

    fn limited(quota: u64) -> Bandwidth {
        let mut bandwidth = Bandwidth::default();
        bandwidth.set_quota(Some(quota), at(0), false);
        bandwidth
    }

    /// Runs `fuel` at `from` and gives back at `to`.
    fn run(bandwidth: &mut Bandwidth, from: u64, to: u64, reserved: u64, used: u64) {
        bandwidth.refresh(at(from), false);
        bandwidth.note_runnable();
        let reservation = bandwidth.reserve(reserved, at(from));
        bandwidth.refresh(at(to), true);
        bandwidth.settle(reservation, reserved, used);
    }

    #[test]
    fn what_is_left_of_a_period_is_lost() {
        let mut bandwidth = limited(100);
        run(&mut bandwidth, 10, 20, 50, 30);
        assert_eq!(bandwidth.available(), Some(70));
        bandwidth.refresh(at(100), false);
        assert_eq!(bandwidth.available(), Some(100));
        assert_eq!((bandwidth.nr_periods, bandwidth.nr_throttled), (1, 0));
        bandwidth.refresh(at(5_000), false);
        assert_eq!((bandwidth.available(), bandwidth.nr_periods), (Some(100), 1)); // idle periods do not count
    }

    #[test]
    fn debt_is_paid_by_the_periods_that_follow_and_all_of_them_count_as_throttled() {
        let mut bandwidth = limited(100);
        run(&mut bandwidth, 0, 40, 100, 350); // 250 of debt: paid with the third period from here
        assert_eq!(bandwidth.blocked_until(), Some(at(300)));
        bandwidth.note_runnable();
        bandwidth.throttle(at(40));
        bandwidth.refresh(at(299), false);
        assert_eq!(bandwidth.blocked_until(), Some(at(300)));
        assert_eq!((bandwidth.nr_periods, bandwidth.nr_throttled, bandwidth.throttled_usec()), (2, 2, 0));
        bandwidth.refresh(at(300), false);
        assert_eq!(bandwidth.available(), Some(50));
        assert_eq!((bandwidth.nr_periods, bandwidth.nr_throttled, bandwidth.throttled_usec()), (3, 3, 260_000));
    }

    #[test]
    fn debt_of_exactly_one_quota_takes_one_period_more() {
        let mut bandwidth = limited(100);
        run(&mut bandwidth, 0, 10, 100, 200);
        assert_eq!(bandwidth.blocked_until(), Some(at(200))); // at 100 ms there is 0, which is nothing to run with
    }

    #[test]
    fn a_slice_over_a_period_s_end_is_charged_to_the_period_of_its_grant() {
        let mut bandwidth = limited(100);
        run(&mut bandwidth, 95, 105, 60, 40);
        assert_eq!((bandwidth.available(), bandwidth.nr_periods), (Some(100), 1));
        run(&mut bandwidth, 195, 205, 60, 70); // the 10 beyond the grant are of the new period
        assert_eq!(bandwidth.available(), Some(90));
    }

    #[test]
    fn a_raised_limit_ends_the_wait_and_a_lowered_one_makes_debt() {
        let mut bandwidth = limited(100);
        run(&mut bandwidth, 0, 10, 100, 100);
        bandwidth.throttle(at(10));
        bandwidth.set_quota(Some(150), at(30), false);
        assert_eq!((bandwidth.available(), bandwidth.throttled_usec()), (Some(50), 20_000));
        bandwidth.set_quota(Some(20), at(30), false);
        assert_eq!(bandwidth.blocked_until(), Some(at(500))); // 80 too much, 20 a period, and one in which to run
        bandwidth.set_quota(None, at(31), false);
        assert_eq!(bandwidth.blocked_until(), None);
    }

    #[test]
    fn no_number_overflows() {
        let mut bandwidth = Bandwidth::default();
        bandwidth.set_quota(Some(u64::MAX), at(0), true);
        run(&mut bandwidth, 0, 1, u64::MAX, u64::MAX);
        run(&mut bandwidth, 1, 2, 0, u64::MAX);
        bandwidth.throttle(at(2));
        assert!(bandwidth.blocked_until().is_some());
        bandwidth.refresh(Instant::FAR_FUTURE, true);
        bandwidth.set_quota(Some(1), Instant::FAR_FUTURE, true);
        run(&mut bandwidth, 1, 2, u64::MAX, u64::MAX);
        assert!(bandwidth.blocked_until().is_some());
    }
}
