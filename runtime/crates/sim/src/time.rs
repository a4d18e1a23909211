//! Instants, the clock and waiting. Owns no thread: the backends drive the timers.

use std::fmt;
use std::future::Future;
use std::ops::{Add, Sub};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::virt;

/// The wall clock at which every virtual run starts: 2026-01-01T00:00:00Z, in nanoseconds since the Unix epoch.
pub const VIRTUAL_EPOCH_NANOS: u64 = 1_767_225_600_000_000_000;

/// Nanoseconds since the Unix epoch.
pub type UnixNanos = u64;

/// A point on the monotonic clock: nanoseconds since the run began. Arithmetic saturates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The beginning of the run.
    pub const ZERO: Self = Self(0);
    /// Later than any timer.
    pub const FAR_FUTURE: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the run began.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the run began.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`, zero if `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_since(earlier)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}s")
    }
}

/// The future did not end in time ([`Clock::timeout`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("deadline has elapsed")]
pub struct Elapsed;

/// The clock of a run. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Kind);

#[derive(Clone)]
enum Kind {
    Virtual(Arc<virt::Core>),
    #[cfg(feature = "real")]
    Real {
        start: std::time::Instant,
    },
}

impl Clock {
    pub(crate) fn virtual_clock(core: Arc<virt::Core>) -> Self {
        Self(Kind::Virtual(core))
    }

    #[cfg(feature = "real")]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the host's monotonic clock")]
    pub(crate) fn real_clock() -> Self {
        Self(Kind::Real { start: std::time::Instant::now() })
    }

    /// Monotonic time since the run began.
    pub fn now(&self) -> Instant {
        match &self.0 {
            Kind::Virtual(core) => core.now(),
            #[cfg(feature = "real")]
            Kind::Real { start } => Instant(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)),
        }
    }

    /// The wall clock. In virtual time it starts at [`VIRTUAL_EPOCH_NANOS`] and moves with [`Clock::now`]. A host clock
    /// before 1970 reads as 0.
    pub fn wall(&self) -> UnixNanos {
        match &self.0 {
            Kind::Virtual(core) => VIRTUAL_EPOCH_NANOS.saturating_add(core.now().as_nanos()),
            #[cfg(feature = "real")]
            Kind::Real { .. } => wall_of_host(),
        }
    }

    /// Waits for `duration`; a duration beyond the clock's range waits for ever.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now() + duration)
    }

    /// Waits until `deadline`; ready at once if it has passed.
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        match &self.0 {
            Kind::Virtual(core) => Sleep(SleepKind::Virtual(virt::Timer::new(core.clone(), deadline))),
            #[cfg(feature = "real")]
            Kind::Real { start } => Sleep(SleepKind::real(*start, deadline)),
        }
    }

    /// Runs `future` for at most `duration`.
    pub async fn timeout<F: Future>(&self, duration: Duration, future: F) -> Result<F::Output, Elapsed> {
        let mut sleep = self.sleep(duration);
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            Pin::new(&mut sleep).poll(cx).map(|()| Err(Elapsed))
        })
        .await
    }
}

#[cfg(feature = "real")]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the host's wall clock")]
fn wall_of_host() -> UnixNanos {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// A wait made by [`Clock::sleep`]. Dropping it takes its timer away.
#[must_use = "a sleep does nothing until it is polled"]
pub struct Sleep(SleepKind);

enum SleepKind {
    Virtual(virt::Timer),
    /// The timer is made at the first poll, which is in the runtime; this may not be.
    #[cfg(feature = "real")]
    Real {
        deadline: std::time::Instant,
        timer: Option<Pin<Box<tokio::time::Sleep>>>,
    },
    #[cfg(feature = "real")]
    Never,
}

#[cfg(feature = "real")]
impl SleepKind {
    fn real(start: std::time::Instant, deadline: Instant) -> Self {
        match start.checked_add(Duration::from_nanos(deadline.as_nanos())) {
            Some(at) if deadline != Instant::FAR_FUTURE => Self::Real { deadline: at, timer: None },
            _ => Self::Never,
        }
    }
}

impl Future for Sleep {
    type Output = ();
    #[cfg_attr(feature = "real", expect(clippy::disallowed_methods, reason = "the real backend's timers are tokio's"))]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.get_mut().0 {
            SleepKind::Virtual(timer) => timer.poll(cx),
            #[cfg(feature = "real")]
            SleepKind::Real { deadline, timer } => {
                let deadline = (*deadline).into();
                timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline))).as_mut().poll(cx)
            }
            #[cfg(feature = "real")]
            SleepKind::Never => Poll::Pending,
        }
    }
}
