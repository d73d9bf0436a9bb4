//! Messages for users whose GitOps tool sets a pool's endpointPickerRef back, with the fix for that tool.

use crds::Pool;

/// The message with the fix for `manager`, which holds the reference of `pool` that should name the Service `picker`.
pub(super) fn fix(manager: &str, pool: &Pool, picker: &str) -> String {
    let (name, field) = (pool.name(), pool.group.ref_field());
    let what = format!("{manager} sets {field} of pool {name} back");
    let fix = match manager {
        "kustomize-controller" => format!(
            "name {picker} in Git, or add to the Flux Kustomization spec.ignore: paths [/spec/{field}], target kind \
             InferencePool"
        ),
        "argocd-controller" | "argocd-application-controller" => format!(
            "name {picker} in Git, or set ignoreDifferences managedFieldsManagers [waypost] and \
             RespectIgnoreDifferences=true"
        ),
        "helm" | "helm-controller" => format!("set {picker} as the picker in the values of the chart"),
        m if m.contains("llmisvc") || m.contains("kserve") => kserve(),
        m if m.starts_with("kubectl") => format!("name {picker} in the manifest that is applied"),
        _ => format!("let it name {picker}, or use binding: Observe"),
    };
    format!("{what}; {fix}")
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
