//! `abuse_host CASE [NUMBERS]`: floods and games against the host: memory, time, polls, logs, buffers. Case names are those of
//! docs/THREAT_MODEL.md.
use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use guest_abuse::{holds, holds_quietly, must, number};

fn main() {
    let case = guest_abuse::arg(1);
    match case.as_str() {
        "c01" => spin(),
        "m01" => grow(),
        "m05" => sys::host_buffers(),
        "m06" => sys::handles(),
        "m09" => leftovers(),
        "t01" => sleeps(),
        "t02" => sys::polls(),
        "t03" => one_poll(),
        "t04" => differences(),
        "l01" => output(),
        "l03" => endless_line(),
        _ => guest_abuse::unknown(&case),
    }
    println!("abuse_host {case}: all refused");
}

/// C1: computes and calls nothing.
fn spin() {
    println!("spinning");
    let mut x = 1u64;
    loop {
        x = black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
}

/// M1: more memory than there may be, to the last page.
fn grow() {
    let mut held: Vec<Vec<u8>> = Vec::new();
    for mib in 0.. {
        println!("holding {mib} MiB");
        let mut block = Vec::new();
        holds("it is killed and never told", block.try_reserve_exact(1 << 20).is_ok(), &mib);
        block.resize(1 << 20, mib as u8);
        held.push(black_box(block));
    }
}

/// M9: what a run before left in memory. The first run fills its memory and ends badly, the next looks at all it can have.
fn leftovers() {
    const MARK: [u8; 16] = *b"SECRET of a run ";
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    for _ in 0..64 {
        // without the allocator's own zeroing: what is there is what the host gave
        let mut block: Vec<u8> = Vec::with_capacity(1 << 18);
        let spare = block.spare_capacity_mut();
        // SAFETY: a linear memory has a byte at every address that was allocated
        let seen = unsafe { std::slice::from_raw_parts(spare.as_ptr().cast::<u8>(), spare.len()) };
        let dirty = seen.windows(MARK.len()).any(|window| window == MARK);
        holds_quietly("memory of a run before is seen", !dirty);
        blocks.push(block);
    }
    for block in &mut blocks {
        (0..(1 << 18) / MARK.len()).for_each(|_| block.extend_from_slice(&MARK));
    }
    black_box(&blocks);
    println!("filled");
    std::process::exit(3)
}

/// T1: a flood of the shortest sleeps.
fn sleeps() {
    let (start, count) = (Instant::now(), number(2, 100_000));
    for _ in 0..count {
        std::thread::sleep(Duration::from_nanos(1));
    }
    println!("{count} sleeps took {} us", start.elapsed().as_micros());
}

/// T3: one poll for one clock is the case that some runtimes answer by stopping a thread of the host.
fn one_poll() {
    let start = Instant::now();
    std::thread::sleep(Duration::from_secs(1));
    holds("it took its time", start.elapsed() >= Duration::from_secs(1), &start.elapsed());
}

/// T4: everything that may differ from run to run, which it must not for one seed.
fn differences() {
    use std::hash::RandomState;
    use std::hash::{BuildHasher, Hash, Hasher};
    println!("wall {:?}", std::time::SystemTime::now());
    let mut hasher = RandomState::new().build_hasher();
    7u64.hash(&mut hasher);
    // what the order of a hash map follows
    println!("random {:016x}", hasher.finish());
    // NaN bits of operations that leave them open
    let zero = black_box(0.0f64);
    let nans = [zero / zero, (zero / zero) * -1.0, f64::INFINITY - black_box(f64::INFINITY), (-1.0f64 - zero).sqrt()];
    println!("nan {:x?}", nans.map(f64::to_bits));
    println!("nan32 {:x}", ((zero / zero) as f32).to_bits());
    must("a file", std::fs::write("/stamp", "x"));
    let stamp = must("its times", std::fs::metadata("/stamp"));
    println!("mtime {:?} atime {:?}", stamp.modified().ok(), stamp.accessed().ok());
    let mut names: Vec<_> = Vec::new();
    for n in 0..20 {
        must("a file", std::fs::write(format!("/order{n}"), ""));
    }
    for entry in must("a listing", std::fs::read_dir("/")) {
        names.push(must("an entry", entry).file_name());
    }
    println!("listing {names:?}");
    let address = Box::new(0u8);
    println!("address {:p}", &raw const *address);
}

/// L1: more output than the log may hold.
fn output() {
    let line = [b'x'; 1023];
    let mut out = std::io::stdout().lock();
    for _ in 0..number(2, 1) << 10 {
        let _ = out.write_all(&line).and_then(|()| out.write_all(b"\n"));
    }
}

/// L3: a line that never ends.
fn endless_line() {
    let chunk = vec![b'L'; 1 << 20];
    let mut out = std::io::stdout().lock();
    for _ in 0..number(2, 1) {
        let _ = out.write_all(&chunk);
    }
    let _ = out.write_all(b"\n");
}

#[cfg(target_env = "p1")]
mod sys {
    use super::*;
    use guest_abuse::fail;

    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    unsafe extern "C" {
        #[link_name = "random_get"]
        fn random_get(buf: usize, len: usize) -> u32;
        #[link_name = "fd_read"]
        fn fd_read(fd: u32, iovs: *const [usize; 2], count: usize, read: *mut usize) -> u32;
        #[link_name = "fd_write"]
        fn fd_write(fd: u32, iovs: *const [usize; 2], count: usize, written: *mut usize) -> u32;
        #[link_name = "poll_oneoff"]
        fn poll_oneoff(subscriptions: *const u8, events: *mut u8, count: usize, ready: *mut usize) -> u32;
    }

    /// M5: sizes that the host would have to have.
    pub fn host_buffers() {
        let mut room = vec![0u8; 4 << 20];
        let (at, len) = (room.as_mut_ptr() as usize, room.len());
        let mut read = 0;
        // SAFETY: every pointer is into `room`, the host checks all lengths
        unsafe {
            let errno = random_get(at, len);
            holds("4 MiB of random bytes are made in parts or refused", errno == 0 || errno == 28, &errno);
            let many = vec![[at, 1]; 100_000];
            for call in [fd_read, fd_write] {
                holds("100,000 buffers are refused", call(0, many.as_ptr(), many.len(), &mut read) != 0, &());
            }
        }
        let zero = must("/dev/zero", std::fs::File::open("/dev/zero"));
        let n = must("a read of 4 MiB", std::io::Read::read(&mut &zero, &mut room));
        // it goes straight into the memory of the program
        holds("is what there is room for", n <= room.len(), &n);
        println!("reading more than 4 GiB");
        let huge = [[at, usize::MAX / 2], [at, usize::MAX / 2], [at, usize::MAX / 2]];
        // SAFETY: the buffers end beyond all memory, which the host has to find out
        let errno = unsafe { fd_read(0, huge.as_ptr(), 3, &mut read) };
        black_box(&room);
        fail("more than 4 GiB in one read", &errno.to_string())
    }

    /// M6: preview 1 has no handles but descriptors, and those are F11.
    pub fn handles() {}

    /// T2: polls without sense.
    pub fn polls() {
        let (subscription, mut event, mut ready) = ([0u8; 48], [0u8; 32 * 8], 0);
        // SAFETY: the host reads `count` records, and refuses more than it takes
        unsafe {
            for count in [0, 4_097, 65_536, 1 << 31, usize::MAX] {
                let errno = poll_oneoff(subscription.as_ptr(), event.as_mut_ptr(), count, &mut ready);
                holds("a poll of nothing, or of too much, is refused", errno != 0, &(count, errno));
            }
            // a clock that is due at once, a million times
            for _ in 0..100_000 {
                let errno = poll_oneoff(subscription.as_ptr(), event.as_mut_ptr(), 1, &mut ready);
                holds_quietly("a poll with no delay", errno == 0 && ready == 1);
            }
            // the end of time, absolute and relative, beside one that is due
            let mut records = [0u8; 48 * 3];
            for (at, (flags, timeout)) in [(0u16, u64::MAX), (1, u64::MAX), (0, 1_000_000)].into_iter().enumerate() {
                records[at * 48 + 16] = 1;
                records[at * 48 + 24..at * 48 + 32].copy_from_slice(&timeout.to_le_bytes());
                records[at * 48 + 40..at * 48 + 42].copy_from_slice(&flags.to_le_bytes());
            }
            let errno = poll_oneoff(records.as_ptr(), event.as_mut_ptr(), 3, &mut ready);
            holds("the end of time is not now", errno == 0 && ready == 1, &(errno, ready));
        }
    }
}

#[cfg(target_env = "p2")]
mod sys {
    use super::*;
    use guest_abuse::fail;
    use wasip2::clocks::monotonic_clock;
    use wasip2::filesystem::preopens::get_directories;
    use wasip2::io::poll::poll;
    use wasip2::random::random::get_random_bytes;

    /// M5: sizes that the host would have to have.
    pub fn host_buffers() {
        for (name, folder) in std::iter::repeat_with(get_directories).take(1_000).flatten().map(|(d, n)| (n, d)) {
            black_box((name, folder));
        }
        let zero = must("/dev/zero", std::fs::File::open("/dev/zero"));
        let mut room = vec![0u8; 4 << 20];
        let n = must("a read of 4 MiB", std::io::Read::read(&mut &zero, &mut room));
        holds("is short", n <= 64 << 10, &n);
        println!("asking for 4 GiB of random bytes");
        // ends the program: there is no error to answer with
        black_box(get_random_bytes(u64::from(u32::MAX)));
        fail("4 GiB of random bytes", "they were made")
    }

    /// M6: handles until there are no more. Preview 2 has no error for it: the program ends.
    pub fn handles() {
        println!("making handles");
        let held: Vec<_> = (0..10_000_000).map(|_| monotonic_clock::subscribe_duration(u64::MAX)).collect();
        fail("handles without end", &held.len().to_string())
    }

    /// T2: polls without sense.
    pub fn polls() {
        let now = || monotonic_clock::subscribe_duration(0);
        for _ in 0..20_000 {
            let ready = now();
            holds_quietly("a poll with no delay", poll(&[&ready]) == [0]);
        }
        let (never, ever, soon) = (
            monotonic_clock::subscribe_duration(u64::MAX),
            monotonic_clock::subscribe_instant(u64::MAX),
            monotonic_clock::subscribe_duration(1_000_000),
        );
        holds("the end of time is not now", poll(&[&never, &ever, &soon]) == [2], &());
        let one = now();
        println!("a poll of too much");
        // the same one 100,000 times: more than a poll takes, so the program ends
        let all = vec![&one; 100_000];
        black_box(poll(&all));
        fail("a poll of too much", "it was answered")
    }
}
