//! `net_p1_server [echo|http] [CONNECTIONS] [std|raw]`: a WASI 0.1 server on the listening sockets it was started with.
//!
//! They follow the pre-opened directories; which fds they are is found by asking each for its type, as wasi-libc and Go
//! do. LISTEN_FDS says how many there are and LISTEN_FDNAMES what they are called. `raw` uses sock_accept, sock_recv and
//! sock_send themselves, `std` goes through std::net.
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::fd::FromRawFd;

/// No program is started with more than these.
const FDS: std::ops::Range<u32> = 3..256;

fn main() {
    let (mode, connections, via) = (guest_net::arg(1, "echo"), guest_net::number(2, 1), guest_net::arg(3, "std"));
    let var = |name: &str| std::env::var(name).unwrap_or_else(|_| "(not set)".into());
    println!("LISTEN_FDS={} LISTEN_FDNAMES={}", var("LISTEN_FDS"), var("LISTEN_FDNAMES"));
    let sockets: Vec<u32> = FDS.filter(|fd| is_stream_socket(*fd)).collect();
    println!("found {} listening sockets", sockets.len());
    let Some(&fd) = sockets.first() else {
        eprintln!("no pre-opened socket");
        std::process::exit(1)
    };
    for i in 1..=connections {
        let bytes = match via.as_str() {
            "raw" => serve_raw(fd, &mode),
            _ => serve_std(fd, &mode),
        };
        println!("connection {i}: {bytes} bytes");
    }
    println!("served {connections} connections");
}

fn is_stream_socket(fd: u32) -> bool {
    // SAFETY: an fd that is not open is an error, not undefined
    unsafe { wasip1::fd_fdstat_get(fd) }.is_ok_and(|stat| stat.fs_filetype == wasip1::FILETYPE_SOCKET_STREAM)
}

fn answer(mode: &str, received: &[u8]) -> Vec<u8> {
    match mode {
        "http" => {
            let body = "hello from a pre-opened socket\n";
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
        }
        _ => received.to_vec(),
    }
}

fn serve_std(fd: u32, mode: &str) -> usize {
    // SAFETY: the fd is open and a listening socket; it is leaked again below, as it is not ours to close
    let listener = unsafe { TcpListener::from_raw_fd(fd as i32) };
    let (mut stream, _) = guest_net::must("accept", listener.accept());
    std::mem::forget(listener);
    let (mut buffer, mut total) = ([0; 4096], 0);
    loop {
        let n = guest_net::must("read", stream.read(&mut buffer));
        if n == 0 {
            break;
        }
        total += n;
        guest_net::must("write", stream.write_all(&answer(mode, &buffer[..n])));
        if mode == "http" {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
    total
}

fn serve_raw(fd: u32, mode: &str) -> usize {
    let die = |what: &str, e: wasip1::Errno| -> ! {
        eprintln!("{what}: {}", e.name());
        std::process::exit(1)
    };
    let (mut buffer, mut total) = ([0u8; 4096], 0);
    // SAFETY: fds are numbers the host checks; the buffers outlive the calls that are given them
    unsafe {
        let conn = wasip1::sock_accept(fd, 0).unwrap_or_else(|e| die("sock_accept", e));
        loop {
            let into = [wasip1::Iovec { buf: buffer.as_mut_ptr(), buf_len: buffer.len() }];
            let (n, _) = wasip1::sock_recv(conn, &into, 0).unwrap_or_else(|e| die("sock_recv", e));
            if n == 0 {
                break;
            }
            total += n;
            let out = answer(mode, &buffer[..n]);
            let mut sent = 0;
            while sent < out.len() {
                let rest = [wasip1::Ciovec { buf: out[sent..].as_ptr(), buf_len: out.len() - sent }];
                sent += wasip1::sock_send(conn, &rest, 0).unwrap_or_else(|e| die("sock_send", e));
            }
            if mode == "http" {
                break;
            }
        }
        let _ = wasip1::sock_shutdown(conn, wasip1::SDFLAGS_RD | wasip1::SDFLAGS_WR);
        let _ = wasip1::fd_close(conn);
    }
    total
}
