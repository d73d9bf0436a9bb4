//! The NetworkPolicy of a strategy's pickers: who may reach them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{rule, selector};

/// Who may reach the pickers of a strategy. Each pool's have a NetworkPolicy that selects them alone, and says nothing of
/// where they connect to. The kubelet's probes, which come from the pod's own node, are let through by any NetworkPolicy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicy {
    /// Who may ask where requests go: ports 9002 (ext_proc) and 9003 (health). The gateways, and nobody else.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub gateways: Vec<Peer>,
    /// Who may read metrics and debug pages: port 9090. Default: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub metrics: Option<Vec<Peer>>,
}

/// Pods that may connect, by labels of their own and of their namespaces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.namespaceSelector) || has(self.podSelector)", "give namespaceSelector, podSelector or both", "")
]))]
pub struct Peer {
    /// Labels of their namespaces; kubernetes.io/metadata.name is the name of each. An empty selector selects every
    /// namespace. Default: the namespace of the strategy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "selector")]
    pub namespace_selector: Option<LabelSelector>,
    /// Labels of the pods in these namespaces. Default: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "selector")]
    pub pod_selector: Option<LabelSelector>,
}
