//! RoutingStrategy: how the requests of some InferencePools are routed.

// The columns of kubectl are attributes of one shape.
#![allow(clippy::duplicated_attributes)]

mod claims;
mod read;

pub use read::{MAX_POD_TEMPLATE, unreadable};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::paused::Paused;
use crate::picker::PickerSpec;
use crate::pool::PoolGroup;
use crate::routing::RoutingBody;
use crate::schema::{rule, selector};
use crate::status::RoutingStrategyStatus;

/// What a RoutingStrategy asks for.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "waypost.dev",
    version = "v1alpha1",
    kind = "RoutingStrategy",
    plural = "routingstrategies",
    shortname = "rstrat",
    category = "inference",
    namespaced,
    status = "RoutingStrategyStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "RoutingStrategy says how the requests of some InferencePools of its namespace are routed, and runs \
           the endpoint pickers that do it. A change of spec.routing is live on every picker without a restart.",
    printcolumn(
        name = "Pools",
        type_ = "string",
        json_path = ".status.summary.pools",
        description = "Bound pools of all pools"
    ),
    printcolumn(
        name = "Pickers",
        type_ = "string",
        json_path = ".status.summary.pickers",
        description = "Ready pickers of the wanted ones"
    ),
    printcolumn(
        name = "Traffic",
        type_ = "string",
        json_path = ".status.summary.traffic",
        description = "Where the requests of the pools go: Pickers, OtherPicker, NoPicker, FailOpen or FailClose"
    ),
    printcolumn(
        name = "Revision",
        type_ = "string",
        json_path = ".status.revision",
        description = "The last accepted routing"
    ),
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Accepted\")].status",
        description = "Whether the spec is valid"
    ),
    printcolumn(
        name = "Programmed",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Programmed\")].status",
        description = "Whether every ready picker serves the revision"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether all of it holds"
    ),
    printcolumn(
        name = "Paused",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Paused\")].reason",
        description = "What stands still, by spec.paused"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        description = "What is wrong, and what to do"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RoutingStrategySpec {
    /// The InferencePools that this strategy drives, all in its own namespace. A pool belongs to one
    /// strategy: of several that claim it, to the oldest.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub pools: Vec<PoolClaim>,
    /// How requests are routed: the body of an EndpointPickerConfig. A change is taken up by the running
    /// pickers within a second. Default: the scorers queue-scorer and kv-cache-utilization-scorer with
    /// weight 2 and prefix-cache-scorer with weight 3.
    #[serde(default)]
    #[schemars(extend("default" = picker_core::compile::default_routing()))]
    pub routing: RoutingBody,
    /// The pickers: the workload that is run for each pool. A change rolls it out anew, never below the
    /// wanted number of ready replicas.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub picker: PickerSpec,
    /// How the pools come to use the pickers. Takeover: their endpointPickerRef is set, also where
    /// another manager holds another value, and set back when the strategy is deleted or no longer claims
    /// the pool. Cooperative: it is set only where the pool names no other picker. Observe: pools are never
    /// written.
    #[serde(default)]
    #[schemars(extend("default" = "Takeover"))]
    pub binding: Binding,
    /// What stands still. true: the operator writes nothing for the strategy but its status, while its pickers serve on
    /// and take edits of the routing up. {workload: true} is the same; {routing: true} lets pickers serve what they serve,
    /// whatever becomes of spec.routing, and {workload: true, routing: true} is both. The condition Paused says what waits.
    /// A strategy that is deleted ends all the same. Default: false.
    #[serde(default, skip_serializing_if = "Paused::is_none")]
    pub paused: Paused,
}

/// One pool by name, or all pools with certain labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule("has(self.name) != has(self.selector)", "give exactly one of name and selector", "")
]))]
pub struct PoolClaim {
    /// Name of the InferencePool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Labels of the InferencePools. An empty selector selects every pool of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "selector")]
    pub selector: Option<LabelSelector>,
    /// API group of the InferencePool: inference.networking.k8s.io (v1) or
    /// inference.networking.x-k8s.io (v1alpha2). Default: inference.networking.k8s.io.
    #[serde(default)]
    pub group: PoolGroup,
}

/// How pools come to use the pickers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Binding {
    // Undocumented here, since documented variants become a oneOf, which the API server refuses.
    #[allow(missing_docs)]
    #[default]
    Takeover,
    #[allow(missing_docs)]
    Cooperative,
    #[allow(missing_docs)]
    Observe,
}
