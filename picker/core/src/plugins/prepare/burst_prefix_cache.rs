//! `burst-prefix-cache-producer`: requests that come at the same time with the same prompt go to the same server.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::column::Column;
use crate::fact::{Fact, Own, PrefixMatch, Slot};
use crate::index::chain;
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::request::BYTES_PER_TOKEN;
use crate::role::{Outside, Preparation, Preparer, Producer};
use crate::store::Shape;
use crate::view::Candidates;

mod overlap;
mod placement;
#[cfg(test)]
mod tests;
mod waiting;
mod window;

use placement::Rule;
use waiting::{Limits, Windows};
use window::{MAX_PROMPT, Placed};

/// The longest window, in milliseconds.
const MAX_WINDOW: u32 = 10_000;
/// How much longer is waited than a window lasts.
const MARGIN: Duration = Duration::from_millis(300);
/// The most requests of a window, whatever is said.
const MAX_REQUESTS: usize = 10_000;
/// Blocks of a prompt that are compared where no number of tokens is said.
const DEFAULT_BLOCKS: u32 = 2048;

/// Parameters of `burst-prefix-cache-producer`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// How long a window is, in milliseconds, 1 to 10000. It opens with a request, and every request waits for its end.
    #[schemars(range(min = 1, max = 10_000))]
    window_duration_ms: u32,
    /// Requests of one prompt in a window that one server gets before the next one is used, at least 1; -1 for no limit. Once
    /// every server has that many, the others are spread over all.
    #[schemars(range(min = -1))]
    max_per_replica: i64,
    /// Tokens per block, in which prompts are compared, at least 1. A token is estimated as 4 bytes of the request.
    #[schemars(range(min = 1))]
    block_size_tokens: u32,
    /// The most tokens of a prompt that are compared: prompts that are equal up to there count as equal. At least a block, and at
    /// most 65536 blocks; 0 stands for 2048 blocks.
    max_prefix_tokens_to_match: u32,
    /// Blocks at their beginnings that different prompts of a window must share to go to the same server, as long as that one
    /// has not got its share of the window. 0 when only equal prompts do.
    min_colocate_blocks: u32,
    /// The most requests of a window, at least 1: with that many it ends early. -1, and values above, count as 10000. A window ends early with 4194304
    /// blocks, too.
    #[schemars(range(min = -1))]
    max_batch_size: i64,
    /// What servers get equal shares of: `requests` (the default), or `tokens`, for blocks of prompts that they have to compute.
    balance_by: Balance,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Balance {
    /// Requests.
    #[default]
    #[serde(alias = "")]
    Requests,
    /// Blocks to compute.
    Tokens,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            window_duration_ms: 100,
            max_per_replica: -1,
            block_size_tokens: 64,
            max_prefix_tokens_to_match: 0,
            min_colocate_blocks: 0,
            max_batch_size: 1000,
            balance_by: Balance::Requests,
        }
    }
}

impl Params {
    fn check(&self) -> Result<(), BuildError> {
        if !(1..=MAX_WINDOW).contains(&self.window_duration_ms) {
            return Err(BuildError::invalid(
                "windowDurationMs",
                format!("must lie between 1 and {MAX_WINDOW}"),
            ));
        }
        for (field, value) in [("maxPerReplica", self.max_per_replica), ("maxBatchSize", self.max_batch_size)]
        {
            if value < 1 && value != -1 {
                return Err(BuildError::invalid(field, "must be at least 1, or -1 for no limit"));
            }
        }
        if self.block_size_tokens == 0 {
            return Err(BuildError::invalid("blockSizeTokens", "must be at least 1"));
        }
        if (1..self.block_size_tokens).contains(&self.max_prefix_tokens_to_match) {
            let message = format!("must be 0, or at least a block, {}", self.block_size_tokens);
            return Err(BuildError::invalid("maxPrefixTokensToMatch", message));
        }
        Ok(())
    }

    fn rule(&self) -> Rule {
        Rule {
            per_server: usize::try_from(self.max_per_replica).ok(),
            min_shared: self.min_colocate_blocks as usize,
            by_blocks: self.balance_by == Balance::Tokens,
        }
    }

    fn limits(&self) -> Limits {
        let requests =
            usize::try_from(self.max_batch_size).map_or(MAX_REQUESTS, |size| size.min(MAX_REQUESTS));
        Limits { duration: Duration::from_millis(self.window_duration_ms.into()), requests }
    }

