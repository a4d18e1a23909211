//! A Pod as a whole: `ValidatePodCreate`, part by part in its order.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, Pod, PodResourceClaim, PodSpec, Volume};

use super::container::{Surroundings, containers, image_padding, init_containers};
use super::error::{Errors, FieldErrors, Verbatim};
use super::meta::{labels, object_meta};
use super::names::{dns_label, dns_subdomain, qualified_name, range};
use super::path::Path;
use super::volumes::volumes;
use super::{list, network, resources, scheduling, security, text};

const WINDOWS: &str = "cannot be set for a windows pod";

/// What is wrong with a defaulted Pod that is to be created; empty if nothing is.
#[must_use]
pub fn validate_pod(pod: &Pod) -> FieldErrors {
    let mut errors = Errors::default();
    object_meta(&pod.metadata, &mut errors);
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let path = Path::root("spec");
    pod_spec(spec, &path, &mut errors);
    if text(&spec.service_account_name).is_empty() {
        tokens_without_account(list(&spec.volumes), &path.child("volumes"), &mut errors);
    }
    image_padding(&spec.containers, &path.child("containers"), &mut errors);
    image_padding(list(&spec.init_containers), &path.child("initContainers"), &mut errors);
    if !list(&spec.ephemeral_containers).is_empty() {
        errors.forbidden(&path.child("ephemeralContainers"), "cannot be set on create");
    }
    if !text(&spec.node_name).is_empty() && !list(&spec.scheduling_gates).is_empty() {
        errors.forbidden(&path.child("nodeName"), "cannot be set until all schedulingGates have been cleared");
    }
    errors.0
}

fn pod_spec(spec: &PodSpec, path: &Path<'_>, errors: &mut Errors) {
    let valid_volumes = volumes(list(&spec.volumes), &path.child("volumes"), errors);
    let claims: BTreeSet<&str> =
        list(&spec.resource_claims).iter().map(|claim| claim.name.as_str()).filter(|name| !name.is_empty()).collect();
    resource_claims(list(&spec.resource_claims), &path.child("resourceClaims"), errors);
    let around = Surroundings {
        volumes: &valid_volumes,
        claims: &claims,
        grace: spec.termination_grace_period_seconds.unwrap_or(i64::MAX),
        restart_policy: text(&spec.restart_policy),
        host_users: spec.host_users != Some(false),
    };
    containers(spec, &around, &path.child("containers"), errors);
    init_containers(spec, &around, &path.child("initContainers"), errors);
    resources::pod(spec, &path.child("resources"), errors);
    network::host_network_ports(spec, &path.child("containers"), errors);
    errors.one_of(&path.child("restartPolicy"), around.restart_policy, &["Always", "OnFailure", "Never"]);
    let dns_policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    errors.one_of(&path.child("dnsPolicy"), text(&spec.dns_policy), &dns_policies);
    labels(spec.node_selector.as_ref(), &path.child("nodeSelector"), errors);
    security::pod(spec, &path.child("securityContext"), errors);
    if let Some(affinity) = &spec.affinity {
        scheduling::affinity(affinity, &path.child("affinity"), errors);
    }
    network::dns(spec, &path.child("dnsConfig"), errors);
    let gates = path.child("readinessGates");
    for (index, gate) in list(&spec.readiness_gates).iter().enumerate() {
        let messages = qualified_name(&gate.condition_type);
        errors.invalid_all(&gates.index(index).child("conditionType"), &gate.condition_type, messages);
    }
    let gates = path.child("schedulingGates");
    let mut seen = BTreeSet::new();
    for (index, gate) in list(&spec.scheduling_gates).iter().enumerate() {
        errors.invalid_all(&gates.index(index), &gate.name, qualified_name(&gate.name));
        if !seen.insert(&gate.name) {
            errors.duplicate(&gates.index(index), &gate.name);
        }
    }
    scheduling::topology_spread(
        list(&spec.topology_spread_constraints),
        &path.child("topologySpreadConstraints"),
        errors,
    );
    host_users(spec, path, errors);
    network::hostname_override(spec, &path.child("hostnameOverride"), errors);
    for (field, name) in [("serviceAccountName", text(&spec.service_account_name)), ("nodeName", text(&spec.node_name))]
    {
        if !name.is_empty() {
            errors.invalid_all(&path.child(field), name, dns_subdomain(name));
        }
    }
    if let Some(seconds) = spec.active_deadline_seconds {
        errors.invalid_all(&path.child("activeDeadlineSeconds"), &seconds, range(seconds, 1, i64::from(i32::MAX)));
    }
    network::hostname(spec, path, errors);
    scheduling::tolerations(list(&spec.tolerations), &path.child("tolerations"), errors);
    network::host_aliases(list(&spec.host_aliases), &path.child("hostAliases"), errors);
    for (field, name) in
        [("priorityClassName", text(&spec.priority_class_name)), ("runtimeClassName", text(&spec.runtime_class_name))]
    {
        if !name.is_empty() {
            errors.invalid_all(&path.child(field), name, dns_subdomain(name));
        }
    }
    if let Some(policy) = &spec.preemption_policy {
        errors.one_of(&path.child("preemptionPolicy"), policy, &["PreemptLowerPriority", "Never"]);
    }
    if let Some(overhead) = &spec.overhead {
        resources::overhead(overhead, &path.child("overhead"), errors);
    }
    operating_system(spec, path, errors);
    file_key_volumes(spec, path, errors);
}

