//! What dead containers leave behind: the kubelet keeps one dead instance per container, and the logs of the older ones go
//! (pkg/kubelet/kuberuntime/kuberuntime_gc.go). Without this a crash loop that writes much would fill the host's disk.

use std::collections::VecDeque;
use std::sync::Arc;

use wasmpod_cri::ContainerLog;

/// Runs whose logs are kept: the newest, and a dead one before it (kubelet: MaxPerPodContainer 1).
const KEPT_RUNS: usize = 2;

/// The logs of a container's newest runs. Not the runs themselves: a dead one would keep its writable layer on the node's disk.
#[derive(Default)]
pub(super) struct KeptLogs(VecDeque<Arc<ContainerLog>>);

impl KeptLogs {
    /// Keeps the log of a new run, and removes those of runs that are too old.
    pub(super) fn keep(&mut self, log: Arc<ContainerLog>) {
        self.0.push_back(log);
        while self.0.len() > KEPT_RUNS
            && let Some(old) = self.0.pop_front()
        {
            old.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use wasmpod_cri::{LogLimits, StdStream};
    use wasmpod_sim::Sim;

    use super::*;

    #[test]
    fn only_that_runs_logs_go() {
        let (temp, sim) = (tempfile::tempdir().unwrap(), Sim::new_virtual(1));
        let mut kept = KeptLogs::default();
        for run in [0, 1, 2, 10] {
            let limits = LogLimits { max_bytes: 100, max_files: 3 };
            let path = temp.path().join(format!("{run}.log"));
            let log = ContainerLog::create(&path, limits, sim.clock().clone(), None).unwrap();
            // each is rotated once
            log.write(StdStream::Stdout, &[b"x".repeat(80), b"\n".to_vec(), b"y".repeat(80), b"\n".to_vec()].concat());
            kept.keep(log);
        }
        let names =
            std::fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut left: Vec<_> = names.map(|name| name.split('.').next().unwrap_or_default().to_owned()).collect();
        left.sort();
        assert_eq!(left, ["10", "10", "2", "2"]);
    }
}
