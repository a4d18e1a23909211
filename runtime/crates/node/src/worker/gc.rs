//! What dead containers leave behind: the kubelet keeps one dead instance per container, and the logs of the older ones go
//! (pkg/kubelet/kuberuntime/kuberuntime_gc.go). Without this a crash loop that writes much would fill the host's disk.

use std::path::Path;

/// Removes the logs of run `attempt` in `dir`, the rotated ones too. What cannot be removed is left: it goes with the pod.
pub(super) fn remove_logs(dir: &Path, attempt: u32) {
    let name = format!("{attempt}.log");
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let found = entry.file_name();
        let rest = found.to_str().and_then(|found| found.strip_prefix(&name));
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_that_runs_logs_go() {
        let temp = tempfile::tempdir().unwrap();
        for name in ["1.log", "1.log.20260101-000000", "1.log.20260101-000000.gz", "11.log", "2.log", "1.logs"] {
            std::fs::write(temp.path().join(name), "").unwrap();
        }
        remove_logs(temp.path(), 1);
        let mut left: Vec<_> =
            std::fs::read_dir(temp.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["1.logs", "11.log", "2.log"]);
        remove_logs(&temp.path().join("none"), 1);
    }
}
