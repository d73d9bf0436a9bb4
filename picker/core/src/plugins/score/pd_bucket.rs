//! `scorer-pd-bucket`: groups whose prefill pods were sent fewer tokens lately, short and long prompts counted apart.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::{Ask, Decision};
use crate::booking::Launch;
use crate::fact::{PromptTokens, Slot};
use crate::inputs::Inputs;
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::pd_groups::{Pair, PdGroups, cheapest};
use crate::plugins::scale::{Scale, weight};
use crate::role::{PreRequest, Scorer};
use crate::store::Shape;
use crate::view::Candidates;

use loads::Loads;

mod loads;
#[cfg(test)]
mod tests;

/// Parameters of `scorer-pd-bucket`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// How much a token of a short prompt counts, at least 0.
    #[schemars(range(min = 0.0))]
    alpha: f32,
    /// How much a token of a long prompt counts, at least 0.
    #[schemars(range(min = 0.0))]
    beta: f32,
    /// What is left after 100 ms of the tokens that were counted, 0 to 1. With 0.99 half of them are forgotten after
    /// 7 seconds.
    #[schemars(range(min = 0.0, max = 1.0))]
    decay_factor: f64,
    /// Tokens from which on a prompt is a long one, estimated as 4 bytes of the request each. It is misspelt as in
    /// openFuyao's configurations.
    bucket_seperate_length: u64,
    /// Name of the plugin that tells the groups. Without it, the one called `pd-group-producer`, which is made with
    /// default parameters if there is none.
    pd_group_producer_name: Option<String>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            alpha: 1.0,
            beta: 2.0,
            decay_factor: 0.99,
            bucket_seperate_length: 200,
            pd_group_producer_name: None,
        }
    }
}

/// (most − load) / (most − least), with the load of the prefill pod of each group that has the least.
#[derive(Debug)]
pub struct PdBucketScorer {
    groups: Slot<PdGroups>,
    tokens: Slot<PromptTokens>,
    alpha: f64,
    beta: f64,
    /// Tokens of a long prompt.
    long: u64,
    loads: Arc<Loads>,
}

impl Plugin for PdBucketScorer {
    const TYPE: &'static str = "scorer-pd-bucket";
    const TASK: Task = Task::Disaggregation;
    const ORIGIN: Origin = Origin::Hermes;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Prefers groups with a prefill pod that was sent fewer tokens of prompts lately, where tokens of long prompts count \
         more: 1 for the least load among the candidates, 0 for the most. Higher is better. Names and parameters are those of \
         openFuyao's Hermes-router; its rule is not published, and the one here is ours. The pair that does the request is the \
         prefill pod with the least load and the decode pod with the fewest requests in flight; a pd-header-handler names \
         them to the leader of the group.";
    const FORMULA: &'static str = "(most − load) / (most − least), with the most and least among the candidates; 1 when all are equal. load = alpha · \
         tokens of short prompts + beta · tokens of long ones, of the prefill pod of the group where that is least; every 100 ms \
         both are multiplied by decayFactor.";
    const ROLES: &'static [Role] = &[Role::Scorer, Role::PreRequest];
    const SAMPLE: &'static str = "\
plugins:
- type: pd-group-filter
- type: scorer-pd-bucket
  parameters: {alpha: 1.0, beta: 2.0, decayFactor: 0.99, bucketSeperateLength: 200}
- type: pd-header-handler
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let Params { decay_factor: decay, bucket_seperate_length: long, .. } = params;
        if !(0.0..=1.0).contains(&decay) {
            return Err(BuildError::invalid("decayFactor", "must lie between 0 and 1"));
        }
        let shape = format!("decay={decay} long={long}");
        let scorer = Arc::new(Self {
            groups: cx.reads("pdGroupProducerName", params.pd_group_producer_name.as_deref())?,
            tokens: cx.reads_if_provided("", None)?,
            alpha: weight(&[("alpha", Some(params.alpha))], 0.0)?,
            beta: weight(&[("beta", Some(params.beta))], 0.0)?,
            long,
            loads: cx.state(Shape(shape), || Loads::new(decay)),
        });
        Ok(Roles {
            scorer: Some(scorer.clone()),
            pre_request: Some(scorer),
            needs: Needs::BODY,
            ..Roles::default()
        })
    }
}

impl Scorer for PdBucketScorer {
    /// Pods that take no requests of a group score 0.
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let groups = ask.facts.get(self.groups);
        let sums = self.loads.at(ask.now);
        let load = |i: usize| {
            let [short, long] = sums.of(ask.view.places[i]);
            self.alpha * short + self.beta * long
        };
        for (place, i) in out.iter_mut().zip(candidates.iter()) {
            let Some(group) = groups.of(i) else {
                *place = f32::NAN;
                continue;
            };
            let (prefill, load) = cheapest(ask.view, group.prefill.iter(), load);
            let (decode, _) = cheapest(ask.view, group.decode.iter(), |_| 0.0);
            groups.note(i, Pair { prefill, decode });
            *place = load as f32;
        }
        let scale = Scale::relative(out.iter().copied());
        for place in out {
            *place = if place.is_finite() { 1.0 - scale.cost(*place) as f32 } else { 0.0 };
        }
    }

    /// Of the prefill pod that was found for each.
    fn inputs(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        let (groups, sums) = (ask.facts.get(self.groups), self.loads.at(ask.now));
        let load = |i: usize, n: usize| {
            groups.noted(i).map_or(f32::NAN, |pair| sums.of(ask.view.places[pair.prefill])[n] as f32)
        };
        inputs.number("prefillShortTokens", |i| load(i, 0));
        inputs.number("prefillLongTokens", |i| load(i, 1));
    }
}

impl PreRequest for PdBucketScorer {
    /// A prompt that is not known counts as one token, so that requests are spread all the same.
    fn pre_request(&self, ask: &Ask<'_>, decision: &Decision, _: &mut Launch<'_>) {
        let destination = decision.destination().map(|picked| picked[0] as usize);
        let pair = destination.and_then(|i| ask.facts.get(self.groups).noted(i));
        if let Some(Pair { prefill, .. }) = pair {
            let tokens = ask.facts.get(self.tokens).count(ask.request).max(1);
            self.loads.add(ask.view, prefill, ask.now, tokens, tokens >= self.long);
        }
    }
}
