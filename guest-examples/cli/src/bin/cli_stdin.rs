//! Reads standard input to its end, repeats each line in upper case, then counts.
use std::io::{Read, stdin};

fn main() -> std::io::Result<()> {
    let mut bytes = Vec::new();
    stdin().read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    for line in text.lines() {
        println!("{}", line.to_uppercase());
    }
    println!("stdin: {} bytes, {} lines", bytes.len(), text.lines().count());
    Ok(())
}
