//! What became of a RoutingStrategy.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::pool::PoolGroup;

/// What became of a RoutingStrategy. The operator writes all of it but `pickers`, of which each picker
/// writes its own entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoutingStrategyStatus {
    /// The generation of the spec that the rest of the status is about; -1 before the operator saw it.
    #[serde(default = "unseen")]
    pub observed_generation: i64,
    /// Revision of the last accepted routing, the one that pickers are to serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The conditions. Ready, Accepted, PoolsBound, HasEndpoints, Available and Programmed are always there;
    /// Stalled, Reconciling, Contested and Paused only while they are true.
    #[serde(default)]
    #[schemars(extend(
        "default" = initial_conditions(),
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["type"]
    ))]
    pub conditions: Vec<Condition>,
    /// The pools that the strategy claims.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["group", "name"]))]
    pub pools: Vec<PoolStatus>,
    /// The pickers, by the name of the pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 4096))]
    pub pickers: BTreeMap<String, PickerStatus>,
    /// Figures for the columns of kubectl.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
}

fn unseen() -> i64 {
    -1
}

/// The conditions of a strategy that the operator has not seen.
fn initial_conditions() -> Value {
    json!([{
        "type": "Ready",
        "status": "Unknown",
        "reason": "Pending",
        "message": "Waiting for the Waypost operator",
        "lastTransitionTime": "1970-01-01T00:00:00Z",
    }])
}

/// The status that the API server gives to an object without one, so that nothing looks ready before
/// it was seen.
pub(crate) fn initial() -> Value {
    json!({"observedGeneration": unseen(), "conditions": initial_conditions()})
}

/// What became of one pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolStatus {
    /// Name of the InferencePool.
    pub name: String,
    /// API group of the InferencePool.
    #[serde(default)]
    #[schemars(extend("default" = "inference.networking.k8s.io"))]
    pub group: PoolGroup,
    /// The Service of its pickers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picker_service: Option<String>,
    /// Port of that Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// Whether the pool points at that Service and port.
    pub bound: bool,
    /// How it is: Ready (all its pickers serve it), Progressing (as well, and others take their place), Degraded (it refers
    /// to its pickers, and not all are ready), Waiting (for its first picker), Elsewhere (it names another picker, and is not
    /// to be written), Contested (it was left to another manager), WrongPort, Conflict (an older strategy has it) or NotFound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PoolState")]
    pub state: Option<PoolState>,
    /// Where its requests go: Pickers (of this strategy), OtherPicker, NoPicker (it names none), or, where it refers to
    /// pickers of which none is ready, what gateways do then: FailOpen (they choose endpoints themselves) or FailClose (they
    /// refuse requests). Absent while there is no such pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "PoolTraffic")]
    pub traffic: Option<PoolTraffic>,
    /// Ready pickers of the wanted ones, for example 1/2; absent before there is a Deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pickers: Option<String>,
    /// Why it is not Ready, in one word, such as ImagePullBackOff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it is not Ready, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum PoolState {
    // Undocumented here, since documented variants become a oneOf, which the API server refuses.
    #[allow(missing_docs)]
    Ready,
    #[allow(missing_docs)]
    Progressing,
    #[allow(missing_docs)]
    Degraded,
    #[allow(missing_docs)]
    Waiting,
    #[allow(missing_docs)]
    Elsewhere,
    #[allow(missing_docs)]
    Contested,
    #[allow(missing_docs)]
    WrongPort,
    #[allow(missing_docs)]
    Conflict,
    #[allow(missing_docs)]
    NotFound,
}

impl PoolState {
    /// Its name, as the status has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Progressing => "Progressing",
            Self::Degraded => "Degraded",
            Self::Waiting => "Waiting",
            Self::Elsewhere => "Elsewhere",
            Self::Contested => "Contested",
            Self::WrongPort => "WrongPort",
            Self::Conflict => "Conflict",
            Self::NotFound => "NotFound",
        }
    }
}

/// Where the requests of a pool go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum PoolTraffic {
    // Undocumented as above.
    #[allow(missing_docs)]
    Pickers,
    #[allow(missing_docs)]
    OtherPicker,
    #[allow(missing_docs)]
    NoPicker,
    #[allow(missing_docs)]
    FailOpen,
    #[allow(missing_docs)]
    FailClose,
}

impl PoolTraffic {
    /// Its name, as the status has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pickers => "Pickers",
            Self::OtherPicker => "OtherPicker",
            Self::NoPicker => "NoPicker",
            Self::FailOpen => "FailOpen",
            Self::FailClose => "FailClose",
        }
    }
}

/// What one picker replica says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PickerStatus {
    /// Revision that it serves; absent when it serves none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub revision: Option<String>,
    /// Generation of the strategy that it saw last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Why it does not serve the routing of that generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub error: Option<String>,
    /// Its release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub version: Option<String>,
}

/// What the columns of kubectl show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Bound pools of all pools, for example 2/2.
    pub pools: String,
    /// Ready pickers of the wanted ones, for example 3/3.
    pub pickers: String,
    /// Where the requests of the pools go, in the words of `pools[].traffic`; where they differ, how many of the pools have
    /// the strategy's pickers, for example Pickers 2/3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<String>,
}
