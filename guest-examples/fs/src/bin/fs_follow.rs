//! `fs_follow FILE LINES`: prints FILE's lines as they appear, until LINES were seen; gives up after 30 s without one.
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::process::exit;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(10);
const TRIES: u32 = 3000;

fn main() -> std::io::Result<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap_or_else(|| "/data/log".into());
    let lines: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(5);
    let mut idle = 0;
    let mut wait = |what: &str| {
        idle += 1;
        if idle > TRIES {
            eprintln!("gave up waiting for {what}");
            exit(1)
        }
        std::thread::sleep(POLL);
    };
    let file = loop {
        match File::open(&path) {
            Ok(file) => break file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => wait("the file"),
            Err(e) => return Err(e),
        }
    };
    let (mut reader, mut line, mut seen) = (BufReader::new(file), String::new(), 0);
    while seen < lines {
        // a line may be half written: it is kept until its end arrives
        if reader.read_line(&mut line)? == 0 || !line.ends_with('\n') {
            wait("a line");
            // the libc of WASI 0.2 takes the end of a file for its end for ever, until it is asked to go where it is
            reader.seek(SeekFrom::Current(0))?;
            continue;
        }
        print!("saw {line}");
        line.clear();
        seen += 1;
    }
    println!("follower saw all {seen} lines");
    Ok(())
}
