//! Names and addresses: hostname, DNS, host aliases, host network.

use k8s_openapi::api::core::v1::{HostAlias, PodSpec};

use super::error::{Errors, Verbatim};
use super::names::{dns_label, dns_subdomain, dns_subdomain_with_underscore, ip_address};
use super::path::Path;
use super::{list, text};

/// Name servers, search domains and their characters that libc takes, or once took.
const NAMESERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_CHARACTERS_MAX: usize = 2048;

/// Bytes of a hostname (`HOST_NAME_MAX`).
const HOSTNAME_MAX: usize = 64;

pub(super) fn dns(spec: &PodSpec, path: &Path<'_>, errors: &mut Errors) {
    let nameservers_at = path.child("nameservers");
    if spec.dns_policy.as_deref() == Some("None") {
        match &spec.dns_config {
            None => return errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None"),
            Some(config) if list(&config.nameservers).is_empty() => {
                let message = "must provide at least one DNS nameserver when `dnsPolicy` is None";
                return errors.required(&nameservers_at, message);
            }
            Some(_) => {}
        }
    }
    let Some(config) = &spec.dns_config else { return };
    let (servers, searches) = (list(&config.nameservers), list(&config.searches));
    let shown = |list: &[String]| Verbatim(serde_json::json!(list).to_string());
    if servers.len() > NAMESERVERS_MAX {
        let message = format!("must not have more than {NAMESERVERS_MAX} nameservers");
        errors.invalid(&nameservers_at, &shown(servers), message);
    }
    for (index, server) in servers.iter().enumerate() {
        errors.invalid_all(&nameservers_at.index(index), server, ip_address(server));
    }
    let searches_at = path.child("searches");
    if searches.len() > SEARCHES_MAX {
        errors.invalid(
            &searches_at,
            &shown(searches),
            format_args!("must not have more than {SEARCHES_MAX} search paths"),
        );
    }
    let characters: usize = searches.iter().map(|search| search.len() + 1).sum();
    if characters > SEARCH_CHARACTERS_MAX + 1 {
        let message =
            format!("must not have more than {SEARCH_CHARACTERS_MAX} characters (including spaces) in the search list");
        errors.invalid(&searches_at, &shown(searches), message);
    }
    for (index, search) in searches.iter().enumerate().filter(|(_, search)| *search != ".") {
        let search = search.strip_suffix('.').unwrap_or(search);
        errors.invalid_all(&searches_at.index(index), search, dns_subdomain_with_underscore(search));
    }
    let options = path.child("options");
    for (index, option) in list(&config.options).iter().enumerate() {
        if text(&option.name).is_empty() {
            errors.required(&options.index(index), "must not be empty");
        }
    }
}

pub(super) fn host_aliases(aliases: &[HostAlias], path: &Path<'_>, errors: &mut Errors) {
    for (index, alias) in aliases.iter().enumerate() {
        let at = path.index(index);
        errors.invalid_all(&at.child("ip"), &alias.ip, ip_address(&alias.ip));
        let names = at.child("hostnames");
        for (index, name) in list(&alias.hostnames).iter().enumerate() {
            errors.invalid_all(&names.index(index), name, dns_subdomain(name));
        }
    }
}

/// On the host's network a container port is the host's port.
pub(super) fn host_network_ports(spec: &PodSpec, path: &Path<'_>, errors: &mut Errors) {
    if spec.host_network != Some(true) {
        return;
    }
    for (index, container) in spec.containers.iter().enumerate() {
        let at = path.index(index);
        let ports = at.child("ports");
        for (index, port) in list(&container.ports).iter().enumerate() {
            let host_port = port.host_port.unwrap_or(0);
            if host_port != port.container_port {
                let message = "must match `containerPort` when `hostNetwork` is true";
                errors.invalid(&ports.index(index).child("hostPort"), &host_port, message);
            }
        }
    }
}

pub(super) fn hostname_override(spec: &PodSpec, path: &Path<'_>, errors: &mut Errors) {
    let Some(name) = &spec.hostname_override else { return };
    if spec.set_hostname_as_fqdn == Some(true) {
        errors.forbidden(path, "may not be specified when setHostnameAsFQDN is true");
    }
    if spec.host_network == Some(true) {
        errors.forbidden(path, "may not be specified when hostNetwork is true");
    }
    if name.len() > HOSTNAME_MAX {
        errors.too_long(path, HOSTNAME_MAX);
    }
    errors.invalid_all(path, name, dns_subdomain(name));
}

pub(super) fn hostname(spec: &PodSpec, path: &Path<'_>, errors: &mut Errors) {
    for (field, name) in [("hostname", text(&spec.hostname)), ("subdomain", text(&spec.subdomain))] {
        if !name.is_empty() {
            errors.invalid_all(&path.child(field), name, dns_label(name));
        }
    }
}
