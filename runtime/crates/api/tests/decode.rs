//! Whole files through the one way in: kinds, lists, places, what is said and what is left unsaid.

use wasmpod_api::{Manifest, Object, Severity, check_duplicate_objects, decode};

fn errors(text: &str) -> Vec<String> {
    decode("f", text.as_bytes()).unwrap_err().items().iter().map(ToString::to_string).collect()
}

fn manifest(text: &str) -> Manifest {
    decode("f", text.as_bytes()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn names(manifest: &Manifest) -> Vec<String> {
    let name = |object: &Object| format!("{}/{}/{}", object.kind(), object.namespace(), object.name());
    manifest.objects.iter().map(|decoded| name(&decoded.object)).collect()
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: i}]}\n";

#[test]
fn lists_are_taken_apart() {
    let text = "
apiVersion: v1
kind: List
metadata: {resourceVersion: ''}
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: m, namespace: other}
- apiVersion: v1
  kind: PodList
  items:
  - metadata: {name: p}
    spec:
      containers:
      - name: c
        image: i
---
apiVersion: v1
kind: SecretList
items:
---
";
    let manifest = manifest(text);
    assert_eq!(names(&manifest), ["ConfigMap/other/m", "Pod/default/p"]);
    assert_eq!(manifest.objects[1].position("spec.containers[0].image"), (16, 16));
    let diagnostic = manifest.objects[1].diagnostic(Severity::Error, "spec.containers[0].image", "no such image");
    assert_eq!(diagnostic.to_string(), "f:16:16: items[1].items[0].spec.containers[0].image: no such image");
    assert_eq!(errors("apiVersion: v1\nkind: List\nitems: {}\n"), ["f:3:1: items: expected array, found object"]);
    assert_eq!(errors("apiVersion: v1\nkind: List\nitem: []\n"), ["f:3:1: item: unknown field"]);
}

#[test]
fn json_and_yaml_are_the_same() {
    let json = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "c", "image": "i"}]}}"#;
    assert_eq!(manifest(json).objects[0].object, manifest(POD).objects[0].object);
}

#[test]
fn places_of_missing_fields_are_what_should_have_them() {
    let manifest = manifest(POD);
    let decoded = &manifest.objects[0];
    assert_eq!(decoded.position(""), (1, 1));
    assert_eq!(decoded.position("spec.containers[0].image"), (4, 38));
    assert_eq!(decoded.position("spec.containers[0].resources.limits[cpu]"), (4, 21));
    assert_eq!(decoded.position("status.phase"), (1, 1));
    assert_eq!(decoded.file(), "f");
}

#[test]
fn one_mistake_is_one_error() {
    // that `image` is missing follows from its misspelling, that a port is required from its wrong type
    let text = POD.replace("image: i", "imagee: i, ports: [{containerPort: '80'}]");
    assert_eq!(
        errors(&text),
        [
            "f:4:31: spec.containers[0].imagee: unknown field; did you mean \"image\"?",
            "f:4:66: spec.containers[0].ports[0].containerPort: expected integer, found string; remove the quotes: 80",
        ]
    );
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\ncontainers: [{name: c, image: i}]\n";
    assert_eq!(errors(text), ["f:4:1: containers: unknown field; \"containers\" belongs under spec"]);
    // what has nothing to do with it is still said
    let text = POD.replace("image: i", "imagee: i").replace("name: a", "name: A");
    assert_eq!(errors(&text).len(), 2);
}

#[test]
fn what_the_server_decides_is_not_taken() {
    let text = POD.replace(
        "name: a",
        "name: a, uid: x, resourceVersion: '7', generation: 3, creationTimestamp: 2001-01-01T00:00:00Z, managedFields: [{manager: m, fieldsV1: {'f:x': {}}}]",
    ) + "status: {phase: Failed}\n";
    assert_eq!(manifest(&text).objects[0].object, manifest(POD).objects[0].object);
    let text = POD.replace("name: a", "name: a, creationTimestamp: yesterday");
    assert!(errors(&text)[0].contains("metadata.creationTimestamp: not a time of RFC 3339"), "{:?}", errors(&text));
}

