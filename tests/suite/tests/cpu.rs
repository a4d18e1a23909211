//! CPU and memory as cgroups give them out: shares, throttling, and the files that tell a container of them.

use serde_json::{Value, json};
use wasmpod_suite::manifest::{Folder, container, pod, with};
use wasmpod_suite::outcome::Outcome;
use wasmpod_suite::play::Play;

const SECOND: u64 = 1_000_000_000;
/// The period of cpu.max.
const PERIOD: u64 = SECOND / 10;
/// CPUs of the node in virtual time.
const NODE_CPUS: u64 = 4;

fn play(objects: &[Value], args: &[&str]) -> Outcome {
    let folder = Folder::new();
    Play::file(folder.manifest("m", objects)).seeded(0).args(args).run().expect(0)
}

fn spinner(name: &str, milliseconds: &str, resources: &Value) -> Value {
    with(container(name, "cpu_spin", &["ms", milliseconds]), "", &json!({"resources": resources}))
}

fn rounds(run: &Outcome, who: &str) -> u64 {
    let lines = run.of(who);
    lines.last().and_then(|line| line.strip_prefix("rounds=")).and_then(|n| n.parse().ok()).expect("rounds are told")
}

/// Rounds that a CPU does in `seconds`: by how long a hundred take that has one for itself.
fn whole_cpu(seconds: u64) -> f64 {
    let run = play(&[pod("p", &[container("c", "cpu_spin", &["100"])])], &[]);
    seconds as f64 * 100.0 * SECOND as f64 / run.times("p/c", "exited code 0")[0] as f64
}

#[test]
fn limits_are_kept_to_half_a_percent() {
    let limits = [("a", 500u64), ("b", 250), ("c", 1000), ("d", 250)];
    let containers: Vec<Value> = limits
        .iter()
        .map(|(name, milli)| spinner(name, "10000", &json!({"limits": {"cpu": format!("{milli}m")}})))
        .collect();
    let run = play(&[pod("p", &containers)], &[]);
    let whole = whole_cpu(10);
    for (name, milli) in limits {
        let who = format!("p/{name}");
        let (got, due) = (rounds(&run, &who) as f64, whole * milli as f64 / 1000.0);
        // the last round may end after the time
        assert!((got - due).abs() <= due * 0.005 + 1.0, "{name}: {got} rounds, due are {due}");
        let throttled = run.times(&who, "cpu throttled until ");
        if milli == 1000 {
            // a whole CPU is what one thread can take: it is held back only for what its slices went too far
            assert!(throttled.iter().all(|time| PERIOD - time % PERIOD < PERIOD / 200), "{throttled:?}");
            continue;
        }
        assert_eq!(throttled.len(), 100, "{name}: in each of 100 periods");
        let quota = PERIOD * milli / 1000;
        for (period, time) in throttled.iter().enumerate() {
            let into = time - period as u64 * PERIOD;
            assert!(into.abs_diff(quota) <= quota / 200, "{name}: {into} ns into period {period}, quota {quota}");
        }
    }
}

#[test]
fn what_the_benches_run_works() {
    let containers = [
        container("spin", "bench_spin", &["2"]),
        container("branchy", "bench_branchy", &["20"]),
        container("sha", "bench_sha", &["2"]),
        container("fs-p1", "bench_fs_p1", &["/f", "300"]),
        container("fs-p2", "bench_fs_p2", &["/f", "300"]),
        container("server", "bench_tcp_server", &["127.0.0.1:7100", "2"]),
        container("ping", "bench_tcp_client", &["127.0.0.1:7100", "10", "64", "ping"]),
        container("bulk", "bench_tcp_client", &["127.0.0.1:7100", "10", "65536", "bulk"]),
    ];
    let run = play(&[pod("p", &containers)], &[]);
    for (name, measured) in [
        ("spin", &["spin"][..]),
        ("branchy", &["branchy"]),
        ("sha", &["sha"]),
        ("fs-p1", &["fs_write", "fs_read"]),
        ("fs-p2", &["fs_write", "fs_read"]),
        ("ping", &["tcp_ping"]),
        ("bulk", &["tcp_bulk"]),
    ] {
        let lines = run.of(&format!("p/{name}"));
        for (line, word) in lines.iter().zip(measured) {
            assert!(line.starts_with(&format!("{word} ns_total=")), "{name}: {lines:?}");
        }
        assert!(lines.len() >= measured.len(), "{name}: {lines:?}");
    }
    // computed by other means: the same on every machine
    assert_eq!(run.of("p/spin")[1..], ["state 3d83c1a3b9d9c0c5"]);
    assert_eq!(run.of("p/branchy")[1..], ["state ff649510"]);
    assert_eq!(run.of("p/sha")[1..], ["digest 586211f539d7faf4"]);
}

