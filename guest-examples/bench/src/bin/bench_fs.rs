//! `bench_fs FILE ROUNDS`: writes and reads of 4 KiB at changing places of a 1 MiB file, without moving its offset.
//!
//! Prints `fs_write …` and `fs_read …` with `ns_total`, `rounds` and `bytes`.
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;

const BLOCK: usize = 4096;
const BLOCKS: u64 = 256;

fn main() -> io::Result<()> {
    let path = guest_bench::arg(1, "/bench.dat");
    let rounds = guest_bench::number(2, 10_000);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
    file.set_len(BLOCKS * BLOCK as u64)?;
    let fd = file.as_raw_fd();
    let mut block = [0x42u8; BLOCK];
    // a step that is odd visits every block before any a second time
    let place = |round: u64| ((round * 97) % BLOCKS * BLOCK as u64) as libc::off_t;
    let bytes = rounds * BLOCK as u64;
    let mut outcome = Ok(());
    let mut run = |name: &str, mut step: Box<dyn FnMut(u64) -> isize + '_>| {
        guest_bench::measure(name, rounds, bytes, || {
            for round in 0..rounds {
                if step(round) != BLOCK as isize {
                    outcome = Err(io::Error::last_os_error());
                    break;
                }
            }
        });
    };
    // SAFETY: the fd is open through both runs and the block is as long as is said
    run("fs_write", Box::new(|round| unsafe { libc::pwrite(fd, block.as_ptr().cast(), BLOCK, place(round)) }));
    run("fs_read", Box::new(|round| unsafe { libc::pread(fd, block.as_mut_ptr().cast(), BLOCK, place(round)) }));
    outcome?;
    drop(file);
    std::fs::remove_file(&path)
}
