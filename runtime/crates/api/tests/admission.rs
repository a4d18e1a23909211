//! Every recorded answer of a real API server against this crate: accepted objects are accepted and defaulted to the same, refused ones
//! are refused in the same words.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use wasmpod_api::{Diagnostic, Manifest, Object, decode};

/// Cases whose answer differs, and why. A case here that starts to match fails the test, so that the list cannot rot.
const DIFFERENT: &[(&str, &str)] = &[
    ("unknown-field-ignore", "the request asks for fieldValidation=Ignore; a manifest is always read strictly"),
    ("generate-name-bad", "the server also judges the random name it made; here names are made later"),
    ("no-kind", "a request says the kind in its URL; a file must say it itself"),
    ("namespace-mismatch", "there is no request whose namespace could differ"),
    ("priority-class-missing", "an admission plugin's answer; there are no PriorityClasses here"),
    ("priority-value-nonzero", "an admission plugin's answer; there are no PriorityClasses here"),
    ("unsupported-media-type", "there is no request that has a content type"),
];

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    query: BTreeMap<String, String>,
    manifest: Option<Value>,
    raw: Option<String>,
    status: u16,
    message: Option<String>,
    #[serde(default)]
    causes: Vec<Cause>,
    #[serde(default)]
    warnings: Vec<String>,
    result: Option<Value>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(default)]
    field: String,
    message: String,
}

fn cases() -> Vec<Case> {
    let text = include_str!("../testdata/admission-create.jsonl");
    text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn answers_are_those_of_the_api_server() {
    let mut failures = Vec::new();
    let mut matched = 0;
    for case in cases() {
        let outcome = check(&case);
        let listed = DIFFERENT.iter().find(|(name, _)| *name == case.name);
        match (outcome, listed) {
            (Ok(()), None) => matched += 1,
            (Err(_), Some(_)) => {}
            (Ok(()), Some(_)) => failures.push(format!("{}: listed as different, but matches now", case.name)),
            (Err(text), None) => failures.push(format!("{}: {text}", case.name)),
        }
    }
    let known = cases();
    for (name, _) in DIFFERENT {
        assert!(known.iter().any(|case| case.name == *name), "{name} is not a case");
    }
    assert!(failures.is_empty(), "{matched} match, {} do not:\n{}", failures.len(), failures.join("\n"));
    assert!(matched > 200, "only {matched} cases: the file is not complete");
}

fn check(case: &Case) -> Result<(), String> {
    let text = match (&case.manifest, &case.raw) {
        (Some(manifest), _) => manifest.to_string(),
        (None, Some(raw)) => raw.clone(),
        (None, None) => return Err("neither manifest nor raw".into()),
    };
    match (decode("case", text.as_bytes()), case.status) {
        (Ok(manifest), 201) => accepted(case, &manifest),
        (Ok(_), status) => Err(format!("accepted, but the server answers {status}: {:?}", case.message)),
        (Err(errors), 201) => Err(format!("refused: {errors}")),
        (Err(errors), status) => refused(case, status, errors.items()),
    }
}

fn accepted(case: &Case, manifest: &Manifest) -> Result<(), String> {
    let [decoded] = manifest.objects.as_slice() else { return Err(format!("{} objects", manifest.objects.len())) };
    let Object::Pod(pod) = &decoded.object else { return Err("not a Pod".into()) };
    let got = comparable(serde_json::to_value(pod).map_err(|error| error.to_string())?);
    let want = comparable(case.result.clone().unwrap_or_default());
    if got != want {
        return Err(format!("result differs\n   got {got}\n  want {want}"));
    }
    let qos = wasmpod_api::qos_class(pod.spec.as_ref().ok_or("no spec")?).to_string();
    let want_qos = case.result.as_ref().and_then(|result| result.pointer("/status/qosClass")).and_then(Value::as_str);
    if want_qos != Some(&qos) {
        return Err(format!("QoS class {qos}, the server says {want_qos:?}"));
    }
    let warnings: Vec<_> = manifest
        .warnings
        .iter()
        .map(|w| if w.field.is_empty() { w.message.clone() } else { format!("{}: {}", w.field, w.message) })
        .collect();
    if warnings != case.warnings {
        return Err(format!("warnings {warnings:?}, the server's are {:?}", case.warnings));
    }
    Ok(())
}

/// Without what the server's store and its admission plugins add, and without what Go leaves out because it is empty.
fn comparable(mut object: Value) -> Value {
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["namespace", "generation", "uid", "creationTimestamp", "resourceVersion", "selfLink"] {
            meta.remove(field);
        }
        // a name made of generateName is random
        if meta.contains_key("generateName") {
            meta.remove("name");
        }
    }
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
        let added = |toleration: &Value| {
            toleration["tolerationSeconds"] == json!(300)
                && toleration["key"].as_str().is_some_and(|key| key.starts_with("node.kubernetes.io/"))
        };
        if let Some(tolerations) = spec.get_mut("tolerations").and_then(Value::as_array_mut) {
            tolerations.retain(|toleration| !added(toleration));
            if tolerations.is_empty() {
                spec.remove("tolerations");
            }
        }
        spec.remove("priority");
        spec.remove("preemptionPolicy");
    }
    object
}

