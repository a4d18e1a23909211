//! `bench_tcp_client ADDR ROUNDS SIZE ping|bulk`: round trips, or bytes one way, to `bench_tcp_server`.
//!
//! Prints `tcp_MODE ns_total=… rounds=… bytes=…`; connecting is not measured.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const TRIES: u32 = 1200;

fn main() -> std::io::Result<()> {
    let address = guest_bench::arg(1, "127.0.0.1:7100");
    let (rounds, size) = (guest_bench::number(2, 1000), guest_bench::number(3, 64));
    let bulk = guest_bench::arg(4, "ping") == "bulk";
    let mut stream = connect(&address)?;
    stream.set_nodelay(true)?;
    let mut head = vec![u8::from(bulk)];
    head.extend(rounds.to_le_bytes());
    head.extend(size.to_le_bytes());
    stream.write_all(&head)?;
    let mut buffer = vec![0x5a; size as usize];
    let mut outcome = Ok(());
    guest_bench::measure(if bulk { "tcp_bulk" } else { "tcp_ping" }, rounds, rounds * size, || {
        outcome = (|| {
            for _ in 0..rounds {
                stream.write_all(&buffer)?;
                if !bulk {
                    stream.read_exact(&mut buffer)?;
                }
            }
            if bulk { stream.read_exact(&mut [0]) } else { Ok(()) }
        })();
    });
    outcome
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    let mut last = std::io::ErrorKind::TimedOut.into();
    for _ in 0..TRIES {
        match TcpStream::connect(address) {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    Err(last)
}
