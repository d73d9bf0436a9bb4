//! `utilization-filter`: keeps the endpoints that are not busier than some limits.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use smallvec::SmallVec;

use crate::ask::Ask;
use crate::column::Column;
use crate::cx::Cx;
use crate::inputs::Inputs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::in_flight;
use crate::role::Filter;
use crate::view::{Candidates, View};

#[cfg(test)]
mod tests;

/// Parameters of `utilization-filter`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// The limits, at least one. An endpoint that is above one of them goes.
    conditions: Vec<Condition>,
    /// Whether all stay where none would.
    #[serde(default)]
    fallback_on_empty: bool,
    /// Accepted for configurations that have it: where `active-requests` come from. It makes no difference: requests are
    /// counted by the picker itself. Any other name must be that of a declared plugin that counts requests.
    #[serde(default)]
    in_flight_load_producer_name: Option<String>,
}

/// A limit.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Condition {
    /// What is limited: `active-requests` (that this picker has under way at the server), `running-requests`,
    /// `waiting-queue`, or `kv-cache-utilization` (0 to 1), the last three by the server's own metrics.
    metric: Metric,
    /// The most that an endpoint may have. At least 0, and at most 1 for `kv-cache-utilization`.
    max_value: f64,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Metric {
    /// Requests that this picker has under way at the server.
    ActiveRequests,
    /// Requests that the server computes.
    RunningRequests,
    /// Requests that wait at the server.
    WaitingQueue,
    /// The share of the KV cache that is in use.
    KvCacheUtilization,
}

/// Keeps the candidates that are above none of the limits.
#[derive(Debug)]
pub struct UtilizationFilter {
    limits: SmallVec<[Limit; 4]>,
    fallback: bool,
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    /// `None` for the requests that this picker counts.
    column: Option<Column>,
    most: f64,
}

impl Plugin for UtilizationFilter {
    const TYPE: &'static str = "utilization-filter";
    const TASK: Task = Task::Load;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Keeps the endpoints of which no number is above its limit: requests under way, running or waiting, and the \
         KV cache. A number that is unknown is not above.";
    const FORMULA: &'static str = "Kept where value ≤ maxValue for every condition.";
    const ROLES: &'static [Role] = &[Role::Filter];
    const SAMPLE: &'static str = "\
plugins:
- type: utilization-filter
  parameters:
    conditions:
    - {metric: waiting-queue, maxValue: 10}
    - {metric: kv-cache-utilization, maxValue: 0.9}
    fallbackOnEmpty: true
- type: queue-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        if params.conditions.is_empty() {
            return Err(BuildError::invalid(
                "conditions",
                "must have at least one; without any the filter does nothing",
            ));
        }
        let mut limits = SmallVec::new();
        for (i, Condition { metric, max_value }) in params.conditions.iter().enumerate() {
            let most = if *metric == Metric::KvCacheUtilization { 1.0 } else { f64::MAX };
            if !(0.0..=most).contains(max_value) {
                let range = if most == 1.0 {
                    "must lie between 0 and 1: it is a share"
                } else {
                    "must be at least 0"
                };
                return Err(BuildError::invalid(&format!("conditions[{i}].maxValue"), range));
            }
            let column = match metric {
                Metric::ActiveRequests => None,
                Metric::RunningRequests => Some(Column::RUNNING),
                Metric::WaitingQueue => Some(Column::WAITING),
                Metric::KvCacheUtilization => Some(Column::KV_USAGE),
            };
            column.into_iter().for_each(|column| cx.reads_column(column));
            limits.push(Limit { column, most: *max_value });
        }
        in_flight::named(params.in_flight_load_producer_name.as_deref(), cx)?;
        let filter = Self { limits, fallback: params.fallback_on_empty };
        Ok(Roles { filter: Some(Arc::new(filter)), ..Roles::default() })
    }
}

impl Limit {
    #[inline]
    fn value(self, view: &View, i: usize) -> f64 {
        match self.column {
            Some(column) => f64::from(view.column(column)[i]),
            None => f64::from(view.endpoints[i].live().in_flight()),
        }
    }

    fn is_kept(self, view: &View, i: usize) -> bool {
        let value = self.value(view, i);
        // What is unknown is NaN.
        value.is_nan() || value <= self.most
    }
}

impl Filter for UtilizationFilter {
    fn filter(&self, ask: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        let stays = |i: usize| self.limits.iter().all(|limit| limit.is_kept(ask.view, i));
        if self.fallback && !keep.iter().any(stays) {
            return;
        }
        keep.retain(stays);
    }

    fn why(&self, ask: &Ask<'_>, endpoint: usize) -> Option<String> {
        let limit = self.limits.iter().find(|limit| !limit.is_kept(ask.view, endpoint))?;
        let what = match limit.column {
            Some(Column::WAITING) => "waiting",
            Some(Column::RUNNING) => "running",
            Some(_) => "kv-usage",
            None => "inFlight",
        };
        Some(format!("{what} is {} > {}", limit.value(ask.view, endpoint), limit.most))
    }

    fn inputs(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        if self.limits.iter().any(|limit| limit.column.is_none()) {
            in_flight::requests(ask, inputs);
        }
    }
}
