//! The fabric joins the pods' network stacks: it gives them addresses and names and says which stack has an address. Owns routes,
//! addresses (`ipam`) and names (`dns`); not sockets or ports, which are in [`crate::netns`]. Nothing here reaches the
//! host's network.
//!
//! The node is a stack of its own with the gateway's address. It has no listening sockets, so a pod that connects to it is refused;
//! published ports come from it ([`NetNs::host_connect`]).
//!
//! What the way between two pods is like (latency, loss, partition) is a [`link`]; `pump` runs what a link delays.

mod dns;
mod ipam;
pub mod link;
mod pump;
pub mod tap;
#[cfg(test)]
mod tap_tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use wasmpod_sim::{Clock, Entropy, Sim};

pub(crate) use self::dns::normalize;
pub use self::dns::{MAX_LABEL_BYTES, MAX_NAME_BYTES, ResolveError};
use self::dns::{Zone, candidates};
use self::ipam::Ipam;
use self::link::{LinkProps, LinkStats, Links, Path};
use self::pump::Pump;
use crate::netns::{DnsConfig, NetNs, NetNsParts};
use crate::{Errno, Result};

/// The ndots of a pod's resolv.conf (the kubelet's default).
pub const DEFAULT_NDOTS: u8 = 5;

/// Where the pods' addresses and names come from.
#[derive(Debug, Clone)]
pub struct FabricConfig {
    /// The network of the IPv4 addresses and its prefix length, at most 30.
    pub pod_cidr_v4: (Ipv4Addr, u8),
    /// The network of the IPv6 addresses and its prefix length; at least as many addresses as the IPv4 network.
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
    /// spec.hostname; the pod's name if there is none.
    pub hostname: Option<String>,
    /// spec.subdomain.
    pub subdomain: Option<String>,
}

impl PodIdentity {
    /// The pod's hostname.
    pub fn hostname(&self) -> &str {
        self.hostname.as_deref().filter(|name| !name.is_empty()).unwrap_or(&self.name)
    }
}

/// What joins the pods of a node.
pub struct Fabric {
    clock: Clock,
    entropy: Entropy,
    config: FabricConfig,
    broadcast: Ipv4Addr,
    node: Arc<NetNs>,
    inodes: Arc<AtomicU64>,
    links: Arc<Links>,
    state: Mutex<State>,
}

struct State {
    ipam: Ipam,
    routes: BTreeMap<IpAddr, Weak<NetNs>>,
    zone: Zone,
    /// How many pods were attached so far; names their random streams.
    attached: u64,
}

impl Fabric {
    /// Makes a fabric without pods. Ephemeral ports and what happens on links are drawn from streams of `sim`. A task is spawned when the
    /// first packet is delayed by a link, and not before.
    ///
    /// # Errors
    /// [`crate::Errno::Inval`] if a network of `config` is too small or its prefix too long.
    pub fn new(sim: &Sim, config: FabricConfig) -> Result<Arc<Self>> {
        let (clock, entropy) = (sim.clock().clone(), sim.entropy());
        let ipam = Ipam::new(config.pod_cidr_v4, config.pod_cidr_v6)?;
        let (gateway_v4, gateway_v6) = ipam.gateway();
        let inodes = Arc::new(AtomicU64::new(1));
        let links = Links::new(entropy.clone(), Pump::new(sim.clone()));
        Ok(Arc::new_cyclic(|me: &Weak<Self>| {
            let node = NetNs::new(NetNsParts {
                fabric: me.clone(),
                clock: clock.clone(),
                pod: PodIdentity { name: "node".to_owned(), ..PodIdentity::default() },
                ipv4: gateway_v4,
                ipv6: gateway_v6,
                broadcast: ipam.broadcast(),
                inodes: inodes.clone(),
                random: entropy.stream("net/node"),
                dns: DnsConfig { search: Vec::new(), ndots: 1 },
                links: links.clone(),
            });
            let gateways = [IpAddr::V4(gateway_v4), IpAddr::V6(gateway_v6)];
            let routes = gateways.into_iter().map(|ip| (ip, Arc::downgrade(&node))).collect();
            let broadcast = ipam.broadcast();
            let state = Mutex::new(State { ipam, routes, zone: Zone::default(), attached: 0 });
            Self { clock, entropy: entropy.clone(), config, broadcast, node, inodes, links, state }
        }))
    }

