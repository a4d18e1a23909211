//! What may be typed after `wasmpod play`, and what it means.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ValueEnum, ValueHint};
use wasmpod_cri::Protocol;
use wasmpod_cri::runtime::DEFAULT_MAX_PODS;

const PUBLISH_HELP: &str = "Open a port of this machine's loopback that leads to a port of a pod. Repeatable. Without POD it goes to \
    the only pod, or to the only one that has this containerPort. HOST_PORT 0 takes any free port";

/// Run the pods of a manifest in the foreground; the exit code is theirs
///
/// Starts every Pod of the manifests, with their ConfigMaps and Secrets, and ends when all of them have ended. An `image:` is the path of a
/// .wasm file, or of a directory that becomes the root filesystem, relative to its manifest. Ctrl-C stops the pods as Kubernetes
/// does (SIGTERM, grace period, SIGKILL); a second Ctrl-C kills them.
#[derive(Debug, clap::Args)]
#[command(after_help = crate::exit::HELP)]
pub struct Args {
    /// Manifests (YAML or JSON), directories of them, or - for standard input
    #[arg(required = true, value_name = "FILE|DIR|-", value_hint = ValueHint::AnyPath)]
    pub inputs: Vec<PathBuf>,

    /// Stop the pods after this time (30s, 1m30s, 500ms, 2h) and exit with 124
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub timeout: Option<Duration>,

    /// Ports of this machine's loopback that lead into pods.
    #[arg(long, value_name = "[POD/][IP:]HOST_PORT:POD_PORT[/udp]", help = PUBLISH_HELP)]
    pub publish: Vec<Publish>,

    /// Allow hostPath volumes in this directory of the host. Repeatable
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub allow_hostpath: Vec<PathBuf>,

    /// What to print
    #[arg(long, value_enum, default_value_t = OutputFormat::Text, value_name = "FORMAT")]
    pub output: OutputFormat,

    /// Print the containers' output only; with one container byte for byte, without a prefix
    #[arg(long, short)]
    pub quiet: bool,

    /// Show what is inside of each pod, at its end, when --timeout is over, and in a deadlock: namespaces, processes, descriptors, sockets, mounts
    /// and cgroups. A running play shows it on SIGUSR1 (Windows: Ctrl-Break), with or without this
    #[arg(long)]
    pub inspect: bool,

    /// Make things go wrong as this file says, in the kinds of Chaos Mesh: NetworkChaos, PodChaos, StressChaos, IOChaos, TimeChaos. Repeatable
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub faults: Vec<PathBuf>,

    /// Simulate time: waiting takes none, and one seed always gives the same run
    #[arg(long)]
    pub virtual_time: bool,

    /// Run everything twice in virtual time and compare journal, output and exit code byte for byte; if they are the same the exit code
    /// is the run's own, if not 4
    #[arg(long)]
    pub check_determinism: bool,

    /// Allow in virtual time what two runs of one seed may see differently: hostPath volumes
    #[arg(long)]
    pub allow_nondeterminism: bool,

    /// This run is one of the two that `--check-determinism` compares. Its journal and its cache are that command's.
    #[arg(long, hide = true)]
    pub compared_run: bool,

    /// The seed of everything random (default: 0 in virtual time, else the system's randomness)
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Write what happens to this file, one line per event
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub journal: Option<PathBuf>,

    /// Write every packet of the pods to this file, loopback included, for Wireshark, tshark or tcpdump
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub pcap: Option<PathBuf>,

    /// What one CPU is worth, in units of fuel per second, or auto to measure this machine (default: auto; a fixed speed in virtual
    /// time, where auto is an error)
    #[arg(long, value_name = "FUEL_PER_SECOND|auto")]
    pub cpu_speed: Option<CpuSpeed>,

    /// Most pods of the node, as the kubelet's flag of this name
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_PODS)]
    pub max_pods: usize,
}

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
}

/// `--cpu-speed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuSpeed {
    /// Measured.
    Auto,
    /// This much fuel per second.
    Fixed(u64),
}

impl FromStr for CpuSpeed {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => match text.replace('_', "").parse() {
                Ok(0) | Err(_) => {
                    Err("expected a number of fuel units per second above 0, such as 1000000000, or auto")
                }
                Ok(speed) => Ok(Self::Fixed(speed)),
            },
        }
    }
}

/// `--publish`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The pod, as `name` or `namespace/name`; none if it can be told by the port.
    pub pod: Option<String>,
    /// Where to listen.
    pub host: SocketAddr,
    /// The pod's port.
    pub pod_port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

