//! The files of configMap, secret, downwardAPI and projected volumes (pkg/volume/configmap `MakePayload` and its siblings).
//!
//! Owns which files there are, with which content and mode. Does not own how they are laid out (`..data`): that is the kernel's
//! volume.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Volume};
use wasmpod_kernel::mntns::FileEntry;

use crate::env::{fields, secret_data};
use crate::objects::PodContext;

/// The mode of files when the manifest names none.
pub const DEFAULT_MODE: i32 = 0o644;

/// A file of such a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path in the volume.
    pub path: String,
    /// Its content.
    pub data: Vec<u8>,
    /// Its mode.
    pub mode: u32,
}

impl File {
    /// As the kernel wants it.
    pub fn into_entry(self) -> FileEntry {
        FileEntry { path: self.path, data: self.data.into(), mode: self.mode }
    }
}

/// The files of `volume`, or `None` if it is of another kind.
///
/// # Errors
/// Why not, in the kubelet's words: an object or a key that is not optional does not exist.
pub fn of(context: &PodContext<'_>, volume: &Volume) -> Result<Option<Vec<File>>, String> {
    let mut out = Files { files: BTreeMap::new() };
    if let Some(source) = &volume.config_map {
        let (mode, optional) = (source.default_mode, source.optional == Some(true));
        out.config_map(context, &source.name, source.items.as_deref(), mode, optional)?;
    } else if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        out.secret(context, name, source.items.as_deref(), source.default_mode, source.optional == Some(true))?;
    } else if let Some(source) = &volume.downward_api {
        out.downward(context, source.items.as_deref(), source.default_mode)?;
    } else if let Some(source) = &volume.projected {
        let mode = source.default_mode;
        for part in source.sources.iter().flatten() {
            if let Some(map) = &part.config_map {
                out.config_map(context, &map.name, map.items.as_deref(), mode, map.optional == Some(true))?;
            }
            if let Some(secret) = &part.secret {
                out.secret(context, &secret.name, secret.items.as_deref(), mode, secret.optional == Some(true))?;
            }
            if let Some(downward) = &part.downward_api {
                out.downward(context, downward.items.as_deref(), mode)?;
            }
        }
    } else {
        return Ok(None);
    }
    Ok(Some(out.files.into_iter().map(|(path, (data, mode))| File { path, data, mode }).collect()))
}

/// The files so far, by path; a later source of a projected volume wins.
struct Files {
    files: BTreeMap<String, (Vec<u8>, u32)>,
}

impl Files {
    fn config_map(
        &mut self,
        context: &PodContext<'_>,
        name: &str,
        items: Option<&[KeyToPath]>,
        mode: Option<i32>,
        optional: bool,
    ) -> Result<(), String> {
        let data = match context.objects.config_map(context.namespace(), name) {
            Some(map) => {
                let text = map.data.iter().flatten().map(|(key, value)| (key.clone(), value.clone().into_bytes()));
                let binary = map.binary_data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone()));
                text.chain(binary).collect()
            }
            None if optional => BTreeMap::new(),
            None => return Err(format!("configmap {name:?} not found")),
        };
        self.keys(data, items, mode, optional, "configmap references non-existent config key")
    }

    fn secret(
        &mut self,
        context: &PodContext<'_>,
        name: &str,
        items: Option<&[KeyToPath]>,
        mode: Option<i32>,
        optional: bool,
    ) -> Result<(), String> {
        let data = match secret_data(context.objects, context.namespace(), name) {
            Some(data) => data,
            None if optional => BTreeMap::new(),
            None => return Err(format!("secret {name:?} not found")),
        };
        self.keys(data, items, mode, optional, "references non-existent secret key")
    }

    fn keys(
        &mut self,
        mut data: BTreeMap<String, Vec<u8>>,
        items: Option<&[KeyToPath]>,
        mode: Option<i32>,
        optional: bool,
        missing: &str,
    ) -> Result<(), String> {
        match items {
            None | Some([]) => {
                for (key, value) in data {
                    self.add(key, value, mode);
                }
            }
            Some(items) => {
                for item in items {
                    match data.get_mut(&item.key) {
                        Some(value) => self.add(item.path.clone(), value.clone(), item.mode.or(mode)),
                        None if optional => {}
                        None => return Err(format!("{missing}: {}", item.key)),
                    }
                }
            }
        }
        Ok(())
    }

    fn downward(
        &mut self,
        context: &PodContext<'_>,
        items: Option<&[DownwardAPIVolumeFile]>,
        mode: Option<i32>,
    ) -> Result<(), String> {
        for item in items.into_iter().flatten() {
            let text = if let Some(reference) = &item.field_ref {
                fields::field(context, &reference.field_path)
            } else if let Some(reference) = &item.resource_field_ref {
                fields::resource_of_named(context, reference)
            } else {
                continue;
            };
            let text = text.map_err(|error| error.to_string())?;
            self.add(item.path.clone(), text.into_bytes(), item.mode.or(mode));
        }
        Ok(())
    }

    fn add(&mut self, path: String, data: Vec<u8>, mode: Option<i32>) {
        let mode = u32::try_from(mode.unwrap_or(DEFAULT_MODE)).unwrap_or(0) & 0o777;
        self.files.insert(path, (data, mode));
    }
}
