//! Environment variables and where their values come from.

use k8s_openapi::api::core::v1::{
    EnvFromSource, EnvVar, EnvVarSource, FileKeySelector, ObjectFieldSelector, ResourceFieldSelector,
};

use super::error::Errors;
use super::mounts::no_backsteps;
use super::names::{config_map_key, dns_label, dns_subdomain, env_name, qualified_name};
use super::path::Path;
use super::text;
use crate::quantity::Quantity;

/// What a variable may take from the pod.
const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// What a file of a downwardAPI volume may take from the pod.
pub(super) const VOLUME_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// Field labels that exist at all; which of them are allowed depends on the place.
const KNOWN_FIELDS: [&str; 12] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];

const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

const BYTE_DIVISORS: [&str; 13] = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];

pub(super) fn env(vars: &[EnvVar], path: &Path<'_>, errors: &mut Errors) {
    for (index, var) in vars.iter().enumerate() {
        let at = path.index(index);
        if var.name.is_empty() {
            errors.required(&at.child("name"), "");
        } else {
            errors.invalid_all(&at.child("name"), &var.name, env_name(&var.name));
        }
        if let Some(source) = &var.value_from {
            value_from(source, !text(&var.value).is_empty(), &at.child("valueFrom"), errors);
        }
    }
}

fn value_from(source: &EnvVarSource, has_value: bool, path: &Path<'_>, errors: &mut Errors) {
    let mut sources = 0;
    if let Some(selector) = &source.field_ref {
        sources += 1;
        object_field(selector, &ENV_FIELDS, &path.child("fieldRef"), errors);
    }
    if let Some(selector) = &source.resource_field_ref {
        sources += 1;
        resource_field(selector, false, &path.child("resourceFieldRef"), errors);
    }
    if let Some(selector) = &source.config_map_key_ref {
        sources += 1;
        key_selector(&selector.name, &selector.key, &path.child("configMapKeyRef"), errors);
    }
    if let Some(selector) = &source.secret_key_ref {
        sources += 1;
        key_selector(&selector.name, &selector.key, &path.child("secretKeyRef"), errors);
    }
    if let Some(selector) = &source.file_key_ref {
        sources += 1;
        file_key(selector, &path.child("fileKeyRef"), errors);
    }
    if sources == 0 {
        let message =
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
        errors.invalid(path, "", message);
    } else if has_value {
        errors.invalid(path, "", "may not be specified when `value` is not empty");
    } else if sources > 1 {
        errors.invalid(path, "", "may not have more than one field specified at a time");
    }
}

pub(super) fn object_field(selector: &ObjectFieldSelector, allowed: &[&str], path: &Path<'_>, errors: &mut Errors) {
    let version = text(&selector.api_version);
    if version.is_empty() {
        return errors.required(&path.child("apiVersion"), "");
    }
    let field = selector.field_path.as_str();
    let at = path.child("fieldPath");
    if field.is_empty() {
        return errors.required(&at, "");
    }
    if version != "v1" {
        return errors.invalid(
            &at,
            field,
            format_args!("error converting fieldPath: unsupported pod version: {version}"),
        );
    }
    // metadata.labels['key'] and metadata.annotations['key']
    let subscripted = field.strip_suffix("']").and_then(|head| head.split_once("['"));
    if let Some((base, key)) = subscripted {
        return match base {
            "metadata.labels" => errors.invalid_all(path, key, qualified_name(key)),
            "metadata.annotations" => {
                let key = key.to_lowercase();
                errors.invalid_all(path, &key, qualified_name(&key));
            }
            _ => errors.invalid(
                &at,
                field,
                format_args!("error converting fieldPath: field label does not support subscript: {base}"),
            ),
        };
    }
    let host_ip = matches!(field, "status.hostIP" | "status.hostIPs");
    // spec.host is an old name of spec.nodeName
    let field = if field == "spec.host" { "spec.nodeName" } else { field };
    if !KNOWN_FIELDS.contains(&field) && !host_ip {
        return errors.invalid(
            &at,
            field,
            format_args!("error converting fieldPath: field label not supported: {field}"),
        );
    }
    errors.one_of(&at, field, allowed);
}

