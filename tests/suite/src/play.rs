//! One run of `wasmpod`, apart from the user's own settings and from other runs, with a limit on the time it may take.
//!
//! Owns the process and its streams. What they hold is [`Outcome`]'s.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tempfile::TempDir;

use crate::binary;
use crate::outcome::Outcome;

/// How long a run may go without a word before it is taken to hang and killed: below nextest's own limit, which shows less.
const LIMIT: Duration = Duration::from_secs(90);

/// A run to be.
#[derive(Debug)]
pub struct Play {
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    stdin: Vec<u8>,
    dir: PathBuf,
    limit: Duration,
    temp: TempDir,
}

impl Play {
    /// `wasmpod play`, with nothing after it.
    pub fn new() -> Self {
        Self::verb("play")
    }

    /// `wasmpod VERB`.
    ///
    /// # Panics
    /// The host has no place for temporary files.
    pub fn verb(verb: &str) -> Self {
        let temp = tempfile::tempdir().expect("a folder for temporary files");
        Self { args: vec![verb.into()], env: Vec::new(), stdin: Vec::new(), dir: crate::root(), limit: LIMIT, temp }
    }

    /// `wasmpod play FILE`.
    pub fn file(path: impl AsRef<Path>) -> Self {
        Self::new().arg(path.as_ref())
    }

    /// `wasmpod play specs/pods/NAME`.
    pub fn spec(name: &str) -> Self {
        Self::file(Path::new("specs/pods").join(name))
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(OsString::from));
        self
    }

    /// Simulated time, with a seed, and a journal.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        self.args(&["--virtual-time", "--seed", &seed.to_string()]).journalled()
    }

    /// With a journal.
    #[must_use]
    pub fn journalled(self) -> Self {
        let path = self.journal();
        self.arg("--journal").arg(path)
    }

    /// One more environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What is on standard input; otherwise it is empty.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// The current directory; otherwise the checkout.
    #[must_use]
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = dir.as_ref().to_owned();
        self
    }

    /// Another limit on the time without a word.
    #[must_use]
    pub const fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    fn journal(&self) -> PathBuf {
        self.temp.path().join("journal")
    }

    /// Runs it to its end.
    pub fn run(self) -> Outcome {
        self.start().finish()
    }

    /// Starts it.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start(self) -> Running {
        let mut command = Command::new(binary::path());
        command.args(&self.args).current_dir(&self.dir);
        // compiled modules are kept for all tests; everything else of a run is its own
        let home = self.temp.path().join("home");
        let temporary = self.temp.path().join("tmp");
        for folder in [&home, &temporary] {
            std::fs::create_dir(folder).expect("a new folder");
        }
        command.env("XDG_CACHE_HOME", binary::kept().join("suite-cache"));
        command.env("HOME", &home).env("TMPDIR", &temporary);
        for name in ["WASMPOD_LOG", "RUST_BACKTRACE", "NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("wasmpod can be started");
        let mut stdin = child.stdin.take().expect("it is a pipe");
        // what is not read is not wanted, such as after a wrong command line
        let _ = stdin.write_all(&self.stdin);
        drop(stdin);
        let (sender, events) = channel();
        read_lines(child.stdout.take().expect("it is a pipe"), Stream::Stdout, sender.clone());
        read_lines(child.stderr.take().expect("it is a pipe"), Stream::Stderr, sender);
        let journal = self.journal();
        let mut running =
            Running { child, events, open: 2, limit: self.limit, heard: Heard::default(), journal, temp: self.temp };
        running.heard.command = format!("{:?}", self.args);
        running
    }
}

impl Default for Play {
    fn default() -> Self {
        Self::new()
    }
}

/// Which of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

enum Event {
    /// A line with its end, or the last bytes.
    Line(Stream, Vec<u8>),
    /// The end of a stream.
    End,
}

#[derive(Debug, Default)]
struct Heard {
    command: String,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// Of both streams.
    lines: Vec<String>,
}

/// A run that was started. It is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    events: Receiver<Event>,
    open: usize,
    limit: Duration,
    heard: Heard,
    journal: PathBuf,
    temp: TempDir,
}

impl Running {
    /// Waits for a line that `wanted` says yes to, on either stream, and returns it without its end. What was heard while
    /// another line was waited for counts.
    ///
    /// # Panics
    /// The run ends or is silent for too long before there is one.
    pub fn line(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut at = 0;
        loop {
            while let Some(line) = self.heard.lines.get(at) {
                if wanted(line) {
                    return line.clone();
                }
                at += 1;
            }
            assert!(self.open > 0, "ended without {what}: {}", self.shown());
            self.next();
        }
    }

    /// Waits for a line that holds `text`.
    pub fn line_with(&mut self, text: &str) -> String {
        self.line(text, |line| line.contains(text))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, by the name that `kill` has for it.
    ///
    /// # Panics
    /// There is no `kill`, or it fails.
    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "cannot send SIG{name}");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It is silent for too long.
    pub fn finish(mut self) -> Outcome {
        while self.open > 0 {
            self.next();
        }
        // both streams are closed at its end only
        let status = self.child.wait().expect("a child can be waited for");
        let journal = std::fs::read_to_string(&self.journal).unwrap_or_default();
        let left = std::fs::read_dir(self.temp.path().join("tmp")).expect("it was made").count();
        let Heard { command, stdout, stderr, .. } = std::mem::take(&mut self.heard);
        Outcome { command, code: status.code(), stdout, stderr, journal, left }
    }

    fn next(&mut self) {
        match self.events.recv_timeout(self.limit) {
            Ok(Event::Line(stream, line)) => {
                match stream {
                    Stream::Stdout => self.heard.stdout.extend_from_slice(&line),
                    Stream::Stderr => self.heard.stderr.extend_from_slice(&line),
                }
                self.heard.lines.push(String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned());
            }
            Ok(Event::End) => self.open -= 1,
            Err(RecvTimeoutError::Timeout) => {
                let _ = self.child.kill(); // it may have ended just now
                panic!("silent for {:?}, so killed: {}", self.limit, self.shown());
            }
            Err(RecvTimeoutError::Disconnected) => unreachable!("a reader says when its stream ends"),
        }
    }

    fn shown(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let Heard { command, stdout, stderr, .. } = &self.heard;
        format!("{command}\n--- stdout\n{}--- stderr\n{}", text(stdout), text(stderr))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill(); // it may end just now
            let _ = self.child.wait();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "two pipes of a real process are read at once")]
fn read_lines(pipe: impl Read + Send + 'static, stream: Stream, sender: Sender<Event>) {
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        loop {
            let mut line = Vec::new();
            let read = pipe.read_until(b'\n', &mut line);
            let event = if read.is_ok_and(|n| n > 0) { Event::Line(stream, line) } else { Event::End };
            let end = matches!(event, Event::End);
            if sender.send(event).is_err() || end {
                return; // a test that failed listens no more
            }
        }
    });
}
