//! Who waits for what when nothing can ever happen again: one line per blocked process, with the object and who has its other end, and the
//! circle in which they wait for each other, if there is one.
//!
//! Owns the joining of waits to their other ends. What a wait is, the kernel says ([`WaitChannel`]).

use std::net::{IpAddr, SocketAddr};

use wasmpod_kernel::netns::{Protocol, SocketInfo, TcpState};
use wasmpod_kernel::wchan::{WaitChannel, Waiting};

use crate::container::ContainerState;
use crate::runtime::Runtime;

/// One process that is blocked.
#[derive(Debug, Clone)]
struct Blocked {
    /// `pod/container`.
    name: String,
    /// Its number in its pid namespace.
    pid: u32,
    /// The path of its container's cgroup.
    cgroup: String,
    /// Which of the pods, by index.
    pod: usize,
    waiting: Waiting,
}

/// A pod's network, as it is seen from outside.
#[derive(Debug, Clone)]
struct PodNet {
    ips: Vec<IpAddr>,
    sockets: Vec<SocketInfo>,
}

/// Says of every blocked process of the node what it waits for and who could end that; lines for people, the pods in the order of their
/// names.
pub fn report(runtime: &Runtime) -> Vec<String> {
    let mut sandboxes = runtime.sandboxes();
    sandboxes.sort_by_key(|sandbox| (sandbox.config().namespace.clone(), sandbox.name().to_owned()));
    let (mut blocked, mut pods) = (Vec::new(), Vec::new());
    for (pod, sandbox) in sandboxes.iter().enumerate() {
        pods.push(PodNet { ips: vec![sandbox.ipv4().into(), sandbox.ipv6().into()], sockets: sandbox.net().sockets() });
        for container in sandbox.containers() {
            if !matches!(container.state(), ContainerState::Running { .. }) {
                continue;
            }
            for process in container.processes() {
                if let Some(waiting) = process.waiting() {
                    let (name, cgroup) = (process.spec.name.clone(), container.cgroup().path().to_owned());
                    blocked.push(Blocked { name, pid: process.pid(), cgroup, pod, waiting });
                }
            }
        }
    }
    lines(&blocked, &pods)
}

fn lines(blocked: &[Blocked], pods: &[PodNet]) -> Vec<String> {
    let mut lines: Vec<String> = blocked.iter().map(|process| line(process, blocked, pods)).collect();
    lines.extend(circle(blocked, pods));
    lines
}

fn line(process: &Blocked, all: &[Blocked], pods: &[PodNet]) -> String {
    let since = process.waiting.since.map(|since| format!(" since {since}")).unwrap_or_default();
    let channels = parts(&process.waiting.channel);
    let told: Vec<String> = channels
        .iter()
        .map(|channel| format!("{channel}{}", other_end(process, channel, all, pods).text(channel, all)))
        .collect();
    format!("{} (pid {}) waits{since} for {}", process.name, process.pid, told.join(", or "))
}

/// The single things that a wait is for.
fn parts(channel: &WaitChannel) -> Vec<WaitChannel> {
    match channel {
        WaitChannel::Poll { of, .. } => of.clone(),
        other => vec![other.clone()],
    }
}

/// Who could end a wait.
#[derive(Debug, PartialEq, Eq)]
enum OtherEnd {
    /// A blocked process, by index.
    Blocked(usize),
    /// A container that is not blocked, or the node.
    Named(String),
    /// Nobody has the other end.
    Nobody,
    /// What it waits for has no other end that is known.
    Unknown,
}

impl OtherEnd {
    fn text(&self, channel: &WaitChannel, all: &[Blocked]) -> String {
        let who = match self {
            Self::Blocked(at) => all[*at].name.clone(),
            Self::Named(name) => name.clone(),
            Self::Nobody | Self::Unknown => String::new(),
        };
        match (self, channel) {
            (Self::Unknown, _) => String::new(),
            (Self::Nobody, WaitChannel::TcpAccept { .. }) => ", to which nobody connects".to_owned(),
            (Self::Nobody, WaitChannel::TcpConnect { .. }) => ", where nobody listens".to_owned(),
            (Self::Nobody, _) => ", whose other end is gone".to_owned(),
            (_, WaitChannel::TcpAccept { .. }) => format!(", to which {who} connects"),
            (_, WaitChannel::TcpConnect { .. }) => format!(", where {who} listens"),
            _ => format!(", whose other end {who} holds"),
        }
    }
}

fn other_end(process: &Blocked, channel: &WaitChannel, all: &[Blocked], pods: &[PodNet]) -> OtherEnd {
    let found = match channel {
        WaitChannel::TcpReceive { local: Some(local), remote: Some(remote) }
        | WaitChannel::TcpSend { local: Some(local), remote: Some(remote) } => {
            find(process, pods, remote.ip(), |socket| same(socket.local, *remote) && same(socket.remote, *local))
        }
        WaitChannel::TcpConnect { remote: Some(remote), .. } => find(process, pods, remote.ip(), |socket| {
            socket.state == TcpState::Listen && socket.local.port() == remote.port()
        }),
        WaitChannel::TcpAccept { .. } => None,
        _ => return OtherEnd::Unknown,
    };
    let Some(socket) = found else { return OtherEnd::Nobody };
    match all.iter().position(|other| other.cgroup == socket.owner) {
        Some(at) => OtherEnd::Blocked(at),
        None if socket.owner.is_empty() => OtherEnd::Named("the node".to_owned()),
        None => OtherEnd::Named(socket.owner.rsplit('/').next().unwrap_or_default().to_owned()),
    }
}

