//! Requests, limits and claims, of containers and of pods.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceClaim, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use super::error::Errors;
use super::list;
use super::names::qualified_name;
use super::path::Path;
use crate::quantity::Quantity;
use crate::resources::aggregate_requests;

/// Names without a domain that mean a resource somewhere in Kubernetes.
const STANDARD: [&str; 22] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
    "requests.hugepages-",
    "limits.hugepages-",
];

const NOT_NEGATIVE: &str = "must be greater than or equal to 0";

type Resources = BTreeMap<String, Text>;

fn hugepages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Whether a container may be promised more than there is: native resources but huge pages.
fn overcommit(name: &str) -> bool {
    let native = !name.contains('/') || name.contains("kubernetes.io/");
    native && !hugepages(name)
}

fn amount(text: &Text) -> Quantity {
    // the schema check has let only quantities through
    Quantity::parse(&text.0).unwrap_or(Quantity::ZERO)
}

/// `resources` of a container.
pub(super) fn container(container: &Container, claims: &BTreeSet<&str>, path: &Path<'_>, errors: &mut Errors) {
    if let Some(resources) = &container.resources {
        requirements(resources, path, errors);
        claim_names(list(&resources.claims), claims, &path.child("claims"), errors);
    }
}

/// `overhead`, which Kubernetes checks as if it were limits, path included.
pub(super) fn overhead(overhead: &Resources, path: &Path<'_>, errors: &mut Errors) {
    requirements(&ResourceRequirements { limits: Some(overhead.clone()), ..Default::default() }, path, errors);
}

fn requirements(resources: &ResourceRequirements, path: &Path<'_>, errors: &mut Errors) {
    let empty = Resources::new();
    let limits = resources.limits.as_ref().unwrap_or(&empty);
    let requests = resources.requests.as_ref().unwrap_or(&empty);
    let (limits_at, requests_at) = (path.child("limits"), path.child("requests"));
    for (name, text) in limits {
        one(name, &amount(text), &limits_at.key(name), errors);
    }
    for (name, text) in requests {
        let request = amount(text);
        one(name, &request, &requests_at.key(name), errors);
        let before = errors.len();
        match limits.get(name).map(amount) {
            Some(limit) if !overcommit(name) && request != limit => {
                errors.invalid(&requests_at, &request, format_args!("must be equal to {name} limit of {limit}"));
            }
            Some(limit) if request > limit => {
                errors.invalid(
                    &requests_at,
                    &request,
                    format_args!("must be less than or equal to {name} limit of {limit}"),
                );
            }
            Some(_) => {}
            None if !overcommit(name) => {
                errors.required(&limits_at, "Limit must be set for non overcommitable resources")
            }
            None => {}
        }
        errors.place(before, &requests_at.key(name));
    }
    let mut names = limits.keys().chain(requests.keys());
    if names.clone().any(|name| hugepages(name)) && !names.any(|name| matches!(name.as_str(), "cpu" | "memory")) {
        errors.forbidden(path, "HugePages require cpu or memory");
    }
}

/// Name and amount of one resource.
fn one(name: &str, amount: &Quantity, path: &Path<'_>, errors: &mut Errors) {
    let standard = |name: &str| STANDARD.contains(&name) || hugepages(name);
    let messages = qualified_name(name);
    let unqualified = !name.contains('/');
    if messages.is_empty() && unqualified && !standard(name) {
        errors.invalid(path, name, "must be a standard resource type or fully qualified");
    }
    errors.invalid_all(path, name, messages);
    if unqualified {
        if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !hugepages(name) {
            errors.invalid(path, name, "must be a standard resource for containers");
        }
    } else if !name.contains("kubernetes.io/")
        && (name.starts_with("requests.") || !qualified_name(&format!("requests.{name}")).is_empty())
    {
        errors.invalid(path, name, "doesn't follow extended resource name standard");
    }
    if amount.is_negative() {
        errors.invalid(path, amount, NOT_NEGATIVE);
    }
    let extended = !unqualified && !name.contains("kubernetes.io/");
    if extended && !amount.is_integer() {
        errors.invalid(path, amount, "must be an integer");
    }
    if let Some(size) = name.strip_prefix("hugepages-").and_then(|size| Quantity::parse(size).ok()) {
        let (amount_bytes, size_bytes) = (amount.value(), size.value());
        if size_bytes <= 0 || amount_bytes % size_bytes != 0 {
            errors.invalid(path, amount, format_args!("{amount} is not positive integer multiple of {name}"));
        }
    }
}

fn claim_names(claims: &[ResourceClaim], known: &BTreeSet<&str>, path: &Path<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (index, claim) in claims.iter().enumerate() {
        let at = path.index(index);
        if claim.name.is_empty() {
            errors.required(&at, "");
            continue;
        }
        if !seen.insert((&claim.name, &claim.request)) {
            errors.duplicate(&at, &claim.name);
        }
        if !known.contains(claim.name.as_str()) {
            errors.not_found_because(&at, &claim.name, "must be one of the names in pod.spec.resourceClaims");
        }
    }
}

/// `spec.resources`: the pod's own, which must cover those of its containers.
pub(super) fn pod(spec: &PodSpec, path: &Path<'_>, errors: &mut Errors) {
    let Some(resources) = &spec.resources else { return };
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        return errors.forbidden(path, "may not be set for a windows pod");
    }
    if resources.claims.is_some() {
        errors.forbidden(&path.child("claims"), "claims may not be set for Resources at pod-level");
    }
    let supported = |name: &str| matches!(name, "cpu" | "memory") || hugepages(name);
    for (field, resources) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        let at = path.child(field);
        for name in resources.iter().flatten().map(|(name, _)| name).filter(|name| !supported(name)) {
            errors.not_supported(&at.key(name), name, &["cpu", "hugepages-", "memory"]);
        }
    }
    requirements(resources, path, errors);
    let requests = path.child("requests");
    for (name, sum) in aggregate_requests(spec) {
        let Some(own) = resources.requests.as_ref().and_then(|map| map.get(&name)).map(amount) else { continue };
        if sum > own {
            let message = format!("must be greater than or equal to aggregate container requests of {sum}");
            errors.invalid(&requests.key(&name), &own, message);
        }
    }
    let containers = path.child("containers");
    for (index, container) in spec.containers.iter().enumerate() {
        let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
        for (name, limit) in limits.into_iter().flatten() {
            let Some(own) = resources.limits.as_ref().and_then(|map| map.get(name)).map(amount) else { continue };
            let limit = amount(limit);
            if limit > own {
                let at = containers.index(index);
                let at = at.key(name);
                errors.invalid(
                    &at.child("limits"),
                    &limit,
                    format_args!("must be less than or equal to pod limits of {own}"),
                );
            }
        }
    }
}
