//! The text of the files that the kubelet writes for a pod.
use std::net::IpAddr;

/// One entry of a pod's hostAliases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAlias {
    /// The address, as written in the manifest.
    pub ip: String,
    /// The names for it.
    pub hostnames: Vec<String>,
}
/// `/etc/hosts`
pub fn hosts(_pod_ips: &[IpAddr], _hostname: &str, _domain: Option<&str>, _aliases: &[HostAlias]) -> String { String::new() }
/// `/etc/hostname`
pub fn hostname(name: &str) -> String { format!("{name}\n") }
/// `/etc/resolv.conf`
pub fn resolv_conf(_nameservers: &[String], _searches: &[String], _options: &[String]) -> String { String::new() }
