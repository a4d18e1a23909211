//! The table knows every field of Kubernetes 1.36, and says the right thing of the common ones.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;

/// `Name field:type …` by type, as `api` has it from Kubernetes' OpenAPI document.
const SCHEMA: &str = include_str!("../../../api/src/schema/v1_36.txt");

fn schema() -> BTreeMap<&'static str, Vec<(&'static str, &'static str)>> {
    let line = |line: &'static str| {
        let mut words = line.split(' ');
        (words.next().unwrap(), words.map(|word| word.split_once(':').unwrap()).collect())
    };
    SCHEMA.lines().filter(|text| !text.starts_with('#')).map(line).collect()
}

#[test]
fn every_field_of_kubernetes_is_in_the_table_and_no_other() {
    let schema = schema();
    let mut todo = vec![&POD];
    let mut seen = Vec::new();
    while let Some(of) = todo.pop() {
        if seen.contains(&of.name) {
            continue;
        }
        seen.push(of.name);
        let expected: Vec<&str> = schema[of.name].iter().map(|(name, _)| *name).collect();
        let got: Vec<&str> = of.fields.iter().map(|field| field.name).collect();
        assert_eq!(got, expected, "{}", of.name);
        for (field, (_, kind)) in of.fields.iter().zip(&schema[of.name]) {
            match field.support {
                Support::Fields(inner) => {
                    assert_eq!(*kind, inner.name, "{}.{}", of.name, field.name);
                    todo.push(inner);
                }
                Support::Items(inner) => {
                    assert_eq!(*kind, format!("[{}]", inner.name), "{}.{}", of.name, field.name);
                    todo.push(inner);
                }
                _ => {}
            }
        }
    }
    for of in ["PodSpec", "Container", "Volume", "VolumeMount", "EnvVarSource", "SecurityContext", "PodSecurityContext"]
    {
        assert!(seen.contains(&of), "{of} is not reached");
    }
}

fn findings(spec: serde_json::Value) -> Vec<(Verdict, String, String)> {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": "b"}}, "spec": spec});
    check(&pod).into_iter().map(|f| (f.verdict, f.field, f.message)).collect()
}

#[test]
fn a_plain_pod_is_fine_and_so_are_defaults() {
    let spec = json!({
        "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler", "enableServiceLinks": true,
        "terminationGracePeriodSeconds": 30, "securityContext": {}, "serviceAccountName": "x", "hostNetwork": false,
        "preemptionPolicy": "PreemptLowerPriority", "priority": 0,
        "containers": [{"name": "c", "image": "./a.wasm", "imagePullPolicy": "Always", "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File", "ports": [{"containerPort": 80, "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "1"}, "requests": {"memory": "1Mi"}},
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": "None", "readOnly": true}]}],
        "volumes": [{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]
    });
    assert_eq!(findings(spec), []);
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    let spec = json!({
        "initContainers": [{"name": "s", "restartPolicy": "Always"}],
        "containers": [{"name": "c", "livenessProbe": {"exec": {}, "periodSeconds": 1}, "resources": {"limits": {"nvidia.com/gpu": "1"}}}],
        "volumes": [{"name": "v", "nfs": {"server": "x", "path": "/"}}]
    });
    let got = findings(spec);
    assert!(got.iter().all(|(verdict, _, _)| *verdict == Verdict::Refused));
    let fields: Vec<&str> = got.iter().map(|(_, field, _)| field.as_str()).collect();
    let mut expected = [
        "spec.initContainers[0].restartPolicy",
        "spec.containers[0].livenessProbe",
        "spec.containers[0].resources.limits[nvidia.com/gpu]",
        "spec.volumes[0].nfs",
    ];
    let mut fields = fields.clone();
    fields.sort_unstable();
    expected.sort_unstable();
    assert_eq!(fields, expected);
    let probe = got.iter().find(|(_, field, _)| field.ends_with("livenessProbe")).unwrap();
    assert!(probe.2.starts_with("not supported by this version of wasmpod"), "{}", probe.2);
}

#[test]
fn scheduling_is_accepted_with_a_warning() {
    let spec = json!({"nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "a"}], "containers": [{"name": "c"}]});
    let got = findings(spec);
    assert_eq!(got.len(), 2);
    assert!(
        got.iter().all(|(verdict, _, message)| *verdict == Verdict::Warning && message.starts_with("has no effect: "))
    );
}
