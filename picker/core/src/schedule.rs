//! The decision for one request: candidates, producers, profiles, and the launch of the result.

use std::cell::Cell;

use smallvec::SmallVec;

use crate::ask::{Ask, Decision, Picked, ProfileResult, Scored};
use crate::booking::Launch;
use crate::cx::Cx;
use crate::fact::{Facts, Layout};
use crate::flight::Flight;
use crate::health::Settings;
use crate::prepare::Prepared;
use crate::refusal::{Refusal, RefusalKind};
use crate::request::Request;
use crate::role::Next;
use crate::strategy::{Profile, Strategy};
use crate::trace::{NoTrace, Trace};
use crate::view::{Address, Candidates, View};

mod avoid;
mod conditional;
mod dry_run;
#[cfg(test)]
mod tests;

use avoid::{Avoid, Trials};

/// Buffers that one decision uses, and the next one on this thread again. A decision never awaits.
#[derive(Default)]
struct Scratch {
    facts: Facts,
    /// The facts of other strategies that decide on this thread (those of other pools).
    others: Vec<Facts>,
    allowed: Candidates,
    avoid: Avoid,
    left: Candidates,
    scores: Vec<f32>,
    totals: Vec<f32>,
}

/// Strategies whose facts a thread keeps.
const STRATEGIES: usize = 16;

impl Scratch {
    /// Readies facts of `layout`, which are empty since the decision before.
    fn ready_facts(&mut self, layout: &Layout) {
        if !self.facts.are_of(layout) {
            let other = self.others.iter().position(|facts| facts.are_of(layout));
            let new = other.map(|n| self.others.swap_remove(n)).unwrap_or_default();
            self.others.truncate(STRATEGIES - 1);
            self.others.insert(0, std::mem::replace(&mut self.facts, new));
        }
        self.facts.fit(layout);
    }
}

thread_local! {
    /// Taken out while a decision is made.
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// What a decision is about.
#[derive(Clone, Copy)]
struct Subject<'a> {
    request: &'a Request,
    view: &'a View,
    now: std::time::Instant,
}

impl<'a> Subject<'a> {
    fn ask(self, facts: &'a Facts, done: &'a [ProfileResult]) -> Ask<'a> {
        Ask { request: self.request, view: self.view, facts, done, now: self.now }
    }
}

impl Strategy {
    /// Decides where `request` goes, and books it there.
    ///
    /// `subset` restricts the candidates to addresses that the gateway allows.
    ///
    /// # Errors
    /// When there is nobody to send it to, or an admitter or a profile handler refuses it.
    pub fn route(
        &self,
        request: &Request,
        view: &View,
        subset: Option<&[Address]>,
        cx: &mut Cx,
    ) -> Result<Flight, Refusal> {
        self.route_traced(request, view, subset, Prepared::default(), cx, &mut NoTrace)
    }

