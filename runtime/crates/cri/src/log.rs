//! A container's log: one file per run in the CRI's format, `<RFC3339Nano> <stdout|stderr> <F|P> <text>`, rotated and capped as it is
//! written. Follows the kubelet and containerd: lines are split at 16 KiB with the tag P, a file is rotated at its size limit, the
//! oldest is removed. Owns the file; who reads it finds whole lines only.
//!
//! The path lies in wasmpod's own directory, which no guest can reach, so it cannot be turned into a link under us.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Context;

use parking_lot::Mutex;
use wasmpod_kernel::file::Stream;
use wasmpod_kernel::wait::Ready;
use wasmpod_kernel::{Errno, Result};
use wasmpod_sim::Clock;

/// Where containerd splits a line (`max_container_log_line_size`).
pub const MAX_LINE: usize = 16 * 1024;
/// The size at which a log is rotated (kubelet's containerLogMaxSize).
pub const DEFAULT_LOG_BYTES: u64 = 10 * 1024 * 1024;
/// How many files of one run are kept, the current one included (kubelet's containerLogMaxFiles).
pub const DEFAULT_LOG_FILES: usize = 5;

/// Which of the two streams a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StdStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl StdStream {
    /// As the log spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Takes a container's output as it appears, beside the log.
pub trait OutputSink: Send + Sync {
    /// One line without its line break. `partial`: no line break followed; the line was split, or the container ended.
    fn line(&self, stream: StdStream, line: &[u8], partial: bool);
}

/// How much of a log is kept.
#[derive(Debug, Clone, Copy)]
pub struct LogLimits {
    /// The size at which a file is rotated, in bytes.
    pub max_bytes: u64,
    /// How many files are kept, at least 1.
    pub max_files: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { max_bytes: DEFAULT_LOG_BYTES, max_files: DEFAULT_LOG_FILES }
    }
}

/// The log of one run of a container.
pub struct ContainerLog {
    state: Mutex<State>,
    clock: Clock,
    limits: LogLimits,
    sink: Option<Arc<dyn OutputSink>>,
}

struct State {
    path: PathBuf,
    file: File,
    written: u64,
    /// Bytes of each stream that wait for their line break; fewer than [`MAX_LINE`].
    pending: [Vec<u8>; 2],
    rotated: Vec<PathBuf>,
    failed: bool,
}

