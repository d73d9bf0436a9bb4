//! `power-of-two-picker`: the better of two candidates that are drawn at random.
//!
//! The scores of several pickers, and of one between two scrapes, are equally old: who always takes the best sends all of
//! them to the same endpoint until the next scrape. With two that are drawn, the worst one gets nothing, and the best one no
//! more than about twice its share, however old the scores are.

use std::sync::Arc;

use smallvec::SmallVec;

use super::choice::Params;
use crate::ask::{Ask, Picked, Scored};
use crate::cx::Cx;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::role::Picker;

#[cfg(test)]
mod tests;

/// Draws two and takes the better one: Mitzenmacher, "The power of two choices in randomized load balancing" (2001).
#[derive(Debug)]
pub struct PowerOfTwoPicker {
    count: usize,
}

impl Plugin for PowerOfTwoPicker {
    const TYPE: &'static str = "power-of-two-picker";
    const TASK: Task = Task::Choice;
    const ORIGIN: Origin = Origin::Waypost;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Draws two endpoints at random and picks the one with the higher total score; of equals, the one to which this \
         picker has fewer requests in flight. Several pickers whose scores are equally old don't send all requests to the same endpoint.";
    const ROLES: &'static [Role] = &[Role::Picker];
    const SAMPLE: &'static str = "\
plugins:
- type: queue-scorer
- type: power-of-two-picker
";
    type Params = Params;

    fn build(params: Params, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { picker: Some(Arc::new(Self { count: params.count() })), ..Roles::default() })
    }
}

/// Two different numbers below `bound`, each pair as likely in either order; twice 0 when `bound` is 1.
#[inline]
fn two(cx: &mut Cx, bound: usize) -> (usize, usize) {
    let first = cx.below(bound);
    if bound < 2 {
        return (first, first);
    }
    let second = cx.below(bound - 1);
    (first, if second < first { second } else { second + 1 })
}

/// The better one of the candidates at the positions `a` and `b` of `scored`. Of two that are alike it is `a`, which was
/// drawn first.
#[inline]
fn better(ask: &Ask<'_>, scored: &Scored<'_>, a: usize, b: usize) -> usize {
    let (of_a, of_b) = (scored.totals[a], scored.totals[b]);
    if of_a != of_b {
        return if of_b > of_a { b } else { a };
    }
    let load = |n| ask.view.endpoints[scored.candidates.at(n)].live().in_flight();
    if load(b) < load(a) { b } else { a }
}

impl Picker for PowerOfTwoPicker {
    fn pick(&self, ask: &Ask<'_>, cx: &mut Cx, scored: Scored<'_>) -> Picked {
        if self.count == 1 {
            let (a, b) = two(cx, scored.candidates.len());
            return Picked::from_buf([scored.candidates.at(better(ask, &scored, a, b)) as u32]);
        }
        self.pick_many(ask, cx, scored)
    }
}

impl PowerOfTwoPicker {
    /// Each further one is drawn in the same way among those that are left.
    #[inline(never)]
    fn pick_many(&self, ask: &Ask<'_>, cx: &mut Cx, scored: Scored<'_>) -> Picked {
        let mut left: SmallVec<[usize; 32]> = (0..scored.candidates.len()).collect();
        let mut picked = Picked::new();
        while picked.len() < self.count && !left.is_empty() {
            let (a, b) = two(cx, left.len());
            let place = if better(ask, &scored, left[a], left[b]) == left[a] { a } else { b };
            picked.push(scored.candidates.at(left.swap_remove(place)) as u32);
        }
        picked
    }
}
