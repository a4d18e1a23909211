//! What a container's environment is, as the kubelet builds it (pkg/kubelet/kubelet_pods.go `makeEnvironmentVariables`).
//!
//! - [`expansion`][]: `$(NAME)`
//! - [`fields`]: `fieldRef` and `resourceFieldRef`
//!
//! Owns the order and the errors. Does not own the objects it reads ([`crate::objects`]) or the variables that the runtime adds
//! where the manifest has none (`PATH`, `HOSTNAME`): `$(HOSTNAME)` in a manifest does not see them.

pub mod expansion;
pub mod fields;

use indexmap::IndexMap;
use k8s_openapi::api::core::v1::{Container, EnvVarSource};

use crate::objects::{Objects, PodContext};

/// Why a container cannot be made from its manifest as things are: the kubelet's `CreateContainerConfigError`. Retried, as the
/// missing object may appear. The words are the kubelet's where it has this error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A ConfigMap that is not optional does not exist.
    #[error("configmap {0:?} not found")]
    NoConfigMap(String),
    /// A Secret that is not optional does not exist.
    #[error("secret {0:?} not found")]
    NoSecret(String),
    /// The ConfigMap has no such key.
    #[error("couldn't find key {key} in ConfigMap {namespace}/{name}")]
    NoConfigMapKey {
        /// The key asked for.
        key: String,
        /// The pod's namespace.
        namespace: String,
        /// The ConfigMap.
        name: String,
    },
    /// The Secret has no such key.
    #[error("couldn't find key {key} in Secret {namespace}/{name}")]
    NoSecretKey {
        /// The key asked for.
        key: String,
        /// The pod's namespace.
        namespace: String,
        /// The Secret.
        name: String,
    },
    /// A Secret's value is not text; WASI passes variables as UTF-8 only.
    #[error(
        "environment variable {variable} from Secret {namespace}/{name} is not UTF-8 text, which a WASI program cannot be given"
    )]
    NotUtf8 {
        /// The variable it would become.
        variable: String,
        /// The pod's namespace.
        namespace: String,
        /// The Secret.
        name: String,
    },
    /// A `fieldRef` that means nothing.
    #[error("unsupported fieldPath: {0}")]
    FieldPath(String),
    /// A `resourceFieldRef` that means nothing.
    #[error("unsupported container resource: {0}")]
    Resource(String),
    /// A `resourceFieldRef` names a container that the pod does not have.
    #[error("container {0} not found")]
    NoContainer(String),
    /// A part of the manifest this version refuses; `play` has said so before anything was started.
    #[error("{0}: not supported by this version of wasmpod")]
    Unsupported(&'static str),
    /// The mount would leave its volume.
    #[error("failed to prepare subPath for volumeMount {mount:?} of container {container:?}")]
    SubPath {
        /// The volume's name.
        mount: String,
        /// The container's.
        container: String,
    },
    /// `runAsNonRoot` and nobody else is named to run as.
    #[error("container has runAsNonRoot and image will run as root (pod: \"{pod}\", container: {container})")]
    RunsAsRoot {
        /// `name_namespace(uid)`
        pod: String,
        /// The container's name.
        container: String,
    },
    /// `runAsNonRoot` and `runAsUser: 0`.
    #[error("container's runAsUser breaks non-root policy (pod: \"{pod}\", container: {container})")]
    RootBreaksPolicy {
        /// `name_namespace(uid)`
        pod: String,
        /// The container's name.
        container: String,
    },
}

/// The variables that the manifest gives a container, in the order in which they came up, each once.
pub type Environment = IndexMap<String, String>;

/// The environment of `container`: `envFrom` in order, then `env` in order.
///
/// # Errors
/// [`ConfigError`] for the first thing that is missing and not optional.
pub fn environment(context: &PodContext<'_>, container: &Container) -> Result<Environment, ConfigError> {
    let mut env = Environment::new();
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        if let Some(reference) = &source.config_map_ref {
            add_config_map(&mut env, context, &reference.name, reference.optional == Some(true), prefix)?;
        }
        if let Some(reference) = &source.secret_ref {
            add_secret(&mut env, context, &reference.name, reference.optional == Some(true), prefix)?;
        }
    }
    for variable in container.env.iter().flatten() {
        let literal = variable.value.as_deref().unwrap_or_default();
        let value = match &variable.value_from {
            Some(source) if literal.is_empty() => match value_from(context, container, &variable.name, source)? {
                Some(value) => value,
                None => continue, // optional and absent: the variable is not set
            },
            _ => expansion::expand(literal, |name| env.get(name).map(String::as_str)),
        };
        env.insert(variable.name.clone(), value);
    }
    Ok(env)
}