impl ContainerLog {
    /// Makes the log file, and its directory.
    ///
    /// # Errors
    /// What the host's file system says.
    pub fn create(
        path: &Path,
        limits: LogLimits,
        clock: Clock,
        sink: Option<Arc<dyn OutputSink>>,
    ) -> std::io::Result<Arc<Self>> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let state = State {
            path: path.to_owned(),
            file: open(path)?,
            written: 0,
            pending: [Vec::new(), Vec::new()],
            rotated: Vec::new(),
            failed: false,
        };
        Ok(Arc::new(Self { state: Mutex::new(state), clock, limits, sink }))
    }

    /// A descriptor's end of the log.
    pub fn stream(self: &Arc<Self>, stream: StdStream) -> Arc<LogStream> {
        Arc::new(LogStream { log: self.clone(), stream })
    }

    /// Takes output as a program wrote it.
    pub fn write(&self, stream: StdStream, mut data: &[u8]) {
        let mut state = self.state.lock();
        let at = stream as usize;
        while !data.is_empty() {
            let room = MAX_LINE - state.pending[at].len();
            let window = &data[..data.len().min(room)];
            if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
                state.pending[at].extend_from_slice(&window[..end]);
                self.emit(&mut state, stream, true, false);
                data = &data[end + 1..];
            } else {
                state.pending[at].extend_from_slice(window);
                data = &data[window.len()..];
                // a line of exactly the limit, followed by its line break, is a whole line
                if state.pending[at].len() == MAX_LINE && data.first() != Some(&b'\n') {
                    self.emit(&mut state, stream, false, true);
                }
                if state.pending[at].len() == MAX_LINE && data.first() == Some(&b'\n') {
                    self.emit(&mut state, stream, true, false);
                    data = &data[1..];
                }
            }
        }
    }

    /// Writes what has no line break yet; the container has ended.
    pub fn finish(&self) {
        let mut state = self.state.lock();
        for stream in [StdStream::Stdout, StdStream::Stderr] {
            if !state.pending[stream as usize].is_empty() {
                self.emit(&mut state, stream, true, true);
            }
        }
        let _ = state.file.flush();
    }

    /// Removes the file and the rotated ones; what is written from now on is dropped. What cannot be removed is left. Removing them
    /// again does nothing.
    pub fn remove(&self) {
        let mut state = self.state.lock();
        state.failed = true; // nothing is written to a file without a name, which the disk would keep
        for rotated in std::mem::take(&mut state.rotated) {
            let _ = std::fs::remove_file(rotated);
        }
        let _ = std::fs::remove_file(&state.path);
    }

    /// The last `max_lines` lines of the current file, at most `max_bytes` of them, without time and tags
    /// (terminationMessagePolicy FallbackToLogsOnError).
    pub fn tail(&self, max_lines: usize, max_bytes: usize) -> Vec<u8> {
        let path = self.state.lock().path.clone();
        let Ok(content) = std::fs::read(path) else { return Vec::new() };
        let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
        let mut text = Vec::new();
        for line in &lines[lines.len().saturating_sub(max_lines)..] {
            let body = line.splitn(4, |byte| *byte == b' ').nth(3).unwrap_or_default();
            text.extend_from_slice(body);
        }
        text.split_off(text.len().saturating_sub(max_bytes))
    }

    /// The file that is being written.
    pub fn path(&self) -> PathBuf {
        self.state.lock().path.clone()
    }

    /// Writes the pending bytes of `stream` as one line. `full` is the log's tag, `partial` what the sink is told.
    fn emit(&self, state: &mut State, stream: StdStream, full: bool, partial: bool) {
        let line = std::mem::take(&mut state.pending[stream as usize]);
        let mut record = Vec::with_capacity(line.len() + 48);
        let tag = if full { 'F' } else { 'P' };
        let _ = write!(record, "{} {} {tag} ", timestamp(self.clock.wall()), stream.as_str());
        record.extend_from_slice(&line);
        record.push(b'\n');
        self.append(state, &record);
        if let Some(sink) = &self.sink {
            sink.line(stream, &line, partial);
        }
        // keeps the allocation for the next line
        state.pending[stream as usize] = line;
        state.pending[stream as usize].clear();
    }

    fn append(&self, state: &mut State, record: &[u8]) {
        if state.failed {
            return;
        }
        if state.written > 0 && state.written + record.len() as u64 > self.limits.max_bytes {
            self.rotate(state);
        }
        if state.failed {
            return;
        }
        match state.file.write_all(record) {
            Ok(()) => state.written += record.len() as u64,
            Err(error) => {
                // a full disk must not end the container, nor be told a million times
                tracing::error!(%error, path = %state.path.display(), "the container's log cannot be written");
                state.failed = true;
            }
        }
    }

    fn rotate(&self, state: &mut State) {
        let stamp = jiff_time(self.clock.wall()).strftime("%Y%m%d-%H%M%S").to_string();
        let name = state.path.as_os_str().to_owned();
        let mut target = name.clone();
        target.push(format!(".{stamp}"));
        let mut turn = 1;
        while Path::new(&target).exists() {
            target = name.clone();
            target.push(format!(".{stamp}-{turn}"));
            turn += 1;
        }
        let renamed = std::fs::rename(&state.path, &target).and_then(|()| open(&state.path));
        match renamed {
            Ok(file) => {
                state.file = file;
                state.written = 0;
                state.rotated.push(PathBuf::from(target));
            }
            Err(error) => {
                tracing::error!(%error, path = %state.path.display(), "the container's log cannot be rotated");
                state.failed = true; // the size cap holds whatever happens
            }
        }
        while state.rotated.len() >= self.limits.max_files.max(1) {
            let _ = std::fs::remove_file(state.rotated.remove(0));
        }
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn jiff_time(nanos: u64) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

/// RFC3339 with nanoseconds, in UTC.
pub fn timestamp(nanos: u64) -> impl std::fmt::Display {
    jiff_time(nanos)
}

/// Standard output or standard error of a program: writes never block and go to the log.
pub struct LogStream {
    log: Arc<ContainerLog>,
    stream: StdStream,
}

impl Stream for LogStream {
    fn read(&self, _buf: &mut [u8]) -> Result<usize> {
        Err(Errno::BadF)
    }

    fn write(&self, buf: &[u8]) -> Result<usize> {
        self.log.write(self.stream, buf);
        Ok(buf.len())
    }

    fn poll_ready(&self, interest: Ready, _cx: &mut Context<'_>) -> Ready {
        Ready::WRITE.answering(interest)
    }
}

/// Standard input that nobody feeds: at its end from the start, as `/dev/null`.
pub struct NoInput;

impl Stream for NoInput {
    fn read(&self, _buf: &mut [u8]) -> Result<usize> {
        Ok(0)
    }

    fn write(&self, _buf: &[u8]) -> Result<usize> {
        Err(Errno::BadF)
    }

    fn poll_ready(&self, interest: Ready, _cx: &mut Context<'_>) -> Ready {
        Ready::READ.answering(interest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmpod_sim::Sim;

    struct Fixture {
        _dir: tempfile::TempDir,
        path: PathBuf,
        log: Arc<ContainerLog>,
    }

    fn log(limits: LogLimits) -> Fixture {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("default_p_uid/c/0.log");
        let clock = Sim::new_virtual(0).clock().clone();
        let log = ContainerLog::create(&path, limits, clock, None).expect("a log");
        Fixture { _dir: dir, path, log }
    }

    fn lines(path: &Path) -> Vec<String> {
        std::fs::read_to_string(path).expect("text").lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_are_written_in_the_cri_format() {
        let fixture = log(LogLimits::default());
        fixture.log.write(StdStream::Stdout, b"hello\nwor");
        fixture.log.write(StdStream::Stderr, b"oops\n");
        fixture.log.write(StdStream::Stdout, b"ld\n\nrest");
        fixture.log.finish();
        let expected = ["stdout F hello", "stderr F oops", "stdout F world", "stdout F ", "stdout F rest"];
        let expected: Vec<_> = expected.iter().map(|line| format!("2026-01-01T00:00:00Z {line}")).collect();
        assert_eq!(lines(&fixture.path), expected);
    }

    #[test]
    fn a_long_line_is_split_at_16_kib() {
        let fixture = log(LogLimits::default());
        let mut text = vec![b'x'; 2 * MAX_LINE + 5];
        text.push(b'\n');
        text.extend(vec![b'y'; MAX_LINE]);
        text.push(b'\n');
        fixture.log.write(StdStream::Stdout, &text);
        let found: Vec<_> = lines(&fixture.path).iter().map(|line| (line.as_bytes()[28], line.len() - 30)).collect();
        assert_eq!(found, [(b'P', MAX_LINE), (b'P', MAX_LINE), (b'F', 5), (b'F', MAX_LINE)]);
    }

    #[test]
    fn the_size_is_capped_while_it_is_written() {
        let fixture = log(LogLimits { max_bytes: 1000, max_files: 3 });
        for turn in 0..500 {
            fixture.log.write(StdStream::Stdout, format!("line {turn:04}\n").as_bytes());
        }
        let dir = fixture.path.parent().expect("a directory");
        let sizes: Vec<u64> = std::fs::read_dir(dir)
            .expect("entries")
            .map(|entry| entry.expect("entry").metadata().expect("size").len())
            .collect();
        assert_eq!(sizes.len(), 3);
        assert!(sizes.iter().all(|size| *size <= 1000), "{sizes:?}");
        assert!(lines(&fixture.path).last().expect("a line").ends_with("line 0499"));
    }

    #[test]
    fn the_tail_is_the_text_of_the_last_lines() {
        let fixture = log(LogLimits::default());
        fixture.log.write(StdStream::Stderr, b"one\ntwo words\nthree\n");
        assert_eq!(fixture.log.tail(2, 100), b"two words\nthree\n");
        assert_eq!(fixture.log.tail(80, 6), b"three\n");
    }
}