impl FromStr for Publish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (rest, protocol) = match text.rsplit_once('/') {
            Some((rest, "udp")) => (rest, Protocol::Udp),
            Some((rest, "tcp")) => (rest, Protocol::Tcp),
            _ => (text, Protocol::Tcp),
        };
        let (pod, rest) = match rest.rsplit_once('/') {
            Some((pod, rest)) => (Some(pod), rest),
            None => (None, rest),
        };
        if pod.is_some_and(|pod| pod.is_empty() || pod.split('/').any(str::is_empty) || pod.matches('/').count() > 1) {
            return Err("the pod is written as NAME/ or NAMESPACE/NAME/".to_owned());
        }
        let form = || "expected [POD/][IP:]HOST_PORT:POD_PORT[/udp], such as 8080:80".to_owned();
        let (host, pod_port) = rest.rsplit_once(':').ok_or_else(form)?;
        let (ip, host_port) = match host.rsplit_once(':') {
            Some((ip, port)) => (parse_ip(ip)?, port),
            None => (IpAddr::V4(Ipv4Addr::LOCALHOST), host),
        };
        if !ip.is_loopback() {
            return Err(format!("{ip} is not a loopback address; wasmpod opens ports on this machine's loopback only"));
        }
        let port = |text: &str| text.parse::<u16>().map_err(|_| format!("{text:?} is not a port (0 to 65535)"));
        let (host_port, pod_port) = (port(host_port)?, port(pod_port)?);
        if pod_port == 0 {
            return Err("a pod has no port 0".to_owned());
        }
        Ok(Self { pod: pod.map(str::to_owned), host: SocketAddr::new(ip, host_port), pod_port, protocol })
    }
}

fn parse_ip(text: &str) -> Result<IpAddr, String> {
    if text == "localhost" {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| format!("{text:?} is not an IP address"))
}

/// A duration as Go and kubectl write it: `30s`, `1m30s`, `1.5h`, `500ms`; a bare number is seconds.
fn parse_duration(text: &str) -> Result<Duration, String> {
    const FORM: &str = "expected a duration above 0, such as 30s, 1m30s or 500ms";
    /// A century; timers beyond it cannot be told from for ever.
    const MAX_SECONDS: f64 = 100.0 * 365.0 * 86_400.0;
    let mut seconds = 0.0;
    let mut rest = text.trim();
    if rest.bytes().all(|b| b.is_ascii_digit()) && !rest.is_empty() {
        seconds = rest.parse::<f64>().map_err(|_| FORM)?;
        rest = "";
    }
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (digits, tail) = rest.split_at(number);
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let scale = match unit {
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(FORM.to_owned()),
        };
        seconds += digits.parse::<f64>().map_err(|_| FORM)? * scale;
        rest = tail;
    }
    if !(seconds > 0.0 && seconds <= MAX_SECONDS) {
        return Err(FORM.to_owned());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| FORM.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, String> {
        let words = std::iter::once("play").chain(line.split_whitespace());
        Only::try_parse_from(words).map(|only| only.args).map_err(|error| error.to_string())
    }

    #[test]
    fn durations() {
        for (text, millis) in [("30s", 30_000), ("1m30s", 90_000), ("500ms", 500), ("1.5h", 5_400_000), ("7", 7_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "5x", "-1s", "0s", "0", "1m30", "nan", "inf", "1e9h", ".", "99999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn published_ports() {
        let ok = |text: &str| text.parse::<Publish>().unwrap();
        let plain = ok("8080:80");
        assert_eq!(
            (plain.host, plain.pod_port, plain.protocol),
            ("127.0.0.1:8080".parse().unwrap(), 80, Protocol::Tcp)
        );
        assert_eq!(ok("0:53/udp").protocol, Protocol::Udp);
        assert_eq!(ok("127.0.0.2:80:81").host, "127.0.0.2:80".parse().unwrap());
        assert_eq!(ok("[::1]:80:81").host, "[::1]:80".parse().unwrap());
        assert_eq!(ok("web/localhost:80:81/tcp").pod.as_deref(), Some("web"));
        assert_eq!(ok("ns/web/80:81").pod.as_deref(), Some("ns/web"));
        for text in ["80", "a:80", "80:a", "80:0", "0.0.0.0:80:80", "80:99999", "/80:80", "x:80:80", "a/b/c/80:80", ""]
        {
            assert!(text.parse::<Publish>().is_err(), "{text}");
        }
        assert!("0.0.0.0:80:80".parse::<Publish>().unwrap_err().contains("not a loopback address"));
    }

    #[test]
    fn the_whole_line() {
        let args = parse("a.yaml dir - --timeout 5s --publish 1:2 --publish 3:4/udp --allow-hostpath /x --output json --quiet --seed 7 --journal j --cpu-speed 1_000").unwrap();
        assert_eq!(args.inputs.len(), 3);
        assert_eq!((args.publish.len(), args.output, args.quiet, args.seed), (2, OutputFormat::Json, true, Some(7)));
        assert_eq!(args.cpu_speed, Some(CpuSpeed::Fixed(1000)));
        assert_eq!(parse("a --cpu-speed auto").unwrap().cpu_speed, Some(CpuSpeed::Auto));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(parse("").unwrap_err().contains("required"));
        assert!(parse("a --cpu-speed 0").is_err());
        assert!(parse("a --output xml").is_err());
        assert!(parse("a --timeout soon").is_err());
    }
}
