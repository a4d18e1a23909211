//! From requests and limits to what the cgroups are told (pkg/kubelet/cm/helpers_linux.go `ResourceConfigForPod`).
//!
//! Owns the sums. The formulas for weight and quota are the kernel's (`wasmpod_kernel::cgroup::kubernetes`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use wasmpod_api::quantity::Quantity;
use wasmpod_kernel::cgroup::Limits;
use wasmpod_kernel::cgroup::kubernetes::{QosClass, container_weight, pod_weight};

type List = BTreeMap<String, ApiQuantity>;

/// The limits of a container's cgroup.
pub fn container_limits(container: &Container) -> Limits {
    let resources = container.resources.as_ref();
    let (requests, limits) = lists(resources);
    // the API server copies a limit without a request into the request
    let request = amount(requests, "cpu").or_else(|| amount(limits, "cpu")).map_or(0, millis);
    Limits {
        cpu_quota_millis: amount(limits, "cpu").map(millis).filter(|m| *m > 0),
        cpu_weight: container_weight(request),
        memory_max: amount(limits, "memory").map(units).filter(|bytes| *bytes > 0),
        pids_max: None,
    }
}

/// Bytes that a container may write outside of its volumes.
pub fn ephemeral_storage_limit(container: &Container) -> Option<u64> {
    amount(lists(container.resources.as_ref()).1, "ephemeral-storage").map(units)
}

/// The limits of a pod's cgroup: the sum of its containers', if all have one, or what the pod itself says.
pub fn pod_limits(spec: &PodSpec) -> Limits {
    let (pod_requests, pod_limits) = lists(spec.resources.as_ref());
    let limit = |name: &str, read: fn(Quantity) -> u64| {
        let own = amount(pod_limits, name).map(read);
        own.or_else(|| effective(spec, |c| amount(lists(c.resources.as_ref()).1, name).map(read).filter(|n| *n > 0)))
    };
    let request = |container: &Container| {
        let (requests, limits) = lists(container.resources.as_ref());
        Some(amount(requests, "cpu").or_else(|| amount(limits, "cpu")).map_or(0, millis))
    };
    let request = amount(pod_requests, "cpu").map(millis).or_else(|| effective(spec, request)).unwrap_or(0);
    Limits {
        cpu_quota_millis: limit("cpu", millis),
        cpu_weight: pod_weight(request),
        memory_max: limit("memory", units),
        pids_max: None,
    }
}

/// What a pod needs when its init containers run one after another and then all others together; `None` if a container has none.
fn effective(spec: &PodSpec, of: impl Fn(&Container) -> Option<u64>) -> Option<u64> {
    let mut together: u64 = 0;
    for container in &spec.containers {
        together = together.saturating_add(of(container)?);
    }
    let mut most = together;
    for container in spec.init_containers.iter().flatten() {
        most = most.max(of(container)?);
    }
    Some(most)
}

/// The pod's class as `status.qosClass` says it, and as the cgroups know it.
pub fn qos_class(spec: &PodSpec) -> (wasmpod_api::QosClass, QosClass) {
    let class = wasmpod_api::qos_class(spec);
    let cgroup = match class {
        wasmpod_api::QosClass::Guaranteed => QosClass::Guaranteed,
        wasmpod_api::QosClass::Burstable => QosClass::Burstable,
        wasmpod_api::QosClass::BestEffort => QosClass::BestEffort,
    };
    (class, cgroup)
}

fn lists(resources: Option<&ResourceRequirements>) -> (Option<&List>, Option<&List>) {
    (resources.and_then(|r| r.requests.as_ref()), resources.and_then(|r| r.limits.as_ref()))
}

/// The amount called `name`; validation has read it before, so one that cannot be read is none.
fn amount(list: Option<&List>, name: &str) -> Option<Quantity> {
    Quantity::parse(&list?.get(name)?.0).ok()
}

fn millis(quantity: Quantity) -> u64 {
    u64::try_from(quantity.millis()).unwrap_or(0)
}

fn units(quantity: Quantity) -> u64 {
    u64::try_from(quantity.value()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: serde_json::Value) -> PodSpec {
        serde_json::from_value(value).unwrap()
    }

    fn container(resources: serde_json::Value) -> serde_json::Value {
        json!({"name": "c", "resources": resources})
    }

    #[test]
    fn containers_get_quota_weight_and_memory() {
        let of = |resources| container_limits(&spec(json!({"containers": [container(resources)]})).containers[0]);
        let limits = of(json!({"limits": {"cpu": "250m", "memory": "64Mi"}, "requests": {"cpu": "1"}}));
        assert_eq!((limits.cpu_quota_millis, limits.memory_max), (Some(250), Some(64 << 20)));
        assert_eq!(limits.cpu_weight, container_weight(1000));
        assert_eq!(of(json!({"limits": {"cpu": "250m"}})).cpu_weight, container_weight(250));
        let none = of(json!({}));
        assert_eq!((none.cpu_quota_millis, none.memory_max, none.cpu_weight), (None, None, container_weight(0)));
    }

    #[test]
    fn a_pod_is_limited_if_all_its_containers_are() {
        let limited = container(json!({"limits": {"cpu": "250m", "memory": "64Mi"}}));
        let free = container(json!({"requests": {"cpu": "500m"}}));
        let both = pod_limits(&spec(json!({"containers": [limited.clone(), limited.clone()]})));
        assert_eq!((both.cpu_quota_millis, both.memory_max), (Some(500), Some(128 << 20)));
        let one = pod_limits(&spec(json!({"containers": [limited.clone(), free]})));
        assert_eq!((one.cpu_quota_millis, one.memory_max, one.cpu_weight), (None, None, pod_weight(750)));
        let init = container(json!({"limits": {"cpu": "2", "memory": "1Mi"}}));
        let with_init = pod_limits(&spec(json!({"initContainers": [init], "containers": [limited.clone()]})));
        assert_eq!((with_init.cpu_quota_millis, with_init.memory_max), (Some(2000), Some(64 << 20)));
        let own = json!({"containers": [limited], "resources": {"limits": {"memory": "1Gi"}}});
        assert_eq!(pod_limits(&spec(own)).memory_max, Some(1 << 30));
    }
}
