//! `ipc_cases CASE [ARGUMENTS]`: one side of an exchange over the pod's IPC, or a check of its rules.
use std::net::TcpStream;
use std::time::{Duration, Instant};

use guest_ipc::{Listener, arg, expect, must, number};
use wasmpod_sdk::Error;
use wasmpod_sdk::ipc::{OpenOptions, Queue, QueueLimits, Segment, Semaphore};
use wasmpod_sdk::poll::{Pollable, poll};

const CREATE: OpenOptions = OpenOptions::create();
/// Longer than any wait that is meant to end otherwise.
const LONG: Duration = Duration::from_secs(60);

fn main() {
    match arg(1).as_str() {
        "producer" => producer(),
        "consumer" => consumer(),
        "holder" => holder(),
        "waiter" => waiter(),
        "ring-write" => ring_write(number(2) as u32),
        "ring-read" => ring_read(number(2) as u32),
        "poller" => poller(number(2) as u16),
        "poker" => poker(number(2) as u16),
        "keeper" => keeper(),
        "stranger" => stranger(),
        "limits" => limits(),
        "memory" => memory(),
        "rules" => rules(),
        "counter" => counter(number(2), number(3)),
        "stuck" => must("receive", queue("/never").receive(&mut [0; 64]).map(|_| ())),
        "cross" => cross(&arg(2), &arg(3)),
        "twice" => twice(),
        other => {
            eprintln!("no case {other:?}");
            std::process::exit(2)
        }
    }
}

fn queue(name: &str) -> Queue {
    let limits = QueueLimits { max_messages: 16, message_size: 64 };
    must(name, Queue::open(name, CREATE, Some(limits)))
}

fn semaphore(name: &str, value: u32) -> Semaphore {
    must(name, Semaphore::open(name, CREATE, value))
}

/// Takes two locks; another container takes the same two in the other order, and each has its first one before it tries the second.
fn cross(first: &str, second: &str) {
    let (mine, other) = (semaphore(first, 1), semaphore(second, 1));
    must("wait", mine.wait());
    println!("took {first}");
    must("post", semaphore(&format!("{first}-taken"), 0).post());
    must("wait", semaphore(&format!("{second}-taken"), 0).wait());
    must("wait", other.wait());
}

/// Takes a lock that it has.
fn twice() {
    let lock = semaphore("/lock", 1);
    must("wait", lock.wait());
    must("wait", lock.wait());
}

/// Sends jobs out of order; the queue puts them in order.
fn producer() {
    let jobs = queue("/jobs");
    for (text, priority) in [("sweep", 0), ("deploy", 7), ("test", 3), ("rollback", 9), ("build", 3), ("tidy", 0)] {
        must("send", jobs.send(text.as_bytes(), priority));
    }
    println!("sent 6 jobs");
    must("post", semaphore("/ready", 0).post());
    let mut buffer = [0; 64];
    let (len, _) = must("receive", queue("/results").receive(&mut buffer));
    println!("{}", String::from_utf8_lossy(&buffer[..len]));
}

fn consumer() {
    must("wait", semaphore("/ready", 0).wait());
    let (jobs, mut buffer) = (queue("/jobs"), [0; 64]);
    for _ in 0..6 {
        let (len, priority) = must("receive", jobs.receive(&mut buffer));
        println!("{priority} {}", String::from_utf8_lossy(&buffer[..len]));
    }
    expect("an empty queue", jobs.try_receive(&mut buffer), Err(Error::Again));
    must("send", queue("/results").send(b"done: 6", 0));
}

/// Dies with the lock in its hands.
fn holder() {
    let lock = must("/lock", Semaphore::open("/lock", CREATE.undo(), 1));
    must("wait", lock.wait());
    println!("took the lock");
    must("post", semaphore("/taken", 0).post());
    must("wait", semaphore("/tried", 0).wait());
    std::process::abort();
}

fn waiter() {
    must("wait", semaphore("/taken", 0).wait());
    let lock = must("/lock", Semaphore::open("/lock", OpenOptions::new().undo(), 0));
    expect("a held lock", lock.try_wait(), Err(Error::Again));
    println!("the lock is held");
    must("post", semaphore("/tried", 0).post());
    must("wait", lock.wait_timeout(LONG));
    println!("got the lock of the dead, value {}", must("value", lock.value()));
}

