//! Writes `src/schema/v1_36.txt` from Kubernetes' own OpenAPI document.
//!
//! The document is `/openapi/v3/api/v1` of kube-apiserver v1.36 (1.5 MB with its descriptions, which are left out here):
//!
//! ```text
//! kubectl get --raw /openapi/v3/api/v1 > api-v1.json
//! cargo run -p wasmpod-api --example trim_schema -- api-v1.json > runtime/crates/api/src/schema/v1_36.txt
//! ```
//!
//! One line per type, `Name field:type …`, with the types the kinds below reach. A field's type is `s` string, `b` boolean,
//! `i` 32-bit and `l` 64-bit integer, `q` Quantity, `p` IntOrString, `t` Time, `B` base64, `*` anything, `[T]` array of T, `{T}` map of
//! T, or the name of a type.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

const ROOTS: [&str; 3] = ["Pod", "ConfigMap", "Secret"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: trim_schema OPENAPI.json")?;
    let document: Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let schemas = document["components"]["schemas"].as_object().ok_or("no components.schemas")?;
    let mut lines = BTreeMap::new();
    for root in ROOTS {
        visit(&format!("io.k8s.api.core.v1.{root}"), schemas, &mut lines)?;
    }
    println!("# Kubernetes v1.36, core/v1; written by examples/trim_schema.rs, which explains the notation");
    for line in lines.values() {
        println!("{line}");
    }
    Ok(())
}

/// Adds the line of a type and of what it refers to.
fn visit(full: &str, schemas: &Map<String, Value>, lines: &mut BTreeMap<String, String>) -> Result<(), String> {
    let name = short(full).to_owned();
    if lines.contains_key(&name) {
        return Ok(());
    }
    lines.insert(name.clone(), String::new());
    let schema = schemas.get(full).ok_or_else(|| format!("{full} is not in the document"))?;
    let mut line = name.clone();
    for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
        line.push_str(&format!(" {field}:{}", notation(schema, schemas, lines)?));
    }
    lines.insert(name, line);
    Ok(())
}

fn notation(
    schema: &Value,
    schemas: &Map<String, Value>,
    lines: &mut BTreeMap<String, String>,
) -> Result<String, String> {
    // a reference with a default or a description stands in an allOf
    let reference = schema.get("$ref").or_else(|| schema.pointer("/allOf/0/$ref"));
    if let Some(full) = reference.and_then(Value::as_str).and_then(|text| text.rsplit('/').next()) {
        return Ok(match short(full) {
            "Quantity" => "q".to_owned(),
            "IntOrString" => "p".to_owned(),
            "Time" | "MicroTime" => "t".to_owned(),
            "FieldsV1" => "*".to_owned(),
            name => {
                visit(full, schemas, lines)?;
                name.to_owned()
            }
        });
    }
    let kind = (schema["type"].as_str().unwrap_or_default(), schema["format"].as_str().unwrap_or_default());
    Ok(match kind {
        ("string", "byte") => "B".to_owned(),
        ("string", _) => "s".to_owned(),
        ("boolean", _) => "b".to_owned(),
        ("integer", "int32") => "i".to_owned(),
        ("integer", _) => "l".to_owned(),
        ("array", _) => format!("[{}]", notation(&schema["items"], schemas, lines)?),
        ("object", _) if schema.get("additionalProperties").is_some() => {
            format!("{{{}}}", notation(&schema["additionalProperties"], schemas, lines)?)
        }
        _ => return Err(format!("a schema this script does not know: {schema}")),
    })
}

fn short(full: &str) -> &str {
    full.rsplit('.').next().unwrap_or(full)
}
