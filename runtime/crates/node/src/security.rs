//! Whom a container runs as (pkg/securitycontext, kuberuntime_container.go `verifyRunAsNonRoot`).
//!
//! Owns the choice of ids. What a file's owner may do is the kernel's business.

use k8s_openapi::api::core::v1::{Container, PodSpec};
use wasmpod_kernel::mntns::Cred;

use crate::env::ConfigError;
use crate::objects::PodRef;

/// The ids of `container`: its own, else the pod's, else root. `fsGroup` and `supplementalGroups` are added to its groups.
///
/// # Errors
/// [`ConfigError::RunsAsRoot`] or [`ConfigError::RootBreaksPolicy`] if `runAsNonRoot` forbids the result.
pub fn cred(spec: &PodSpec, container: &Container, pod: &PodRef) -> Result<Cred, ConfigError> {
    let (of_pod, own) = (spec.security_context.as_ref(), container.security_context.as_ref());
    let user = own.and_then(|c| c.run_as_user).or_else(|| of_pod.and_then(|c| c.run_as_user));
    let group = own.and_then(|c| c.run_as_group).or_else(|| of_pod.and_then(|c| c.run_as_group));
    let non_root = own.and_then(|c| c.run_as_non_root).or_else(|| of_pod.and_then(|c| c.run_as_non_root));
    let names = || (pod.to_string(), container.name.clone());
    match (non_root, user) {
        (Some(true), None) => {
            let (pod, container) = names();
            return Err(ConfigError::RunsAsRoot { pod, container });
        }
        (Some(true), Some(0)) => {
            let (pod, container) = names();
            return Err(ConfigError::RootBreaksPolicy { pod, container });
        }
        _ => {}
    }
    let supplemental = of_pod.and_then(|c| c.supplemental_groups.as_deref()).unwrap_or_default();
    let groups = fs_group(spec).into_iter().chain(supplemental.iter().map(|id| self::id(*id))).collect();
    Ok(Cred { uid: user.map_or(0, id), gid: group.map_or(0, id), groups })
}

/// The pod's `fsGroup`.
pub fn fs_group(spec: &PodSpec) -> Option<u32> {
    spec.security_context.as_ref()?.fs_group.map(id)
}

/// Validation has kept ids in range; what is not becomes nobody.
fn id(id: i64) -> u32 {
    const NOBODY: u32 = 65_534;
    u32::try_from(id).unwrap_or(NOBODY)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(pod: serde_json::Value, container: serde_json::Value) -> Result<Cred, String> {
        let spec: PodSpec = serde_json::from_value(
            json!({"securityContext": pod, "containers": [{"name": "c", "securityContext": container}]}),
        )
        .unwrap();
        let reference = PodRef { namespace: "ns".into(), name: "p".into(), uid: "u".into() };
        cred(&spec, &spec.containers[0], &reference).map_err(|error| error.to_string())
    }

    #[test]
    fn the_container_wins_over_the_pod() {
        let pod = json!({"runAsUser": 1000, "runAsGroup": 2000, "fsGroup": 3000, "supplementalGroups": [4000]});
        let expected = |uid, gid| Ok(Cred { uid, gid, groups: vec![3000, 4000] });
        assert_eq!(of(pod.clone(), json!({})), expected(1000, 2000));
        assert_eq!(of(pod, json!({"runAsUser": 7})), expected(7, 2000));
        assert_eq!(of(json!({}), json!({})), Ok(Cred { uid: 0, gid: 0, groups: Vec::new() }));
    }

    #[test]
    fn non_root_is_checked() {
        let text = |pod| of(pod, json!({})).unwrap_err();
        let names = "(pod: \"p_ns(u)\", container: c)";
        let root = format!("container has runAsNonRoot and image will run as root {names}");
        assert_eq!(text(json!({"runAsNonRoot": true})), root);
        let breaks = format!("container's runAsUser breaks non-root policy {names}");
        assert_eq!(text(json!({"runAsNonRoot": true, "runAsUser": 0})), breaks);
        assert!(of(json!({"runAsNonRoot": true, "runAsUser": 5}), json!({})).is_ok());
    }
}
