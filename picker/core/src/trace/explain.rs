//! A trace that keeps everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Edited, Removed, Step, Trace};
use crate::ask::{Ask, Decision, Picked, Scored};
use crate::edits::Edits;
use crate::inputs::{Input, Inputs};
use crate::role::{Filter, Picker, Scorer, Screener};
use crate::strategy::{Named, Reads};
use crate::view::Candidates;

/// The most endpoints of which a plugin is asked why it removed them, in one step.
const MAX_REASONS: usize = 256;

/// The most bytes of a reason.
const MAX_REASON: usize = 200;

/// A trace that keeps every step, in the order of the decision.
#[derive(Clone, Debug, Default)]
pub struct Explain {
    /// The candidates before all steps, as positions in the view.
    pub candidates: Vec<u32>,
    /// The steps.
    pub steps: Vec<Step>,
    /// The time that each step took; zero without a clock.
    pub took: Vec<Duration>,
    clock: Option<fn() -> Instant>,
    /// When the step before had been noted.
    since: Option<Instant>,
    /// The candidates before the step to come.
    before: Vec<u32>,
}

impl Explain {
    /// A trace that measures steps by `clock`. The default one has none.
    pub fn timed(clock: fn() -> Instant) -> Self {
        Self { clock: Some(clock), since: Some(clock()), ..Self::default() }
    }

    /// Candidates of the destination's profile with their totals, as positions in the view.
    pub fn totals(&self) -> &[(u32, f32)] {
        let Some(Step::Launched { primary, .. }) = self.steps.last() else { return &[] };
        let mut profiles = self.steps.split(|step| matches!(step, Step::Profile(_))).skip(1);
        let steps = profiles.nth(*primary).unwrap_or_default();
        let totals = |step: &Step| matches!(step, Step::Picked { .. });
        match steps.iter().find(|step| totals(step)) {
            Some(Step::Picked { totals, .. }) => totals,
            _ => &[],
        }
    }

    /// Notes what `step` makes. Its own time counts to no step.
    fn note(&mut self, step: impl FnOnce(&mut Self) -> Step) {
        let took = match (self.clock, self.since) {
            (Some(clock), Some(since)) => clock().saturating_duration_since(since),
            _ => Duration::ZERO,
        };
        let step = step(self);
        self.steps.push(step);
        self.took.push(took);
        self.since = self.clock.map(|clock| clock());
    }

    /// Takes those out that are not `left`, and tells them, those of one reason together.
    fn removed(&mut self, left: &Candidates, why: impl Fn(usize) -> Option<String>) -> Vec<Removed> {
        if left.len() == self.before.len() {
            return Vec::new();
        }
        let mut stay: Vec<u32> = positions(left);
        stay.sort_unstable();
        let gone = self.before.iter().filter(|i| stay.binary_search(i).is_err());
        let mut reasons = BTreeMap::<Option<String>, Vec<u32>>::new();
        for (n, &i) in gone.enumerate() {
            let why = (n < MAX_REASONS).then(|| why(i as usize)).flatten().map(|mut why| {
                why.truncate(why.floor_char_boundary(MAX_REASON));
                why
            });
            reasons.entry(why).or_default().push(i);
        }
        let mut removed: Vec<_> =
            reasons.into_iter().map(|(why, endpoints)| Removed { why, endpoints }).collect();
        removed.sort_by_key(|one| one.endpoints.first().copied());
        removed
    }
}

fn positions(candidates: &Candidates) -> Vec<u32> {
    candidates.iter().map(|i| i as u32).collect()
}

/// What an instance read of `endpoints`: what it says itself, then what it asked for when it was made.
fn inputs(endpoints: &[u32], ask: &Ask<'_>, reads: &Reads, own: impl FnOnce(&mut Inputs<'_>)) -> Vec<Input> {
    let mut inputs = Inputs::new(endpoints);
    own(&mut inputs);
    reads.tell(ask, &mut inputs);
    inputs.list()
}

impl Trace for Explain {
    fn candidates(&mut self, candidates: &Candidates) {
        self.before = positions(candidates);
        if self.steps.is_empty() {
            self.candidates = self.before.clone();
        }
    }

    fn screened(&mut self, ask: &Ask<'_>, screener: &Named<dyn Screener>, left: &Candidates) {
        self.note(|this| {
            let removed = this.removed(left, |i| screener.role.why(ask, i));
            this.before = positions(left);
            Step::Screened { plugin: screener.name.clone(), left: this.before.clone(), removed }
        });
    }

    fn produced(&mut self, plugin: &Arc<str>) {
        self.note(|_| Step::Produced(plugin.clone()));
    }

    fn admitted(&mut self, plugin: &Arc<str>) {
        self.note(|_| Step::Admitted(plugin.clone()));
    }

    fn avoided(&mut self, avoided: &[u32], applied: bool) {
        self.note(|_| Step::Avoided { endpoints: avoided.to_vec(), applied });
    }

    fn profile(&mut self, name: &Arc<str>) {
        self.note(|_| Step::Profile(name.clone()));
    }

    fn filtered(&mut self, ask: &Ask<'_>, filter: &Named<dyn Filter>, left: &Candidates) {
        self.note(|this| {
            let removed = this.removed(left, |i| filter.role.why(ask, i));
            this.before = positions(left);
            let gone = removed.iter().flat_map(|removed| &removed.endpoints);
            let all: Vec<u32> = this.before.iter().chain(gone).copied().collect();
            let inputs = inputs(&all, ask, &filter.reads, |inputs| filter.role.inputs(ask, inputs));
            Step::Filtered { plugin: filter.name.clone(), left: this.before.clone(), removed, inputs }
        });
    }

    fn scored(
        &mut self,
        ask: &Ask<'_>,
        scorer: &Named<dyn Scorer>,
        weight: f32,
        candidates: &Candidates,
        scores: &[f32],
    ) {
        self.note(|_| {
            let endpoints = positions(candidates);
            let inputs = inputs(&endpoints, ask, &scorer.reads, |inputs| scorer.role.inputs(ask, inputs));
            let scores = endpoints.into_iter().zip(scores.iter().copied()).collect();
            Step::Scored { plugin: scorer.name.clone(), weight, scores, inputs }
        });
    }

    fn picked(&mut self, picker: &Named<dyn Picker>, scored: Scored<'_>, picked: &Picked) {
        self.note(|_| {
            let totals: Vec<(u32, f32)> = scored.each().collect();
            let best = totals.iter().find(|(i, _)| Some(i) == picked.first()).map(|(_, total)| *total);
            let equal = totals.iter().filter(|(_, total)| Some(*total) == best);
            let mut ties: Vec<u32> = equal.map(|(i, _)| *i).collect();
            if ties.len() < 2 {
                ties.clear();
            }
            Step::Picked { plugin: picker.name.clone(), picked: picked.to_vec(), totals, ties }
        });
    }

    fn launched(&mut self, _: &Ask<'_>, decision: &Decision, edits: &Edits) {
        self.note(|_| Step::Launched { primary: decision.primary, edits: Edited::of(edits) });
    }
}
