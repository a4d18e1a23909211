//! What `play` says. Containers' output goes to the stream it was written to, wasmpod's own messages to standard error; with
//! `--output json` everything goes to standard output, one object per line.
//!
//! - [`text`]: lines for people
//! - [`json`]: lines for programs
//! - [`mod@inspect`]: what is inside of a pod, for people
//! - [`table`]: rows in columns
//! - [`sanitize`]: what a terminal must not be sent
//! - [`sink`]: the two streams and who has written an unfinished line
//! - [`summary`]: how it ended
//!
//! Owns the texts and the writing. A stream that nobody reads any more is not written again, and never panics.

pub mod inspect;
pub mod json;
pub mod sanitize;
pub mod sink;
pub mod summary;
pub mod table;
pub mod text;

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use wasmpod_api::k8s_openapi::api::core::v1::PodStatus;
use wasmpod_cri::{PodInspection, Sandbox};
use wasmpod_node::events::{ContainerChange, Event, Observer, OutputStream};
use wasmpod_node::objects::PodRef;
use wasmpod_sim::Clock;

use self::inspect::Moment;
use super::args::{Args, OutputFormat};
use json::Json;
use sink::{Sink, Target};
use summary::Summary;
use text::Text;

/// What is shown, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// `--output`.
    pub format: OutputFormat,
    /// `--quiet`.
    pub quiet: bool,
    /// `--inspect`.
    pub inspect: bool,
    /// There is one container in all: with `quiet` its bytes pass as they are.
    pub single: bool,
    /// Standard output.
    pub stdout: Target,
    /// Standard error.
    pub stderr: Target,
}

impl Style {
    /// What the command line, the environment and the streams say. `containers` is how many there are in all pods.
    pub fn of(args: &Args, containers: usize) -> Self {
        let variable = |name| std::env::var(name).ok();
        let target = |terminal| Target { terminal, colour: colour(terminal, variable) };
        Self {
            format: args.output,
            quiet: args.quiet,
            inspect: args.inspect,
            single: containers == 1,
            stdout: target(std::io::stdout().is_terminal()),
            stderr: target(std::io::stderr().is_terminal()),
        }
    }

    /// True if a container's bytes pass as they are.
    pub const fn is_raw(self) -> bool {
        self.quiet && self.single && matches!(self.format, OutputFormat::Text)
    }
}

