//! The objects beside a pod that its containers refer to, and what is known of a pod when its references are read.
//!
//! Owns look-up by namespace and name. Does not own decoding, nor change over time: `play` has all objects from the start.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};

/// The namespace of an object that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// ConfigMaps and Secrets by namespace and name.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    config_maps: BTreeMap<(String, String), ConfigMap>,
    secrets: BTreeMap<(String, String), Secret>,
}

impl Objects {
    /// Adds a ConfigMap; true if there was one of that name, which is replaced.
    pub fn add_config_map(&mut self, map: ConfigMap) -> bool {
        let key = key(map.metadata.namespace.as_deref(), map.metadata.name.as_deref());
        self.config_maps.insert(key, map).is_some()
    }

    /// Adds a Secret; true if there was one of that name, which is replaced.
    pub fn add_secret(&mut self, secret: Secret) -> bool {
        let key = key(secret.metadata.namespace.as_deref(), secret.metadata.name.as_deref());
        self.secrets.insert(key, secret).is_some()
    }

    /// The ConfigMap of that name.
    pub fn config_map(&self, namespace: &str, name: &str) -> Option<&ConfigMap> {
        self.config_maps.get(&key(Some(namespace), Some(name)))
    }

    /// The Secret of that name.
    pub fn secret(&self, namespace: &str, name: &str) -> Option<&Secret> {
        self.secrets.get(&key(Some(namespace), Some(name)))
    }
}

fn key(namespace: Option<&str>, name: Option<&str>) -> (String, String) {
    (namespace.unwrap_or(DEFAULT_NAMESPACE).to_owned(), name.unwrap_or_default().to_owned())
}

/// What names a pod in messages and keys.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid, unique over time.
    pub uid: String,
}

impl PodRef {
    /// The names of `pod`; an absent namespace is [`DEFAULT_NAMESPACE`].
    pub fn of(pod: &Pod) -> Self {
        let meta = &pod.metadata;
        Self {
            namespace: meta.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
        }
    }
}

impl fmt::Display for PodRef {
    /// `name_namespace(uid)`, as the kubelet writes it (pkg/kubelet/util/format `Pod`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}({})", self.name, self.namespace, self.uid)
    }
}

/// The node as a pod's references see it.
#[derive(Debug, Clone)]
pub struct NodeFacts {
    /// The node's name.
    pub name: String,
    /// The node's addresses, IPv4 first.
    pub host_ips: Vec<IpAddr>,
    /// Allocatable CPU in thousandths.
    pub milli_cpu: u64,
    /// Allocatable memory in bytes.
    pub memory_bytes: u64,
    /// Allocatable ephemeral storage in bytes.
    pub ephemeral_bytes: u64,
    /// The cluster's DNS domain.
    pub cluster_domain: String,
}

/// A pod and what its references are read from.
#[derive(Debug, Clone, Copy)]
pub struct PodContext<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// Its names.
    pub reference: &'a PodRef,
    /// Its addresses, IPv4 first; empty before the sandbox is up.
    pub pod_ips: &'a [IpAddr],
    /// The node.
    pub node: &'a NodeFacts,
    /// The objects that exist.
    pub objects: &'a Objects,
}

impl PodContext<'_> {
    /// The pod's namespace.
    pub fn namespace(&self) -> &str {
        &self.reference.namespace
    }
}
