//! What the API server only warns of: `pkg/api/pod/warnings.go`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ProjectedVolumeSource, Volume, VolumeProjection};

use super::names::dns_label;
use super::{list, text};
use crate::quantity::Quantity;

/// Warnings of one Pod; more are not worth their cost.
const MAX_WARNINGS: usize = 50;

/// The first warnings about a Pod as the API server words them: the field, a colon, and the text, for those that are about a field.
#[must_use]
pub fn pod_warnings(pod: &Pod) -> Vec<String> {
    let mut out = Vec::new();
    let name = text(&pod.metadata.name);
    let messages = dns_label(name);
    if !name.is_empty() && !messages.is_empty() {
        out.push(format!(
            "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is \
             recommended: [{}]",
            messages.join(" ")
        ));
    }
    let Some(spec) = &pod.spec else { return out };
    for (index, secret) in list(&spec.image_pull_secrets).iter().enumerate() {
        if secret.name.is_empty() {
            out.push(format!("spec.imagePullSecrets[{index}]: invalid empty name \"\""));
        }
    }
    for (index, volume) in list(&spec.volumes).iter().enumerate() {
        deprecated_volume(volume, index, &mut out);
    }
    for (field, containers) in [("initContainers", list(&spec.init_containers)), ("containers", &spec.containers)] {
        for (index, container) in containers.iter().enumerate() {
            if out.len() >= MAX_WARNINGS {
                break;
            }
            let path = format!("spec.{field}[{index}]");
            fractions(container, &path, &mut out);
            duplicate_env(container, &path, &mut out);
            duplicate_ports(container, &path, &mut out);
        }
    }
    out.truncate(MAX_WARNINGS);
    out
}

fn deprecated_volume(volume: &Volume, index: usize, out: &mut Vec<String>) {
    for (set, field, text) in [
        (
            volume.photon_persistent_disk.is_some(),
            "photonPersistentDisk",
            "deprecated in v1.11, non-functional in v1.16+",
        ),
        (volume.git_repo.is_some(), "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
        (volume.scale_io.is_some(), "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
        (volume.flocker.is_some(), "flocker", "deprecated in v1.22, non-functional in v1.25+"),
        (volume.storageos.is_some(), "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
        (volume.quobyte.is_some(), "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
        (volume.glusterfs.is_some(), "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
        (volume.cephfs.is_some(), "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        (volume.rbd.is_some(), "rbd", "deprecated in v1.28, non-functional in v1.31+"),
    ] {
        if set {
            out.push(format!("spec.volumes[{index}].{field}: {text}"));
        }
    }
    let empty = VolumeProjection::default();
    let bare = |projected: &ProjectedVolumeSource| list(&projected.sources).iter().all(|source| *source == empty);
    if volume.projected.as_ref().is_some_and(bare) {
        out.push(format!("volume {:?} (Projected) has no sources provided", volume.name));
    }
}

/// A thousandth of a byte is nearly always a typing error for a mebibyte.
fn fractions(container: &Container, path: &str, out: &mut Vec<String>) {
    let Some(resources) = &container.resources else { return };
    for (field, map) in [("requests", &resources.requests), ("limits", &resources.limits)] {
        for name in ["memory", "ephemeral-storage"] {
            let quantity = map.as_ref().and_then(|map| map.get(name)).and_then(|text| Quantity::parse(&text.0).ok());
            if let Some(quantity) = quantity.filter(|quantity| !quantity.is_integer()) {
                out.push(format!(
                    "{path}.resources.{field}[{name}]: fractional byte value \"{quantity}\" is invalid, must be an integer"
                ));
            }
        }
    }
}

fn duplicate_env(container: &Container, path: &str, out: &mut Vec<String>) {
    let mut seen = BTreeMap::new();
    for (index, var) in list(&container.env).iter().enumerate() {
        if seen.insert(var.name.as_str(), index).is_some() {
            out.push(format!(
                "{path}.env[{index}]: hides previous definition of {:?}, which may be dropped when using apply",
                var.name
            ));
        }
    }
}

fn duplicate_ports(container: &Container, path: &str, out: &mut Vec<String>) {
    let mut seen = BTreeMap::new();
    for (index, port) in list(&container.ports).iter().enumerate() {
        let key = (port.container_port, text(&port.protocol), port.host_port.unwrap_or(0), text(&port.host_ip));
        match seen.get(&key) {
            Some(first) => {
                out.push(format!("{path}.ports[{index}]: duplicate port definition with {path}.ports[{first}]"));
            }
            None => drop(seen.insert(key, index)),
        }
    }
}
