//! `utilization-detector` as a filter: takes out the endpoints that are saturated by their queue or their KV cache.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::column::Column;
use crate::cx::Cx;
use crate::duration;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::role::Filter;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Parameters of `utilization-detector`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Waiting requests at which an endpoint is full, at least 1.
    queue_depth_threshold: u32,
    /// The part of the KV cache at which an endpoint is full, above 0 and at most 1.
    kv_cache_util_threshold: f32,
    /// How much more than full an endpoint may be before it goes, as a part of the thresholds: 0.2 is a fifth more.
    headroom: f32,
    /// Accepted, and without effect: what counts as too old is a setting of the picker
    /// (`--metrics-staleness-threshold`).
    metrics_staleness_threshold: Option<String>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            queue_depth_threshold: 5,
            kv_cache_util_threshold: 0.8,
            headroom: 0.0,
            metrics_staleness_threshold: None,
        }
    }
}

/// Takes out the saturated.
#[derive(Debug)]
pub struct UtilizationDetector {
    waiting: f32,
    kv_usage: f32,
}

impl Plugin for UtilizationDetector {
    const TYPE: &'static str = "utilization-detector";
    const TASK: Task = Task::Load;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "Takes out the endpoints whose queue or KV cache is full, and those of which that is not known or out of date. All \
         stay where none would. It works in the profiles that name it; as the detector of flow control, which this release \
         does not have, it has no effect.";
    const FORMULA: &'static str = "Kept where waiting < queueDepthThreshold · (1 + headroom) and KV cache usage < kvCacheUtilThreshold · (1 + headroom).";
    const ROLES: &'static [Role] = &[Role::Filter];
    const SAMPLE: &'static str = "\
plugins:
- type: utilization-detector
  parameters: {queueDepthThreshold: 10, headroom: 0.2}
- type: queue-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        if params.queue_depth_threshold == 0 {
            return Err(BuildError::invalid("queueDepthThreshold", "must be at least 1"));
        }
        if !(params.kv_cache_util_threshold > 0.0 && params.kv_cache_util_threshold <= 1.0) {
            return Err(BuildError::invalid("kvCacheUtilThreshold", "must lie above 0, and be at most 1"));
        }
        let headroom = headroom(params.headroom)?;
        if let Some(age) = &params.metrics_staleness_threshold {
            let field = "metricsStalenessThreshold";
            duration::parse(age).map_err(|message| BuildError::invalid(field, message))?;
            cx.warn(field, "has no effect: start the picker with --metrics-staleness-threshold; take it out");
        }
        cx.reads_column(Column::WAITING);
        cx.reads_column(Column::KV_USAGE);
        let detector = Self {
            waiting: params.queue_depth_threshold as f32 * headroom,
            kv_usage: params.kv_cache_util_threshold * headroom,
        };
        Ok(Roles { filter: Some(Arc::new(detector)), ..Roles::default() })
    }
}

/// The factor of a threshold with the part `headroom` above it.
///
/// # Errors
/// When it is no such part.
pub(super) fn headroom(headroom: f32) -> Result<f32, BuildError> {
    if (0.0..=1e6).contains(&headroom) {
        return Ok(1.0 + headroom);
    }
    Err(BuildError::invalid(
        "headroom",
        "must lie between 0 and 1e6: it is a part of the threshold, 0.2 for a fifth more",
    ))
}

impl Filter for UtilizationDetector {
    fn filter(&self, ask: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        let (waiting, kv_usage) = (ask.view.column(Column::WAITING), ask.view.column(Column::KV_USAGE));
        // What is unknown is NaN, which is below nothing.
        let stays = |i: usize| waiting[i] < self.waiting && kv_usage[i] < self.kv_usage;
        if keep.iter().any(stays) {
            keep.retain(stays);
        }
    }

    fn why(&self, ask: &Ask<'_>, endpoint: usize) -> Option<String> {
        let numbers = [
            ("waiting", ask.view.column(Column::WAITING)[endpoint], self.waiting),
            ("kv-usage", ask.view.column(Column::KV_USAGE)[endpoint], self.kv_usage),
        ];
        let (name, value, limit) =
            numbers.into_iter().find(|(_, value, limit)| value.is_nan() || value >= limit)?;
        Some(if value.is_nan() {
            format!("{name} is unknown")
        } else {
            format!("{name} is {value} ≥ {limit}")
        })
    }
}
