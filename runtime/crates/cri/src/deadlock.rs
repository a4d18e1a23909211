//! Who waits for what when nothing can ever happen again: one line per blocked process, with the object and who has its other end, and a
//! circle in which they wait for each other, if there is one.
//!
//! Owns the joining of waits to their other ends. What a wait is, the kernel says ([`WaitChannel`]), and who holds an object of IPC
//! ([`Enders`]).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use wasmpod_kernel::file::Description;
use wasmpod_kernel::ipcns::{Enders, Party};
use wasmpod_kernel::netns::{Protocol, SocketInfo, TcpState};
use wasmpod_kernel::process::Process;
use wasmpod_kernel::wchan::{WaitChannel, WaitOn};
use wasmpod_sim::Instant;

use crate::container::ContainerState;
use crate::runtime::Runtime;

/// How many processes a line names that could end one wait; the others are counted, so that a report stays readable.
const MAX_NAMED: usize = 8;

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
    since: Option<Instant>,
    waits: Vec<Wait>,
}

/// One of the things that a process waits for.
#[derive(Debug, Clone)]
struct Wait {
    channel: WaitChannel,
    /// Who could end it, for an object of IPC.
    enders: Option<Enders>,
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
            blocked.extend(container.processes().iter().filter_map(|process| {
                let waiting = process.waiting()?;
                let (name, cgroup) = (process.spec.name.clone(), container.cgroup().path().to_owned());
                let waits = waits(process, waiting.channel);
                Some(Blocked { name, pid: process.pid(), cgroup, pod, since: waiting.since, waits })
            }));
        }
    }
    Scene::new(&blocked, &pods).lines()
}

