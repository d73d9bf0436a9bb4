//! `no-hit-lru-scorer`: spreads requests whose prompts no server has cached, the server least recently used for one first.

use std::cell::Cell;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use smallvec::SmallVec;

use crate::ask::{Ask, Decision};
use crate::booking::Launch;
use crate::fact::{Fact, PrefixMatch, Slot};
use crate::inputs::Inputs;
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::role::{PreRequest, Scorer};
use crate::store::Shape;
use crate::view::Candidates;

use cold_uses::ColdUses;

mod cold_uses;
#[cfg(test)]
mod tests;

/// How many servers are remembered when nothing else is said.
const DEFAULT_LRU_SIZE: u16 = 1024;

/// The score of every server for a request whose prompt some server knows.
const NEUTRAL: f32 = 0.5;

/// Parameters of `no-hit-lru-scorer`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// How many servers are remembered, those that got a cold request last. The others count as if they had never got
    /// one. 0 and less count as 1024.
    lru_size: i64,
    /// Name of the plugin that says which server has how much of a prompt. Without it, the one called
    /// `approx-prefix-cache-producer`, which is made with default parameters if there is none.
    prefix_match_info_producer_name: Option<String>,
    /// Accepted for configurations that still have it, and without effect.
    #[schemars(extend("deprecated" = true))]
    prefix_plugin_type: Option<String>,
    /// Accepted for configurations that still have it, and without effect.
    #[schemars(extend("deprecated" = true))]
    prefix_plugin_name: Option<String>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            lru_size: DEFAULT_LRU_SIZE.into(),
            prefix_match_info_producer_name: None,
            prefix_plugin_type: None,
            prefix_plugin_name: None,
        }
    }
}

/// Ranks servers by when they last got a cold request: one that none of the candidates has the beginning of in its
/// prefix cache.
#[derive(Debug)]
pub struct NoHitLruScorer {
    found: Slot<PrefixMatch>,
    cold: Slot<Cold>,
    size: usize,
    uses: Arc<ColdUses>,
}

/// Whether a request was found to be cold when it was scored, for when it is sent.
#[derive(Debug, Default)]
struct Cold(Cell<bool>);

impl Fact for Cold {
    const NAME: &'static str = "cold request";
    const DEFAULT_PRODUCER: Option<&'static str> = None;

    fn clear(&mut self) {
        self.0.set(false);
    }
}

impl Plugin for NoHitLruScorer {
    const TYPE: &'static str = "no-hit-lru-scorer";
    const TASK: Task = Task::PrefixCache;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Spreads cold requests, of whose prompts no candidate has anything in its prefix cache: 1 for a server that never \
         got one, 0 for the one that got the last. For all other requests every server scores 0.5.";
    const FORMULA: &'static str = "1 − rank / (candidates − 1): first those that never got a cold request, in their order, then those whose last one \
         is longest ago; 1 for a single candidate.";
    const ROLES: &'static [Role] = &[Role::Scorer, Role::PreRequest];
    const SAMPLE: &'static str = "\
plugins:
- type: prefix-cache-scorer
- type: no-hit-lru-scorer
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: prefix-cache-scorer, weight: 2}
  - {pluginRef: no-hit-lru-scorer, weight: 1}
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let deprecated = [
            ("prefixPluginType", &params.prefix_plugin_type),
            ("prefixPluginName", &params.prefix_plugin_name),
        ];
        for (field, _) in deprecated.into_iter().filter(|(_, value)| value.is_some()) {
            cx.warn(
                field,
                "has no effect; name the plugin in prefixMatchInfoProducerName, or leave this out",
            );
        }
        let name = params.prefix_match_info_producer_name.as_deref();
        let size = usize::try_from(params.lru_size).ok().filter(|size| *size > 0);
        let scorer = Arc::new(Self {
            found: cx.reads("prefixMatchInfoProducerName", name)?,
            cold: cx.provides(),
            size: size.unwrap_or(DEFAULT_LRU_SIZE.into()),
            uses: cx.state(Shape(String::new()), ColdUses::default),
        });
        Ok(Roles {
            scorer: Some(scorer.clone()),
            pre_request: Some(scorer),
            needs: Needs::BODY,
            ..Roles::default()
        })
    }
}

impl Scorer for NoHitLruScorer {
    /// Servers that are no candidates have no rank, so that they don't take those of others.
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let found = ask.facts.get(self.found);
        if candidates.iter().any(|i| found.blocks(i) > 0) {
            out.fill(NEUTRAL);
            return;
        }
        ask.facts.get(self.cold).0.set(true);
        let uses = self.uses.read();
        // Last use and position among the candidates; 0 for those without a use.
        let mut order: SmallVec<[(u64, u32); 64]> =
            candidates.iter().zip(0..).map(|(i, n)| (uses.last(ask.view.places[i]), n)).collect();
        order.sort_unstable();
        let forgotten = order.len().saturating_sub(self.size);
        order[..forgotten].sort_unstable_by_key(|&(_, n)| n);
        let worst = order.len().saturating_sub(1).max(1) as f32;
        for (rank, &(_, n)) in order.iter().enumerate() {
            out[n as usize] = 1.0 - rank as f32 / worst;
        }
    }

    fn inputs(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        let uses = self.uses.read();
        inputs.number("lastColdRequest", |i| uses.last(ask.view.places[i]) as f32);
    }
}

impl PreRequest for NoHitLruScorer {
    /// The endpoints of all profiles (decode, prefill) that have nothing of the prompt have got a cold request.
    fn pre_request(&self, ask: &Ask<'_>, decision: &Decision, _: &mut Launch<'_>) {
        if !ask.facts.get(self.cold).0.get() {
            return;
        }
        let found = ask.facts.get(self.found);
        for (_, chosen) in decision.firsts().filter(|&(_, chosen)| found.blocks(chosen) == 0) {
            self.uses.note(ask.view, chosen);
        }
    }
}