#[test]
fn secrets_and_config_maps() {
    let text = "
apiVersion: v1
kind: Secret
metadata: {name: s}
data: {a: aGVsbG8=, b: eA==}
stringData: {b: 'plain'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: s}
data: {a: x, e: ~}
binaryData: {b: AAE=}
";
    let manifest = manifest(text);
    let Object::Secret(secret) = &manifest.objects[0].object else { panic!("not a secret") };
    let data = secret.data.as_ref().unwrap();
    assert_eq!((data["a"].0.as_slice(), data["b"].0.as_slice()), (b"hello".as_slice(), b"plain".as_slice()));
    assert_eq!((secret.type_.as_deref(), &secret.string_data), (Some("Opaque"), &None));
    let Object::ConfigMap(map) = &manifest.objects[1].object else { panic!("not a config map") };
    assert_eq!(map.data.as_ref().unwrap()["e"], "");
    assert_eq!(map.binary_data.as_ref().unwrap()["b"].0, [0, 1]);

    let both = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: x}\nbinaryData: {a: AAE=}\n";
    assert_eq!(errors(both), ["f:4:11: data[a]: Invalid value: \"a\": duplicate of key present in binaryData"]);
    let large =
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m}}\ndata: {{a: {}}}\n", "x".repeat(1_048_577));
    assert_eq!(errors(&large), ["f:1:1: Too long: may not be more than 1048576 bytes"]);
}

#[test]
fn names_are_unique_across_files() {
    let (a, b) = (manifest(POD), decode("g", format!("\n{POD}").as_bytes()).unwrap());
    let other = manifest(&POD.replace("name: a", "name: a, namespace: other"));
    let generated = POD.replace("name: a", "generateName: a-");
    let (c, d) = (manifest(&generated), manifest(&generated));
    assert!(
        check_duplicate_objects(a.objects.iter().chain(&other.objects).chain(&c.objects).chain(&d.objects)).is_ok()
    );
    let error = check_duplicate_objects(a.objects.iter().chain(&b.objects)).unwrap_err();
    assert_eq!(error.to_string(), "g:4:18: metadata.name: duplicate Pod \"default/a\"; the first is on f:3:18");
}

#[test]
fn warnings_have_places() {
    let text = "
apiVersion: v1
kind: Pod
metadata: {name: a.b}
spec:
  containers:
  - name: c
    image: i
    env:
    - {name: A}
    - {name: A}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: m}
data:
  y: a
";
    let manifest = manifest(text);
    let warnings: Vec<_> = manifest.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "f:4:18: warning: metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
            "f:11:7: warning: spec.containers[0].env[1]: hides previous definition of \"A\", which may be dropped when using apply",
            "f:17:3: warning: the key y is the boolean true in YAML; quote it: \"y\"",
        ]
    );
}

#[test]
fn a_hostile_manifest_has_a_short_answer() {
    let env: String = (0..20_000).map(|n| format!("    - {{nme{n}: '', name: ''}}\n")).collect();
    let text = format!(
        "{}    env:\n{env}",
        POD.replace("{containers: [{name: c, image: i}]}", "\n  containers:\n  - name: c\n    image: i")
    );
    let list = decode("f", text.as_bytes()).unwrap_err();
    assert_eq!((list.items().len(), list.omitted()), (50, 2 * 20_000 - 50));
    let name = "A".repeat(1_000_000);
    assert!(errors(&POD.replace("name: a", &format!("name: {name}"))).iter().all(|line| line.len() < 3_000));
    assert!(errors(&POD.replace("image: i", &format!("? {name}\n : 1"))).iter().all(|line| line.len() < 3_000));
}

/// The other half of `specs/`: what runs there must at least be read, so that a rule added here cannot refuse it unseen.
#[test]
fn the_manifests_of_specs_pods_are_accepted() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../specs/pods");
    let mut count = 0;
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_some_and(|extension| extension == "yaml") {
            count += 1;
            let bytes = std::fs::read(&path).unwrap();
            let outcome = decode(&path.to_string_lossy(), &bytes);
            assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
        }
    }
    assert!(count > 5, "only {count} manifests");
}

#[test]
fn a_list_of_nothing_is_no_object() {
    for text in ["apiVersion: v1\nkind: List\n", "apiVersion: v1\nkind: List\nitems: []\n---\n", "", "---\n---\n"] {
        let refused = decode("file.yaml", text.as_bytes()).map(drop).expect_err(text).to_string();
        assert!(refused.contains("no object in this file"), "{refused}");
    }
}
