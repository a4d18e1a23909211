//! `fs_writer FILE LINES [PAUSE_MS]`: appends LINES lines to FILE, pausing between them; `fs_follow` reads them elsewhere.
use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap_or_else(|| "/data/log".into());
    let lines: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(5);
    let pause = Duration::from_millis(args.next().and_then(|a| a.parse().ok()).unwrap_or(20));
    let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
    for i in 1..=lines {
        writeln!(file, "line {i} of {lines}")?;
        println!("wrote line {i}");
        if i < lines {
            std::thread::sleep(pause);
        }
    }
    println!("writer finished");
    Ok(())
}
