//! `inflight-load-producer`: how many tokens each server has to compute for requests under way.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::{Ask, Decision, Part};
use crate::booking::{Launch, Until};
use crate::endpoint::Load;
use crate::fact::{Own, PrefixMatch, PromptTokens, RequestLoad, Slot};
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::role::{PreRequest, Producer};
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Parameters of `inflight-load-producer`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Whether the tokens of answers count too, as estimated from the prompt. With them, all tokens of a request count at
    /// its destination until the response ends; without, those of the prompt until the first byte of the response's body,
    /// when they have been computed. At prefill and encode servers those of the prompt count alone, until that byte.
    add_estimated_output_tokens: bool,
    /// Tokens of an answer for each token of the prompt, at least 0. An answer is never estimated longer than the limit
    /// that the client sets (for example `max_tokens`).
    #[schemars(range(min = 0.0))]
    output_ratio: f64,
    /// The most tokens that an answer is estimated to have. Absent: no limit.
    max_estimated_output_tokens: Option<u64>,
    /// Name of the plugin that says which server has how much of a prompt in its prefix cache. Those tokens don't count.
    /// Without it, the one called `approx-prefix-cache-producer`, if another plugin needs it or the configuration has
    /// it; otherwise whole prompts count.
    prefix_match_info_producer_name: Option<String>,
    /// Accepted for configurations that have it, and without effect: the load that other replicas of the picker cause
    /// is not known to this one.
    sync_cross_replica_state: Option<bool>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            add_estimated_output_tokens: false,
            output_ratio: 1.5,
            max_estimated_output_tokens: None,
            prefix_match_info_producer_name: None,
            sync_cross_replica_state: None,
        }
    }
}

/// Estimates the tokens that a request costs each endpoint, and books them on those that do a part of it.
/// Requests themselves are counted by the picker, with or without this plugin.
#[derive(Debug)]
pub struct InflightLoadProducer {
    load: Slot<RequestLoad>,
    prefix: Slot<PrefixMatch>,
    tokens: Slot<PromptTokens>,
    output: Option<OutputEstimate>,
}

/// The estimate of an answer's length.
#[derive(Clone, Copy, Debug)]
struct OutputEstimate {
    ratio: f64,
    most: u64,
}

impl OutputEstimate {
    /// Tokens of the answer to a prompt of `prompt` tokens, of which the client wants no more than `limit`.
    fn tokens(self, prompt: u64, limit: Option<u64>) -> u64 {
        let estimate = (prompt as f64 * self.ratio).round() as u64;
        estimate.min(self.most).min(limit.unwrap_or(u64::MAX))
    }
}

impl Plugin for InflightLoadProducer {
    const TYPE: &'static str = "inflight-load-producer";
    const TASK: Task = Task::Load;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Counts for each server the tokens that it has to compute for requests under way: those of their prompts that \
         it does not have in its prefix cache, and, if wanted, those of their answers, as estimated. A strategy has one at most. \
         Made by itself when a token-load-scorer or a prefix-cache-affinity-filter needs it.";
    const ROLES: &'static [Role] = &[Role::Producer, Role::PreRequest];
    const ONLY_ONE: Option<&'static str> = Some("counts the same tokens a second time, beside");
    const SAMPLE: &'static str = "\
plugins:
- type: inflight-load-producer
  parameters: {addEstimatedOutputTokens: true, outputRatio: 0.5, maxEstimatedOutputTokens: 4096}
- type: token-load-scorer
- type: prefix-cache-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let ratio = params.output_ratio;
        if !(0.0..=f64::MAX).contains(&ratio) {
            return Err(BuildError::invalid("outputRatio", "must be at least 0"));
        }
        if params.sync_cross_replica_state.is_some() {
            cx.warn(
                "syncCrossReplicaState",
                "has no effect: replicas don't know each other's load; leave it out",
            );
        }
        let most = params.max_estimated_output_tokens.unwrap_or(u64::MAX);
        let prefix = params.prefix_match_info_producer_name;
        let producer = Arc::new(Self {
            load: cx.provides(),
            prefix: cx.reads_if_provided("prefixMatchInfoProducerName", prefix.as_deref())?,
            tokens: cx.reads_if_provided("", None)?,
            output: params.add_estimated_output_tokens.then_some(OutputEstimate { ratio, most }),
        });
        Ok(Roles {
            producer: Some(producer.clone()),
            pre_request: Some(producer),
            needs: Needs::BODY,
            ..Roles::default()
        })
    }
}

impl Producer for InflightLoadProducer {
    /// A prompt of which the tokens are not known has as many as its blocks in the prefix match, whole blocks of them, or
    /// more by its length, when only its beginning is compared.
    fn produce(&self, ask: &Ask<'_>, _: &Candidates, own: &mut Own) {
        let (found, load) = (ask.facts.get(self.prefix), own.get_mut(self.load));
        let tokens = ask.facts.get(self.tokens);
        let (counted, limit) = (tokens.count(ask.request), ask.request.content.max_tokens);
        load.output = self.output.map_or(0, |estimate| estimate.tokens(counted, limit));
        let prompt = if tokens.exact { counted } else { counted.max(found.tokens()) };
        load.prompt = prompt;
        let block_tokens = u64::from(found.block_tokens);
        let uncached = |&matched: &u32| prompt.saturating_sub(u64::from(matched) * block_tokens);
        load.uncached.extend(found.matched.iter().map(uncached));
    }
}

impl PreRequest for InflightLoadProducer {
    /// A prefill or an encode server is done when the first byte of the response comes; so is the destination with the
    /// prompt.
    fn pre_request(&self, ask: &Ask<'_>, decision: &Decision, launch: &mut Launch<'_>) {
        let request = ask.facts.get(self.load);
        for Part { endpoint, is_destination } in decision.parts() {
            let answers = is_destination && self.output.is_some();
            let until = if answers { Until::End } else { Until::FirstByte };
            let tokens = if answers { request.tokens(endpoint) } else { request.prompt_tokens(endpoint) };
            launch.book(endpoint, Load { requests: 0, tokens }, until);
        }
    }
}
