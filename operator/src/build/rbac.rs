//! The Role and RoleBinding of the pickers: reading in their own namespace, and writing their entry in the status.

use crds::{ObjectiveGroup, history};
use serde_json::json;

use super::input::Input;
use crate::kinds::{Kind, Object};

/// The Role of a pool's pickers. Everything in it the operator must hold itself, since rights can't be
/// given beyond one's own.
pub(super) fn role(input: &Input<'_>) -> Result<Object, serde_json::Error> {
    let read = ["get", "list", "watch"];
    let objectives = ObjectiveGroup::ALL.map(ObjectiveGroup::group);
    let slots: Vec<String> = history::slots(input.strategy).collect();
    input.object(
        Kind::Role,
        json!({"rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": read},
            {"apiGroups": [input.group.group()], "resources": ["inferencepools"], "verbs": read},
            // Its label names the strategy that they follow, which may become another.
            {
                "apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": [input.name], "verbs": read,
            },
            {
                "apiGroups": objectives, "resources": ["inferenceobjectives", "inferencemodelrewrites"], "verbs": read,
            },
            {
                "apiGroups": [ObjectiveGroup::GatewayApi.group()], "resources": ["inferencemodels"], "verbs": read,
            },
            {
                "apiGroups": ["waypost.dev"], "resources": ["routingstrategies"],
                "resourceNames": [input.strategy], "verbs": read,
            },
            {
                "apiGroups": ["waypost.dev"], "resources": ["routingstrategies/status"],
                "resourceNames": [input.strategy], "verbs": ["patch"],
            },
            {
                "apiGroups": ["apps"], "resources": ["controllerrevisions"],
                "resourceNames": slots, "verbs": ["get"],
            },
        ]}),
    )
}

/// Gives the Role to the ServiceAccount.
pub(super) fn binding(input: &Input<'_>) -> Result<Object, serde_json::Error> {
    input.object(
        Kind::RoleBinding,
        json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": input.name},
            "subjects": [{"kind": "ServiceAccount", "name": input.name, "namespace": input.namespace}],
        }),
    )
}
