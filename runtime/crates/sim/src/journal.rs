//! The journal: one line per event of a run: time, pod, what. Two runs of the same manifest and seed agree on every byte of it.
//! Owns the format, the size cap and the hash over all lines; not the choice of events.

use std::fmt;
use std::future::Future;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::Clock;

/// The most that one run may write, so that a crash loop cannot fill the disk (1 GiB is about ten million events).
pub const MAX_JOURNAL_BYTES: u64 = 1 << 30;

/// The journal of a run. Without a sink it costs one lock per event. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    clock: Clock,
    sink: Arc<Mutex<Option<Sink>>>,
    watches: Arc<Mutex<Vec<Arc<Watched>>>>,
}

/// What somebody waits for, until it was seen.
struct Watched {
    text: String,
    state: Mutex<WatchState>,
}

#[derive(Default)]
struct WatchState {
    seen: bool,
    waiter: Option<Waker>,
}

/// Waits for an event; made by [`Journal::watch`]. Ready once, and at once if the event came before it was polled.
#[must_use = "an event is waited for only when this is polled"]
pub struct Watch {
    watched: Arc<Watched>,
    watches: Arc<Mutex<Vec<Arc<Watched>>>>,
}

impl Future for Watch {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.watched.state.lock();
        if state.seen {
            return Poll::Ready(());
        }
        state.waiter = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watches.lock().retain(|watched| !Arc::ptr_eq(watched, &self.watched));
    }
}

struct Sink {
    out: Box<dyn Write + Send>,
    written: u64,
    lines: u64,
    hash: Sha256,
    error: Option<std::io::Error>,
}

/// What a whole journal comes to. Two runs are equal if their records are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// How many lines were written.
    pub lines: u64,
    /// SHA-256 of all their bytes, as 64 hexadecimal digits: what `sha256sum` says of the file.
    pub sha256: String,
}

impl Journal {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, sink: Arc::default(), watches: Arc::default() }
    }

    /// Sends all further events to `out`.
    pub fn set_sink(&self, out: Box<dyn Write + Send>) {
        *self.sink.lock() = Some(Sink { out, written: 0, lines: 0, hash: Sha256::new(), error: None });
    }

    /// True if events go anywhere; lets a caller skip the work of describing them.
    pub fn is_on(&self) -> bool {
        self.sink.lock().is_some() || !self.watches.lock().is_empty()
    }

    /// Waits for the next event whose `<subject> <what>` holds `text`, whether or not there is a sink.
    pub fn watch(&self, text: impl Into<String>) -> Watch {
        let watched = Arc::new(Watched { text: text.into(), state: Mutex::default() });
        self.watches.lock().push(watched.clone());
        Watch { watched, watches: self.watches.clone() }
    }

    /// Tells those who wait for this event. Each is woken once.
    fn tell_watches(&self, subject: &str, what: fmt::Arguments<'_>) {
        let mut woken = Vec::new();
        {
            let mut watches = self.watches.lock();
            if watches.is_empty() {
                return;
            }
            let text = format!("{subject} {what}");
            watches.retain(|watched| {
                let meant = text.contains(&watched.text);
                if meant {
                    let mut state = watched.state.lock();
                    state.seen = true;
                    woken.extend(state.waiter.take());
                }
                !meant
            });
        }
        woken.into_iter().for_each(Waker::wake);
    }

    /// Writes one event: `<seconds.nanoseconds> <subject> <what>`. Control characters and backslashes are escaped, so that a
    /// line is always one event and does nothing to a terminal. A write error is kept and returned by [`Journal::finish`].
    pub fn event(&self, subject: &str, what: fmt::Arguments<'_>) {
        self.tell_watches(subject, what);
        let mut guard = self.sink.lock();
        let Some(sink) = guard.as_mut() else { return };
        if sink.error.is_some() || sink.written >= MAX_JOURNAL_BYTES {
            return;
        }
        let mut line = format!("{} ", self.clock.now());
        escape(subject, &mut line);
        line.push(' ');
        escape(&what.to_string(), &mut line);
        line.push('\n');
        sink.written += line.len() as u64;
        let line = if sink.written >= MAX_JOURNAL_BYTES { "journal full\n" } else { &line };
        sink.lines += 1;
        sink.hash.update(line.as_bytes());
        if let Err(error) = sink.out.write_all(line.as_bytes()) {
            sink.error = Some(error);
        }
    }

    /// Flushes the sink, takes it away and says what was written; nothing if there was no sink.
    ///
    /// # Errors
    /// The first error of any write.
    pub fn finish(&self) -> std::io::Result<Option<Record>> {
        let Some(mut sink) = self.sink.lock().take() else { return Ok(None) };
        if let Some(error) = sink.error {
            return Err(error);
        }
        sink.out.flush()?;
        Ok(Some(Record { lines: sink.lines, sha256: hex::encode(sink.hash.finalize()) }))
    }
}

fn escape(text: &str, line: &mut String) {
    for letter in text.chars() {
        if letter.is_control() || letter == '\\' {
            line.extend(letter.escape_default());
        } else {
            line.push(letter);
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("on", &self.is_on()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_waited_for_with_and_without_a_sink() {
        for sink in [false, true] {
            let sim = crate::Sim::new_virtual(1);
            if sink {
                sim.journal().set_sink(Box::new(std::io::sink()));
            }
            let (journal, clock) = (sim.journal().clone(), sim.clock().clone());
            let (early, late, never) =
                (journal.watch("a/b started"), journal.watch("exited"), journal.watch("nothing"));
            assert!(journal.is_on());
            journal.event("a/b", format_args!("started attempt {}", 0));
            let teller = journal.clone();
            sim.spawn("teller", async move {
                clock.sleep(std::time::Duration::from_secs(1)).await;
                teller.event("a/b", format_args!("exited code 0"));
            });
            sim.block_on(async { (early.await, late.await) }).expect("both come");
            assert_eq!(sim.clock().now().as_nanos(), 1_000_000_000);
            drop(never);
            assert_eq!(journal.is_on(), sink, "nobody waits any more");
        }
    }

    #[test]
    fn a_full_journal_says_so_once_and_stops() {
        let (sim, kept) = (crate::Sim::new_virtual(1), Kept::default());
        let journal = sim.journal();
        journal.set_sink(Box::new(kept.clone()));
        let line = "0.000000000 a b\n";
        if let Some(sink) = journal.sink.lock().as_mut() {
            sink.written = MAX_JOURNAL_BYTES - line.len() as u64 - 1; // room for one more line
        }
        for _ in 0..3 {
            journal.event("a", format_args!("b"));
        }
        let record = journal.finish().expect("no error").expect("there was a sink");
        let text = format!("{line}journal full\n");
        assert_eq!(String::from_utf8_lossy(&kept.0.lock()), text);
        assert_eq!(record, Record { lines: 2, sha256: hex::encode(Sha256::digest(text.as_bytes())) });
        assert_eq!(journal.finish().expect("no error"), None);
    }
}
