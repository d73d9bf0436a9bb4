//! `cel-filter`: keeps the endpoints for which an expression is true.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::by_labels::ByLabels;
use crate::ask::Ask;
use crate::cx::Cx;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::rule::Rule;
use crate::role::Filter;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Parameters of `cel-filter`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// What must be true of an endpoint, as an expression in CEL (<https://cel.dev>) over `request.model`,
    /// `request.headers["…"]` (names in lower case), `endpoint.name`, `endpoint.labels["…"]`, `endpoint.waiting`,
    /// `endpoint.running`, `endpoint.kvUsage` (0 to 1), `endpoint.inFlight`, `endpoint.attributes["…"]` (of any extractor) and
    /// `endpoint.models`, a list that only `in` reads: `request.model in endpoint.models`. Numbers are of type double, so write
    /// 2.0 beside them, not 2. What is unknown is absent, and an error where it is read: `has(endpoint.waiting)` and
    /// `"x-tier" in request.headers` tell whether it is there. Up to 1024 bytes, nested up to 16 deep, without loops. By
    /// measurement, each endpoint costs some hundredths of a microsecond, and nothing where the expression reads labels alone, which
    /// are compared when they change; some tenths where it has functions other than `startsWith`, `endsWith` and `contains`, whole
    /// numbers that are computed with, models or attributes, or names of labels and headers that are no literal.
    expression: String,
    /// What becomes of an endpoint for which the expression has no value, for example because its queue is unknown: it stays (`Keep`,
    /// the default), or goes (`Remove`).
    #[serde(default)]
    on_error: OnError,
}

/// What becomes of an endpoint for which the expression has no value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
enum OnError {
    /// It stays.
    #[default]
    Keep,
    /// It goes.
    Remove,
}

/// Keeps the candidates for which a rule is true.
#[derive(Debug)]
pub struct CelFilter {
    rule: Rule,
    keeps_errors: bool,
    by_labels: ByLabels,
}

impl Plugin for CelFilter {
    const TYPE: &'static str = "cel-filter";
    const TASK: Task = Task::OwnRules;
    const ORIGIN: Origin = Origin::Waypost;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str =
        "Keeps the endpoints for which an expression over the request and the endpoint is true.";
    const ROLES: &'static [Role] = &[Role::Filter];
    const SAMPLE: &'static str = "\
plugins:
- type: cel-filter
  parameters:
    expression: '!(\"x-tier\" in request.headers) || endpoint.labels[\"tier\"] == request.headers[\"x-tier\"]'
    onError: Remove
- type: queue-scorer
";
    type Params = Params;

    fn build(Params { expression, on_error }: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let rule = Rule::build::<bool>(&expression, cx)?;
        let needs = rule.needs;
        let filter = Self { rule, keeps_errors: on_error == OnError::Keep, by_labels: ByLabels::default() };
        Ok(Roles { filter: Some(Arc::new(filter)), needs, ..Roles::default() })
    }
}

impl Filter for CelFilter {
    fn filter(&self, ask: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        if self.rule.by_labels {
            let keeps = |labels: &_| self.rule.of_labels(labels).unwrap_or(self.keeps_errors);
            self.by_labels.retain(ask.view, keep, keeps);
        } else {
            let rule = self.rule.about(ask);
            keep.retain(|i| rule.of(i).unwrap_or(self.keeps_errors));
        }
    }

    fn is_by_labels(&self) -> bool {
        self.rule.by_labels
    }

    fn why(&self, _: &Ask<'_>, _: usize) -> Option<String> {
        Some("the expression does not hold for it".to_owned())
    }
}
