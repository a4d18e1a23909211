//! Everything that can be wrong is found here, before anything is started: fields that are not built, images, hostPaths, ports.
//!
//! Owns the checks that need the command line or the host. The manifest's own are `api`'s.

use std::collections::BTreeMap;
use std::path::Path;

use wasmpod_api::k8s_openapi::api::core::v1::{Container, Pod};
use wasmpod_api::{Decoded, Diagnostic, Object, Severity};
use wasmpod_cri::{ImageSource, Protocol};
use wasmpod_node::PodRequest;
use wasmpod_node::agent::new_uid;
use wasmpod_node::fields::{self, Verdict};
use wasmpod_node::objects::{Objects, PodRef};
use wasmpod_node::volumes::host_path::HostPaths;
use wasmpod_sim::Sim;

use super::args::Publish;
use super::images;
use super::manifests::Manifests;

/// The letters of a generated name's end (apimachinery's util/rand): no vowels, so that no words appear.
const NAME_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// What is about to run.
pub struct Prepared {
    /// The pods, in the manifests' order.
    pub pods: Vec<PodRequest>,
    /// ConfigMaps and Secrets.
    pub objects: Objects,
    /// What does not do what it seems to.
    pub warnings: Vec<Diagnostic>,
}

impl Prepared {
    /// Each pod's names and its containers, init containers first.
    pub fn names(&self) -> Vec<(PodRef, Vec<String>)> {
        let one = |request: &PodRequest| {
            let names = containers(&request.pod).map(|(_, container)| container.name.clone()).collect();
            (PodRef::of(&request.pod), names)
        };
        self.pods.iter().map(one).collect()
    }
}

/// What the command line allows.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Most pods.
    pub max_pods: usize,
    /// In virtual time, what cannot be repeated.
    pub nondeterminism: bool,
}

/// Checks and completes what the manifests hold.
///
/// # Errors
/// All problems, as lines for the user.
pub fn prepare(manifests: Manifests, host_paths: &HostPaths, sim: &Sim, rules: Rules) -> Result<Prepared, Vec<String>> {
    let mut problems = Vec::new();
    let mut prepared = Prepared { pods: Vec::new(), objects: Objects::default(), warnings: manifests.warnings };
    for (turn, (decoded, base)) in manifests.objects.into_iter().enumerate() {
        match &decoded.object {
            Object::ConfigMap(map) => {
                prepared.objects.add_config_map((**map).clone());
            }
            Object::Secret(secret) => {
                prepared.objects.add_secret((**secret).clone());
            }
            Object::Pod(pod) => {
                let before = problems.len();
                check_fields(&decoded, pod, &mut prepared.warnings, &mut problems);
                let images = find_images(&decoded, pod, &base, &mut problems);
                check_host_paths(&decoded, pod, host_paths, &mut problems);
                if sim.is_virtual() && !rules.nondeterminism {
                    refuse_host_paths(&decoded, pod, &mut problems);
                }
                problems[before..].sort_by_key(|problem| (problem.line, problem.column));
                let pod = with_identity((**pod).clone(), sim, turn as u64);
                prepared.pods.push(PodRequest { pod, images });
            }
        }
    }
    let mut lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    if lines.is_empty() && prepared.pods.is_empty() {
        lines.push("no Pod in these manifests: there is nothing to run".to_owned());
    }
    if prepared.pods.len() > rules.max_pods {
        let pods = prepared.pods.len();
        lines.push(format!("{pods} pods: the node runs at most {} (--max-pods)", rules.max_pods));
    }
    if lines.is_empty() { Ok(prepared) } else { Err(lines) }
}

fn check_fields(decoded: &Decoded, pod: &Pod, warnings: &mut Vec<Diagnostic>, problems: &mut Vec<Diagnostic>) {
    let Ok(value) = serde_json::to_value(pod) else { return }; // a Pod is always JSON
    for finding in fields::check(&value) {
        match finding.verdict {
            Verdict::Refused => problems.push(decoded.diagnostic(Severity::Error, &finding.field, finding.message)),
            Verdict::Warning => warnings.push(decoded.diagnostic(Severity::Warning, &finding.field, finding.message)),
        }
    }
}

