//! What names, labels, ports and keys may look like: `util/validation` of apimachinery, each check giving its messages.

use std::net::IpAddr;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with \
     an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
     and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const SUBDOMAIN_UNDERSCORE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', \
     and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character \
     (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
     and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is \
     '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  \
     or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
const ENV_NAME: &str =
    "a valid environment variable name must consist only of printable ASCII characters other than '='";
const HEADER: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for \
     validation is '[-A-Za-z0-9]+')";

/// Characters of a DNS label.
const LABEL_MAX: usize = 63;
/// Characters of a DNS name.
pub(super) const SUBDOMAIN_MAX: usize = 253;
/// Characters of a port name (RFC 6335).
const PORT_NAME_MAX: usize = 15;

fn lower_alnum(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// Starts and ends with `edge`, and has only `inner` between.
fn bounded(text: &str, edge: fn(u8) -> bool, inner: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    edge(*first) && edge(*last) && bytes.iter().all(|b| inner(*b))
}

fn label_form(text: &str) -> bool {
    bounded(text, lower_alnum, |b| lower_alnum(b) || b == b'-')
}

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} characters")
}

/// Whether a name is a DNS label (RFC 1123): what containers, volumes and namespaces are called.
#[must_use]
pub fn is_dns1123_label(name: &str) -> bool {
    dns_label(name).is_empty()
}

/// Whether a name is a DNS subdomain (RFC 1123): what pods, configMaps and secrets are called.
#[must_use]
pub fn is_dns1123_subdomain(name: &str) -> bool {
    dns_subdomain(name).is_empty()
}

pub(super) fn dns_label(name: &str) -> Vec<String> {
    let mut out = Vec::new();
    if name.len() > LABEL_MAX {
        out.push(too_long(LABEL_MAX));
    }
    if !label_form(name) {
        let dots_only = name.split('.').all(label_form);
        out.push(if dots_only { "must not contain dots".to_owned() } else { LABEL.to_owned() });
    }
    out
}

pub(super) fn dns_subdomain(name: &str) -> Vec<String> {
    let mut out = Vec::new();
    if name.len() > SUBDOMAIN_MAX {
        out.push(too_long(SUBDOMAIN_MAX));
    }
    if !name.split('.').all(label_form) {
        out.push(SUBDOMAIN.to_owned());
    }
    out
}

pub(super) fn dns_subdomain_with_underscore(name: &str) -> Vec<String> {
    let mut out = Vec::new();
    if name.len() > SUBDOMAIN_MAX {
        out.push(too_long(SUBDOMAIN_MAX));
    }
    let part = |part: &str| {
        bounded(part.strip_prefix('_').unwrap_or(part), lower_alnum, |b| lower_alnum(b) || matches!(b, b'-' | b'_'))
    };
    if !name.split('.').all(part) {
        out.push(SUBDOMAIN_UNDERSCORE.to_owned());
    }
    out
}

fn qualified_form(text: &str) -> bool {
    bounded(text, |b| b.is_ascii_alphanumeric(), |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Keys of labels and annotations, names of resources: `name` or `prefix/name`.
pub(super) fn qualified_name(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut parts = text.split('/');
    let name = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, _) => name,
        (Some(""), Some(name), None) => {
            out.push("prefix part must be non-empty".to_owned());
            name
        }
        (Some(prefix), Some(name), None) => {
            out.extend(dns_subdomain(prefix).into_iter().map(|message| format!("prefix part {message}")));
            name
        }
        _ => {
            let suffix = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a qualified name {QUALIFIED} {suffix}")];
        }
    };
    if name.is_empty() {
        out.push("name part must be non-empty".to_owned());
    } else if name.len() > LABEL_MAX {
        out.push(format!("name part must be no more than {LABEL_MAX} bytes"));
    }
    if !qualified_form(name) {
        out.push(format!("name part {QUALIFIED}"));
    }
    out
}

pub(super) fn label_value(value: &str) -> Vec<String> {
    let mut out = Vec::new();
    if value.len() > LABEL_MAX {
        out.push(format!("must be no more than {LABEL_MAX} bytes"));
    }
    if !value.is_empty() && !qualified_form(value) {
        out.push(LABEL_VALUE.to_owned());
    }
    out
}

pub(super) fn config_map_key(key: &str) -> Vec<String> {
    let mut out = Vec::new();
    if key.len() > SUBDOMAIN_MAX {
        out.push(too_long(SUBDOMAIN_MAX));
    }
    let form = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    if !form {
        out.push(CONFIG_KEY.to_owned());
    } else if key == "." || key == ".." {
        out.push(format!("must not be '{key}'"));
    } else if key.starts_with("..") {
        out.push("must not start with '..'".to_owned());
    }
    out
}

