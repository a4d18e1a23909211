//! Where a pod may run: tolerations, selectors, affinity, spreading.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, Toleration, TopologySpreadConstraint,
    WeightedPodAffinityTerm,
};

use super::error::Errors;
use super::meta::label_selector;
use super::names::{dns_label, dns_subdomain, label_value, qualified_name};
use super::path::Path;
use super::{list, text};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn tolerations(tolerations: &[Toleration], path: &Path<'_>, errors: &mut Errors) {
    for (index, toleration) in tolerations.iter().enumerate() {
        let at = path.index(index);
        let (key, operator) = (text(&toleration.key), text(&toleration.operator));
        let (value, effect) = (text(&toleration.value), text(&toleration.effect));
        let operator_at = at.child("operator");
        if !key.is_empty() {
            errors.invalid_all(&at.child("key"), key, qualified_name(key));
        } else if operator != "Exists" {
            let message = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.invalid(&operator_at, operator, message);
        }
        if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
            errors.invalid(&at.child("effect"), effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
        }
        match operator {
            "Equal" | "" => {
                let messages = label_value(value);
                if !messages.is_empty() {
                    errors.invalid(&operator_at, value, messages.join(";"));
                }
            }
            "Exists" if !value.is_empty() => {
                errors.invalid(&operator_at, value, "value must be empty when `operator` is 'Exists'");
            }
            "Exists" => {}
            "Lt" | "Gt" => errors.not_supported(&operator_at, operator, &["Equal", "Exists", "Lt", "Gt"]),
            other => errors.not_supported(&operator_at, other, &["Equal", "Exists"]),
        }
        if !effect.is_empty() {
            errors.one_of(&at.child("effect"), effect, &["NoSchedule", "PreferNoSchedule", "NoExecute"]);
        }
    }
}

pub(super) fn affinity(affinity: &Affinity, path: &Path<'_>, errors: &mut Errors) {
    if let Some(node) = &affinity.node_affinity {
        let at = path.child("nodeAffinity");
        if let Some(selector) = &node.required_during_scheduling_ignored_during_execution {
            let terms = at.child(REQUIRED);
            let terms = terms.child("nodeSelectorTerms");
            if selector.node_selector_terms.is_empty() {
                errors.required(&terms, "must have at least one node selector term");
            }
            for (index, term) in selector.node_selector_terms.iter().enumerate() {
                node_term(term, true, &terms.index(index), errors);
            }
        }
        let preferred = at.child(PREFERRED);
        for (index, term) in list(&node.preferred_during_scheduling_ignored_during_execution).iter().enumerate() {
            let at = preferred.index(index);
            weight(term.weight, &at, errors);
            node_term(&term.preference, false, &at.child("preference"), errors);
        }
    }
    if let Some(pods) = &affinity.pod_affinity {
        pod_terms(
            list(&pods.required_during_scheduling_ignored_during_execution),
            list(&pods.preferred_during_scheduling_ignored_during_execution),
            &path.child("podAffinity"),
            errors,
        );
    }
    if let Some(pods) = &affinity.pod_anti_affinity {
        pod_terms(
            list(&pods.required_during_scheduling_ignored_during_execution),
            list(&pods.preferred_during_scheduling_ignored_during_execution),
            &path.child("podAntiAffinity"),
            errors,
        );
    }
}

fn weight(weight: i32, path: &Path<'_>, errors: &mut Errors) {
    if !(1..=100).contains(&weight) {
        errors.invalid(&path.child("weight"), &weight, "must be in the range 1-100");
    }
}

fn node_term(term: &NodeSelectorTerm, check_values: bool, path: &Path<'_>, errors: &mut Errors) {
    let expressions = path.child("matchExpressions");
    for (index, requirement) in list(&term.match_expressions).iter().enumerate() {
        node_requirement(requirement, check_values, &expressions.index(index), errors);
    }
    let fields = path.child("matchFields");
    for (index, requirement) in list(&term.match_fields).iter().enumerate() {
        let at = fields.index(index);
        let values = list(&requirement.values);
        match requirement.operator.as_str() {
            "In" | "NotIn" if values.len() != 1 => {
                let message = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.required(&at.child("values"), message);
            }
            "In" | "NotIn" => {}
            other => errors.invalid(&at.child("operator"), other, "not a valid selector operator"),
        }
        if requirement.key != "metadata.name" {
            errors.invalid(&at.child("key"), &requirement.key, "not a valid field selector key");
            continue;
        }
        let path = at.child("values");
        for (index, value) in values.iter().enumerate() {
            errors.invalid_all(&path.index(index), value, dns_subdomain(value));
        }
    }
}

