//! Volumes of a pod: exactly one source each, and what the sources need.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{HostPathVolumeSource, ISCSIVolumeSource, KeyToPath, Volume};

use super::error::{Errors, Verbatim};
use super::mounts::{Volumes, local_descending_path, local_non_reserved_path, no_backsteps};
use super::names::{dns_label, range};
use super::path::Path;
use super::projected::{downward_file, projected};
use super::{list, text};
use crate::quantity::Quantity;

pub(super) const FILE_MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";

/// What `hostPath.type` may be.
const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// Checks all volumes; those without a finding are returned, as mounts can refer only to them.
pub(super) fn volumes<'a>(volumes: &'a [Volume], path: &Path<'_>, errors: &mut Errors) -> Volumes<'a> {
    let mut valid = Volumes::new();
    let mut names = BTreeSet::new();
    for (index, volume) in volumes.iter().enumerate() {
        let at = path.index(index);
        let before = errors.len();
        source(volume, &at, errors);
        if volume.name.is_empty() {
            errors.required(&at.child("name"), "");
        } else {
            errors.invalid_all(&at.child("name"), &volume.name, dns_label(&volume.name));
        }
        if names.contains(volume.name.as_str()) {
            errors.duplicate(&at.child("name"), &volume.name);
        }
        if errors.len() == before {
            names.insert(volume.name.as_str());
            valid.insert(&volume.name, volume);
        }
    }
    valid
}

fn source(volume: &Volume, path: &Path<'_>, errors: &mut Errors) {
    let mut count = 0;
    // the first source is checked, each further one is refused; emptyDir is looked at in any case
    if let Some(source) = &volume.empty_dir {
        count += 1;
        let limit = source.size_limit.as_ref().and_then(|limit| Quantity::parse(&limit.0).ok());
        if limit.is_some_and(|limit| limit.is_negative()) {
            let dir = path.child("emptyDir");
            errors.forbidden(&dir.child("sizeLimit"), "SizeLimit field must be a valid resource quantity");
        }
    }
    macro_rules! one {
        ($field:ident, $name:literal, |$source:ident, $path:ident| $check:expr) => {
            if let Some($source) = &volume.$field {
                count += 1;
                let $path = &path.child($name);
                if count > 1 {
                    errors.forbidden($path, "may not specify more than 1 volume type");
                } else {
                    $check;
                }
            }
        };
    }
    one!(host_path, "hostPath", |s, p| host_path(s, p, errors));
    one!(git_repo, "gitRepo", |s, p| {
        required(&[("repository", &s.repository)], p, errors);
        local_descending_path(text(&s.directory), &p.child("directory"), errors);
    });
    one!(gce_persistent_disk, "gcePersistentDisk", |s, p| {
        required(&[("pdName", &s.pd_name)], p, errors);
    });
    one!(aws_elastic_block_store, "awsElasticBlockStore", |s, p| {
        required(&[("volumeID", &s.volume_id)], p, errors);
    });
    one!(secret, "secret", |s, p| {
        required(&[("secretName", text(&s.secret_name))], p, errors);
        mode(s.default_mode, &p.child("defaultMode"), errors);
        keys(list(&s.items), &p.child("items"), errors);
    });
    one!(nfs, "nfs", |s, p| {
        required(&[("server", &s.server), ("path", &s.path)], p, errors);
        if !s.path.starts_with('/') {
            errors.invalid(&p.child("path"), &s.path, "must be an absolute path");
        }
    });
    one!(iscsi, "iscsi", |s, p| iscsi(s, p, errors));
    one!(glusterfs, "glusterfs", |s, p| {
        required(&[("endpoints", &s.endpoints), ("path", &s.path)], p, errors);
    });
    one!(flocker, "flocker", |s, p| {
        match (text(&s.dataset_name).is_empty(), text(&s.dataset_uuid).is_empty()) {
            (true, true) => errors.required(p, "one of datasetName and datasetUUID is required"),
            (false, false) => {
                errors.invalid(p, "resource", "datasetName and datasetUUID can not be specified simultaneously")
            }
            _ => {}
        }
    });
    one!(persistent_volume_claim, "persistentVolumeClaim", |s, p| {
        required(&[("claimName", &s.claim_name)], p, errors);
    });
    one!(rbd, "rbd", |s, p| {
        if s.monitors.is_empty() {
            errors.required(&p.child("monitors"), "");
        }
        required(&[("image", &s.image)], p, errors);
    });
    one!(cinder, "cinder", |s, p| {
        required(&[("volumeID", &s.volume_id)], p, errors);
    });
    one!(cephfs, "cephfs", |s, p| {
        if s.monitors.is_empty() {
            errors.required(&p.child("monitors"), "");
        }
    });
    one!(quobyte, "quobyte", |s, p| {
        if s.registry.is_empty() {
            errors.required(&p.child("registry"), "must be a host:port pair or multiple pairs separated by commas");
        }
        required(&[("volume", &s.volume)], p, errors);
    });
    one!(downward_api, "downwardAPI", |s, p| {
        mode(s.default_mode, &p.child("defaultMode"), errors);
        // these findings lack the item's index in Kubernetes, too
        list(&s.items).iter().for_each(|file| downward_file(file, p, errors));
    });
    one!(fc, "fc", |s, p| fibre_channel(s, p, errors));
    one!(flex_volume, "flexVolume", |s, p| {
        required(&[("driver", &s.driver)], p, errors);
    });
    one!(config_map, "configMap", |s, p| {
        required(&[("name", &s.name)], p, errors);
        mode(s.default_mode, &p.child("defaultMode"), errors);
        keys(list(&s.items), &p.child("items"), errors);
    });
    one!(azure_file, "azureFile", |s, p| {
        required(&[("secretName", &s.secret_name), ("shareName", &s.share_name)], p, errors);
    });
    one!(vsphere_volume, "vsphereVolume", |s, p| {
        required(&[("volumePath", &s.volume_path)], p, errors);
    });
    one!(photon_persistent_disk, "photonPersistentDisk", |s, p| {
        required(&[("pdID", &s.pd_id)], p, errors);
    });
    one!(portworx_volume, "portworxVolume", |s, p| {
        required(&[("volumeID", &s.volume_id)], p, errors);
    });
    one!(azure_disk, "azureDisk", |s, p| {
        required(&[("diskName", &s.disk_name), ("diskURI", &s.disk_uri)], p, errors);
    });
    one!(storageos, "storageos", |s, p| {
        required(&[("volumeName", text(&s.volume_name))], p, errors);
    });
    one!(projected, "projected", |s, p| projected(s, p, errors));
    one!(scale_io, "scaleIO", |s, p| {
        required(&[("gateway", &s.gateway), ("system", &s.system), ("volumeName", text(&s.volume_name))], p, errors);
    });
    one!(csi, "csi", |s, p| {
        required(&[("driver", &s.driver)], p, errors);
    });
    one!(ephemeral, "ephemeral", |s, p| {
        if s.volume_claim_template.is_none() {
            errors.required(&p.child("volumeClaimTemplate"), "");
        }
    });
    one!(image, "image", |s, p| {
        required(&[("reference", text(&s.reference))], p, errors);
        errors.one_of(&p.child("pullPolicy"), text(&s.pull_policy), &["Always", "IfNotPresent", "Never"]);
    });
    if count == 0 {
        errors.required(path, "must specify a volume type");
    }
}