/// The single things that a wait is for.
fn waits(process: &Process, channel: WaitChannel) -> Vec<Wait> {
    let channels = match channel {
        WaitChannel::Poll { of, .. } => of,
        other => vec![other],
    };
    let mut handles = process.waiting_on().into_iter();
    let enders = |handle: WaitOn| match handle {
        WaitOn::File(Description::Ipc(ipc), interest) => Some(ipc.enders(interest)),
        _ => None,
    };
    channels.into_iter().map(|channel| Wait { channel, enders: handles.next().and_then(enders) }).collect()
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

/// All that is blocked, and where.
struct Scene<'a> {
    blocked: &'a [Blocked],
    pods: &'a [PodNet],
    /// Blocked processes as their pod's IPC knows them: pod, name and pid.
    parties: BTreeMap<(usize, &'a str, u32), usize>,
}

impl<'a> Scene<'a> {
    fn new(blocked: &'a [Blocked], pods: &'a [PodNet]) -> Self {
        let parties = blocked.iter().enumerate().map(|(at, one)| ((one.pod, one.name.as_str(), one.pid), at)).collect();
        Self { blocked, pods, parties }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = (0..self.blocked.len()).map(|at| self.line(at)).collect();
        lines.extend(self.circle());
        lines
    }

    fn line(&self, at: usize) -> String {
        let process = &self.blocked[at];
        let since = process.since.map(|since| format!(" since {since}")).unwrap_or_default();
        let told: Vec<String> = process
            .waits
            .iter()
            .map(|wait| match &wait.enders {
                Some(enders) => format!("{}{}", wait.channel, self.enders_text(at, &wait.channel, enders)),
                None => format!("{}{}", wait.channel, self.other_end_text(at, &wait.channel)),
            })
            .collect();
        format!("{} (pid {}) waits{since} for {}", process.name, process.pid, told.join(", or "))
    }

    fn enders_text(&self, at: usize, channel: &WaitChannel, enders: &Enders) -> String {
        let to = match channel {
            WaitChannel::Object { call: "mq_send", .. } => " to receive",
            WaitChannel::Object { call: "mq_receive" | "mq_notify", .. } => " to send",
            _ => "",
        };
        match enders {
            Enders::Holders(who) if who.is_empty() => ", which nobody gave back who took it".to_owned(),
            Enders::Holders(who) => {
                let names = who.iter().map(|party| if self.is(at, party) { "itself" } else { &party.name });
                format!(", which is held by {}", list(&names.collect::<Vec<_>>()))
            }
            Enders::Openers(who) => {
                let others: Vec<&str> =
                    who.iter().filter(|party| !self.is(at, party)).map(|party| party.name.as_str()).collect();
                match others.is_empty() {
                    true => format!(", which nobody else has open{to}"),
                    false => format!(", which is open{to} in {}", list(&others)),
                }
            }
        }
    }

    fn other_end_text(&self, at: usize, channel: &WaitChannel) -> String {
        let end = self.other_end(at, channel);
        let who = match &end {
            OtherEnd::Blocked(other) => &self.blocked[*other].name,
            OtherEnd::Named(name) => name,
            OtherEnd::Nobody | OtherEnd::Unknown => "",
        };
        match (&end, channel) {
            (OtherEnd::Unknown, _) => String::new(),
            (OtherEnd::Nobody, WaitChannel::TcpAccept { .. }) => ", to which nobody connects".to_owned(),
            (OtherEnd::Nobody, WaitChannel::TcpConnect { .. }) => ", where nobody listens".to_owned(),
            (OtherEnd::Nobody, _) => ", whose other end is gone".to_owned(),
            (_, WaitChannel::TcpAccept { .. }) => format!(", to which {who} connects"),
            (_, WaitChannel::TcpConnect { .. }) => format!(", where {who} listens"),
            _ => format!(", whose other end {who} holds"),
        }
    }

    fn other_end(&self, at: usize, channel: &WaitChannel) -> OtherEnd {
        let (process, pods) = (&self.blocked[at], self.pods);
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
        match self.blocked.iter().position(|other| other.cgroup == socket.owner) {
            Some(at) => OtherEnd::Blocked(at),
            None if socket.owner.is_empty() => OtherEnd::Named("the node".to_owned()),
            None => OtherEnd::Named(socket.owner.rsplit('/').next().unwrap_or_default().to_owned()),
        }
    }

    fn is(&self, at: usize, party: &Party) -> bool {
        let process = &self.blocked[at];
        process.pid == party.pid && process.name == party.name
    }

    /// Whom a process waits for, of those that are blocked, and in which of its waits. Itself only if it holds what it waits for.
    fn next(&self, at: usize) -> Vec<(usize, &'a WaitChannel)> {
        let process = &self.blocked[at];
        let mut next = Vec::new();
        for wait in &process.waits {
            let (who, itself) = match &wait.enders {
                Some(Enders::Holders(who)) => (who, true),
                Some(Enders::Openers(who)) => (who, false),
                None => {
                    if let OtherEnd::Blocked(other) = self.other_end(at, &wait.channel)
                        && other != at
                    {
                        next.push((other, &wait.channel));
                    }
                    continue;
                }
            };
            let indices = who.iter().filter_map(|party| self.parties.get(&(process.pod, &party.name, party.pid)));
            next.extend(indices.filter(|other| itself || **other != at).map(|other| (*other, &wait.channel)));
        }
        next
    }

    /// The first circle that a search in depth meets: each waits for the next, and the last for the first.
    fn circle(&self) -> Option<String> {
        let mut seen = vec![false; self.blocked.len()];
        for start in 0..self.blocked.len() {
            if std::mem::replace(&mut seen[start], true) {
                continue;
            }
            // each with whom it waits for and how many of those were followed
            let mut path = vec![(start, self.next(start), 0)];
            while let Some((_, next, followed)) = path.last_mut() {
                let Some((other, _)) = next.get(*followed).copied() else {
                    path.pop();
                    continue;
                };
                *followed += 1;
                if let Some(begin) = path.iter().position(|(at, ..)| *at == other) {
                    let round: Vec<_> =
                        path[begin..].iter().map(|(at, next, followed)| (*at, next[followed - 1])).collect();
                    return Some(self.circle_text(&round));
                }
                if !std::mem::replace(&mut seen[other], true) {
                    path.push((other, self.next(other), 0));
                }
            }
        }
        None
    }

    fn circle_text(&self, round: &[(usize, (usize, &WaitChannel))]) -> String {
        let name = |at: usize| &self.blocked[at].name;
        if let [(at, (_, channel))] = round {
            return format!("{} waits for itself ({channel})", name(*at));
        }
        let told =
            round.iter().map(|(at, (other, channel))| format!("{} waits for {} ({channel})", name(*at), name(*other)));
        format!("they wait in a circle: {}", told.collect::<Vec<_>>().join(", "))
    }
}

/// `a, b and c`, no more than [`MAX_NAMED`].
fn list(names: &[&str]) -> String {
    let more = names.len().saturating_sub(MAX_NAMED);
    let counted = format!("{more} others");
    let mut shown: Vec<&str> = names.iter().copied().take(MAX_NAMED).collect();
    if more > 0 {
        shown.push(&counted);
    }
    match shown.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, first)) => format!("{} and {last}", first.join(", ")),
        None => String::new(),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wasmpod_kernel::netns::Family;

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

    fn process(name: &str, pod: usize, channels: Vec<WaitChannel>) -> Blocked {
        let waits = channels.into_iter().map(|channel| Wait { channel, enders: None }).collect();
        waiting(name, pod, waits)
    }

    fn waiting(name: &str, pod: usize, waits: Vec<Wait>) -> Blocked {
        let since = Some(Instant::from_nanos(5));
        Blocked { name: name.to_owned(), pid: 1, cgroup: format!("/kubepods/{name}"), pod, since, waits }
    }

    fn lines(blocked: &[Blocked], pods: &[PodNet]) -> Vec<String> {
        Scene::new(blocked, pods).lines()
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
        let blocked = [process("p/a", 0, vec![receive(a, b)]), process("q/b", 1, vec![receive(b, a)])];
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
        let blocked = [process("p/client", 0, vec![connect, elsewhere]), process("p/server", 0, vec![accept])];
        assert_eq!(
            lines(&blocked, &pods),
            [
                "p/client (pid 1) waits since 0.000000005 for connect to 127.0.0.1:80, where p/server listens, or connect to 10.9.9.9:80, where nobody listens",
                "p/server (pid 1) waits since 0.000000005 for accept 0.0.0.0:80, to which nobody connects",
            ]
        );
    }

    fn parties(names: &[&str]) -> Vec<Arc<Party>> {
        names.iter().map(|name| Arc::new(Party { name: (*name).to_owned(), pid: 1 })).collect()
    }

    fn object(call: &'static str, name: &str, enders: Enders) -> Wait {
        Wait { channel: WaitChannel::Object { call, name: name.into() }, enders: Some(enders) }
    }

    #[test]
    fn a_circle_is_found_behind_others_and_a_signal_is_no_lock() {
        let lock = |name, holders: &[&str]| object("sem_wait", name, Enders::Holders(parties(holders)));
        let open = |call, name, openers: &[&str]| object(call, name, Enders::Openers(parties(openers)));
        let blocked = [
            // outside of the circle, and first in order
            waiting("p/boss", 0, vec![open("mq_receive", "/jobs", &["p/boss", "q/a", "p/ended"])]),
            waiting("p/a", 0, vec![open("sem_wait", "/go", &["p/a"]), lock("/two", &["p/boss", "p/b"])]),
            waiting("p/b", 0, vec![open("mq_send", "/full", &["p/a", "p/b"])]),
            waiting("q/a", 1, vec![lock("/two", &["q/a"])]), // the same name in another pod
        ];
        let told = lines(&blocked, &[]);
        assert_eq!(
            told,
            [
                "p/boss (pid 1) waits since 0.000000005 for mq_receive /jobs, which is open to send in q/a and p/ended",
                "p/a (pid 1) waits since 0.000000005 for sem_wait /go, which nobody else has open, or sem_wait /two, which is held by p/boss and p/b",
                "p/b (pid 1) waits since 0.000000005 for mq_send /full, which is open to receive in p/a",
                "q/a (pid 1) waits since 0.000000005 for sem_wait /two, which is held by itself",
                "they wait in a circle: p/a waits for p/b (sem_wait /two), p/b waits for p/a (mq_send /full)",
            ]
        );
        let alone = lines(&blocked[3..], &[]);
        assert_eq!(alone[1], "q/a waits for itself (sem_wait /two)");
        let gone = lines(&[waiting("p/a", 0, vec![lock("/one", &[])])], &[]);
        assert_eq!(gone, ["p/a (pid 1) waits since 0.000000005 for sem_wait /one, which nobody gave back who took it"]);
        let names: Vec<String> = (0..11).map(|at| format!("p{at}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(list(&names), "p0, p1, p2, p3, p4, p5, p6, p7 and 3 others");
    }

    #[test]
    fn a_chain_of_many_is_walked_without_recursion() {
        let waits = |at: usize| match at {
            4999 => Vec::new(),
            _ => vec![object("sem_wait", "/l", Enders::Holders(parties(&[&format!("p/{}", at + 1)])))],
        };
        let blocked: Vec<Blocked> = (0..5000).map(|at| waiting(&format!("p/{at}"), 0, waits(at))).collect();
        assert_eq!(lines(&blocked, &[]).len(), 5000);
    }
}
