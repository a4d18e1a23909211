//! The crash loop's back-off (client-go/util/flowcontrol/backoff.go, kuberuntime_manager.go `doBackOff`): the first start after an
//! exit is at once, then the delay from the exit is 10 s and doubles to 300 s; an exit more than 600 s after the last step starts
//! over. Exit code 0 counts like any other.

use std::time::Duration;

use wasmpod_sim::Instant;

/// The first delay.
pub const INITIAL: Duration = Duration::from_secs(10);
/// The longest delay.
pub const MAX: Duration = Duration::from_secs(300);
/// A container that ran this long since the last step has recovered: twice [`MAX`].
pub const RESET: Duration = Duration::from_secs(600);

/// The back-off of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackOff {
    step: Option<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    delay: Duration,
    at: Instant,
}

impl BackOff {
    /// The delay and the time until which a container that ended at `exit` has to wait, if it has to at `now`.
    pub fn holds(&self, exit: Instant, now: Instant) -> Option<(Duration, Instant)> {
        let step = self.live(exit)?;
        let until = exit + step.delay;
        (now < until).then_some((step.delay, until))
    }

    /// Notes that a container that ended at `exit` starts again at `now`: the next delay is longer.
    pub fn advance(&mut self, exit: Instant, now: Instant) {
        let delay = self.live(exit).map_or(INITIAL, |step| (step.delay * 2).min(MAX));
        self.step = Some(Step { delay, at: now });
    }

    /// The step, unless `exit` came so long after it that it is forgotten.
    fn live(&self, exit: Instant) -> Option<Step> {
        self.step.filter(|step| exit.saturating_since(step.at) <= RESET)
    }
}

/// A duration as Go prints it, as far as back-offs need: `10s`, `1m20s`, `5m0s`, `1h0m0s`.
pub fn go_duration(duration: Duration) -> String {
    let (all, millis) = (duration.as_secs(), duration.subsec_millis());
    let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
    let seconds = if millis == 0 {
        format!("{seconds}s")
    } else {
        format!("{}s", format!("{seconds}.{millis:03}").trim_end_matches('0'))
    };
    match (hours, minutes) {
        (0, 0) if all == 0 && millis > 0 => format!("{millis}ms"),
        (0, 0) => seconds,
        (0, _) => format!("{minutes}m{seconds}"),
        _ => format!("{hours}h{minutes}m{seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    /// The delays that a container that always fails at once meets.
    #[test]
    fn delays_are_those_of_a_crash_loop() {
        let mut back_off = BackOff::default();
        let mut now = at(5);
        let mut waits = Vec::new();
        for _ in 0..9 {
            let exit = now;
            let wait = match back_off.holds(exit, now) {
                Some((delay, until)) => {
                    now = until;
                    delay.as_secs()
                }
                None => 0,
            };
            assert_eq!(back_off.holds(exit, now), None, "at its end the wait is over");
            back_off.advance(exit, now);
            waits.push(wait);
        }
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300, 300]);
    }

    #[test]
    fn a_long_run_starts_over() {
        let mut back_off = BackOff::default();
        back_off.advance(at(0), at(0));
        back_off.advance(at(1), at(10));
        assert_eq!(back_off.holds(at(610), at(610)), Some((Duration::from_secs(20), at(630))));
        assert_eq!(back_off.holds(at(611), at(611)), None);
        back_off.advance(at(611), at(611));
        assert_eq!(back_off.holds(at(612), at(612)), Some((Duration::from_secs(10), at(622))));
    }

    #[test]
    fn durations_look_like_gos() {
        let text = |ms| go_duration(Duration::from_millis(ms));
        assert_eq!([text(10_000), text(80_000), text(300_000), text(3_600_000)], ["10s", "1m20s", "5m0s", "1h0m0s"]);
        assert_eq!([text(0), text(250), text(1_500)], ["0s", "250ms", "1.5s"]);
    }
}
