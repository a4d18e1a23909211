//! The text of the files that the kubelet and the runtime write for a pod: `/etc/hosts` (pkg/kubelet/kubelet_pods.go
//! `managedHostsFileContent`), `/etc/hostname` and `/etc/resolv.conf` (containerd's `parseDNSOptions`). Pure text; who mounts it
//! where is the node's business.

use std::fmt::Write as _;
use std::net::IpAddr;

/// One entry of a pod's hostAliases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAlias {
    /// The address, as the manifest writes it.
    pub ip: String,
    /// The names for it.
    pub hostnames: Vec<String>,
}

/// The content of `/etc/hosts` of a pod that has its own network. `domain` is what follows the hostname in the FQDN of a pod
/// with a subdomain.
pub fn hosts(pod_ips: &[IpAddr], hostname: &str, domain: Option<&str>, aliases: &[HostAlias]) -> String {
    let mut text = String::from(HOSTS_HEAD);
    for ip in pod_ips {
        let _infallible = match domain.filter(|domain| !domain.is_empty()) {
            Some(domain) => writeln!(text, "{ip}\t{hostname}.{domain}\t{hostname}"),
            None => writeln!(text, "{ip}\t{hostname}"),
        };
    }
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
        for alias in aliases {
            let _infallible = writeln!(text, "{}\t{}", alias.ip, alias.hostnames.join("\t"));
        }
    }
    text
}

/// The content of `/etc/hostname`.
pub fn hostname(name: &str) -> String {
    format!("{name}\n")
}

/// The content of `/etc/resolv.conf`; what is empty has no line.
pub fn resolv_conf(nameservers: &[String], searches: &[String], options: &[String]) -> String {
    let mut text = String::new();
    if !searches.is_empty() {
        let _infallible = writeln!(text, "search {}", searches.join(" "));
    }
    for server in nameservers {
        let _infallible = writeln!(text, "nameserver {server}");
    }
    if !options.is_empty() {
        let _infallible = writeln!(text, "options {}", options.join(" "));
    }
    text
}

/// What every managed hosts file begins with.
const HOSTS_HEAD: &str = "# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_is_what_the_kubelet_writes() {
        let ips = ["10.244.0.5".parse().unwrap(), "fd00:10:244::5".parse().unwrap()];
        let aliases = [HostAlias { ip: "10.1.2.3".into(), hostnames: vec!["foo.remote".into(), "bar.remote".into()] }];
        let text = hosts(&ips, "web-0", Some("nginx.default.svc.cluster.local"), &aliases);
        let (head, tail) = text.split_once("fe00::2\tip6-allrouters\n").unwrap();
        assert!(head.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-"));
        assert_eq!(
            tail,
            "10.244.0.5\tweb-0.nginx.default.svc.cluster.local\tweb-0\n\
             fd00:10:244::5\tweb-0.nginx.default.svc.cluster.local\tweb-0\n\n\
             # Entries added by HostAliases.\n10.1.2.3\tfoo.remote\tbar.remote\n"
        );
        assert!(hosts(&ips[..1], "a", None, &[]).ends_with("ip6-allrouters\n10.244.0.5\ta\n"));
    }

    #[test]
    fn resolv_conf_has_the_order_of_the_runtime() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let text =
            resolv_conf(&words("10.96.0.10"), &words("default.svc.cluster.local svc.cluster.local"), &words("ndots:5"));
        assert_eq!(
            text,
            "search default.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
        );
        assert_eq!(resolv_conf(&[], &[], &[]), "");
        assert_eq!(hostname("web-0"), "web-0\n");
    }
}
