//! Security contexts, of pods and of containers.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{AppArmorProfile, PodSpec, SeccompProfile, SecurityContext};
use serde_json::{Value as Json, json};

use super::error::{Errors, Verbatim};
use super::list;
use super::mounts::local_descending_path;
use super::names::{sysctl_name, unix_id};
use super::path::Path;

/// Bytes of an AppArmor profile's name (`PATH_MAX` - 1).
const PROFILE_MAX: usize = 4095;

const PROFILE_TYPES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

pub(super) fn pod(spec: &PodSpec, path: &Path<'_>, errors: &mut Errors) {
    let Some(context) = &spec.security_context else { return };
    for (field, id) in
        [("fsGroup", context.fs_group), ("runAsUser", context.run_as_user), ("runAsGroup", context.run_as_group)]
    {
        if let Some(id) = id {
            errors.invalid_all(&path.child(field), &id, unix_id(id));
        }
    }
    let groups = path.child("supplementalGroups");
    for (index, id) in list(&context.supplemental_groups).iter().enumerate() {
        errors.invalid_all(&groups.index(index), id, unix_id(*id));
    }
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        let message = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.invalid(&path.child("shareProcessNamespace"), &true, message);
    }
    sysctls(spec, &path.child("sysctls"), errors);
    if let Some(policy) = &context.fs_group_change_policy {
        errors.one_of(&path.child("fsGroupChangePolicy"), policy, &["Always", "OnRootMismatch"]);
    }
    seccomp(context.seccomp_profile.as_ref(), &path.child("seccompProfile"), errors);
    app_armor(context.app_armor_profile.as_ref(), &path.child("appArmorProfile"), errors);
    if let Some(policy) = &context.supplemental_groups_policy {
        errors.one_of(&path.child("supplementalGroupsPolicy"), policy, &["Merge", "Strict"]);
    }
    if let Some(policy) = &context.se_linux_change_policy {
        errors.one_of(&path.child("seLinuxChangePolicy"), policy, &["MountOption", "Recursive"]);
    }
}

fn sysctls(spec: &PodSpec, path: &Path<'_>, errors: &mut Errors) {
    let mut names = BTreeSet::new();
    let sysctls = spec.security_context.as_ref().map(|context| list(&context.sysctls)).unwrap_or_default();
    for (index, sysctl) in sysctls.iter().enumerate() {
        let at = path.index(index);
        let at = at.child("name");
        let name = sysctl.name.as_str();
        if name.is_empty() {
            errors.required(&at, "");
        } else if !sysctl_name(name) {
            let message = "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
            errors.invalid(&at, name, message);
        } else if !names.insert(name) {
            errors.duplicate(&at, name);
        }
        let name = name.replace('/', ".");
        if spec.host_network == Some(true) && name.starts_with("net.") {
            errors.invalid(&at, &name, "may not be specified when 'hostNetwork' is true");
        }
        let ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| name.starts_with(prefix))
            || name == "kernel.sem";
        if spec.host_ipc == Some(true) && ipc {
            errors.invalid(&at, &name, "may not be specified when 'hostIPC' is true");
        }
    }
}

pub(super) fn container(context: Option<&SecurityContext>, host_users: bool, path: &Path<'_>, errors: &mut Errors) {
    let Some(context) = context else { return };
    for (field, id) in [("runAsUser", context.run_as_user), ("runAsGroup", context.run_as_group)] {
        if let Some(id) = id {
            errors.invalid_all(&path.child(field), &id, unix_id(id));
        }
    }
    seccomp(context.seccomp_profile.as_ref(), &path.child("seccompProfile"), errors);
    if context.allow_privilege_escalation == Some(false) {
        if context.privileged == Some(true) {
            let message = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.invalid(path, &go_struct(context), message);
        }
        let added = context.capabilities.as_ref().map(|capabilities| list(&capabilities.add)).unwrap_or_default();
        if added.iter().any(|name| name == "CAP_SYS_ADMIN") {
            let message = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.invalid(path, &go_struct(context), message);
        }
    }
    if let Some(mount) = &context.proc_mount {
        let at = path.child("procMount");
        errors.one_of(&at, mount, &["Default", "Unmasked"]);
        if host_users && mount == "Unmasked" {
            errors.invalid(&at, mount, "`hostUsers` must be false to use `Unmasked`");
        }
    }
    app_armor(context.app_armor_profile.as_ref(), &path.child("appArmorProfile"), errors);
}