/// Whether to colour (no-color.org, bixense.com/clicolors).
fn colour(terminal: bool, variable: impl Fn(&'static str) -> Option<String>) -> bool {
    if variable("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        return false;
    }
    if variable("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0") {
        return true;
    }
    terminal && variable("TERM").as_deref() != Some("dumb") && variable("CLICOLOR").as_deref() != Some("0")
}

/// Who writes for longer than this waits for a reader that does not read.
const WRITER_PATIENCE: Duration = Duration::from_millis(500);

/// Prints what the node tells.
pub struct Printer {
    clock: Clock,
    inspect: bool,
    /// Held while writing, which a reader that stands still can make last for ever.
    inner: Mutex<Inner>,
    closed: Closed,
}

struct Inner {
    sink: Sink,
    form: Form,
}

/// Whether standard output is closed, and who waits for that; apart from [`Inner`], so that nobody waits for a writer.
#[derive(Default)]
struct Closed {
    known: AtomicBool,
    waiter: Mutex<Option<Waker>>,
}

enum Form {
    Text(Text),
    Json(Json),
}

impl Printer {
    /// Prints to `sink` in `style`. `pods` gives the containers' stable order, and so their colours.
    pub fn new(clock: Clock, style: Style, sink: Sink, pods: &[(PodRef, Vec<String>)]) -> Arc<Self> {
        let form = match style.format {
            OutputFormat::Text => Form::Text(Text::new(style, pods)),
            OutputFormat::Json => Form::Json(Json::new(style.quiet)),
        };
        let inner = Mutex::new(Inner { sink, form });
        Arc::new(Self { clock, inspect: style.inspect, inner, closed: Closed::default() })
    }

    /// Says something of wasmpod's own.
    pub fn say(&self, message: &str) {
        self.with(|_, sink, form| say(sink, form, message));
    }

    /// Says something unless somebody stands still in the middle of writing: for the one who stops what writes.
    pub fn try_say(&self, message: &str) {
        if let Some(mut inner) = self.inner.try_lock_for(WRITER_PATIENCE) {
            let Inner { sink, form } = &mut *inner;
            say(sink, form, message);
        }
    }

    /// Prints what is inside of a pod, unless somebody stands still in the middle of writing.
    pub fn try_inspect(&self, pod: &PodRef, moment: Moment, inspection: &PodInspection) {
        if let Some(mut inner) = self.inner.try_lock_for(WRITER_PATIENCE) {
            let Inner { sink, form } = &mut *inner;
            inspect(&self.clock, sink, form, pod, moment, inspection);
        }
    }

    /// Prints how it ended.
    pub fn finish(&self, summary: &Summary) {
        self.with(|time, sink, form| match form {
            Form::Text(text) => text.finish(sink, summary),
            Form::Json(json) => json.finish(sink, time, summary),
        });
    }

    /// Waits until standard output is closed by whoever read it.
    pub async fn broken(&self) {
        std::future::poll_fn(|cx| {
            *self.closed.waiter.lock() = Some(cx.waker().clone());
            if self.closed.known.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await
    }

    fn with(&self, print: impl FnOnce(u64, &mut Sink, &mut Form)) {
        let broken = {
            let mut inner = self.inner.lock();
            let Inner { sink, form } = &mut *inner;
            print(self.clock.wall(), sink, form);
            sink.is_broken()
        };
        if broken && !self.closed.known.swap(true, Ordering::AcqRel) {
            let waiter = self.closed.waiter.lock().take();
            waiter.into_iter().for_each(Waker::wake);
        }
    }
}

fn say(sink: &mut Sink, form: &mut Form, message: &str) {
    match form {
        Form::Text(text) => text.say(sink, message),
        Form::Json(json) => json.say(sink, message),
    }
}

fn inspect(clock: &Clock, sink: &mut Sink, form: &mut Form, pod: &PodRef, moment: Moment, inspection: &PodInspection) {
    match form {
        Form::Text(text) => text.inspection(sink, clock.now(), pod, moment, inspection),
        Form::Json(json) => json.inspection(sink, clock.wall(), pod, moment, inspection),
    }
}

impl Observer for Printer {
    fn ending(&self, pod: &PodRef, sandbox: &Sandbox) {
        if self.inspect {
            let inspection = sandbox.inspect();
            self.with(|_, sink, form| inspect(&self.clock, sink, form, pod, Moment::Ended, &inspection));
        }
    }

    fn event(&self, pod: &PodRef, event: &Event) {
        self.with(|time, sink, form| match form {
            Form::Text(text) => text.event(sink, pod, event),
            Form::Json(json) => json.event(sink, time, pod, event),
        });
    }

    fn container(&self, pod: &PodRef, container: &str, change: &ContainerChange) {
        self.with(|time, sink, form| match form {
            Form::Text(text) => text.container(sink, pod, container, change),
            Form::Json(json) => json.container(sink, time, pod, container, change),
        });
    }

    fn status(&self, pod: &PodRef, status: &PodStatus) {
        self.with(|time, sink, form| match form {
            Form::Text(text) => text.status(sink, pod, status),
            Form::Json(json) => json.status(sink, time, pod, status),
        });
    }

    fn output(&self, pod: &PodRef, container: &str, stream: OutputStream, line: &[u8], partial: bool) {
        self.with(|time, sink, form| match form {
            Form::Text(text) => text.output(sink, pod, container, stream, line, partial),
            Form::Json(json) => json.output(sink, time, pod, container, stream, line, partial),
        });
    }
}

#[cfg(test)]
mod tests;
