//! Messages for users whose GitOps tool sets a pool's endpointPickerRef back, with the fix for that tool.

use crds::{PickerRef, Pool, PoolGroup};

use super::managers;

/// The message with the fix for `manager`, which holds the reference of `pool` that should be `wanted`.
pub(super) fn fix(manager: &str, pool: &Pool, wanted: &PickerRef) -> String {
    let (name, field, line) = (pool.name(), pool.group.ref_field(), line(pool, wanted));
    let what = format!("{manager} sets {field} of pool {name} back");
    let fix = match manager {
        "kustomize-controller" => format!(
            "in Git set {line}, or add to the Flux Kustomization spec.ignore: paths [/spec/{field}], target kind \
             InferencePool"
        ),
        "argocd-controller" | "argocd-application-controller" => format!(
            "in Git set {line}, or set ignoreDifferences managedFieldsManagers [waypost] and \
             RespectIgnoreDifferences=true"
        ),
        "helm" | "helm-controller" => format!("by the values of the chart set {line}"),
        m if m.contains("llmisvc") || m.contains("kserve") => kserve(),
        m if m.starts_with("kubectl") => format!("in the manifest that is applied set {line}"),
        _ => format!("set {line}, or use binding: Observe"),
    };
    format!("{what}; {fix}")
}

/// The line for the spec of `pool` with which it is bound as it should be: every field of `wanted` that is otherwise
/// now, and those that have no default.
pub(super) fn line(pool: &Pool, wanted: &PickerRef) -> String {
    let live = pool.picker();
    let kind = match live.is_some_and(|live| (&live.group, &live.kind) != (&wanted.group, &wanted.kind)) {
        true => format!("group: \"{}\", kind: {}, ", wanted.group, wanted.kind),
        false => String::new(),
    };
    let port = wanted.port.unwrap_or_default();
    let port = match pool.group {
        PoolGroup::V1 => format!("port: {{number: {port}}}"),
        PoolGroup::V1Alpha2 => format!("portNumber: {port}"),
    };
    let mode = wanted.failure_mode.iter().map(|mode| format!(", failureMode: {mode}")).collect::<String>();
    format!("{}: {{{kind}name: {}, {port}{mode}}}", pool.group.ref_field(), wanted.name)
}

/// The warning about `pool`, which names our Service as it should, with the failure mode of `live` in the place of that of
/// `wanted`.
pub(super) fn other_mode(pool: &Pool, live: &PickerRef, wanted: &PickerRef) -> String {
    let mode = |reference: &PickerRef| reference.failure_mode.clone().unwrap_or_default();
    let by = managers::of_field(pool, "failureMode").map(|m| format!(", set by {m}")).unwrap_or_default();
    format!(
        "pool {} has failureMode {}{by}, and spec.picker says {}; add failureMode: {} to its {} there, or leave it out of \
         spec.picker",
        pool.name(),
        mode(live),
        mode(wanted),
        mode(wanted),
        pool.group.ref_field(),
    )
}

/// The message about a pool that KServe makes and writes as a whole.
pub(super) fn kserve() -> String {
    "the pool is made by a KServe LLMInferenceService; name a pool of your own in its router.scheduler.pool.ref \
     and let this strategy claim that one"
        .to_owned()
}

/// Whether a pool is one that KServe makes.
pub(super) fn is_kserve(pool: &Pool) -> bool {
    pool.metadata.owner_references.iter().flatten().any(|owner| owner.kind == "LLMInferenceService")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::testing::pool;

    /// With the line in Git the pool is as it should be, whatever it had before.
    #[test]
    fn the_line_has_all_that_differs() {
        let mut pool = pool("qwen", "old-epp");
        let wanted = |mode: Option<&str>| PickerRef::service("qwen-picker", 9002, mode);
        let short = "endpointPickerRef: {name: qwen-picker, port: {number: 9002}}";
        assert_eq!(line(&pool, &wanted(None)), short);
        let with_mode =
            "endpointPickerRef: {name: qwen-picker, port: {number: 9002}, failureMode: FailClose}";
        assert_eq!(line(&pool, &wanted(Some("FailClose"))), with_mode);
        pool.stored_ref = Some(json!({"group": "example.com", "kind": "Thing", "name": "old"}));
        let with_kind =
            "endpointPickerRef: {group: \"\", kind: Service, name: qwen-picker, port: {number: 9002}}";
        assert_eq!(line(&pool, &wanted(None)), with_kind);
        pool.group = PoolGroup::V1Alpha2;
        pool.stored_ref = None;
        assert_eq!(line(&pool, &wanted(None)), "extensionRef: {name: qwen-picker, portNumber: 9002}");
    }

    /// A message of a condition has room for the whole fix of every manager.
    #[test]
    fn every_fix_fits() {
        let pool = pool(&"x".repeat(40), "old-epp");
        let wanted = PickerRef::service(&"x".repeat(40), 9002, "FailClose");
        for manager in
            ["kustomize-controller", "argocd-controller", "helm-controller", "kubectl-client-side-apply"]
        {
            let fix = fix(manager, &pool, &wanted);
            assert!(fix.len() <= 512, "{} {fix}", fix.len());
        }
    }
}