fn node_requirement(requirement: &NodeSelectorRequirement, check_values: bool, path: &Path<'_>, errors: &mut Errors) {
    let values = list(&requirement.values);
    let at = path.child("values");
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            errors.required(&at, "must be specified when `operator` is 'In' or 'NotIn'")
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            errors.forbidden(&at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Gt" | "Lt" if values.len() != 1 => {
            errors.required(&at, "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => errors.invalid(&path.child("operator"), other, "not a valid selector operator"),
    }
    errors.invalid_all(&path.child("key"), &requirement.key, qualified_name(&requirement.key));
    for (index, value) in values.iter().enumerate().filter(|_| check_values) {
        errors.invalid_all(&at.index(index), value, label_value(value));
    }
}

fn pod_terms(
    required: &[PodAffinityTerm],
    preferred: &[WeightedPodAffinityTerm],
    path: &Path<'_>,
    errors: &mut Errors,
) {
    let at = path.child(REQUIRED);
    for (index, term) in required.iter().enumerate() {
        pod_term(term, &at.index(index), errors);
    }
    let at = path.child(PREFERRED);
    for (index, term) in preferred.iter().enumerate() {
        let at = at.index(index);
        weight(term.weight, &at, errors);
        pod_term(&term.pod_affinity_term, &at.child("podAffinityTerm"), errors);
    }
}

fn pod_term(term: &PodAffinityTerm, path: &Path<'_>, errors: &mut Errors) {
    label_selector(term.label_selector.as_ref(), &path.child("labelSelector"), errors);
    label_selector(term.namespace_selector.as_ref(), &path.child("namespaceSelector"), errors);
    for name in list(&term.namespaces) {
        errors.invalid_all(&path.child("namespace"), name, dns_label(name));
    }
    let at = path.child("topologyKey");
    if term.topology_key.is_empty() {
        errors.required(&at, "can not be empty");
    }
    errors.invalid_all(&at, &term.topology_key, qualified_name(&term.topology_key));
}

pub(super) fn topology_spread(constraints: &[TopologySpreadConstraint], path: &Path<'_>, errors: &mut Errors) {
    // where each pair of key and action stands last: a duplicate is said of the earlier ones
    let pair = |constraint: &'_ TopologySpreadConstraint| {
        (constraint.topology_key.clone(), constraint.when_unsatisfiable.clone())
    };
    let last: BTreeMap<_, _> =
        constraints.iter().enumerate().map(|(index, constraint)| (pair(constraint), index)).collect();
    for (index, constraint) in constraints.iter().enumerate() {
        let at = path.index(index);
        let when = constraint.when_unsatisfiable.as_str();
        if constraint.max_skew <= 0 {
            errors.invalid(&at.child("maxSkew"), &constraint.max_skew, "must be greater than zero");
        }
        let key = constraint.topology_key.as_str();
        if key.is_empty() {
            errors.required(&at.child("topologyKey"), "can not be empty");
        } else {
            errors.invalid_all(&at.child("topologyKey"), key, qualified_name(key));
        }
        errors.one_of(&at.child("whenUnsatisfiable"), when, &["DoNotSchedule", "ScheduleAnyway"]);
        if last.get(&pair(constraint)).is_some_and(|last| *last > index) {
            errors.duplicate(&at.child("{topologyKey, whenUnsatisfiable}"), &format!("{{{key}, {when}}}"));
        }
        if let Some(domains) = constraint.min_domains {
            if domains <= 0 {
                errors.invalid(&at.child("minDomains"), &domains, "must be greater than zero");
            }
            if when != "DoNotSchedule" {
                let message = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}");
                errors.invalid(&at.child("minDomains"), &domains, message);
            }
        }
        for (field, policy) in [
            ("nodeAffinityPolicy", &constraint.node_affinity_policy),
            ("nodeTaintsPolicy", &constraint.node_taints_policy),
        ] {
            if let Some(policy) = policy {
                errors.one_of(&at.child(field), policy, &["Honor", "Ignore"]);
            }
        }
        label_selector(constraint.label_selector.as_ref(), &at.child("labelSelector"), errors);
    }
}
