//! Volumes and mounts, by cases.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use serde_json::json;

use super::payload::File;
use super::*;
use crate::objects::{NodeFacts, Objects, PodRef};

fn files(volume: serde_json::Value) -> Result<Vec<File>, String> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "resources": {"limits": {"memory": "64Mi"}}}], "volumes": [volume]}
    }))
    .unwrap();
    let mut objects = Objects::default();
    let map: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "cm", "namespace": "ns"}, "data": {"a": "1", "b": "2"}, "binaryData": {"c": "/w=="}
    }))
    .unwrap();
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "s", "namespace": "ns"}, "data": {"k": "dg=="}})).unwrap();
    objects.add_config_map(map);
    objects.add_secret(secret);
    let node = NodeFacts {
        name: "n".into(),
        host_ips: vec![IpAddr::from([10, 0, 0, 1])],
        milli_cpu: 1000,
        memory_bytes: 1 << 30,
        ephemeral_bytes: 1 << 30,
        cluster_domain: "cluster.local".into(),
    };
    let reference = PodRef::of(&pod);
    let context = PodContext { pod: &pod, reference: &reference, pod_ips: &[], node: &node, objects: &objects };
    payload::of(&context, &pod.spec.as_ref().unwrap().volumes.as_ref().unwrap()[0]).map(Option::unwrap_or_default)
}

fn file(path: &str, data: &[u8], mode: u32) -> File {
    File { path: path.to_owned(), data: data.to_vec(), mode }
}

#[test]
fn config_maps_and_secrets_become_files() {
    let got = files(json!({"name": "v", "configMap": {"name": "cm"}})).unwrap();
    assert_eq!(got, [file("a", b"1", 0o644), file("b", b"2", 0o644), file("c", b"\xff", 0o644)]);
    let items = json!([{"key": "b", "path": "d/e"}, {"key": "a", "path": "f", "mode": 0o400}]);
    let got = files(json!({"name": "v", "configMap": {"name": "cm", "defaultMode": 0o600, "items": items}})).unwrap();
    assert_eq!(got, [file("d/e", b"2", 0o600), file("f", b"1", 0o400)]);
    let got = files(json!({"name": "v", "secret": {"secretName": "s", "defaultMode": 256}})).unwrap();
    assert_eq!(got, [file("k", b"v", 0o400)]);
}

#[test]
fn what_is_missing_fails_in_the_kubelets_words_unless_optional() {
    let message = |volume| files(volume).unwrap_err();
    assert_eq!(message(json!({"name": "v", "configMap": {"name": "no"}})), "configmap \"no\" not found");
    assert_eq!(message(json!({"name": "v", "secret": {"secretName": "no"}})), "secret \"no\" not found");
    let items = json!([{"key": "z", "path": "z"}, {"key": "a", "path": "a"}]);
    let map = |optional: bool| json!({"name": "v", "configMap": {"name": "cm", "items": items, "optional": optional}});
    assert_eq!(message(map(false)), "configmap references non-existent config key: z");
    assert_eq!(files(map(true)).unwrap(), [file("a", b"1", 0o644)]);
    let secret = json!({"name": "v", "secret": {"secretName": "s", "items": [{"key": "z", "path": "z"}]}});
    assert_eq!(message(secret), "references non-existent secret key: z");
    assert_eq!(files(json!({"name": "v", "configMap": {"name": "no", "optional": true}})).unwrap(), []);
}

#[test]
fn projected_volumes_join_their_sources() {
    let sources = json!([
        {"configMap": {"name": "cm", "items": [{"key": "a", "path": "x"}]}},
        {"secret": {"name": "s"}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "mem", "mode": 0o444, "resourceFieldRef": {"containerName": "c", "resource": "limits.memory", "divisor": "1Mi"}}]}}]);
    let got = files(json!({"name": "v", "projected": {"defaultMode": 0o640, "sources": sources}})).unwrap();
    let expected = [
        file("k", b"v", 0o640),
        file("labels", b"app=\"web\"", 0o640),
        file("mem", b"64", 0o444),
        file("x", b"1", 0o640),
    ];
    assert_eq!(got, expected);
}

fn mount(
    mount: serde_json::Value,
    read_only: bool,
    file: Option<&str>,
) -> Result<(String, bool, Option<String>), String> {
    let container: Container = serde_json::from_value(json!({"name": "c", "volumeMounts": [mount]})).unwrap();
    let volume = Volume::tmpfs(TmpfsOptions::default());
    let volumes = PodVolumes::from([("v".to_owned(), Mounted { volume, read_only, file: file.map(str::to_owned) })]);
    let env = Environment::from_iter([("A".to_owned(), "1".to_owned())]);
    let made = mounts(&container, &volumes, &env).map_err(|error| error.to_string())?;
    Ok((made[0].path.clone(), made[0].options.read_only, made[0].options.sub_path.clone()))
}

#[test]
fn mounts_say_where_and_how() {
    let ok = |path: &str, read_only, sub: Option<&str>| Ok((path.to_owned(), read_only, sub.map(str::to_owned)));
    assert_eq!(mount(json!({"name": "v", "mountPath": "/a"}), false, None), ok("/a", false, None));
    assert_eq!(mount(json!({"name": "v", "mountPath": "a"}), true, None), ok("/a", true, None));
    let read_only = json!({"name": "v", "mountPath": "/a", "readOnly": true, "subPath": "s/t"});
    assert_eq!(mount(read_only, false, None), ok("/a", true, Some("s/t")));
    let expression = |text: &str| json!({"name": "v", "mountPath": "/a", "subPathExpr": text});
    assert_eq!(mount(expression("x/$(A)"), false, None), ok("/a", false, Some("x/1")));
    assert_eq!(mount(json!({"name": "v", "mountPath": "/a"}), false, Some("f")), ok("/a", false, Some("f")));
    let message = "failed to prepare subPath for volumeMount \"v\" of container \"c\"".to_owned();
    assert_eq!(mount(expression("$(NO)"), false, None), Err(message.clone()));
    assert_eq!(mount(json!({"name": "v", "mountPath": "/a", "subPath": "../b"}), false, None), Err(message));
}

#[test]
fn an_empty_dir_is_as_large_as_it_says() {
    let storage = Quota::root("n", None, None);
    let source = |value| serde_json::from_value::<EmptyDirVolumeSource>(value).unwrap();
    let memory = empty_dir(&source(json!({"medium": "Memory", "sizeLimit": "1Mi"})), Some(7), &storage);
    assert_eq!((memory.size_limit, memory.memory_backed, memory.gid, memory.mode), (Some(1 << 20), true, 7, 0o2777));
    assert!(memory.quota.is_none(), "memory is not disk");
    let disk = empty_dir(&source(json!({})), None, &storage);
    assert_eq!((disk.size_limit, disk.memory_backed, disk.mode, disk.quota.is_some()), (None, false, 0o777, true));
}
