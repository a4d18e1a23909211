//! Defaults of Pods and containers.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Lifecycle, Pod, PodSpec, Probe, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use super::image::pull_policy;
use super::volume::{field_selector, resource_selector, volume};
use super::{default_meta, set, set_number};
use crate::quantity::Quantity;
use crate::resources::aggregate_requests;

/// Seconds between SIGTERM and SIGKILL.
const GRACE_SECONDS: i64 = 30;

/// Fills in a Pod that is to be created; its status is dropped, as the server does.
pub fn default_pod(pod: &mut Pod) {
    default_meta(&mut pod.metadata);
    pod.status = None;
    pod_spec(pod.spec.get_or_insert_default());
}

fn pod_spec(spec: &mut PodSpec) {
    set(&mut spec.restart_policy, "Always");
    set(&mut spec.dns_policy, "ClusterFirst");
    set(&mut spec.scheduler_name, "default-scheduler");
    spec.security_context.get_or_insert_default();
    spec.enable_service_links.get_or_insert(true);
    let grace = spec.termination_grace_period_seconds.get_or_insert(GRACE_SECONDS);
    if *grace < 0 {
        *grace = 1; // negative means "at once", which the server stores as one second
    }
    // the field's old name and its new one are one field to the server; the new name wins
    let account =
        [&spec.service_account_name, &spec.service_account].into_iter().flatten().find(|name| !name.is_empty());
    let account = account.cloned();
    spec.service_account_name.clone_from(&account);
    spec.service_account = account;
    for one in spec.volumes.iter_mut().flatten() {
        volume(one);
    }
    let host_network = spec.host_network == Some(true);
    for one in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        container(one, host_network);
    }
    if let Some(overhead) = &mut spec.overhead {
        round(overhead);
    }
    pod_resources(spec);
}

fn container(container: &mut Container, host_network: bool) {
    set(&mut container.image_pull_policy, pull_policy(container.image.as_deref().unwrap_or_default()));
    set(&mut container.termination_message_path, "/dev/termination-log");
    set(&mut container.termination_message_policy, "File");
    for port in container.ports.iter_mut().flatten() {
        set(&mut port.protocol, "TCP");
        if host_network && port.host_port.unwrap_or(0) == 0 {
            port.host_port = Some(port.container_port);
        }
    }
    for source in container.env.iter_mut().flatten().filter_map(|var| var.value_from.as_mut()) {
        source.field_ref.as_mut().map(field_selector);
        source.resource_field_ref.as_mut().map(resource_selector);
        if let Some(file) = &mut source.file_key_ref {
            file.optional.get_or_insert(false);
        }
    }
    for one in [&mut container.liveness_probe, &mut container.readiness_probe, &mut container.startup_probe] {
        one.as_mut().map(probe);
    }
    if let Some(hooks) = &mut container.lifecycle
        && lifecycle(hooks)
    {
        container.lifecycle = None;
    }
    resources(container.resources.get_or_insert_default());
}

fn probe(probe: &mut Probe) {
    set_number(&mut probe.timeout_seconds, 1);
    set_number(&mut probe.period_seconds, 10);
    set_number(&mut probe.success_threshold, 1);
    set_number(&mut probe.failure_threshold, 3);
    probe.http_get.as_mut().map(http_get);
    if let Some(grpc) = &mut probe.grpc {
        grpc.service.get_or_insert_default();
    }
}

/// Whether nothing is left of it.
fn lifecycle(lifecycle: &mut Lifecycle) -> bool {
    // the server drops the signal while the gate ContainerStopSignals is off, and with it what only held the signal
    let dropped = lifecycle.stop_signal.take().is_some();
    for hook in [&mut lifecycle.post_start, &mut lifecycle.pre_stop].into_iter().flatten() {
        hook.http_get.as_mut().map(http_get);
    }
    dropped && lifecycle.post_start.is_none() && lifecycle.pre_stop.is_none()
}

fn http_get(action: &mut HTTPGetAction) {
    set(&mut action.path, "/");
    set(&mut action.scheme, "HTTP");
}

/// A limit without a request is a request as well.
fn resources(resources: &mut ResourceRequirements) {
    resources.limits.as_mut().map(round);
    resources.requests.as_mut().map(round);
    let Some(limits) = resources.limits.as_ref().filter(|limits| !limits.is_empty()) else { return };
    let requests = resources.requests.get_or_insert_default();
    for (name, limit) in limits {
        requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
}

/// Pod-level limits without requests: what the containers request together, or else the limits.
fn pod_resources(spec: &mut PodSpec) {
    let sums = aggregate_requests(spec);
    let Some(own) = &mut spec.resources else { return };
    own.limits.as_mut().map(round);
    own.requests.as_mut().map(round);
    let Some(limits) = own.limits.as_ref().filter(|limits| !limits.is_empty()) else { return };
    let supported = |name: &str| matches!(name, "cpu" | "memory");
    let requests = own.requests.get_or_insert_default();
    for (name, sum) in sums.iter().filter(|(name, _)| supported(name)) {
        requests.entry(name.clone()).or_insert_with(|| Text(sum.to_string()));
    }
    for (name, limit) in limits.iter().filter(|(name, _)| supported(name) || name.starts_with("hugepages-")) {
        requests.entry(name.clone()).or_insert_with(|| limit.clone());
    }
}

/// Amounts finer than a thousandth are rounded up.
fn round(list: &mut BTreeMap<String, Text>) {
    for text in list.values_mut() {
        if let Ok(quantity) = Quantity::parse(&text.0) {
            text.0 = quantity.round_up_to_millis().to_string();
        }
    }
}
