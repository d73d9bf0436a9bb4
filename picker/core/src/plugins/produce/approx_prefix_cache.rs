//! `approx-prefix-cache-producer`: which server has how much of a prompt, by what was sent where.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::{Ask, Decision};
use crate::booking::Launch;
use crate::column::Column;
use crate::fact::{Own, PrefixMatch, PromptTokens, Slot};
use crate::index::{MAX_CAPACITY, Memory, PrefixIndex, chain};
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::pd_groups::PdGroups;
use crate::request::BYTES_PER_TOKEN;
use crate::role::{PreRequest, Producer};
use crate::store::Shape;
use crate::view::{Candidates, View};

#[cfg(test)]
mod tests;

/// Smaller blocks cost more than they tell.
const MIN_BLOCK_TOKENS: u32 = 64;
const MAX_BLOCK_TOKENS: u32 = 1 << 16;
const DEFAULT_BLOCK_TOKENS: u32 = 16;

/// Parameters of `approx-prefix-cache-producer`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Whether block size and capacity follow what the model servers report about their KV caches, where
    /// they do: the block size that most servers of the pool have (of several the largest), and for each
    /// server its own number of tokens. vLLM's `prefix_match_unit` goes before its block size, and
    /// `kv_cache_size_tokens` before what its blocks hold. A tier below the accelerator (KV offloading) counts
    /// where a server tells its size, as SGLang does; see `offloadTokensPerServer` for others.
    auto_tune: bool,
    /// Tokens per block, in which prompts are compared. A token is estimated as 4 bytes of the request, unless a
    /// token-producer says better.
    /// Values below 64 count as 64, and so does its absence; values above 65536 as 65536.
    block_size_tokens: Option<u32>,
    /// The former way to give the block size, in bytes. Used when `blockSizeTokens` is absent.
    #[schemars(extend("deprecated" = true))]
    block_size: Option<u32>,
    /// The most blocks of a prompt that are compared, used when `maxPrefixTokensToMatch` is 0; 0 means no
    /// limit.
    #[schemars(extend("deprecated" = true))]
    max_prefix_blocks_to_match: u32,
    /// The most tokens of a prompt that are compared. What comes later makes no difference to where a
    /// request goes. 0 means that `maxPrefixBlocksToMatch` says it.
    max_prefix_tokens_to_match: u32,
    /// How many blocks a server is believed to keep, least recently used first out, when it doesn't
    /// report it or `autoTune` is off. Memory: 20 bytes per block and server, at most 256 MiB in all
    /// for all instances together. At least 1; values above 1048576 count as 1048576.
    #[schemars(range(min = 1))]
    lru_capacity_per_server: u32,
    /// Tokens that each server keeps in memory or on disk beyond what it reports about its KV cache, for
    /// example with vLLM's `--kv-offloading-size`, whose size most releases don't tell. Added to what is
    /// reported; no more than 1048576 blocks are believed in all.
    offload_tokens_per_server: u32,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            auto_tune: true,
            block_size_tokens: None,
            block_size: None,
            max_prefix_blocks_to_match: 2048,
            max_prefix_tokens_to_match: 131_072,
            lru_capacity_per_server: 31_250,
            offload_tokens_per_server: 0,
        }
    }
}

impl Params {
    fn block_tokens(&self) -> u32 {
        let tokens = match (self.block_size_tokens, self.block_size) {
            (Some(tokens), _) => tokens,
            (None, Some(bytes)) if bytes > 0 => bytes.div_ceil(BYTES_PER_TOKEN),
            _ => DEFAULT_BLOCK_TOKENS,
        };
        tokens.clamp(MIN_BLOCK_TOKENS, MAX_BLOCK_TOKENS)
    }
}

/// Remembers the prompts that went to each server. Its view is that of this picker alone: what other
/// replicas send is not known to it.
#[derive(Debug)]
pub struct ApproxPrefixCacheProducer {
    found: Slot<PrefixMatch>,
    tokens: Slot<PromptTokens>,
    groups: Slot<PdGroups>,
    auto_tune: bool,
    block_tokens: u32,
    max_blocks: u32,
    max_tokens: u32,
    capacity: u32,
    offload_tokens: u32,
    index: Arc<PrefixIndex>,
}

impl Plugin for ApproxPrefixCacheProducer {
    const TYPE: &'static str = "approx-prefix-cache-producer";
    const TASK: Task = Task::PrefixCache;
    const ORIGIN: Origin = Origin::LlmD;
    // What asks openFuyao's cache-indexer in Hermes-router 26.06.
    const ALIASES: &'static [&'static str] = &["prefix-cache-producer"];
    const IGNORED: &'static [&'static str] = &["cacheIndexerAddress"];
    const SUMMARY: &'static str = "Estimates how much of a prompt each server has in its prefix cache, by remembering which prompts were sent to it. \
         Made by itself when a prefix-cache-scorer needs it. It learns from the servers of all profiles, whatever their names \
         (llm-d: of the destination, and of a profile called prefill).";
    const ROLES: &'static [Role] = &[Role::Producer, Role::PreRequest];
    const SAMPLE: &'static str = "\
plugins:
- type: approx-prefix-cache-producer
  parameters: {autoTune: false, blockSizeTokens: 128}
