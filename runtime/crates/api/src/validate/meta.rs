//! `metadata`: names, labels, annotations, finalizers, owners.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::error::Errors;
use super::names::{dns_label, dns_subdomain, label_value, qualified_name};
use super::path::Path;
use super::{list, text};

/// Bytes of all annotations of an object together (`TotalAnnotationSizeLimitB`).
const ANNOTATIONS_MAX: usize = 256 * 1024;

/// Finalizers without a domain that core objects may have.
const STANDARD_FINALIZERS: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// The metadata of an object whose name is a DNS subdomain.
pub(super) fn object_meta(meta: &ObjectMeta, errors: &mut Errors) {
    let path = Path::root("metadata");
    let prefix = text(&meta.generate_name);
    if !prefix.is_empty() {
        // a random suffix follows, so that a trailing hyphen is fine
        let with_suffix = match prefix.strip_suffix('-') {
            Some(stem) if !stem.is_empty() => format!("{stem}a"),
            _ => prefix.to_owned(),
        };
        errors.invalid_all(&path.child("generateName"), prefix, dns_subdomain(&with_suffix));
    }
    let name = text(&meta.name);
    if !name.is_empty() {
        errors.invalid_all(&path.child("name"), name, dns_subdomain(name));
    } else if prefix.is_empty() {
        errors.required(&path.child("name"), "name or generateName is required");
    }
    let namespace = text(&meta.namespace);
    if !namespace.is_empty() {
        errors.invalid_all(&path.child("namespace"), namespace, dns_label(namespace));
    }
    labels(meta.labels.as_ref(), &path.child("labels"), errors);
    annotations(meta.annotations.as_ref(), &path.child("annotations"), errors);
    let owners = path.child("ownerReferences");
    for (index, owner) in list(&meta.owner_references).iter().enumerate() {
        for (field, value, message) in [
            ("apiVersion", &owner.api_version, "version must not be empty"),
            ("kind", &owner.kind, "must not be empty"),
            ("name", &owner.name, "must not be empty"),
            ("uid", &owner.uid, "must not be empty"),
        ] {
            if value.is_empty() {
                let before = errors.len();
                errors.invalid(&owners.child(field), "", message);
                errors.place(before, &owners.index(index).child(field));
            }
        }
    }
    let controllers = list(&meta.owner_references).iter().filter(|owner| owner.controller == Some(true)).count();
    if controllers > 1 {
        let message = "Only one reference can have Controller set to true";
        errors.invalid(&owners, &super::error::Verbatim(format!("{controllers} controllers")), message);
    }
    let finalizers = path.child("finalizers");
    for (index, finalizer) in list(&meta.finalizers).iter().enumerate() {
        let before = errors.len();
        errors.invalid_all(&finalizers, finalizer, qualified_name(finalizer));
        errors.place(before, &finalizers.index(index));
        if !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer.as_str()) {
            let message = "name is neither a standard finalizer name nor is it fully qualified";
            errors.invalid(&finalizers.index(index), finalizer, message);
        }
    }
}

pub(super) fn labels(labels: Option<&BTreeMap<String, String>>, path: &Path<'_>, errors: &mut Errors) {
    for (key, value) in labels.into_iter().flatten() {
        let before = errors.len();
        errors.invalid_all(path, key, qualified_name(key));
        errors.invalid_all(path, value, label_value(value));
        errors.place(before, &path.key(key));
    }
}

fn annotations(annotations: Option<&BTreeMap<String, String>>, path: &Path<'_>, errors: &mut Errors) {
    let mut total = 0usize;
    for (key, value) in annotations.into_iter().flatten() {
        let before = errors.len();
        errors.invalid_all(path, key, qualified_name(&key.to_lowercase()));
        errors.place(before, &path.key(key));
        total = total.saturating_add(key.len()).saturating_add(value.len());
    }
    if total > ANNOTATIONS_MAX {
        errors.too_long(path, ANNOTATIONS_MAX);
    }
}

/// A label selector, as `ValidateLabelSelector` of apimachinery.
pub(super) fn label_selector(selector: Option<&LabelSelector>, path: &Path<'_>, errors: &mut Errors) {
    let Some(selector) = selector else { return };
    labels(selector.match_labels.as_ref(), &path.child("matchLabels"), errors);
    let expressions = path.child("matchExpressions");
    for (index, expression) in list(&selector.match_expressions).iter().enumerate() {
        let at = expressions.index(index);
        let values = list(&expression.values);
        match expression.operator.as_str() {
            "In" | "NotIn" if values.is_empty() => {
                errors.required(&at.child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
            }
            "In" | "NotIn" => {}
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                errors.forbidden(
                    &at.child("values"),
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                );
            }
            "Exists" | "DoesNotExist" => {}
            other => errors.invalid(&at.child("operator"), other, "not a valid selector operator"),
        }
        errors.invalid_all(&at.child("key"), &expression.key, qualified_name(&expression.key));
        let path = at.child("values");
        for (index, value) in values.iter().enumerate() {
            errors.invalid_all(&path.index(index), value, label_value(value));
        }
    }
}
