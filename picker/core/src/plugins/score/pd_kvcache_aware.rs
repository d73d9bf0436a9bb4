//! `pd-kvcache-aware-scorer`: what a request costs the best pair of prefill and decode pods of each group. Lower is better.

use std::sync::Arc;

use crate::ask::Ask;
use crate::column::Column;
use crate::fact::{PrefixMatch, Slot};
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::pd_groups::{Group, Pair, PdGroups, cheapest};
use crate::plugins::scale::Scale;
use crate::role::Scorer;
use crate::view::{Candidates, View};

mod params;
#[cfg(test)]
mod tests;

use params::{Weights, Work};

pub use params::Params;

/// The weighted mean of what the cheapest prefill pod and the cheapest decode pod of a group cost.
#[derive(Debug)]
pub struct PdKvcacheAwareScorer {
    groups: Slot<PdGroups>,
    found: Slot<PrefixMatch>,
    weights: Weights,
}

impl Plugin for PdKvcacheAwareScorer {
    const TYPE: &'static str = "pd-kvcache-aware-scorer";
    const TASK: Task = Task::Disaggregation;
    const ORIGIN: Origin = Origin::Hermes;
    // Its name in openFuyao's Hermes-router 25.12.
    const ALIASES: &'static [&'static str] = &["scorer-pd-kv-cache-aware"];
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Scores what a request costs the cheapest pair of a prefill and a decode pod of each group, so that lower is better, \
         and a min-score-picker has to pick: of the prefill pod what it does not have of the prompt in its prefix cache, and of both \
         the KV cache in use and the requests that wait. A pd-header-handler names the pair to the leader of the group. It is \
         the scorer of openFuyao's Hermes-router; how that one brings the parts to one scale is not published, and the rule \
         below is ours. What pods have of a prompt comes from a producer of this picker instead of openFuyao's cache-indexer, \
         whose address (kvCacheManager…) is taken without effect.";
    const FORMULA: &'static str = "(p · prefill + d · decode) / (p + d), each of the pod of the group where it is least. prefill is the mean of 1 − matched \
         blocks / blocks of the prompt, KV cache in use, requests waiting and requests in flight by their weights, decode that of \
         the last three; waiting and in flight are 0 for the least and 1 for the most among the prefill pods, or the decode \
         pods, of the candidates' groups. p and d are prefillScoreWeight and decodeScoreWeight.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: pd-group-filter
- type: pd-kvcache-aware-scorer
  parameters: {prefillPrefixWeight: 2}
- type: min-score-picker
- type: pd-header-handler
";
    // They say where the cache-indexer is.
    const IGNORED: &'static [&'static str] =
        &["kvCacheManagerIP", "kvCacheManagerPort", "kvCacheManagerPath", "kvCacheManagerTimeout"];
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let weights = params.weights(cx)?;
        let prefixes = params.prefix_match_info_producer_name.as_deref();
        let scorer = Self {
            groups: cx.reads("pdGroupProducerName", params.pd_group_producer_name.as_deref())?,
            found: cx.reads("prefixMatchInfoProducerName", prefixes)?,
            weights,
        };
        cx.reads_column(Column::KV_USAGE);
        cx.reads_column(Column::WAITING);
        Ok(Roles { scorer: Some(Arc::new(scorer)), needs: Needs::BODY, ..Roles::default() })
    }
}

/// What the pods of one kind cost: those that prefill, or those that decode.
struct Costs<'a> {
    view: &'a View,
    usage: &'a [f32],
    waiting: &'a [f32],
    work: &'a Work,
    usages: Scale,
    queues: Scale,
    flights: Scale,
}

impl<'a> Costs<'a> {
    fn of<I: Iterator<Item = usize>>(view: &'a View, work: &'a Work, pods: impl Fn() -> I) -> Self {
        let (usage, waiting) = (view.column(Column::KV_USAGE), view.column(Column::WAITING));
        let usages = Scale::share(pods().map(|i| usage[i]));
        let queues = Scale::relative(pods().map(|i| waiting[i]));
        let flights = Scale::relative(pods().map(|i| in_flight(view, i)));
        Self { view, usage, waiting, work, usages, queues, flights }
    }

    /// What the pod at position `i` costs, with the part `miss` of the prompt that it has to compute.
    fn cost(&self, i: usize, miss: f64) -> f64 {
        let Work { prefix, usage, waiting, in_flight: flight } = *self.work;
        let weights = prefix + usage + waiting + flight;
        if weights == 0.0 {
            return 0.0;
        }
        let cost = prefix * miss
            + usage * self.usages.cost(self.usage[i])
            + waiting * self.queues.cost(self.waiting[i])
            + flight * self.flights.cost(in_flight(self.view, i));
        cost / weights
    }
}

/// It may change while a decision is made.
fn in_flight(view: &View, i: usize) -> f32 {
    view.endpoints[i].live().in_flight() as f32
}

impl Scorer for PdKvcacheAwareScorer {
    /// Pods that take no requests of a group cost 1.
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let (facts, found) = (ask.facts.get(self.groups), ask.facts.get(self.found));
        let Weights { prefill, decode, prefill_score, decode_score } = &self.weights;
        let pods = |of: fn(&Group) -> &[u32]| {
            let groups = candidates.iter().filter_map(|i| facts.of(i));
            groups.flat_map(move |group| of(group).iter().map(|&i| i as usize))
        };
        let prefills = Costs::of(ask.view, prefill, || pods(|group| &group.prefill));
        let decodes = Costs::of(ask.view, decode, || pods(|group| &group.decode));
        for (place, i) in out.iter_mut().zip(candidates.iter()) {
            let Some(group) = facts.of(i) else {
                *place = 1.0;
                continue;
            };
            let miss = |i: usize| 1.0 - f64::from(found.share(i));
            let (prefill, first) = cheapest(ask.view, group.prefill.iter(), |i| prefills.cost(i, miss(i)));
            let (decode, second) = cheapest(ask.view, group.decode.iter(), |i| decodes.cost(i, 0.0));
            facts.note(i, Pair { prefill, decode });
            let cost = prefill_score * first + decode_score * second;
            *place = (cost / (prefill_score + decode_score)) as f32;
        }
    }
}
