//! A sandbox: what the containers of one pod share. Network stack, IPC objects, hostname, pod cgroup, and the files in `/etc` that follow from them.
//! Owns the pod's address for as long as it lives.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use wasmpod_kernel::cgroup::kubernetes::QosClass;
use wasmpod_kernel::cgroup::{Cgroup, Limits};
use wasmpod_kernel::fabric::PodIdentity;
use wasmpod_kernel::ipcns::IpcNs;
use wasmpod_kernel::mntns::etc::{self, HostAlias};
use wasmpod_kernel::netns::{DnsConfig, HostsEntry, NetNs};
use wasmpod_kernel::pidns::PidNs;
use wasmpod_kernel::process::Process;
use wasmpod_kernel::utsns::UtsNs;

use crate::CriError;
use crate::container::Container;
use crate::runtime::Runtime;

/// Dots below which a name is looked up in the search domains first, if the pod does not say (resolv.conf's own default).
const DEFAULT_NDOTS: u8 = 1;

/// What `/etc/resolv.conf` of the pod says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DnsSettings {
    /// Name servers.
    pub nameservers: Vec<String>,
    /// Search domains.
    pub searches: Vec<String>,
    /// Options, as `ndots:5`.
    pub options: Vec<String>,
}

/// How to make a sandbox.
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// metadata.name.
    pub name: String,
    /// metadata.namespace.
    pub namespace: String,
    /// metadata.uid.
    pub uid: String,
    /// spec.hostname.
    pub hostname: Option<String>,
    /// spec.subdomain.
    pub subdomain: Option<String>,
    /// spec.setHostnameAsFQDN.
    pub fqdn_as_hostname: bool,
    /// The cluster's domain, `cluster.local`.
    pub cluster_domain: String,
    /// Under which class' cgroup it lives.
    pub qos: QosClass,
    /// The pod's own limits.
    pub limits: Limits,
    /// spec.hostAliases.
    pub host_aliases: Vec<(IpAddr, Vec<String>)>,
    /// What its resolv.conf says.
    pub dns: DnsSettings,
    /// spec.shareProcessNamespace: the containers see and may signal each other's processes, and `pause` is pid 1.
    pub share_process_namespace: bool,
}

/// The numbers of the namespaces that all containers of a pod share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SharedNamespaces {
    pub net: u64,
    pub ipc: u64,
    pub uts: u64,
    pub pid: Option<u64>,
}

/// A running sandbox.
pub struct Sandbox {
    id: String,
    config: SandboxConfig,
    runtime: Runtime,
    net: Arc<NetNs>,
    uts: Arc<UtsNs>,
    ipc: Arc<IpcNs>,
    /// The pid namespace, if the containers share one.
    pids: Option<Arc<PidNs>>,
    cgroup: Arc<Cgroup>,
    namespaces: SharedNamespaces,
    pub(crate) containers: Mutex<BTreeMap<String, Arc<Container>>>,
}

