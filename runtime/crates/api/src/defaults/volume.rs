//! Defaults of volumes.

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, ObjectFieldSelector, ResourceFieldSelector, Volume};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use super::image::pull_policy;
use super::set;

/// Mode of the files of configMaps, secrets and the like.
const FILE_MODE: i32 = 0o644;

/// Life of a service account token, in seconds.
const TOKEN_SECONDS: i64 = 3600;

pub(super) fn volume(volume: &mut Volume) {
    let bare = Volume { name: volume.name.clone(), ..Default::default() };
    if *volume == bare {
        volume.empty_dir = Some(Default::default());
    }
    if let Some(source) = &mut volume.host_path {
        source.type_.get_or_insert_default();
    }
    if let Some(source) = &mut volume.config_map {
        source.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(source) = &mut volume.secret {
        source.default_mode.get_or_insert(FILE_MODE);
    }
    if let Some(source) = &mut volume.downward_api {
        source.default_mode.get_or_insert(FILE_MODE);
        source.items.iter_mut().flatten().for_each(downward_file);
    }
    if let Some(projected) = &mut volume.projected {
        projected.default_mode.get_or_insert(FILE_MODE);
        for source in projected.sources.iter_mut().flatten() {
            source.cluster_trust_bundle = None; // as the server does while the gate ClusterTrustBundleProjection is off
            if let Some(token) = &mut source.service_account_token {
                token.expiration_seconds.get_or_insert(TOKEN_SECONDS);
            }
            if let Some(downward) = &mut source.downward_api {
                downward.items.iter_mut().flatten().for_each(downward_file);
            }
        }
    }
    if let Some(source) = &mut volume.image {
        set(&mut source.pull_policy, pull_policy(source.reference.as_deref().unwrap_or_default()));
    }
    if let Some(template) = volume.ephemeral.as_mut().and_then(|source| source.volume_claim_template.as_mut()) {
        set(&mut template.spec.volume_mode, "Filesystem");
    }
    storage_systems(volume);
}

/// Volumes that only a cluster's drivers can serve; defaulted so that what is read back is what a cluster would give.
fn storage_systems(volume: &mut Volume) {
    if let Some(source) = &mut volume.iscsi {
        set(&mut source.iscsi_interface, "default");
    }
    if let Some(source) = &mut volume.rbd {
        set(&mut source.pool, "rbd");
        set(&mut source.user, "admin");
        set(&mut source.keyring, "/etc/ceph/keyring");
    }
    if let Some(source) = &mut volume.azure_disk {
        set(&mut source.caching_mode, "ReadWrite");
        set(&mut source.kind, "Shared");
        set(&mut source.fs_type, "ext4");
        source.read_only.get_or_insert(false);
    }
    if let Some(source) = &mut volume.scale_io {
        set(&mut source.storage_mode, "ThinProvisioned");
        set(&mut source.fs_type, "xfs");
    }
}

fn downward_file(file: &mut DownwardAPIVolumeFile) {
    file.field_ref.as_mut().map(field_selector);
    file.resource_field_ref.as_mut().map(resource_selector);
}

pub(super) fn field_selector(selector: &mut ObjectFieldSelector) {
    set(&mut selector.api_version, "v1");
}

pub(super) fn resource_selector(selector: &mut ResourceFieldSelector) {
    selector.divisor.get_or_insert_with(|| Text("0".to_owned()));
}