#[test]
fn requests_share_a_node_that_is_busy() {
    // the runtime's curve from cpu.shares (1024 a CPU) to cpu.weight
    let weight = |milli: f64| {
        let log = (milli * 1024.0 / 1000.0).log2();
        10f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0).ceil()
    };
    let requests = [("light", 250.0), ("heavy", 750.0)];
    let containers: Vec<Value> = requests
        .iter()
        .flat_map(|(name, milli)| {
            (0..NODE_CPUS).map(move |n| {
                spinner(&format!("{name}{n}"), "4000", &json!({"requests": {"cpu": format!("{milli}m")}}))
            })
        })
        .collect();
    let run = play(&[pod("p", &containers)], &[]);
    let whole = whole_cpu(4);
    let total: f64 = requests.iter().map(|(_, milli)| weight(*milli)).sum();
    for (name, milli) in requests {
        for n in 0..NODE_CPUS {
            let got = rounds(&run, &format!("p/{name}{n}")) as f64;
            let due = whole * weight(milli) / total;
            assert!((got - due).abs() <= due * 0.02 + 1.0, "{name}{n}: {got} rounds, due are {due}");
        }
    }
    assert!(!run.journal.contains("throttled"), "no limit, no throttling");
}

/// The text that a container printed of a file.
fn file(run: &Outcome, who: &str, path: &str) -> Vec<String> {
    let heading = format!("== {path}");
    let lines = run.of(who).into_iter().skip_while(|line| *line != heading).skip(1);
    lines.take_while(|line| !line.starts_with("== ") && !line.starts_with("/dev/")).collect()
}

/// A number of a file with lines of a name and a number.
fn number(run: &Outcome, who: &str, path: &str, name: &str) -> u64 {
    let lines = file(run, who, path);
    let line = lines.iter().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {name} in {path}: {lines:?}"))
}

#[test]
fn a_container_reads_its_limits() {
    let limited = |name: &str, guest: &str| {
        let resources = json!({
            "limits": {"cpu": "500m", "memory": "32Mi"},
            "requests": {"cpu": "250m", "memory": "16Mi"},
        });
        with(container(name, guest, &[]), "", &json!({"resources": resources}))
    };
    let run = play(&[pod("p", &[limited("p1", "fs_etc_p1"), limited("p2", "fs_etc_p2")])], &[]);
    for who in ["p/p1", "p/p2"] {
        assert_eq!(file(&run, who, "/sys/fs/cgroup/cpu.max"), ["50000 100000"]);
        assert_eq!(file(&run, who, "/sys/fs/cgroup/cpu.weight"), ["35"]);
        assert_eq!(file(&run, who, "/sys/fs/cgroup/memory.max"), ["33554432"]);
        let current: u64 = file(&run, who, "/sys/fs/cgroup/memory.current")[0].parse().expect("a number");
        assert!((1 << 20..32 << 20).contains(&current), "{who}: {current}");
        assert_eq!(number(&run, who, "/sys/fs/cgroup/memory.events", "oom_kill"), 0);
        assert!(file(&run, who, "/proc/self/cgroup")[0].starts_with("0::/kubepods/burstable/pod"));
    }
}

#[test]
fn what_cpu_stat_says_is_what_happened() {
    // printing so much takes several periods of a hundredth of a CPU
    let text = format!("{}\n", "x".repeat(99)).repeat(3000);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": {"big": text}});
    let more = json!({
        "resources": {"limits": {"cpu": "10m"}},
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    });
    let limited = with(container("c", "fs_cat", &["/v/big", "/sys/fs/cgroup/cpu.stat"]), "", &more);
    let volume = json!({"volumes": [{"name": "v", "configMap": {"name": "big"}}]});
    let run = play(&[map, with(pod("p", &[limited]), "spec", &volume)], &[]);
    let stat = |name: &str| number(&run, "p/c", "/sys/fs/cgroup/cpu.stat", name);
    let (usage, periods, throttled, time) =
        (stat("usage_usec"), stat("nr_periods"), stat("nr_throttled"), stat("throttled_usec"));
    let journal = run.journalled("p/c", "cpu throttled until ");
    assert!(throttled > 2, "{throttled}");
    // it reads the file in its last period, which may yet be used up
    assert!(throttled.abs_diff(journal.len() as u64) <= 1, "{throttled} of {}", journal.len());
    assert!((throttled..=throttled + 1).contains(&periods), "{periods} periods, {throttled} throttled");
    // each throttling lasts until the period that the journal names
    let nanos = |text: &str| -> u64 {
        let (whole, fraction) = text.split_once('.').expect("seconds");
        whole.parse::<u64>().expect("a number") * SECOND + fraction.parse::<u64>().expect("nine digits")
    };
    let held: u64 = journal[..throttled as usize]
        .iter()
        .map(|(at, line)| nanos(line.rsplit(' ').next().expect("a time")) - nanos(at))
        .sum();
    assert!(time.abs_diff(held / 1000) <= throttled, "cpu.stat says {time} µs, the journal {held} ns");
    // 1 ms of CPU in each period that was used up; the one that is running may have used some of its own
    let (least, most) = (1000 * throttled, 1000 * (throttled + 1));
    assert!((least..=most).contains(&usage), "{usage} µs in {throttled} periods");
    assert_eq!(stat("user_usec") + stat("system_usec"), usage);
}
