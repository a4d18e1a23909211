//! How a run ended: a row per container, and what else there is to say.

use serde_json::{Value, json};
use wasmpod_api::k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};
use wasmpod_node::objects::PodRef;
use wasmpod_sim::journal::Record;

use super::table;
use super::text::label;
use crate::exit::Exit;

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The exit code.
    pub exit: Exit,
    /// Each pod and its last status, in the manifests' order.
    pub pods: Vec<(PodRef, PodStatus)>,
    /// What the journal comes to, if there was one.
    pub journal: Option<Record>,
    /// What else there is to say, for people.
    pub notes: Vec<String>,
}

impl Summary {
    /// The table for people: a heading and a row per container.
    pub fn table(&self) -> Vec<String> {
        let heading = ["POD", "PHASE", "CONTAINER", "EXIT", "REASON", "RESTARTS"];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        for (pod, status) in &self.pods {
            let phase = match (&status.phase, &status.reason) {
                (Some(phase), Some(reason)) => format!("{phase} ({reason})"),
                (phase, _) => phase.clone().unwrap_or_else(|| "Unknown".to_owned()),
            };
            for container in containers(status) {
                let (exit, reason) = ended(container);
                let exit = exit.map_or_else(|| "-".to_owned(), |code| code.to_string());
                let restarts = container.restart_count.to_string();
                rows.push(vec![label(pod, None), phase.clone(), container.name.clone(), exit, reason, restarts]);
            }
        }
        table::lines(&rows)
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let container = |container: &ContainerStatus| {
            let (code, reason) = ended(container);
            json!({"name": container.name, "exitCode": code, "reason": reason, "restarts": container.restart_count})
        };
        let pods = self.pods.iter().map(|(pod, status)| {
            let list: Vec<Value> = containers(status).map(container).collect();
            json!({
                "namespace": pod.namespace, "name": pod.name, "uid": pod.uid,
                "phase": status.phase, "reason": status.reason, "containers": list,
            })
        });
        let pods: Vec<Value> = pods.collect();
        let mut result = json!({"exitCode": self.exit.code(), "outcome": self.exit.name(), "pods": pods});
        if let (Some(record), Some(result)) = (&self.journal, result.as_object_mut()) {
            result.insert("journal".to_owned(), json!({"lines": record.lines, "sha256": record.sha256}));
        }
        result
    }
}

/// Init containers first.
fn containers(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten())
}

/// The exit code of the newest run that ended, and what the container is in.
fn ended(container: &ContainerStatus) -> (Option<i32>, String) {
    let now = container.state.clone().unwrap_or_default();
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    if let Some(end) = now.terminated {
        return (Some(end.exit_code), end.reason.unwrap_or_default());
    }
    let code = last.map(|end| end.exit_code);
    match (now.running, now.waiting) {
        (Some(_), _) => (code, "Running".to_owned()),
        (None, Some(waiting)) => (code, waiting.reason.unwrap_or_default()),
        (None, None) => (code, String::new()),
    }
}
