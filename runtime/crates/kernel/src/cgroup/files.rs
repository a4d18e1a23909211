//! The files of a cgroup as text, exactly as cgroup v2 shows them (Documentation/admin-guide/cgroup-v2.rst). Owns no paths: the
//! mount namespace puts them under `/sys/fs/cgroup`.

use super::{Cgroup, kubernetes};

/// The files of a cgroup below the root, in the order of `ls`.
const FILES: &[&str] = &[
    "cgroup.controllers",
    "cgroup.events",
    "cgroup.type",
    "cpu.max",
    "cpu.stat",
    "cpu.weight",
    "memory.current",
    "memory.events",
    "memory.max",
    "memory.peak",
    "memory.swap.current",
    "memory.swap.max",
    "pids.current",
    "pids.events",
    "pids.max",
];

/// The files of the root, which has no limits of its own.
const ROOT_FILES: &[&str] = &["cgroup.controllers", "cpu.stat"];

/// `memory.max` is a multiple of this on Linux; the file shows it so.
const PAGE: u64 = 4096;

impl Cgroup {
    /// The names that [`Cgroup::render`] knows here, sorted.
    pub fn files(&self) -> &'static [&'static str] {
        if self.parent().is_none() { ROOT_FILES } else { FILES }
    }

    /// The text of a file as it is now, or `None` if the cgroup has no such file.
    pub fn render(&self, file: &str) -> Option<String> {
        if !self.files().contains(&file) {
            return None;
        }
        Some(match file {
            "cgroup.controllers" => "cpu memory pids\n".to_owned(),
            "cgroup.events" => format!("populated {}\nfrozen 0\n", u8::from(self.pids_stats().current > 0)),
            "cgroup.type" => "domain\n".to_owned(),
            "cpu.max" => {
                let quota = self.limits().cpu_quota_millis.and_then(kubernetes::milli_cpu_to_quota);
                format!("{} {}\n", or_max(quota), kubernetes::QUOTA_PERIOD_USEC)
            }
            "cpu.stat" => self.cpu_stat(),
            "cpu.weight" => format!("{}\n", self.limits().cpu_weight.clamp(super::MIN_WEIGHT, super::MAX_WEIGHT)),
            "memory.current" => format!("{}\n", self.memory_stats().current),
            "memory.events" => {
                let events = self.memory_stats().events;
                let (max, oom, oom_kill) = (events.max, events.oom, events.oom_kill);
                format!("low 0\nhigh 0\nmax {max}\noom {oom}\noom_kill {oom_kill}\noom_group_kill 0\n")
            }
            "memory.max" => format!("{}\n", or_max(self.memory_stats().max.map(|max| max / PAGE * PAGE))),
            "memory.peak" => format!("{}\n", self.memory_stats().peak),
            "memory.swap.current" | "memory.swap.max" => "0\n".to_owned(),
            "pids.current" => format!("{}\n", self.pids_stats().current),
            "pids.events" => format!("max {}\n", self.pids_stats().events_max),
            "pids.max" => format!("{}\n", or_max(self.pids_stats().max)),
            _ => return None,
        })
    }

    /// All compute is the guest's own: user time.
    fn cpu_stat(&self) -> String {
        let stats = self.cpu_stats();
        let usage = format!("usage_usec {0}\nuser_usec {0}\nsystem_usec 0\n", stats.usage_usec);
        if self.parent().is_none() {
            return usage;
        }
        format!(
            "{usage}nr_periods {}\nnr_throttled {}\nthrottled_usec {}\nnr_bursts 0\nburst_usec 0\n",
            stats.nr_periods, stats.nr_throttled, stats.throttled_usec
        )
    }
}

fn or_max(value: Option<u64>) -> String {
    value.map_or_else(|| "max".to_owned(), |value| value.to_string())
}
