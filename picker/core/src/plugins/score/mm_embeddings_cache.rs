//! `mm-embeddings-cache-scorer`: prefers servers that have a prompt's images, audio and video in their encoder caches.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::fact::{EncoderCacheMatch, Slot};
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::role::Scorer;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Parameters of `mm-embeddings-cache-scorer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Name of the plugin that says which server has which of them. Without it, the one called
    /// `mm-embeddings-cache-producer`, which is made with default parameters if there is none.
    producer_name: Option<String>,
}

/// The share of a prompt's images, audio and video that a server has.
#[derive(Debug)]
pub struct MmEmbeddingsCacheScorer {
    found: Slot<EncoderCacheMatch>,
}

impl Plugin for MmEmbeddingsCacheScorer {
    const TYPE: &'static str = "mm-embeddings-cache-scorer";
    const TASK: Task = Task::PrefixCache;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Prefers servers that have the images, audio and video of the prompt in their encoder caches, and need not \
         encode them again. Without any in the prompt every server scores 0.";
    const FORMULA: &'static str = "items that the server has / items of the prompt, equal ones counted once.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: mm-embeddings-cache-scorer
- type: queue-scorer
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: mm-embeddings-cache-scorer, weight: 4}
  - {pluginRef: queue-scorer, weight: 2}
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let found = cx.reads("producerName", params.producer_name.as_deref())?;
        Ok(Roles { scorer: Some(Arc::new(Self { found })), needs: Needs::BODY, ..Roles::default() })
    }
}

impl Scorer for MmEmbeddingsCacheScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let found = ask.facts.get(self.found);
        if found.items.is_empty() {
            return;
        }
        for (place, i) in out.iter_mut().zip(candidates.iter()) {
            *place = found.share(i);
        }
    }
}
