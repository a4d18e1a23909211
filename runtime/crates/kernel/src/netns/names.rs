//! Names as a program of the pod sees them (`getaddrinfo(3)`, `hosts(5)`, `resolv.conf(5)`): literals, localhost, `/etc/hosts`, then
//! the fabric's names with the search list. Owns the two files' meaning, not their text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::NetNs;
use crate::fabric::{PodIdentity, ResolveError, normalize};

/// The most hosts entries that are looked at; a hosts file is made from the pod's spec, which is as bounded.
pub const MAX_HOSTS_ENTRIES: usize = 4096;
/// The most search domains (Kubernetes' MaxDNSSearchPaths).
pub const MAX_SEARCH_DOMAINS: usize = 32;

/// One line of `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostsEntry {
    /// The address.
    pub ip: IpAddr,
    /// Its names.
    pub names: Vec<String>,
}

/// What `/etc/resolv.conf` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsConfig {
    /// Domains to append, in order.
    pub search: Vec<String>,
    /// A name with fewer dots is looked up in the search domains first. Kubernetes' default is 5.
    pub ndots: u8,
}

pub(super) struct Names {
    hosts: Vec<HostsEntry>,
    dns: DnsConfig,
}

impl Names {
    /// What a pod starts with: its own hostname, as the kubelet writes it into `/etc/hosts`.
    pub(super) fn new(pod: &PodIdentity, ipv4: Ipv4Addr, ipv6: Ipv6Addr, dns: DnsConfig) -> Self {
        let names = vec![pod.hostname().to_owned()];
        let entry = |ip: IpAddr| HostsEntry { ip, names: names.clone() };
        Self { hosts: vec![entry(ipv4.into()), entry(ipv6.into())], dns }
    }
}

impl NetNs {
    /// Replaces the entries that [`NetNs::resolve`] looks at first: the pod's `/etc/hosts`, hostAliases included. The first
    /// [`MAX_HOSTS_ENTRIES`] count.
    pub fn set_hosts(&self, mut entries: Vec<HostsEntry>) {
        entries.truncate(MAX_HOSTS_ENTRIES);
        self.names.lock().hosts = entries;
    }

    /// Replaces the search list. The first [`MAX_SEARCH_DOMAINS`] domains count.
    pub fn set_dns(&self, mut dns: DnsConfig) {
        dns.search.truncate(MAX_SEARCH_DOMAINS);
        self.names.lock().dns = dns;
    }

    /// What the pod's `/etc/resolv.conf` says.
    pub fn dns(&self) -> DnsConfig {
        self.names.lock().dns.clone()
    }

    /// The addresses of a name, IPv4 ones first: an address literal, `localhost` and names below it (RFC 6761), the hosts
    /// entries, then the names of the fabric's pods.
    ///
    /// # Errors
    /// [`ResolveError`]; nothing is ever asked outside of the fabric.
    pub fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ResolveError> {
        if let Ok(ip) = name.parse::<IpAddr>() {
            return Ok(vec![ip]);
        }
        let normal = normalize(name)?;
        if normal == "localhost" || normal.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let mut found: Vec<IpAddr> = {
            let names = self.names.lock();
            let named = |entry: &&HostsEntry| entry.names.iter().any(|own| own.eq_ignore_ascii_case(&normal));
            names.hosts.iter().filter(named).map(|entry| entry.ip).collect()
        };
        if !found.is_empty() {
            found.sort_by_key(IpAddr::is_ipv6); // stable: the file's order within a family
            found.dedup();
            return Ok(found);
        }
        let fabric = self.fabric.upgrade().filter(|_| self.is_attached()).ok_or(ResolveError::Temporary)?;
        fabric.resolve(name, self)
    }
}