fn resource_claims(claims: &[PodResourceClaim], path: &Path<'_>, errors: &mut Errors) {
    let mut names = BTreeSet::new();
    for (index, claim) in claims.iter().enumerate() {
        let at = path.index(index);
        let name = at.child("name");
        if claim.name.is_empty() {
            errors.required(&name, "");
        } else if !names.insert(&claim.name) {
            errors.duplicate(&name, &claim.name);
        } else {
            errors.invalid_all(&name, &claim.name, dns_label(&claim.name));
        }
        let shown = || {
            let (direct, template) = (&claim.resource_claim_name, &claim.resource_claim_template_name);
            Verbatim(
                serde_json::json!({"Name": claim.name, "ResourceClaimName": direct, "ResourceClaimTemplateName": template})
                    .to_string(),
            )
        };
        match (&claim.resource_claim_name, &claim.resource_claim_template_name) {
            (Some(_), Some(_)) => {
                let message = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
                errors.invalid(&at, &shown(), message);
            }
            (None, None) => {
                errors.invalid(&at, &shown(), "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`");
            }
            (Some(name), None) => errors.invalid_all(&at.child("resourceClaimName"), name, dns_subdomain(name)),
            (None, Some(name)) => errors.invalid_all(&at.child("resourceClaimTemplateName"), name, dns_subdomain(name)),
        }
    }
}

fn host_users(spec: &PodSpec, path: &Path<'_>, errors: &mut Errors) {
    if spec.host_users != Some(false) {
        return;
    }
    // the capitals of the last two are the API server's
    for (field, set) in [("hostNetwork", spec.host_network), ("HostPID", spec.host_pid), ("HostIPC", spec.host_ipc)] {
        if set == Some(true) {
            errors.forbidden(&path.child(field), "when `hostUsers` is false");
        }
    }
    each_container(spec, path, |container, path| {
        if !list(&container.volume_devices).is_empty() {
            errors.forbidden(&path.child("volumeDevices"), "when `hostUsers` is false");
        }
    });
}

/// Calls `visit` for init and regular containers, the order Kubernetes visits them in.
fn each_container(spec: &PodSpec, path: &Path<'_>, mut visit: impl FnMut(&Container, &Path<'_>)) {
    for (field, containers) in [("initContainers", list(&spec.init_containers)), ("containers", &spec.containers)] {
        let at = path.child(field);
        for (index, container) in containers.iter().enumerate() {
            visit(container, &at.index(index));
        }
    }
}

fn operating_system(spec: &PodSpec, path: &Path<'_>, errors: &mut Errors) {
    let Some(os) = &spec.os else { return };
    match os.name.as_str() {
        "linux" => linux_only(spec, path, errors),
        "windows" => windows_only(spec, path, errors),
        "" => errors.required(&path.child("os").child("name"), "cannot be empty"),
        other => errors.not_supported(&path.child("os"), other, &["linux", "windows"]),
    }
}

