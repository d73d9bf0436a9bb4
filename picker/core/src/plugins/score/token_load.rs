//! `token-load-scorer`: the fewer tokens a server has to compute for requests under way, the better.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::fact::{RequestLoad, Slot};
use crate::inputs::Inputs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::in_flight;
use crate::role::Scorer;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// The threshold when nothing else is said.
const DEFAULT_THRESHOLD: u64 = 4_194_304;

/// Parameters of `token-load-scorer`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Tokens at which a server scores 0; so does one that has more. 0 counts as the default.
    queue_threshold_tokens: u64,
    /// Name of the plugin that counts the tokens. Without it, the only one of type `inflight-load-producer`, which is made
    /// with default parameters if there is none.
    in_flight_load_producer_name: Option<String>,
}

impl Default for Params {
    fn default() -> Self {
        Self { queue_threshold_tokens: DEFAULT_THRESHOLD, in_flight_load_producer_name: None }
    }
}

/// 1 − min(tokens, threshold) / threshold, with the tokens under way and those of this request.
#[derive(Debug)]
pub struct TokenLoadScorer {
    request: Slot<RequestLoad>,
    threshold: u64,
}

impl Plugin for TokenLoadScorer {
    const TYPE: &'static str = "token-load-scorer";
    const TASK: Task = Task::Load;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Prefers servers that have fewer tokens to compute, those of this picker's requests under way there and those that \
         the new request would add: 1 for none, 0 from a threshold on.";
    const FORMULA: &'static str =
        "1 − min(tokens under way + tokens of the request, queueThresholdTokens) / queueThresholdTokens.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: token-load-scorer
  parameters: {queueThresholdTokens: 1000000}
- type: prefix-cache-scorer
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: token-load-scorer, weight: 2}
  - {pluginRef: prefix-cache-scorer, weight: 1}
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let Params { queue_threshold_tokens: threshold, in_flight_load_producer_name: name } = params;
        let threshold = cx.or_default("queueThresholdTokens", threshold, DEFAULT_THRESHOLD);
        let request = cx.reads("inFlightLoadProducerName", name.as_deref())?;
        Ok(Roles { scorer: Some(Arc::new(Self { request, threshold })), ..Roles::default() })
    }
}

impl Scorer for TokenLoadScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let request = ask.facts.get(self.request);
        let threshold = self.threshold as f64;
        for (place, i) in out.iter_mut().zip(candidates.iter()) {
            let tokens = ask.view.endpoints[i].live().tokens().saturating_add(request.tokens(i));
            *place = (1.0 - tokens.min(self.threshold) as f64 / threshold) as f32;
        }
    }

    fn inputs(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        in_flight::tokens(ask, inputs);
    }
}
