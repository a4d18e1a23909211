//! The quality of service class of a pod: `pkg/apis/core/v1/helper/qos/qos.go`.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};

use crate::quantity::Quantity;

/// How a pod is treated when the node runs short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QosClass {
    /// Every container has limits for CPU and memory, equal to its requests.
    Guaranteed,
    /// Something is requested or limited.
    Burstable,
    /// Nothing is.
    BestEffort,
}

impl fmt::Display for QosClass {
    /// The name in `status.qosClass`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        })
    }
}

/// The class of a defaulted pod. Only CPU and memory count; regular and init containers (sidecars too) do, ephemeral ones do not. If
/// the pod has resources of its own, only these count.
#[must_use]
pub fn qos_class(spec: &PodSpec) -> QosClass {
    let mut sums = Sums::default();
    let own = spec.resources.as_ref().filter(|own| own.requests.is_some() || own.limits.is_some());
    if let Some(own) = own {
        sums.add(Some(own));
    } else {
        for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
            sums.add(container.resources.as_ref());
        }
    }
    if sums.requests.is_empty() && sums.limits.is_empty() {
        QosClass::BestEffort
    } else if sums.all_limited && sums.requests == sums.limits {
        QosClass::Guaranteed
    } else {
        QosClass::Burstable
    }
}

struct Sums {
    requests: BTreeMap<String, Quantity>,
    limits: BTreeMap<String, Quantity>,
    all_limited: bool,
}

impl Default for Sums {
    fn default() -> Self {
        Self { requests: BTreeMap::new(), limits: BTreeMap::new(), all_limited: true }
    }
}

impl Sums {
    fn add(&mut self, resources: Option<&ResourceRequirements>) {
        let mut limited = 0;
        let halves = [
            (resources.and_then(|r| r.requests.as_ref()), &mut self.requests, false),
            (resources.and_then(|r| r.limits.as_ref()), &mut self.limits, true),
        ];
        for (map, sum, is_limit) in halves {
            for name in ["cpu", "memory"] {
                let amount = map.and_then(|map| map.get(name)).and_then(|text| Quantity::parse(&text.0).ok());
                let Some(amount) = amount.filter(|amount| *amount > Quantity::ZERO) else { continue };
                limited += usize::from(is_limit);
                let entry = sum.entry(name.to_owned()).or_insert(Quantity::ZERO);
                *entry = entry.checked_add(&amount).unwrap_or(Quantity::from_units(i64::MAX));
            }
        }
        self.all_limited &= limited == 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: serde_json::Value) -> PodSpec {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn classes() {
        let both = serde_json::json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}});
        let none = serde_json::json!({});
        let limits_only = serde_json::json!({"limits": {"cpu": "1", "memory": "1Gi"}});
        let zero = serde_json::json!({"requests": {"cpu": "0"}});
        let other = serde_json::json!({"requests": {"example.com/gpu": "1"}});
        for (containers, want) in [
            (vec![&both], QosClass::Guaranteed),
            (vec![&both, &none], QosClass::Burstable),
            (vec![&none], QosClass::BestEffort),
            (vec![&zero], QosClass::BestEffort),
            (vec![&other], QosClass::BestEffort),
            (vec![&limits_only], QosClass::Burstable), // before defaulting has copied limits to requests
        ] {
            let list: Vec<_> = containers.iter().map(|r| serde_json::json!({"name": "c", "resources": r})).collect();
            assert_eq!(qos_class(&spec(serde_json::json!({"containers": list}))), want, "{containers:?}");
        }
    }

    #[test]
    fn init_containers_count_and_pod_level_wins() {
        let init = serde_json::json!({"containers": [{"name": "c"}], "initContainers": [{"name": "i", "resources": {"requests": {"cpu": "1m"}}}]});
        assert_eq!(qos_class(&spec(init)), QosClass::Burstable);
        let pod = serde_json::json!({
            "containers": [{"name": "c"}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}},
        });
        assert_eq!(qos_class(&spec(pod)), QosClass::Guaranteed);
        assert_eq!(QosClass::Guaranteed.to_string(), "Guaranteed");
    }
}
