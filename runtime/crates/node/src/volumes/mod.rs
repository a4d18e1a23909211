//! A pod's volumes: what the kubelet's volume manager sets up before any container starts.
//!
//! - [`payload`]: the files of configMap, secret, downwardAPI and projected volumes
//! - [`host_path`]: directories of the host, if allowed
//!
//! Owns the way from a manifest's volume to the kernel's, and from a volumeMount to a mount. A volume lives as long as the pod:
//! restarts of containers do not empty it.

pub mod host_path;
pub mod payload;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, EmptyDirVolumeSource, PodSpec, Volume as VolumeSpec, VolumeMount};
use wasmpod_api::quantity::Quantity;
use wasmpod_cri::Mount;
use wasmpod_kernel::mntns::{MountOptions, Quota, TmpfsOptions, Volume};
use wasmpod_sim::UnixNanos;

use crate::env::expansion;
use crate::env::{ConfigError, Environment};
use crate::objects::PodContext;
use crate::security::fs_group;
use host_path::HostPaths;

/// The first wait before a volume that could not be set up is tried again (pkg/util/goroutinemap/exponentialbackoff).
pub const RETRY_INITIAL: Duration = Duration::from_millis(500);
/// The longest wait.
pub const RETRY_MAX: Duration = Duration::from_secs(122);

/// A volume could not be set up. The words are the kubelet's event `FailedMount`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume {volume:?} : {reason}")]
pub struct MountFailure {
    /// The volume's name.
    pub volume: String,
    /// Why.
    pub reason: String,
}

/// A volume that is set up.
#[derive(Clone)]
pub struct Mounted {
    volume: Volume,
    /// Contents that only the node writes.
    read_only: bool,
    /// The file in it that is meant, for a hostPath that is a file.
    file: Option<String>,
}

/// The volumes of a pod by name.
pub type PodVolumes = BTreeMap<String, Mounted>;

/// What volumes are made from, beside the manifest.
#[derive(Clone)]
pub struct VolumeSources {
    /// The directories of the host that may be used.
    pub host_paths: Arc<HostPaths>,
    /// What disk-backed volumes count against.
    pub storage: Arc<Quota>,
}

/// Sets all volumes of a pod up.
///
/// # Errors
/// The first [`MountFailure`], in the manifest's order.
pub fn set_up(context: &PodContext<'_>, sources: &VolumeSources, now: UnixNanos) -> Result<PodVolumes, MountFailure> {
    let Some(spec) = context.pod.spec.as_ref() else { return Ok(PodVolumes::new()) };
    let one = |volume: &VolumeSpec| {
        let mounted = set_up_one(context, spec, volume, sources, now);
        let mounted = mounted.map_err(|reason| MountFailure { volume: volume.name.clone(), reason })?;
        Ok((volume.name.clone(), mounted))
    };
    spec.volumes.iter().flatten().map(one).collect()
}

fn set_up_one(
    context: &PodContext<'_>,
    spec: &PodSpec,
    volume: &VolumeSpec,
    sources: &VolumeSources,
    now: UnixNanos,
) -> Result<Mounted, String> {
    if let Some(source) = &volume.host_path {
        let found = sources.host_paths.open(&source.path, source.type_.as_deref().unwrap_or_default());
        let found = found.map_err(|error| error.to_string())?;
        return Ok(Mounted { volume: Volume::host(found.dir, false), read_only: false, file: found.file });
    }
    if let Some(entries) = payload::of(context, volume)? {
        let entries = entries.into_iter().map(payload::File::into_entry).collect();
        let volume = Volume::files_of_group(entries, fs_group(spec), now).map_err(|errno| errno.to_string())?;
        return Ok(Mounted { volume, read_only: true, file: None });
    }
    // Kubernetes: a volume without a source is an emptyDir
    let source = volume.empty_dir.clone().unwrap_or_default();
    let volume = Volume::tmpfs(empty_dir(&source, fs_group(spec), &sources.storage));
    Ok(Mounted { volume, read_only: false, file: None })
}

fn empty_dir(source: &EmptyDirVolumeSource, fs_group: Option<u32>, storage: &Arc<Quota>) -> TmpfsOptions {
    let memory_backed = source.medium.as_deref() == Some("Memory");
    let limit = source.size_limit.as_ref().and_then(|q| Quantity::parse(&q.0).ok());
    TmpfsOptions {
        size_limit: limit.and_then(|q| u64::try_from(q.value()).ok()).filter(|bytes| *bytes > 0),
        memory_backed,
        // with fsGroup the directory belongs to the group, and so does what is made in it
        mode: if fs_group.is_some() { 0o2777 } else { 0o777 },
        gid: fs_group.unwrap_or(0),
        quota: (!memory_backed).then(|| storage.clone()),
        ..TmpfsOptions::default()
    }
}

/// The mounts of a container.
///
/// # Errors
/// [`ConfigError`] if a subPath cannot be used, or if a volume is not there, which validation has ruled out.
pub fn mounts(container: &Container, volumes: &PodVolumes, env: &Environment) -> Result<Vec<Mount>, ConfigError> {
    container.volume_mounts.iter().flatten().map(|mount| one_mount(container, mount, volumes, env)).collect()
}

fn one_mount(
    container: &Container,
    mount: &VolumeMount,
    volumes: &PodVolumes,
    env: &Environment,
) -> Result<Mount, ConfigError> {
    let bad_path = || ConfigError::SubPath { mount: mount.name.clone(), container: container.name.clone() };
    let mounted = volumes.get(&mount.name).ok_or_else(bad_path)?;
    let sub_path = match (&mount.sub_path, &mount.sub_path_expr) {
        (Some(path), _) if !path.is_empty() => Some(path.clone()),
        (_, Some(expression)) if !expression.is_empty() => Some(expand_strictly(expression, env).ok_or_else(bad_path)?),
        _ => None,
    };
    if sub_path.as_deref().is_some_and(|path| path.starts_with('/') || path.split('/').any(|part| part == "..")) {
        return Err(bad_path());
    }
    let sub_path = match (sub_path, &mounted.file) {
        (None, file) => file.clone(),
        (Some(path), None) => Some(path),
        (Some(_), Some(_)) => return Err(bad_path()), // a file has nothing beneath it
    };
    let path =
        if mount.mount_path.starts_with('/') { mount.mount_path.clone() } else { format!("/{}", mount.mount_path) };
    let read_only = mounted.read_only || mount.read_only == Some(true);
    let (source, volume) = (mount.name.clone(), mounted.volume.clone());
    Ok(Mount { path, source, volume, options: MountOptions { read_only, sub_path } })
}

/// `subPathExpr`: every name in it must be known.
fn expand_strictly(expression: &str, env: &Environment) -> Option<String> {
    let missing = std::cell::Cell::new(false);
    let text = expansion::expand(expression, |name| {
        let value = env.get(name).map(String::as_str);
        missing.set(missing.get() || value.is_none());
        value
    });
    (!missing.get()).then_some(text)
}

#[cfg(test)]
mod tests;
