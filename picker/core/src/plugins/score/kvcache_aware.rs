//! `kvcache-aware-scorer`: what a request costs each server, by its prefix cache, KV cache and queue. Lower is better.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::column::Column;
use crate::fact::{PrefixMatch, Slot};
use crate::inputs::Inputs;
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::in_flight;
use crate::plugins::scale::{Scale, weight};
use crate::role::Scorer;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Parameters of `kvcache-aware-scorer`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Weight of the part of the prompt that a server does not have in its prefix cache, at least 0. Default: 1.
    #[schemars(range(min = 0.0))]
    kv_cache_not_hit_rate_weight: Option<f32>,
    /// The former name of `kvCacheNotHitRateWeight`.
    #[schemars(extend("deprecated" = true))]
    kv_cache_hit_not_rate_weight: Option<f32>,
    /// Weight of the share of the KV cache that is in use, at least 0. Default: 1.
    #[schemars(range(min = 0.0))]
    xpu_cache_usage_weight: Option<f32>,
    /// Weight of the requests that wait at a server, at least 0. Default: 1.
    #[schemars(range(min = 0.0))]
    waiting_request_weight: Option<f32>,
    /// Weight of this picker's requests to a server that have not ended, at least 0. Default: 0.
    #[schemars(range(min = 0.0))]
    inflight_weight: Option<f32>,
    /// Name of the plugin that says which server has how much of a prompt. Without it, the one called
    /// `approx-prefix-cache-producer`, which is made with default parameters if there is none.
    prefix_match_info_producer_name: Option<String>,
}

/// The weighted mean of four costs from 0 to 1.
#[derive(Debug)]
pub struct KvcacheAwareScorer {
    found: Slot<PrefixMatch>,
    miss: f64,
    usage: f64,
    waiting: f64,
    in_flight: f64,
}

impl Plugin for KvcacheAwareScorer {
    const TYPE: &'static str = "kvcache-aware-scorer";
    const TASK: Task = Task::PrefixCache;
    const ORIGIN: Origin = Origin::Hermes;
    // Its name in openFuyao's Hermes-router 25.12.
    const ALIASES: &'static [&'static str] = &["scorer-aggregate-kv-cache-aware"];
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Scores what a request costs a server, so that lower is better, and a min-score-picker has to pick: what the server \
         does not have of the prompt in its prefix cache, the KV cache that it has in use, and the requests that wait there. It \
         is the scorer of openFuyao's Hermes-router; how that one brings the parts to one scale is not published, and the rule \
         below is ours. What servers have of a prompt comes from a producer of this picker instead of openFuyao's cache-indexer, \
         whose address (kvCacheManager…) is taken without effect.";
    const FORMULA: &'static str = "(m · (1 − matched blocks / blocks of the prompt) + u · KV cache in use + w · waiting + i · requests in flight) / \
         (m + u + w + i), where waiting and requests in flight are 0 for the least and 1 for the most among the candidates, 0 when \
         all are equal, and m, u, w, i are kvCacheNotHitRateWeight, xpuCacheUsageWeight, waitingRequestWeight, inflightWeight.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: kvcache-aware-scorer
  parameters: {kvCacheNotHitRateWeight: 2}
- type: min-score-picker
";
    // They say where the cache-indexer is.
    const IGNORED: &'static [&'static str] =
        &["kvCacheManagerIP", "kvCacheManagerPort", "kvCacheManagerPath", "kvCacheManagerTimeout"];
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let former = params.kv_cache_hit_not_rate_weight;
        if former.is_some() {
            cx.warn("kvCacheHitNotRateWeight", "is the former name of kvCacheNotHitRateWeight; write that");
        }
        let miss = [
            ("kvCacheNotHitRateWeight", params.kv_cache_not_hit_rate_weight),
            ("kvCacheHitNotRateWeight", former),
        ];
        let scorer = Self {
            found: cx
                .reads("prefixMatchInfoProducerName", params.prefix_match_info_producer_name.as_deref())?,
            miss: weight(&miss, 1.0)?,
            usage: weight(&[("xpuCacheUsageWeight", params.xpu_cache_usage_weight)], 1.0)?,
            waiting: weight(&[("waitingRequestWeight", params.waiting_request_weight)], 1.0)?,
            in_flight: weight(&[("inflightWeight", params.inflight_weight)], 0.0)?,
        };
        if scorer.weights() == 0.0 {
            return Err(BuildError::invalid("", "all weights are 0; make one of them positive"));
        }
        cx.reads_column(Column::KV_USAGE);
        cx.reads_column(Column::WAITING);
        Ok(Roles { scorer: Some(Arc::new(scorer)), needs: Needs::BODY, ..Roles::default() })
    }
}

impl KvcacheAwareScorer {
    fn weights(&self) -> f64 {
        self.miss + self.usage + self.waiting + self.in_flight
    }
}

impl Scorer for KvcacheAwareScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let found = ask.facts.get(self.found);
        let (usage, waiting) = (ask.view.column(Column::KV_USAGE), ask.view.column(Column::WAITING));
        let in_flight = |i: usize| ask.view.endpoints[i].live().in_flight() as f32;
        let usages = Scale::share(candidates.iter().map(|i| usage[i]));
        let queues = Scale::relative(candidates.iter().map(|i| waiting[i]));
        // It may change meanwhile, and costs no more than the most for that.
        let flights = Scale::relative(candidates.iter().map(in_flight));
        let weights = self.weights();
        for (place, i) in out.iter_mut().zip(candidates.iter()) {
            let cost = self.miss * (1.0 - f64::from(found.share(i)))
                + self.usage * usages.cost(usage[i])
                + self.waiting * queues.cost(waiting[i])
                + self.in_flight * flights.cost(in_flight(i));
            *place = (cost / weights) as f32;
        }
    }

    fn inputs(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        in_flight::requests(ask, inputs);
    }
}
