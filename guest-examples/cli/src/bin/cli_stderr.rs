//! Writes to both output streams in turn.
fn main() {
    for i in 1..=3 {
        println!("stdout line {i}");
        eprintln!("stderr line {i}");
    }
}
