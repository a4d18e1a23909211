//! Manifests: any bytes are read to the end and either refused with places that exist, or they are objects that stay what they are
//! when they are written as JSON and read again.

use wasmpod_api::diagnostic::MAX_DIAGNOSTICS;
use wasmpod_api::{Diagnostic, KINDS, MAX_OBJECTS, Manifest, Object, decode};

/// Reads the bytes as a manifest.
///
/// # Panics
/// If decoding shows a bug.
pub fn run(data: &[u8]) {
    match decode("fuzz.yaml", data) {
        Ok(manifest) => accepted(data, &manifest),
        Err(refused) => {
            let (items, text) = (refused.items(), refused.to_string());
            assert!(!items.is_empty() && items.len() <= MAX_DIAGNOSTICS, "{} problems", items.len());
            items.iter().for_each(|item| place_exists(data, item));
            let again = decode("fuzz.yaml", data).map(drop).map_err(|again| again.to_string());
            assert_eq!(again, Err(text), "the same file is refused in other words");
        }
    }
}

fn accepted(data: &[u8], manifest: &Manifest) {
    let objects = &manifest.objects;
    assert!(!objects.is_empty() && objects.len() <= MAX_OBJECTS, "{} objects", objects.len());
    manifest.warnings.iter().for_each(|warning| place_exists(data, warning));
    for decoded in objects {
        let object = &decoded.object;
        assert!(KINDS.iter().any(|kind| *kind == object.kind()), "{}", object.kind());
        let json = json_of(object);
        let again =
            decode("again.json", json.as_bytes()).unwrap_or_else(|e| panic!("accepted, and then not: {e}\n{json}"));
        let again: Vec<&Object> = again.objects.iter().map(|decoded| &decoded.object).collect();
        assert_eq!(again, [object], "written and read again it is another object");
    }
}

fn json_of(object: &Object) -> String {
    let json = match object {
        Object::Pod(pod) => serde_json::to_string(pod),
        Object::ConfigMap(map) => serde_json::to_string(map),
        Object::Secret(secret) => serde_json::to_string(secret),
    };
    json.expect("objects are JSON")
}

/// Line and column count from 1, and the file has that line (or ends just before it).
fn place_exists(data: &[u8], item: &Diagnostic) {
    let lines = data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
    let line = item.line as usize;
    assert!(line >= 1 && item.column >= 1, "a place counts from 1: {item:?}");
    assert!(line <= lines + 1, "line {line} of {lines}: {item:?}");
    assert!(item.column as usize <= data.len() + 2, "column {} of {} bytes", item.column, data.len());
    assert!(!item.message.is_empty(), "a problem without words");
}
