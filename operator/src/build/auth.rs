//! The ClusterRoleBinding by which pickers may ask the API server who reads their metrics (TokenReview and SubjectAccessReview).

use std::collections::BTreeMap;

use serde_json::json;

use crate::kinds::{Kind, Object};
use crate::names;

/// The built-in ClusterRole that lets its holder ask whose a token is, and what its owner may do.
const DELEGATOR: &str = "system:auth-delegator";

/// Gives the right to the ServiceAccounts of a strategy's `pickers`.
///
/// # Errors
/// None in practice: see [`Object::new`].
pub fn binding(
    namespace: &str,
    strategy: &str,
    version: &str,
    pickers: &[&str],
) -> Result<Object, serde_json::Error> {
    let mut pickers = pickers.to_vec();
    pickers.sort_unstable();
    let subjects: Vec<_> = pickers
        .iter()
        .map(|name| json!({"kind": "ServiceAccount", "name": name, "namespace": namespace}))
        .collect();
    let version = names::label(version);
    let labels: BTreeMap<&str, &str> = [
        ("app.kubernetes.io/name", "waypost-picker"),
        ("app.kubernetes.io/version", &version),
        (names::MANAGED_BY, names::MANAGED_BY_WAYPOST),
        (names::COMPONENT, names::COMPONENT_PICKER),
        (names::NAMESPACE, namespace),
        (names::STRATEGY, strategy),
    ]
    .into();
    Object::new(
        Kind::ClusterRoleBinding,
        &json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": {"name": names::cluster(namespace, strategy), "labels": labels},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": DELEGATOR},
            "subjects": subjects,
        }),
    )
}
