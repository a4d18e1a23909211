//! Defaults, as the API server fills them in: `pkg/apis/core/v1/defaults.go` and the strategies' `PrepareForCreate`.
//!
//! - `pod` is the Pod and its parts, `volume` its volumes, `image` what a pull policy is derived from
//!
//! Does not add what admission plugins add (tolerations, priority, service account).

mod image;
mod pod;
mod volume;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub use pod::default_pod;

/// The namespace of objects that name none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Fills in a ConfigMap.
pub fn default_config_map(map: &mut ConfigMap) {
    default_meta(&mut map.metadata);
}

/// Fills in a Secret: the type, and `stringData` over `data`.
pub fn default_secret(secret: &mut Secret) {
    default_meta(&mut secret.metadata);
    set(&mut secret.type_, "Opaque");
    if let Some(text) = secret.string_data.take().filter(|text| !text.is_empty()) {
        let data = secret.data.get_or_insert_default();
        data.extend(text.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes()))));
    }
}

/// What the server decides about a new object is not taken from its author.
fn default_meta(meta: &mut ObjectMeta) {
    set(&mut meta.namespace, DEFAULT_NAMESPACE);
    if meta.name.as_deref() == Some("") {
        meta.name = None;
    }
    if meta.name.is_some() {
        meta.generate_name = meta.generate_name.take().filter(|prefix| !prefix.is_empty());
    }
    meta.creation_timestamp = None;
    meta.deletion_timestamp = None;
    meta.deletion_grace_period_seconds = None;
    meta.generation = None;
    meta.managed_fields = None;
    meta.resource_version = None;
    meta.self_link = None;
    meta.uid = None;
}

/// Sets a string that is absent or empty.
fn set(field: &mut Option<String>, value: &str) {
    if field.as_deref().unwrap_or_default().is_empty() {
        *field = Some(value.to_owned());
    }
}

/// Sets a number that is absent or 0.
fn set_number(field: &mut Option<i32>, value: i32) {
    if field.unwrap_or(0) == 0 {
        *field = Some(value);
    }
}
