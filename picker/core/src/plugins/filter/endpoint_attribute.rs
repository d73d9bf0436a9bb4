//! `endpoint-attribute-filter`: keeps the endpoints of which an attribute is below or above a value.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::column::Column;
use crate::cx::Cx;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::role::Filter;
use crate::view::Candidates;

/// Parameters of `endpoint-attribute-filter`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The attribute: `WaitingQueueSize`, `RunningRequestsSize`, `KVCacheUsagePercent` (0 to 1), or an `attributeKey` of
    /// the `customMetrics` of a `core-metrics-extractor`, or what another extractor sets, as `GPUUtilization`.
    attribute: String,
    /// Name of the extractor that sets it; `""` is any. Default: `core-metrics-extractor`.
    #[serde(default)]
    producer: Option<String>,
    /// What becomes of an endpoint that doesn't say it, or not lately: it stays (`Pass`, the default), or goes (`Fail`).
    #[serde(default)]
    on_missing: OnMissing,
    /// Whether all stay where none would.
    #[serde(default)]
    fallback_on_empty: bool,
    /// How it is judged.
    algorithm: Algorithm,
}

/// What becomes of an endpoint without the attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
enum OnMissing {
    /// It stays.
    #[default]
    Pass,
    /// It goes.
    Fail,
}

/// How an attribute is judged.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Algorithm {
    /// `threshold`: by comparison with a value.
    #[serde(default, rename = "type")]
    kind: Kind,
    /// The comparison that must hold.
    threshold: Threshold,
}

/// The algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum Kind {
    /// By comparison with a value.
    #[default]
    Threshold,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Threshold {
    /// How the attribute, on the left, is compared.
    operator: Operator,
    /// With what.
    value: f32,
}

/// How two numbers are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
enum Operator {
    /// <
    LessThan,
    /// ≤
    LessThanOrEqual,
    /// \>
    GreaterThan,
    /// ≥
    GreaterThanOrEqual,
    /// =
    Equal,
    /// ≠
    NotEqual,
}

impl Operator {
    fn sign(self) -> &'static str {
        match self {
            Self::LessThan => "<",
            Self::LessThanOrEqual => "≤",
            Self::GreaterThan => ">",
            Self::GreaterThanOrEqual => "≥",
            Self::Equal => "=",
            Self::NotEqual => "≠",
        }
    }
}

impl Threshold {
    fn holds(self, value: f32) -> bool {
        match self.operator {
            Operator::LessThan => value < self.value,
            Operator::LessThanOrEqual => value <= self.value,
            Operator::GreaterThan => value > self.value,
            Operator::GreaterThanOrEqual => value >= self.value,
            Operator::Equal => value == self.value,
            Operator::NotEqual => value != self.value,
        }
    }
}

/// Keeps the candidates for whose attribute a comparison holds.
#[derive(Debug)]
pub struct EndpointAttributeFilter {
    column: Column,
    threshold: Threshold,
    keep_missing: bool,
    fallback: bool,
}

impl Plugin for EndpointAttributeFilter {
    const TYPE: &'static str = "endpoint-attribute-filter";
    const TASK: Task = Task::OwnRules;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str =
        "Keeps the endpoints of which a number in their metrics is below, above or equal to a value.";
    const ROLES: &'static [Role] = &[Role::Filter];
    const SAMPLE: &'static str = "\
plugins:
- type: endpoint-attribute-filter
  parameters:
    attribute: WaitingQueueSize
    fallbackOnEmpty: true
    algorithm:
      type: threshold
      threshold: {operator: LessThan, value: 10}
- type: queue-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let Params { attribute, producer, on_missing, fallback_on_empty, algorithm } = params;
        let Algorithm { kind: Kind::Threshold, threshold } = algorithm;
        if !threshold.value.is_finite() {
            let message = format!("must lie within ±{:e}", f32::MAX);
            return Err(BuildError::invalid("algorithm.threshold.value", message));
        }
        let filter = Self {
            column: cx.attribute("attribute", &attribute, producer.as_deref())?,
            threshold,
            keep_missing: on_missing == OnMissing::Pass,
            fallback: fallback_on_empty,
        };
        Ok(Roles { filter: Some(Arc::new(filter)), ..Roles::default() })
    }
}

impl Filter for EndpointAttributeFilter {
    fn filter(&self, ask: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        let column = ask.view.column(self.column);
        let stays = |i: usize| {
            let value = column[i];
            if value.is_nan() { self.keep_missing } else { self.threshold.holds(value) }
        };
        if self.fallback && !keep.iter().any(stays) {
            return;
        }
        keep.retain(stays);
    }

    fn why(&self, ask: &Ask<'_>, endpoint: usize) -> Option<String> {
        let value = ask.view.column(self.column)[endpoint];
        let Threshold { operator, value: other } = self.threshold;
        Some(if value.is_nan() {
            "the attribute is unknown".to_owned()
        } else {
            format!("the attribute is {value}, not {} {other}", operator.sign())
        })
    }
}

#[cfg(test)]
mod tests;
