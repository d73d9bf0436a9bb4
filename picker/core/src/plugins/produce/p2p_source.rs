//! `p2p-source-producer`: names a server that has more of a prompt cached than the one that computes it.

use std::sync::Arc;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use smallvec::SmallVec;

use crate::ask::{Ask, Decision};
use crate::booking::Launch;
use crate::column::Column;
use crate::edits::Edits;
use crate::fact::{Fact, Own, PrefixMatch, Slot};
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::request::Request;
use crate::role::{PreRequest, Producer};
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Address of the server whose cached blocks are read, for the sidecar of the server that computes the prompt.
const SOURCE: &str = "x-kv-cache-source-host-port";

/// The header that tells requests apart.
const REQUEST_ID: &str = "x-request-id";

const PREFILL: &str = "prefill";

/// Parameters of `p2p-source-producer`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Name of the plugin that says which server has how much of a prompt. Without it, the one called
    /// `approx-prefix-cache-producer`, which is made with default parameters if there is none.
    prefix_match_info_producer_name: Option<String>,
    /// How many tokens more than the server that computes the prompt another one must have, at least 1. What is short is
    /// computed faster than it is read.
    #[schemars(range(min = 1))]
    min_cached_token_delta: u32,
    /// The scheduling profile of the server that computes prompts. Where there is none of that name, or it did not run for a request,
    /// that is the destination.
    prefill_profile_name: String,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            prefix_match_info_producer_name: None,
            min_cached_token_delta: 1,
            prefill_profile_name: PREFILL.to_owned(),
        }
    }
}

/// Chooses a source for each request, and names it once it is known who computes the prompt.
#[derive(Debug)]
pub struct P2pSourceProducer {
    matched: Slot<PrefixMatch>,
    found: Slot<Source>,
    /// Position of the profile in the strategy.
    prefill: Option<usize>,
    min_delta: u64,
}

/// The endpoint to read from, as a position in the view.
#[derive(Debug, Default)]
struct Source(Option<usize>);

impl Fact for Source {
    const NAME: &'static str = "source of cached blocks";
    const DEFAULT_PRODUCER: Option<&'static str> = None;

    fn clear(&mut self) {
        self.0 = None;
    }
}

impl Plugin for P2pSourceProducer {
    const TYPE: &'static str = "p2p-source-producer";
    const TASK: Task = Task::PrefixCache;
    const ORIGIN: Origin = Origin::LlmD;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Names a server that has more of the prompt in its prefix cache than the one that computes it, as address:port in the header \
         x-kv-cache-source-host-port, so that its sidecar reads those blocks rather than compute them. Among the candidates with at most one \
         block less than the most, one is drawn by the id of the request (x-request-id), those with shorter queues more often; servers that fail are not read \
         from. It knows no tiers: what the producer of prefix matches counts has to be what servers can hand out.";
    const FORMULA: &'static str = "Chance of a server with at most one block less than the most: in proportion to 1 / (1 + waiting requests).";
    const ROLES: &'static [Role] = &[Role::Producer, Role::PreRequest];
    const WRITES: &'static [&'static str] = &[SOURCE];
    const SAMPLE: &'static str = "\
plugins:
- type: p2p-source-producer
  parameters: {minCachedTokenDelta: 512}
- type: approx-prefix-cache-producer
- type: queue-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        if params.min_cached_token_delta == 0 {
            return Err(BuildError::invalid("minCachedTokenDelta", "must be at least 1"));
        }
        let profile = cx.or_default("prefillProfileName", params.prefill_profile_name, PREFILL.to_owned());
        let prefill = cx.find_profile(&profile);
        if prefill.is_none() && profile != PREFILL {
            let message = format!(
                "there is no scheduling profile called {profile:?}: the destination computes all prompts"
            );
            cx.warn("prefillProfileName", message);
        }
        cx.reads_column(Column::WAITING);
        let name = params.prefix_match_info_producer_name.as_deref();
        let producer = Arc::new(Self {
            matched: cx.reads("prefixMatchInfoProducerName", name)?,
            found: cx.provides(),
            prefill,
            min_delta: params.min_cached_token_delta.into(),
        });
        Ok(Roles {
            producer: Some(producer.clone()),
            pre_request: Some(producer),
            needs: Needs::BODY,
            ..Roles::default()
        })
    }
}

/// Where the request lies among all, 0 to 1: by its id, the same in all replicas; without one, by its prompt.
fn spread(request: &Request, matched: &PrefixMatch) -> f64 {
    match request.headers.get(REQUEST_ID).filter(|id| !id.is_empty()) {
        Some(id) => f64::from(fnv1a(id)) / 2.0_f64.powi(32),
        None => (matched.hashes.last().copied().unwrap_or(0) >> 11) as f64 / 2.0_f64.powi(53),
    }
}

/// The hash FNV-1a (Fowler, Noll and Vo) of 32 bits.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

impl Producer for P2pSourceProducer {
    fn produce(&self, ask: &Ask<'_>, candidates: &Candidates, own: &mut Own) {
        let matched = ask.facts.get(self.matched);
        if matched.matched.iter().all(|blocks| *blocks == 0) {
            return;
        }
        let view = ask.view;
        // Who reads from a server that fails waits for it in vain.
        let sources = || candidates.iter().filter(|&i| matched.blocks(i) > 0 && view.is_healthy(i, ask.now));
        let most = sources().map(|i| matched.blocks(i)).max().unwrap_or(0);
        let waiting = view.column(Column::WAITING);
        // NaN is none.
        let weight = |i: usize| 1.0 / (1.0 + f64::from(waiting[i].max(0.0)));
        let near = sources().filter(|&i| matched.blocks(i) + 1 >= most);
        let weighted: SmallVec<[(usize, f64); 16]> = near.map(|i| (i, weight(i))).collect();
        let total: f64 = weighted.iter().map(|(_, weight)| weight).sum();
        let mut left = spread(ask.request, matched) * total;
        let drawn = weighted.iter().find(|(_, weight)| {
            let is_it = left < *weight;
            left -= weight;
            is_it
        });
        own.get_mut(self.found).0 = drawn.or(weighted.last()).map(|(i, _)| *i);
    }
}

impl PreRequest for P2pSourceProducer {
    fn pre_request(&self, ask: &Ask<'_>, decision: &Decision, launch: &mut Launch<'_>) {
        self.dry_run(ask, decision, &mut launch.edits);
    }

    fn dry_run(&self, ask: &Ask<'_>, decision: &Decision, edits: &mut Edits) {
        let Some(source) = ask.facts.get(self.found).0 else { return };
        let prefill = self.prefill.and_then(|profile| decision.of(profile));
        let Some(computing) = prefill.or(decision.destination()).map(|picked| picked[0] as usize) else {
            return;
        };
        let matched = ask.facts.get(self.matched);
        let more = matched.cached_tokens(source).saturating_sub(matched.cached_tokens(computing));
        if source != computing && more >= self.min_delta {
            let address = ask.view.endpoints[source].destination.as_bytes();
            edits.set_header(SOURCE, Bytes::copy_from_slice(address));
        }
    }
}
