//! Clocks: the wall clock and the monotonic clock of the world the process lives in, real or virtual.

use std::time::Duration;

use wasmpod_kernel::sim::{Clock, Instant};

use super::errno::{Fail, WasiErrno};
use super::memory::Guest;
use super::types::{CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME, CLOCK_REALTIME, CLOCK_THREAD_CPUTIME};

/// Both clocks count nanoseconds.
const RESOLUTION: u64 = 1;

/// The clocks of CPU time have none: preview 1 answers EBADF for a clock it does not have, as wasmtime does.
pub(super) fn res_get(guest: &mut Guest<'_>, id: u32, out: u32) -> Result<(), Fail> {
    match id {
        CLOCK_REALTIME | CLOCK_MONOTONIC => Ok(guest.memory.put_u64(out, RESOLUTION)?),
        CLOCK_PROCESS_CPUTIME | CLOCK_THREAD_CPUTIME => Err(WasiErrno::BadF.into()),
        _ => Err(WasiErrno::Inval.into()),
    }
}

/// The precision is a hint that nothing is gained from.
pub(super) fn time_get(guest: &mut Guest<'_>, id: u32, _precision: u64, out: u32) -> Result<(), Fail> {
    let clock = guest.ctx.process.clock();
    let now = match id {
        CLOCK_REALTIME => guest.ctx.process.wall(),
        CLOCK_MONOTONIC => clock.now().as_nanos(),
        CLOCK_PROCESS_CPUTIME | CLOCK_THREAD_CPUTIME => return Err(WasiErrno::BadF.into()),
        _ => return Err(WasiErrno::Inval.into()),
    };
    Ok(guest.memory.put_u64(out, now)?)
}

/// When a clock subscription is due, on the monotonic clock. A time that has passed is now; one beyond the clock's range never
/// comes. An absolute wall-clock time is measured once, from `wall`, the process' own: a clock that is set wrong afterwards changes
/// nothing for those who wait.
///
/// # Errors
/// EINVAL for a clock that cannot be waited for.
pub(super) fn deadline(clock: &Clock, wall: u64, id: u32, timeout: u64, absolute: bool) -> Result<Instant, WasiErrno> {
    match (id, absolute) {
        (CLOCK_MONOTONIC, true) => Ok(Instant::from_nanos(timeout)),
        (CLOCK_REALTIME, true) => Ok(clock.now() + Duration::from_nanos(timeout.saturating_sub(wall))),
        (CLOCK_MONOTONIC | CLOCK_REALTIME, false) => Ok(clock.now() + Duration::from_nanos(timeout)),
        _ => Err(WasiErrno::Inval),
    }
}

#[cfg(test)]
mod tests {
    use wasmpod_kernel::sim::Sim;
    use wasmpod_kernel::sim::time::VIRTUAL_EPOCH_NANOS;

    use super::*;

    #[test]
    fn deadlines_saturate_and_the_past_is_now() {
        let sim = Sim::new_virtual(1);
        let clock = sim.clock();
        let nanos = |id, timeout, absolute| deadline(clock, clock.wall(), id, timeout, absolute).map(Instant::as_nanos);
        assert_eq!(nanos(CLOCK_MONOTONIC, 5, false), Ok(5));
        assert_eq!(nanos(CLOCK_MONOTONIC, 5, true), Ok(5));
        assert_eq!(nanos(CLOCK_REALTIME, VIRTUAL_EPOCH_NANOS + 7, true), Ok(7));
        assert_eq!(nanos(CLOCK_REALTIME, 7, true), Ok(0));
        assert_eq!(nanos(CLOCK_REALTIME, u64::MAX, false), Ok(u64::MAX));
        assert_eq!(nanos(CLOCK_PROCESS_CPUTIME, 1, false), Err(WasiErrno::Inval));
        assert_eq!(nanos(99, 1, true), Err(WasiErrno::Inval));
    }
}
