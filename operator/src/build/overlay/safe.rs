//! What a pod template may say. Whoever may write a RoutingStrategy need not be allowed to make pods, to
//! run them as any ServiceAccount, or to mount Secrets: so only what says where and how large pickers run
//! is let through. `docs/security.md` has the model of threats behind it.

use serde_json::{Map, Value};

use super::OverlayError;
use crate::build::Limits;

const METADATA: &[&str] = &["annotations", "labels"];

const POD: &[&str] = &[
    "affinity",
    "containers",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "imagePullSecrets",
    "nodeSelector",
    "preemptionPolicy",
    "priorityClassName",
    "schedulerName",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
];

const CONTAINER: &[&str] = &["args", "env", "name", "resources"];

/// Not its servers and search domains: they would say at which address the API server is, where that has a name.
const DNS: &[&str] = &["options"];

const ENV: &[&str] = &["$patch", "name", "value"];

/// Environment variables of a picker that say how it logs and how many threads it has. Others lead its client of
/// the API server elsewhere, name files, or load code: which, depends on libraries, so no list of them would be
/// complete.
const VARIABLES: &[&str] = &["RUST_BACKTRACE", "RUST_LOG", "TOKIO_WORKER_THREADS"];

/// Environment variables that send connections through a proxy.
const PROXIES: &[&str] = &["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"];

/// Resources that bring nothing of the node into a container.
const RESOURCES: &[&str] = &["cpu", "ephemeral-storage", "memory"];

/// Flags of a picker that say how it logs and counts, how much it holds and how long it waits. The others name files,
/// configurations, endpoints or certificates: with them a picker shows what its author may not read, or sends
/// requests where its author may not.
const FLAGS: &[&str] = &[
    "body-timeout",
    "compat-metrics",
    "drain-timeout",
    "max-held-bytes",
    "max-request-body",
    "metrics-max-server-share",
    "metrics-rest-interval",
    "metrics-staleness-threshold",
    "model-server-metrics-https-insecure-skip-verify",
    "model-server-metrics-path",
    "model-server-metrics-port",
    "model-server-metrics-scheme",
    "refresh-metrics-interval",
    "refuse-longer-bodies",
    "v",
    "zap-encoder",
    "zap-log-level",
    "zap-stacktrace-level",
    "zap-time-encoding",
];

/// Priority classes with this prefix are for what a cluster can't run without.
const SYSTEM: &str = "system-";

/// Fails at the first thing in a template that is not let through. The picker has the arguments `own` already.
pub(in crate::build) fn check(
    template: &Map<String, Value>,
    own: &[Value],
    limits: &Limits,
) -> Result<(), OverlayError> {
    if let Some(error) = template.get("metadata").and_then(|metadata| foreign_key(metadata, limits)) {
        return Err(error);
    }
    if let Some(path) = violation(template, own) {
        return Err(OverlayError::Unsafe(path));
    }
    variable(template, limits).map_or(Ok(()), Err)
}

/// The first amount of a container's `resources` that may be a device of the node.
pub(in crate::build) fn device(resources: &Value) -> Option<String> {
    ["limits", "requests"].iter().find_map(|field| {
        let name = resources[field].as_object()?.keys().find(|name| !RESOURCES.contains(&name.as_str()))?;
        Some(format!("{field}[{name}]"))
    })
}

/// The first environment variable that is not let through.
fn variable(template: &Map<String, Value>, limits: &Limits) -> Option<OverlayError> {
    let proxies = if limits.proxies { PROXIES } else { &[] };
    let allowed = |name: &str| VARIABLES.contains(&name) || proxies.contains(&name);
    let containers = template.get("spec")?["containers"].as_array()?;
    containers.iter().enumerate().find_map(|(at, container)| {
        container["env"].as_array()?.iter().enumerate().find_map(|(i, env)| {
            let name = env["name"].as_str().unwrap_or_default();
            (!allowed(name)).then(|| OverlayError::Variable {
                path: format!("spec.containers[{at}].env[{i}].name"),
                name: name.to_owned(),
                allowed: [VARIABLES, proxies].concat().join(", "),
            })
        })
    })
}