impl Sandbox {
    pub(crate) fn create(runtime: &Runtime, config: SandboxConfig) -> Result<Arc<Self>, CriError> {
        let domain = format!("{}.svc.{}", config.namespace, config.cluster_domain);
        let (hostname, subdomain) = (config.hostname.as_deref(), config.subdomain.as_deref());
        let uts = UtsNs::new(&config.name, hostname, subdomain, &domain, config.fqdn_as_hostname)
            .map_err(|error| CriError::Sandbox(error.to_string()))?;
        let identity = PodIdentity {
            name: config.name.clone(),
            namespace: config.namespace.clone(),
            hostname: config.hostname.clone(),
            subdomain: config.subdomain.clone(),
        };
        let net = runtime.fabric().attach(identity).map_err(|errno| {
            CriError::Sandbox(format!("failed to set up the network of pod {}: {errno}", config.name))
        })?;
        net.set_hosts(hosts_entries(&config, &uts, &net));
        net.set_dns(DnsConfig { search: config.dns.searches.clone(), ndots: ndots(&config.dns.options) });
        let cgroup = runtime.qos_cgroup(config.qos).child(&format!("pod{}", config.uid), config.limits);
        let share_pids = config.share_process_namespace;
        let pids = share_pids.then(|| PidNs::with_pause(runtime.sim().clock().now()));
        runtime.sim().journal().event(&config.name, format_args!("sandbox ready ip {}", net.ipv4()));
        Ok(Arc::new(Self {
            id: runtime.new_id("sandbox"),
            config,
            runtime: runtime.clone(),
            net,
            uts: Arc::new(uts),
            ipc: IpcNs::new(),
            pids,
            cgroup,
            namespaces: SharedNamespaces {
                net: runtime.new_namespace_id(),
                ipc: runtime.new_namespace_id(),
                uts: runtime.new_namespace_id(),
                pid: share_pids.then(|| runtime.new_namespace_id()),
            },
            containers: Mutex::default(),
        }))
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The pod's UID.
    pub fn uid(&self) -> &str {
        &self.config.uid
    }

    /// The pod's name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// How it was made.
    pub fn config(&self) -> &SandboxConfig {
        &self.config
    }

    /// The pod's IPv4 address.
    pub fn ipv4(&self) -> Ipv4Addr {
        self.net.ipv4()
    }

    /// The pod's IPv6 address.
    pub fn ipv6(&self) -> Ipv6Addr {
        self.net.ipv6()
    }

    /// The pod's network stack.
    pub fn net(&self) -> &Arc<NetNs> {
        &self.net
    }

    /// The pod's names.
    pub fn uts(&self) -> &Arc<UtsNs> {
        &self.uts
    }

    /// The pod's message queues, semaphores and shared memory.
    pub fn ipc(&self) -> &Arc<IpcNs> {
        &self.ipc
    }

    /// The pid namespace that the containers share, if they do; else each has its own ([`Container::pids`]).
    pub fn shared_pids(&self) -> Option<&Arc<PidNs>> {
        self.pids.as_ref()
    }

    /// Every process of the pod by the container it belongs to, in the order of their names and numbers. `pause` is none of them.
    pub fn processes(&self) -> Vec<(String, Arc<Process>)> {
        let containers: Vec<_> = self.containers.lock().values().cloned().collect();
        let of = |container: &Arc<Container>| {
            let name = container.name().to_owned();
            container.processes().into_iter().map(move |process| (name.clone(), process)).collect::<Vec<_>>()
        };
        containers.iter().flat_map(of).collect()
    }

    /// The pod's cgroup.
    pub fn cgroup(&self) -> &Arc<Cgroup> {
        &self.cgroup
    }

    /// The newest run of each container, by name.
    pub fn containers(&self) -> Vec<Arc<Container>> {
        self.containers.lock().values().cloned().collect()
    }

    /// Forgets a container that was removed, unless a newer run has its name.
    pub(crate) fn forget_container(&self, gone: &Container) {
        let forgotten = {
            let mut containers = self.containers.lock();
            let is_it = containers.get(gone.name()).is_some_and(|known| known.id() == gone.id());
            if is_it { containers.remove(gone.name()) } else { None }
        };
        drop(forgotten); // outside of the lock: it may be the last who holds it
    }

    pub(crate) fn namespaces(&self) -> SharedNamespaces {
        self.namespaces
    }

    /// Where the pod's logs are: `<namespace>_<name>_<uid>`, as under `/var/log/pods`.
    pub fn log_dir(&self) -> PathBuf {
        let SandboxConfig { namespace, name, uid, .. } = &self.config;
        self.runtime.inner.config.state_dir.join("pods").join(format!("{namespace}_{name}_{uid}"))
    }

    /// Kills what still runs and gives the address back. Stopping a stopped sandbox does nothing.
    pub async fn stop(&self) {
        let containers: Vec<_> = self.containers.lock().values().cloned().collect();
        for container in &containers {
            container.kill();
        }
        for container in &containers {
            if container.has_started() {
                container.wait().await;
            }
        }
        self.containers.lock().clear();
        self.ipc.clear(); // nobody is left to hold what has no name any more
        self.runtime.fabric().detach(&self.net);
        self.runtime.forget_sandbox(&self.config.uid);
    }

    /// The text of `/etc/hosts`.
    pub(crate) fn hosts_text(&self) -> String {
        let ips = [IpAddr::V4(self.net.ipv4()), IpAddr::V6(self.net.ipv6())];
        let aliases: Vec<HostAlias> = self
            .config
            .host_aliases
            .iter()
            .map(|(ip, hostnames)| HostAlias { ip: ip.to_string(), hostnames: hostnames.clone() })
            .collect();
        let (hostname, domain) = self.short_name_and_domain();
        etc::hosts(&ips, &hostname, domain.as_deref(), &aliases)
    }

    /// The text of `/etc/resolv.conf`.
    pub(crate) fn resolv_conf_text(&self) -> String {
        let DnsSettings { nameservers, searches, options } = &self.config.dns;
        etc::resolv_conf(nameservers, searches, options)
    }

    fn short_name_and_domain(&self) -> (String, Option<String>) {
        match self.uts.fqdn().and_then(|fqdn| fqdn.split_once('.')) {
            Some((short, domain)) => (short.to_owned(), Some(domain.to_owned())),
            None => (self.uts.hostname().to_owned(), None),
        }
    }
}

/// What names resolve to before any server is asked; the same lines as `/etc/hosts`.
fn hosts_entries(config: &SandboxConfig, uts: &UtsNs, net: &NetNs) -> Vec<HostsEntry> {
    let mut own = vec![uts.hostname().to_owned()];
    own.extend(uts.fqdn().map(str::to_owned));
    own.dedup();
    let mut entries = vec![
        HostsEntry { ip: IpAddr::V4(net.ipv4()), names: own.clone() },
        HostsEntry { ip: IpAddr::V6(net.ipv6()), names: own },
    ];
    entries.extend(config.host_aliases.iter().map(|(ip, names)| HostsEntry { ip: *ip, names: names.clone() }));
    entries
}

fn ndots(options: &[String]) -> u8 {
    let given = options.iter().rev().find_map(|option| option.strip_prefix("ndots:")?.parse().ok());
    given.unwrap_or(DEFAULT_NDOTS)
}
