//! `weighted-random-picker`: the better the score, the likelier.

use std::sync::Arc;

use super::choice::{Params, highest};
use crate::ask::{Ask, Picked, Scored};
use crate::cx::Cx;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::role::Picker;

/// Picks with probability proportional to the total, without replacement: algorithm A-Res of
/// Efraimidis and Spirakis (2006), which keeps the highest `u^(1/total)` for `u` uniform in (0, 1).
#[derive(Debug)]
pub struct WeightedRandomPicker {
    count: usize,
}

impl Plugin for WeightedRandomPicker {
    const TYPE: &'static str = "weighted-random-picker";
    const TASK: Task = Task::Choice;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "Picks an endpoint at random, with a probability proportional to its total score. Endpoints with a score of 0 or \
         less are picked only when all have such scores, each as likely.";
    const ROLES: &'static [Role] = &[Role::Picker];
    const SAMPLE: &'static str = "\
plugins:
- type: kv-cache-utilization-scorer
- type: weighted-random-picker
";
    type Params = Params;

    fn build(params: Params, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { picker: Some(Arc::new(Self { count: params.count() })), ..Roles::default() })
    }
}

impl Picker for WeightedRandomPicker {
    fn pick(&self, _: &Ask<'_>, cx: &mut Cx, scored: Scored<'_>) -> Picked {
        // The logarithm of u^(1/weight): the same order, and no underflow for small weights.
        let key = |cx: &mut Cx, n: usize| {
            let weight = f64::from(scored.totals[n]);
            if weight > 0.0 { cx.unit().ln() / weight } else { f64::NEG_INFINITY }
        };
        highest(cx, &scored, self.count, key, |_| 0)
    }
}
