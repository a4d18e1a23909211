//! `sidecar_app LOG PORT LINES`: the main container of the sidecar pod.
//!
//! Writes LINES lines to LOG, a file on the shared volume, then waits on 127.0.0.1:PORT until the shipper says how many
//! lines it has shipped. Exits 0 when that is all of them.
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let log = args.next().unwrap_or_else(|| "/var/log/app/app.log".into());
    let port: u16 = args.next().and_then(|a| a.parse().ok()).unwrap_or(9000);
    let lines: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(5);

    let listener = TcpListener::bind(("127.0.0.1", port))?;
    println!("app: waiting for the shipper on 127.0.0.1:{port}");
    let mut file = OpenOptions::new().append(true).create(true).open(&log)?;
    for i in 1..=lines {
        writeln!(file, "event {i}")?;
        println!("app: wrote event {i}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (stream, peer) = listener.accept()?;
    let mut said = String::new();
    BufReader::new(&stream).read_line(&mut said)?;
    println!("app: {} says: {}", peer.ip(), said.trim_end());
    let all = said.trim_end() == format!("shipped {lines}");
    writeln!(&stream, "{}", if all { "thanks" } else { "some are missing" })?;
    std::process::exit(if all { 0 } else { 1 })
}
