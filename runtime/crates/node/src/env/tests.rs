//! The environment of a container, by cases.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use serde_json::json;

use super::*;
use crate::objects::{NodeFacts, Objects, PodRef};

fn objects() -> Objects {
    let mut objects = Objects::default();
    let map: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "cm", "namespace": "ns"}, "data": {"A": "1", "b.c": "2", "bad=name": "3"}
    }))
    .unwrap();
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": "s", "namespace": "ns"}, "data": {"user": "Ym9i", "raw": "/w=="}, "stringData": {"pass": "x"}
    }))
    .unwrap();
    objects.add_config_map(map);
    objects.add_secret(secret);
    objects
}

fn pod(container: serde_json::Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u1", "labels": {"app": "web", "b": "q\"\n"}},
        "spec": {"containers": [container]}
    }))
    .unwrap()
}

fn build(container: serde_json::Value) -> Result<Environment, ConfigError> {
    let (pod, objects) = (pod(container), objects());
    let node = NodeFacts {
        name: "wasmpod".into(),
        host_ips: vec![IpAddr::from([10, 0, 0, 1])],
        milli_cpu: 2000,
        memory_bytes: 1 << 30,
        ephemeral_bytes: 1 << 34,
        cluster_domain: "cluster.local".into(),
    };
    let ips = [IpAddr::from([10, 244, 0, 5]), "fd00:10:244::5".parse().unwrap()];
    let reference = PodRef::of(&pod);
    let context = PodContext { pod: &pod, reference: &reference, pod_ips: &ips, node: &node, objects: &objects };
    environment(&context, &pod.spec.as_ref().unwrap().containers[0])
}

fn env(container: serde_json::Value) -> Vec<(String, String)> {
    build(container).unwrap().into_iter().collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn env_from_comes_first_and_env_wins() {
    let got = env(json!({"name": "c",
        "envFrom": [{"configMapRef": {"name": "cm"}}, {"prefix": "P_", "configMapRef": {"name": "cm"}},
                    {"configMapRef": {"name": "none", "optional": true}}],
        "env": [{"name": "A", "value": "own $(b.c)"}, {"name": "L", "value": "$(LATER) $(P_A)"}, {"name": "LATER", "value": "x"}]}));
    let expected = [("A", "own 2"), ("b.c", "2"), ("P_A", "1"), ("P_b.c", "2"), ("L", "$(LATER) 1"), ("LATER", "x")];
    assert_eq!(got, pairs(&expected));
}

#[test]
fn value_from_everything() {
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let got = env(json!({"name": "c", "resources": {"limits": {"cpu": "250m", "memory": "64Mi"}},
        "env": [field("NAME", "metadata.name"), field("UID", "metadata.uid"), field("APP", "metadata.labels['app']"),
                field("NODE", "spec.nodeName"), field("IP", "status.podIP"), field("IPS", "status.podIPs"), field("SA", "spec.serviceAccountName"),
                {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
                {"name": "MILLI", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
                {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
                {"name": "REQ", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu"}}},
                {"name": "USER", "valueFrom": {"secretKeyRef": {"name": "s", "key": "user"}}},
                {"name": "PASS", "valueFrom": {"secretKeyRef": {"name": "s", "key": "pass"}}},
                {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "A"}}},
                {"name": "GONE", "valueFrom": {"configMapKeyRef": {"name": "cm", "key": "Z", "optional": true}}}]}));
    let expected = [
        ("NAME", "p"),
        ("UID", "u1"),
        ("APP", "web"),
        ("NODE", "wasmpod"),
        ("IP", "10.244.0.5"),
        ("IPS", "10.244.0.5,fd00:10:244::5"),
        ("SA", "default"),
        ("CPU", "1"),
        ("MILLI", "250"),
        ("MEM", "64"),
        ("REQ", "0"),
        ("USER", "bob"),
        ("PASS", "x"),
        ("KEY", "1"),
    ];
    assert_eq!(got, pairs(&expected));
}

#[test]
fn unset_limits_are_the_nodes() {
    let got = env(json!({"name": "c", "env": [
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}}]}));
    assert_eq!(got, pairs(&[("CPU", "2"), ("MEM", "1073741824")]));
}

#[test]
fn what_is_missing_is_named_as_the_kubelet_does() {
    let message = |container| build(container).unwrap_err().to_string();
    let key = |kind: &str, name: &str, key: &str| json!({"name": "c", "env": [{"name": "V", "valueFrom": {kind: {"name": name, "key": key}}}]});
    assert_eq!(message(key("configMapKeyRef", "nope", "k")), "configmap \"nope\" not found");
    assert_eq!(message(key("configMapKeyRef", "cm", "k")), "couldn't find key k in ConfigMap ns/cm");
    assert_eq!(message(key("secretKeyRef", "nope", "k")), "secret \"nope\" not found");
    assert_eq!(message(key("secretKeyRef", "s", "k")), "couldn't find key k in Secret ns/s");
    assert!(message(key("secretKeyRef", "s", "raw")).contains("is not UTF-8 text"));
    assert_eq!(message(json!({"name": "c", "envFrom": [{"secretRef": {"name": "no"}}]})), "secret \"no\" not found");
}

#[test]
fn commands_are_expanded_with_the_manifests_variables_only() {
    let env: Environment = [("A".to_owned(), "1".to_owned())].into_iter().collect();
    let words = vec!["$(A)".to_owned(), "$(HOSTNAME)".to_owned(), "$$(A)".to_owned()];
    assert_eq!(expand_all(Some(&words), &env), ["1", "$(HOSTNAME)", "$(A)"]);
}

#[test]
fn maps_are_written_as_go_does() {
    let got =
        env(json!({"name": "c", "env": [{"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}}]}));
    assert_eq!(got, pairs(&[("L", "app=\"web\"\nb=\"q\\\"\\n\"")]));
}
