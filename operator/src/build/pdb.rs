//! The PodDisruptionBudget of a picker workload.

use serde_json::json;

use super::input::Input;
use crate::kinds::{Kind, Object};
use crate::names;

/// The PodDisruptionBudget of a pool with more than one picker.
pub(super) fn build(input: &Input<'_>) -> Result<Object, serde_json::Error> {
    input.object(
        Kind::PodDisruptionBudget,
        json!({"spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": names::selector(input.name)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        }}),
    )
}
