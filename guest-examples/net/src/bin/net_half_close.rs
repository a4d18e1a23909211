//! Each direction of a connection ends by itself: both ends in one program.
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use guest_net::{check, check_kind, must};

fn main() {
    let listener = must("bind", TcpListener::bind("127.0.0.1:0"));
    let mut client = must("connect", TcpStream::connect(must("local_addr", listener.local_addr())));
    let (mut server, peer) = must("accept", listener.accept());
    check("accept names the client", Ok(peer) == client.local_addr().map_err(|e| e.kind()), &peer);
    must("request", client.write_all(b"question"));
    must("shut down writing", client.shutdown(Shutdown::Write));
    check_kind("writing after it", &client.write(b"more"), &[ErrorKind::BrokenPipe]);
    let mut asked = String::new();
    must("read to the end", server.read_to_string(&mut asked));
    check("the server sees the question and then the end", asked == "question", &asked);
    check("the end stays the end", matches!(server.read(&mut [0; 8]), Ok(0)), &());
    must("answer", server.write_all(b"answer, after the client's end"));
    drop(server);
    let mut answered = String::new();
    must("read the answer", client.read_to_string(&mut answered));
    check("the client still hears the answer", answered == "answer, after the client's end", &answered);
    println!("net_half_close: all done");
}