/// A TCP socket of the pod that has `ip`, or of the process' own for a loopback address.
fn find<'a>(
    process: &Blocked,
    pods: &'a [PodNet],
    ip: IpAddr,
    wanted: impl Fn(&SocketInfo) -> bool,
) -> Option<&'a SocketInfo> {
    let ip = ip.to_canonical();
    let pod = match ip.is_loopback() {
        true => process.pod,
        false => pods.iter().position(|pod| pod.ips.contains(&ip))?,
    };
    pods.get(pod)?.sockets.iter().find(|socket| socket.protocol == Protocol::Tcp && wanted(socket))
}

/// The same address, whichever family's socket shows it.
fn same(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip().to_canonical() == b.ip().to_canonical()
}

/// The first circle: each waits for the next, and the last for the first.
fn circle(blocked: &[Blocked], pods: &[PodNet]) -> Option<String> {
    let next = |at: usize| -> Option<(usize, WaitChannel)> {
        parts(&blocked[at].waiting.channel).into_iter().find_map(|channel| {
            match other_end(&blocked[at], &channel, blocked, pods) {
                OtherEnd::Blocked(other) if other != at => Some((other, channel)),
                _ => None,
            }
        })
    };
    for start in 0..blocked.len() {
        let (mut path, mut at) = (Vec::new(), start);
        while let Some((other, channel)) = next(at) {
            path.push((at, channel));
            at = other;
            if let Some(begin) = path.iter().position(|(known, _)| *known == at) {
                let round = &path[begin..];
                let told = round.iter().enumerate().map(|(place, (who, channel))| {
                    let (other, _) = &round[(place + 1) % round.len()];
                    format!("{} waits for {} ({channel})", blocked[*who].name, blocked[*other].name)
                });
                return Some(format!("they wait in a circle: {}", told.collect::<Vec<_>>().join(", ")));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use wasmpod_kernel::netns::Family;
    use wasmpod_sim::Instant;

    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn socket(local: &str, remote: &str, state: TcpState, owner: &str) -> SocketInfo {
        let (local, remote) = (address(local), address(remote));
        let (protocol, family, owner) = (Protocol::Tcp, Family::V4, owner.to_owned());
        SocketInfo {
            protocol,
            family,
            local,
            remote,
            state,
            rx_queue: 0,
            tx_queue: 0,
            drops: 0,
            inode: 1,
            accepted: true,
            owner,
            time_wait: None,
        }
    }

    fn process(name: &str, pod: usize, channel: WaitChannel) -> Blocked {
        let waiting = Waiting { since: Some(Instant::from_nanos(5)), channel };
        Blocked { name: name.to_owned(), pid: 1, cgroup: format!("/kubepods/{name}"), pod, waiting }
    }

    fn receive(local: &str, remote: &str) -> WaitChannel {
        WaitChannel::TcpReceive { local: Some(address(local)), remote: Some(address(remote)) }
    }

    #[test]
    fn two_that_read_from_each_other_wait_in_a_circle() {
        let (a, b) = ("10.0.0.1:4000", "10.0.0.2:80");
        let state = TcpState::Established;
        let pods = [
            PodNet { ips: vec![address(a).ip()], sockets: vec![socket(a, b, state, "/kubepods/p/a")] },
            PodNet {
                ips: vec![address(b).ip()],
                sockets: vec![socket("[::ffff:10.0.0.2]:80", a, state, "/kubepods/q/b")],
            },
        ];
        let blocked = [process("p/a", 0, receive(a, b)), process("q/b", 1, receive(b, a))];
        assert_eq!(
            lines(&blocked, &pods),
            [
                "p/a (pid 1) waits since 0.000000005 for tcp receive 10.0.0.1:4000 to 10.0.0.2:80, whose other end q/b holds",
                "q/b (pid 1) waits since 0.000000005 for tcp receive 10.0.0.2:80 to 10.0.0.1:4000, whose other end p/a holds",
                "they wait in a circle: p/a waits for q/b (tcp receive 10.0.0.1:4000 to 10.0.0.2:80), q/b waits for p/a (tcp receive 10.0.0.2:80 to 10.0.0.1:4000)",
            ]
        );
    }

    #[test]
    fn a_listener_waits_for_nobody_and_a_connect_names_who_listens() {
        let pods = [PodNet {
            ips: vec![address("10.0.0.1:0").ip()],
            sockets: vec![socket("0.0.0.0:80", "0.0.0.0:0", TcpState::Listen, "/kubepods/p/server")],
        }];
        let connect = WaitChannel::TcpConnect { local: None, remote: Some(address("127.0.0.1:80")) };
        let elsewhere = WaitChannel::TcpConnect { local: None, remote: Some(address("10.9.9.9:80")) };
        let accept = WaitChannel::TcpAccept { local: Some(address("0.0.0.0:80")) };
        let poll = WaitChannel::Poll { of: vec![connect, elsewhere], total: 2 };
        let blocked = [process("p/client", 0, poll), process("p/server", 0, accept)];
        assert_eq!(
            lines(&blocked, &pods),
            [
                "p/client (pid 1) waits since 0.000000005 for connect to 127.0.0.1:80, where p/server listens, or connect to 10.9.9.9:80, where nobody listens",
                "p/server (pid 1) waits since 0.000000005 for accept 0.0.0.0:80, to which nobody connects",
            ]
        );
    }
}
