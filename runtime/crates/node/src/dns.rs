//! What a pod's `/etc/resolv.conf` says (pkg/kubelet/network/dns/dns.go): dnsPolicy and dnsConfig.
//!
//! Owns the three lists. Names are looked up by the pod network; see `wasmpod_kernel::fabric`.

use k8s_openapi::api::core::v1::{PodDNSConfig, PodSpec};
use wasmpod_cri::DnsSettings;

/// The address of the cluster's name server, as most clusters have it.
pub const CLUSTER_DNS: &str = "10.96.0.10";
/// The option that a cluster's pods get.
const CLUSTER_OPTION: &str = "ndots:5";

/// The settings of a pod in `namespace`. The node itself has no name server, so policy `Default` starts from nothing.
pub fn settings(spec: &PodSpec, namespace: &str, cluster_domain: &str) -> DnsSettings {
    let mut settings = match spec.dns_policy.as_deref() {
        Some("None" | "Default") => DnsSettings::default(),
        _ => DnsSettings {
            nameservers: vec![CLUSTER_DNS.to_owned()],
            searches: vec![
                format!("{namespace}.svc.{cluster_domain}"),
                format!("svc.{cluster_domain}"),
                cluster_domain.to_owned(),
            ],
            options: vec![CLUSTER_OPTION.to_owned()],
        },
    };
    if let Some(config) = &spec.dns_config {
        merge(&mut settings, config);
    }
    settings
}

fn merge(settings: &mut DnsSettings, config: &PodDNSConfig) {
    add_new(&mut settings.nameservers, config.nameservers.as_deref().unwrap_or_default());
    add_new(&mut settings.searches, config.searches.as_deref().unwrap_or_default());
    for option in config.options.iter().flatten() {
        let Some(name) = option.name.as_deref() else { continue };
        let text = match option.value.as_deref() {
            Some(value) if !value.is_empty() => format!("{name}:{value}"),
            _ => name.to_owned(),
        };
        let same = |known: &String| known.split(':').next() == Some(name);
        match settings.options.iter().position(same) {
            Some(at) => settings.options[at] = text,
            None => settings.options.push(text),
        }
    }
}

fn add_new(list: &mut Vec<String>, more: &[String]) {
    for item in more {
        if !list.contains(item) {
            list.push(item.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(spec: serde_json::Value) -> (String, String, String) {
        let mut spec = spec;
        spec["containers"] = json!([]);
        let got = settings(&serde_json::from_value(spec).unwrap(), "ns", "cluster.local");
        (got.nameservers.join(" "), got.searches.join(" "), got.options.join(" "))
    }

    fn expect(nameservers: &str, searches: &str, options: &str) -> (String, String, String) {
        (nameservers.to_owned(), searches.to_owned(), options.to_owned())
    }

    #[test]
    fn policies_and_config() {
        let searches = "ns.svc.cluster.local svc.cluster.local cluster.local";
        assert_eq!(of(json!({})), expect(CLUSTER_DNS, searches, "ndots:5"));
        assert_eq!(of(json!({"dnsPolicy": "Default"})), expect("", "", ""));
        let config = json!({"nameservers": ["1.1.1.1"], "searches": ["a.b"], "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}]});
        assert_eq!(of(json!({"dnsPolicy": "None", "dnsConfig": config})), expect("1.1.1.1", "a.b", "ndots:2 edns0"));
        let more = json!({"nameservers": [CLUSTER_DNS, "1.1.1.1"], "searches": ["cluster.local", "x"], "options": [{"name": "ndots", "value": "1"}]});
        let searches = format!("{searches} x");
        assert_eq!(of(json!({"dnsConfig": more})), expect("10.96.0.10 1.1.1.1", &searches, "ndots:1"));
    }
}
