//! TCP over localhost: two containers of one pod against the same two guests on wasmtime-wasi's sockets over the host's loopback.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::anyhow;
use wasmpod_kernel::fabric::link::LinkProps;
use wasmpod_sim::Sim;

use crate::node::{Measured, Node, Settings, container, pod};
use crate::peer::{HostProgram, HostWasi};
use crate::report::{Report, Rounds, Target};
use crate::{Effort, guest};

/// Bytes of a message that is sent to and fro.
const PING_BYTES: &str = "64";
/// Bytes of a write when bytes go one way.
const BULK_BYTES: &str = "65536";
/// Where the server of the pod listens.
const POD_ADDRESS: &str = "127.0.0.1:7100";
/// The latency of a link, each way, and what two ways take, in milliseconds.
const LINK_LATENCY: Duration = Duration::from_millis(10);
const LINK_ROUND_TRIP_MS: f64 = 20.0;
/// Round trips over a link.
const LINK_ROUNDS: &str = "50";
/// The address of the first pod of a node; the next one has the next.
const FIRST_POD: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 2);

/// What one measurement sends.
struct Load {
    mode: &'static str,
    size: &'static str,
    count: String,
}

impl Load {
    fn client(&self, address: &str) -> Vec<String> {
        [address, &self.count, self.size, self.mode].map(str::to_owned).to_vec()
    }

    fn value(&self, output: &str) -> anyhow::Result<f64> {
        let measured = Measured::find(output, &format!("tcp_{}", self.mode))?;
        Ok(if self.mode == "ping" { measured.per_round() / 1e3 } else { measured.megabytes_per_second() })
    }
}

/// Measures round trips with two workers, and bytes one way with one and with two.
///
/// # Errors
/// If a guest fails.
pub fn run(effort: Effort, report: &mut Report) -> anyhow::Result<()> {
    let wasi = HostWasi::new()?;
    let (server, client) = (wasi.load(&guest("bench_tcp_server"))?, wasi.load(&guest("bench_tcp_client"))?);
    let rounds = effort.pick(2, 9);
    for workers in [2, 1] {
        let sim = Sim::new_real(None, workers)?;
        let node = Node::new(
            &sim,
            &Settings { cpus: u32::try_from(workers)?, speed: None, cache: None, ..Settings::default() },
        )?;
        let ping = Load { mode: "ping", size: PING_BYTES, count: effort.pick("2000", "20000").to_owned() };
        let bulk = Load { mode: "bulk", size: BULK_BYTES, count: effort.pick("2000", "16000").to_owned() };
        for load in [ping, bulk] {
            let measured = Rounds::alternate(
                rounds,
                || load.value(&in_pod(&node, &load)?),
                || load.value(&on_host(&sim, &server, &client, &load)?),
            )?;
            let with = if workers == 1 { "one worker" } else { "two workers" };
            let ping = load.mode == "ping";
            let target = match (ping, workers) {
                (true, 1) => Target::None,
                (true, _) => Target::Most(0.35),
                (false, 1) => Target::Least(4.0),
                (false, _) => Target::Least(2.0),
            };
            if ping {
                let what = format!("TCP round trip of 64 bytes, {with}");
                report.ratio(what, &measured, target, "wasmtime-wasi", |us| format!("{us:.1} µs"));
            } else {
                let what = format!("TCP writes of 64 KiB, {with}");
                report.ratio(what, &measured, target, "wasmtime-wasi", |mb| format!("{mb:.0} MB/s"));
            }
        }
    }
    over_a_link(&Sim::new_virtual(1), "virtual time", Target::Most(LINK_ROUND_TRIP_MS * 1.01), report)?;
    over_a_link(&Sim::new_real(None, 2)?, "real time", Target::None, report)
}

/// Measures round trips between two pods whose link has a latency, where the links' timers are what takes time.
fn over_a_link(sim: &Sim, time: &str, target: Target, report: &mut Report) -> anyhow::Result<()> {
    let node = Node::new(sim, &Settings::default())?;
    let pods = [FIRST_POD, Ipv4Addr::from_bits(FIRST_POD.to_bits() + 1)].map(IpAddr::V4);
    let props = LinkProps { latency: LINK_LATENCY, ..LinkProps::default() };
    for [from, to] in [pods, [pods[1], pods[0]]] {
        let set = node.runtime.fabric().set_link(from, to, props.clone());
        set.map_err(|errno| anyhow!("{errno}"))?;
    }
    let server = container("server", &guest("bench_tcp_server"), &["0.0.0.0:7100", "1"], "");
    let client = container("client", &guest("bench_tcp_client"), &["served:7100", LINK_ROUNDS, PING_BYTES, "ping"], "");
    let output = node.run(&format!("{}{}", pod("served", &[server]), pod("asks", &[client])))?;
    let milliseconds = Measured::find(&output, "tcp_ping")?.per_round() / 1e6;
    let what = format!("TCP round trip of 64 bytes over a link of 10 ms, {time}");
    report.add(what, milliseconds, "ms", target, format!("{LINK_ROUNDS} round trips"));
    Ok(())
}

fn in_pod(node: &Node, load: &Load) -> anyhow::Result<String> {
    let args = load.client(POD_ADDRESS);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let containers = [
        container("server", &guest("bench_tcp_server"), &[POD_ADDRESS], ""),
        container("client", &guest("bench_tcp_client"), &args, ""),
    ];
    node.run(&pod("tcp", &containers))
}

fn on_host(sim: &Sim, server: &HostProgram, client: &HostProgram, load: &Load) -> anyhow::Result<String> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string(); // free again, and free for a while
    let (server, client) = (server.clone(), client.clone());
    let server = sim.spawn("server", server.run(vec![address.clone()], None));
    let client = sim.spawn("client", client.run(load.client(&address), None));
    let (server, client) = sim.block_on(async { (server.await, client.await) })?;
    server.map_err(|error| anyhow!("{error}"))??;
    client.map_err(|error| anyhow!("{error}"))?
}