    /// Gives a pod a network stack, the next free addresses and its names. Two pods may have the same name, as when one takes
    /// over from one that still terminates; the name then has both addresses.
    ///
    /// # Errors
    /// [`crate::Errno::AddrNotAvail`] if no address is free.
    pub fn attach(self: &Arc<Self>, pod: PodIdentity) -> Result<Arc<NetNs>> {
        let mut state = self.state.lock();
        let names = dns::names_of(&pod, &self.config.cluster_domain);
        let (ipv4, ipv6) = state.ipam.allocate()?;
        state.attached += 1;
        let ns = NetNs::new(NetNsParts {
            fabric: Arc::downgrade(self),
            clock: self.clock.clone(),
            random: self.entropy.stream(&format!("net/{}/{}/{}", pod.namespace, pod.name, state.attached)),
            dns: DnsConfig { search: self.search_list(&pod.namespace), ndots: DEFAULT_NDOTS },
            pod,
            ipv4,
            ipv6,
            broadcast: self.broadcast,
            inodes: self.inodes.clone(),
            links: self.links.clone(),
        });
        for ip in [IpAddr::V4(ipv4), IpAddr::V6(ipv6)] {
            state.routes.insert(ip, Arc::downgrade(&ns));
        }
        let by_address = dns::address_names(&ns.pod().namespace, ipv4, ipv6, &self.config.cluster_domain);
        state.zone.add(names.into_iter(), ipv4, ipv6);
        state.zone.add_addresses(by_address);
        Ok(ns)
    }

    /// Takes a pod off the network: its names and routes are gone and its addresses free. What it has connected stays connected
    /// until its sockets are closed; new connections end in ENETUNREACH. A second time does nothing.
    pub fn detach(&self, pod: &NetNs) {
        if !pod.set_detached() {
            return;
        }
        let mut state = self.state.lock();
        let (ipv4, ipv6) = (pod.ipv4(), pod.ipv6());
        state.ipam.release(ipv4);
        state.routes.remove(&IpAddr::V4(ipv4));
        state.routes.remove(&IpAddr::V6(ipv6));
        state.zone.remove(ipv4, ipv6);
        drop(state);
        self.links.forget(ipv4);
    }

    /// Says what the way from one pod to another is like, from now on and in this direction only. An address stands for its pod: the IPv4 and
    /// the IPv6 one mean the same link, whether or not a pod has it yet. A link goes with the pods at its ends.
    ///
    /// # Errors
    /// [`Errno::Inval`] for properties outside of their range, an address outside of the pods' networks, or the same pod twice.
    pub fn set_link(&self, from: IpAddr, to: IpAddr, props: LinkProps) -> Result<()> {
        let path = self.path(from, to)?;
        self.links.set(path, props)?;
        self.link_changed(path);
        Ok(())
    }

    /// Tells the connections between two pods. After the table, so that a connection made meanwhile sees the link or is found here.
    fn link_changed(&self, path: Path) {
        if let (Some(from), Some(to)) = (self.owner(path.from.into()), self.owner(path.to.into())) {
            from.link_changed(&to);
            to.link_changed(&from);
        }
    }

    pub(crate) fn ipv4_of(&self, ip: IpAddr) -> Option<Ipv4Addr> {
        self.state.lock().ipam.ipv4_of(ip)
    }

    /// Makes a link perfect again; what it holds goes on its way.
    ///
    /// # Errors
    /// [`Errno::Inval`] for an address outside of the pods' networks, or the same pod twice.
    pub fn clear_link(&self, from: IpAddr, to: IpAddr) -> Result<()> {
        let path = self.path(from, to)?;
        if !self.links.get(path).is_perfect() {
            self.links.set(path, LinkProps::default())?;
            self.link_changed(path);
        }
        Ok(())
    }

    /// What a link is like; perfect if nobody said.
    pub fn link(&self, from: IpAddr, to: IpAddr) -> LinkProps {
        self.path(from, to).map(|path| self.links.get(path)).unwrap_or_default()
    }

    /// What a link has done since it was first set.
    pub fn link_stats(&self, from: IpAddr, to: IpAddr) -> LinkStats {
        self.path(from, to).map(|path| self.links.stats(path)).unwrap_or_default()
    }

