//! A file of faults to [`Fault`]s: Chaos Mesh's kinds and fields (`api/v1alpha1/*_types.go`), checked as a manifest is. Pure.
//!
//! What Chaos Mesh has and is not built here is refused by its name; what nobody has is an unknown field. When a fault happens is ours to
//! say, in annotations, so that a file stays one for Chaos Mesh too:
//!
//! - `wasmpod/start-at: 5s`, or a range `1s..5s` from which the seed draws
//! - `wasmpod/start-when: "web/app started"`, a text of the journal, and `wasmpod/start-after: 1s` after it

use std::collections::BTreeMap;
use std::time::Duration;

use wasmpod_api::tree::{Documents, Problems, View};
use wasmpod_api::{Diagnostic, Diagnostics};
use wasmpod_cri::fault::MAX_STRESS_WORKERS;
use wasmpod_cri::link::MAX_LATENCY;

use super::select::{Mode, Select};
use super::units;
use super::{Direction, Effect, Fault, Kind, Start};

const API_VERSION: &str = "chaos-mesh.org/v1alpha1";
/// Most faults of one file: each is a task for as long as the run.
const MAX_FAULTS: usize = 1000;
const KINDS: [&str; 5] = ["NetworkChaos", "PodChaos", "StressChaos", "IOChaos", "TimeChaos"];
/// Chaos Mesh's other kinds.
const OTHER_KINDS: [&str; 13] = [
    "AWSChaos",
    "AzureChaos",
    "BlockChaos",
    "DNSChaos",
    "GCPChaos",
    "HTTPChaos",
    "JVMChaos",
    "KernelChaos",
    "PhysicalMachineChaos",
    "Schedule",
    "Workflow",
    "WorkflowNode",
    "StatusCheck",
];
const AT: &str = "wasmpod/start-at";
const WHEN: &str = "wasmpod/start-when";
const AFTER: &str = "wasmpod/start-after";
/// What every kind has.
const COMMON: [&str; 4] = ["selector", "mode", "value", "duration"];
const NOT_BUILT: &str = "not supported by this version of wasmpod";

/// Decodes a file. `file` is only used to say where something is.
///
/// # Errors
/// All that is wrong with it.
pub fn decode(file: &str, bytes: &[u8]) -> Result<(Vec<Fault>, Vec<Diagnostic>), Diagnostics> {
    let documents = Documents::parse(file, bytes)?;
    let problems = Problems::default();
    let roots = documents.roots(&problems);
    if let Some(first) = roots.get(MAX_FAULTS) {
        first.error(format!("more than {MAX_FAULTS} faults in one file"));
    }
    let faults: Vec<Fault> = roots.iter().take(MAX_FAULTS).filter_map(fault).collect();
    Ok((faults, problems.finish()?))
}

fn fault(root: &View<'_>) -> Option<Fault> {
    if !root.object(&["apiVersion", "kind", "metadata", "spec", "status"], &[]) {
        return None;
    }
    if let Some(version) = root.required("apiVersion")
        && version.text().is_some_and(|text| text != API_VERSION)
    {
        version.error(format!("expected {API_VERSION}"));
    }
    let kind = root.required("kind")?;
    let name = kind.text()?;
    if !KINDS.contains(&name) {
        let built = KINDS.join(", ");
        kind.error(match OTHER_KINDS.contains(&name) {
            true => format!("{name} is {NOT_BUILT}; supported kinds are {built}"),
            false => format!("unknown kind {name:?}; supported kinds are {built}"),
        });
        return None;
    }
    let metadata = root.required("metadata")?;
    metadata.object(&["name", "namespace", "labels", "annotations"], &[]);
    let own_name = metadata.required("name").and_then(|view| nonempty(&view));
    let namespace = metadata.get("namespace").and_then(|view| nonempty(&view)).unwrap_or_else(|| "default".to_owned());
    let start = start(&metadata);
    let spec = root.required("spec")?;
    let decoded = match name {
        "NetworkChaos" => network(&spec, &namespace),
        "PodChaos" => pod(&spec),
        "StressChaos" => stress(&spec),
        "IOChaos" => io(&spec),
        _ => time(&spec),
    };
    let duration = spec.get("duration").and_then(|view| value(&view, units::duration));
    let containers = spec.get("containerNames").map_or_else(Vec::new, |view| texts(&view));
    let select = select(&spec, &namespace);
    let (kind, select, name, start) = (decoded?, select?, own_name?, start?);
    if kind.is_a_moment() && spec.get("duration").is_some() {
        spec.error_at("duration", "a kill happens in a moment: it has no duration");
    }
    let place = spec.get("selector").map_or_else(|| spec.place(), |view| view.place());
    Some(Fault { name, place, start, duration, select, containers, kind })
}