pub(super) fn env_name(name: &str) -> Vec<String> {
    let fits = name.bytes().all(|b| (b.is_ascii_graphic() || b == b' ') && b != b'=');
    if fits { Vec::new() } else { vec![ENV_NAME.to_owned()] }
}

pub(super) fn http_header(name: &str) -> Vec<String> {
    let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if fits { Vec::new() } else { vec![HEADER.to_owned()] }
}

pub(super) fn port_number(port: i32) -> Vec<String> {
    range(i64::from(port), 1, 65535)
}

/// User and group ids.
pub(super) fn unix_id(id: i64) -> Vec<String> {
    range(id, 0, i64::from(i32::MAX))
}

pub(super) fn range(value: i64, min: i64, max: i64) -> Vec<String> {
    if (min..=max).contains(&value) { Vec::new() } else { vec![format!("must be between {min} and {max}, inclusive")] }
}

pub(super) fn port_name(name: &str) -> Vec<String> {
    let mut out = Vec::new();
    if name.len() > PORT_NAME_MAX {
        out.push(too_long(PORT_NAME_MAX));
    }
    if name.is_empty() || !name.bytes().all(|b| lower_alnum(b) || b == b'-') {
        out.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !name.bytes().any(|b| b.is_ascii_lowercase()) {
        out.push("must contain at least one letter (a-z)".to_owned());
    }
    if name.contains("--") {
        out.push("must not contain consecutive hyphens".to_owned());
    }
    if name.starts_with('-') || name.ends_with('-') {
        out.push("must not begin or end with a hyphen".to_owned());
    }
    out
}

pub(super) fn ip_address(text: &str) -> Vec<String> {
    // Go's lenient parser takes leading zeros ("010.0.0.1") in old fields
    let lenient = text.split('.').map(|part| part.trim_start_matches('0')).map(|p| if p.is_empty() { "0" } else { p });
    let parsed = text.parse::<IpAddr>().is_ok()
        || (text.split('.').all(|p| !p.is_empty()) && lenient.collect::<Vec<_>>().join(".").parse::<IpAddr>().is_ok());
    if parsed { Vec::new() } else { vec!["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)".to_owned()] }
}

pub(super) fn sysctl_name(name: &str) -> bool {
    let segment = |part: &str| bounded(part, lower_alnum, |b| lower_alnum(b) || matches!(b, b'-' | b'_'));
    name.len() <= SUBDOMAIN_MAX && name.split(['.', '/']).all(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_names() {
        for good in ["a", "a-b", "0", "123-abc"] {
            assert!(is_dns1123_label(good), "{good}");
        }
        for bad in ["", "A", "-a", "a-", "a_b", "a.b", "ä"] {
            assert!(!is_dns1123_label(bad), "{bad}");
        }
        assert_eq!(dns_label("a.b"), ["must not contain dots"]);
        assert!(is_dns1123_subdomain("a.b-c.0"));
        for bad in ["a..b", ".a", "a.", "a.B"] {
            assert!(!is_dns1123_subdomain(bad), "{bad}");
        }
        assert_eq!(dns_subdomain(&"a".repeat(254)), ["must be no more than 253 characters"]);
        assert!(dns_subdomain_with_underscore("_tcp.a_b.c").is_empty());
        assert!(!dns_subdomain_with_underscore("__a").is_empty());
    }

    #[test]
    fn qualified_names() {
        for good in ["a", "A_b.c", "example.com/MyName"] {
            assert!(qualified_name(good).is_empty(), "{good}");
        }
        for (bad, start) in [
            ("/a", "prefix part must be non-empty"),
            ("a/", "name part must be non-empty"),
            ("a/b/c", "a qualified name must consist"),
            ("A/b", "prefix part a lowercase RFC 1123 subdomain"),
            ("-a", "name part must consist"),
        ] {
            assert!(qualified_name(bad)[0].starts_with(start), "{bad}: {:?}", qualified_name(bad));
        }
    }

    #[test]
    fn others() {
        assert!(port_name("http").is_empty() && !port_name("a--b").is_empty() && !port_name("-a").is_empty());
        assert!(
            config_map_key("a.b_C-1").is_empty()
                && !config_map_key("..").is_empty()
                && !config_map_key("a/b").is_empty()
        );
        assert!(env_name("1 weird:name!").is_empty() && !env_name("A=B").is_empty() && !env_name("Ä").is_empty());
        assert!(ip_address("::1").is_empty() && ip_address("010.0.0.1").is_empty());
        assert!(!ip_address("1.2.3").is_empty() && !ip_address("").is_empty() && !ip_address("1..2.3").is_empty());
        assert!(
            sysctl_name("kernel.shm_rmid_forced")
                && sysctl_name("net/ipv4/x")
                && !sysctl_name("Bad!")
                && !sysctl_name("a..b")
        );
    }
}
