//! `cpu_sha256 MIB`: the SHA-256 of so many MiB of zeros.
use sha2::{Digest, Sha256};

fn main() {
    let mib = guest_load::number(1, 16);
    let (mut hash, zeros) = (Sha256::new(), vec![0u8; 1 << 20]);
    (0..mib).for_each(|_| hash.update(&zeros));
    let digest: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    println!("sha256 of {mib} MiB of zeros: {digest}");
}