impl Kind {
    /// It is over when it has happened.
    pub fn is_a_moment(&self) -> bool {
        matches!(self, Self::PodKill(_) | Self::ContainerKill)
    }
}

fn nonempty(view: &View<'_>) -> Option<String> {
    let text = view.text()?;
    if text.is_empty() {
        view.error("Required value");
        return None;
    }
    Some(text.to_owned())
}

/// A text that `read` understands.
fn value<T>(view: &View<'_>, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
    read(view.text()?).map_err(|why| view.error(why)).ok()
}

fn texts(view: &View<'_>) -> Vec<String> {
    view.items().iter().filter_map(nonempty).collect()
}

fn one_of<T: Copy>(view: &View<'_>, all: &[(&str, T)], not_built: &[&str]) -> Option<T> {
    let text = view.text()?;
    let found = all.iter().find(|(name, _)| *name == text);
    if found.is_none() {
        let names: Vec<String> = all.iter().map(|(name, _)| format!("{name:?}")).collect();
        view.error(match not_built.contains(&text) {
            true => format!("{text:?} is {NOT_BUILT}; supported values: {}", names.join(", ")),
            false => format!("Unsupported value: {text:?}: supported values: {}", names.join(", ")),
        });
    }
    found.map(|(_, value)| *value)
}

/// A field that may only have the value that does nothing.
fn only(spec: &View<'_>, field: &str, neutral: &[&str]) {
    if let Some(view) = spec.get(field)
        && let Some(text) = view.text()
        && !neutral.contains(&text)
    {
        view.error(NOT_BUILT);
    }
}

fn start(metadata: &View<'_>) -> Option<Start> {
    let mut ours: BTreeMap<&str, View<'_>> = BTreeMap::new();
    if let Some(annotations) = metadata.get("annotations") {
        for (key, view) in annotations.entries() {
            match key {
                AT | WHEN | AFTER => drop(ours.insert(key, view)),
                key if key.starts_with("wasmpod/") => {
                    view.error(format!("unknown annotation; there are {AT}, {WHEN} and {AFTER}"));
                }
                _ => {}
            }
        }
    }
    let after = ours.get(AFTER).map(|view| value(view, units::duration));
    match (ours.get(AT), ours.get(WHEN)) {
        (Some(at), Some(_)) => {
            at.error(format!("{AT} and {WHEN} exclude each other"));
            None
        }
        (None, Some(when)) => Some(Start::When(nonempty(when)?, after.unwrap_or(Some(Duration::ZERO))?)),
        (at, None) => {
            if let Some(view) = ours.get(AFTER) {
                view.error(format!("{AFTER} needs {WHEN}"));
            }
            let range = at.map(|view| value(view, range)).unwrap_or(Some((Duration::ZERO, Duration::ZERO)))?;
            Some(Start::At(range.0, range.1))
        }
    }
}

/// `5s`, or `1s..5s`.
fn range(text: &str) -> Result<(Duration, Duration), String> {
    let (from, to) = text.split_once("..").unwrap_or((text, text));
    let (from, to) = (units::duration(from)?, units::duration(to)?);
    if to < from {
        return Err(format!("Invalid value: {text:?}: the range ends before it begins"));
    }
    Ok((from, to))
}

fn select(spec: &View<'_>, namespace: &str) -> Option<Select> {
    let mode = mode(spec);
    let selector = spec.required("selector")?;
    let not_built = [
        "nodes",
        "nodeSelectors",
        "fieldSelectors",
        "expressionSelectors",
        "annotationSelectors",
        "podPhaseSelectors",
        "physicalMachines",
    ];
    selector.object(&["namespaces", "pods", "labelSelectors"], &not_built);
    let namespaces = selector.get("namespaces").map_or_else(Vec::new, |view| texts(&view));
    let namespaces = if namespaces.is_empty() { vec![namespace.to_owned()] } else { namespaces };
    let pods = selector.get("pods").map_or_else(BTreeMap::new, |view| {
        view.entries().into_iter().map(|(namespace, names)| (namespace.to_owned(), texts(&names))).collect()
    });
    let labels = selector.get("labelSelectors").map_or_else(BTreeMap::new, |view| {
        let label = |(key, view): (&str, View<'_>)| Some((key.to_owned(), view.text()?.to_owned()));
        view.entries().into_iter().filter_map(label).collect()
    });
    Some(Select { namespaces, pods, labels, mode: mode? })
}

/// A mode of its value.
type MakeMode = fn(u64) -> Mode;

fn mode(spec: &View<'_>) -> Option<Mode> {
    let modes: [(&str, MakeMode); 5] = [
        ("one", |_| Mode::One),
        ("all", |_| Mode::All),
        ("fixed", Mode::Fixed),
        ("fixed-percent", Mode::FixedPercent),
        ("random-max-percent", Mode::RandomMaxPercent),
    ];
    let make = one_of(&spec.required("mode")?, &modes, &[])?;
    let needs = !matches!(make(0), Mode::One | Mode::All);
    if !needs {
        return Some(make(0));
    }
    let view = spec.required("value")?;
    let percent = !matches!(make(0), Mode::Fixed(_));
    let number = value(&view, |text| {
        let number = text.parse::<u64>().ok().filter(|number| !percent || *number <= 100);
        number.ok_or_else(|| {
            format!("Invalid value: {text:?}: expected a {}", if percent { "percentage" } else { "number" })
        })
    })?;
    Some(make(number))
}

fn with_common<'a>(own: &[&'a str]) -> Vec<&'a str> {
    COMMON.iter().chain(own).copied().collect()
}

