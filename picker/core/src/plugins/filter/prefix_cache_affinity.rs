//! `prefix-cache-affinity-filter`: keeps requests where their prompts are cached, unless that takes too long.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::cx::Cx;
use crate::fact::{PrefixMatch, RequestLoad, Slot};
use crate::inputs::Inputs;
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::in_flight;
use crate::role::Filter;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Parameters of `prefix-cache-affinity-filter`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// The part of a prompt that a server must have in its prefix cache for the request to stay there, 0 to 1. With 0,
    /// the filter does nothing.
    #[schemars(range(min = 0.0, max = 1.0))]
    affinity_threshold: f64,
    /// The probability with which a request may go to any server, 0 to 1, so that prompts spread.
    #[schemars(range(min = 0.0, max = 1.0))]
    exploration_probability: f64,
    /// How many milliseconds longer the best server that has the prompt may take to the first token than the best one
    /// that doesn't have it. When it takes longer, the request may go to any server. With 0, it stays however long
    /// that takes.
    #[serde(rename = "maxTTFTPenaltyMs")]
    #[schemars(range(min = 0.0))]
    max_ttft_penalty_ms: f64,
    /// Where the time to the first token (TTFT) comes from: `prefillThroughput`, which is the only one so far;
    /// `latencyPredictor` is refused.
    ttft_source: TtftSource,
    /// For `prefillThroughput`: tokens per second that a server computes at most. The default was measured with
    /// Qwen3-32B on two H100.
    #[schemars(extend("exclusiveMinimum" = 0))]
    peak_prefill_throughput: f64,
    /// Name of the plugin that says which server has how much of a prompt. Without it, the one called
    /// `approx-prefix-cache-producer`, which is made with default parameters if there is none.
    prefix_match_info_producer_name: Option<String>,
    /// Accepted for configurations that have it, and without effect: it is of use with `latencyPredictor` alone.
    latency_prediction_info_producer_name: Option<String>,
    /// Name of the plugin that counts the tokens under way at each server. Without it, the one called
    /// `inflight-load-producer`, which is made with default parameters if there is none.
    in_flight_load_producer_name: Option<String>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            affinity_threshold: 0.8,
            exploration_probability: 0.0,
            max_ttft_penalty_ms: 18_000.0,
            ttft_source: TtftSource::PrefillThroughput,
            peak_prefill_throughput: 15_928.0,
            prefix_match_info_producer_name: None,
            latency_prediction_info_producer_name: None,
            in_flight_load_producer_name: None,
        }
    }
}

impl Params {
    fn check(&self) -> Result<(), BuildError> {
        for (field, value) in [
            ("affinityThreshold", self.affinity_threshold),
            ("explorationProbability", self.exploration_probability),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(BuildError::invalid(field, "must lie between 0 and 1"));
            }
        }
        if !(0.0..=f64::MAX).contains(&self.max_ttft_penalty_ms) {
            return Err(BuildError::invalid("maxTTFTPenaltyMs", "must be at least 0"));
        }
        if self.ttft_source == TtftSource::LatencyPredictor {
            let message = "latencyPredictor needs predicted latencies, which this picker does not have yet; \
                           write prefillThroughput";
            return Err(BuildError::invalid("ttftSource", message));
        }
        let (throughput, used) = (self.peak_prefill_throughput, self.max_ttft_penalty_ms > 0.0);
        if !(0.0..=f64::MAX).contains(&throughput) || (used && throughput == 0.0) {
            return Err(BuildError::invalid("peakPrefillThroughput", "must be more than 0"));
        }
        Ok(())
    }
}

/// A source of times to the first token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum TtftSource {
    /// The tokens that are under way at a server, divided by `peakPrefillThroughput`.
    PrefillThroughput,
    /// Predicted latencies. They are not there yet, so this is refused.
    LatencyPredictor,
}

/// Keeps the candidates that have most of the prompt in their prefix cache, if there are any and they are not much
/// slower than the rest.
#[derive(Debug)]
pub struct PrefixCacheAffinityFilter {
    prefix: Slot<PrefixMatch>,
    threshold: f64,
    exploration: f64,
    /// How much longer the best endpoint with the prompt may take than the best one without it; `None` for any time.
    penalty: Option<Penalty>,
}

