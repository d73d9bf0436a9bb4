//! `prefix-cache-scorer`: the more of the prompt a server has in its prefix cache, the better.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::ask::Ask;
use crate::fact::{PrefixMatch, Slot};
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Moved, Origin, Plugin, Role, Roles, Task};
use crate::role::Scorer;
use crate::view::Candidates;

/// Parameters of `prefix-cache-scorer`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Name of the plugin that says which server has how much. Without it, the one called
    /// `approx-prefix-cache-producer`, which is made with default parameters if there is none.
    prefix_match_info_producer_name: Option<String>,
    /// How much the length of the match counts, 0 to 1. The rest is for the share of the prompt that is
    /// matched: at 0, a short prompt that is matched whole scores like a long one.
    #[schemars(range(min = 0.0, max = 1.0))]
    match_length_weight: f32,
    /// Length of a match, in tokens, at which it scores 1 for its length; shorter ones score the square
    /// of their share of it.
    #[schemars(range(min = 1))]
    match_length_scale_tokens: u32,
    /// A parameter of `approx-prefix-cache-producer` now. Where the configuration has no plugin of that name, the one that
    /// is made gets this.
    #[schemars(extend("deprecated" = true))]
    auto_tune: Option<bool>,
    /// As `autoTune`.
    #[schemars(extend("deprecated" = true))]
    block_size_tokens: Option<u32>,
    /// As `autoTune`.
    #[schemars(extend("deprecated" = true))]
    block_size: Option<u32>,
    /// The former name of `blockSize`, in bytes, which see.
    #[schemars(extend("deprecated" = true))]
    hash_block_size: Option<u32>,
    /// As `autoTune`. It counts even without `maxPrefixTokensToMatch`.
    #[schemars(extend("deprecated" = true))]
    max_prefix_blocks_to_match: Option<u32>,
    /// As `autoTune`.
    #[schemars(extend("deprecated" = true))]
    max_prefix_tokens_to_match: Option<u32>,
    /// As `autoTune`.
    #[schemars(extend("deprecated" = true))]
    lru_capacity_per_server: Option<u32>,
}

impl Params {
    /// The parameters that are those of the producer now.
    fn moved(&self) -> Vec<Moved> {
        let value = |number: Option<u32>| number.map(Value::from);
        let mut blocks = vec![("maxPrefixBlocksToMatch", value(self.max_prefix_blocks_to_match))];
        if self.max_prefix_tokens_to_match.is_none() {
            // By its own default the other limit would count.
            blocks.push(("maxPrefixTokensToMatch", self.max_prefix_blocks_to_match.map(|_| Value::from(0))));
        }
        let all = [
            ("autoTune", vec![("autoTune", self.auto_tune.map(Value::from))]),
            ("blockSizeTokens", vec![("blockSizeTokens", value(self.block_size_tokens))]),
            ("blockSize", vec![("blockSize", value(self.block_size))]),
            ("hashBlockSize", vec![("blockSize", value(self.hash_block_size))]),
            ("maxPrefixBlocksToMatch", blocks),
            (
                "maxPrefixTokensToMatch",
                vec![("maxPrefixTokensToMatch", value(self.max_prefix_tokens_to_match))],
            ),
            ("lruCapacityPerServer", vec![("lruCapacityPerServer", value(self.lru_capacity_per_server))]),
        ];
        let given = all.into_iter().map(|(field, now)| {
            let now: Vec<_> = now.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            Moved { field, now }
        });
        given.filter(|moved| !moved.now.is_empty()).collect()
    }
}

impl Default for Params {
    fn default() -> Self {
        Self {
            prefix_match_info_producer_name: None,
            match_length_weight: 0.0,
            match_length_scale_tokens: 8192,
            auto_tune: None,
            block_size_tokens: None,
            block_size: None,
            hash_block_size: None,
            max_prefix_blocks_to_match: None,
            max_prefix_tokens_to_match: None,
            lru_capacity_per_server: None,
        }
    }
}

/// weight · min(1, matched tokens / scale)² + (1 − weight) · matched blocks / blocks.
#[derive(Debug)]
pub struct PrefixCacheScorer {
    found: Slot<PrefixMatch>,
    weight: f32,
    scale: f32,
}

impl Plugin for PrefixCacheScorer {
    const TYPE: &'static str = "prefix-cache-scorer";
    const TASK: Task = Task::PrefixCache;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "Prefers servers that have more of the prompt in their prefix cache: 1 for the whole prompt, 0 for nothing.";
    const FORMULA: &'static str = "w · min(1, matched tokens / matchLengthScaleTokens)² + (1 − w) · matched blocks / blocks of the prompt, where w is matchLengthWeight.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: queue-scorer
- type: prefix-cache-scorer
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: queue-scorer, weight: 1}
  - {pluginRef: prefix-cache-scorer, weight: 3}
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let moved = params.moved();
        let Params {
            prefix_match_info_producer_name: name,
            match_length_weight: weight,
            match_length_scale_tokens,
            ..
        } = params;
        if !(0.0..=1.0).contains(&weight) {
            return Err(BuildError::invalid("matchLengthWeight", "must lie between 0 and 1"));
        }
        if match_length_scale_tokens == 0 {
            return Err(BuildError::invalid("matchLengthScaleTokens", "must be at least 1"));
        }
        let found = cx.reads_with("prefixMatchInfoProducerName", name.as_deref(), moved)?;
        let scorer = Self { found, weight, scale: match_length_scale_tokens as f32 };
        Ok(Roles { scorer: Some(Arc::new(scorer)), needs: Needs::BODY, ..Roles::default() })
    }
}

impl Scorer for PrefixCacheScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let found = ask.facts.get(self.found);
        if found.matched.is_empty() || found.hashes.is_empty() {
            return;
        }
        let (blocks, block_tokens) = (found.hashes.len() as f32, found.block_tokens as f32);
        for (place, i) in out.iter_mut().zip(candidates.iter()) {
            let matched = found.matched[i] as f32;
            let length = (matched * block_tokens / self.scale).min(1.0);
            *place = self.weight * length * length + (1.0 - self.weight) * matched / blocks;
        }
    }
}

#[cfg(test)]
mod tests;
