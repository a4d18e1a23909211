//! Probes and lifecycle hooks.

use k8s_openapi::api::core::v1::{
    ExecAction, GRPCAction, HTTPGetAction, Lifecycle, LifecycleHandler, Probe, SleepAction, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::error::Errors;
use super::list;
use super::names::{http_header, port_name, port_number};
use super::path::Path;
use super::text;

/// Which probe: they differ in what they allow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ProbeKind {
    Liveness,
    Readiness,
    Startup,
}

/// What probes and hooks have in common.
#[derive(Default)]
struct Handler<'a> {
    exec: Option<&'a ExecAction>,
    http_get: Option<&'a HTTPGetAction>,
    tcp_socket: Option<&'a TCPSocketAction>,
    grpc: Option<&'a GRPCAction>,
    sleep: Option<&'a SleepAction>,
}

pub(super) fn probe(probe: Option<&Probe>, kind: ProbeKind, grace: i64, path: &Path<'_>, errors: &mut Errors) {
    let Some(probe) = probe else { return };
    let parts = Handler {
        exec: probe.exec.as_ref(),
        http_get: probe.http_get.as_ref(),
        tcp_socket: probe.tcp_socket.as_ref(),
        grpc: probe.grpc.as_ref(),
        sleep: None,
    };
    handler(&parts, grace, path, errors);
    for (field, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        errors.non_negative(&path.child(field), i64::from(value.unwrap_or(0)));
    }
    let own_grace = path.child("terminationGracePeriodSeconds");
    if let Some(value) = probe.termination_grace_period_seconds {
        if value <= 0 {
            errors.invalid(&own_grace, &value, "must be greater than 0");
        }
        if kind == ProbeKind::Readiness {
            errors.invalid(&own_grace, &value, "must not be set for readinessProbes");
        }
    }
    let threshold = probe.success_threshold.unwrap_or(0);
    if kind != ProbeKind::Readiness && threshold != 1 {
        errors.invalid(&path.child("successThreshold"), &threshold, "must be 1");
    }
}

pub(super) fn lifecycle(lifecycle: Option<&Lifecycle>, grace: i64, path: &Path<'_>, errors: &mut Errors) {
    let Some(lifecycle) = lifecycle else { return };
    let hook = |hook: &Option<LifecycleHandler>, path: &Path<'_>, errors: &mut Errors| {
        if let Some(hook) = hook {
            let parts = Handler {
                exec: hook.exec.as_ref(),
                http_get: hook.http_get.as_ref(),
                tcp_socket: hook.tcp_socket.as_ref(),
                grpc: None,
                sleep: hook.sleep.as_ref(),
            };
            handler(&parts, grace, path, errors);
        }
    };
    hook(&lifecycle.post_start, &path.child("postStart"), errors);
    hook(&lifecycle.pre_stop, &path.child("preStop"), errors);
}

/// Exactly one action: the first given is checked, the others are refused.
fn handler(handler: &Handler<'_>, grace: i64, path: &Path<'_>, errors: &mut Errors) {
    let mut seen = false;
    let mut first = |present: bool, field: &str, errors: &mut Errors| {
        if present && seen {
            errors.forbidden(&path.child(field), "may not specify more than 1 handler type");
        }
        let fresh = present && !seen;
        seen |= present;
        fresh
    };
    if first(handler.exec.is_some(), "exec", errors)
        && let Some(exec) = handler.exec
        && list(&exec.command).is_empty()
    {
        errors.required(&path.child("exec").child("command"), "");
    }
    if first(handler.http_get.is_some(), "httpGet", errors)
        && let Some(action) = handler.http_get
    {
        http_get(action, &path.child("httpGet"), errors);
    }
    if first(handler.tcp_socket.is_some(), "tcpSocket", errors)
        && let Some(action) = handler.tcp_socket
    {
        port(&action.port, &path.child("tcpSocket").child("port"), errors);
    }
    if first(handler.grpc.is_some(), "grpc", errors)
        && let Some(action) = handler.grpc
    {
        port(&IntOrString::Int(action.port), &path.child("grpc").child("port"), errors);
    }
    if first(handler.sleep.is_some(), "sleep", errors)
        && let Some(action) = handler.sleep
        && !(0..=grace).contains(&action.seconds)
    {
        let message = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.invalid(&path.child("sleep"), &action.seconds, message);
    }
    if !seen {
        errors.required(path, "must specify a handler type");
    }
}

fn http_get(action: &HTTPGetAction, path: &Path<'_>, errors: &mut Errors) {
    if text(&action.path).is_empty() {
        errors.required(&path.child("path"), "");
    }
    port(&action.port, &path.child("port"), errors);
    errors.one_of(&path.child("scheme"), text(&action.scheme), &["HTTP", "HTTPS"]);
    for header in list(&action.http_headers) {
        errors.invalid_all(&path.child("httpHeaders"), &header.name, http_header(&header.name));
    }
}

fn port(port: &IntOrString, path: &Path<'_>, errors: &mut Errors) {
    let messages = match port {
        IntOrString::Int(number) => port_number(*number),
        IntOrString::String(name) => port_name(name),
    };
    errors.invalid_all(path, port, messages);
}
