//! `cel-scorer`: scores endpoints by an expression.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::rule::Rule;
use crate::role::Scorer;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// The score of an endpoint for which the expression has no value.
const NEUTRAL: f64 = 0.5;

/// Parameters of `cel-scorer`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The score of an endpoint, as an expression in CEL (<https://cel.dev>) over `request.model`, `request.headers["…"]`
    /// (names in lower case), `endpoint.name`, `endpoint.labels["…"]`, `endpoint.waiting`, `endpoint.running`,
    /// `endpoint.kvUsage` (0 to 1), `endpoint.inFlight`, `endpoint.attributes["…"]` (of any extractor) and `endpoint.models`, a
    /// list that only `in` reads: `request.model in endpoint.models`. Numbers are of type double, so write 2.0 beside them, not
    /// 2. What is below 0 counts as 0, and what is above 1 as 1. What is unknown is absent, and an error where it is read, which
    /// scores 0.5: `has(endpoint.waiting)` and `"x-tier" in request.headers` tell whether it is there. Up to 1024 bytes,
    /// nested up to 16 deep, without loops. By measurement, each endpoint costs some hundredths of a microsecond; some tenths
    /// where the expression has functions other than `startsWith`, `endsWith` and `contains`, whole numbers that are computed
    /// with, models or attributes, or names of labels and headers that are no literal.
    expression: String,
}

/// Scores by a rule.
#[derive(Debug)]
pub struct CelScorer(Rule);

impl Plugin for CelScorer {
    const TYPE: &'static str = "cel-scorer";
    const TASK: Task = Task::OwnRules;
    const ORIGIN: Origin = Origin::Waypost;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Scores endpoints by an expression over the request and the endpoint. One for which it has no value, because \
         it reads what is unknown, scores 0.5.";
    const FORMULA: &'static str = "min(1, max(0, expression)); 0.5 where it has no value.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: cel-scorer
  parameters:
    expression: '1.0 - endpoint.kvUsage - 0.05 * endpoint.waiting'
";
    type Params = Params;

    fn build(Params { expression }: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let rule = Rule::build::<f64>(&expression, cx)?;
        let needs = rule.needs;
        Ok(Roles { scorer: Some(Arc::new(Self(rule))), needs, ..Roles::default() })
    }
}

impl Scorer for CelScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let rule = self.0.about(ask);
        for (place, i) in out.iter_mut().zip(candidates.iter()) {
            let score = rule.of(i).filter(|score: &f64| !score.is_nan()).unwrap_or(NEUTRAL);
            *place = score.clamp(0.0, 1.0) as f32;
        }
    }
}
