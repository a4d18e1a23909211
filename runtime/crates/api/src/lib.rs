//! Kubernetes objects: from the bytes of a manifest to Pods, ConfigMaps and Secrets that a node can run.
//!
//! Pure: no IO, no clock, no randomness. The object model is `k8s-openapi`'s; what a real API server 1.36 answers decides.
//!
//! A map of the code, in the order a manifest goes through it:
//!
//! - [`decode`] is the way in; it drives the rest and collects what they find
//! - `yaml` reads YAML and JSON into trees with places, and refuses bombs
//! - `list` takes lists apart and knows the kinds
//! - `schema` has the fields and their types, and says what was probably meant
//! - [`defaults`] fills in what the author left out
//! - [`validate`] refuses what cannot be, in the server's words
//! - [`quantity`] is amounts, [`resources`] sums of them, [`qos`] the class that follows
//! - [`diagnostic`] is what a person reads
//! - [`tree`] reads files of other kinds with the same care: places, unknown fields, limits

#![forbid(unsafe_code)]

pub mod defaults;
pub mod diagnostic;
pub mod qos;
pub mod quantity;
pub mod resources;
pub mod tree;
pub mod validate;

mod decode;
mod list;
mod schema;
mod yaml;

pub use decode::{Decoded, MAX_OBJECTS, Manifest, Object, check_duplicate_objects, decode};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use list::KINDS;
pub use qos::{QosClass, qos_class};
pub use quantity::Quantity;
pub use yaml::{MAX_DEPTH, MAX_DOCUMENTS, MAX_EXPANDED_BYTES, MAX_INPUT_BYTES, MAX_LINE_INDICATORS, MAX_NODES};

/// The object model, so that users of this crate need not choose its version.
pub use k8s_openapi;