fn network(spec: &View<'_>, namespace: &str) -> Option<Kind> {
    let own = with_common(&["action", "delay", "loss", "bandwidth", "direction", "target"]);
    let not_built = ["duplicate", "corrupt", "rate", "device", "targetDevice", "externalTargets", "remoteCluster"];
    spec.object(&own, &not_built);
    let actions = [("delay", 0), ("loss", 1), ("bandwidth", 2), ("partition", 3)];
    let action = one_of(&spec.required("action")?, &actions, &["netem", "duplicate", "corrupt", "rate"])?;
    for (name, _) in actions.iter().filter(|(name, number)| *number != action && *name != "partition") {
        if let Some(view) = spec.get(name) {
            view.error(format!("belongs to the action {name:?}, not to {:?}", actions[action].0));
        }
    }
    let directions = [("to", Direction::To), ("from", Direction::From), ("both", Direction::Both)];
    let direction = spec.get("direction").map_or(Some(Direction::To), |view| one_of(&view, &directions, &[]));
    let target = match spec.get("target") {
        None => None,
        Some(view) => {
            view.object(&["selector", "mode", "value"], &[]);
            Some(self::select(&view, namespace)?)
        }
    };
    if target.is_none() && direction.is_some_and(|direction| direction != Direction::To) {
        spec.error_at("target", "Required value: direction is \"from\" or \"both\"");
    }
    let effect = match action {
        0 => delay(&spec.required("delay")?)?,
        1 => {
            let view = spec.required("loss")?;
            view.object(&["loss", "correlation"], &[]);
            only(&view, "correlation", &["0", ""]);
            Effect::Loss(value(&view.required("loss")?, units::percent_ppm)?)
        }
        2 => {
            let view = spec.required("bandwidth")?;
            view.object(&["rate", "limit", "buffer"], &["peakrate", "minburst"]);
            for field in ["limit", "buffer"] {
                if let Some(view) = view.get(field)
                    && view.integer().is_some()
                {
                    view.warning("has no effect: a link's queue has a fixed size");
                }
            }
            Effect::Bandwidth(value(&view.required("rate")?, units::rate)?)
        }
        _ => Effect::Partition,
    };
    Some(Kind::Network { effect, direction: direction?, target })
}

fn delay(view: &View<'_>) -> Option<Effect> {
    view.object(&["latency", "jitter", "correlation"], &["reorder"]);
    only(view, "correlation", &["0", ""]);
    let latency = value(&view.required("latency")?, units::duration)?;
    let jitter = view.get("jitter").map_or(Some(Duration::ZERO), |view| value(&view, units::duration))?;
    if latency > MAX_LATENCY {
        view.error_at("latency", format!("must not be longer than {} s", MAX_LATENCY.as_secs()));
    }
    if jitter > latency {
        view.error_at("jitter", "must not be longer than the latency");
    }
    Some(Effect::Delay { latency, jitter })
}

fn pod(spec: &View<'_>) -> Option<Kind> {
    spec.object(&with_common(&["action", "containerNames", "gracePeriod"]), &["remoteCluster"]);
    let actions = [("pod-kill", true), ("container-kill", false)];
    if one_of(&spec.required("action")?, &actions, &["pod-failure"])? {
        if let Some(view) = spec.get("containerNames") {
            view.error("belongs to the action \"container-kill\"");
        }
        let grace = spec.get("gracePeriod").map_or(Some(0), |view| view.integer())?;
        let Ok(grace) = u64::try_from(grace) else {
            spec.error_at("gracePeriod", "must not be negative");
            return None;
        };
        return Some(Kind::PodKill(Duration::from_secs(grace)));
    }
    if let Some(view) = spec.get("gracePeriod") {
        view.error("belongs to the action \"pod-kill\"");
    }
    if spec.required("containerNames")?.items().is_empty() {
        spec.error_at("containerNames", "Required value");
    }
    Some(Kind::ContainerKill)
}