fn linux_only(spec: &PodSpec, path: &Path<'_>, errors: &mut Errors) {
    const MESSAGE: &str = "windows options cannot be set for a linux pod";
    if spec.security_context.as_ref().is_some_and(|context| context.windows_options.is_some()) {
        errors.forbidden(&path.child("securityContext").child("windowsOptions"), MESSAGE);
    }
    each_container(spec, path, |container, path| {
        if container.security_context.as_ref().is_some_and(|context| context.windows_options.is_some()) {
            errors.forbidden(&path.child("securityContext").child("windowsOptions"), MESSAGE);
        }
    });
}

fn windows_only(spec: &PodSpec, path: &Path<'_>, errors: &mut Errors) {
    let at = path.child("securityContext");
    if let Some(context) = &spec.security_context {
        for (path, field, set) in [
            (&at, "appArmorProfile", context.app_armor_profile.is_some()),
            (&at, "seLinuxOptions", context.se_linux_options.is_some()),
            (path, "hostUsers", spec.host_users.is_some()),
            (path, "hostPID", spec.host_pid == Some(true)),
            (path, "hostIPC", spec.host_ipc == Some(true)),
            (&at, "seccompProfile", context.seccomp_profile.is_some()),
            (&at, "fsGroup", context.fs_group.is_some()),
            (&at, "fsGroupChangePolicy", context.fs_group_change_policy.is_some()),
            (&at, "sysctls", !list(&context.sysctls).is_empty()),
            (path, "shareProcessNamespace", spec.share_process_namespace.is_some()),
            (&at, "runAsUser", context.run_as_user.is_some()),
            (&at, "runAsGroup", context.run_as_group.is_some()),
            (&at, "supplementalGroups", context.supplemental_groups.is_some()),
            (&at, "supplementalGroupsPolicy", context.supplemental_groups_policy.is_some()),
            (&at, "seLinuxChangePolicy", context.se_linux_change_policy.is_some()),
        ] {
            if set {
                errors.forbidden(&path.child(field), WINDOWS);
            }
        }
    }
    each_container(spec, path, |container, path| {
        let Some(context) = &container.security_context else { return };
        let at = path.child("securityContext");
        for (field, set) in [
            ("appArmorProfile", context.app_armor_profile.is_some()),
            ("seLinuxOptions", context.se_linux_options.is_some()),
            ("seccompProfile", context.seccomp_profile.is_some()),
            ("capabilities", context.capabilities.is_some()),
            ("readOnlyRootFilesystem", context.read_only_root_filesystem.is_some()),
            ("privileged", context.privileged.is_some()),
            ("allowPrivilegeEscalation", context.allow_privilege_escalation.is_some()),
            ("procMount", context.proc_mount.is_some()),
            ("runAsUser", context.run_as_user.is_some()),
            ("runAsGroup", context.run_as_group.is_some()),
        ] {
            if set {
                errors.forbidden(&at.child(field), WINDOWS);
            }
        }
    });
}

/// `fileKeyRef` reads from emptyDir volumes only.
fn file_key_volumes(spec: &PodSpec, path: &Path<'_>, errors: &mut Errors) {
    let volumes: BTreeMap<&str, &Volume> =
        list(&spec.volumes).iter().map(|volume| (volume.name.as_str(), volume)).collect();
    each_container(spec, path, |container, path| {
        let env = path.child("env");
        for (index, var) in list(&container.env).iter().enumerate() {
            let Some(selector) = var.value_from.as_ref().and_then(|source| source.file_key_ref.as_ref()) else {
                continue;
            };
            let at = env.index(index);
            let at = at.child("valueFrom");
            let at = at.child("fileKeyRef");
            let at = at.child("volumeName");
            match volumes.get(selector.volume_name.as_str()) {
                None => errors.not_found(&at, &selector.volume_name),
                Some(volume) if volume.empty_dir.is_none() => {
                    errors.invalid(&at, &selector.volume_name, "referenced volume must be of type emptyDir");
                }
                Some(_) => {}
            }
        }
    });
}

fn tokens_without_account(volumes: &[Volume], path: &Path<'_>, errors: &mut Errors) {
    for (index, volume) in volumes.iter().enumerate() {
        let Some(projected) = &volume.projected else { continue };
        let at = path.index(index);
        let at = at.child("projected");
        let at = at.child("sources");
        for (index, source) in list(&projected.sources).iter().enumerate() {
            if source.service_account_token.is_some() {
                let message = "must not be specified when serviceAccountName is not set";
                errors.forbidden(&at.index(index).child("serviceAccountToken"), message);
            }
        }
    }
}
