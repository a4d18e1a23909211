//! Containers: what all kinds have in common, and what regular and init containers may have.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, ContainerPort, ContainerResizePolicy, ContainerRestartRule, PodSpec};

use super::error::Errors;
use super::handlers::{ProbeKind, lifecycle, probe};
use super::mounts::{Volumes, volume_devices, volume_mounts};
use super::names::{dns_label, port_name, port_number};
use super::path::Path;
use super::{env, list, resources, security, text};

/// Restart rules a container may have.
const RESTART_RULES_MAX: usize = 20;

/// Exit codes a restart rule may name.
const EXIT_CODES_MAX: usize = 255;

const INIT_ONLY_SIDECARS: &str = "may not be set for init containers without restartPolicy=Always";

/// What containers need to know of their pod.
pub(super) struct Surroundings<'a> {
    pub volumes: &'a Volumes<'a>,
    pub claims: &'a BTreeSet<&'a str>,
    /// Seconds.
    pub grace: i64,
    pub restart_policy: &'a str,
    pub host_users: bool,
}

pub(super) fn containers(spec: &PodSpec, around: &Surroundings<'_>, path: &Path<'_>, errors: &mut Errors) {
    if spec.containers.is_empty() {
        return errors.required(path, "");
    }
    let mut names = BTreeSet::new();
    for (index, container) in spec.containers.iter().enumerate() {
        let at = path.index(index);
        common(container, around, &at, errors);
        if !names.insert(container.name.as_str()) {
            errors.duplicate(&at.child("name"), &container.name);
        }
        long_running(container, around, &at, errors);
        restart_policy(container, &at, errors);
    }
    host_port_conflicts(&spec.containers, path, errors);
}

pub(super) fn init_containers(spec: &PodSpec, around: &Surroundings<'_>, path: &Path<'_>, errors: &mut Errors) {
    let mut names: BTreeSet<&str> = spec.containers.iter().map(|container| container.name.as_str()).collect();
    for (index, container) in list(&spec.init_containers).iter().enumerate() {
        let at = path.index(index);
        common(container, around, &at, errors);
        restart_policy(container, &at, errors);
        if names.contains(container.name.as_str()) {
            errors.duplicate(&at.child("name"), &container.name);
        } else if !container.name.is_empty() {
            names.insert(&container.name);
        }
        // init containers run one by one: each is only compared with itself, under the path of the list's start
        host_port_conflicts(std::slice::from_ref(container), path, errors);
        if container.restart_policy.as_deref() == Some("Always") {
            long_running(container, around, &at, errors);
            continue;
        }
        for (field, set) in [
            ("lifecycle", container.lifecycle.is_some()),
            ("livenessProbe", container.liveness_probe.is_some()),
            ("readinessProbe", container.readiness_probe.is_some()),
            ("startupProbe", container.startup_probe.is_some()),
        ] {
            if set {
                errors.forbidden(&at.child(field), INIT_ONLY_SIDECARS);
            }
        }
    }
}

fn common(container: &Container, around: &Surroundings<'_>, path: &Path<'_>, errors: &mut Errors) {
    let name = path.child("name");
    if container.name.is_empty() {
        errors.required(&name, "");
    } else {
        errors.invalid_all(&name, &container.name, dns_label(&container.name));
    }
    let image = text(&container.image);
    if image.is_empty() {
        errors.required(&path.child("image"), "");
    }
    let policy = text(&container.termination_message_policy);
    errors.one_of(&path.child("terminationMessagePolicy"), policy, &["File", "FallbackToLogsOnError"]);
    ports(list(&container.ports), &path.child("ports"), errors);
    env::env(list(&container.env), &path.child("env"), errors);
    env::env_from(list(&container.env_from), &path.child("envFrom"), errors);
    volume_mounts(container, around.volumes, &path.child("volumeMounts"), errors);
    volume_devices(container, around.volumes, &path.child("volumeDevices"), errors);
    let pull = text(&container.image_pull_policy);
    errors.one_of(&path.child("imagePullPolicy"), pull, &["Always", "IfNotPresent", "Never"]);
    resources::container(container, around.claims, &path.child("resources"), errors);
    resize_policy(list(&container.resize_policy), around.restart_policy, &path.child("resizePolicy"), errors);
    security::container(container.security_context.as_ref(), around.host_users, &path.child("securityContext"), errors);
}