    fn max_blocks(&self) -> u32 {
        match self.max_prefix_tokens_to_match {
            0 => DEFAULT_BLOCKS,
            tokens => (tokens / self.block_size_tokens).clamp(1, MAX_PROMPT),
        }
    }
}

/// Lets requests wait for each other.
#[derive(Debug)]
pub struct BurstPrefixCacheProducer {
    placed: Slot<Placed>,
    found: Slot<PrefixMatch>,
    block_tokens: u32,
    max_blocks: usize,
    rule: Rule,
    limits: Limits,
    windows: Arc<Windows>,
}

impl Plugin for BurstPrefixCacheProducer {
    const TYPE: &'static str = "burst-prefix-cache-producer";
    const TASK: Task = Task::PrefixCache;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Lets the requests of a window of time wait for its end, and places them together: those with equal prompts at one server, which \
         computes them once, for example the samples of a step of reinforcement learning. A prefix-cache-scorer that names it in \
         prefixMatchInfoProducerName gives that server 1 and the others 0; requests that have nothing in common with others of the \
         window are left to other scorers. Every request with a prompt waits up to windowDurationMs, unless there is one server alone. It knows what is in the \
         caches only within a window: approx-prefix-cache-producer remembers. Servers of all profiles are places, but those that fail.";
    const FORMULA: &'static str = "The larger prompts before the smaller, each at the server with the least of the window so far, and of equal ones with the fewest running requests.";
    const ROLES: &'static [Role] = &[Role::Preparer, Role::Producer];
    const SAMPLE: &'static str = "\
plugins:
- type: burst-prefix-cache-producer
  parameters: {windowDurationMs: 50, minColocateBlocks: 4}
- type: prefix-cache-scorer
  parameters: {prefixMatchInfoProducerName: burst-prefix-cache-producer}
- type: active-request-scorer
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: prefix-cache-scorer, weight: 2}
  - {pluginRef: active-request-scorer, weight: 1}
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        params.check()?;
        cx.reads_column(Column::RUNNING);
        // Requests that wait while another part of a strategy changes are placed with those that come after.
        let windows = cx.state(Shape(format!("{params:?}")), Windows::default);
        let producer = Arc::new(Self {
            placed: cx.provides(),
            found: cx.provides(),
            block_tokens: params.block_size_tokens,
            max_blocks: params.max_blocks() as usize,
            rule: params.rule(),
            limits: params.limits(),
            windows,
        });
        Ok(Roles {
            preparer: Some(producer.clone()),
            producer: Some(producer),
            needs: Needs::BODY,
            ..Roles::default()
        })
    }
}

impl Preparer for BurstPrefixCacheProducer {
    fn prepare(&self, ask: &Ask<'_>, outside: &Outside<'_>) -> Option<Preparation> {
        let (request, view) = (ask.request, ask.view);
        if view.len() < 2 {
            return None;
        }
        let seed = chain::seed(request.model().unwrap_or_default(), request.cache_salt());
        let bytes = (u64::from(self.block_tokens) * u64::from(BYTES_PER_TOKEN)).min(1 << 30) as usize;
        let mut hashes = Vec::new();
        chain::extend(seed, request.prompt(), bytes, self.max_blocks, &mut hashes);
        if hashes.is_empty() {
            return None;
        }
        let waiting = self.windows.join(ask, hashes, self.rule, self.limits, outside.timer);
        let slot = self.placed;
        Some(Box::pin(async move { Ok(slot.found(waiting.await)) }))
    }

    fn deadline(&self, _: &Ask<'_>) -> Duration {
        self.limits.duration + MARGIN
    }
}

impl Producer for BurstPrefixCacheProducer {
    /// Endpoints have positions only now: while requests waited, others may have come and gone.
    fn produce(&self, ask: &Ask<'_>, _: &Candidates, own: &mut Own) {
        let Placed { hashes, endpoint } = std::mem::take(own.get_mut(self.placed));
        let endpoints = &ask.view.endpoints;
        let Some(position) = endpoint.and_then(|key| endpoints.iter().position(|e| e.key == key)) else {
            return;
        };
        let found = own.get_mut(self.found);
        found.matched.resize(endpoints.len(), 0);
        found.matched[position] = hashes.len() as u32;
        (found.hashes, found.block_tokens) = (hashes, self.block_tokens);
    }
}

impl Fact for Placed {
    const NAME: &'static str = "place in a burst";
    const DEFAULT_PRODUCER: Option<&'static str> = None;

    fn clear(&mut self) {
        *self = Self::default();
    }
}
