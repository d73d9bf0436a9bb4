//! `load-aware-scorer`: scores servers by their number of waiting requests.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::signal;
use crate::ask::Ask;
use crate::column::Column;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::role::Scorer;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// The score of a server without a queue: the published rule has no higher one. What matters is the difference
/// between servers.
const BEST: f32 = 0.5;

/// The threshold when nothing else is said.
const DEFAULT_THRESHOLD: u32 = 128;

/// Parameters of `load-aware-scorer`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Waiting requests at which a server scores 0; so does one that has more. 0 counts as the default.
    threshold: u32,
}

impl Default for Params {
    fn default() -> Self {
        Self { threshold: DEFAULT_THRESHOLD }
    }
}

/// 0.5 · (1 − min(waiting, threshold) / threshold).
#[derive(Debug)]
pub struct LoadAwareScorer {
    threshold: f32,
}

impl Plugin for LoadAwareScorer {
    const TYPE: &'static str = "load-aware-scorer";
    const TASK: Task = Task::Load;
    const ORIGIN: Origin = Origin::LlmD;
    const SUMMARY: &'static str = "Prefers servers with fewer waiting requests, by their number alone: 0.5 for none, which is the most, 0 from a \
         threshold on. A server whose queue is unknown gets the mean score of the others.";
    const FORMULA: &'static str = "0.5 · (1 − min(waiting, threshold) / threshold).";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: load-aware-scorer
  parameters: {threshold: 32}
";
    type Params = Params;

    fn build(Params { threshold }: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let threshold = cx.or_default("threshold", threshold, DEFAULT_THRESHOLD);
        cx.reads_column(Column::WAITING);
        let scorer = Self { threshold: threshold as f32 };
        Ok(Roles { scorer: Some(Arc::new(scorer)), ..Roles::default() })
    }
}

impl Scorer for LoadAwareScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let free = |waiting: f32| 1.0 - waiting / self.threshold;
        signal::absolute(ask.view.column(Column::WAITING), candidates, out, free);
        out.iter_mut().for_each(|place| *place *= BEST);
    }
}
