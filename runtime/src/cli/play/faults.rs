//! `--faults`: what goes wrong on purpose, by Chaos Mesh's names and shapes (chaos-mesh/chaos-mesh, `api/v1alpha1`).
//!
//! - [`decode`]: a file to faults; pure
//! - [`units`]: durations, sizes and rates as Chaos Mesh writes them; pure
//! - [`select`]: which pods a fault is for
//! - [`inject`]: when it happens, and what is done
//! - [`network`]: several faults on one link
//!
//! Owns the schedule and the choice. What is done to a container or a link is `cri`'s.

mod decode;
mod inject;
mod network;
mod select;
mod units;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wasmpod_api::{Diagnostic, MAX_INPUT_BYTES};
use wasmpod_node::PodRequest;

pub use inject::{arm, start};
use select::Select;

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// metadata.name.
    name: String,
    /// Where its selector is in its file, for messages.
    place: String,
    start: Start,
    /// How long it lasts; to the end if it does not say. What happens in a moment has no duration.
    duration: Option<Duration>,
    select: Select,
    /// The containers it is for; all if it does not say.
    containers: Vec<String>,
    kind: Kind,
}

/// When it happens.
#[derive(Debug, Clone, PartialEq)]
enum Start {
    /// That long after the start; the same or a range from which the seed draws.
    At(Duration, Duration),
    /// That long after the first event of the journal that holds this text.
    When(String, Duration),
}

/// What happens.
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// NetworkChaos.
    Network { effect: Effect, direction: Direction, target: Option<Select> },
    /// PodChaos pod-kill, with its grace period.
    PodKill(Duration),
    /// PodChaos container-kill.
    ContainerKill,
    /// StressChaos.
    Stress { cpu: Option<(u32, u32)>, memory: Option<Size> },
    /// IOChaos fault ENOSPC, of the volume at this path.
    DiskFull(String),
    /// TimeChaos, in nanoseconds.
    ClockSkew(i64),
}

/// What a NetworkChaos does to a link.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Effect {
    Delay {
        latency: Duration,
        jitter: Duration,
    },
    /// In parts per million.
    Loss(u32),
    /// In bytes per second.
    Bandwidth(u64),
    Partition,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    To,
    From,
    Both,
}

/// How much memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Bytes(u64),
    /// Of the container's limit.
    Percent(u64),
}

/// Reads the files and checks that their selectors mean something in these pods.
///
/// # Errors
/// The lines for the user.
pub fn read(files: &[PathBuf], pods: &[PodRequest]) -> Result<(Vec<Fault>, Vec<Diagnostic>), Vec<String>> {
    let (mut faults, mut warnings, mut problems) = (Vec::<Fault>::new(), Vec::new(), Vec::new());
    for path in files {
        let name = path.display().to_string();
        let bytes = match read_bounded(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                problems.push(format!("error: --faults {name}: {error}"));
                continue;
            }
        };
        match decode::decode(&name, &bytes) {
            Ok((found, more)) => {
                faults.extend(found);
                warnings.extend(more);
            }
            Err(diagnostics) => problems.extend(diagnostics.to_string().lines().map(str::to_owned)),
        }
    }
    for (at, fault) in faults.iter().enumerate() {
        if faults[..at].iter().any(|other| other.name == fault.name) {
            problems.push(format!("{}: there are two faults with the name {:?}", fault.place, fault.name));
        }
        problems.extend(select::problems(fault, pods));
    }
    if problems.is_empty() { Ok((faults, warnings)) } else { Err(problems) }
}

/// One byte more than is allowed, so that what is too long is refused as too long.
fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_INPUT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