/// `command` or `args` with the references that the manifest's environment knows.
pub fn expand_all(words: Option<&Vec<String>>, env: &Environment) -> Vec<String> {
    words.into_iter().flatten().map(|word| expansion::expand(word, |name| env.get(name).map(String::as_str))).collect()
}

fn add_config_map(
    env: &mut Environment,
    context: &PodContext<'_>,
    name: &str,
    optional: bool,
    prefix: &str,
) -> Result<(), ConfigError> {
    match context.objects.config_map(context.namespace(), name) {
        Some(map) => {
            for (key, value) in map.data.iter().flatten() {
                insert_prefixed(env, prefix, key, value.clone());
            }
            Ok(())
        }
        None if optional => Ok(()),
        None => Err(ConfigError::NoConfigMap(name.to_owned())),
    }
}

fn add_secret(
    env: &mut Environment,
    context: &PodContext<'_>,
    name: &str,
    optional: bool,
    prefix: &str,
) -> Result<(), ConfigError> {
    let Some(data) = secret_data(context.objects, context.namespace(), name) else {
        return if optional { Ok(()) } else { Err(ConfigError::NoSecret(name.to_owned())) };
    };
    for (key, value) in data {
        let value = secret_text(context, value, &format!("{prefix}{key}"), name)?;
        insert_prefixed(env, prefix, &key, value);
    }
    Ok(())
}

/// Names that no environment can hold are left out, as the kubelet does (it says so in an event).
fn insert_prefixed(env: &mut Environment, prefix: &str, key: &str, value: String) {
    let name = format!("{prefix}{key}");
    if is_env_name(&name) {
        env.insert(name, value);
    }
}

/// Kubernetes' relaxed rule (1.32): printable ASCII but `=`.
fn is_env_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'=')
}

fn value_from(
    context: &PodContext<'_>,
    container: &Container,
    variable: &str,
    source: &EnvVarSource,
) -> Result<Option<String>, ConfigError> {
    let namespace = context.namespace();
    if let Some(reference) = &source.field_ref {
        return fields::field(context, &reference.field_path).map(Some);
    }
    if let Some(reference) = &source.resource_field_ref {
        return fields::resource(context, container, reference).map(Some);
    }
    if let Some(reference) = &source.config_map_key_ref {
        let (name, key) = (&reference.name, &reference.key);
        let found = context.objects.config_map(namespace, name);
        let value = found.and_then(|map| map.data.as_ref()?.get(key));
        return match (found, value) {
            (_, Some(value)) => Ok(Some(value.clone())),
            _ if reference.optional == Some(true) => Ok(None),
            (None, None) => Err(ConfigError::NoConfigMap(name.clone())),
            (Some(_), None) => Err(ConfigError::NoConfigMapKey {
                key: key.clone(),
                namespace: namespace.to_owned(),
                name: name.clone(),
            }),
        };
    }
    if let Some(reference) = &source.secret_key_ref {
        let (name, key) = (&reference.name, &reference.key);
        let mut data = secret_data(context.objects, namespace, name);
        let value = data.as_mut().and_then(|data| data.remove(key));
        return match (data, value) {
            (_, Some(value)) => secret_text(context, value, variable, name).map(Some),
            _ if reference.optional == Some(true) => Ok(None),
            (None, None) => Err(ConfigError::NoSecret(name.clone())),
            (Some(_), None) => {
                Err(ConfigError::NoSecretKey { key: key.clone(), namespace: namespace.to_owned(), name: name.clone() })
            }
        };
    }
    if source.file_key_ref.is_some() {
        return Err(ConfigError::Unsupported("fileKeyRef"));
    }
    Ok(Some(String::new()))
}

/// A Secret's bytes by key: `data`, with `stringData` over it, as the API server stores it.
pub(crate) fn secret_data(
    objects: &Objects,
    namespace: &str,
    name: &str,
) -> Option<std::collections::BTreeMap<String, Vec<u8>>> {
    let secret = objects.secret(namespace, name)?;
    let plain = secret.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone()));
    let text = secret.string_data.iter().flatten().map(|(key, value)| (key.clone(), value.clone().into_bytes()));
    Some(plain.chain(text).collect())
}

fn secret_text(context: &PodContext<'_>, value: Vec<u8>, variable: &str, name: &str) -> Result<String, ConfigError> {
    String::from_utf8(value).map_err(|_| ConfigError::NotUtf8 {
        variable: variable.to_owned(),
        namespace: context.namespace().to_owned(),
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests;
