//! The decision for one request: candidates, producers, profiles, and the booking of the result.

use std::cell::RefCell;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::cx::Cx;
use crate::endpoint::Endpoint;
use crate::plugin::{ProducerId, ScoreInput};
use crate::request::Request;
use crate::strategy::{Profile, Strategy};
use crate::view::{Address, Candidates, View};

#[cfg(test)]
mod tests;

/// Positions in a [`View`], best first; never empty.
pub type Picked = SmallVec<[u32; 1]>;

/// Candidates with their weighted totals, in the same order.
#[derive(Debug)]
pub struct Scored<'a> {
    /// Positions in the view.
    pub candidates: &'a Candidates,
    /// Sum of weight times score.
    pub totals: &'a [f32],
}

/// What producers found out about a request, each in its own place.
#[derive(Debug, Default)]
pub struct Produced {
    prefix: Vec<PrefixMatch>,
}

/// How much of a prompt each endpoint is believed to have in its prefix cache.
#[derive(Debug, Default, PartialEq)]
pub struct PrefixMatch {
    /// Chained hashes of the prompt's blocks.
    pub hashes: Vec<u64>,
    /// Tokens per block.
    pub block_tokens: u32,
    /// Blocks from the start that the endpoint at the same position of the view has; empty when
    /// nothing is known of any.
    pub matched: Vec<u32>,
}

impl PrefixMatch {
    fn clear(&mut self) {
        self.hashes.clear();
        self.matched.clear();
        self.block_tokens = 0;
    }
}

impl Produced {
    /// The place of `id`'s prefix match.
    pub fn prefix(&self, id: ProducerId) -> Option<&PrefixMatch> {
        self.prefix.get(id.0)
    }

    /// The same, to write into.
    pub fn prefix_mut(&mut self, id: ProducerId) -> &mut PrefixMatch {
        if self.prefix.len() <= id.0 {
            self.prefix.resize_with(id.0 + 1, PrefixMatch::default);
        }
        &mut self.prefix[id.0]
    }

    fn clear(&mut self) {
        self.prefix.iter_mut().for_each(PrefixMatch::clear);
    }
}

/// Why no endpoint was named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no ready endpoint, or none that the gateway allows.
    NoEndpoints,
    /// There are endpoints, and the filters removed all of them.
    AllFiltered,
}

/// Results of the profiles that ran, and which of them is the destination.
#[derive(Debug, PartialEq)]
pub struct Decision {
    /// Position of each profile that ran, with what it picked (`None` when its filters left nothing).
    pub results: SmallVec<[(usize, Option<Picked>); 1]>,
    /// Position in `results` of the destination.
    pub primary: usize,
}

/// Buffers used again by the next decision on this thread. A decision never awaits.
#[derive(Default)]
struct Scratch {
    produced: Produced,
    allowed: Candidates,
    left: Candidates,
    scores: Vec<f32>,
    totals: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Strategy {
    /// Decides where `request` goes, tells the producers, and books it there.
    ///
    /// `subset` restricts the candidates to addresses that the gateway allows.
    ///
    /// # Errors
    /// When there is nobody to send it to.
    pub fn route(
        self: &Arc<Self>,
        request: &Request,
        view: &View,
        subset: Option<&[Address]>,
        cx: &mut Cx,
    ) -> Result<Flight, Refusal> {
        SCRATCH.with_borrow_mut(|scratch| {
            let decision = self.schedule(request, view, subset, cx, scratch)?;
            let Some(picked) = decision.results.get(decision.primary).and_then(|(_, p)| p.as_ref()) else {
                return Err(Refusal::AllFiltered);
            };
            let chosen = picked[0] as usize;
            for producer in &self.producers {
                producer.launched(request, view, chosen, &scratch.produced);
            }
            let targets = picked.iter().map(|&i| view.endpoints[i as usize].clone()).collect();
            Ok(Flight::launch(self.clone(), targets))
        })
    }

    fn schedule(
        &self,
        request: &Request,
        view: &View,
        subset: Option<&[Address]>,
        cx: &mut Cx,
        scratch: &mut Scratch,
    ) -> Result<Decision, Refusal> {
        scratch.allowed.reset(view, subset);
        if scratch.allowed.is_empty() {
            return Err(Refusal::NoEndpoints);
        }
        scratch.produced.clear();
        for producer in &self.producers {
            producer.produce(request, view, &scratch.allowed, &mut scratch.produced);
        }
        let mut results = SmallVec::new();
        while let Some(next) = self.handler.next(request, &results) {
            let Some(profile) = self.profiles.get(next) else { break };
            results.push((next, profile.run(request, view, cx, scratch)));
        }
        match self.handler.primary(&results) {
            Some(primary) => Ok(Decision { results, primary }),
            None => Err(Refusal::AllFiltered),
        }
    }
}

impl Profile {
    fn run(&self, request: &Request, view: &View, cx: &mut Cx, scratch: &mut Scratch) -> Option<Picked> {
        let Scratch { produced, allowed, left: candidates, scores, totals } = scratch;
        candidates.copy_from(allowed);
        for filter in &self.filters {
            filter.filter(request, view, candidates);
            if candidates.is_empty() {
                return None;
            }
        }
        let input = ScoreInput { request, view, produced };
        totals.clear();
        totals.resize(candidates.len(), 0.0);
        for (weight, scorer) in &self.scorers {
            scores.clear();
            scores.resize(candidates.len(), 0.0);
            scorer.score(&input, candidates, scores);
            for (total, score) in totals.iter_mut().zip(scores.iter()) {
                *total += weight * if score.is_nan() { 0.0 } else { score.clamp(0.0, 1.0) };
            }
        }
        Some(self.picker.pick(cx, Scored { candidates, totals }))
    }
}

/// A request under way: booked on its endpoint when it is made, and booked off exactly once, when it
/// is dropped, whatever happened to the stream.
#[derive(Debug)]
pub struct Flight {
    strategy: Arc<Strategy>,
    targets: SmallVec<[Arc<Endpoint>; 1]>,
}

impl Flight {
    fn launch(strategy: Arc<Strategy>, targets: SmallVec<[Arc<Endpoint>; 1]>) -> Self {
        let flight = Self { strategy, targets };
        flight.endpoint().live().launched();
        flight
    }

    /// The endpoint that the request is booked on: the first target.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.targets[0]
    }

    /// The destinations, best first; at least one.
    pub fn targets(&self) -> &[Arc<Endpoint>] {
        &self.targets
    }

    /// The strategy that decided.
    pub fn strategy(&self) -> &Arc<Strategy> {
        &self.strategy
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.endpoint().live().ended();
    }
}