    /// All links that were set: from, to, and what they are like.
    pub fn links(&self) -> Vec<(Ipv4Addr, Ipv4Addr, LinkProps)> {
        self.links.all().into_iter().map(|(path, props)| (path.from, path.to, props)).collect()
    }

    /// Shows every packet of connections that begin from now on, and of every datagram, to `tap`. False if there is a tap already.
    pub fn set_tap(&self, tap: Arc<dyn tap::Tap>) -> bool {
        self.links.set_tap(tap)
    }

    fn path(&self, from: IpAddr, to: IpAddr) -> Result<Path> {
        let state = self.state.lock();
        let pod = |ip| state.ipam.ipv4_of(ip).ok_or(Errno::Inval);
        let path = Path { from: pod(from)?, to: pod(to)? };
        if path.from == path.to { Err(Errno::Inval) } else { Ok(path) }
    }

    /// How many pods have addresses.
    pub fn addresses_in_use(&self) -> usize {
        self.state.lock().ipam.in_use()
    }

    /// Looks a name up as the pod `from` would, without its hosts file: with the search list and ndots of its resolv.conf.
    ///
    /// # Errors
    /// [`ResolveError::NotFound`], or [`ResolveError::InvalidName`].
    pub fn resolve(&self, name: &str, from: &NetNs) -> Result<Vec<IpAddr>, ResolveError> {
        let candidates = candidates(name, &from.dns())?;
        let state = self.state.lock();
        candidates.iter().find_map(|name| state.zone.lookup(name)).ok_or(ResolveError::NotFound)
    }

    /// The search list that the kubelet writes for a pod of `namespace`.
    pub fn search_list(&self, namespace: &str) -> Vec<String> {
        let domain = &self.config.cluster_domain;
        vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()]
    }

    /// What the fabric was made with.
    pub fn config(&self) -> &FabricConfig {
        &self.config
    }

    /// The gateway's addresses, which are the node's.
    pub fn gateway(&self) -> (Ipv4Addr, Ipv6Addr) {
        (self.node.ipv4(), self.node.ipv6())
    }

    pub(crate) fn node(&self) -> &Arc<NetNs> {
        &self.node
    }

    /// The stack that has an address.
    pub(crate) fn owner(&self, ip: IpAddr) -> Option<Arc<NetNs>> {
        let state = self.state.lock();
        let owner = state.routes.get(&ip).and_then(Weak::upgrade);
        drop(state);
        owner
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        self.links.pump().close();
    }
}