/// The ring: numbers of items written and read at 0 and 4, and slots of 8 bytes.
const SLOTS: u32 = 8;
const SLOT: u64 = 8;
const WRITTEN: u64 = 0;
const READ: u64 = 4;

fn ring() -> Segment {
    let ring = must("/ring", Segment::open("/ring", CREATE));
    must("set_size", ring.set_size(8 + u64::from(SLOTS) * SLOT));
    ring
}

fn word(ring: &Segment, at: u64) -> u32 {
    must("load", ring.fetch_add32(at, 0))
}

fn wait(ring: &Segment, at: u64, value: u32) {
    match ring.wait(at, value) {
        Ok(()) | Err(Error::Again) => {}
        Err(error) => must("wait", Err(error)),
    }
}

fn slot(item: u32) -> u64 {
    8 + u64::from(item % SLOTS) * SLOT
}

fn ring_write(items: u32) {
    let ring = ring();
    for item in 0..items {
        loop {
            let read = word(&ring, READ);
            if item - read < SLOTS {
                break;
            }
            wait(&ring, READ, read);
        }
        must("write", ring.write(slot(item), &(u64::from(item) * 3).to_le_bytes()));
        must("add", ring.fetch_add32(WRITTEN, 1));
        must("notify", ring.notify(WRITTEN, 1));
    }
    println!("wrote {items} items");
}

fn ring_read(items: u32) {
    let ring = ring();
    for item in 0..items {
        while word(&ring, WRITTEN) == item {
            wait(&ring, WRITTEN, item);
        }
        let mut bytes = [0; 8];
        must("read", ring.read(slot(item), &mut bytes));
        expect("the item", u64::from_le_bytes(bytes), u64::from(item) * 3);
        must("add", ring.fetch_add32(READ, 1));
        must("notify", ring.notify(READ, 1));
    }
    println!("read {items} items in order");
}

/// Waits for six kinds of things in one call, and says which came.
fn poller(port: u16) {
    let (jobs, tick, told, go) = (queue("/jobs"), semaphore("/tick", 0), queue("/told"), semaphore("/go", 0));
    let memory = must("/memory", Segment::open("/memory", CREATE));
    must("set_size", memory.set_size(64));
    let (socket, notification) = (Listener::on(port), must("notify", told.notify()));
    expect("a second request", told.notify().err(), Some(Error::Busy));
    let things = |clock| {
        let watch = must("watch", memory.watch(0, 0));
        vec![
            ("queue", jobs.readable()),
            ("semaphore", tick.ready()),
            ("memory", watch),
            ("clock", Pollable::timer(clock)),
        ]
    };
    let next = |extra: Vec<(&'static str, Pollable<'_>)>| {
        let mut all = things(LONG);
        all.extend(extra);
        must("post", go.post()); // now the other side may act
        show(&all);
    };
    next(vec![("socket", socket.ready()), ("notification", notification.ready())]);
    must("receive", jobs.try_receive(&mut [0; 64]).map(|_| ()));
    next(vec![("socket", socket.ready()), ("notification", notification.ready())]);
    must("wait", tick.try_wait());
    next(vec![("socket", socket.ready()), ("notification", notification.ready())]);
    must("receive", told.try_receive(&mut [0; 64]).map(|_| ()));
    drop(must("a new request", told.notify())); // the first was told
    next(vec![("socket", socket.ready())]);
    next(vec![("socket", socket.ready())]);
    show(&things(Duration::from_millis(20)));
    show(&[("a word that differs", must("watch", memory.watch(0, 9)))]);
}

