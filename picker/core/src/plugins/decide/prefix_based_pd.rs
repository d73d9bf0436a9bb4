//! `prefix-based-pd-decider`: a prompt of which the decode server has little in its cache is worth a prefill server.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::fact::{PrefixMatch, PromptTokens, Slot};
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::request::Request;
use crate::role::Decider;

#[cfg(test)]
mod tests;

/// Parameters of `prefix-based-pd-decider`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// With at least this many tokens of the prompt that the decode server does not have in its prefix cache, a prefill
    /// server prefills it. 0 (the default) means never. What lies beyond the part of a prompt that is compared
    /// (`maxPrefixTokensToMatch`) counts as missing.
    non_cached_tokens: u64,
    /// Prompts of fewer tokens are left to the decode server.
    prompt_tokens: u64,
    /// Name of the plugin that says which server has how much of the prompt. Without it, the one called
    /// `approx-prefix-cache-producer`, which is made with default parameters if there is none.
    prefix_match_info_producer_name: Option<String>,
}

/// Compares the part of the prompt that the decode server has to compute with a threshold.
#[derive(Debug)]
pub struct PrefixBasedPdDecider {
    found: Slot<PrefixMatch>,
    tokens: Slot<PromptTokens>,
    non_cached: u64,
    prompt: u64,
}

impl Plugin for PrefixBasedPdDecider {
    const TYPE: &'static str = "prefix-based-pd-decider";
    const TASK: Task = Task::Disaggregation;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Lets a prefill server prefill a prompt of which the chosen decode server has too little in its prefix \
         cache: from nonCachedTokens missing tokens on. Tokens are those that a token-producer counted, else an estimate of four bytes each. Unlike llm-d's, it \
         reads from any producer of prefix matches.";
    const ROLES: &'static [Role] = &[Role::Decider];
    const SAMPLE: &'static str = "\
plugins:
- type: prefix-based-pd-decider
  parameters: {nonCachedTokens: 512}
- type: disagg-profile-handler
  parameters:
    deciders: {prefill: prefix-based-pd-decider}
- type: decode-filter
- type: prefill-filter
- type: prefix-cache-scorer
- type: queue-scorer
schedulingProfiles:
- name: decode
  plugins:
  - {pluginRef: decode-filter}
  - {pluginRef: prefix-cache-scorer, weight: 2}
  - {pluginRef: queue-scorer}
- name: prefill
  plugins:
  - {pluginRef: prefill-filter}
  - {pluginRef: prefix-cache-scorer, weight: 2}
  - {pluginRef: queue-scorer}
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let Params { non_cached_tokens: non_cached, prompt_tokens: prompt, .. } = params;
        if non_cached == 0 {
            let message = "is 0, so that no prompt is ever given to a prefill server; set a number of tokens";
            cx.warn("nonCachedTokens", message);
        }
        let name = params.prefix_match_info_producer_name.as_deref();
        let found = cx.reads("prefixMatchInfoProducerName", name)?;
        let tokens = cx.reads_if_provided("", None)?;
        let decider = Self { found, tokens, non_cached, prompt };
        Ok(Roles { decider: Some(Arc::new(decider)), needs: Needs::BODY, ..Roles::default() })
    }
}

impl Decider for PrefixBasedPdDecider {
    /// By what the first profile picked, which is decode when there is a decision about prefill.
    fn decide(&self, ask: &Ask<'_>) -> bool {
        let decode = ask.done.first().and_then(|result| result.first());
        let Some(decode) = decode.filter(|_| self.non_cached > 0) else { return false };
        let found = ask.facts.get(self.found);
        let tokens = tokens(found, ask.facts.get(self.tokens), ask.request);
        tokens >= self.prompt && tokens.saturating_sub(found.cached_tokens(decode)) >= self.non_cached
    }
}

/// Tokens of the whole prompt: as many as were counted or its length lets expect, and, of an estimate, at least those of the
/// blocks that were compared, of which the last one may have a single token. Of a long prompt only the beginning is compared.
fn tokens(found: &PrefixMatch, tokens: &PromptTokens, request: &Request) -> u64 {
    let least = found.tokens().saturating_sub(u64::from(found.block_tokens.saturating_sub(1)));
    let count = tokens.count(request);
    if tokens.exact { count } else { count.max(least) }
}