/// Hooks and probes: for regular containers and sidecars.
fn long_running(container: &Container, around: &Surroundings<'_>, path: &Path<'_>, errors: &mut Errors) {
    let grace = around.grace;
    lifecycle(container.lifecycle.as_ref(), grace, &path.child("lifecycle"), errors);
    let probes = [
        ("livenessProbe", &container.liveness_probe, ProbeKind::Liveness),
        ("readinessProbe", &container.readiness_probe, ProbeKind::Readiness),
        ("startupProbe", &container.startup_probe, ProbeKind::Startup),
    ];
    for (field, one, kind) in probes {
        probe(one.as_ref(), kind, grace, &path.child(field), errors);
    }
}

fn ports(ports: &[ContainerPort], path: &Path<'_>, errors: &mut Errors) {
    let mut names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let at = path.index(index);
        let name = text(&port.name);
        if !name.is_empty() {
            let messages = port_name(name);
            if messages.is_empty() && !names.insert(name) {
                errors.duplicate(&at.child("name"), name);
            }
            errors.invalid_all(&at.child("name"), name, messages);
        }
        let number = at.child("containerPort");
        if port.container_port == 0 {
            errors.required(&number, "");
        } else {
            errors.invalid_all(&number, &port.container_port, port_number(port.container_port));
        }
        let host_port = port.host_port.unwrap_or(0);
        if host_port != 0 {
            errors.invalid_all(&at.child("hostPort"), &host_port, port_number(host_port));
        }
        errors.one_of(&at.child("protocol"), text(&port.protocol), &["SCTP", "TCP", "UDP"]);
    }
}

fn host_port_conflicts(containers: &[Container], path: &Path<'_>, errors: &mut Errors) {
    let mut taken = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        let at = path.index(index);
        let ports = at.child("ports");
        for (index, port) in list(&container.ports).iter().enumerate() {
            let Some(number) = port.host_port.filter(|number| *number != 0) else { continue };
            let place = format!("{}/{}/{number}", text(&port.protocol), text(&port.host_ip));
            if taken.contains(&place) {
                errors.duplicate(&ports.index(index).child("hostPort"), &place);
            } else {
                taken.insert(place);
            }
        }
    }
}

fn restart_policy(container: &Container, path: &Path<'_>, errors: &mut Errors) {
    let at = path.child("restartPolicy");
    let rules = list(&container.restart_policy_rules);
    match container.restart_policy.as_deref() {
        Some(policy) => errors.one_of(&at, policy, &["Always", "Never", "OnFailure"]),
        None if !rules.is_empty() => errors.required(&at, "must specify restartPolicy when restart rules are used"),
        None => {}
    }
    let path = path.child("restartPolicyRules");
    if rules.len() > RESTART_RULES_MAX {
        errors.too_many(&path, RESTART_RULES_MAX);
    }
    for (index, rule) in rules.iter().enumerate() {
        restart_rule(rule, &path.index(index), errors);
    }
}

fn restart_rule(rule: &ContainerRestartRule, path: &Path<'_>, errors: &mut Errors) {
    errors.one_of(&path.child("action"), &rule.action, &["Restart", "RestartAllContainers"]);
    let at = path.child("exitCodes");
    let Some(codes) = &rule.exit_codes else { return errors.required(&at, "must be specified") };
    errors.one_of(&at.child("operator"), &codes.operator, &["In", "NotIn"]);
    if list(&codes.values).len() > EXIT_CODES_MAX {
        errors.too_many(&at.child("values"), EXIT_CODES_MAX);
    }
}

fn resize_policy(policies: &[ContainerResizePolicy], pod_policy: &str, path: &Path<'_>, errors: &mut Errors) {
    let mut names = BTreeSet::new();
    for (index, policy) in policies.iter().enumerate() {
        if !names.insert(policy.resource_name.as_str()) {
            errors.duplicate(&path.index(index), &policy.resource_name);
        }
        match policy.resource_name.as_str() {
            "" => errors.required(path, ""),
            name => errors.one_of(path, name, &["cpu", "memory"]),
        }
        match policy.restart_policy.as_str() {
            "" => errors.required(path, ""),
            name => errors.one_of(path, name, &["NotRequired", "RestartContainer"]),
        }
        if pod_policy == "Never" && policy.restart_policy != "NotRequired" {
            let message = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.invalid(path, &policy.restart_policy, message);
        }
    }
}

/// What is asked of a Pod but not of a pod template.
pub(super) fn image_padding(containers: &[Container], path: &Path<'_>, errors: &mut Errors) {
    for (index, container) in containers.iter().enumerate() {
        let image = text(&container.image);
        if image.trim() != image {
            let at = path.index(index);
            errors.invalid(&at.child("image"), image, "must not have leading or trailing whitespace");
        }
    }
}
