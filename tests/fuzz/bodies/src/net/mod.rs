//! The network stacks of three pods under random socket calls, over links that change. Bytes arrive in order, complete, and at the
//! right socket, or somebody is told; who waits is woken; nothing stays charged.

mod tcp;
mod udp;
mod waiter;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Result as Input, Unstructured};
use wasmpod_kernel::cgroup::{Cgroup, RootConfig};
use wasmpod_kernel::fabric::link::LinkProps;
use wasmpod_kernel::fabric::{Fabric, FabricConfig, PodIdentity};
use wasmpod_kernel::netns::{Family, NetNs};
use wasmpod_sim::Sim;

use self::tcp::Tcp;
use self::udp::{Sent, Udp};

/// Pods.
const PODS: usize = 3;
/// Open sockets of a kind at a time.
const SOCKETS: usize = 12;
/// Calls of one input.
const CALLS: usize = 200;
/// How long everything gets to arrive at the end: twice the longest wait of a sender, and some.
const PATIENCE: Duration = Duration::from_secs(400);
/// In how many steps.
const STEPS: u32 = 40;

/// Runs the calls that the bytes describe.
///
/// # Panics
/// If a socket breaks a promise.
pub fn run(data: &[u8]) {
    let sim = Sim::new_virtual(1);
    let calls = calls(sim.clone(), data);
    sim.block_on(calls).expect("the calls wait for nothing but time");
}

async fn calls(sim: Sim, data: &[u8]) {
    let mut world = World::new(&sim);
    let mut u = Unstructured::new(data);
    for _ in 0..CALLS {
        if u.is_empty() {
            break;
        }
        match world.call(&mut u) {
            Ok(None) => {}
            Ok(Some(time)) => sim.clock().sleep(time).await,
            Err(_) => break,
        }
    }
    world.perfect();
    for _ in 0..STEPS {
        while world.tcp_drain() | world.udp_drain() {}
        sim.clock().sleep(PATIENCE / STEPS).await;
    }
    world.tcp_complete();
    world.close();
    // what was sent before the close is still on its way
    sim.clock().sleep(PATIENCE).await;
    world.check_all_given_back();
}

struct World {
    fabric: Arc<Fabric>,
    pods: Vec<Arc<NetNs>>,
    memory: Arc<Cgroup>,
    tcp: Vec<Tcp>,
    udp: Vec<Udp>,
    sent: Vec<Sent>,
}

impl World {
    fn new(sim: &Sim) -> Self {
        let fabric = Fabric::new(sim, FabricConfig::default()).expect("the networks are in order");
        let pod = |at| {
            let pod = PodIdentity { name: format!("pod-{at}"), namespace: "default".into(), ..PodIdentity::default() };
            fabric.attach(pod).expect("there are addresses")
        };
        let pods = (0..PODS).map(pod).collect();
        let config = RootConfig { cpus: 1, memory_bytes: 1 << 30, fuel_per_cpu_second: 1_000_000_000 };
        let memory = Cgroup::root(config, sim.clock().clone());
        Self { fabric, pods, memory, tcp: Vec::new(), udp: Vec::new(), sent: Vec::new() }
    }

    /// One call; or how long to wait.
    fn call(&mut self, u: &mut Unstructured<'_>) -> Input<Option<Duration>> {
        match u.int_in_range(0..=15)? {
            0 => self.link(u)?,
            1 | 2 => {
                let longest: u64 = *u.choose(&[1, 1_000, 1_000_000, 1_000_000_000, 130_000_000_000])?;
                return Ok(Some(Duration::from_nanos(u.int_in_range(0..=longest)?)));
            }
            3..=11 => self.tcp_call(u)?,
            _ => self.udp_call(u)?,
        }
        Ok(None)
    }

    /// Changes the way from one pod to another.
    fn link(&mut self, u: &mut Unstructured<'_>) -> Input<()> {
        let from = u.choose_index(PODS)?;
        let to = (from + 1 + u.choose_index(PODS - 1)?) % PODS;
        let millis = |u: &mut Unstructured<'_>| u.int_in_range(0..=100).map(Duration::from_millis);
        let (latency, jitter) = (millis(u)?, millis(u)?);
        let props = LinkProps {
            latency,
            jitter: jitter.min(latency),
            bandwidth_bytes_per_second: if u.ratio(1, 3)? { Some(u.int_in_range(1_000..=10_000_000)?) } else { None },
            loss_ppm: if u.ratio(1, 3)? { u.int_in_range(0..=500_000)? } else { 0 },
            partitioned: u.ratio(1, 8)?,
            held: u.ratio(1, 8)?,
        };
        let set = self.fabric.set_link(self.pods[from].ipv4().into(), self.pods[to].ipv4().into(), props);
        set.expect("the properties are in their range");
        Ok(())
    }

    /// An address to bind, connect or send to: few ports, so that they meet.
    fn address(&self, u: &mut Unstructured<'_>, pod: usize, family: Family) -> Input<SocketAddr> {
        let port = *u.choose(&[0, 80, 81, 1024, 40_000, 65_535])?;
        let other = &self.pods[u.choose_index(PODS)?];
        let own = &self.pods[pod];
        let ip: IpAddr = match (family, u.int_in_range(0..=7)?) {
            (Family::V4, 0) => Ipv4Addr::UNSPECIFIED.into(),
            (Family::V4, 1) => Ipv4Addr::LOCALHOST.into(),
            (Family::V4, 2) => own.ipv4().into(),
            (Family::V4, 3) => (*u.choose(&[
                Ipv4Addr::BROADCAST,
                Ipv4Addr::new(224, 0, 0, 1),
                Ipv4Addr::new(10, 244, 255, 255),
                Ipv4Addr::new(169, 254, 169, 254),
                Ipv4Addr::new(127, 1, 2, 3),
            ])?)
            .into(),
            (Family::V4, _) => other.ipv4().into(),
            (Family::V6, 0) => Ipv6Addr::UNSPECIFIED.into(),
            (Family::V6, 1) => Ipv6Addr::LOCALHOST.into(),
            (Family::V6, 2) => own.ipv6().into(),
            (Family::V6, 3) => Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(),
            (Family::V6, 4) => other.ipv4().to_ipv6_mapped().into(),
            (Family::V6, 5) => Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().into(),
            (Family::V6, _) => other.ipv6().into(),
        };
        Ok(SocketAddr::new(ip, port))
    }

    /// Makes every link perfect, so that what is on its way arrives.
    fn perfect(&self) {
        for from in &self.pods {
            for to in self.pods.iter().filter(|to| to.ipv4() != from.ipv4()) {
                self.fabric.clear_link(from.ipv4().into(), to.ipv4().into()).expect("two pods");
            }
        }
    }

    fn close(&mut self) {
        self.tcp.iter_mut().for_each(|tcp| tcp.socket = None);
        self.udp.clear();
    }

    fn check_all_given_back(&self) {
        for pod in &self.pods {
            let left: Vec<String> = pod.sockets().iter().map(|info| format!("{info:?}")).collect();
            assert!(left.is_empty(), "sockets are left: {left:?}");
        }
        assert_eq!(self.memory.memory_stats().current, 0, "something is still charged");
    }
}

/// An IPv4 address is one, mapped or not.
fn plain(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
