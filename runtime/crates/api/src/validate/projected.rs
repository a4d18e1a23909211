//! Projected volumes, and the files of the downward API.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, ProjectedVolumeSource};

use super::env::{VOLUME_FIELDS, object_field, resource_field};
use super::error::Errors;
use super::list;
use super::mounts::local_non_reserved_path;
use super::path::Path;
use super::volumes::{keys, mode};

/// The shortest life of a service account token, in seconds.
const TOKEN_MIN_SECONDS: i64 = 10 * 60;

/// The longest, in seconds.
const TOKEN_MAX_SECONDS: i64 = 1 << 32;

pub(super) fn projected(volume: &ProjectedVolumeSource, path: &Path<'_>, errors: &mut Errors) {
    mode(volume.default_mode, &path.child("defaultMode"), errors);
    let mut paths = BTreeSet::new();
    let sources = path.child("sources");
    for (index, source) in list(&volume.sources).iter().enumerate() {
        let at = sources.index(index);
        let mut count = 0;
        let secret = source.secret.as_ref().map(|source| ("secret", &source.name, list(&source.items)));
        let config_map = source.config_map.as_ref().map(|source| ("configMap", &source.name, list(&source.items)));
        for (field, name, items) in [secret, config_map].into_iter().flatten() {
            count += 1;
            let at = at.child(field);
            if name.is_empty() {
                errors.required(&at.child("name"), "");
            }
            items_once(items, name, &mut paths, path, &at.child("items"), errors);
        }
        if let Some(source) = &source.downward_api {
            count += 1;
            for file in list(&source.items) {
                downward_file(file, &at.child("downwardAPI"), errors);
                once(&file.path, &file.path, &mut paths, path, errors);
            }
        }
        if let Some(token) = &source.service_account_token {
            count += 1;
            let seconds = token.expiration_seconds.unwrap_or(0);
            let token_at = at.child("serviceAccountToken");
            let expiration = token_at.child("expirationSeconds");
            if seconds < TOKEN_MIN_SECONDS {
                errors.invalid(&expiration, &seconds, "may not specify a duration less than 10 minutes");
            }
            if seconds > TOKEN_MAX_SECONDS {
                errors.invalid(&expiration, &seconds, "may not specify a duration larger than 2^32 seconds");
            }
            if token.path.is_empty() {
                errors.required(&path.child("path"), "");
            } else {
                local_non_reserved_path(&token.path, &path.child("path"), errors);
            }
        }
        if count > 1 {
            errors.forbidden(&at, "may not specify more than 1 volume type per source");
        }
    }
}

fn items_once<'a>(
    items: &'a [KeyToPath],
    name: &str,
    paths: &mut BTreeSet<&'a str>,
    volume: &Path<'_>,
    path: &Path<'_>,
    errors: &mut Errors,
) {
    keys(items, path, errors);
    for item in items {
        once(&item.path, name, paths, volume, errors);
    }
}

/// Two sources may not write the same file.
fn once<'a>(file: &'a str, shown: &str, paths: &mut BTreeSet<&'a str>, volume: &Path<'_>, errors: &mut Errors) {
    if !file.is_empty() && !paths.insert(file) {
        errors.invalid(volume, shown, "conflicting duplicate paths");
    }
}

pub(super) fn downward_file(file: &DownwardAPIVolumeFile, path: &Path<'_>, errors: &mut Errors) {
    if file.path.is_empty() {
        errors.required(&path.child("path"), "");
    }
    local_non_reserved_path(&file.path, &path.child("path"), errors);
    match (&file.field_ref, &file.resource_field_ref) {
        (Some(field), other) => {
            object_field(field, &VOLUME_FIELDS, &path.child("fieldRef"), errors);
            if other.is_some() {
                errors.invalid(path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
            }
        }
        (None, Some(resource)) => resource_field(resource, true, &path.child("resourceFieldRef"), errors),
        (None, None) => errors.required(path, "one of fieldRef and resourceFieldRef is required"),
    }
    mode(file.mode, &path.child("mode"), errors);
}