fn stress(spec: &View<'_>) -> Option<Kind> {
    spec.object(&with_common(&["stressors", "containerNames"]), &["stressngStressors", "remoteCluster"]);
    let stressors = spec.required("stressors")?;
    stressors.object(&["cpu", "memory"], &[]);
    let workers = |view: &View<'_>| -> Option<u32> {
        let number = view.required("workers")?.integer()?;
        match u32::try_from(number).ok().filter(|number| (1..=MAX_STRESS_WORKERS).contains(number)) {
            Some(number) => Some(number),
            None => {
                view.error_at(
                    "workers",
                    format!("Invalid value: {number}: must be between 1 and {MAX_STRESS_WORKERS}"),
                );
                None
            }
        }
    };
    let cpu = match stressors.get("cpu") {
        None => None,
        Some(view) => {
            view.object(&["workers", "load"], &["options"]);
            let load = view.get("load").map_or(Some(100), |view| view.integer())?;
            let Some(load) = u32::try_from(load).ok().filter(|load| *load <= 100) else {
                view.error_at("load", "must be between 0 and 100");
                return None;
            };
            Some((workers(&view)?, load))
        }
    };
    let memory = match stressors.get("memory") {
        None => None,
        Some(view) => {
            view.object(&["workers", "size"], &["options", "oomScoreAdj"]);
            let size = value(&view.required("size")?, units::size)?;
            Some(size.times(workers(&view)?))
        }
    };
    if cpu.is_none() && memory.is_none() {
        stressors.error("Required value: cpu or memory");
    }
    Some(Kind::Stress { cpu, memory })
}

impl super::Size {
    fn times(self, workers: u32) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Bytes(bytes.saturating_mul(u64::from(workers))),
            Self::Percent(percent) => Self::Percent(percent.saturating_mul(u64::from(workers))),
        }
    }
}

/// Only a full disk: what needs room fails, what reads or frees goes on.
fn io(spec: &View<'_>) -> Option<Kind> {
    let own = with_common(&["action", "errno", "methods", "volumePath", "percent", "containerNames", "path"]);
    spec.object(&own, &["delay", "attr", "mistake", "remoteCluster"]);
    one_of(&spec.required("action")?, &[("fault", ())], &["latency", "attrOverride", "mistake"])?;
    /// ENOSPC on Linux.
    const NO_SPACE: i64 = 28;
    if spec.required("errno")?.integer()? != NO_SPACE {
        spec.error_at(
            "errno",
            format!("only {NO_SPACE} (ENOSPC, a full disk) is supported by this version of wasmpod"),
        );
    }
    let methods = spec.required("methods").map(|view| texts(&view)).unwrap_or_default();
    if spec.get("methods").is_some() && methods != ["write"] {
        spec.error_at("methods", "only [write] is supported by this version of wasmpod: reading goes on");
    }
    if let Some(view) = spec.get("percent")
        && view.integer().is_some_and(|percent| percent != 100)
    {
        view.error("only 100 is supported by this version of wasmpod: a disk is full or not");
    }
    let path = nonempty(&spec.required("volumePath")?)?;
    if !path.starts_with('/') {
        spec.error_at("volumePath", "must be an absolute path");
    }
    let all = [format!("{}/**/*", path.trim_end_matches('/')), format!("{}/**", path.trim_end_matches('/'))];
    if let Some(view) = spec.get("path")
        && view.text().is_some_and(|text| !all.iter().any(|all| all == text))
    {
        view.error("only all paths of the volume are supported by this version of wasmpod: leave it out");
    }
    Some(Kind::DiskFull(path))
}

fn time(spec: &View<'_>) -> Option<Kind> {
    spec.object(&with_common(&["timeOffset", "clockIds", "containerNames"]), &["remoteCluster"]);
    if let Some(view) = spec.get("clockIds")
        && texts(&view) != ["CLOCK_REALTIME"]
    {
        view.error("only [CLOCK_REALTIME] is supported by this version of wasmpod: monotonic clocks never jump");
    }
    Some(Kind::ClockSkew(value(&spec.required("timeOffset")?, units::signed_duration)?))
}

#[cfg(test)]
mod tests;
