//! The cluster's names (Kubernetes' DNS-Based Service Discovery specification): records of pods, and the search list of
//! `resolv.conf(5)`. Everything is bounded: the length of a name, the number of domains to append; there are no aliases to follow
//! and nobody outside is asked (abuse case N8).
//!
//! A pod `p` of namespace `n` has these names, all below the cluster's domain:
//! - `<hostname>.<subdomain>.n.svc`, as on a cluster;
//! - `p.n.svc`, so that pods of one run reach each other by name without a Service;
//! - `<a-b-c-d>.n.pod`, for its IPv4 address, and the same for IPv6 with dashes for colons.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::PodIdentity;
use crate::netns::DnsConfig;

/// The longest name, without a final dot (RFC 1035 section 2.3.4).
pub const MAX_NAME_BYTES: usize = 253;
/// The longest label.
pub const MAX_LABEL_BYTES: usize = 63;

/// Why a name has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// There is no such name (NXDOMAIN, `EAI_NONAME`).
    #[error("name or service not known")]
    NotFound,
    /// It may work later (`EAI_AGAIN`): the pod is not on the network.
    #[error("temporary failure in name resolution")]
    Temporary,
    /// Not a name: too long, an empty label, or a character that no hostname has (RFC 1123 section 2.1).
    #[error("invalid name")]
    InvalidName,
}

/// The names of all pods.
#[derive(Default)]
pub(super) struct Zone {
    /// Addresses by full name, in the order of their pods' attachment.
    records: BTreeMap<String, Vec<IpAddr>>,
    /// Which names have an address, so that a pod's leave without a search.
    owned: BTreeMap<IpAddr, Vec<String>>,
}

impl Zone {
    /// Gives both addresses to each name.
    pub(super) fn add(&mut self, names: impl Iterator<Item = String>, v4: Ipv4Addr, v6: Ipv6Addr) {
        for name in names {
            self.add_addresses([(name.clone(), v4.into()), (name, v6.into())]);
        }
    }

    pub(super) fn add_addresses(&mut self, records: impl IntoIterator<Item = (String, IpAddr)>) {
        for (name, ip) in records {
            let addresses = self.records.entry(name.clone()).or_default();
            if !addresses.contains(&ip) {
                addresses.push(ip);
                self.owned.entry(ip).or_default().push(name);
            }
        }
    }

    pub(super) fn remove(&mut self, v4: Ipv4Addr, v6: Ipv6Addr) {
        for ip in [IpAddr::V4(v4), IpAddr::V6(v6)] {
            for name in self.owned.remove(&ip).unwrap_or_default() {
                if let Some(addresses) = self.records.get_mut(&name) {
                    addresses.retain(|&other| other != ip);
                    if addresses.is_empty() {
                        self.records.remove(&name);
                    }
                }
            }
        }
    }

    /// The addresses of a full name, IPv4 ones first.
    pub(super) fn lookup(&self, name: &str) -> Option<Vec<IpAddr>> {
        let mut addresses = self.records.get(name)?.clone();
        addresses.sort_by_key(IpAddr::is_ipv6);
        Some(addresses)
    }
}

/// The full names of a pod. One that DNS cannot express is left out: a pod's own name may be longer than a label or a name.
pub(super) fn names_of(pod: &PodIdentity, domain: &str) -> Vec<String> {
    let namespace = &pod.namespace;
    let subdomain = pod.subdomain.as_deref().filter(|name| !name.is_empty());
    let names = [
        Some(format!("{}.{namespace}.svc.{domain}", pod.name)),
        subdomain.map(|subdomain| format!("{}.{subdomain}.{namespace}.svc.{domain}", pod.hostname())),
    ];
    names.into_iter().flatten().filter_map(|name| normalize(&name).ok()).collect()
}

/// The names that are made from a pod's addresses.
pub(super) fn address_names(namespace: &str, v4: Ipv4Addr, v6: Ipv6Addr, domain: &str) -> [(String, IpAddr); 2] {
    let name = |label: String| format!("{label}.{namespace}.pod.{domain}").to_ascii_lowercase();
    [(name(v4.to_string().replace('.', "-")), IpAddr::V4(v4)), (name(v6.to_string().replace(':', "-")), IpAddr::V6(v6))]
}

/// The full names to try for what a program asked for, in the resolver's order: a name with at least ndots dots is tried as it is
/// first, others with the search domains first; a final dot means neither.
pub(super) fn candidates(name: &str, dns: &DnsConfig) -> Result<Vec<String>, ResolveError> {
    let plain = normalize(name)?;
    if name.ends_with('.') {
        return Ok(vec![plain]);
    }
    let dots = plain.bytes().filter(|&byte| byte == b'.').count();
    // a search domain that makes the name too long is skipped, as resolvers do
    let searched = dns.search.iter().filter_map(|domain| normalize(&format!("{plain}.{domain}")).ok());
    if dots >= usize::from(dns.ndots) {
        Ok(std::iter::once(plain.clone()).chain(searched).collect())
    } else {
        Ok(searched.chain(std::iter::once(plain.clone())).collect())
    }
}

/// The name in lower case without a final dot, if it is one.
pub(crate) fn normalize(name: &str) -> Result<String, ResolveError> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let fine = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && label.len() <= MAX_LABEL_BYTES && label.bytes().all(allowed) && !label.starts_with('-')
    };
    if name.len() > MAX_NAME_BYTES || !name.split('.').all(fine) {
        return Err(ResolveError::InvalidName);
    }
    Ok(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dns(ndots: u8) -> DnsConfig {
        DnsConfig { search: vec!["d.svc.c.l".into(), "c.l".into()], ndots }
    }

    #[test]
    fn ndots_decides_what_comes_first() {
        assert_eq!(candidates("web", &dns(5)).unwrap(), ["web.d.svc.c.l", "web.c.l", "web"]);
        assert_eq!(candidates("a.b", &dns(1)).unwrap(), ["a.b", "a.b.d.svc.c.l", "a.b.c.l"]);
        assert_eq!(candidates("Web.", &dns(5)).unwrap(), ["web"]);
    }

    #[test]
    fn a_domain_that_makes_the_name_too_long_is_skipped() {
        let long = ["a".repeat(61), "b".repeat(60), "c".repeat(60), "d".repeat(60)].join(".");
        assert_eq!(candidates(&long, &dns(5)).unwrap(), [format!("{long}.c.l"), long]);
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        let long_label = "a".repeat(64);
        for name in ["", ".", "a..b", ".a", "a b", "-a", "ä", "a/b", "a\0", long_label.as_str(), &"a.".repeat(127)] {
            let expected =
                if name.len() == 254 { Ok("a.".repeat(127)[..253].to_owned()) } else { Err(ResolveError::InvalidName) };
            assert_eq!(normalize(name), expected, "{name:?}");
        }
        assert_eq!(normalize(&"a.".repeat(128)), Err(ResolveError::InvalidName));
    }

    proptest! {
        #[test]
        fn any_text_is_a_bounded_question(name in ".{0,300}") {
            if let Ok(candidates) = candidates(&name, &dns(5)) {
                prop_assert!(candidates.len() <= 3);
                prop_assert!(candidates.iter().all(|name| name.len() <= MAX_NAME_BYTES));
            }
        }
    }
}