/// The most time by which a request may start later for the sake of its prefix.
#[derive(Clone, Copy, Debug)]
struct Penalty {
    max_ms: f64,
    /// Tokens per second.
    throughput: f64,
}

impl Penalty {
    /// Whether an endpoint with `with` tokens under way takes too much longer than one with `without`.
    fn is_exceeded(self, with: u64, without: u64) -> bool {
        let ttft_ms = |tokens| tokens as f64 / self.throughput * 1000.0;
        ttft_ms(with) - ttft_ms(without) > self.max_ms
    }
}

impl Plugin for PrefixCacheAffinityFilter {
    const TYPE: &'static str = "prefix-cache-affinity-filter";
    const TASK: Task = Task::PrefixCache;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "Keeps the servers that have most of the prompt in their prefix cache, unless there are none, or they would take \
         much longer to the first token than the best of the others.";
    const ROLES: &'static [Role] = &[Role::Filter];
    const SAMPLE: &'static str = "\
plugins:
- type: prefix-cache-affinity-filter
  parameters: {affinityThreshold: 0.9, explorationProbability: 0.01, maxTTFTPenaltyMs: 5000}
- type: token-load-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        params.check()?;
        if params.latency_prediction_info_producer_name.is_some() {
            let message = "has no effect with prefillThroughput; leave it out";
            cx.warn("latencyPredictionInfoProducerName", message);
        }
        let name = params.prefix_match_info_producer_name.as_deref();
        let prefix = cx.reads("prefixMatchInfoProducerName", name)?;
        let penalty =
            Penalty { max_ms: params.max_ttft_penalty_ms, throughput: params.peak_prefill_throughput };
        let penalty = Some(penalty).filter(|penalty| penalty.max_ms > 0.0);
        if penalty.is_some() {
            // It books the tokens, which are read from the endpoints.
            let name = params.in_flight_load_producer_name.as_deref();
            cx.reads::<RequestLoad>("inFlightLoadProducerName", name)?;
        }
        let filter = Self {
            prefix,
            threshold: params.affinity_threshold,
            exploration: params.exploration_probability,
            penalty,
        };
        Ok(Roles { filter: Some(Arc::new(filter)), needs: Needs::BODY, ..Roles::default() })
    }
}

impl PrefixCacheAffinityFilter {
    fn has_prompt(&self, found: &PrefixMatch, endpoint: usize) -> bool {
        let blocks = found.hashes.len() as f64;
        blocks > 0.0 && f64::from(found.blocks(endpoint)) / blocks >= self.threshold
    }
}

impl Filter for PrefixCacheAffinityFilter {
    fn filter(&self, ask: &Ask<'_>, cx: &mut Cx, keep: &mut Candidates) {
        let found = ask.facts.get(self.prefix);
        if keep.len() < 2 || self.threshold <= 0.0 || found.matched.is_empty() {
            return;
        }
        if self.exploration > 0.0 && cx.unit() < self.exploration {
            return;
        }
        // The fewest tokens under way at an endpoint without the prompt, and at one with it.
        let mut fewest: [Option<u64>; 2] = [None; 2];
        for i in keep.iter() {
            let fewest = &mut fewest[usize::from(self.has_prompt(found, i))];
            let tokens = ask.view.endpoints[i].live().tokens();
            *fewest = Some(fewest.map_or(tokens, |least| least.min(tokens)));
        }
        let [Some(without), Some(with)] = fewest else { return };
        if self.penalty.is_none_or(|penalty| !penalty.is_exceeded(with, without)) {
            keep.retain(|i| self.has_prompt(found, i));
        }
    }

    fn why(&self, _: &Ask<'_>, _: usize) -> Option<String> {
        Some(format!("has less of the prompt than {} of it", self.threshold))
    }

    fn inputs(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        in_flight::tokens(ask, inputs);
    }
}
