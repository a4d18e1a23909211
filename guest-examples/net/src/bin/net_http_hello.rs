//! `net_http_hello ADDR [REQUESTS [TEXT]]`: answers HTTP/1.1 requests with TEXT; 0 requests means for ever.
//!
//! `/` gives TEXT, `/hostname` the pod's host name, anything else 404. One request a connection.
use std::io::{BufRead, BufReader, Write};

/// A request's head is not read beyond this.
const HEAD_MAX: usize = 8 * 1024;

fn main() {
    let listener = guest_net::listen(&guest_net::listen_address(&guest_net::arg(1, "8080")));
    let requests = guest_net::number(2, 0);
    let text = guest_net::arg(3, "hello from wasm");
    let mut answered = 0;
    while requests == 0 || answered < requests {
        let (mut stream, _) = guest_net::must("accept", listener.accept());
        let mut reader = BufReader::new(&stream);
        let (mut head, mut read) = (String::new(), 0);
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => break,
                Ok(n) => read += n,
            }
            if head.is_empty() {
                head.clone_from(&line);
            }
            if line == "\r\n" || line == "\n" || read > HEAD_MAX {
                break;
            }
        }
        let mut words = head.split_whitespace();
        let (Some(method), Some(path)) = (words.next(), words.next()) else { continue };
        let (status, body) = match path {
            "/" => ("200 OK", format!("{text}\n")),
            "/hostname" => ("200 OK", std::fs::read_to_string("/etc/hostname").unwrap_or_default()),
            _ => ("404 Not Found", "not here\n".into()),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
            body.len(),
            if method == "HEAD" { "" } else { &body }
        );
        // a client that left early is its own trouble
        match stream.write_all(answer.as_bytes()) {
            Ok(()) => println!("{method} {path} {}", &status[..3]),
            Err(e) => println!("{method} {path} client left: {:?}", e.kind()),
        }
        answered += 1;
    }
    println!("answered {answered} requests");
}