    /// The same with what preparers found out, and with a trace.
    ///
    /// # Errors
    /// As [`Strategy::route`].
    pub fn route_traced<T: Trace>(
        &self,
        request: &Request,
        view: &View,
        subset: Option<&[Address]>,
        prepared: Prepared,
        cx: &mut Cx,
        trace: &mut T,
    ) -> Result<Flight, Refusal> {
        let subject = Subject { request, view, now: cx.now() };
        let mut scratch = SCRATCH.take().unwrap_or_default();
        let decided = self.decide(subject, subset, prepared, cx, trace, &mut scratch, Trials::Begun);
        let Scratch { facts, avoid, .. } = &mut *scratch;
        let flight = decided.and_then(|decision| self.launch(subject, &decision, facts, avoid, trace));
        scratch.facts.forget();
        scratch.avoid.give_back();
        SCRATCH.set(Some(scratch));
        flight
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of a decision")]
    fn decide<T: Trace>(
        &self,
        subject: Subject<'_>,
        subset: Option<&[Address]>,
        prepared: Prepared,
        cx: &mut Cx,
        trace: &mut T,
        scratch: &mut Scratch,
        trials: Trials,
    ) -> Result<Decision, Refusal> {
        scratch.allowed.reset(&subject.view.endpoints, subset);
        if scratch.allowed.is_empty() {
            return Err(RefusalKind::NoEndpoints.into());
        }
        trace.candidates(&scratch.allowed);
        scratch.ready_facts(&self.layout);
        if !prepared.findings.is_empty() {
            scratch.facts.learn(prepared.findings);
        }
        for screener in &self.screeners {
            screener.role.screen(&subject.ask(&scratch.facts, &[]), cx, &mut scratch.allowed);
            trace.screened(&subject.ask(&scratch.facts, &[]), screener, &scratch.allowed);
        }
        if scratch.allowed.is_empty() {
            return Err(RefusalKind::NoEndpoints.into());
        }
        conditional::room(subject.request, subject.view, &scratch.allowed)?;
        scratch.avoid.clear();
        if subject.view.health.any() && self.health.enabled {
            scratch.avoid.look(subject.view, &scratch.allowed, &self.health, subject.now, cx, trials);
        }
        let allowed = &scratch.allowed;
        for producing in &self.producers {
            scratch.facts.produce(&producing.slots, |facts, own| {
                producing.producer.role.produce(&subject.ask(facts, &[]), allowed, own);
            });
            trace.produced(&producing.producer.name);
        }
        for admitter in &self.admitters {
            admitter.role.admit(&subject.ask(&scratch.facts, &[]), allowed, cx)?;
            trace.admitted(&admitter.name);
        }
        let mut results: SmallVec<[ProfileResult; 1]> = SmallVec::new();
        loop {
            match self.handler.next(&subject.ask(&scratch.facts, &results)) {
                // A profile runs at most once, so that there is an end.
                Next::Run(n) if n < self.profiles.len() && results.iter().all(|r| r.profile != n) => {
                    let profile = &self.profiles[n];
                    trace.profile(&profile.name);
                    let picked = profile.run(subject, &self.health, &results, cx, trace, scratch);
                    results.push(ProfileResult { profile: n, picked });
                }
                Next::Done { primary } => return Ok(Decision { results, primary }),
                Next::Refuse(refusal) => return Err(refusal),
                Next::Run(_) => return Err(RefusalKind::AllFiltered.into()),
            }
        }
    }

    fn launch<T: Trace>(
        &self,
        subject: Subject<'_>,
        decision: &Decision,
        facts: &Facts,
        avoid: &mut Avoid,
        trace: &mut T,
    ) -> Result<Flight, Refusal> {
        let Some(destination) = decision.destination() else {
            return Err(RefusalKind::AllFiltered.into());
        };
        conditional::cached(subject.request, &self.prefix_matches, decision, facts)?;
        let Subject { view, now, .. } = subject;
        let endpoint = |&i: &u32| view.endpoints[i as usize].clone();
        let mut targets = SmallVec::from_buf([endpoint(&destination[0])]);
        for i in &destination[1..] {
            targets.push(endpoint(i));
        }
        let ask = subject.ask(facts, &decision.results);
        let mut launch = Launch::of(decision, view);
        for plugin in &self.pre_requests {
            plugin.role.pre_request(&ask, decision, &mut launch);
        }
        trace.launched(&ask, decision, &launch.edits);
        let mut watches = Vec::new();
        if !self.observers.is_empty() {
            watches.extend(self.observers.iter().filter_map(|o| o.role.watch(&ask, decision)));
        }
        let Launch { edits, bookings, .. } = launch;
        let revision = self.revision.clone();
        let mut flight = Flight::new(revision, targets, bookings, edits, watches, now, &self.health);
        if let Some(trial) = avoid.trial_of(decision.firsts().map(|(_, endpoint)| endpoint)) {
            flight.try_with(trial);
        }
        Ok(flight)
    }
}

/// Brings `scores` between 0 and 1, and adds them to `totals`, each times `weight`. A function of its own, so that the
/// compiler knows the two apart.
#[inline(never)]
fn add(weight: f32, scores: &mut [f32], totals: &mut [f32]) {
    for (total, score) in totals.iter_mut().zip(scores) {
        *score = if score.is_nan() { 0.0 } else { score.clamp(0.0, 1.0) };
        *total += weight * *score;
    }
}

impl Profile {
    fn run<T: Trace>(
        &self,
        subject: Subject<'_>,
        health: &Settings,
        done: &[ProfileResult],
        cx: &mut Cx,
        trace: &mut T,
        scratch: &mut Scratch,
    ) -> Option<Picked> {
        let Scratch { facts, allowed, avoid, left: candidates, scores, totals, .. } = scratch;
        let ask = subject.ask(facts, done);
        let healthy =
            !avoid.is_empty() && self.leave_healthy(&ask, health, cx, trace, allowed, avoid, candidates);
        if !healthy {
            candidates.copy_from(allowed);
            trace.candidates(candidates);
            self.filter(&ask, cx, trace, candidates);
            if candidates.is_empty() {
                return None;
            }
        }
        totals.clear();
        totals.resize(candidates.len(), 0.0);
        scores.resize(candidates.len(), 0.0);
        for &(weight, ref scorer) in &self.scorers {
            scores.fill(0.0);
            scorer.role.score(&ask, candidates, scores);
            add(weight, scores, totals);
            trace.scored(&ask, scorer, weight, candidates, scores);
        }
        let scored = Scored { candidates, totals };
        let picked = self.picker.role.pick(&ask, cx, scored);
        trace.picked(&self.picker, scored, &picked);
        Some(picked)
    }

    /// Applies the filters, until none is left.
    #[inline]
    fn filter<T: Trace>(&self, ask: &Ask<'_>, cx: &mut Cx, trace: &mut T, candidates: &mut Candidates) {
        for filter in &self.filters {
            filter.role.filter(ask, cx, candidates);
            trace.filtered(ask, filter, candidates);
            if candidates.is_empty() {
                return;
            }
        }
    }

    /// Leaves those of `allowed` in `candidates` that don't fail and that the filters keep. False when nobody is left, or
    /// when too many fail of those that the profile is for: it is as if none did then.
    #[cold]
    #[allow(clippy::too_many_arguments, reason = "the parts of the buffers that it works on")]
    fn leave_healthy<T: Trace>(
        &self,
        ask: &Ask<'_>,
        health: &Settings,
        cx: &mut Cx,
        trace: &mut T,
        allowed: &Candidates,
        avoid: &Avoid,
        candidates: &mut Candidates,
    ) -> bool {
        // Which endpoints a profile is for, their labels say. A filter that looks for a prefix or a session leaves few,
        // and all of those may fail.
        candidates.copy_from(allowed);
        for filter in self.filters.iter().filter(|filter| filter.role.is_by_labels()) {
            filter.role.filter(ask, cx, candidates);
        }
        let failing = avoid.count(candidates);
        if failing == 0 {
            return false;
        }
        if health.too_many(failing, candidates.len()) {
            trace.avoided(avoid.out(), false);
            return false;
        }
        trace.avoided(avoid.out(), true);
        candidates.copy_from(allowed);
        avoid.remove_from(candidates);
        trace.candidates(candidates);
        if !candidates.is_empty() {
            self.filter(ask, cx, trace, candidates);
        }
        if candidates.is_empty() {
            trace.avoided(avoid.out(), false);
        }
        !candidates.is_empty()
    }
}
