//! `min-score-picker`: the lowest total, of equals any.

use std::sync::Arc;

use super::choice::{Params, highest};
use crate::ask::{Ask, Picked, Scored};
use crate::cx::Cx;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::role::Picker;

#[cfg(test)]
mod tests;

/// Picks the lowest totals.
#[derive(Debug)]
pub struct MinScorePicker {
    count: usize,
}

impl Plugin for MinScorePicker {
    const TYPE: &'static str = "min-score-picker";
    const TASK: Task = Task::Choice;
    const ORIGIN: Origin = Origin::Hermes;
    // The names in openFuyao's Hermes-router 25.12. There the second one also found the pair of prefill and decode pods;
    // here the scorers of pairs do.
    const ALIASES: &'static [&'static str] = &["picker-min-random", "picker-pd-kv-cache-aware"];
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Inverts the scale: picks the endpoint with the lowest total score, at random among equals. It is for scorers whose \
         scores are costs (kvcache-aware-scorer, pd-kvcache-aware-scorer); with all others it picks the worst endpoint. A strategy \
         that uses both kinds gives one of them negative weights.";
    const ROLES: &'static [Role] = &[Role::Picker];
    const SAMPLE: &'static str = "\
plugins:
- type: kvcache-aware-scorer
- type: min-score-picker
";
    type Params = Params;

    fn build(params: Params, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { picker: Some(Arc::new(Self { count: params.count() })), ..Roles::default() })
    }
}

impl Picker for MinScorePicker {
    fn pick(&self, _: &Ask<'_>, cx: &mut Cx, scored: Scored<'_>) -> Picked {
        highest(cx, &scored, self.count, |_, n| -f64::from(scored.totals[n]), |_| 0)
    }
}
