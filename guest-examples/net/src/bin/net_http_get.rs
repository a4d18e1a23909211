//! `net_http_get HOST:PORT[/PATH] [EXPECTED]`: fetches and prints; fails unless it is 200 and the text holds EXPECTED.
use std::io::{Read, Write};

fn main() {
    let url = guest_net::arg(1, "127.0.0.1:8080/");
    let (address, path) = url.split_once('/').unwrap_or((&url, ""));
    let mut stream = guest_net::connect(address);
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    guest_net::must("send", stream.write_all(request.as_bytes()));
    let mut answer = Vec::new();
    guest_net::must("receive", stream.read_to_end(&mut answer));
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    println!("{status}");
    print!("{body}");
    if !status.contains(" 200 ") {
        eprintln!("not a success");
        std::process::exit(1);
    }
    if let Some(expected) = std::env::args().nth(2)
        && !body.contains(&expected)
    {
        eprintln!("expected {expected:?} in the answer");
        std::process::exit(1);
    }
}
