//! Fields that somebody added to an object, which applying leaves, since they are another manager's. Only fields
//! that change what runs, or who gets its traffic, and to which neither the API server nor a
//! controller gives a value by itself: replicas of an autoscaler, annotations of a rollout and defaults stay.

use kube::core::DynamicObject;
use serde_json::{Map, Value};

use super::values::{is_default, is_empty, is_whole, join, key_of, same};
use crate::kinds::Kind;

/// The part of an object that is to be taken out.
#[derive(Clone, Debug, PartialEq)]
pub struct Excess {
    /// The path of its first field.
    pub path: String,
    /// A merge patch that takes all of it out.
    pub patch: Value,
}

const DEPLOYMENT: &[&str] = &["minReadySeconds", "paused"];

const POD: &[&str] = &[
    "activeDeadlineSeconds",
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "hostname",
    "imagePullSecrets",
    "initContainers",
    "nodeName",
    "nodeSelector",
    "priorityClassName",
    "runtimeClassName",
    "securityContext",
    "shareProcessNamespace",
    "subdomain",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
];

const CONTAINER: &[&str] = &[
    "command",
    "envFrom",
    "lifecycle",
    "restartPolicy",
    "securityContext",
    "startupProbe",
    "stdin",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
];

const SERVICE: &[&str] = &[
    "externalIPs",
    "externalName",
    "externalTrafficPolicy",
    "internalTrafficPolicy",
    "loadBalancerClass",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "publishNotReadyAddresses",
    "sessionAffinity",
    "sessionAffinityConfig",
];

/// The part that `live` has beyond `wanted` and is to lose; `None` when there is none.
pub fn excess(kind: Kind, live: &DynamicObject, wanted: &DynamicObject) -> Option<Excess> {
    let mut first = None;
    let patch = beyond(kind, "", &live.data, &wanted.data, &mut first)?;
    Some(Excess { path: first?, patch })
}

fn beyond(kind: Kind, path: &str, live: &Value, wanted: &Value, first: &mut Option<String>) -> Option<Value> {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            let mut patch = Map::new();
            for (name, live) in live {
                let path_of = join(path, name);
                let is_added = || !is_empty(live) && is_excess(kind, path, name, live);
                let change = match wanted.get(name) {
                    Some(wanted) if !is_empty(wanted) => beyond(kind, &path_of, live, wanted, first),
                    _ => is_added().then(|| {
                        first.get_or_insert(path_of);
                        Value::Null
                    }),
                };
                patch.extend(change.map(|change| (name.clone(), change)));
            }
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        (Value::Array(live), Value::Array(entries)) => {
            let key = key_of(path, entries)?;
            let has_more = live.iter().any(|live| match entries.iter().find(|e| same(&live[key], &e[key])) {
                Some(entry) => beyond(kind, &format!("{path}[]"), live, entry, first).is_some(),
                None => {
                    first.get_or_insert(path.to_owned());
                    true
                }
            });
            // A merge patch can't reach into a list.
            has_more.then(|| wanted.clone())
        }
        _ => None,
    }
}

fn is_excess(kind: Kind, path: &str, name: &str, value: &Value) -> bool {
    if is_default(name, value) {
        return false;
    }
    let fields = match (kind, path) {
        (Kind::Deployment, "spec") => DEPLOYMENT,
        (Kind::Deployment, "spec.template.spec") => POD,
        (Kind::Deployment, "spec.template.spec.containers[]") => CONTAINER,
        (Kind::Service, "spec") => SERVICE,
        // Other maps of this form are replaced by applying.
        (Kind::Deployment, path) if path.contains("ecurityContext") => return is_whole(path),
        _ => return false,
    };
    fields.contains(&name)
}

#[cfg(test)]
mod tests;