impl std::fmt::Debug for Fabric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fabric").field("config", &self.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn pod(name: &str) -> PodIdentity {
        PodIdentity { name: name.to_owned(), namespace: "default".to_owned(), ..PodIdentity::default() }
    }

    fn fabric() -> Arc<Fabric> {
        let sim = wasmpod_sim::Sim::new_virtual(1);
        Fabric::new(&sim, FabricConfig::default()).unwrap()
    }

    #[test]
    fn pods_get_addresses_one_after_the_other_and_give_them_back() {
        let fabric = fabric();
        let (a, b) = (fabric.attach(pod("a")).unwrap(), fabric.attach(pod("b")).unwrap());
        assert_eq!((a.ipv4(), a.ipv6()), (Ipv4Addr::new(10, 244, 0, 2), "fd00:10:244::2".parse().unwrap()));
        assert_eq!(b.ipv4(), Ipv4Addr::new(10, 244, 0, 3));
        fabric.detach(&a);
        fabric.detach(&a);
        assert!(fabric.owner(a.ipv4().into()).is_none() && fabric.owner(b.ipv4().into()).is_some());
        drop(b);
        assert!(fabric.owner("10.244.0.3".parse().unwrap()).is_none(), "a dropped stack leaves the fabric");
        assert_eq!(fabric.attach(pod("c")).unwrap().ipv4(), Ipv4Addr::new(10, 244, 0, 4), "not reused at once");
    }

    #[test]
    fn a_detached_stack_does_not_take_its_successors_address_away() {
        let config = FabricConfig { pod_cidr_v4: (Ipv4Addr::new(10, 0, 0, 0), 30), ..FabricConfig::default() };
        let small = Fabric::new(&Sim::new_virtual(1), config).unwrap();
        let first = small.attach(pod("a")).unwrap();
        assert_eq!(small.attach(pod("b")).unwrap_err(), Errno::AddrNotAvail);
        small.detach(&first);
        let second = small.attach(pod("b")).unwrap();
        assert_eq!(first.ipv4(), second.ipv4());
        drop(first);
        assert!(small.owner(second.ipv4().into()).is_some());
    }

    #[test]
    fn names_are_found_as_programs_of_a_cluster_write_them() {
        let fabric = fabric();
        let web = fabric.attach(pod("web")).unwrap();
        let db = fabric
            .attach(PodIdentity { hostname: Some("db".into()), subdomain: Some("data".into()), ..pod("db-0") })
            .unwrap();
        let other = fabric.attach(PodIdentity { namespace: "prod".into(), ..pod("api") }).unwrap();
        let of = |ns: &NetNs| Ok(vec![IpAddr::V4(ns.ipv4()), IpAddr::V6(ns.ipv6())]);
        for name in [
            "web",
            "WEB",
            "web.default",
            "web.default.svc",
            "web.default.svc.cluster.local",
            "web.default.svc.cluster.local.",
        ] {
            assert_eq!(web.resolve(name), of(&web), "{name}");
            assert_eq!(db.resolve(name), of(&web), "{name}");
        }
        for name in ["db.data", "db.data.default", "db.data.default.svc", "db.data.default.svc.cluster.local", "db-0"] {
            assert_eq!(web.resolve(name), of(&db), "{name}");
        }
        assert_eq!(web.resolve("api"), Err(ResolveError::NotFound), "another namespace's name needs the namespace");
        assert_eq!(web.resolve("api.prod"), of(&other));
        assert_eq!(db.resolve("web."), Err(ResolveError::NotFound), "a final dot means no search list");
        let by_address = format!("{}.default.pod.cluster.local", web.ipv4().to_string().replace('.', "-"));
        assert_eq!(db.resolve(&by_address), Ok(vec![web.ipv4().into()]));
        assert_eq!(db.resolve("10-244-0-2.default.pod"), Ok(vec![web.ipv4().into()]));
        assert_eq!(db.resolve("10-244-9-9.default.pod"), Err(ResolveError::NotFound));
        fabric.detach(&web);
        assert_eq!(db.resolve("web"), Err(ResolveError::NotFound));
        assert_eq!(web.resolve("db-0"), Err(ResolveError::Temporary));
    }

    #[test]
    fn two_pods_of_one_name_are_both_found_until_one_leaves() {
        let fabric = fabric();
        let (old, new) = (fabric.attach(pod("web")).unwrap(), fabric.attach(pod("web")).unwrap());
        assert_eq!(new.fabric_addresses("web").len(), 4);
        fabric.detach(&old);
        assert_eq!(new.fabric_addresses("web"), [IpAddr::V4(new.ipv4()), IpAddr::V6(new.ipv6())]);
    }

    impl NetNs {
        fn fabric_addresses(&self, name: &str) -> Vec<IpAddr> {
            self.set_hosts(Vec::new());
            self.resolve(name).unwrap()
        }
    }

    #[test]
    fn bad_networks_are_refused() {
        let with = |v4, v6| {
            let config = FabricConfig { pod_cidr_v4: v4, pod_cidr_v6: v6, ..FabricConfig::default() };
            Fabric::new(&Sim::new_virtual(1), config).map(|_| ())
        };
        let (v4, v6) = (Ipv4Addr::new(10, 0, 0, 0), "fd00::".parse().unwrap());
        assert_eq!(with((v4, 31), (v6, 64)), Err(Errno::Inval));
        assert_eq!(with((v4, 33), (v6, 64)), Err(Errno::Inval));
        assert_eq!(with((v4, 16), (v6, 113)), Err(Errno::Inval));
        assert_eq!(with((v4, 16), (v6, 112)), Ok(()));
    }

    #[test]
    fn a_pod_whose_name_dns_cannot_express_has_an_address_all_the_same() {
        let fabric = fabric();
        let long = fabric.attach(pod(&"a".repeat(200))).unwrap();
        assert_eq!(long.resolve(&"a".repeat(200)), Err(ResolveError::InvalidName));
        assert_eq!(long.resolve("10-244-0-2.default.pod"), Ok(vec![long.ipv4().into()]));
    }
}
