//! What a pod template may say. Whoever may write a RoutingStrategy need not be allowed to make pods, to
//! run them as any ServiceAccount, or to mount Secrets: so only what says where and how large pickers run
//! is let through.

use serde_json::{Map, Value};

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

/// Path of the first thing in a template that is not let through.
pub(super) fn violation(template: &Map<String, Value>) -> Option<String> {
    template.iter().find_map(|(name, value)| match name.as_str() {
        "metadata" => only(name, value, METADATA),
        "spec" => {
            only(name, value, POD).or_else(|| entries("spec.containers", &value["containers"], container))
        }
        _ => Some(name.clone()),
    })
}

fn container(path: &str, container: &Value) -> Option<String> {
    if container["name"] != "picker" {
        return Some(path.to_owned());
    }
    only(path, container, CONTAINER)
        .or_else(|| entries(&format!("{path}.env"), &container["env"], |path, env| only(path, env, ENV)))
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

    fn check(template: Value) -> Option<String> {
        violation(template.as_object().unwrap())
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
        assert_eq!(check(template), None);
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
    #[case(
        json!({"spec": {"containers": [{"name": "picker", "envFrom": [{"secretRef": {"name": "x"}}]}]}}),
        "spec.containers[0].envFrom"
    )]
    #[case(
        json!({"spec": {"containers": [{"name": "picker", "env": [{"name": "X", "valueFrom": {}}]}]}}),
        "spec.containers[0].env[0].valueFrom"
    )]
    fn what_gives_rights_is_not(#[case] template: Value, #[case] path: &str) {
        assert_eq!(check(template).as_deref(), Some(path));
    }
}
