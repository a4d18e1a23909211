//! Closing with unread data resets the connection, as Linux does: both ends in one program.
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use guest_net::{check, must};

/// EIO of WASI's libc; std has no stable kind for it.
const EIO: i32 = 29;
/// The reset needs a moment on its way; so many looks of 10 ms are enough anywhere.
const LOOKS: u32 = 500;

fn main() {
    let listener = must("bind", TcpListener::bind("127.0.0.1:0"));
    let address = must("local_addr", listener.local_addr());
    let mut client = must("connect", TcpStream::connect(address));
    let (mut server, _) = must("accept", listener.accept());
    must("send what nobody will read", client.write_all(b"unread"));
    // one byte is read, so that the others have arrived before this end closes
    must("read one byte", server.read_exact(&mut [0; 1]));
    drop(server);
    // the libc of WASI 0.2 makes EIO of every failure of a stream
    let seen = client.read(&mut [0; 8]).map_err(|e| (e.kind(), e.raw_os_error()));
    check("reading sees the reset", matches!(seen, Err((ErrorKind::ConnectionReset, _) | (_, Some(EIO)))), &seen);
    let failed = (0..LOOKS).find_map(|_| match client.write(b"more") {
        Ok(_) => {
            std::thread::sleep(Duration::from_millis(10));
            None
        }
        Err(e) => Some(e.kind()),
    });
    check("writing fails too", failed.is_some(), &failed);
    // closing with nothing unread is an ordinary end
    let mut client = must("connect", TcpStream::connect(address));
    let (server, _) = must("accept", listener.accept());
    drop(server);
    check("an ordinary close reads as the end", matches!(client.read(&mut [0; 8]), Ok(0)), &());
    println!("net_reset: all done");
}
