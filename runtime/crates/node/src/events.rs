//! Events: what happened to a pod, in the kubelet's words (pkg/kubelet/events/event.go), and who is told.
//!
//! Owns the shape, the bounded list that a pod keeps and the observer's trait. Does not own storage or aggregation: those come
//! with the API server.

use std::collections::VecDeque;

use k8s_openapi::api::core::v1::PodStatus;
use wasmpod_cri::Sandbox;
use wasmpod_sim::Instant;

use crate::objects::PodRef;

/// Events kept per pod; a crash loop makes more, and the oldest go (an API server keeps them for an hour only).
pub const MAX_EVENTS: usize = 256;

/// Whether an event is bad news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// All in order.
    Normal,
    /// Something needs attention.
    Warning,
}

impl EventType {
    /// As Kubernetes writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// One event of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// Normal or warning.
    pub kind: EventType,
    /// `Scheduled`, `Pulled`, `Created`, `Started`, `Killing`, `BackOff`, `Failed`, ….
    pub reason: &'static str,
    /// The whole sentence.
    pub message: String,
    /// The container it is about.
    pub container: Option<String>,
}

/// The newest events of a pod.
#[derive(Debug, Clone, Default)]
pub struct EventLog {
    events: VecDeque<Event>,
    dropped: u64,
}

impl EventLog {
    /// Adds an event; the oldest goes when there are [`MAX_EVENTS`].
    pub fn push(&mut self, event: Event) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
            self.dropped += 1;
        }
        self.events.push_back(event);
    }

    /// The events kept, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Event> {
        self.events.iter()
    }

    /// How many went.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Which of a container's streams a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A change of a container that an observer may want to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerChange {
    /// A run began.
    Started {
        /// 0 for the first run.
        attempt: u32,
    },
    /// A run ended.
    Exited {
        /// 0 for the first run.
        attempt: u32,
        /// The exit code.
        code: i32,
        /// `Completed`, `Error`, `OOMKilled`, ….
        reason: String,
        /// What the container or the runtime said at its end.
        message: String,
    },
    /// It cannot start now.
    Waiting {
        /// `CrashLoopBackOff`, `CreateContainerConfigError`, ….
        reason: &'static str,
        /// The error.
        message: String,
    },
}

/// Who is told what happens on the node. Called from any task; must not block for long.
pub trait Observer: Send + Sync {
    /// A pod had an event.
    fn event(&self, pod: &PodRef, event: &Event);
    /// A container changed.
    fn container(&self, pod: &PodRef, container: &str, change: &ContainerChange);
    /// A pod's status changed.
    fn status(&self, pod: &PodRef, status: &PodStatus);
    /// A pod has ended, and what it had goes right after this call: the last look at it.
    fn ending(&self, _pod: &PodRef, _sandbox: &Sandbox) {}
    /// A container wrote a line, without its line end. `partial` lines go on in the next call.
    fn output(&self, pod: &PodRef, container: &str, stream: OutputStream, line: &[u8], partial: bool);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_events_go() {
        let mut log = EventLog::default();
        for n in 0..=MAX_EVENTS as u64 {
            let (kind, message) = (EventType::Normal, String::new());
            log.push(Event { at: Instant::from_nanos(n), kind, reason: "Started", message, container: None });
        }
        assert_eq!((log.iter().count(), log.dropped()), (MAX_EVENTS, 1));
        assert_eq!(log.iter().next().unwrap().at, Instant::from_nanos(1));
    }
}