fn refused(case: &Case, status: u16, errors: &[Diagnostic]) -> Result<(), String> {
    let shown = || errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n       ");
    let mut got: Vec<_> = errors.iter().map(|error| (error.field.clone(), error.message.clone())).collect();
    if status == 422 {
        let mut want: Vec<_> = case.causes.iter().map(|cause| (cause.field.clone(), cause.message.clone())).collect();
        got.sort();
        want.sort();
        return if got == want { Ok(()) } else { Err(format!("causes differ\n   got {got:?}\n  want {want:?}")) };
    }
    let message = case.message.as_deref().unwrap_or_default();
    if let Some((_, list)) = message.split_once("strict decoding error: ") {
        let want: Vec<_> =
            list.split(", ").map(|part| part.trim_start_matches("unknown field ").trim_matches('"')).collect();
        let fields: Vec<_> = got.iter().map(|(field, _)| field.as_str()).collect();
        let all_unknown = got.iter().all(|(_, message)| message == "unknown field");
        return if all_unknown && fields == want {
            Ok(())
        } else {
            Err(format!("want unknown {want:?}, got {}", shown()))
        };
    }
    if let Some((_, rest)) = message.split_once("json: cannot unmarshal ") {
        // number into Go struct field EnvVar.spec.containers.env.value of type string
        let words: Vec<_> = rest.split(' ').collect();
        let [found, .., path, "of", "type", expected] = words.as_slice() else {
            return Err(format!("cannot read {rest}"));
        };
        let path = path.split_once('.').map_or("", |(_, path)| path);
        let expected = match *expected {
            "int32" | "int64" => "integer",
            "bool" => "boolean",
            other => other,
        };
        let fits = |(field, message): &(String, String)| {
            let plain: String = field.chars().filter(|c| !"[]0123456789".contains(*c)).collect();
            let found = if *found == "number" { "integer" } else { found };
            plain == path && *message == format!("expected {expected}, found {found}")
        };
        return if got.len() == 1 && got.iter().all(fits) {
            Ok(())
        } else {
            Err(format!("want {rest}, got {}", shown()))
        };
    }
    // other refusals are one sentence: ours holds the heart of it
    let heart = message.rsplit_once("cannot be handled as a Pod: ").map_or(message, |(_, heart)| heart);
    let heart = heart.split(" in scheme ").next().unwrap_or(heart);
    if got.iter().any(|(_, message)| message.contains(heart)) {
        Ok(())
    } else {
        Err(format!("want {heart:?} ({status}), got {}; query {:?}", shown(), case.query))
    }
}