- type: prefix-cache-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let block_tokens = params.block_tokens();
        let Params { auto_tune, lru_capacity_per_server: capacity, .. } = params;
        if capacity == 0 {
            return Err(BuildError::invalid("lruCapacityPerServer", "must be at least 1 block"));
        }
        let capacity = capacity.min(MAX_CAPACITY);
        let shape = format!("block={block_tokens} capacity={capacity} autoTune={auto_tune}");
        let memory = cx.shared_state(Memory::default);
        let producer = Self {
            found: cx.provides(),
            tokens: cx.reads_if_provided("", None)?,
            groups: cx.reads_if_provided("", None)?,
            auto_tune,
            block_tokens,
            max_blocks: params.max_prefix_blocks_to_match,
            max_tokens: params.max_prefix_tokens_to_match,
            capacity,
            offload_tokens: params.offload_tokens_per_server,
            index: cx.state(Shape(shape), || PrefixIndex::new(memory)),
        };
        if !auto_tune && params.offload_tokens_per_server > 0 {
            cx.warn(
                "offloadTokensPerServer",
                "has no effect with autoTune: false; raise lruCapacityPerServer",
            );
        }
        if auto_tune {
            cx.reads_column(Column::CACHE_CONFIG);
        }
        let producer = Arc::new(producer);
        Ok(Roles {
            producer: Some(producer.clone()),
            pre_request: Some(producer),
            needs: Needs::BODY,
            ..Roles::default()
        })
    }
}

impl ApproxPrefixCacheProducer {
    /// Tokens per block for all endpoints of `view`: one size, so that one chain of hashes serves all.
    fn block_tokens(&self, view: &View) -> u32 {
        let reported = if self.auto_tune { view.usual_block_size } else { 0 };
        let tokens = if reported > 0 { reported } else { self.block_tokens };
        tokens.clamp(MIN_BLOCK_TOKENS, MAX_BLOCK_TOKENS)
    }

    fn max_blocks(&self, block_tokens: u32) -> usize {
        let blocks =
            if self.max_tokens > 0 { (self.max_tokens / block_tokens).max(1) } else { self.max_blocks };
        if blocks == 0 { usize::MAX } else { blocks as usize }
    }

    /// How many blocks of `block_tokens` the endpoint at `i` can keep: its whole KV cache, with its tiers.
    fn capacity(&self, view: &View, i: usize, block_tokens: u32) -> u32 {
        let tokens = view.cache_tokens[i];
        if !self.auto_tune || tokens == 0 {
            return self.capacity;
        }
        let tokens = tokens.saturating_add(u64::from(self.offload_tokens));
        (tokens / u64::from(block_tokens)).clamp(1, u64::from(MAX_CAPACITY)) as u32
    }
}

impl Producer for ApproxPrefixCacheProducer {
    fn produce(&self, ask: &Ask<'_>, candidates: &Candidates, own: &mut Own) {
        let Ask { request, view, .. } = *ask;
        let found = own.get_mut(self.found);
        found.block_tokens = self.block_tokens(view);
        let seed = chain::seed(request.model().unwrap_or_default(), request.cache_salt());
        let bytes = (found.block_tokens * BYTES_PER_TOKEN) as usize;
        let (most, tokens) = (self.max_blocks(found.block_tokens), &ask.facts.get(self.tokens).bytes);
        if tokens.is_empty() {
            chain::extend(seed, request.prompt(), bytes, most, &mut found.hashes);
        } else {
            chain::extend(seed, std::iter::once(&tokens[..]), bytes, most, &mut found.hashes);
        }
        self.index.matches(&found.hashes, view, candidates, &mut found.matched);
    }
}

impl PreRequest for ApproxPrefixCacheProducer {
    /// The endpoints of all profiles (decode and prefill) have the prompt from now on; of a group of pods, those that a scorer
    /// found for its leader.
    fn pre_request(&self, ask: &Ask<'_>, decision: &Decision, _: &mut Launch<'_>) {
        let (found, groups) = (ask.facts.get(self.found), ask.facts.get(self.groups));
        for chosen in decision.firsts().flat_map(|(_, chosen)| groups.workers(chosen)) {
            let capacity = self.capacity(ask.view, chosen, found.block_tokens);
            self.index.insert(ask.view, chosen, capacity, &found.hashes);
        }
    }
}
