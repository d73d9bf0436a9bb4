//! Traces of a decision: who took out whom and why, who gave which score from what. Without one, nothing of it is done.

use std::sync::Arc;

use crate::ask::{Ask, Decision, Picked, Scored};
use crate::edits::Edits;
use crate::role::{Filter, Picker, Scorer, Screener};
use crate::strategy::Named;
use crate::view::Candidates;

mod explain;
mod step;
#[cfg(test)]
mod tests;
mod totals;

pub use explain::Explain;
pub use step::{Edited, Removed, Step};
pub use totals::Totals;

/// Is told each step of a decision, after it was done. The default of every method does nothing.
pub trait Trace {
    /// The candidates before the screeners; later, before the filters of a profile.
    fn candidates(&mut self, candidates: &Candidates) {
        let _ = candidates;
    }

    /// A screener left `left`.
    fn screened(&mut self, ask: &Ask<'_>, screener: &Named<dyn Screener>, left: &Candidates) {
        let _ = (ask, screener, left);
    }

    /// The producer `plugin` has written its facts.
    fn produced(&mut self, plugin: &Arc<str>) {
        let _ = plugin;
    }

    /// The admitter `plugin` let the request pass.
    fn admitted(&mut self, plugin: &Arc<str>) {
        let _ = plugin;
    }

    /// Endpoints fail: `avoided`, as positions in the view, get no request now if this is `applied`. It is not when too
    /// many fail of those that the profile is for, or nobody else is left: the profile decides as if none did then.
    fn avoided(&mut self, avoided: &[u32], applied: bool) {
        let _ = (avoided, applied);
    }

    /// The profile `name` begins.
    fn profile(&mut self, name: &Arc<str>) {
        let _ = name;
    }

    /// A filter of the profile left `left`.
    fn filtered(&mut self, ask: &Ask<'_>, filter: &Named<dyn Filter>, left: &Candidates) {
        let _ = (ask, filter, left);
    }

    /// A scorer of the profile gave `candidates` these scores, each of which counts `weight` times.
    fn scored(
        &mut self,
        ask: &Ask<'_>,
        scorer: &Named<dyn Scorer>,
        weight: f32,
        candidates: &Candidates,
        scores: &[f32],
    ) {
        let _ = (ask, scorer, weight, candidates, scores);
    }

    /// The picker of the profile picked `picked` of `scored`.
    fn picked(&mut self, picker: &Named<dyn Picker>, scored: Scored<'_>, picked: &Picked) {
        let _ = (picker, scored, picked);
    }

    /// The request goes where `decision` says, with these edits.
    fn launched(&mut self, ask: &Ask<'_>, decision: &Decision, edits: &Edits) {
        let _ = (ask, decision, edits);
    }
}

/// No trace. It has no size, and its calls are compiled away.
#[derive(Clone, Copy, Debug)]
pub struct NoTrace;

impl Trace for NoTrace {}
