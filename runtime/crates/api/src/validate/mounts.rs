//! Where a container mounts volumes, and what paths inside of volumes may look like.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, Volume, VolumeDevice, VolumeMount};

use super::error::Errors;
use super::path::Path;
use super::{list, text};

/// The valid volumes of a pod, by name.
pub(super) type Volumes<'a> = BTreeMap<&'a str, &'a Volume>;

pub(super) fn volume_mounts(container: &Container, volumes: &Volumes<'_>, path: &Path<'_>, errors: &mut Errors) {
    let devices = list(&container.volume_devices);
    let device_names: BTreeSet<_> = devices.iter().map(|device| &device.name).collect();
    let device_paths: BTreeSet<_> = devices.iter().map(|device| &device.device_path).collect();
    let mut points = BTreeSet::new();
    for (index, mount) in list(&container.volume_mounts).iter().enumerate() {
        let at = path.index(index);
        let (name, point) = (at.child("name"), at.child("mountPath"));
        if mount.name.is_empty() {
            errors.required(&name, "");
        }
        if !volumes.contains_key(mount.name.as_str()) {
            errors.not_found(&name, &mount.name);
        }
        if mount.mount_path.is_empty() {
            errors.required(&point, "");
        }
        if !points.insert(mount.mount_path.as_str()) {
            errors.invalid(&point, &mount.mount_path, "must be unique");
        }
        if device_names.contains(&mount.name) {
            errors.invalid(&name, &mount.name, "must not already exist in volumeDevices");
        }
        if device_paths.contains(&mount.mount_path) {
            errors.invalid(&point, &mount.mount_path, "must not already exist as a path in volumeDevices");
        }
        // the paths that Kubernetes gives in these lack the index
        let (sub_path, expression) = (text(&mount.sub_path), text(&mount.sub_path_expr));
        if !sub_path.is_empty() {
            let before = errors.len();
            local_descending_path(sub_path, &path.child("subPath"), errors);
            errors.place(before, &at.child("subPath"));
        }
        if !expression.is_empty() {
            if !sub_path.is_empty() {
                errors.invalid(&at.child("subPathExpr"), expression, "subPathExpr and subPath are mutually exclusive");
            }
            let before = errors.len();
            local_descending_path(expression, &path.child("subPathExpr"), errors);
            errors.place(before, &at.child("subPathExpr"));
        }
        let before = errors.len();
        propagation(mount, container, &path.child("mountPropagation"), errors);
        errors.place(before, &at.child("mountPropagation"));
        let before = errors.len();
        recursive_read_only(mount, &path.child("recursiveReadOnly"), errors);
        errors.place(before, &at.child("recursiveReadOnly"));
    }
}

fn propagation(mount: &VolumeMount, container: &Container, path: &Path<'_>, errors: &mut Errors) {
    let Some(mode) = &mount.mount_propagation else { return };
    errors.one_of(path, mode, &["Bidirectional", "HostToContainer", "None"]);
    let privileged = container.security_context.as_ref().is_some_and(|context| context.privileged == Some(true));
    if mode == "Bidirectional" && !privileged {
        errors.forbidden(path, "Bidirectional mount propagation is available only to privileged containers");
    }
}

fn recursive_read_only(mount: &VolumeMount, path: &Path<'_>, errors: &mut Errors) {
    match mount.recursive_read_only.as_deref() {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if mount.read_only != Some(true) {
                errors.forbidden(path, "may only be specified when readOnly is true");
            }
            if mount.mount_propagation.as_deref().is_some_and(|mode| mode != "None") {
                errors.forbidden(path, "may only be specified when mountPropagation is None or not specified");
            }
        }
        Some(other) => errors.not_supported(path, other, &["Disabled", "Enabled", "IfPossible"]),
    }
}

pub(super) fn volume_devices(container: &Container, volumes: &Volumes<'_>, path: &Path<'_>, errors: &mut Errors) {
    let mounts = list(&container.volume_mounts);
    let mount_names: BTreeSet<_> = mounts.iter().map(|mount| &mount.name).collect();
    let mount_paths: BTreeSet<_> = mounts.iter().map(|mount| &mount.mount_path).collect();
    let (mut paths, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (index, device) in list(&container.volume_devices).iter().enumerate() {
        let VolumeDevice { name, device_path } = device;
        let at = path.index(index);
        let (name_at, path_at) = (at.child("name"), at.child("devicePath"));
        if name.is_empty() {
            errors.required(&name_at, "");
        }
        if names.contains(name.as_str()) {
            errors.invalid(&name_at, name, "must be unique");
        }
        match volumes.get(name.as_str()) {
            None => errors.not_found(&name_at, name),
            Some(volume) if volume.persistent_volume_claim.is_none() && volume.ephemeral.is_none() => {
                let message = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.invalid(&name_at, name, message);
            }
            Some(_) => {}
        }
        if device_path.is_empty() {
            errors.required(&path_at, "");
        }
        if paths.contains(device_path.as_str()) {
            errors.invalid(&path_at, device_path, "must be unique");
        }
        if device_path.split('/').any(|part| part == "..") {
            errors.invalid(&path_at, device_path, "can not contain backsteps ('..')");
        } else {
            paths.insert(device_path.as_str());
        }
        if mount_names.contains(name) {
            errors.invalid(&name_at, name, "must not already exist in volumeMounts");
        }
        if mount_paths.contains(device_path) {
            errors.invalid(&path_at, device_path, "must not already exist as a path in volumeMounts");
        }
        if !name.is_empty() {
            names.insert(name.as_str());
        }
    }
}

/// Relative, and without `..`.
pub(super) fn local_descending_path(target: &str, path: &Path<'_>, errors: &mut Errors) {
    if target.starts_with('/') {
        errors.invalid(path, target, "must be a relative path");
    }
    no_backsteps(target, path, errors);
}

pub(super) fn no_backsteps(target: &str, path: &Path<'_>, errors: &mut Errors) {
    if target.split('/').any(|part| part == "..") {
        errors.invalid(path, target, "must not contain '..'");
    }
}

/// [`local_descending_path`], and no name that the atomic writer of volumes uses itself (`..data`).
pub(super) fn local_non_reserved_path(target: &str, path: &Path<'_>, errors: &mut Errors) {
    local_descending_path(target, path, errors);
    if target.starts_with("..") && !target.starts_with("../") {
        errors.invalid(path, target, "must not start with '..'");
    }
}
