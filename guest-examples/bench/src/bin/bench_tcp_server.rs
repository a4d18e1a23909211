//! `bench_tcp_server ADDR [CONNECTIONS]`: the other end of `bench_tcp_client`.
//!
//! A client begins with 17 bytes: mode (0 ping, 1 bulk), rounds and size as little-endian u64. Ping: every message of
//! `size` bytes is sent back. Bulk: rounds × size bytes are taken, then one byte is sent.
use std::io::{Read, Write};
use std::net::TcpListener;

/// A message is not larger than this.
const SIZE_MAX: usize = 16 << 20;

fn main() -> std::io::Result<()> {
    let address = guest_bench::arg(1, "127.0.0.1:7100");
    let connections = guest_bench::number(2, 1);
    let listener = TcpListener::bind(&address)?;
    println!("listening on {address}");
    for _ in 0..connections {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut head = [0; 17];
        stream.read_exact(&mut head)?;
        let field = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| head[at + i]));
        let (rounds, size) = (field(1), (field(9) as usize).min(SIZE_MAX));
        let mut buffer = vec![0; size.max(1)];
        if head[0] == 0 {
            for _ in 0..rounds {
                stream.read_exact(&mut buffer)?;
                stream.write_all(&buffer)?;
            }
        } else {
            let mut left = rounds * size as u64;
            while left > 0 {
                match stream.read(&mut buffer)? as u64 {
                    0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                    n => left -= n,
                }
            }
            stream.write_all(&[1])?;
        }
        // the client closes first
        let _ = stream.read(&mut buffer);
    }
    Ok(())
}