fn required(fields: &[(&str, &str)], path: &Path<'_>, errors: &mut Errors) {
    for (name, _) in fields.iter().filter(|(_, value)| value.is_empty()) {
        errors.required(&path.child(name), "");
    }
}

fn host_path(source: &HostPathVolumeSource, path: &Path<'_>, errors: &mut Errors) {
    if source.path.is_empty() {
        return errors.required(&path.child("path"), "");
    }
    no_backsteps(&source.path, &path.child("path"), errors);
    errors.one_of(&path.child("type"), text(&source.type_), &HOST_PATH_TYPES);
}

fn iscsi(source: &ISCSIVolumeSource, path: &Path<'_>, errors: &mut Errors) {
    required(&[("targetPortal", &source.target_portal), ("iqn", &source.iqn)], path, errors);
    let known = ["iqn", "eui", "naa"].iter().any(|prefix| source.iqn.starts_with(prefix));
    if !source.iqn.is_empty() && !known {
        errors.invalid(&path.child("iqn"), &source.iqn, "must be valid format starting with iqn, eui, or naa");
    }
    errors.invalid_all(&path.child("lun"), &source.lun, range(i64::from(source.lun), 0, 255));
    let chap = source.chap_auth_discovery == Some(true) || source.chap_auth_session == Some(true);
    if chap && source.secret_ref.is_none() {
        errors.required(&path.child("secretRef"), "");
    }
}

fn fibre_channel(source: &k8s_openapi::api::core::v1::FCVolumeSource, path: &Path<'_>, errors: &mut Errors) {
    let (targets, wwids) = (list(&source.target_wwns), list(&source.wwids));
    let at = path.child("targetWWNs");
    match (targets.is_empty(), wwids.is_empty()) {
        (true, true) => errors.required(&at, "must specify either targetWWNs or wwids, but not both"),
        (false, false) => {
            let shown = Verbatim(serde_json::json!(targets).to_string());
            errors.invalid(&at, &shown, "targetWWNs and wwids can not be specified simultaneously");
        }
        _ => {}
    }
    if !targets.is_empty() {
        match source.lun {
            None => errors.required(&path.child("lun"), "lun is required if targetWWNs is specified"),
            Some(lun) => errors.invalid_all(&path.child("lun"), &lun, range(i64::from(lun), 0, 255)),
        }
    }
}

pub(super) fn mode(mode: Option<i32>, path: &Path<'_>, errors: &mut Errors) {
    if let Some(mode) = mode
        && !(0..=0o777).contains(&mode)
    {
        errors.invalid(path, &mode, FILE_MODE);
    }
}

pub(super) fn keys(items: &[KeyToPath], path: &Path<'_>, errors: &mut Errors) {
    for (index, item) in items.iter().enumerate() {
        let at = path.index(index);
        required(&[("key", &item.key), ("path", &item.path)], &at, errors);
        local_non_reserved_path(&item.path, &at.child("path"), errors);
        mode(item.mode, &at.child("mode"), errors);
    }
}
