//! `mm-embeddings-cache-producer`: which server has which images, audio and video in its encoder cache, by what was sent
//! where.

use std::sync::Arc;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::{Ask, Decision};
use crate::booking::Launch;
use crate::fact::{EncoderCacheMatch, Own, PromptTokens, Slot};
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::role::{PreRequest, Producer, Upkeep};
use crate::store::Shape;
use crate::view::{Candidates, View};

use caches::EncoderCaches;

mod caches;
mod recent;
#[cfg(test)]
mod tests;

const DEFAULT_MIB: i64 = 4096;
/// The first items of a prompt are looked up and remembered, so many: each is looked up for each endpoint.
const MOST_COMPARED: usize = 64;
/// What the embeddings of an image are assumed to take.
const MIB_PER_ITEM: u64 = 2;

/// How often what is known of servers that are gone is let go.
const TIDY: Duration = Duration::from_secs(120);

/// Parameters of `mm-embeddings-cache-producer`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// MiB of the encoder cache of a server: for each 2 of them an image, a sound or a video is remembered, the one that was
    /// sent longest ago gives way. 0 and less count as 4096. Of all servers together 1048576 are remembered at most.
    #[serde(rename = "cacheSizeInMBPerServer")]
    cache_size_in_mb_per_server: i64,
    /// The scheduling profile of the servers that encode, if there is one of that name. Where it has picked any for a request,
    /// they have its items from then on, and nobody else.
    encode_profile: String,
}

impl Default for Params {
    fn default() -> Self {
        Self { cache_size_in_mb_per_server: DEFAULT_MIB, encode_profile: "encode".to_owned() }
    }
}

impl Params {
    /// Items that a server is believed to keep.
    fn capacity(&self) -> usize {
        let mib = Some(self.cache_size_in_mb_per_server).filter(|mib| *mib > 0).unwrap_or(DEFAULT_MIB);
        usize::try_from(mib as u64 / MIB_PER_ITEM).unwrap_or(usize::MAX).max(1)
    }
}

/// Remembers the images, audio and video that went to each server. What other replicas of the picker send is not known
/// to it.
#[derive(Debug)]
pub struct MmEmbeddingsCacheProducer {
    tokens: Slot<PromptTokens>,
    found: Slot<EncoderCacheMatch>,
    capacity: usize,
    /// Position of the profile of the servers that encode.
    encode: Option<usize>,
    caches: Arc<EncoderCaches>,
}

impl Plugin for MmEmbeddingsCacheProducer {
    const TYPE: &'static str = "mm-embeddings-cache-producer";
    const TASK: Task = Task::PrefixCache;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Estimates which images, audio and video of a prompt each server has in its encoder cache, by remembering \
         which were sent to it. Made by itself when an mm-embeddings-cache-scorer needs it. It learns from the servers that encode, \
         where a profile picks any, and else from those of all profiles (llm-d 0.10: from the destination alone, so that no encode \
         server is ever found to have something).";
    const ROLES: &'static [Role] = &[Role::Producer, Role::PreRequest, Role::Upkeep];
    const SAMPLE: &'static str = "\
plugins:
- type: mm-embeddings-cache-producer
  parameters: {cacheSizeInMBPerServer: 8192}
- type: mm-embeddings-cache-scorer
- type: queue-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let capacity = params.capacity();
        let producer = Arc::new(Self {
            tokens: cx.reads("", None)?,
            found: cx.provides(),
            capacity,
            encode: cx.find_profile(&params.encode_profile),
            caches: cx.state(Shape(format!("capacity={capacity}")), EncoderCaches::default),
        });
        Ok(Roles {
            producer: Some(producer.clone()),
            pre_request: Some(producer.clone()),
            upkeep: Some(producer),
            needs: Needs::BODY,
            ..Roles::default()
        })
    }
}

impl Producer for MmEmbeddingsCacheProducer {
    fn produce(&self, ask: &Ask<'_>, candidates: &Candidates, own: &mut Own) {
        let media = &ask.facts.get(self.tokens).media;
        if media.is_empty() {
            return;
        }
        let EncoderCacheMatch { items, matched } = own.get_mut(self.found);
        items.extend(media.iter().take(MOST_COMPARED).map(|item| item.hash));
        items.sort_unstable();
        items.dedup();
        self.caches.matches(items, ask.view, candidates, matched);
    }
}

impl PreRequest for MmEmbeddingsCacheProducer {
    fn pre_request(&self, ask: &Ask<'_>, decision: &Decision, _: &mut Launch<'_>) {
        let found = ask.facts.get(self.found);
        if found.items.is_empty() {
            return;
        }
        let learn = |chosen| self.caches.insert(ask.view, chosen, self.capacity, &found.items);
        match self.encode.and_then(|encode| decision.of(encode)) {
            // Each of them encodes some.
            Some(encoders) => encoders.iter().for_each(|chosen| learn(*chosen as usize)),
            None => decision.firsts().for_each(|(_, chosen)| learn(chosen)),
        }
    }
}

impl Upkeep for MmEmbeddingsCacheProducer {
    fn every(&self) -> Duration {
        TIDY
    }

    fn tick(&self, _: Instant, view: &View) {
        self.caches.tidy(view, self.capacity);
    }
}
