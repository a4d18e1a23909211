//! Lines for programs: one JSON object per line on standard output. Every object has `time` and `type`: `output`, `event`,
//! `container`, `phase`, `inspection` or `result`.

use std::collections::BTreeMap;

use base64::Engine;
use serde_json::{Map, Value, json};
use wasmpod_api::k8s_openapi::api::core::v1::PodStatus;
use wasmpod_api::k8s_openapi::jiff::Timestamp;
use wasmpod_cri::PodInspection;
use wasmpod_node::events::{ContainerChange, Event, OutputStream};
use wasmpod_node::objects::PodRef;

use super::inspect::Moment;
use super::sink::Sink;
use super::summary::Summary;

/// Prints JSON.
pub struct Json {
    quiet: bool,
    phases: BTreeMap<String, String>,
}

impl Json {
    /// Prints everything, or with `quiet` only what containers write.
    pub fn new(quiet: bool) -> Self {
        Self { quiet, phases: BTreeMap::new() }
    }

    /// Something for people, which standard error is for.
    pub fn say(&self, sink: &mut Sink, message: &str) {
        if !self.quiet {
            sink.error_line(&format!("wasmpod: {message}"));
        }
    }

    /// A container's line: `text`, or `base64` if it is not UTF-8.
    #[expect(clippy::too_many_arguments, reason = "the observer's own arguments, the sink and the time")]
    pub fn output(
        &self,
        sink: &mut Sink,
        time: u64,
        pod: &PodRef,
        container: &str,
        stream: OutputStream,
        line: &[u8],
        partial: bool,
    ) {
        let mut object = start(time, "output", pod, Some(container));
        let stream = match stream {
            OutputStream::Stdout => "stdout",
            OutputStream::Stderr => "stderr",
        };
        object.insert("stream".into(), stream.into());
        match std::str::from_utf8(line) {
            Ok(text) => object.insert("text".into(), text.into()),
            Err(_) => object.insert("base64".into(), base64::engine::general_purpose::STANDARD.encode(line).into()),
        };
        if partial {
            object.insert("partial".into(), true.into());
        }
        sink.line(&Value::Object(object).to_string());
    }

    /// A pod's event.
    pub fn event(&self, sink: &mut Sink, time: u64, pod: &PodRef, event: &Event) {
        let mut object = start(time, "event", pod, event.container.as_deref());
        object.insert("eventType".into(), event.kind.name().into());
        object.insert("reason".into(), event.reason.into());
        object.insert("message".into(), event.message.clone().into());
        self.print(sink, object);
    }

    /// A container's change.
    pub fn container(&self, sink: &mut Sink, time: u64, pod: &PodRef, container: &str, change: &ContainerChange) {
        let mut object = start(time, "container", pod, Some(container));
        let more = match change {
            ContainerChange::Started { attempt } => json!({"state": "running", "restarts": attempt}),
            ContainerChange::Exited { attempt, code, reason, message } => {
                json!({"state": "terminated", "restarts": attempt, "exitCode": code, "reason": reason, "message": message})
            }
            ContainerChange::Waiting { reason, message } => {
                json!({"state": "waiting", "reason": reason, "message": message})
            }
        };
        if let Value::Object(more) = more {
            object.extend(more);
        }
        self.print(sink, object);
    }

    /// A pod's status: a change of its phase.
    pub fn status(&mut self, sink: &mut Sink, time: u64, pod: &PodRef, status: &PodStatus) {
        let phase = status.phase.clone().unwrap_or_default();
        if self.phases.get(&pod.uid) == Some(&phase) {
            return;
        }
        let mut object = start(time, "phase", pod, None);
        object.insert("phase".into(), phase.clone().into());
        if let Some(reason) = &status.reason {
            object.insert("reason".into(), reason.clone().into());
        }
        self.phases.insert(pod.uid.clone(), phase);
        self.print(sink, object);
    }

    /// What is inside of a pod: its fields are those of [`PodInspection`], and `moment`. It was asked for, so `--quiet` does not
    /// keep it back.
    pub fn inspection(&self, sink: &mut Sink, time: u64, pod: &PodRef, moment: Moment, inspection: &PodInspection) {
        let mut object = start(time, "inspection", pod, None);
        object.insert("moment".into(), moment.name().into());
        // plain data with names for keys: it cannot fail
        if let Ok(Value::Object(more)) = serde_json::to_value(inspection) {
            object.extend(more);
        }
        sink.line(&Value::Object(object).to_string());
    }

    /// How it ended.
    pub fn finish(&self, sink: &mut Sink, time: u64, summary: &Summary) {
        let mut object = Map::new();
        object.insert("time".into(), timestamp(time).into());
        object.insert("type".into(), "result".into());
        if let Value::Object(more) = summary.json() {
            object.extend(more);
        }
        self.print(sink, object);
    }

    fn print(&self, sink: &mut Sink, object: Map<String, Value>) {
        if !self.quiet {
            sink.line(&Value::Object(object).to_string());
        }
    }
}

fn start(time: u64, kind: &str, pod: &PodRef, container: Option<&str>) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("time".into(), timestamp(time).into());
    object.insert("type".into(), kind.into());
    object.insert("namespace".into(), pod.namespace.clone().into());
    object.insert("pod".into(), pod.name.clone().into());
    if let Some(container) = container {
        object.insert("container".into(), container.into());
    }
    object
}

/// RFC 3339 with nanoseconds.
fn timestamp(nanos: u64) -> String {
    let time = Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.9}")
}
