//! What a pod template may say. Whoever may write a RoutingStrategy need not be allowed to make pods, to
//! run them as any ServiceAccount, or to mount Secrets: so only what says where and how large pickers run
//! is let through.

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
    "hostAliases",
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

const ENV: &[&str] = &["$patch", "name", "value"];

/// Flags of a picker that say how it logs, how much it holds and how long it waits. The others name files,
/// configurations, endpoints or certificates: with them a picker shows what its author may not read, or sends
/// requests where its author may not.
const FLAGS: &[&str] = &[
    "body-timeout",
    "drain-timeout",
    "max-held-bytes",
    "max-request-body",
    "metrics-staleness-threshold",
    "model-server-metrics-path",
    "model-server-metrics-port",
    "refresh-metrics-interval",
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
    if let Some(key) = template.get("metadata").and_then(|metadata| foreign_key(metadata, limits)) {
        return Err(OverlayError::Metadata(key));
    }
    violation(template, own).map_or(Ok(()), |path| Err(OverlayError::Unsafe(path)))
}

fn violation(template: &Map<String, Value>, own: &[Value]) -> Option<String> {
    template.iter().find_map(|(name, value)| match name.as_str() {
        "metadata" => only(name, value, METADATA),
        "spec" => only(name, value, POD).or_else(|| of_system(value)).or_else(|| {
            entries("spec.containers", &value["containers"], |path, value| container(path, value, own))
        }),
        _ => Some(name.clone()),
    })
}

fn foreign_key(metadata: &Value, limits: &Limits) -> Option<String> {
    METADATA.iter().find_map(|field| {
        let key = metadata[field].as_object()?.keys().find(|key| !limits.allows_key(key))?;
        Some(format!("metadata.{field}[{key}]"))
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
    only(path, container, CONTAINER)
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
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn refused(template: Value) -> Option<String> {
        let own = [json!("--strategy=llm/chat"), json!("--cert-path=/etc/waypost/tls")];
        match check(template.as_object().unwrap(), &own, &Limits::default()) {
            Ok(()) => None,
            Err(OverlayError::Unsafe(path) | OverlayError::Metadata(path)) => Some(path),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn where_and_how_large_is_let_through() {
        let template = json!({
            "metadata": {"labels": {"team": "llm"}, "annotations": {"a": "b"}},
            "spec": {
                "nodeSelector": {"pool": "cpu"}, "tolerations": [{"operator": "Exists"}],
                "priorityClassName": "high", "terminationGracePeriodSeconds": 60,
                "containers": [{
                    "name": "picker", "args": ["-v", "4"], "resources": {"limits": {"cpu": "1"}},
                    "env": [{"name": "RUST_LOG", "value": "debug"}, {"name": "X", "$patch": "delete"}],
                }],
            },
        });
        assert_eq!(refused(template), None);
    }

    #[rstest]
    #[case(json!({"spec": {"serviceAccountName": "admin"}}), "spec.serviceAccountName")]
    #[case(json!({"spec": {"automountServiceAccountToken": true}}), "spec.automountServiceAccountToken")]
    #[case(json!({"spec": {"hostNetwork": true}}), "spec.hostNetwork")]
    #[case(json!({"spec": {"hostPID": true}}), "spec.hostPID")]
    #[case(json!({"spec": {"volumes": [{"name": "x", "hostPath": {"path": "/"}}]}}), "spec.volumes")]
    #[case(json!({"spec": {"securityContext": {}}}), "spec.securityContext")]
    #[case(json!({"spec": {"initContainers": []}}), "spec.initContainers")]
    #[case(json!({"spec": {"$patch": "replace"}}), "spec.$patch")]
    #[case(json!({"$patch": "replace"}), "$patch")]
    #[case(json!({"spec": {"containers": [{"name": "sidecar"}]}}), "spec.containers[0]")]
    #[case(json!({"spec": {"containers": {"$patch": "replace"}}}), "spec.containers")]
    #[case(json!({"spec": {"containers": [{"name": "picker", "image": "x"}]}}), "spec.containers[0].image")]
    #[case(json!({"spec": {"containers": [{"name": "picker", "command": ["sh"]}]}}), "spec.containers[0].command")]
    #[case(json!({"spec": {"containers": [{"name": "picker", "securityContext": null}]}}), "spec.containers[0].securityContext")]
    #[case(json!({"spec": {"priorityClassName": "system-node-critical"}}), "spec.priorityClassName")]
    #[case(
        json!({"metadata": {"annotations": {"sidecar.istio.io/userVolume": "[]"}}}),
        "metadata.annotations[sidecar.istio.io/userVolume]"
    )]
    #[case(json!({"metadata": {"labels": {"iam.example.com/role": "admin"}}}), "metadata.labels[iam.example.com/role]")]
    #[case(
        json!({"spec": {"containers": [{"name": "picker", "envFrom": [{"secretRef": {"name": "x"}}]}]}}),
        "spec.containers[0].envFrom"
    )]
    #[case(
        json!({"spec": {"containers": [{"name": "picker", "env": [{"name": "X", "valueFrom": {}}]}]}}),
        "spec.containers[0].env[0].valueFrom"
    )]
    fn what_gives_rights_is_not(#[case] template: Value, #[case] path: &str) {
        assert_eq!(refused(template).as_deref(), Some(path));
    }

    #[rstest]
    #[case(json!(["-v", "4"]), None)]
    #[case(json!(["--v=4", "--zap-log-level", "debug", "--max-request-body=1", "--drain-timeout", "1m", "--body-timeout=9s", "--model-server-metrics-port=8002"]), None)]
    // As older documentation said to.
    #[case(json!(["--strategy=llm/chat", "--cert-path=/etc/waypost/tls", "-v=4"]), None)]
    #[case(json!(null), None)]
    #[case(json!(["--config-text", "plugins: [{type: file-discovery}]"]), Some(0))]
    #[case(json!(["--config-text=x"]), Some(0))]
    #[case(json!(["-v", "4", "--endpoint-selector=app=other"]), Some(2))]
    #[case(json!(["-v", "--config-file=/var/run/secrets/kubernetes.io/serviceaccount/token"]), Some(1))]
    #[case(json!(["-configText", "x"]), Some(0))]
    #[case(json!(["--strategy=other/chat"]), Some(0))]
    #[case(json!(["--cert-path=/etc"]), Some(0))]
    #[case(json!(["--pool-namespace=other"]), Some(0))]
    #[case(json!(["--grpc-port=1"]), Some(0))]
    #[case(json!(["--v=4", "4"]), Some(1))]
    #[case(json!(["-v", "4", "5"]), Some(2))]
    #[case(json!(["check", "/etc/passwd"]), Some(0))]
    #[case(json!(["--"]), Some(0))]
    #[case(json!([{"$patch": "replace"}]), Some(0))]
    fn only_flags_that_name_nothing_are(#[case] args: Value, #[case] at: Option<usize>) {
        let template = json!({"spec": {"containers": [{"name": "picker", "args": args}]}});
        assert_eq!(refused(template), at.map(|at| format!("spec.containers[0].args[{at}]")));
    }
}
