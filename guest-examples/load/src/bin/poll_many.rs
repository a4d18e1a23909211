//! `poll_many [COUNT]`: one poll over COUNT timers (and an output stream), again and again until each timer went off.
//!
//! Timer i is due after (i % 10 + 1) × 5 ms, so many are due at once; they must come in order of their times.
use std::process::exit;

fn main() {
    let count = guest_load::number(1, 100);
    let order = sys::poll_all(count);
    if order.len() as u64 != count {
        println!("FAILED {} of {count} timers went off", order.len());
        exit(1);
    }
    if let Some(pair) = order.windows(2).find(|pair| pair[0] % 10 > pair[1] % 10) {
        println!("FAILED timer {} came before timer {}", pair[0], pair[1]);
        exit(1);
    }
    println!("{count} timers in order");
}

#[cfg(target_env = "p1")]
mod sys {
    use wasip1::{
        CLOCKID_MONOTONIC, EVENTTYPE_CLOCK, EVENTTYPE_FD_WRITE, Event, Subscription, SubscriptionClock,
        SubscriptionFdReadwrite, SubscriptionU, SubscriptionUU,
    };

    const STDOUT: u32 = 1;
    const STDOUT_TAG: u64 = u64::MAX;

    pub fn poll_all(count: u64) -> Vec<u64> {
        // SAFETY: the clock is one of the standard's
        let start = unsafe { wasip1::clock_time_get(CLOCKID_MONOTONIC, 1) }.unwrap_or_else(|e| fail("clock", e));
        let timer = |i: u64| Subscription {
            userdata: i,
            u: SubscriptionU {
                tag: EVENTTYPE_CLOCK.raw(),
                u: SubscriptionUU {
                    clock: SubscriptionClock {
                        id: CLOCKID_MONOTONIC,
                        timeout: start + (i % 10 + 1) * 5_000_000,
                        precision: 0,
                        flags: wasip1::SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME,
                    },
                },
            },
        };
        // standard output can be written at once: it must not keep the timers from being seen, nor be lost among them
        let output = Subscription {
            userdata: STDOUT_TAG,
            u: SubscriptionU {
                tag: EVENTTYPE_FD_WRITE.raw(),
                u: SubscriptionUU { fd_write: SubscriptionFdReadwrite { file_descriptor: STDOUT } },
            },
        };
        let first = poll(&[timer(0), output]);
        if !first.contains(&STDOUT_TAG) {
            println!("FAILED standard output was not ready");
            std::process::exit(1);
        }
        let (mut left, mut order): (Vec<u64>, Vec<u64>) = ((0..count).collect(), Vec::new());
        while !left.is_empty() {
            let mut fired = poll(&left.iter().map(|i| timer(*i)).collect::<Vec<_>>());
            fired.sort_by_key(|i| (i % 10, *i));
            left.retain(|i| !fired.contains(i));
            order.extend(fired);
        }
        order
    }

    fn poll(wanted: &[Subscription]) -> Vec<u64> {
        let mut events: Vec<Event> = Vec::with_capacity(wanted.len());
        // SAFETY: there is room for as many events as subscriptions, and the host says how many it wrote
        unsafe {
            let n = wasip1::poll_oneoff(wanted.as_ptr(), events.as_mut_ptr(), wanted.len())
                .unwrap_or_else(|e| fail("poll_oneoff", e));
            events.set_len(n);
        }
        events.iter().map(|e| e.userdata).collect()
    }

    fn fail(what: &str, e: wasip1::Errno) -> ! {
        println!("FAILED {what}: {}", e.name());
        std::process::exit(1)
    }
}

#[cfg(target_env = "p2")]
mod sys {
    use wasip2::{cli::stdout::get_stdout, clocks::monotonic_clock, io::poll::poll};

    pub fn poll_all(count: u64) -> Vec<u64> {
        let start = monotonic_clock::now();
        let timer = |i: u64| monotonic_clock::subscribe_instant(start + (i % 10 + 1) * 5_000_000);
        // standard output can be written at once: it must not keep the timers from being seen, nor be lost among them
        let (output, early) = (get_stdout(), timer(0));
        let writable = output.subscribe();
        if !poll(&[&early, &writable]).contains(&1) {
            println!("FAILED standard output was not ready");
            std::process::exit(1);
        }
        let timers: Vec<_> = (0..count).map(timer).collect();
        let (mut left, mut order): (Vec<u64>, Vec<u64>) = ((0..count).collect(), Vec::new());
        while !left.is_empty() {
            let wanted: Vec<_> = left.iter().map(|i| &timers[*i as usize]).collect();
            let mut fired: Vec<u64> = poll(&wanted).into_iter().map(|at| left[at as usize]).collect();
            fired.sort_by_key(|i| (i % 10, *i));
            left.retain(|i| !fired.contains(i));
            order.extend(fired);
        }
        order
    }
}
