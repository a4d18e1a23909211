//! The fabric joins the pods' network stacks: being built. The signatures are final.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use wasmpod_sim::{Clock, Entropy};

use crate::netns::NetNs;
use crate::{Errno, Result};

/// Where the pods' addresses come from.
#[derive(Debug, Clone)]
pub struct FabricConfig {
    /// The network of the IPv4 addresses and its prefix length.
    pub pod_cidr_v4: (Ipv4Addr, u8),
    /// The network of the IPv6 addresses and its prefix length.
    pub pod_cidr_v6: (Ipv6Addr, u8),
    /// The cluster's domain.
    pub cluster_domain: String,
}

impl Default for FabricConfig {
    fn default() -> Self {
        Self {
            pod_cidr_v4: (Ipv4Addr::new(10, 244, 0, 0), 16),
            pod_cidr_v6: (Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, 0), 64),
            cluster_domain: "cluster.local".to_owned(),
        }
    }
}

/// What a pod is called on the network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodIdentity {
    /// metadata.name.
    pub name: String,
    /// metadata.namespace.
    pub namespace: String,
    /// spec.hostname, else the pod's name.
    pub hostname: Option<String>,
    /// spec.subdomain.
    pub subdomain: Option<String>,
}

/// Why a name has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// There is no such name (NXDOMAIN).
    #[error("name or service not known")]
    NotFound,
    /// It may work later.
    #[error("temporary failure in name resolution")]
    Temporary,
    /// Not a name (RFC 1035 section 2.3.4, RFC 1123 section 2.1).
    #[error("invalid name")]
    InvalidName,
}

/// What joins the pods.
pub struct Fabric {}

impl Fabric {
    /// Makes a fabric without pods.
    pub fn new(clock: Clock, entropy: &Entropy, config: FabricConfig) -> Result<Arc<Self>> {
        let _ = (clock, entropy, config);
        Err(Errno::NoSys)
    }
    /// Gives a pod a network stack and addresses.
    pub fn attach(self: &Arc<Self>, pod: PodIdentity) -> Result<Arc<NetNs>> {
        let _ = pod;
        Err(Errno::NoSys)
    }
    /// Takes a pod off the network and frees its addresses.
    pub fn detach(&self, pod: &NetNs) {
        let _ = pod;
    }
    /// Looks a name up as the pod `from` would, without its hosts file.
    pub fn resolve(&self, name: &str, from: &NetNs) -> Result<Vec<IpAddr>, ResolveError> {
        let _ = (name, from);
        Err(ResolveError::Temporary)
    }
}
