//! ConfigMap and Secret.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use super::error::{Errors, FieldErrors};
use super::meta::object_meta;
use super::names::config_map_key;
use super::path::Path;
use super::text;

/// Bytes of all values of a ConfigMap or Secret together (`MaxSecretSize`).
const DATA_MAX: usize = 1024 * 1024;

/// Keys that a Secret of a type must have; the types without an entry may have any.
const SECRET_KEYS: [(&str, &[&str]); 3] = [
    ("kubernetes.io/dockercfg", &[".dockercfg"]),
    ("kubernetes.io/dockerconfigjson", &[".dockerconfigjson"]),
    ("kubernetes.io/tls", &["tls.crt", "tls.key"]),
];

/// What is wrong with a ConfigMap.
#[must_use]
pub fn validate_config_map(map: &ConfigMap) -> FieldErrors {
    let mut errors = Errors::default();
    object_meta(&map.metadata, &mut errors);
    let (data, binary) = (Path::root("data"), Path::root("binaryData"));
    let mut total = 0usize;
    for (key, value) in map.data.iter().flatten() {
        errors.invalid_all(&data.key(key), key, config_map_key(key));
        if map.binary_data.as_ref().is_some_and(|other| other.contains_key(key)) {
            errors.invalid(&data.key(key), key, "duplicate of key present in binaryData");
        }
        total = total.saturating_add(value.len());
    }
    for (key, value) in map.binary_data.iter().flatten() {
        errors.invalid_all(&binary.key(key), key, config_map_key(key));
        total = total.saturating_add(value.0.len());
    }
    if total > DATA_MAX {
        errors.too_long(&Path::root(""), DATA_MAX);
    }
    errors.0
}

/// What is wrong with a Secret whose `stringData` has been merged into `data`.
#[must_use]
pub fn validate_secret(secret: &Secret) -> FieldErrors {
    let mut errors = Errors::default();
    object_meta(&secret.metadata, &mut errors);
    let path = Path::root("data");
    let empty = BTreeMap::<String, ByteString>::new();
    let data = secret.data.as_ref().unwrap_or(&empty);
    for key in data.keys() {
        errors.invalid_all(&path.key(key), key, config_map_key(key));
    }
    if data.values().fold(0usize, |total, value| total.saturating_add(value.0.len())) > DATA_MAX {
        errors.too_long(&path, DATA_MAX);
    }
    let kind = text(&secret.type_);
    for key in SECRET_KEYS.iter().filter(|(name, _)| *name == kind).flat_map(|(_, keys)| keys.iter()) {
        if !data.contains_key(*key) {
            errors.required(&path.key(key), "");
        }
    }
    if kind == "kubernetes.io/basic-auth" && !data.contains_key("username") && !data.contains_key("password") {
        errors.required(&path.key("username"), "");
        errors.required(&path.key("password"), "");
    }
    if kind == "kubernetes.io/ssh-auth" && data.get("ssh-privatekey").is_none_or(|value| value.0.is_empty()) {
        errors.required(&path.key("ssh-privatekey"), "");
    }
    errors.0
}
