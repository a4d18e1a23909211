//! Image references, as far as the default of a pull policy needs them: `parsers.ParseImageName` over distribution/reference.

/// Characters of a tag.
const TAG_MAX: usize = 128;

/// Bytes of a name without tag and digest (`NameTotalLengthMax`).
const NAME_MAX: usize = 255;

/// `Always` for what may change under the same name: the tag `latest`, or neither tag nor digest. References that cannot be read
/// (a path to a file, for one) get `IfNotPresent`, as in Kubernetes.
pub(super) fn pull_policy(image: &str) -> &'static str {
    match tag(image) {
        Some("latest") => "Always",
        _ => "IfNotPresent",
    }
}

/// The tag, `latest` if neither tag nor digest is given; `None` with a digest only, or if this is not a reference.
fn tag(image: &str) -> Option<&str> {
    let (rest, digest) = match image.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (image, None),
    };
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return None;
    }
    // a colon behind the last slash starts a tag, one before it a port
    let name_end = rest.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match rest[name_end..].find(':') {
        Some(colon) => (&rest[..name_end + colon], Some(&rest[name_end + colon + 1..])),
        None => (rest, None),
    };
    if !is_name(name) || tag.is_some_and(|tag| !is_tag(tag)) {
        return None;
    }
    tag.or(if digest.is_none() { Some("latest") } else { None })
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        algorithm.starts_with(|c: char| c.is_ascii_alphabetic())
            && algorithm.chars().all(|c| c.is_ascii_alphanumeric() || "+.-_".contains(c))
            && hex.len() >= 32
            && hex.chars().all(|c| c.is_ascii_hexdigit())
    })
}

fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= TAG_MAX && text.starts_with(word) && text.chars().all(|c| word(c) || c == '.' || c == '-')
}

fn is_name(name: &str) -> bool {
    if name.is_empty() || name.len() > NAME_MAX {
        return false;
    }
    let path = match name.split_once('/') {
        // as splitDockerDomain: the first part is a host if it looks like one
        Some((host, path))
            if host.contains(['.', ':']) || host == "localhost" || host.chars().any(|c| c.is_ascii_uppercase()) =>
        {
            if !is_host(host) {
                return false;
            }
            path
        }
        _ => name,
    };
    path.split('/').all(is_component)
}

fn is_host(host: &str) -> bool {
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (host, None),
    };
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    host.split('.').all(part) && port.is_none_or(|port| !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()))
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or hyphens.
fn is_component(text: &str) -> bool {
    let alnum = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut separator = String::new();
    for c in text.chars() {
        if alnum(c) {
            separator.clear();
            continue;
        }
        separator.push(c);
        let fits = matches!(separator.as_str(), "." | "_" | "__") || separator.chars().all(|c| c == '-');
        if !fits {
            return false;
        }
    }
    separator.is_empty() && text.starts_with(alnum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        for always in
            ["nginx", "nginx:latest", "localhost:5000/a/b", "ghcr.io/x/y", "a__b", "Registry.example/a", "app.wasm"]
        {
            assert_eq!(pull_policy(always), "Always", "{always}");
        }
        let digest = format!("nginx@sha256:{}", "a".repeat(64));
        for absent in [
            "nginx:1",
            "localhost:5000/a:1",
            &digest,
            "",
            "./app.wasm",
            "/abs/app.wasm",
            "Nginx",
            "a:b:c",
            "a//b",
            "a..b",
            "a-",
        ] {
            assert_eq!(pull_policy(absent), "IfNotPresent", "{absent}");
        }
        assert_eq!(pull_policy(&format!("nginx:latest@sha256:{}", "a".repeat(64))), "Always");
    }
}
