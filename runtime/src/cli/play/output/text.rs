//! Lines for people: `pod/container | text`, and `wasmpod: …` for what wasmpod itself has to say.

use std::borrow::Cow;
use std::collections::BTreeMap;

use wasmpod_api::k8s_openapi::api::core::v1::PodStatus;
use wasmpod_cri::PodInspection;
use wasmpod_node::events::{ContainerChange, Event, EventType, OutputStream};
use wasmpod_node::objects::{DEFAULT_NAMESPACE, PodRef};
use wasmpod_sim::Instant;

use super::Style;
use super::inspect::{self, Moment};
use super::sanitize::{for_terminal, message_for_terminal};
use super::sink::Sink;
use super::summary::Summary;

/// ANSI colours that are readable on dark and on light, in the order in which containers get them.
const PALETTE: [u8; 10] = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];

/// Prints text.
pub struct Text {
    style: Style,
    /// Each container's number, by pod's uid and container's name.
    numbers: BTreeMap<(String, String), usize>,
    /// The last thing said of each pod and container: a retry that fails in the same way is not said again.
    last: BTreeMap<(String, String), String>,
}

impl Text {
    /// Prints in `style`; `pods` gives each container its number.
    pub fn new(style: Style, pods: &[(PodRef, Vec<String>)]) -> Self {
        let all = pods.iter().flat_map(|(pod, names)| names.iter().map(|name| (pod.uid.clone(), name.clone())));
        let numbers = all.enumerate().map(|(number, key)| (key, number)).collect();
        Self { style, numbers, last: BTreeMap::new() }
    }

    /// Says something of wasmpod's own.
    pub fn say(&self, sink: &mut Sink, message: &str) {
        if !self.style.quiet {
            self.always(sink, message);
        }
    }

    /// Says it even if quiet.
    fn always(&self, sink: &mut Sink, message: &str) {
        let message = if self.style.stderr.terminal { message_for_terminal(message) } else { message.to_owned() };
        let message = if self.style.stderr.colour {
            format!("\x1b[2mwasmpod:\x1b[0m {message}")
        } else {
            format!("wasmpod: {message}")
        };
        sink.error_line(&message);
    }

    /// A container's line.
    pub fn output(
        &self,
        sink: &mut Sink,
        pod: &PodRef,
        container: &str,
        stream: OutputStream,
        line: &[u8],
        partial: bool,
    ) {
        if self.style.is_raw() {
            return sink.raw(stream, line, partial);
        }
        let target = match stream {
            OutputStream::Stdout => self.style.stdout,
            OutputStream::Stderr => self.style.stderr,
        };
        let key = (pod.uid.clone(), container.to_owned());
        let number = self.numbers.get(&key).copied().unwrap_or(0);
        let label = label(pod, Some(container));
        let prefix = if target.colour {
            format!("\x1b[{}m{label} |\x1b[0m ", PALETTE[number % PALETTE.len()])
        } else {
            format!("{label} | ")
        };
        let text = if target.terminal {
            Cow::Owned(for_terminal(line).into_owned().into_bytes())
        } else {
            Cow::Borrowed(line)
        };
        sink.write(stream, (number, stream), prefix.as_bytes(), &text, partial);
    }

    /// A pod's event: warnings are said, the rest shows in the containers' changes.
    pub fn event(&mut self, sink: &mut Sink, pod: &PodRef, event: &Event) {
        let told_elsewhere = matches!(event.reason, "BackOff" | "Failed");
        if event.kind == EventType::Warning && !told_elsewhere {
            let message = format!("{}: {}: {}", label(pod, event.container.as_deref()), event.reason, event.message);
            self.once(sink, pod, event.container.as_deref(), message);
        } else if event.reason == "DeadlineExceeded" {
            self.say(sink, &format!("{}: {}", label(pod, None), event.message));
        }
    }

    /// A container's change.
    pub fn container(&mut self, sink: &mut Sink, pod: &PodRef, container: &str, change: &ContainerChange) {
        let label = label(pod, Some(container));
        let message = match change {
            ContainerChange::Started { attempt: 0 } => format!("{label} started"),
            ContainerChange::Started { attempt } => format!("{label} started again (restart {attempt})"),
            ContainerChange::Exited { code, reason, message, .. } => {
                let more = if message.is_empty() {
                    String::new()
                } else {
                    format!(": {}", message.trim_end().replace('\n', "\n    "))
                };
                format!("{label} exited with code {code} ({reason}){more}")
            }
            ContainerChange::Waiting { reason, message } => format!("{label} waits ({reason}): {message}"),
        };
        self.once(sink, pod, Some(container), message);
    }

    /// A pod's status: the end of a pod is said.
    pub fn status(&mut self, sink: &mut Sink, pod: &PodRef, status: &PodStatus) {
        let phase = status.phase.as_deref().unwrap_or_default();
        if matches!(phase, "Succeeded" | "Failed") {
            let reason = status.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            self.once(sink, pod, None, format!("{} {}{reason}", label(pod, None), phase.to_lowercase()));
        }
    }

    /// What is inside of a pod: a block of lines. It was asked for, so `--quiet` does not keep it back.
    pub fn inspection(&self, sink: &mut Sink, at: Instant, pod: &PodRef, moment: Moment, inspection: &PodInspection) {
        self.always(sink, &format!("inside of {} ({}) at {at}", label(pod, None), moment.name()));
        for line in inspect::lines(inspection) {
            sink.error_line(&line);
        }
    }

    /// How it ended: the table.
    pub fn finish(&self, sink: &mut Sink, summary: &Summary) {
        sink.finish();
        if self.style.quiet {
            return;
        }
        for line in summary.table() {
            let line = if self.style.stderr.terminal { message_for_terminal(&line) } else { line };
            sink.error_line(&line);
        }
        for note in &summary.notes {
            self.always(sink, note);
        }
    }

    fn once(&mut self, sink: &mut Sink, pod: &PodRef, container: Option<&str>, message: String) {
        let key = (pod.uid.clone(), container.unwrap_or_default().to_owned());
        if self.last.get(&key) != Some(&message) {
            self.say(sink, &message);
            self.last.insert(key, message);
        }
    }
}

/// `pod/container`, with the namespace in front unless it is the default one.
pub fn label(pod: &PodRef, container: Option<&str>) -> String {
    let namespace = if pod.namespace == DEFAULT_NAMESPACE { String::new() } else { format!("{}/", pod.namespace) };
    let container = container.map(|name| format!("/{name}")).unwrap_or_default();
    format!("{namespace}{}{container}", pod.name)
}