fn violation(template: &Map<String, Value>, own: &[Value]) -> Option<String> {
    template.iter().find_map(|(name, value)| match name.as_str() {
        "metadata" => only(name, value, METADATA),
        "spec" => only(name, value, POD)
            .or_else(|| of_system(value))
            .or_else(|| only("spec.dnsConfig", &value["dnsConfig"], DNS))
            .or_else(|| {
                entries("spec.containers", &value["containers"], |path, value| container(path, value, own))
            }),
        _ => Some(name.clone()),
    })
}

fn foreign_key(metadata: &Value, limits: &Limits) -> Option<OverlayError> {
    let keys = |field: &str| metadata[field].as_object().into_iter().flat_map(Map::keys);
    let foreign = METADATA.iter().find_map(|field| {
        let key = keys(field).find(|key| !limits.allows_key(key))?;
        Some(OverlayError::Metadata(format!("metadata.{field}[{key}]")))
    });
    foreign.or_else(|| {
        let key = keys("labels").find(|key| !limits.allows_label(key))?;
        Some(OverlayError::PlainLabel(format!("metadata.labels[{key}]")))
    })
}

fn of_system(pod: &Value) -> Option<String> {
    let is_system = pod["priorityClassName"].as_str().is_some_and(|class| class.starts_with(SYSTEM));
    is_system.then(|| "spec.priorityClassName".to_owned())
}

fn container(path: &str, container: &Value, own: &[Value]) -> Option<String> {
    if container["name"] != "picker" {
        return Some(path.to_owned());
    }
    let device = || device(&container["resources"]).map(|device| format!("{path}.resources.{device}"));
    only(path, container, CONTAINER)
        .or_else(device)
        .or_else(|| entries(&format!("{path}.env"), &container["env"], |path, env| only(path, env, ENV)))
        .or_else(|| args(&format!("{path}.args"), &container["args"], own))
}

/// The first argument that is no flag of [`FLAGS`], no value of one, and none that is there anyway.
fn args(path: &str, args: &Value, own: &[Value]) -> Option<String> {
    let args = match args {
        Value::Array(args) => args,
        Value::Null => return None,
        _ => return Some(path.to_owned()),
    };
    let mut is_value = false;
    args.iter().enumerate().find_map(|(i, arg)| {
        let text = arg.as_str().unwrap_or_default();
        // A reference to a variable stands for what can't be seen here.
        if text.contains("$(") {
            return Some(format!("{path}[{i}]"));
        }
        let flag = text.strip_prefix("--").or_else(|| text.strip_prefix('-'));
        let (allowed, takes_next) = match flag {
            // What begins with a dash is no value here, lest it be one for us and a flag for the picker.
            None => (is_value, false),
            Some(_) if own.contains(arg) => (true, false),
            Some(flag) => match flag.split_once('=') {
                Some((name, _)) => (FLAGS.contains(&name), false),
                None => (FLAGS.contains(&flag), true),
            },
        };
        is_value = takes_next;
        (!allowed).then(|| format!("{path}[{i}]"))
    })
}

/// The first field of an object that is not among `known`. What is no object is refused later, by its
/// type.
fn only(path: &str, object: &Value, known: &[&str]) -> Option<String> {
    let unknown = object.as_object()?.keys().find(|field| !known.contains(&field.as_str()))?;
    Some(format!("{path}.{unknown}"))
}

fn entries(path: &str, list: &Value, check: impl Fn(&str, &Value) -> Option<String>) -> Option<String> {
    match list {
        Value::Array(list) => {
            list.iter().enumerate().find_map(|(i, entry)| check(&format!("{path}[{i}]"), entry))
        }
        Value::Null => None,
        _ => Some(path.to_owned()),
    }
}

#[cfg(test)]
mod tests;
