//! skeleton
use std::sync::Arc;
use crate::file::Stream;
/// Makes content
pub type Provider = Arc<dyn Fn() -> Vec<u8> + Send + Sync>;
/// Fills with random bytes
pub type RandomSource = Arc<dyn Fn(&mut [u8]) + Send + Sync>;
/// A device.
#[derive(Clone)]
pub enum Device {
    /// null
    Null,
    /// zero
    Zero,
    /// full
    Full,
    /// random
    Random(RandomSource),
    /// Controlling terminal: ENXIO without.
    Tty(Option<Arc<dyn Stream>>),
    /// Standard stream n; the stream of the container's entry point
    Stdio(u32, Option<Arc<dyn Stream>>),
}
/// A tree of synthetic files.
#[derive(Default)]
pub struct Synthetic {}
impl Synthetic {
    /// Empty.
    pub fn new() -> Self { Self {} }
    /// Adds a file with generated content, mode 0444. Parents are made.
    #[must_use]
    pub fn file(self, _path: &str, _provider: Provider) -> Self { self }
    /// Adds a directory.
    #[must_use]
    pub fn dir(self, _path: &str) -> Self { self }
    /// Adds a link.
    #[must_use]
    pub fn symlink(self, _path: &str, _target: &str) -> Self { self }
    /// Adds a device.
    #[must_use]
    pub fn device(self, _path: &str, _device: Device) -> Self { self }
    /// The standard /dev.
    pub fn dev(_options: DevOptions) -> Self { Self {} }
    /// The standard /proc.
    pub fn proc(_options: ProcOptions) -> Self { Self {} }
    /// The files of /sys/fs/cgroup, from `Cgroup::render`-like function
    pub fn cgroup(_render: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self { Self {} }
}
/// What /dev needs.
#[derive(Clone)]
pub struct DevOptions {
    /// random
    pub random: RandomSource,
    /// tty
    pub tty: Option<Arc<dyn Stream>>,
    /// Standard input, output, error of the container's entry point.
    pub stdio: [Option<Arc<dyn Stream>>; 3],
}
/// What /proc shows; `None` leaves the file out. `/proc/mounts` and `self/mountinfo` are the namespace's own.
#[derive(Clone, Default)]
pub struct ProcOptions {
    /// `self/cmdline`: NUL-separated.
    pub cmdline: Option<Provider>,
    /// `self/environ`
    pub environ: Option<Provider>,
    /// `self/status`
    pub status: Option<Provider>,
    /// `self/cgroup`
    pub cgroup: Option<Provider>,
    /// `self/limits`
    pub limits: Option<Provider>,
    /// `sys/kernel/hostname`
    pub hostname: Option<Provider>,
    /// `meminfo`
    pub meminfo: Option<Provider>,
    /// `cpuinfo`
    pub cpuinfo: Option<Provider>,
    /// `uptime`
    pub uptime: Option<Provider>,
    /// `loadavg`
    pub loadavg: Option<Provider>,
    /// `version`
    pub version: Option<Provider>,
    /// Files under `net/`, by name: `tcp`, `udp`, `dev`...
    pub net: Vec<(String, Provider)>,
    /// Any other file, by its path under /proc.
    pub other: Vec<(String, Provider)>,
}
