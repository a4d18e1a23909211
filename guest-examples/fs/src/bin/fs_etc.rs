//! Prints the files that every container is given: names, `/proc` and cgroup.
use std::path::Path;

const FILES: &[&str] = &[
    "/etc/hostname",
    "/etc/hosts",
    "/etc/resolv.conf",
    "/proc/self/cmdline",
    "/proc/self/status",
    "/proc/self/mounts",
    "/proc/self/cgroup",
    "/proc/sys/kernel/hostname",
    "/proc/net/tcp",
    "/sys/fs/cgroup/cpu.max",
    "/sys/fs/cgroup/cpu.weight",
    "/sys/fs/cgroup/cpu.stat",
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory.current",
    "/sys/fs/cgroup/memory.events",
];

fn main() {
    FILES.iter().for_each(|path| guest_fs::show(Path::new(path)));
    // a device that swallows, one that gives zeros, one that gives noise
    let zeros = read_some("/dev/zero", 8);
    println!("/dev/zero gives {zeros:?}");
    println!("/dev/null gives {:?}", read_some("/dev/null", 8));
    println!("/dev/urandom gives {:?} bytes", read_some("/dev/urandom", 8).map(|b| b.len()));
    println!("/dev/null takes {:?}", std::fs::write("/dev/null", b"gone").map_err(|e| e.kind()));
}

fn read_some(path: &str, n: u64) -> Result<Vec<u8>, std::io::ErrorKind> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| e.kind())?;
    file.take(n).read_to_end(&mut bytes).map_err(|e| e.kind())?;
    Ok(bytes)
}
