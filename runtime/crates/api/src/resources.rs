//! What a pod asks for and may use, as pure functions: the sums the scheduler and the kubelet work with.
//!
//! Follows `k8s.io/component-helpers/resource/helpers.go`. Does not own cgroup arithmetic (shares, quotas), which is `kernel`'s.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use crate::quantity::Quantity;

/// Amounts by resource name.
pub type ResourceList = BTreeMap<String, Quantity>;

/// Which half of `resources`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Requests,
    Limits,
}

/// The request of a container for one resource, if it has one that is a quantity.
#[must_use]
pub fn container_request(container: &Container, name: &str) -> Option<Quantity> {
    amount(container.resources.as_ref()?.requests.as_ref(), name)
}

/// The limit of a container for one resource, if it has one that is a quantity.
#[must_use]
pub fn container_limit(container: &Container, name: &str) -> Option<Quantity> {
    amount(container.resources.as_ref()?.limits.as_ref(), name)
}

/// What the containers of a pod request at most at one time: the larger of all regular containers with all sidecars, and each
/// init container with the sidecars started before it. Sums are capped at 2^63-1.
#[must_use]
pub fn aggregate_requests(spec: &PodSpec) -> ResourceList {
    aggregate(spec, Half::Requests)
}

/// As [`aggregate_requests`], of limits.
#[must_use]
pub fn aggregate_limits(spec: &PodSpec) -> ResourceList {
    aggregate(spec, Half::Limits)
}

/// What a pod requests: its own requests where it has them (pod-level resources), else those of its containers, and overhead.
#[must_use]
pub fn pod_requests(spec: &PodSpec) -> ResourceList {
    let mut out = aggregate_requests(spec);
    override_with(&mut out, spec.resources.as_ref(), Half::Requests);
    for (name, text) in spec.overhead.iter().flatten() {
        add(&mut out, name, parse(text));
    }
    out
}

/// What a pod may use: its own limits where it has them, else those of its containers; overhead is added where there is a limit.
#[must_use]
pub fn pod_limits(spec: &PodSpec) -> ResourceList {
    let mut out = aggregate_limits(spec);
    override_with(&mut out, spec.resources.as_ref(), Half::Limits);
    for (name, text) in spec.overhead.iter().flatten() {
        if out.contains_key(name) {
            add(&mut out, name, parse(text));
        }
    }
    out
}

fn amount(map: Option<&BTreeMap<String, Text>>, name: &str) -> Option<Quantity> {
    Quantity::parse(&map?.get(name)?.0).ok()
}

fn parse(text: &Text) -> Quantity {
    Quantity::parse(&text.0).unwrap_or(Quantity::ZERO)
}

fn half(resources: Option<&ResourceRequirements>, half: Half) -> ResourceList {
    let map = resources.and_then(|resources| match half {
        Half::Requests => resources.requests.as_ref(),
        Half::Limits => resources.limits.as_ref(),
    });
    map.into_iter().flatten().map(|(name, text)| (name.clone(), parse(text))).collect()
}

fn add(sum: &mut ResourceList, name: &str, amount: Quantity) {
    match sum.get_mut(name) {
        Some(entry) => *entry = entry.checked_add(&amount).unwrap_or(Quantity::from_units(i64::MAX)),
        None => drop(sum.insert(name.to_owned(), amount)),
    }
}

fn add_all(sum: &mut ResourceList, list: &ResourceList) {
    for (name, amount) in list {
        add(sum, name, *amount);
    }
}

fn override_with(list: &mut ResourceList, resources: Option<&ResourceRequirements>, which: Half) {
    for (name, amount) in half(resources, which) {
        if matches!(name.as_str(), "cpu" | "memory") || name.starts_with("hugepages-") {
            list.insert(name, amount);
        }
    }
}

fn aggregate(spec: &PodSpec, which: Half) -> ResourceList {
    let mut sum = ResourceList::new();
    for container in &spec.containers {
        add_all(&mut sum, &half(container.resources.as_ref(), which));
    }
    let mut sidecars = ResourceList::new();
    let mut peak = ResourceList::new();
    for container in spec.init_containers.iter().flatten() {
        let own = half(container.resources.as_ref(), which);
        let now = if container.restart_policy.as_deref() == Some("Always") {
            add_all(&mut sum, &own);
            add_all(&mut sidecars, &own);
            sidecars.clone()
        } else {
            let mut now = own;
            add_all(&mut now, &sidecars);
            now
        };
        raise(&mut peak, &now);
    }
    raise(&mut sum, &peak);
    sum
}

/// The larger of both, name by name.
fn raise(list: &mut ResourceList, other: &ResourceList) {
    for (name, amount) in other {
        match list.get_mut(name) {
            Some(entry) if *entry >= *amount => {}
            Some(entry) => *entry = *amount,
            None => drop(list.insert(name.clone(), *amount)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(cpu: &str, sidecar: bool) -> Container {
        let requests = BTreeMap::from([("cpu".to_owned(), Text(cpu.to_owned()))]);
        Container {
            resources: Some(ResourceRequirements { requests: Some(requests), ..Default::default() }),
            restart_policy: sidecar.then(|| "Always".to_owned()),
            ..Default::default()
        }
    }

    fn cpu(list: &ResourceList) -> String {
        list["cpu"].to_string()
    }

    #[test]
    fn init_containers_count_by_their_peak() {
        let mut spec = PodSpec {
            containers: vec![container("100m", false), container("200m", false)],
            init_containers: Some(vec![container("50m", true), container("1", false), container("25m", true)]),
            ..Default::default()
        };
        // 1 with the one sidecar before it is more than 300m with both
        assert_eq!(cpu(&aggregate_requests(&spec)), "1050m");
        spec.init_containers = Some(vec![container("50m", true), container("10m", false), container("25m", true)]);
        assert_eq!(cpu(&aggregate_requests(&spec)), "375m");
        spec.overhead = Some(BTreeMap::from([("cpu".to_owned(), Text("5m".to_owned()))]));
        assert_eq!(cpu(&pod_requests(&spec)), "380m");
        spec.resources = container("2", false).resources;
        assert_eq!(cpu(&pod_requests(&spec)), "2005m");
        assert!(pod_limits(&spec).is_empty());
        assert_eq!(container_request(&spec.containers[0], "cpu"), Some(Quantity::from_millis(100)));
        assert_eq!(container_limit(&spec.containers[0], "cpu"), None);
    }
}
