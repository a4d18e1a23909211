//! The two streams of this process, and whether somebody has left a line unfinished on one of them.
//!
//! Owns writing. A write error closes the stream for good: nobody reads it, and a program's output must not end wasmpod in a panic.

use std::io::Write;

use wasmpod_node::events::OutputStream;

/// What is known of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// It is a terminal.
    pub terminal: bool,
    /// It is written in colour.
    pub colour: bool,
}

/// Who writes a line; the same writer goes on in its unfinished line.
pub type Writer = (usize, OutputStream);

/// Standard output and standard error.
pub struct Sink {
    streams: [Stream; 2],
    /// Both are the same terminal: an unfinished line on one is in the way of the other.
    shared: bool,
}

struct Stream {
    out: Box<dyn Write + Send>,
    broken: bool,
    open: Option<Writer>,
}

const STDOUT: usize = 0;
const STDERR: usize = 1;

impl Sink {
    /// The streams of this process.
    pub fn of_process(stdout: Target, stderr: Target) -> Self {
        Self::new(Box::new(std::io::stdout()), Box::new(std::io::stderr()), stdout.terminal && stderr.terminal)
    }

    /// Other streams.
    pub fn new(stdout: Box<dyn Write + Send>, stderr: Box<dyn Write + Send>, shared: bool) -> Self {
        let stream = |out| Stream { out, broken: false, open: None };
        Self { streams: [stream(stdout), stream(stderr)], shared }
    }

    /// True once standard output is closed.
    pub const fn is_broken(&self) -> bool {
        self.streams[STDOUT].broken
    }

    /// Writes `text` of `writer`, after `prefix` unless it goes on in an unfinished line. `partial`: the line is not finished.
    pub fn write(&mut self, stream: OutputStream, writer: Writer, prefix: &[u8], text: &[u8], partial: bool) {
        let at = index(stream);
        let mut line = Vec::with_capacity(prefix.len() + text.len() + 1);
        if self.streams[at].open != Some(writer) {
            self.close_lines(at);
            line.extend_from_slice(prefix);
        }
        line.extend_from_slice(text);
        if !partial {
            line.push(b'\n');
        }
        self.streams[at].open = partial.then_some(writer);
        self.streams[at].put(&line);
    }

    /// Writes bytes as they are.
    pub fn raw(&mut self, stream: OutputStream, text: &[u8], partial: bool) {
        let stream = &mut self.streams[index(stream)];
        stream.put(text);
        if !partial {
            stream.put(b"\n");
        } else {
            stream.flush();
        }
    }

    /// Writes a line to standard output.
    pub fn line(&mut self, text: &str) {
        self.close_lines(STDOUT);
        self.streams[STDOUT].put(format!("{text}\n").as_bytes());
    }

    /// Writes a line to standard error.
    pub fn error_line(&mut self, text: &str) {
        self.close_lines(STDERR);
        self.streams[STDERR].put(format!("{text}\n").as_bytes());
    }

    /// Finishes every unfinished line.
    pub fn finish(&mut self) {
        for stream in &mut self.streams {
            stream.close_line();
            stream.flush();
        }
    }

    fn close_lines(&mut self, at: usize) {
        if self.shared {
            self.streams.iter_mut().for_each(Stream::close_line);
        } else {
            self.streams[at].close_line();
        }
    }
}

const fn index(stream: OutputStream) -> usize {
    match stream {
        OutputStream::Stdout => STDOUT,
        OutputStream::Stderr => STDERR,
    }
}

impl Stream {
    fn close_line(&mut self) {
        if self.open.take().is_some() {
            self.put(b"\n");
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        if !self.broken && self.out.write_all(bytes).is_err() {
            self.broken = true;
        }
    }

    fn flush(&mut self) {
        if !self.broken && self.out.flush().is_err() {
            self.broken = true;
        }
    }
}
