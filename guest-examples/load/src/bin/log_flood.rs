//! `log_flood LINES BYTES [LONG]`: LINES numbered lines of BYTES each, then LONG bytes without a line end.
use std::io::Write;

fn main() -> std::io::Result<()> {
    let (lines, bytes, long) =
        (guest_load::number(1, 100), guest_load::number(2, 80) as usize, guest_load::number(3, 0) as usize);
    let mut out = std::io::stdout().lock();
    for i in 0..lines {
        let mut line = format!("{i:08} ");
        line.extend(std::iter::repeat_n('x', bytes.saturating_sub(line.len())));
        writeln!(out, "{line}")?;
    }
    out.write_all(&vec![b'L'; long])?;
    out.flush()
}
