//! What keeps a Deployment from making pods: quotas, limits, policies. There are no pods to look at then.

use kube::core::DynamicObject;

use super::text::{after, before};
use crate::strategy::cause::Cause;

/// The reason of ReplicaSets whose pods are refused.
const REASON: &str = "FailedCreate";

/// What to do about words that a refusal has.
const FIXES: [(&str, &str); 10] = [
    ("exceeded quota", "raise that ResourceQuota, or ask for less in spec.picker.resources"),
    ("failed quota", "set these in spec.picker.resources: the ResourceQuota asks for them"),
    (" usage per ", "keep spec.picker.resources within the LimitRange of the namespace"),
    ("limit to request ratio", "keep spec.picker.resources within the LimitRange of the namespace"),
    ("violates PodSecurity", "change spec.picker.podTemplate, or the pod-security labels of the namespace"),
    ("PriorityClass", "correct priorityClassName in spec.picker.podTemplate"),
    ("RuntimeClass", "correct runtimeClassName in spec.picker.podTemplate"),
    ("service account", "it is made anew within seconds; if not, see who deletes it"),
    ("admission webhook", "see that webhook"),
    ("webhook", "see that webhook: it does not answer"),
];

/// What keeps the Deployment `live` from making pods, by its own conditions.
pub(super) fn of(live: &DynamicObject) -> Option<Cause> {
    let conditions = live.data["status"]["conditions"].as_array()?;
    let said = |kind: &str, status: &str| {
        conditions.iter().find(|condition| condition["type"] == kind && condition["status"] == status)
    };
    let message =
        |condition: &serde_json::Value| condition["message"].as_str().unwrap_or_default().to_owned();
    if let Some(failure) = said("ReplicaFailure", "True") {
        return Some(refused("the pods are refused", &message(failure)));
    }
    let failure =
        said("Progressing", "False").filter(|condition| condition["reason"] == "ReplicaSetCreateError")?;
    Some(refused("no ReplicaSet can be made", &message(failure)))
}

fn refused(what: &str, message: &str) -> Cause {
    // Before that are names, which are others at each attempt.
    let detail = after(after(message, "is forbidden: "), "is invalid: ");
    let detail = before(detail, ", see: ").trim_start_matches('[').trim_end_matches(']');
    let fix = FIXES.iter().find(|(words, _)| detail.contains(words));
    Cause::new(REASON, what, fix.map_or("see kubectl describe of its ReplicaSet", |(_, fix)| fix))
        .detail(detail)
}
