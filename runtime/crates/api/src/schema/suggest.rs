//! Which field was probably meant.

use std::collections::VecDeque;

use super::{SCHEMA, Type};

/// What to say about an unknown field.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Suggestion {
    /// A field of the same object has almost this name.
    Spelling(&'static str),
    /// The field exists, under this path (`spec.containers[]`).
    Elsewhere(String),
    /// As `Elsewhere`, at one of two places.
    Resource,
}

/// Looks for `name`, which the object type `object` of a `root` object does not have.
pub(super) fn suggest(root: usize, object: usize, name: &str) -> Option<Suggestion> {
    let object = &SCHEMA.objects[object];
    if object.name.ends_with("ResourceRequirements") && matches!(name, "cpu" | "memory" | "ephemeral-storage") {
        return Some(Suggestion::Resource);
    }
    let fields = || object.fields.iter().map(|(field, _)| *field);
    let same = fields().find(|field| field.eq_ignore_ascii_case(name)).or_else(|| {
        let plain = |s: &str| s.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        let wanted = plain(name);
        fields().find(|field| !wanted.is_empty() && plain(field) == wanted)
    });
    if let Some(field) = same {
        return Some(Suggestion::Spelling(field));
    }
    let nearest = fields().map(|field| (distance(field, name), field)).min();
    if let Some((1, field)) = nearest {
        return Some(Suggestion::Spelling(field));
    }
    if let Some(path) = elsewhere(root, name) {
        return Some(Suggestion::Elsewhere(path));
    }
    let allowed = if name.len() < 5 { 0 } else { name.len() / 4 + 1 };
    nearest.filter(|(distance, _)| *distance <= allowed.min(3)).map(|(_, field)| Suggestion::Spelling(field))
}

/// The shortest path at which a field of that name exists; `status` is not a place to send anybody.
fn elsewhere(root: usize, name: &str) -> Option<String> {
    let mut seen = vec![false; SCHEMA.objects.len()];
    let mut queue = VecDeque::from([(root, String::new())]);
    while let Some((at, path)) = queue.pop_front() {
        if std::mem::replace(&mut seen[at], true) {
            continue;
        }
        let object = &SCHEMA.objects[at];
        if !path.is_empty() && object.field(name).is_some() {
            return Some(path);
        }
        for (field, kind) in object.fields.iter().filter(|(field, _)| *field != "status" && *field != "managedFields") {
            let dot = if path.is_empty() { "" } else { "." };
            let (next, suffix) = match kind {
                Type::Object(next) => (*next, ""),
                Type::Array(item) => match **item {
                    Type::Object(next) => (next, "[]"),
                    _ => continue,
                },
                _ => continue,
            };
            queue.push_back((next, format!("{path}{dot}{field}{suffix}")));
        }
    }
    None
}

/// Edits (insert, delete, replace, swap of neighbours) from one name to another; names longer than any field count as far away.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 64;
    if a.len() > LONGEST || b.len() > LONGEST {
        return usize::MAX;
    }
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let width = b.len() + 1;
    let mut cost: Vec<usize> = (0..(a.len() + 1) * width).map(|at| if at < width { at } else { at / width }).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = cost[(i - 1) * width + j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(cost[(i - 1) * width + j] + 1).min(cost[i * width + j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(cost[(i - 2) * width + j - 2] + 1);
            }
            cost[i * width + j] = best;
        }
    }
    cost[a.len() * width + b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(object: &str, name: &str) -> Option<Suggestion> {
        suggest(SCHEMA.index["Pod"], SCHEMA.index[object], name)
    }

    #[test]
    fn distances() {
        for (a, b, want) in
            [("image", "image", 0), ("imagee", "image", 1), ("imgae", "image", 1), ("", "abc", 3), ("os", "ports", 3)]
        {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }

    #[test]
    fn spelling_comes_before_place() {
        assert_eq!(of("Container", "imagee"), Some(Suggestion::Spelling("image")));
        assert_eq!(of("Container", "Image"), Some(Suggestion::Spelling("image")));
        assert_eq!(of("Container", "volume_mounts"), Some(Suggestion::Spelling("volumeMounts")));
        assert_eq!(of("Container", "port"), Some(Suggestion::Spelling("ports")));
        assert_eq!(of("ObjectMeta", "restartPolicy"), Some(Suggestion::Elsewhere("spec".into())));
        assert_eq!(of("PodSpec", "ports"), Some(Suggestion::Elsewhere("spec.containers[]".into())));
        assert_eq!(of("Pod", "containers"), Some(Suggestion::Elsewhere("spec".into())));
        assert_eq!(of("Container", "containerPort"), Some(Suggestion::Elsewhere("spec.containers[].ports[]".into())));
        assert_eq!(of("ResourceRequirements", "cpu"), Some(Suggestion::Resource));
        assert_eq!(of("PodSpec", "zzz"), None);
    }
}
