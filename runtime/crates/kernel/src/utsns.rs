//! The UTS namespace: the hostname that the containers of a pod share (`uts_namespaces(7)`), and the name under which others
//! find the pod. Follows the kubelet (pkg/kubelet/kubelet_pods.go `GeneratePodHostNameAndDomain`): spec.hostname, else the
//! pod's name, cut to 63; a subdomain gives the FQDN. Names are validated before they get here.

/// The longest hostname label (RFC 1123).
pub const MAX_LABEL: usize = 63;
/// The longest name the kernel keeps (`HOST_NAME_MAX`).
pub const MAX_HOSTNAME: usize = 64;

/// What a pod is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UtsNs {
    hostname: String,
    fqdn: Option<String>,
}

/// A pod's FQDN does not fit into the kernel's hostname field, and `setHostnameAsFQDN` asks for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to construct FQDN from pod hostname and cluster domain, FQDN {fqdn} is too long ({MAX_HOSTNAME} characters is the max, {} characters requested)", .fqdn.len())]
pub struct FqdnTooLong {
    /// The name that is too long.
    pub fqdn: String,
}

impl UtsNs {
    /// Names a pod. `domain` is `<namespace>.svc.<cluster domain>`.
    ///
    /// # Errors
    /// [`FqdnTooLong`] if `fqdn_as_hostname` asks for more than [`MAX_HOSTNAME`] bytes.
    pub fn new(
        pod_name: &str,
        hostname: Option<&str>,
        subdomain: Option<&str>,
        domain: &str,
        fqdn_as_hostname: bool,
    ) -> Result<Self, FqdnTooLong> {
        let label = hostname.filter(|name| !name.is_empty()).unwrap_or(pod_name);
        let short = truncate(label);
        let fqdn = subdomain.filter(|name| !name.is_empty()).map(|subdomain| format!("{short}.{subdomain}.{domain}"));
        match &fqdn {
            Some(fqdn) if fqdn_as_hostname && fqdn.len() > MAX_HOSTNAME => Err(FqdnTooLong { fqdn: fqdn.clone() }),
            Some(name) if fqdn_as_hostname => Ok(Self { hostname: name.clone(), fqdn }),
            _ => Ok(Self { hostname: short, fqdn }),
        }
    }

    /// What `gethostname(2)` answers.
    pub fn hostname(&self) -> &str {
        &self.hostname
    }

    /// The fully qualified name, if the pod has a subdomain.
    pub fn fqdn(&self) -> Option<&str> {
        self.fqdn.as_deref()
    }
}

/// Cuts a name to a label; a cut must not end in `-` or `.`, which no label may.
fn truncate(name: &str) -> String {
    let mut end = name.len().min(MAX_LABEL);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    if end == name.len() { name.to_owned() } else { name[..end].trim_end_matches(['-', '.']).to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: &str = "default.svc.cluster.local";

    #[test]
    fn the_hostname_is_the_pods_name_unless_the_spec_says_otherwise() {
        assert_eq!(UtsNs::new("web-0", None, None, DOMAIN, false).unwrap().hostname(), "web-0");
        let named = UtsNs::new("web-0", Some("db"), Some("sub"), DOMAIN, false).unwrap();
        assert_eq!((named.hostname(), named.fqdn()), ("db", Some("db.sub.default.svc.cluster.local")));
    }

    #[test]
    fn a_long_name_is_cut_to_a_legal_label() {
        let name = format!("{}-{}", "a".repeat(62), "b");
        assert_eq!(UtsNs::new(&name, None, None, DOMAIN, false).unwrap().hostname(), "a".repeat(62));
    }

    #[test]
    fn the_fqdn_becomes_the_hostname_only_when_it_fits() {
        let fits = UtsNs::new("a", None, Some("s"), DOMAIN, true).unwrap();
        assert_eq!(fits.hostname(), "a.s.default.svc.cluster.local");
        let long = UtsNs::new(&"a".repeat(60), None, Some("s"), DOMAIN, true).unwrap_err();
        assert!(long.to_string().contains("is too long (64 characters is the max, 88 characters requested)"), "{long}");
    }
}
