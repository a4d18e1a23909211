//! `det_fill FILE KIB PAUSE_MS TIMES`: appends KIB to FILE again and again and says how it went.
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let text = |n: usize, default: &'static str| args.get(n).map_or(default, String::as_str).to_owned();
    let number = |n: usize| text(n, "1").parse::<u64>().unwrap_or(1);
    fill(Path::new(&text(0, "/file")), number(1), Duration::from_millis(number(2)), number(3));
}

fn fill(path: &Path, kib: u64, pause: Duration, times: u64) {
    for turn in 1..=times {
        let written = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(&vec![b'x'; kib as usize * 1024]));
        match written {
            Ok(()) => println!("{turn}: wrote {kib} KiB"),
            Err(error) => println!("{turn}: {error}"),
        }
        std::thread::sleep(pause);
    }
}