fn find_images(
    decoded: &Decoded,
    pod: &Pod,
    base: &Path,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<String, ImageSource> {
    let mut found = BTreeMap::new();
    for (path, container) in containers(pod) {
        let reference = container.image.as_deref().unwrap_or_default();
        match images::resolve(reference, base) {
            Ok(ImageSource::Directory(_)) if container.command.as_ref().is_none_or(Vec::is_empty) => {
                let message =
                    format!("Required value: image {reference:?} is a directory, and command names the program in it");
                problems.push(decoded.diagnostic(Severity::Error, &format!("{path}.command"), message));
            }
            Ok(source) => {
                found.insert(reference.to_owned(), source);
            }
            Err(message) => problems.push(decoded.diagnostic(Severity::Error, &format!("{path}.image"), message)),
        }
    }
    found
}

fn check_host_paths(decoded: &Decoded, pod: &Pod, host_paths: &HostPaths, problems: &mut Vec<Diagnostic>) {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    for (index, volume) in volumes.enumerate() {
        if let Some(source) = &volume.host_path
            && let Err(error) = host_paths.check(&source.path)
        {
            let field = format!("spec.volumes[{index}].hostPath.path");
            problems.push(decoded.diagnostic(Severity::Error, &field, error.to_string()));
        }
    }
}

/// What is on the host changes when others change it, so a run that reads it cannot be repeated.
fn refuse_host_paths(decoded: &Decoded, pod: &Pod, problems: &mut Vec<Diagnostic>) {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    for (index, _) in volumes.enumerate().filter(|(_, volume)| volume.host_path.is_some()) {
        let message = "the host's files may differ from run to run: in virtual time this needs --allow-nondeterminism";
        problems.push(decoded.diagnostic(Severity::Error, &format!("spec.volumes[{index}].hostPath"), message));
    }
}

/// The containers of a pod and their paths, init containers first.
fn containers(pod: &Pod) -> impl Iterator<Item = (String, &Container)> {
    let spec = pod.spec.as_ref();
    let init = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten()).enumerate();
    let main = spec.into_iter().flat_map(|spec| &spec.containers).enumerate();
    let init = init.map(|(index, container)| (format!("spec.initContainers[{index}]"), container));
    init.chain(main.map(|(index, container)| (format!("spec.containers[{index}]"), container)))
}

/// What the API server would add: a name for a `generateName`, and the uid.
fn with_identity(mut pod: Pod, sim: &Sim, turn: u64) -> Pod {
    let meta = &mut pod.metadata;
    if meta.name.as_deref().unwrap_or_default().is_empty() {
        let mut stream = sim.entropy().stream(&format!("name/{turn}"));
        let letter = |_| char::from(NAME_LETTERS[usize::try_from(stream.below(27)).unwrap_or(0)]);
        let end: String = (0..5).map(letter).collect();
        meta.name = Some(format!("{}{end}", meta.generate_name.as_deref().unwrap_or_default()));
    }
    let reference = PodRef::of(&pod);
    pod.metadata.uid = Some(new_uid(sim, &reference.namespace, &reference.name, turn));
    pod
}

