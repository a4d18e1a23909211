//! `sidecar_shipper LOG PORT LINES`: the sidecar of the sidecar pod.
//!
//! Follows LOG on the shared volume until it saw LINES lines, then tells the app so on 127.0.0.1:PORT: the two containers
//! share the pod's network as well as its volume. Gives up after 30 s.
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::process::exit;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(10);
const TRIES: u32 = 3000;

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let log = args.next().unwrap_or_else(|| "/logs/app.log".into());
    let port: u16 = args.next().and_then(|a| a.parse().ok()).unwrap_or(9000);
    let lines: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(5);

    let mut reader = BufReader::new(patiently("the log", || File::open(&log).ok()));
    let (mut line, mut shipped) = (String::new(), 0);
    while shipped < lines {
        // a line may be half written: it is kept until its end arrives
        patiently("a line", || {
            // the libc of WASI 0.2 takes the end of a file for its end for ever, until it is asked to go where it is
            let _ = reader.seek(SeekFrom::Current(0));
            let _ = reader.read_line(&mut line);
            line.ends_with('\n').then_some(())
        });
        println!("shipper: shipping {}", line.trim_end());
        line.clear();
        shipped += 1;
    }
    let stream = patiently("the app", || TcpStream::connect(("127.0.0.1", port)).ok());
    writeln!(&stream, "shipped {shipped}")?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer)?;
    println!("shipper: the app answers: {}", answer.trim_end());
    exit(if answer.trim_end() == "thanks" { 0 } else { 1 })
}

fn patiently<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    for _ in 0..TRIES {
        if let Some(value) = attempt() {
            return value;
        }
        std::thread::sleep(POLL);
    }
    eprintln!("shipper: gave up waiting for {what}");
    exit(1)
}