pub(super) fn resource_field(selector: &ResourceFieldSelector, in_volume: bool, path: &Path<'_>, errors: &mut Errors) {
    let resource = selector.resource.as_str();
    let hugepages = resource.starts_with("limits.hugepages-") || resource.starts_with("requests.hugepages-");
    if in_volume && text(&selector.container_name).is_empty() {
        errors.required(&path.child("containerName"), "");
    } else if resource.is_empty() {
        errors.required(&path.child("resource"), "");
    } else if !hugepages {
        errors.one_of(&path.child("resource"), resource, &RESOURCES);
    }
    let divisor =
        selector.divisor.as_ref().and_then(|divisor| Quantity::parse(&divisor.0).ok()).unwrap_or(Quantity::ZERO);
    if divisor.is_zero() {
        return;
    }
    let divisor = divisor.to_string();
    let (allowed, what): (&[&str], _) = match resource {
        "limits.cpu" | "requests.cpu" => (&["1m", "1"], "cpu"),
        "limits.memory" | "requests.memory" => (&BYTE_DIVISORS, "memory"),
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => (&BYTE_DIVISORS, "local ephemeral storage"),
        _ if hugepages => (&BYTE_DIVISORS, "hugepages"),
        _ => return,
    };
    if !allowed.contains(&divisor.as_str()) {
        let values = if what == "cpu" { "1m and 1".to_owned() } else { BYTE_DIVISORS.join(", ") };
        let message = format!("only divisor's values {values} are supported with the {what} resource");
        errors.invalid(&path.child("divisor"), resource, message);
    }
}

fn key_selector(name: &str, key: &str, path: &Path<'_>, errors: &mut Errors) {
    errors.invalid_all(&path.child("name"), name, dns_subdomain(name));
    if key.is_empty() {
        errors.required(&path.child("key"), "");
    } else {
        errors.invalid_all(&path.child("key"), key, config_map_key(key));
    }
}

fn file_key(selector: &FileKeySelector, path: &Path<'_>, errors: &mut Errors) {
    if selector.key.is_empty() {
        errors.required(&path.child("key"), "");
    } else {
        errors.invalid_all(&path.child("key"), &selector.key, env_name(&selector.key));
    }
    if selector.volume_name.is_empty() {
        errors.required(&path.child("volumeName"), "");
    } else {
        errors.invalid_all(&path.child("volumeName"), &selector.volume_name, dns_label(&selector.volume_name));
    }
    if selector.path.is_empty() {
        errors.required(&path.child("path"), "");
    } else {
        no_backsteps(&selector.path, &path.child("path"), errors);
    }
}

pub(super) fn env_from(sources: &[EnvFromSource], path: &Path<'_>, errors: &mut Errors) {
    for (index, source) in sources.iter().enumerate() {
        let at = path.index(index);
        let prefix = text(&source.prefix);
        if !prefix.is_empty() {
            errors.invalid_all(&at.child("prefix"), prefix, env_name(prefix));
        }
        let config_map = source.config_map_ref.as_ref().map(|source| ("configMapRef", &source.name));
        let secret = source.secret_ref.as_ref().map(|source| ("secretRef", &source.name));
        for (field, name) in [config_map, secret].into_iter().flatten() {
            let reference = at.child(field);
            if name.is_empty() {
                errors.required(&reference.child("name"), "");
            } else {
                errors.invalid_all(&reference.child("name"), name, dns_subdomain(name));
            }
        }
        match (&source.config_map_ref, &source.secret_ref) {
            (None, None) => errors.invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"),
            (Some(_), Some(_)) => errors.invalid(path, "", "may not have more than one field specified at a time"),
            _ => {}
        }
    }
}
