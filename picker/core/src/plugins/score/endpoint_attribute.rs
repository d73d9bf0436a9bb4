//! `endpoint-attribute-scorer`: the lower, or the higher, an attribute of an endpoint, the better.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::column::Column;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::role::Scorer;
use crate::view::Candidates;

/// Parameters of `endpoint-attribute-scorer`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The attribute: `WaitingQueueSize`, `RunningRequestsSize`, `KVCacheUsagePercent` (0 to 1), or an `attributeKey` of
    /// the `customMetrics` of a `core-metrics-extractor`, or what another extractor sets, as `GPUUtilization`.
    attribute_key: String,
    /// Name of the extractor that sets it; `""` is any. Default: `core-metrics-extractor`.
    #[serde(default)]
    producer: Option<String>,
    /// How it is judged.
    algorithm: Algorithm,
}

/// How an attribute is judged.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Algorithm {
    /// Which end is better: `linear_lower_is_better` or `linear_higher_is_better`.
    #[serde(rename = "type")]
    kind: Kind,
    /// Which values are worth 0 and 1.
    #[serde(default)]
    normalization: Normalization,
}

/// Which end is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// The lower, the better.
    LinearLowerIsBetter,
    /// The higher, the better.
    LinearHigherIsBetter,
}

/// Which values are worth 0 and 1: one of these, by default `adaptiveRange`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Normalization {
    /// The ends of a range; what is beyond it counts as its end.
    fixed_range: Option<FixedRange>,
    /// The least and the most among the candidates of a request.
    adaptive_range: Option<AdaptiveRange>,
}

/// A range.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FixedRange {
    /// Its lower end.
    min: f32,
    /// Its upper end.
    max: f32,
}

/// It has no parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AdaptiveRange {}

/// (value − least) / (most − least), or 1 less that.
#[derive(Debug)]
pub struct EndpointAttributeScorer {
    column: Column,
    lower_is_better: bool,
    fixed: Option<FixedRange>,
}

impl Plugin for EndpointAttributeScorer {
    const TYPE: &'static str = "endpoint-attribute-scorer";
    const TASK: Task = Task::OwnRules;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Prefers endpoints of which a number in their metrics is lower, or higher. One that doesn't say it gets 0.";
    const FORMULA: &'static str = "x = (value − min) / (max − min), between 0 and 1, with the min and max of fixedRange, or the least and most among the candidates; 1 − x for linear_lower_is_better. 1 when least and most are equal.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: endpoint-attribute-scorer
  parameters:
    attributeKey: KVCacheUsagePercent
    algorithm:
      type: linear_lower_is_better
      normalization:
        fixedRange: {min: 0, max: 1}
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let Params { attribute_key, producer, algorithm: Algorithm { kind, normalization } } = params;
        let fixed = normalization.fixed_range;
        if fixed.is_some() && normalization.adaptive_range.is_some() {
            let message = "has both fixedRange and adaptiveRange; leave one out";
            return Err(BuildError::invalid("algorithm.normalization", message));
        }
        if let Some(FixedRange { min, max }) = fixed {
            let path = "algorithm.normalization.fixedRange";
            if !(min.is_finite() && max.is_finite()) {
                let message = format!("its ends must lie within ±{:e}", f32::MAX);
                return Err(BuildError::invalid(path, message));
            }
            if min >= max {
                return Err(BuildError::invalid(path, "its min must be less than its max"));
            }
        }
        let column = cx.attribute("attributeKey", &attribute_key, producer.as_deref())?;
        let lower_is_better = kind == Kind::LinearLowerIsBetter;
        let scorer = Self { column, lower_is_better, fixed };
        Ok(Roles { scorer: Some(Arc::new(scorer)), ..Roles::default() })
    }
}

impl Scorer for EndpointAttributeScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let column = ask.view.column(self.column);
        let (min, max) = self.fixed.map_or_else(
            || {
                let known = candidates.iter().map(|i| column[i]).filter(|v| v.is_finite());
                known.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, m), v| (l.min(v), m.max(v)))
            },
            |FixedRange { min, max }| (min, max),
        );
        // In f64, in which the difference of any two f32 is finite.
        let range = f64::from(max) - f64::from(min);
        for (place, i) in out.iter_mut().zip(candidates.iter()) {
            let value = column[i];
            if !value.is_finite() {
                continue;
            }
            if range == 0.0 {
                *place = 1.0;
                continue;
            }
            let share = ((f64::from(value) - f64::from(min)) / range).clamp(0.0, 1.0) as f32;
            *place = if self.lower_is_better { 1.0 - share } else { share };
        }
    }
}

#[cfg(test)]
mod tests;
