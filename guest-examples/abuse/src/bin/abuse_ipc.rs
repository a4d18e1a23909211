//! `abuse_ipc CASE`: takes more of the pod's IPC than there is, guesses the names of another pod, dies with a lock in its hands, and
//! waits for ever in each call that waits. Case names are those of docs/THREAT_MODEL.md.
use std::time::Duration;

use bindings::wasmpod::ipc::mqueue::{self, Queue};
use bindings::wasmpod::ipc::semaphore::{self, Semaphore};
use bindings::wasmpod::ipc::shared_memory::{self, Segment};
use bindings::wasmpod::ipc::types::{ErrorCode, OpenFlags};
use guest_abuse::{arg, fail, holds};

mod bindings {
    include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../sdk/src/p2/ipc.bindings"));
}

/// The name that everybody uses.
const NAME: &str = "/secret";
/// More objects than any limit.
const MANY: u32 = 100_000;

fn main() {
    let case = arg(1);
    match case.as_str() {
        "i01" => without_end(),
        "i02" => names_of_another(),
        "hold" => hold(),
        "die" => die_with_the_lock(),
        "inherit" => inherit(),
        "wait" => wait_for_ever(),
        _ => guest_abuse::unknown(&case),
    }
    println!("abuse_ipc {case}: all refused");
}

fn make() -> OpenFlags {
    OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE
}

/// I1: objects and bytes until there are no more, and room again afterwards.
fn without_end() {
    let refusals = [ErrorCode::NoSpace, ErrorCode::TooManyOpen, ErrorCode::OutOfMemory];
    let flood = |what: &str, one: &dyn Fn(u32) -> Result<(), ErrorCode>| -> u32 {
        for n in 0..MANY {
            if let Err(error) = one(n) {
                println!("{what}: {n}, then {error:?}");
                holds("the refusal is one of too many", refusals.contains(&error), &error);
                return n;
            }
        }
        fail(what, "there is no end")
    };
    let queues = flood("queues", &|n| Queue::open(&format!("/q{n}"), make(), 0o600, None).map(drop));
    let semaphores = flood("semaphores", &|n| Semaphore::open(&format!("/s{n}"), make(), 0o600, 0).map(drop));
    let bytes = flood("segments of 1 MiB", &|n| {
        let segment = Segment::open(&format!("/m{n}"), make(), 0o600)?;
        segment.set_size(1 << 20)?;
        segment.write(0, &[7; 4096])
    });
    holds("each kind has its limit", queues <= 256 && semaphores <= 4096 && bytes <= 64, &(queues, semaphores, bytes));
    let handles = flood("handles", &|_| {
        Semaphore::open("/s0", make(), 0o600, 0).map(std::mem::forget) // never dropped
    });
    holds("a handle is a descriptor", handles <= 1024, &handles);
    for n in 0..=queues.max(semaphores).max(bytes) {
        let _ = (mqueue::unlink(&format!("/q{n}")), semaphore::unlink(&format!("/s{n}")));
        let _ = shared_memory::unlink(&format!("/m{n}"));
    }
    holds("the names are gone", mqueue::unlink("/q0") == Err(ErrorCode::NoEntry), &());
}

/// I2: what another pod calls the same is not there.
fn names_of_another() {
    std::thread::sleep(Duration::from_millis(200));
    let open = OpenFlags::READ | OpenFlags::WRITE;
    holds("its queue", Queue::open(NAME, open, 0, None).err() == Some(ErrorCode::NoEntry), &());
    holds("its semaphore", Semaphore::open(NAME, open, 0, 0).err() == Some(ErrorCode::NoEntry), &());
    holds("its memory", Segment::open(NAME, open, 0).err() == Some(ErrorCode::NoEntry), &());
    holds("removing its queue", mqueue::unlink(NAME) == Err(ErrorCode::NoEntry), &());
    for name in ["/../secret", "secret", "/", "", "//secret", "/secret/../secret", "/secret\0"] {
        holds("a crooked name", Segment::open(name, open, 0).is_err(), &name);
    }
    let own = Segment::open(NAME, make(), 0o666).and_then(|own| own.set_size(4096).map(|()| own));
    let own = own.unwrap_or_else(|error| fail("one's own", &format!("{error:?}")));
    let read = own.read(0, 4096);
    holds("one's own is empty", read.as_ref().is_ok_and(|bytes| bytes.iter().all(|byte| *byte == 0)), &read.is_ok());
    holds("one's own queue is too", Queue::open(NAME, make(), 0o666, None).is_ok_and(|q| q.receive().is_err()), &());
}

/// The other pod of I2: what it has is its own all the time.
fn hold() {
    let (Ok(queue), Ok(segment)) = (Queue::open(NAME, make(), 0o666, None), Segment::open(NAME, make(), 0o666)) else {
        fail("hold", "they cannot be made")
    };
    let _semaphore = Semaphore::open(NAME, make(), 0o666, 1);
    let written = segment.set_size(64).and_then(|()| segment.write(0, b"mine")).and_then(|()| queue.send(b"mine", 0));
    holds("written", written.is_ok(), &written);
    std::thread::sleep(Duration::from_secs(1));
    holds("the memory is as it was", segment.read(0, 4).is_ok_and(|bytes| bytes == b"mine"), &());
    holds("the message is there", queue.receive().is_ok_and(|message| message.data == b"mine"), &());
}

fn lock() -> Semaphore {
    let lock = Semaphore::open("/lock", make() | OpenFlags::UNDO, 0o600, 1);
    lock.unwrap_or_else(|error| fail("the lock", &format!("{error:?}")))
}

/// I3: takes the lock and dies by a trap.
fn die_with_the_lock() {
    let lock = lock();
    holds("it is free", lock.wait(None).is_ok(), &());
    std::thread::sleep(Duration::from_millis(500));
    println!("dies with the lock");
    std::process::abort()
}

/// I3: waits for the lock of who dies.
fn inherit() {
    std::thread::sleep(Duration::from_millis(200));
    let lock = lock();
    holds("somebody has it", lock.try_wait() == Err(ErrorCode::WouldBlock), &());
    holds("it is given back", lock.wait(Some(10_000_000_000)).is_ok(), &());
}

/// P5: a call of this kind that nobody answers.
fn wait_for_ever() {
    let kind = arg(2);
    println!("waits: {kind}");
    let queue = Queue::open("/wait", make(), 0o600, None).unwrap_or_else(|e| fail("queue", &format!("{e:?}")));
    match kind.as_str() {
        "receive" => println!("{:?}", queue.blocking_receive(None).is_ok()),
        "send" => {
            let own = Queue::open("/full", make(), 0o600, None).unwrap_or_else(|e| fail("queue", &format!("{e:?}")));
            while own.blocking_send(&[1; 8192], 0, None).is_ok() {}
        }
        "semaphore" => println!("{:?}", Semaphore::open("/wait", make(), 0o600, 0).map(|s| s.wait(None))),
        "memory" => {
            let segment = Segment::open("/wait", make(), 0o600).and_then(|s| s.set_size(8).map(|()| s));
            println!("{:?}", segment.map(|s| s.wait(0, 0, None)));
        }
        _ => guest_abuse::unknown(&kind),
    }
    fail(&kind, "it came back")
}
