//! Which pods a fault is for: a selector of all that the manifests have, and a mode that takes all of them or draws some.

use std::collections::BTreeMap;

use wasmpod_api::k8s_openapi::api::core::v1::Pod;
use wasmpod_node::PodRequest;
use wasmpod_node::objects::PodRef;
use wasmpod_sim::Stream;

use super::Fault;

/// A selector with its mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// The namespaces; the fault's own if it names none.
    pub namespaces: Vec<String>,
    /// Pods by namespace; if there are any, nothing else counts but labels.
    pub pods: BTreeMap<String, Vec<String>>,
    /// Labels that a pod must have.
    pub labels: BTreeMap<String, String>,
    /// How many of them.
    pub mode: Mode,
}

/// How many of the selected pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One, drawn.
    One,
    /// All.
    All,
    /// So many, drawn; all if there are fewer.
    Fixed(u64),
    /// So many percent, rounded down, drawn.
    FixedPercent(u64),
    /// Up to so many percent, which is drawn too.
    RandomMaxPercent(u64),
}

impl Select {
    /// True if it selects `pod`.
    pub fn selects(&self, pod: &Pod) -> bool {
        let PodRef { namespace, name, .. } = PodRef::of(pod);
        let named = match self.pods.is_empty() {
            true => self.namespaces.contains(&namespace),
            false => self.pods.get(&namespace).is_some_and(|names| names.contains(&name)),
        };
        let labels = pod.metadata.labels.as_ref();
        let has = |(key, value): (&String, &String)| labels.and_then(|labels| labels.get(key)) == Some(value);
        named && self.labels.iter().all(has)
    }
}

impl Mode {
    /// Takes some of `from`, in their order.
    pub fn draw(self, mut from: Vec<usize>, random: &mut Stream) -> Vec<usize> {
        let all = from.len() as u64;
        let count = match self {
            Self::All => return from,
            Self::One => 1,
            Self::Fixed(count) => count,
            Self::FixedPercent(percent) => all * percent.min(100) / 100,
            Self::RandomMaxPercent(percent) => all * random.below(percent.min(100) + 1) / 100,
        };
        let mut taken = Vec::new();
        while (taken.len() as u64) < count && !from.is_empty() {
            let at = usize::try_from(random.below(from.len() as u64)).unwrap_or(0);
            taken.push(from.swap_remove(at));
        }
        taken.sort_unstable();
        taken
    }
}

/// What cannot be meant: a selector without pods, and containers that no selected pod has.
pub fn problems(fault: &Fault, pods: &[PodRequest]) -> Vec<String> {
    let selected: Vec<&Pod> = pods.iter().map(|request| &request.pod).filter(|pod| fault.select.selects(pod)).collect();
    let mut problems = Vec::new();
    if selected.is_empty() {
        problems.push(format!("{}: spec.selector: selects no pod of these manifests", fault.place));
    }
    if let super::Kind::Network { target: Some(target), .. } = &fault.kind
        && !pods.iter().any(|request| target.selects(&request.pod))
    {
        problems.push(format!("{}: spec.target.selector: selects no pod of these manifests", fault.place));
    }
    for name in fault.containers.iter().filter(|_| !selected.is_empty()) {
        let has = |pod: &&Pod| {
            let spec = pod.spec.as_ref();
            let init = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten());
            init.chain(spec.into_iter().flat_map(|spec| &spec.containers)).any(|container| container.name == *name)
        };
        if !selected.iter().any(has) {
            problems.push(format!("{}: spec.containerNames: no selected pod has a container {name:?}", fault.place));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use wasmpod_sim::Entropy;

    use super::*;

    fn pod(namespace: &str, name: &str, app: &str) -> Pod {
        let text = serde_json::json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": {"app": app}},
        });
        serde_json::from_value(text).expect("a pod")
    }

    fn select(mode: Mode) -> Select {
        Select { namespaces: vec!["default".into()], pods: BTreeMap::new(), labels: BTreeMap::new(), mode }
    }

    #[test]
    fn selectors_take_namespaces_names_and_labels() {
        let all = [pod("default", "a", "x"), pod("default", "b", "y"), pod("other", "c", "x")];
        let names = |select: &Select| -> Vec<String> {
            all.iter().filter(|pod| select.selects(pod)).map(|pod| PodRef::of(pod).name).collect()
        };
        let plain = select(Mode::All);
        assert_eq!(names(&plain), ["a", "b"]);
        let labels: BTreeMap<_, _> = [("app".to_owned(), "x".to_owned())].into();
        assert_eq!(names(&Select { labels: labels.clone(), ..plain.clone() }), ["a"]);
        let pods: BTreeMap<_, _> = [("other".to_owned(), vec!["c".to_owned(), "a".to_owned()])].into();
        assert_eq!(names(&Select { pods: pods.clone(), ..plain.clone() }), ["c"]);
        assert_eq!(names(&Select { pods, labels, ..plain }), ["c"]);
    }

    #[test]
    fn modes_draw_as_many_as_they_say() {
        let draw = |mode: Mode, seed| mode.draw((0..10).collect(), &mut Entropy::from_seed(seed).stream("fault/x"));
        assert_eq!(draw(Mode::All, 1).len(), 10);
        assert_eq!((draw(Mode::Fixed(3), 1).len(), draw(Mode::Fixed(30), 1).len()), (3, 10));
        assert_eq!(draw(Mode::FixedPercent(25), 1).len(), 2);
        let one: Vec<Vec<usize>> = (0..20).map(|seed| draw(Mode::One, seed)).collect();
        assert!(one.iter().all(|drawn| drawn.len() == 1) && one.iter().any(|drawn| *drawn != one[0]));
        let percent: Vec<usize> = (0..500).map(|seed| draw(Mode::RandomMaxPercent(50), seed).len()).collect();
        assert!(percent.iter().all(|drawn| *drawn <= 5) && percent.contains(&5) && percent.contains(&0), "{percent:?}");
        assert_eq!(draw(Mode::Fixed(3), 7), draw(Mode::Fixed(3), 7));
    }
}
