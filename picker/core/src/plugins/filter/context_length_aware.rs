//! `context-length-aware`: prompts to the pods whose label says that they are for prompts of that length.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::cx::Cx;
use crate::fact::{RequestLoad, Slot};
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::per_labels::PerLabels;
use crate::role::{Filter, Scorer};
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// The label when nothing else is said.
const LABEL: &str = "llm-d.ai/context-length-range";

/// The least score of a pod whose range the prompt is in, and the bound of the scores of all others with a range.
const IN_RANGE: f64 = 0.3;

/// Parameters of `context-length-aware`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// The label of a pod with the least and the most tokens of the prompts that it is for: `MIN-MAX`, such as
    /// `2048-8192`.
    label: String,
    /// Whether pods whose range a prompt is not in are taken out, and not only scored lower. Pods without the label stay.
    enable_filtering: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self { label: LABEL.to_owned(), enable_filtering: false }
    }
}

/// What the label of a pod says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    /// There is none: prompts of any length.
    Any,
    /// No range.
    Wrong,
    /// Tokens, the last ones included.
    Of(u64, u64),
}

impl Range {
    fn of(label: Option<&String>) -> Self {
        let Some(text) = label else { return Self::Any };
        let number = |text: &str| text.trim().parse().ok();
        let bounds = text.split_once('-').and_then(|(least, most)| Some((number(least)?, number(most)?)));
        match bounds {
            Some((least, most)) if least <= most => Self::Of(least, most),
            _ => Self::Wrong,
        }
    }

    fn takes(self, tokens: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Wrong => false,
            Self::Of(least, most) => (least..=most).contains(&tokens),
        }
    }

    fn score(self, tokens: u64) -> f64 {
        let Self::Of(least, most) = self else { return if self == Self::Any { 0.5 } else { 0.0 } };
        if !self.takes(tokens) {
            let distance = if tokens > most { tokens - most } else { least - tokens };
            return IN_RANGE / (1.0 + distance as f64 / 1000.0);
        }
        let width = (most - least) as f64;
        if width == 0.0 {
            return 1.0;
        }
        let narrow = 1.0 / (1.0 + width / 10_000.0);
        let room = (most - tokens) as f64 / width;
        IN_RANGE + (1.0 - IN_RANGE) * (0.7 * narrow + 0.3 * room)
    }
}

/// Filters and scores by the range of each pod.
#[derive(Debug)]
pub struct ContextLengthAware {
    label: String,
    request: Slot<RequestLoad>,
    ranges: PerLabels<Range>,
}

impl Plugin for ContextLengthAware {
    const TYPE: &'static str = "context-length-aware";
    const TASK: Task = Task::Requests;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Prefers the pods whose label has a range of tokens that the prompt is in, the narrower and the more room \
         above the better; of pods out of range the nearest. With enableFiltering those out of range are taken out. The \
         tokens of a prompt are those that a token-producer counted, else an estimate of four bytes each.";
    const FORMULA: &'static str = "In range: 0.3 + 0.7 · (0.7 / (1 + width / 10000) + 0.3 · (max − tokens) / width), 1 for a width of 0. Out of range: \
         0.3 / (1 + distance / 1000). Without the label 0.5, with another text 0.";
    const ROLES: &'static [Role] = &[Role::Filter, Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: context-length-aware
  parameters: {enableFiltering: true}
- type: queue-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        if params.label.is_empty() {
            return Err(BuildError::invalid("label", "must be the name of a label"));
        }
        let request = cx.reads("label", None)?;
        let plugin = Arc::new(Self { label: params.label, request, ranges: PerLabels::default() });
        let filter = params.enable_filtering.then(|| plugin.clone() as Arc<dyn Filter>);
        Ok(Roles { filter, scorer: Some(plugin), needs: Needs::BODY, ..Roles::default() })
    }
}

impl Filter for ContextLengthAware {
    fn filter(&self, ask: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        let tokens = ask.facts.get(self.request).prompt;
        let ranges = self.ranges.of(ask.view, |labels| Range::of(labels.get(&self.label)));
        keep.retain(|i| ranges[i].takes(tokens));
    }

    fn why(&self, ask: &Ask<'_>, endpoint: usize) -> Option<String> {
        let tokens = ask.facts.get(self.request).prompt;
        let range = ask.view.endpoints[endpoint].labels.get(&self.label)?;
        Some(format!("the prompt has {tokens} tokens, and label {} is {range}", self.label))
    }
}

impl Scorer for ContextLengthAware {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let tokens = ask.facts.get(self.request).prompt;
        let ranges = self.ranges.of(ask.view, |labels| Range::of(labels.get(&self.label)));
        for (place, i) in out.iter_mut().zip(candidates.iter()) {
            *place = ranges[i].score(tokens) as f32;
        }
    }
}
