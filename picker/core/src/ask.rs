//! What every role reads of a request that is being decided, and what a decision consists of.

use std::time::Instant;

use smallvec::SmallVec;

use crate::fact::Facts;
use crate::request::Request;
use crate::view::{Candidates, View};

/// The context of one decision: the request, the endpoints, the facts, the results so far and the time. Every role of the
/// decision has it as its input.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The request.
    pub request: &'a Request,
    /// All endpoints.
    pub view: &'a View,
    /// What is known of the request: complete once the producers have run.
    pub facts: &'a Facts,
    /// The profiles that have run, in that order.
    pub done: &'a [ProfileResult],
    /// When the decision is made.
    pub now: Instant,
}

/// Positions in a [`View`], best first; never empty.
pub type Picked = SmallVec<[u32; 1]>;

/// What one profile came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileResult {
    /// Position of the profile in the strategy.
    pub profile: usize,
    /// What it picked; `None` when its filters left nothing.
    pub picked: Option<Picked>,
}

impl ProfileResult {
    /// Position in the view of the first endpoint that was picked.
    pub fn first(&self) -> Option<usize> {
        self.picked.as_ref().map(|picked| picked[0] as usize)
    }
}

/// Candidates with their weighted totals, in the same order; never empty.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    /// Positions in the view.
    pub candidates: &'a Candidates,
    /// Sum of weight times score.
    pub totals: &'a [f32],
}

impl<'a> Scored<'a> {
    /// Each candidate with its total.
    pub fn each(self) -> impl Iterator<Item = (u32, f32)> + 'a {
        self.candidates.iter().map(|i| i as u32).zip(self.totals.iter().copied())
    }
}

/// An endpoint that does a part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Position in the view.
    pub endpoint: usize,
    /// Whether it is the destination, which works until the end of the response; the others are done at its first byte.
    pub is_destination: bool,
}

/// Results of the profiles that ran, and which of them is the destination.
#[derive(Debug, PartialEq)]
pub struct Decision {
    /// The profiles that ran, in that order.
    pub results: SmallVec<[ProfileResult; 1]>,
    /// Position in `results` of the destination.
    pub primary: usize,
}

impl Decision {
    /// What the profile picked that is the destination, best first.
    pub fn destination(&self) -> Option<&Picked> {
        self.results.get(self.primary)?.picked.as_ref()
    }

    /// What the profile at position `profile` of the strategy picked, if it ran and found any.
    pub fn of(&self, profile: usize) -> Option<&Picked> {
        self.results.iter().find(|result| result.profile == profile)?.picked.as_ref()
    }

    /// The endpoints that do a part of the request, as positions in the view: the destination, and the first endpoint of each
    /// other result (prefill, encode). A part that was left to the destination is not told apart from the rest of its
    /// work.
    #[inline]
    pub fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        let destination = self.destination().map(|picked| picked[0] as usize);
        self.results.iter().enumerate().filter_map(move |(n, result)| {
            let (endpoint, is_destination) = (result.first()?, n == self.primary);
            let own = is_destination || destination != Some(endpoint);
            own.then_some(Part { endpoint, is_destination })
        })
    }

    /// For each profile that picked any: its position in the strategy and the first endpoint's in the view.
    pub fn firsts(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.results.iter().filter_map(|result| Some((result.profile, result.first()?)))
    }
}
