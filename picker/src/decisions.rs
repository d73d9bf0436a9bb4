//! The last decisions of a pool that were chosen to be kept, with every step: why requests went where they went.
//!
//! A strategy says by its section `explain` which share of decisions is kept; of the others nothing is. What is kept has a
//! bound in bytes, whatever the number of endpoints and plugins, and holds names and numbers: nothing of a prompt.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use picker_core::View;
use picker_core::endpoint::Endpoint;
use picker_core::request::Request;
use picker_core::trace::{Explain, Step};

mod brief;
mod page;
mod places;
#[cfg(test)]
mod tests;

pub use brief::brief;
pub use page::page;
pub use places::Places;

/// Bytes that all kept decisions of a pool may take, about. The oldest go first.
const MAX_BYTES: usize = 1 << 20;

/// The most bytes of a request id and of a model's name that are kept: clients choose them.
const MAX_NAME: usize = 128;

/// The decisions of one pool that are kept. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Decisions(Arc<Mutex<Ring>>);

#[derive(Debug, Default)]
struct Ring {
    /// The newest last.
    kept: VecDeque<Arc<Kept>>,
    bytes: usize,
    /// The endpoints of the newest one's view, with their names.
    newest: Option<(Endpoints, Arc<Places>)>,
}

type Endpoints = Arc<[Arc<Endpoint>]>;

/// A decision that is kept.
#[derive(Debug)]
pub struct Kept {
    /// When it was made.
    pub at: SystemTime,
    /// How long it took, with the trace.
    pub took: Duration,
    /// The request's `x-request-id`, up to 128 bytes.
    pub request_id: Option<String>,
    /// The model that the request asks for, up to 128 bytes.
    pub model: Option<String>,
    /// The revision of the strategy that made it.
    pub revision: Arc<str>,
    /// Position of the endpoint that the request goes to, or the reason why it goes nowhere.
    pub outcome: Result<u32, &'static str>,
    /// The candidates before all steps, as positions.
    pub candidates: Vec<u32>,
    /// The steps, with endpoints as positions.
    pub steps: Vec<Step>,
    /// The time that each step took.
    pub step_took: Vec<Duration>,
    /// The endpoints, as they were.
    pub places: Arc<Places>,
}

impl Kept {
    /// What `explain` says of a decision about `request`.
    pub fn of(
        request: &Request,
        revision: Arc<str>,
        outcome: Result<u32, &'static str>,
        took: Duration,
        explain: Explain,
        places: Arc<Places>,
    ) -> Self {
        Self {
            at: SystemTime::now(),
            took,
            request_id: request.headers.text("x-request-id").map(shortened),
            model: request.model().map(shortened),
            revision,
            outcome,
            candidates: explain.candidates,
            steps: explain.steps,
            step_took: explain.took,
            places,
        }
    }

    /// Whether it is about a request with the `x-request-id` `id`, as far as that is kept.
    pub fn is_of(&self, id: &str) -> bool {
        self.request_id.as_deref() == Some(shortened(id).as_str())
    }

    /// Its bytes in memory, about, without those of its places, which others share.
    fn bytes(&self) -> usize {
        let steps: usize = self.steps.iter().map(|step| size_of::<Step>() + step.bytes()).sum();
        size_of::<Self>()
            + 2 * MAX_NAME
            + steps
            + self.step_took.len() * size_of::<Duration>()
            + 4 * self.candidates.len()
    }
}

impl Decisions {
    /// Keeps the decision that `make` makes of the names of the endpoints of `view`.
    pub fn keep(&self, view: &View, make: impl FnOnce(Arc<Places>) -> Kept) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = ring.newest.as_ref().filter(|(endpoints, _)| Arc::ptr_eq(endpoints, &view.endpoints));
        let places = match known {
            Some((_, places)) => places.clone(),
            None => {
                let places = Arc::new(Places::of(view));
                ring.bytes += places.bytes();
                ring.newest = Some((view.endpoints.clone(), places.clone()));
                places
            }
        };
        let decision = make(places);
        ring.bytes += decision.bytes();
        ring.kept.push_back(Arc::new(decision));
        // One that is too large by itself stays until the next: what is asked for is shown.
        while ring.bytes > MAX_BYTES && ring.kept.len() > 1 {
            ring.drop_oldest();
        }
    }

    /// What is kept, the newest first.
    pub fn kept(&self) -> Vec<Arc<Kept>> {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.kept.iter().rev().cloned().collect()
    }
}

impl Ring {
    fn drop_oldest(&mut self) {
        let Some(oldest) = self.kept.pop_front() else { return };
        self.bytes -= oldest.bytes();
        // Decisions of one view stand side by side.
        if self.kept.front().is_none_or(|next| !Arc::ptr_eq(&next.places, &oldest.places)) {
            self.bytes -= oldest.places.bytes();
        }
    }
}

/// The beginning of `text`.
fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_NAME)].to_owned()
}
