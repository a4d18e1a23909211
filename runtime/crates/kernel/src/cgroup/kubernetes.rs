//! From requests and limits to cgroup values, by Kubernetes' own formulas: pkg/kubelet/cm/helpers_linux.go, pkg/kubelet/qos/policy.go,
//! and what the OCI runtimes make of them. Pure functions; knows no manifest.

/// `QuotaPeriod`, in microseconds.
pub const QUOTA_PERIOD_USEC: u64 = 100_000;
/// `MinQuotaPeriod`: the least quota per period, in microseconds. The kernel refuses less.
pub const MIN_QUOTA_USEC: u64 = 1_000;
/// `SharesPerCPU`.
pub const SHARES_PER_CPU: u64 = 1_024;
/// `MinShares`, the kernel's least; also what the besteffort class and its pods get.
pub const MIN_SHARES: u64 = 2;
/// `MaxShares`, the kernel's most.
pub const MAX_SHARES: u64 = 262_144;

/// `cpu.max`'s quota in microseconds per 100 ms (`MilliCPUToQuota`). `None` for 0, which is no limit.
pub fn milli_cpu_to_quota(milli_cpu: u64) -> Option<u64> {
    (milli_cpu > 0).then(|| milli_cpu.saturating_mul(QUOTA_PERIOD_USEC / 1_000).max(MIN_QUOTA_USEC))
}

/// cgroup v1's `cpu.shares` (`MilliCPUToShares`); 0 gives the least.
pub fn milli_cpu_to_shares(milli_cpu: u64) -> u64 {
    (milli_cpu.saturating_mul(SHARES_PER_CPU) / 1_000).clamp(MIN_SHARES, MAX_SHARES)
}

/// cgroup v2's `cpu.weight` of `cpu.shares`, as runc (since 1.3.2, opencontainers/cgroups `ConvertCPUSharesToCgroupV2Value`) and crun
/// (since 1.23) do it for containers: the quadratic in the logarithm that maps 2 → 1, 1024 → 100, 262144 → 10000. The older linear
/// map made one CPU weigh 39 (kubernetes/kubernetes#131216). 0 is "not set" and gives the default of 100.
pub fn shares_to_weight(shares: u64) -> u64 {
    /// Swallows the last bits in which mathematics libraries differ, so that the weight is the same on every machine.
    const EPSILON: f64 = 1e-9;
    match shares {
        0 => super::DEFAULT_WEIGHT,
        1..=MIN_SHARES => super::MIN_WEIGHT,
        MAX_SHARES.. => super::MAX_WEIGHT,
        _ => {
            #[expect(clippy::cast_precision_loss, reason = "shares are below 2^18 here")]
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 10000")]
            let weight = (10f64.powf(exponent) - EPSILON).ceil() as u64;
            weight.clamp(super::MIN_WEIGHT, super::MAX_WEIGHT)
        }
    }
}

/// `cpu.weight` of `cpu.shares` as the kubelet itself still writes it for the cgroups of QoS classes and pods (`getCPUWeight` in
/// pkg/kubelet/cm/cgroup_manager_linux.go): linear from [2, 262144] to [1, 10000].
pub fn shares_to_weight_linear(shares: u64) -> u64 {
    let shares = shares.clamp(MIN_SHARES, MAX_SHARES);
    1 + (shares - MIN_SHARES) * 9_999 / 262_142
}

/// The weight of a container's cgroup by its CPU request.
pub fn container_weight(request_milli_cpu: u64) -> u64 {
    shares_to_weight(milli_cpu_to_shares(request_milli_cpu))
}

/// The weight of a pod's cgroup by the sum of its requests, and of the burstable class by the sum of its pods' requests
/// (pkg/kubelet/cm/qos_container_manager_linux.go `setCPUCgroupConfig`). The besteffort class and its pods have a request of 0.
pub fn pod_weight(request_milli_cpu: u64) -> u64 {
    shares_to_weight_linear(milli_cpu_to_shares(request_milli_cpu))
}

/// A pod's quality of service, as far as cgroups care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QosClass {
    /// Requests equal limits for all.
    Guaranteed,
    /// Some request or limit.
    Burstable,
    /// None at all.
    BestEffort,
}

