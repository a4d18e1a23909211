//! The downward API's values: `fieldRef` (pkg/fieldpath) and `resourceFieldRef` (pkg/api/v1/resource `ExtractContainerResourceValue`).
//!
//! Owns the values as text. Does not own the files or variables they end up in.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Container, ResourceFieldSelector};
use wasmpod_api::quantity::Quantity;

use super::ConfigError;
use crate::objects::PodContext;

/// The value of a `fieldRef`.
///
/// # Errors
/// [`ConfigError::FieldPath`] if there is no such field.
pub fn field(context: &PodContext<'_>, path: &str) -> Result<String, ConfigError> {
    let meta = &context.pod.metadata;
    let spec = context.pod.spec.as_ref();
    let addresses = |list: &[IpAddr]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let first = |list: &[IpAddr]| list.first().map(ToString::to_string).unwrap_or_default();
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => &meta.labels,
            "metadata.annotations" => &meta.annotations,
            _ => return Err(ConfigError::FieldPath(path.to_owned())),
        };
        return Ok(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    Ok(match path {
        "metadata.name" => context.reference.name.clone(),
        "metadata.namespace" => context.reference.namespace.clone(),
        "metadata.uid" => context.reference.uid.clone(),
        "metadata.labels" => format_map(meta.labels.as_ref()),
        "metadata.annotations" => format_map(meta.annotations.as_ref()),
        "spec.nodeName" => context.node.name.clone(),
        "spec.serviceAccountName" => {
            spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_else(|| "default".to_owned())
        }
        "status.hostIP" => first(&context.node.host_ips),
        "status.hostIPs" => addresses(&context.node.host_ips),
        "status.podIP" => first(context.pod_ips),
        "status.podIPs" => addresses(context.pod_ips),
        _ => return Err(ConfigError::FieldPath(path.to_owned())),
    })
}

/// Splits `metadata.labels['app']` into the map and the key.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

/// `key="value"`, one per line, sorted, quoted as Go's `%q` does it (fieldpath.FormatMap).
fn format_map(map: Option<&BTreeMap<String, String>>) -> String {
    let mut out = String::new();
    for (index, (key, value)) in map.into_iter().flatten().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let _ = write!(out, "{key}={}", go_quote(value)); // writing to a String cannot fail
    }
    out
}

/// `strconv.Quote` for text that is UTF-8.
fn go_quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The value of a `resourceFieldRef` of `container`, or of the container that it names.
///
/// # Errors
/// [`ConfigError::NoContainer`], or [`ConfigError::Resource`] for a resource that has no value here.
pub fn resource(
    context: &PodContext<'_>,
    container: &Container,
    reference: &ResourceFieldSelector,
) -> Result<String, ConfigError> {
    let container = match reference.container_name.as_deref() {
        Some(name) if !name.is_empty() => find(context, name)?,
        _ => container,
    };
    let (kind, name) =
        reference.resource.split_once('.').ok_or_else(|| ConfigError::Resource(reference.resource.clone()))?;
    let node = context.node;
    let allocatable = match name {
        "cpu" => i64::try_from(node.milli_cpu).ok().map(Quantity::from_millis),
        "memory" => i64::try_from(node.memory_bytes).ok().map(Quantity::from_bytes),
        "ephemeral-storage" => i64::try_from(node.ephemeral_bytes).ok().map(Quantity::from_bytes),
        _ if name.starts_with("hugepages-") => Some(Quantity::ZERO),
        _ => None,
    };
    let unset = || ConfigError::Resource(reference.resource.clone());
    let resources = container.resources.as_ref();
    let list = match kind {
        "limits" => resources.and_then(|r| r.limits.as_ref()),
        "requests" => resources.and_then(|r| r.requests.as_ref()),
        _ => return Err(unset()),
    };
    let allocatable = allocatable.ok_or_else(unset)?;
    let given = list.and_then(|list| list.get(name)).and_then(|q| Quantity::parse(&q.0).ok());
    let value = given.unwrap_or(if kind == "limits" { allocatable } else { Quantity::ZERO });
    let divisor = reference.divisor.as_ref().and_then(|q| Quantity::parse(&q.0).ok()).filter(|q| !q.is_zero());
    let divisor = divisor.unwrap_or_else(|| Quantity::from_units(1));
    let (value, divisor) =
        if name == "cpu" { (value.millis(), divisor.millis()) } else { (value.value(), divisor.value()) };
    Ok((i128::from(value) + i128::from(divisor) - 1).div_euclid(i128::from(divisor.max(1))).to_string())
}

/// The value of a `resourceFieldRef` in a volume, which must name its container.
///
/// # Errors
/// As [`resource`].
pub fn resource_of_named(context: &PodContext<'_>, reference: &ResourceFieldSelector) -> Result<String, ConfigError> {
    let container = find(context, reference.container_name.as_deref().unwrap_or_default())?;
    resource(context, container, reference)
}

fn find<'a>(context: &PodContext<'a>, name: &str) -> Result<&'a Container, ConfigError> {
    let spec = context.pod.spec.as_ref();
    let all = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    all.into_iter().find(|container| container.name == name).ok_or_else(|| ConfigError::NoContainer(name.to_owned()))
}
