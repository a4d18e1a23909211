//! Preview 1 from a program's side: every call and its main errors, bad pointers, polling, sockets and what is handed over.

mod args;
mod files;
mod guests;
mod harness;
mod hostile;
mod paths;
mod poll;
mod preopens;
mod sockets;
mod streams;
