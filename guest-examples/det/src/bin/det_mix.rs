//! `det_mix ROLE ...`: a little of everything that could differ from run to run, in parts of one pod.
//!
//! - `serve ADDR CONNECTIONS`: answers lines until each connection ends, all connections at once
//! - `talk ADDR LINES NAME DIR [ipc]`: random sleeps and work, lines to the server, and to the file DIR/log that others write as well;
//!   with `ipc` that under the pod's semaphore, and also messages to the pod's queue
//! - `see [MESSAGES]`: clocks, random numbers, not-a-numbers, environment and directories, as they are found; then so many of the queue
//! - `read-first ADDR [listen]`: connects or accepts, and reads before it has written: two of them wait for each other for ever
//! - `clock MILLIS TIMES`: the wall clock and the monotonic clock, every so often
//! - `beat MILLIS TIMES`: a line every so often
use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use wasmpod_sdk::ipc::{OpenOptions, Queue, QueueLimits, Semaphore};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let text = |n: usize| args.get(n).map_or("", String::as_str);
    let number = |n: usize| text(n).parse::<u64>().unwrap_or(1);
    match text(0) {
        "serve" => serve(text(1), number(2)),
        "talk" => talk(text(1), number(2), text(3), Path::new(text(4)), (text(5) == "ipc").then(Shared::open)),
        "read-first" => read_first(text(1), text(2) == "listen"),
        "clock" => clock(Duration::from_millis(number(1)), number(2)),
        "beat" => beat(Duration::from_millis(number(1)), number(2)),
        _ => {
            see();
            collect(text(1).parse().unwrap_or(0));
        }
    }
}

/// The system's random numbers, which is what std seeds its maps with.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn connect(address: &str) -> TcpStream {
    for _ in 0..2000 {
        match TcpStream::connect(address) {
            Ok(stream) => return stream,
            Err(_) => std::thread::sleep(Duration::from_millis(7)),
        }
    }
    println!("FAILED nobody at {address}");
    std::process::exit(1)
}

fn serve(address: &str, connections: u64) {
    let listener = TcpListener::bind(address).expect("the port is free");
    listener.set_nonblocking(true).expect("set");
    let mut open: Vec<(TcpStream, Vec<u8>)> = Vec::new();
    let (mut accepted, mut lines) = (0, 0u64);
    while accepted < connections || !open.is_empty() {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true).expect("set");
            open.push((stream, Vec::new()));
            accepted += 1;
        }
        open.retain_mut(|(stream, kept)| {
            let mut buffer = [0; 256];
            match stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(n) => kept.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
            while let Some(end) = kept.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = kept.drain(..=end).collect();
                lines += 1;
                print!("{lines}: {}", String::from_utf8_lossy(&line));
                let _ = stream.write_all(format!("{lines}\n").as_bytes());
            }
            true
        });
        std::thread::sleep(Duration::from_micros(300));
    }
    println!("served {lines} lines");
}

fn talk(address: &str, lines: u64, name: &str, dir: &Path, shared: Option<Shared>) {
    let mut stream = BufReader::new(connect(address));
    let mut answer = String::new();
    for turn in 0..lines {
        let draw = random();
        std::thread::sleep(Duration::from_micros(draw % 2000));
        let work = (0..draw % 20_000).fold(draw, |sum, n| sum.rotate_left(5) ^ n);
        writeln!(stream.get_mut(), "{name} {turn} {work:x}").expect("the server reads");
        answer.clear();
        stream.read_line(&mut answer).expect("the server answers");
        if let Some(shared) = &shared {
            shared.lock.wait().expect("open");
        }
        let mut log = File::options().append(true).create(true).open(dir.join("log")).expect("the volume is there");
        writeln!(log, "{name} {turn} {}", answer.trim_end()).expect("room");
        if let Some(shared) = &shared {
            shared.lock.post().expect("taken");
            shared.queue.send(format!("{name} {turn}").as_bytes(), (draw % 3) as u32).expect("open");
        }
    }
    let log = std::fs::read_to_string(dir.join("log")).expect("it was written");
    println!("{name}: {} lines, last {:?}", log.lines().count(), log.lines().last());
}

/// What the programs of one pod have together.
struct Shared {
    lock: Semaphore,
    /// Full at two messages, so that who sends has to wait for who receives.
    queue: Queue,
}

impl Shared {
    fn open() -> Self {
        let limits = QueueLimits { max_messages: 2, message_size: 64 };
        let lock = Semaphore::open("/log", OpenOptions::create().undo(), 1).expect("room");
        Self { lock, queue: Queue::open("/lines", OpenOptions::create(), Some(limits)).expect("room") }
    }
}

fn collect(messages: u64) {
    let (shared, mut buffer) = (Shared::open(), [0; 64]);
    for _ in 0..messages {
        let (len, priority) = shared.queue.receive(&mut buffer).expect("open");
        println!("message {} priority {priority}", String::from_utf8_lossy(&buffer[..len]));
    }
}

fn read_first(address: &str, listen: bool) {
    let mut stream = if listen {
        TcpListener::bind(address).expect("the port is free").accept().expect("somebody comes").0
    } else {
        connect(address)
    };
    println!("reading");
    let got = stream.read(&mut [0; 8]);
    println!("got {got:?}");
}

fn clock(pause: Duration, times: u64) {
    let start = Instant::now();
    for _ in 0..times {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(-1, |since| since.as_millis() as i64);
        println!("wall {wall} monotonic {}", start.elapsed().as_millis());
        std::thread::sleep(pause);
    }
}

fn beat(pause: Duration, times: u64) {
    for turn in 1..=times {
        println!("beat {turn}");
        std::thread::sleep(pause);
    }
}

fn see() {
    println!("random {:x} {:x}", random(), random());
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    println!("wall {wall:?}");
    let before = Instant::now();
    std::thread::sleep(Duration::from_millis(3));
    println!("slept {:?}", before.elapsed());
    let zero = std::hint::black_box(0.0f64);
    let nans = [zero / zero, -(zero / zero), (zero - 1.0).sqrt(), f64::INFINITY - f64::INFINITY + zero];
    println!("nan {:x?}", nans.map(f64::to_bits));
    println!("nan {:x}", (zero as f32 / zero as f32).to_bits());
    for (name, value) in std::env::vars() {
        println!("env {name}={value}");
    }
    println!("args {:?}", std::env::args().collect::<Vec<_>>());
    println!("heap {:p}", Box::leak(Box::new(7u8)));
    for path in ["/proc/self/status", "/proc/self/cgroup", "/proc/uptime", "/proc/meminfo", "/etc/hosts"] {
        println!("{path} {:?}", std::fs::read_to_string(path));
    }
    show(Path::new("/"), 0);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("port {:?}", listener.local_addr());
    let grown = (0..64).map(|_| vec![1u8; 64 * 1024]).collect::<Vec<_>>();
    println!("grown {}", grown.len());
}

/// The files below `path` in the order in which they are listed, with what is known of them.
fn show(path: &Path, depth: u32) {
    let Ok(entries) = std::fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        let known = entry.metadata().map(|known| (known.len(), known.modified().ok(), known.accessed().ok()));
        println!("{} {known:?}", entry.path().display());
        if depth < 4 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            show(&entry.path(), depth + 1);
        }
    }
}
