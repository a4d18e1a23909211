//! `abuse_victim HOST:PORT ROUNDS`: sleeps 5 ms and asks an echo server, again and again; prints how late it woke and how long the
//! answers took. A pod beside a hostile one runs it: what it prints says whether it is disturbed.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(5);

fn main() {
    let (addr, rounds) = (guest_abuse::arg(1), guest_abuse::number(2, 100));
    let mut stream = connect(&addr);
    println!("victim: connected");
    let (mut late, mut answers) = (Vec::new(), Vec::new());
    let mut due = Instant::now();
    for round in 0..rounds {
        due += TICK;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        late.push(due.elapsed().as_nanos());
        let (asked, mut answer) = (Instant::now(), [0; 8]);
        guest_abuse::must("ask", stream.write_all(&round.to_le_bytes()));
        guest_abuse::must("hear", stream.read_exact(&mut answer));
        guest_abuse::holds_quietly("an answer", answer == round.to_le_bytes());
        answers.push(asked.elapsed().as_nanos());
    }
    for (name, mut values) in [("late", late), ("answer", answers)] {
        values.sort_unstable();
        let at = |percent: usize| values[(values.len() - 1) * percent / 100];
        println!("{name}: p50_ns={} p99_ns={} max_ns={}", at(50), at(99), at(100));
    }
    println!("victim: served {rounds}");
}

fn connect(addr: &str) -> TcpStream {
    for _ in 0..1000 {
        match TcpStream::connect(addr) {
            Ok(stream) => return stream,
            Err(_) => std::thread::sleep(TICK),
        }
    }
    guest_abuse::fail("connect", addr)
}
