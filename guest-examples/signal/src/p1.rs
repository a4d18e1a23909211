//! What WASI 0.1 has: handlers and EINTR.
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use wasmpod_sdk::ipc::{OpenOptions, Queue, QueueLimits, Segment, Semaphore};
use wasmpod_sdk::process::{MaskHow, Signal, SignalFd, SignalInfo, SignalSet, on_signal, raise, set_mask, suspend};

static CAUGHT: AtomicU32 = AtomicU32::new(0);

fn catch(signal: Signal) {
    CAUGHT.store(signal.0.into(), Relaxed);
    println!("caught {}", signal.0);
}

pub fn case(args: &[&str]) {
    match args {
        ["graceful", code] => graceful(code),
        ["interrupted"] => interrupted(),
        ["restarted"] => restarted(),
        ["ipc"] => ipc(),
        ["ipc-restarted"] => ipc_restarted(),
        ["handlers"] => handlers(),
        _ => {
            println!("no such case: {args:?}");
            std::process::exit(2);
        }
    }
}

/// Sleeps until SIGTERM, then exits with a code of its own.
fn graceful(code: &str) {
    on_signal(Signal::TERM, catch, false).expect("allowed");
    println!("waiting");
    while CAUGHT.load(Relaxed) == 0 {
        let (_, errno) = poll(&[clock(3_600_000_000_000)]);
        println!("sleep: errno {errno}");
    }
    std::process::exit(code.parse().expect("a code"));
}

/// Waits in three kinds of calls; SIGUSR1 ends each with EINTR (27).
fn interrupted() {
    on_signal(Signal::USR1, catch, false).expect("allowed");
    // the first preopen is the listening socket of the container's port
    // SAFETY: no pointers of ours
    let accepted = unsafe { wasip1::sock_accept(3, 0) };
    println!("accept: errno {}", accepted.err().map_or(0, |errno| errno.raw()));
    let (_, errno) = poll(&[clock(3_600_000_000_000)]);
    println!("sleep: errno {errno}");
    let fd = SignalFd::open(SignalSet::of(&[Signal::USR2])).expect("a descriptor");
    println!("read: {}", fd.wait().expect_err("interrupted").symbol());
}

/// The same, but with SA_RESTART: the sleep goes on to its end.
fn restarted() {
    on_signal(Signal::USR1, catch, true).expect("allowed");
    let start = std::time::Instant::now();
    std::thread::sleep(std::time::Duration::from_secs(2));
    println!("slept {} s", start.elapsed().as_secs());
}

/// Waits in each call of the pod's IPC that waits; SIGTERM ends each with EINTR.
fn ipc() {
    on_signal(Signal::TERM, catch, false).expect("allowed");
    let limits = QueueLimits { max_messages: 1, message_size: 8 };
    let queue = Queue::open("/q", OpenOptions::create(), Some(limits)).expect("room");
    let lock = Semaphore::open("/s", OpenOptions::create(), 0).expect("room");
    let memory = Segment::open("/m", OpenOptions::create()).expect("room");
    memory.set_size(8).expect("room");
    let hour = std::time::Duration::from_secs(3600);
    let symbol = |error: wasmpod_sdk::Error| error.symbol();
    println!("mq_receive: {:?}", queue.receive(&mut [0; 8]).map_err(symbol));
    queue.send(&[1], 0).expect("room");
    println!("mq_timedsend: {:?}", queue.send_timeout(&[2], 0, hour).map_err(symbol));
    println!("sem_wait: {:?}", lock.wait().map_err(symbol));
    println!("shm_wait: {:?}", memory.wait(0, 0).map_err(symbol));
    println!("poll: {:?}", wasmpod_sdk::poll::poll(&[&lock.ready()]).map_err(symbol));
    // what was interrupted took nothing
    println!("left: {} messages, value {}", queue.status().expect("open").1, lock.value().expect("open"));
}

/// The same, but with SA_RESTART: the call goes on to its deadline.
fn ipc_restarted() {
    on_signal(Signal::TERM, catch, true).expect("allowed");
    let queue = Queue::open("/q", OpenOptions::create(), None).expect("room");
    let received = queue.receive_timeout(&mut [0; 8192], std::time::Duration::from_secs(2));
    println!("mq_timedreceive: {:?}", received.map_err(|error| error.symbol()));
}

/// Handlers of signals that the program sends itself.
fn handlers() {
    for signal in [Signal::USR1, Signal::USR2] {
        on_signal(signal, catch, false).expect("allowed");
    }
    raise(Signal::USR1).expect("a signal");
    assert_eq!(CAUGHT.load(Relaxed), 10); // before the call returned
    let both = SignalSet::of(&[Signal::USR1, Signal::USR2]);
    set_mask(MaskHow::Block, both);
    raise(Signal::USR2).expect("a signal");
    raise(Signal::USR1).expect("a signal");
    assert_eq!(CAUGHT.load(Relaxed), 10);
    println!("blocked");
    suspend(SignalSet::of(&[Signal::USR1]));
    assert_eq!(CAUGHT.load(Relaxed), 12);
    println!("suspended");
    set_mask(MaskHow::Set, SignalSet::default());
    println!("done");
}

fn clock(nanos: u64) -> wasip1::Subscription {
    wasip1::Subscription {
        userdata: 0,
        u: wasip1::SubscriptionU {
            tag: wasip1::EVENTTYPE_CLOCK.raw(),
            u: wasip1::SubscriptionUU {
                clock: wasip1::SubscriptionClock {
                    id: wasip1::CLOCKID_MONOTONIC,
                    timeout: nanos,
                    precision: 0,
                    flags: 0,
                },
            },
        },
    }
}

fn readable(fd: u32, userdata: u64) -> wasip1::Subscription {
    wasip1::Subscription {
        userdata,
        u: wasip1::SubscriptionU {
            tag: wasip1::EVENTTYPE_FD_READ.raw(),
            u: wasip1::SubscriptionUU { fd_read: wasip1::SubscriptionFdReadwrite { file_descriptor: fd } },
        },
    }
}

/// What is ready, by userdata, and the error number.
fn poll(subscriptions: &[wasip1::Subscription]) -> (Vec<u64>, u16) {
    let mut events = Vec::with_capacity(subscriptions.len());
    // SAFETY: there is room for an event of each subscription
    let result = unsafe { wasip1::poll_oneoff(subscriptions.as_ptr(), events.as_mut_ptr(), subscriptions.len()) };
    match result {
        Ok(count) => {
            // SAFETY: so many were written
            unsafe { events.set_len(count) };
            (events.iter().map(|event: &wasip1::Event| event.userdata).collect(), 0)
        }
        Err(errno) => (Vec::new(), errno.raw()),
    }
}

pub fn wait(fd: &SignalFd) -> SignalInfo {
    let (ready, errno) = poll(&[readable(fd.fd(), 1), clock(3_600_000_000_000)]);
    assert_eq!((ready, errno), (vec![1], 0));
    fd.wait().expect("pending")
}

/// A signal, or 200 ms. The listening socket of the container's port is polled along with them.
pub fn wait_or_tick(fd: &SignalFd) -> Option<SignalInfo> {
    let (ready, errno) = poll(&[readable(fd.fd(), 1), clock(200_000_000), readable(3, 2)]);
    assert_eq!(errno, 0);
    assert!(!ready.contains(&2), "nobody connects");
    ready.contains(&1).then(|| fd.wait().expect("pending"))
}
