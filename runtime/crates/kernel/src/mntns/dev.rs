//! The standard `/dev` of a container (runc's `libcontainer/specconv` default devices), without anything of the host's.

use std::sync::Arc;

use super::synthetic::{Device, RandomSource, Synthetic};
use crate::file::Stream;

/// What `/dev` needs from its container.
#[derive(Clone)]
pub struct DevOptions {
    /// Behind `random` and `urandom`.
    pub random: RandomSource,
    /// The container's terminal, if it has one.
    pub tty: Option<Arc<dyn Stream>>,
    /// Standard input, output and error of the container's entry point.
    pub stdio: [Option<Arc<dyn Stream>>; 3],
}

impl Synthetic {
    /// The standard `/dev`. There is no `/dev/fd`: descriptors have no names (F16). `/dev/shm` and `/dev/termination-log` are
    /// mounts of their own, made by whoever builds the container.
    pub fn dev(options: DevOptions) -> Self {
        let DevOptions { random, tty, stdio: [stdin, stdout, stderr] } = options;
        Self::new("devtmpfs")
            .device("null", Device::Null)
            .device("zero", Device::Zero)
            .device("full", Device::Full)
            .device("random", Device::Random(random.clone()))
            .device("urandom", Device::Random(random))
            .device("console", Device::Tty(tty.clone()))
            .device("tty", Device::Tty(tty))
            .device("stdin", Device::Stdio(0, stdin))
            .device("stdout", Device::Stdio(1, stdout))
            .device("stderr", Device::Stdio(2, stderr))
    }
}

impl std::fmt::Debug for DevOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevOptions").field("tty", &self.tty.is_some()).finish_non_exhaustive()
    }
}
