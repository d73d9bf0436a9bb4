//! `latency-scorer`: the server that answers soonest, judged by its KV cache, its queue and the prefix that it has.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::column::Column;
use crate::fact::{PrefixMatch, Slot};
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::role::Scorer;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Parameters of `latency-scorer`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Weight of the free part of the KV cache, at least 0.
    #[serde(rename = "compositeKVWeight")]
    composite_kv_weight: f32,
    /// Weight of the queue, at least 0.
    composite_queue_weight: f32,
    /// Weight of the part of the prompt in the prefix cache, at least 0.
    composite_prefix_weight: f32,
    /// Name of the plugin that says which server has how much of the prompt. Without it, the one called
    /// `approx-prefix-cache-producer`, which is made with default parameters if there is none.
    prefix_match_info_producer_name: Option<String>,
    /// Accepted, and without effect: a weight of predicted latencies, which this release does not have.
    ttft_weight: Option<f32>,
    /// Accepted, and without effect: a weight of predicted latencies, which this release does not have.
    tpot_weight: Option<f32>,
    /// Accepted, and without effect: how predicted latencies are compared, which this release does not have.
    headroom_selection_strategy: Option<HeadroomSelectionStrategy>,
    /// Accepted, and without effect: who predicts latencies, which this release does not have.
    latency_prediction_info_producer_name: Option<String>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            composite_kv_weight: 1.0,
            composite_queue_weight: 1.0,
            composite_prefix_weight: 1.0,
            prefix_match_info_producer_name: None,
            ttft_weight: None,
            tpot_weight: None,
            headroom_selection_strategy: None,
            latency_prediction_info_producer_name: None,
        }
    }
}

/// How predicted latencies are compared with what was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum HeadroomSelectionStrategy {
    /// The least that is enough.
    Least,
    /// The most.
    Most,
}

/// The weighted mean of free KV cache, queue and prefix, in hundredths.
#[derive(Debug)]
pub struct LatencyScorer {
    found: Slot<PrefixMatch>,
    /// Of the KV cache, the queue and the prefix; together 1.
    weights: [f32; 3],
}

impl Plugin for LatencyScorer {
    const TYPE: &'static str = "latency-scorer";
    const TASK: Task = Task::Load;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "Prefers servers with a free KV cache, a short queue and more of the prompt in their prefix cache, in one score. It \
         is llm-d's rule for where no latencies are predicted. A number that is unknown counts as the mean of the others.";
    const FORMULA: &'static str = "The mean, by weight, of 1 − KV cache usage, (most − waiting) / most (1 where nobody waits) and matched blocks / blocks \
         of the prompt, rounded to hundredths.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: latency-scorer
  parameters: {compositeQueueWeight: 2}
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let weights = [
            ("compositeKVWeight", params.composite_kv_weight),
            ("compositeQueueWeight", params.composite_queue_weight),
            ("compositePrefixWeight", params.composite_prefix_weight),
        ];
        for (field, weight) in weights {
            if !(0.0..=1e6).contains(&weight) {
                return Err(BuildError::invalid(field, "must lie between 0 and 1e6"));
            }
        }
        let unused = "has no effect: this release predicts no latencies; take it out";
        let named = params.latency_prediction_info_producer_name.is_some_and(|name| !name.is_empty());
        for (field, is_given) in [
            ("ttftWeight", params.ttft_weight.is_some()),
            ("tpotWeight", params.tpot_weight.is_some()),
            ("headroomSelectionStrategy", params.headroom_selection_strategy.is_some()),
            ("latencyPredictionInfoProducerName", named),
        ] {
            if is_given {
                cx.warn(field, unused);
            }
        }
        let weights = weights.map(|(_, weight)| weight);
        let sum: f32 = weights.iter().sum();
        let weights = if sum > 0.0 { weights.map(|weight| weight / sum) } else { [1.0, 0.0, 0.0] };
        let found =
            cx.reads("prefixMatchInfoProducerName", params.prefix_match_info_producer_name.as_deref())?;
        cx.reads_column(Column::KV_USAGE);
        cx.reads_column(Column::WAITING);
        let scorer = Self { found, weights };
        Ok(Roles { scorer: Some(Arc::new(scorer)), needs: Needs::BODY, ..Roles::default() })
    }
}

/// The mean of those that are known; 1 where none is.
fn mean(values: impl Iterator<Item = f32>) -> f32 {
    let (sum, known) =
        values.filter(|v| v.is_finite()).fold((0.0, 0_u32), |(sum, known), value| (sum + value, known + 1));
    if known == 0 { 1.0 } else { sum / known as f32 }
}

impl Scorer for LatencyScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let (kv_usage, waiting) = (ask.view.column(Column::KV_USAGE), ask.view.column(Column::WAITING));
        let known = candidates.iter().map(|i| waiting[i]).filter(|waiting| waiting.is_finite());
        let most = known.fold(0.0_f32, f32::max);
        let free = |i: usize| (1.0 - kv_usage[i]).clamp(0.0, 1.0);
        let short = |i: usize| match waiting[i] {
            waiting if !waiting.is_finite() => f32::NAN,
            _ if most <= 0.0 => 1.0,
            waiting => ((most - waiting) / most).clamp(0.0, 1.0),
        };
        let (mean_free, mean_short) = (mean(candidates.iter().map(free)), mean(candidates.iter().map(short)));
        let or = |value: f32, mean: f32| if value.is_finite() { value } else { mean };
        let (found, [kv, queue, prefix]) = (ask.facts.get(self.found), self.weights);
        for (place, i) in out.iter_mut().zip(candidates.iter()) {
            let composite =
                kv * or(free(i), mean_free) + queue * or(short(i), mean_short) + prefix * found.share(i);
            *place = (composite * 100.0).round() / 100.0;
        }
    }
}