fn seccomp(profile: Option<&SeccompProfile>, path: &Path<'_>, errors: &mut Errors) {
    let Some(profile) = profile else { return };
    let (kind, local) = (path.child("type"), path.child("localhostProfile"));
    if profile.type_.is_empty() {
        errors.required(&kind, "type is required when seccompProfile is set");
    } else {
        errors.one_of(&kind, &profile.type_, &PROFILE_TYPES);
    }
    match (profile.type_ == "Localhost", &profile.localhost_profile) {
        (true, None) => errors.required(&local, "must be set when seccomp type is Localhost"),
        (true, Some(name)) => local_descending_path(name, &local, errors),
        (false, Some(name)) => {
            let shown = Verbatim(json!({"Type": profile.type_, "LocalhostProfile": name}).to_string());
            errors.invalid(&local, &shown, "can only be set when seccomp type is Localhost");
        }
        (false, None) => {}
    }
}

fn app_armor(profile: Option<&AppArmorProfile>, path: &Path<'_>, errors: &mut Errors) {
    let Some(profile) = profile else { return };
    let local = path.child("localhostProfile");
    match (profile.type_.as_str(), &profile.localhost_profile) {
        ("Localhost", None) => errors.required(&local, "must be set when AppArmor type is Localhost"),
        ("Localhost", Some(name)) => {
            if name.trim() != name {
                errors.invalid(&local, name, "must not be padded with whitespace");
            } else if name.is_empty() {
                errors.required(&local, "must be set when AppArmor type is Localhost");
            }
            if name.len() > PROFILE_MAX {
                errors.too_long(&local, PROFILE_MAX);
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(name)) => {
            errors.invalid(&local, name, "can only be set when AppArmor type is Localhost");
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => errors.required(&path.child("type"), "type is required when appArmorProfile is set"),
        (other, _) => errors.not_supported(&path.child("type"), other, &PROFILE_TYPES),
    }
}

/// The API server shows the whole context as JSON of its own struct.
fn go_struct(context: &SecurityContext) -> Verbatim {
    let profile = |kind: Option<(&String, &Option<String>)>| {
        kind.map_or(Json::Null, |(kind, name)| json!({"Type": kind, "LocalhostProfile": name}))
    };
    let capabilities = context.capabilities.as_ref();
    let options = context.se_linux_options.as_ref();
    let value = json!({
        "Capabilities": capabilities.map(|c| json!({"Add": c.add, "Drop": c.drop})),
        "Privileged": context.privileged,
        "SELinuxOptions": options.map(|o| {
            let text = |s: &Option<String>| s.clone().unwrap_or_default();
            json!({"User": text(&o.user), "Role": text(&o.role), "Type": text(&o.type_), "Level": text(&o.level)})
        }),
        "WindowsOptions": Json::Null,
        "RunAsUser": context.run_as_user,
        "RunAsGroup": context.run_as_group,
        "RunAsNonRoot": context.run_as_non_root,
        "ReadOnlyRootFilesystem": context.read_only_root_filesystem,
        "AllowPrivilegeEscalation": context.allow_privilege_escalation,
        "ProcMount": context.proc_mount,
        "SeccompProfile": profile(context.seccomp_profile.as_ref().map(|p| (&p.type_, &p.localhost_profile))),
        "AppArmorProfile": profile(context.app_armor_profile.as_ref().map(|p| (&p.type_, &p.localhost_profile))),
    });
    Verbatim(value.to_string())
}
