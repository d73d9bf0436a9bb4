//! `max-score-picker`: the best, of equals the one with the fewest requests in flight.
//!
//! Scores are equal where nothing is known yet, and between two scrapes: a burst of requests would fall on one endpoint as
//! likely as not, and if that is one that fails, all of them do.

use std::sync::Arc;

use super::choice::{Params, highest};
use crate::ask::{Ask, Picked, Scored};
use crate::cx::Cx;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::role::Picker;

/// Picks the highest totals.
#[derive(Debug)]
pub struct MaxScorePicker {
    count: usize,
}

impl MaxScorePicker {
    /// A picker of the `count` best, at least 1.
    pub(super) fn new(count: usize) -> Self {
        Self { count }
    }
}

impl Plugin for MaxScorePicker {
    const TYPE: &'static str = "max-score-picker";
    const TASK: Task = Task::Choice;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "Picks the endpoint with the highest total score; among equals, one to which this picker has \
         the fewest requests in flight.";
    const ROLES: &'static [Role] = &[Role::Picker];
    const SAMPLE: &'static str = "\
plugins:
- type: queue-scorer
- type: max-score-picker
";
    type Params = Params;

    fn build(params: Params, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { picker: Some(Arc::new(Self::new(params.count()))), ..Roles::default() })
    }
}

impl Picker for MaxScorePicker {
    fn pick(&self, ask: &Ask<'_>, cx: &mut Cx, scored: Scored<'_>) -> Picked {
        if self.count == 1
            && let Some(best) = clear_best(scored.totals)
        {
            return Picked::from_buf([scored.candidates.at(best) as u32]);
        }
        self.pick_among_equals(ask, cx, scored)
    }
}

impl MaxScorePicker {
    /// Out of line: it is seldom needed, and would make the one pass longer.
    #[inline(never)]
    fn pick_among_equals(&self, ask: &Ask<'_>, cx: &mut Cx, scored: Scored<'_>) -> Picked {
        let load = |n| ask.view.endpoints[scored.candidates.at(n)].live().in_flight();
        highest(cx, &scored, self.count, |_, n| f64::from(scored.totals[n]), load)
    }
}

/// The position of the highest total if no other one is equal.
#[inline]
fn clear_best(totals: &[f32]) -> Option<usize> {
    let highest = totals
        .iter()
        .fold(f32::NEG_INFINITY, |highest, total| if *total > highest { *total } else { highest });
    let mut equals = totals.iter().enumerate().filter(|(_, total)| **total == highest).map(|(n, _)| n);
    let best = equals.next()?;
    equals.next().is_none().then_some(best)
}
