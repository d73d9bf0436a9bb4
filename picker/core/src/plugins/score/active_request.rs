//! `active-request-scorer`: the fewer requests this picker has under way at a server, the better.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::inputs::Inputs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::in_flight;
use crate::role::Scorer;
use crate::view::Candidates;

/// Parameters of `active-request-scorer`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// A server with at most this many requests under way counts as idle and scores 1.
    idle_threshold: u32,
    /// The most that a server can score that isn't idle, 0 to 1. Below 1, idle servers stand out.
    #[schemars(range(min = 0.0, max = 1.0))]
    max_busy_score: f32,
    /// Accepted for configurations that still have it, and without effect: requests are counted until
    /// they end, however long they take.
    #[schemars(extend("deprecated" = true))]
    request_timeout: Option<String>,
    /// Accepted for configurations that have it: where the counts come from. It makes no difference: requests are
    /// counted by the picker itself, with or without an `inflight-load-producer`. Any other name must be that of
    /// a declared plugin that counts requests.
    in_flight_load_producer_name: Option<String>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            idle_threshold: 0,
            max_busy_score: 1.0,
            request_timeout: None,
            in_flight_load_producer_name: None,
        }
    }
}

/// Scores by the requests under way, which are counted here: nothing is scraped, and nothing is stale.
#[derive(Debug)]
pub struct ActiveRequestScorer {
    idle: u32,
    max_busy_score: f32,
}

impl Plugin for ActiveRequestScorer {
    const TYPE: &'static str = "active-request-scorer";
    const TASK: Task = Task::Load;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Prefers servers to which this picker has fewer requests under way: 1 for an idle one, 0 for the busiest \
         candidate.";
    const FORMULA: &'static str = "1 for at most idleThreshold requests, else maxBusyScore · (most − requests) / most, with the most among the candidates.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: active-request-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        if !(0.0..=1.0).contains(&params.max_busy_score) {
            return Err(BuildError::invalid("maxBusyScore", "must lie between 0 and 1"));
        }
        in_flight::named(params.in_flight_load_producer_name.as_deref(), cx)?;
        let scorer = Self { idle: params.idle_threshold, max_busy_score: params.max_busy_score };
        Ok(Roles { scorer: Some(Arc::new(scorer)), ..Roles::default() })
    }
}

impl Scorer for ActiveRequestScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        // Read once: the counters move while we look at them. Counts are exact in f32 up to 2^24.
        let mut most = 0.0_f32;
        for (place, i) in out.iter_mut().zip(candidates.iter()) {
            *place = ask.view.endpoints[i].live().in_flight() as f32;
            most = most.max(*place);
        }
        for place in out {
            let count = *place;
            *place =
                if count <= self.idle as f32 { 1.0 } else { (most - count) / most * self.max_busy_score };
        }
    }

    fn inputs(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        in_flight::requests(ask, inputs);
    }
}

#[cfg(test)]
mod tests;