impl QosClass {
    /// The path of the class' cgroup below the node, as with the kubelet's cgroupfs driver: guaranteed pods have no level of their own.
    pub const fn cgroup_path(self) -> &'static [&'static str] {
        match self {
            Self::Guaranteed => &["kubepods"],
            Self::Burstable => &["kubepods", "burstable"],
            Self::BestEffort => &["kubepods", "besteffort"],
        }
    }
}

/// `oom_score_adj` of a container (`GetContainerOOMScoreAdjust`): -997 for guaranteed, 1000 for best effort, and for burstable 3 to 999
/// by the share of the node's memory it does not request.
pub fn oom_score_adj(qos: QosClass, memory_request: u64, memory_capacity: u64) -> i32 {
    /// `guaranteedOOMScoreAdj`
    const GUARANTEED: i32 = -997;
    /// `besteffortOOMScoreAdj`
    const BEST_EFFORT: i32 = 1000;
    match qos {
        QosClass::Guaranteed => GUARANTEED,
        QosClass::BestEffort => BEST_EFFORT,
        QosClass::Burstable => {
            let share = u128::from(memory_request) * 1000 / u128::from(memory_capacity.max(1));
            let adjust = 1000 - i32::try_from(share.min(1000)).unwrap_or(1000);
            // never like a guaranteed pod, nor like best effort
            adjust.clamp(1000 + GUARANTEED, BEST_EFFORT - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_and_shares_are_those_of_the_kubelet_s_own_test_table() {
        // TestMilliCPUToQuota and TestMilliCPUToShares in pkg/kubelet/cm/helpers_linux_test.go
        let quotas = [
            (0, None),
            (5, Some(1_000)),
            (9, Some(1_000)),
            (10, Some(1_000)),
            (200, Some(20_000)),
            (1_500, Some(150_000)),
        ];
        for (milli, quota) in quotas {
            assert_eq!(milli_cpu_to_quota(milli), quota, "{milli}m");
        }
        for (milli, shares) in [(0, 2), (1, 2), (2, 2), (100, 102), (1_000, 1_024), (1_500, 1_536), (256_000, 262_144)]
        {
            assert_eq!(milli_cpu_to_shares(milli), shares, "{milli}m");
        }
        assert_eq!((milli_cpu_to_quota(u64::MAX), milli_cpu_to_shares(u64::MAX)), (Some(u64::MAX), 262_144));
    }

    #[test]
    fn weights_are_those_of_the_runtimes_test_table() {
        // TestConvertCPUSharesToCgroupV2Value in opencontainers/cgroups
        let table = [(0, 100), (1, 1), (2, 1), (1_024, 100), (262_143, 10_000), (262_144, 10_000), (u64::MAX, 10_000)];
        for (shares, weight) in table {
            assert_eq!(shares_to_weight(shares), weight, "{shares} shares");
        }
        assert_eq!((container_weight(0), container_weight(100), container_weight(1_000)), (1, 17, 100));
        for (shares, weight) in [(0, 1), (2, 1), (102, 4), (1_024, 39), (262_144, 10_000), (u64::MAX, 10_000)] {
            assert_eq!(shares_to_weight_linear(shares), weight, "{shares} shares");
        }
    }

    #[test]
    fn more_shares_never_weigh_less() {
        let mut last = 0;
        for shares in 2..=MAX_SHARES {
            let weight = shares_to_weight(shares);
            assert!((last..=10_000).contains(&weight), "{shares} shares weigh {weight} after {last}");
            last = weight;
        }
    }

    #[test]
    fn oom_scores_keep_the_classes_apart() {
        const GI: u64 = 1 << 30;
        assert_eq!(oom_score_adj(QosClass::Guaranteed, GI, 8 * GI), -997);
        assert_eq!(oom_score_adj(QosClass::BestEffort, 0, 8 * GI), 1000);
        for (request, score) in [(0, 999), (4_000_000, 999), (2 * GI, 750), (4 * GI, 500), (8 * GI, 3), (u64::MAX, 3)] {
            assert_eq!(oom_score_adj(QosClass::Burstable, request, 8 * GI), score, "{request}");
        }
        assert_eq!(oom_score_adj(QosClass::Burstable, 1, 0), 3);
    }
}
