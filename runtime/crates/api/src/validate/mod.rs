//! Validation of whole objects, in the words of the API server.
//!
//! Follows `pkg/apis/core/validation/validation.go` of Kubernetes 1.36 for creation, with feature gates at their defaults. The
//! objects are expected to be defaulted. Does not own types (`schema`) nor admission plugins (priority classes, quotas).
//!
//! - `error` is what a finding looks like, `path` where it is, `names` what names and labels may be
//! - `meta`, `pod`, `config` are the kinds; the rest are parts of a pod

mod config;
mod container;
mod env;
mod error;
mod handlers;
mod meta;
mod mounts;
mod names;
mod network;
mod path;
mod pod;
mod projected;
mod resources;
mod scheduling;
mod security;
mod volumes;
mod warnings;

pub use config::{validate_config_map, validate_secret};
pub use error::{ErrorKind, FieldError, FieldErrors, MAX_FINDINGS};
pub use names::{is_dns1123_label, is_dns1123_subdomain};
pub(crate) use path::shorten;
pub use pod::validate_pod;
pub use warnings::pod_warnings;

/// A string field of which Go cannot tell absent from empty.
pub(crate) fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

/// A list field of which Go cannot tell absent from empty.
pub(crate) fn list<T>(field: &Option<Vec<T>>) -> &[T] {
    field.as_deref().unwrap_or_default()
}
