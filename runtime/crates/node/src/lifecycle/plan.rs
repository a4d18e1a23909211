//! What the decisions need of a manifest, read once.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::objects::PodRef;

/// `terminationGracePeriodSeconds` when the manifest says nothing.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);
/// The least grace a pod that is being stopped gets: the pod worker reads 0 as 1 (pkg/kubelet/pod_workers.go).
pub const MIN_GRACE: Duration = Duration::from_secs(1);

/// Whether an ended container starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// However it ended.
    Always,
    /// If its exit code was not 0.
    OnFailure,
    /// Never.
    Never,
}

impl RestartPolicy {
    /// What a manifest says; anything unknown, which validation refuses, is the default `Always`.
    pub fn parse(text: Option<&str>) -> Self {
        match text {
            Some("OnFailure") => Self::OnFailure,
            Some("Never") => Self::Never,
            _ => Self::Always,
        }
    }

    /// Whether a container that ended with `code` starts again.
    pub const fn restarts(self, code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => code != 0,
            Self::Never => false,
        }
    }

    /// The policy of init containers in a pod of this policy: to start again after exit 0 would never end.
    pub const fn for_init(self) -> Self {
        match self {
            Self::Always => Self::OnFailure,
            other => other,
        }
    }
}

/// A container of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPlan {
    /// Its name.
    pub name: String,
    /// Its image as written.
    pub image: String,
}

/// A pod as the decisions see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodPlan {
    /// Its names.
    pub pod: PodRef,
    /// Whether its containers start again.
    pub restart_policy: RestartPolicy,
    /// How long its containers have between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// How long it may be active, from its start.
    pub active_deadline: Option<Duration>,
    /// The init containers, in order.
    pub init: Vec<ContainerPlan>,
    /// The regular containers, in order.
    pub containers: Vec<ContainerPlan>,
}

impl PodPlan {
    /// Reads `pod`, which has been validated.
    pub fn of(pod: &Pod) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let seconds = |s: i64| Duration::from_secs(u64::try_from(s).unwrap_or(1)); // negative: 1, as the API server stores it
        let plan = |list: &[Container]| {
            let one =
                |c: &Container| ContainerPlan { name: c.name.clone(), image: c.image.clone().unwrap_or_default() };
            list.iter().map(one).collect()
        };
        Self {
            pod: PodRef::of(pod),
            restart_policy: RestartPolicy::parse(spec.restart_policy.as_deref()),
            grace: spec.termination_grace_period_seconds.map_or(DEFAULT_GRACE, seconds),
            active_deadline: spec.active_deadline_seconds.map(seconds),
            init: plan(spec.init_containers.as_deref().unwrap_or_default()),
            containers: plan(&spec.containers),
        }
    }

    /// The container of `slot`.
    pub fn container(&self, slot: Slot) -> &ContainerPlan {
        match slot {
            Slot::Init(index) => &self.init[index],
            Slot::Main(index) => &self.containers[index],
        }
    }

    /// The restart policy of the container of `slot`.
    pub const fn policy(&self, slot: Slot) -> RestartPolicy {
        match slot {
            Slot::Init(_) => self.restart_policy.for_init(),
            Slot::Main(_) => self.restart_policy,
        }
    }
}

/// Which container: an index into the plan's lists, and into the state's of the same shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// An init container.
    Init(usize),
    /// A regular container.
    Main(usize),
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A plan with this many containers called `i0`…, `c0`….
    pub(crate) fn plan(restart_policy: RestartPolicy, init: usize, containers: usize) -> PodPlan {
        let list = |prefix: &str, n: usize| {
            (0..n).map(|i| ContainerPlan { name: format!("{prefix}{i}"), image: "./a.wasm".to_owned() }).collect()
        };
        PodPlan {
            pod: PodRef { namespace: "default".into(), name: "p".into(), uid: "u".into() },
            restart_policy,
            grace: DEFAULT_GRACE,
            active_deadline: None,
            init: list("i", init),
            containers: list("c", containers),
        }
    }

    #[test]
    fn a_manifest_becomes_a_plan() {
        let pod: Pod = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "p", "uid": "u"},
            "spec": {"restartPolicy": "OnFailure", "terminationGracePeriodSeconds": -1, "activeDeadlineSeconds": 5,
                     "initContainers": [{"name": "i", "image": "./i.wasm"}], "containers": [{"name": "c"}]}
        }))
        .unwrap();
        let plan = PodPlan::of(&pod);
        assert_eq!(plan.pod.to_string(), "p_default(u)");
        assert_eq!((plan.restart_policy, plan.grace), (RestartPolicy::OnFailure, MIN_GRACE));
        assert_eq!(plan.active_deadline, Some(Duration::from_secs(5)));
        assert_eq!(plan.container(Slot::Init(0)).image, "./i.wasm");
        assert_eq!(plan.container(Slot::Main(0)).name, "c");
    }

    #[test]
    fn policies() {
        assert!(RestartPolicy::Always.restarts(0) && !RestartPolicy::Always.for_init().restarts(0));
        assert!(RestartPolicy::OnFailure.restarts(1) && !RestartPolicy::OnFailure.restarts(0));
        assert!(!RestartPolicy::Never.restarts(1) && !RestartPolicy::Never.for_init().restarts(1));
    }
}