/// Which pod a published port leads to, as an index into `pods`.
///
/// # Errors
/// The sentence for the user: no such pod, or no single one that has the port.
pub fn publish_target(publish: &Publish, pods: &[PodRequest]) -> Result<usize, String> {
    let port = publish.pod_port;
    if let Some(wanted) = &publish.pod {
        let matches = |request: &PodRequest| {
            let pod = PodRef::of(&request.pod);
            *wanted == pod.name || *wanted == format!("{}/{}", pod.namespace, pod.name)
        };
        let found: Vec<usize> = (0..pods.len()).filter(|index| matches(&pods[*index])).collect();
        return match found[..] {
            [one] => Ok(one),
            [] => Err(format!("--publish {wanted}/…: there is no pod {wanted:?}")),
            _ => Err(format!("--publish {wanted}/…: several pods are called {wanted:?}; write NAMESPACE/NAME/…")),
        };
    }
    if pods.len() == 1 {
        return Ok(0);
    }
    let declares = |request: &PodRequest| {
        containers(&request.pod).flat_map(|(_, container)| container.ports.iter().flatten()).any(|declared| {
            let udp = declared.protocol.as_deref() == Some("UDP");
            declared.container_port == i32::from(port) && udp == (publish.protocol == Protocol::Udp)
        })
    };
    let found: Vec<usize> = (0..pods.len()).filter(|index| declares(&pods[*index])).collect();
    match found[..] {
        [one] => Ok(one),
        _ => {
            let how_many = if found.is_empty() { "no pod has" } else { "several pods have" };
            Err(format!("--publish …:{port}: {how_many} the containerPort {port}; name the pod: POD/HOST_PORT:{port}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const RULES: Rules = Rules { max_pods: 110, nondeterminism: false };

    fn run(pods: &[(&str, &str)]) -> Result<Prepared, Vec<String>> {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("a.wasm"), b"\0asm\x01\0\0\0").unwrap();
        let mut text = String::new();
        for (name, more) in pods {
            text += &format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{{name}}}\nspec:\n  containers:\n  - name: c\n    image: ./a.wasm\n{more}"
            );
        }
        let manifest = wasmpod_api::decode("f.yaml", text.as_bytes()).map_err(|d| vec![d.to_string()])?;
        let base: PathBuf = temp.path().to_owned();
        let objects = manifest.objects.into_iter().map(|object| (object, base.clone())).collect();
        let manifests = Manifests { objects, warnings: manifest.warnings };
        prepare(manifests, &HostPaths::default(), &Sim::new_virtual(0), RULES)
    }

    fn problems(more: &str) -> Vec<String> {
        run(&[("name: p", more)]).err().unwrap_or_default()
    }

    #[test]
    fn what_is_not_built_is_refused_with_its_line() {
        let got = problems("    livenessProbe:\n      tcpSocket: {port: 80}\n");
        assert_eq!(got.len(), 1, "{got:?}");
        let expected = "f.yaml:9:5: spec.containers[0].livenessProbe: not supported by this version of wasmpod";
        assert!(got[0].starts_with(expected), "{got:?}");
    }

    #[test]
    fn images_and_host_paths_are_checked_first() {
        let got = problems("  - name: d\n    image: busybox\n  - name: e\n    image: ./no.wasm\n");
        assert!(
            got[0].starts_with("f.yaml:10:12: spec.containers[1].image: image \"busybox\" is not a path"),
            "{got:?}"
        );
        assert!(
            got[1].starts_with("f.yaml:12:12: spec.containers[2].image: image \"./no.wasm\": no such file"),
            "{got:?}"
        );
        let got = problems("  - name: d\n    image: ./\n");
        assert!(got[0].contains("spec.containers[1].command: Required value: image \"./\" is a directory"), "{got:?}");
        let got = problems("  volumes:\n  - name: v\n    hostPath: {path: /etc}\n");
        assert!(got[0].contains("spec.volumes[0].hostPath: the host's files may differ from run to run"), "{got:?}");
        assert!(got[1].contains("spec.volumes[0].hostPath.path: hostPath /etc is not allowed"), "{got:?}");
    }

    #[test]
    fn scheduling_is_a_warning() {
        let prepared = run(&[("name: p", "  nodeSelector: {a: b}\n")]).ok().unwrap();
        let warnings: Vec<String> = prepared.warnings.iter().map(ToString::to_string).collect();
        assert!(warnings.iter().any(|line| line.contains("spec.nodeSelector: has no effect")), "{warnings:?}");
    }

    #[test]
    fn names_are_generated_and_repeat() {
        let name = || run(&[("generateName: job-", "")]).ok().unwrap().names()[0].0.clone();
        let first = name();
        assert!(first.name.starts_with("job-") && first.name.len() == 9 && first.uid.len() == 36, "{first:?}");
        assert_eq!(first, name());
    }

    #[test]
    fn nothing_to_run_is_a_problem() {
        let map = wasmpod_api::decode("f.yaml", b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n").unwrap();
        let objects = map.objects.into_iter().map(|object| (object, PathBuf::new())).collect();
        let manifests = Manifests { objects, warnings: Vec::new() };
        let problems = prepare(manifests, &HostPaths::default(), &Sim::new_virtual(0), RULES).err().unwrap();
        assert_eq!(problems, ["no Pod in these manifests: there is nothing to run"]);
    }

    #[test]
    fn published_ports_find_their_pod() {
        let ports = "    ports: [{containerPort: 80}]\n";
        let pods = run(&[("name: a", ""), ("name: b", ports)]).ok().unwrap().pods;
        let target = |text: &str, pods: &[PodRequest]| publish_target(&text.parse().unwrap(), pods);
        assert_eq!(target("1:80", &pods), Ok(1));
        assert_eq!(target("a/1:80", &pods), Ok(0));
        assert_eq!(target("default/b/1:9", &pods), Ok(1));
        assert_eq!(target("1:9", &pods[..1]), Ok(0), "one pod needs no port");
        assert!(target("1:80/udp", &pods).unwrap_err().contains("no pod has the containerPort 80"));
        assert!(target("c/1:80", &pods).unwrap_err().contains("there is no pod \"c\""));
        let two = run(&[("name: a", ports), ("name: b", ports)]).ok().unwrap().pods;
        assert!(target("1:80", &two).unwrap_err().contains("several pods have the containerPort 80"));
    }
}
