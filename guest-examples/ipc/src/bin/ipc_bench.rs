//! `ipc_bench SIDE ROUNDS`: how long round trips and copies take, measured from inside. One container is `mq-ping` or `sem-ping`, the other
//! `mq-pong` or `sem-pong`; `sem-alone` and `shm` need no other.
use std::time::Instant;

use guest_ipc::{arg, must, number};
use wasmpod_sdk::ipc::{OpenOptions, Queue, QueueLimits, Segment, Semaphore};

const CREATE: OpenOptions = OpenOptions::create();
/// Bytes of a message.
const MESSAGE: usize = 64;
/// Bytes of a copy.
const COPY: usize = 1 << 20;

fn main() {
    let (side, rounds) = (arg(1), number(2));
    match side.as_str() {
        "mq-ping" => mq(rounds, "/there", "/back", true),
        "mq-pong" => mq(rounds, "/back", "/there", false),
        "sem-ping" => sem(rounds, "/there", "/back", true),
        "sem-pong" => sem(rounds, "/back", "/there", false),
        "sem-alone" => sem_alone(rounds),
        "shm" => shm(rounds),
        other => {
            eprintln!("no side {other:?}");
            std::process::exit(2)
        }
    }
}

fn report(name: &str, begin: Instant, rounds: u64, bytes: u64) {
    println!("{name} ns_total={} rounds={rounds} bytes={bytes}", begin.elapsed().as_nanos());
}

fn mq(rounds: u64, to: &str, from: &str, asks: bool) {
    let limits = Some(QueueLimits { max_messages: 8, message_size: MESSAGE as u32 });
    let open = |name: &str| must(name, Queue::open(name, CREATE, limits));
    let (to, from, mut buffer) = (open(to), open(from), [7; MESSAGE]);
    let once = |buffer: &mut [u8; MESSAGE]| {
        if asks {
            must("send", to.send(buffer, 0));
            must("receive", from.receive(buffer));
        } else {
            must("receive", from.receive(buffer));
            must("send", to.send(buffer, 0));
        }
    };
    once(&mut buffer); // both are there
    let begin = Instant::now();
    (0..rounds).for_each(|_| once(&mut buffer));
    if asks {
        report("mq_ping", begin, rounds, rounds * 2 * MESSAGE as u64);
    }
}

fn sem(rounds: u64, to: &str, from: &str, asks: bool) {
    let open = |name: &str| must(name, Semaphore::open(name, CREATE, 0));
    let (to, from) = (open(to), open(from));
    let once = || {
        if asks {
            must("post", to.post());
            must("wait", from.wait());
        } else {
            must("wait", from.wait());
            must("post", to.post());
        }
    };
    once();
    let begin = Instant::now();
    (0..rounds).for_each(|_| once());
    if asks {
        report("sem_ping", begin, rounds, 0);
    }
}

fn sem_alone(rounds: u64) {
    let semaphore = must("/alone", Semaphore::open("/alone", CREATE, 0));
    let begin = Instant::now();
    for _ in 0..rounds {
        must("post", semaphore.post());
        must("wait", semaphore.wait());
    }
    report("sem_alone", begin, rounds, 0);
}

fn shm(rounds: u64) {
    let memory = must("/memory", Segment::open("/memory", CREATE));
    must("set_size", memory.set_size(COPY as u64));
    let mut buffer = vec![7; COPY];
    must("write", memory.write(0, &buffer)); // touched
    let begin = Instant::now();
    for _ in 0..rounds {
        must("write", memory.write(0, &buffer));
        must("read", memory.read(0, &mut buffer));
    }
    report("shm_copy", begin, rounds, rounds * 2 * COPY as u64);
}