/// Polls, and prints the names of what is ready.
fn show(all: &[(&str, Pollable<'_>)]) {
    let list: Vec<_> = all.iter().map(|(_, pollable)| pollable).collect();
    let ready = must("poll", poll(&list));
    let names: Vec<_> = ready.into_iter().map(|at| all[at].0).collect();
    println!("{} of {}", names.join(", "), all.len());
}

/// Does what `poller` waits for, one thing after the other.
fn poker(port: u16) {
    let go = semaphore("/go", 0);
    must("wait", go.wait());
    must("send", queue("/jobs").send(b"job", 0));
    must("wait", go.wait());
    must("post", semaphore("/tick", 0).post());
    must("wait", go.wait());
    must("send", queue("/told").send(b"told", 0));
    must("wait", go.wait());
    let memory = must("/memory", Segment::open("/memory", OpenOptions::new()));
    expect("who watched", must("notify", memory.notify(0, 1)), 1);
    must("wait", go.wait());
    drop(must("connect", TcpStream::connect(("127.0.0.1", port))));
}

/// Makes one of each, and stays until its pod ends.
fn keeper() {
    queue("/mine");
    semaphore("/mine", 1);
    let secret = must("/mine", Segment::open("/mine", CREATE));
    must("set_size", secret.set_size(16));
    must("write", secret.write(0, b"secret of a pod!"));
    println!("made three objects");
    // what nobody posts
    expect("the wait", semaphore("/end", 0).wait_timeout(Duration::from_secs(3)), Err(Error::TimedOut));
}

/// Finds nothing of another pod's, and makes the same names its own.
fn stranger() {
    std::thread::sleep(Duration::from_secs(1));
    let open = OpenOptions::new();
    expect("queue", Queue::open("/mine", open, None).err(), Some(Error::NoEntry));
    expect("semaphore", Semaphore::open("/mine", open, 0).err(), Some(Error::NoEntry));
    expect("segment", Segment::open("/mine", open).err(), Some(Error::NoEntry));
    let segment = must("/mine", Segment::open("/mine", OpenOptions::create_new()));
    must("set_size", segment.set_size(16));
    let mut bytes = [1; 16];
    must("read", segment.read(0, &mut bytes));
    expect("fresh memory", bytes, [0; 16]);
    println!("saw nothing");
}

/// Tries for more than there is of each.
fn limits() {
    let small = Some(QueueLimits { max_messages: 1, message_size: 1 });
    let name = |at: u32| format!("/limit{at}");
    let queues = (0..).map(|at| Queue::open(&name(at), CREATE, small)).position(|queue| queue.is_err());
    println!("queues: {queues:?}");
    println!("queue: {:?}", Queue::open("/more", CREATE, small).err());
    (0..queues.unwrap_or(0) as u32).for_each(|at| must("unlink", Queue::unlink(&name(at))));
    let huge = Some(QueueLimits { max_messages: 1024, message_size: 65_536 });
    println!("huge queue: {:?}", Queue::open("/huge", CREATE, huge).err());
    let beyond = Some(QueueLimits { max_messages: 1025, message_size: 1 });
    println!("too many messages: {:?}", Queue::open("/huge", CREATE, beyond).err());
    let mut held = Vec::new();
    let error = loop {
        match Semaphore::open("/held", CREATE, 0) {
            Ok(semaphore) => held.push(semaphore),
            Err(error) => break error,
        }
    };
    println!("handles: {error:?}, many: {}", held.len() > 900);
    drop(held);
    let semaphores = (0..).map(|at| Semaphore::open(&name(at), CREATE, 0)).position(|one| one.is_err());
    println!("semaphores: {semaphores:?}");
    let big = must("/big", Segment::open("/big", CREATE));
    println!("segment: {:?}", big.set_size((64 << 20) + 1).err());
    let segments = (0..).map(|at| Segment::open(&name(at), CREATE)).position(|one| one.is_err());
    println!("segments: {segments:?}");
}

/// In a container whose memory limit is 8 MiB.
fn memory() {
    let segment = must("/memory", Segment::open("/memory", CREATE));
    println!("segment: {:?}", segment.set_size(32 << 20).err());
    let limits = QueueLimits { max_messages: 200, message_size: 65_536 };
    println!("queue: {:?}", Queue::open("/queue", CREATE, Some(limits)).err());
    must("set_size", segment.set_size(1 << 20));
    println!("still here");
}

/// What one process can find out alone.
fn rules() {
    let open = |name: &str| Queue::open(name, CREATE, None).err();
    let long = format!("/{}", "n".repeat(256));
    let names = ["", "a", "/", "/a/b", "/..", &long].map(|name| open(name).map_or("fine", Error::symbol));
    println!("names: {}", names.join(" "));
    let jobs = queue("/rules");
    expect("exclusive", Queue::open("/rules", OpenOptions::create_new(), None).err(), Some(Error::Exist));
    expect("a long message", jobs.send(&[0; 65], 0), Err(Error::MessageSize));
    expect("a high priority", jobs.send(&[], 32_768), Err(Error::Invalid));
    expect("a small buffer", jobs.try_receive(&mut [0; 63]), Err(Error::MessageSize));
    let reader = must("/rules", Queue::open("/rules", OpenOptions::new().read_only(), None));
    expect("a send to receive", reader.send(&[], 0), Err(Error::BadDescriptor));
    for at in 0..16 {
        must("send", jobs.send(&[at], 0));
    }
    expect("a full queue", jobs.try_send(&[], 0), Err(Error::Again));
    expect("status", must("status", jobs.status()), (QueueLimits { max_messages: 16, message_size: 64 }, 16));
    let begin = Instant::now();
    expect("no room in time", jobs.send_timeout(&[], 0, Duration::from_millis(30)), Err(Error::TimedOut));
    println!("waited: {}", begin.elapsed() >= Duration::from_millis(30));
    must("unlink", Queue::unlink("/rules"));
    expect("unlinked", Queue::unlink("/rules"), Err(Error::NoEntry));
    must("an unlinked queue", jobs.receive(&mut [0; 64]).map(|_| ()));
    let lock = semaphore("/rules", 1);
    must("wait", lock.wait());
    expect("zero", lock.wait_timeout(Duration::from_millis(5)), Err(Error::TimedOut));
    let memory = must("/rules", Segment::open("/rules", CREATE));
    must("set_size", memory.set_size(3 << 20));
    expect("another size", memory.set_size(1), Err(Error::Invalid));
    expect("size", must("size", memory.size()), 3 << 20);
    let pattern: Vec<u8> = (0..3 << 20).map(|at| (at % 251) as u8).collect();
    must("write", memory.write(0, &pattern));
    let mut copy = vec![0; pattern.len() + 9];
    expect("read", must("read", memory.read(0, &mut copy)), pattern.len());
    expect("the copy", &copy[..pattern.len()] == pattern.as_slice(), true);
    expect("outside", memory.write((3 << 20) - 1, &[0; 2]), Err(Error::OutOfRange));
    expect("unaligned", memory.fetch_add64(4, 1), Err(Error::Invalid));
    must("write", memory.write(8, &[0; 16]));
    expect("add", must("add", memory.fetch_add64(8, u64::MAX)), 0);
    expect("exchange", must("cas", memory.compare_exchange64(8, u64::MAX, 5)), u64::MAX);
    expect("no exchange", must("cas", memory.compare_exchange32(8, 4, 1)), 5);
    expect("not that number", memory.wait(8, 4), Err(Error::Again));
    expect("nobody", memory.wait_timeout(8, 5, Duration::from_millis(5)), Err(Error::TimedOut));
    println!("rules hold");
}

/// Adds to a counter under a lock, as others do; who is last of them says the sum.
fn counter(rounds: u64, containers: u64) {
    let lock = must("/lock", Semaphore::open("/lock", CREATE.undo(), 1));
    let memory = must("/counter", Segment::open("/counter", CREATE));
    must("set_size", memory.set_size(16));
    let load = || {
        let mut bytes = [0; 8];
        must("read", memory.read(0, &mut bytes));
        u64::from_le_bytes(bytes)
    };
    for _ in 0..rounds {
        must("wait", lock.wait());
        let before = load();
        std::thread::yield_now();
        must("write", memory.write(0, &(before + 1).to_le_bytes()));
        must("post", lock.post());
    }
    if must("add", memory.fetch_add64(8, 1)) + 1 == containers {
        println!("all: {}", load());
    }
}
