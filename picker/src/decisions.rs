//! The last decisions of a pool that were chosen to be kept, with every step: why requests went where they went.
//!
//! A strategy says by its section `explain` which share of decisions is kept; of the others nothing is. What is kept has a
//! bound in bytes, whatever the number of endpoints and plugins, and holds names and numbers: nothing of a prompt.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use picker_core::endpoint::Endpoint;
use picker_core::flight::Flight;
use picker_core::prepare::Prepared;
use picker_core::request::Request;
use picker_core::trace::{Explain, Step};
use picker_core::view::Address;
use picker_core::{Cx, Refusal, Strategy, View};

#[cfg(test)]
mod tests;

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
}

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
    pub outcome: Result<usize, &'static str>,
    /// The steps, with endpoints as positions.
    pub steps: Vec<Step>,
    /// All endpoints, as they were.
    pub endpoints: Arc<[Arc<Endpoint>]>,
}

impl Kept {
    /// Its bytes in memory, about. The endpoints are those of the view, which most of what is kept shares.
    fn bytes(&self) -> usize {
        let list = |step: &Step| match step {
            Step::Scored { scores, plugin, .. } => plugin.len() + size_of_val(&**scores),
            Step::Screened { plugin, left: positions }
            | Step::Filtered { plugin, left: positions }
            | Step::Picked { plugin, picked: positions } => plugin.len() + size_of_val(&**positions),
            Step::Avoided { endpoints, .. } => size_of_val(&**endpoints),
            Step::Profile(name) => name.len(),
        };
        let steps: usize = self.steps.iter().map(list).sum();
        size_of::<Self>()
            + 2 * MAX_NAME
            + self.steps.len() * size_of::<Step>()
            + steps
            + 8 * self.endpoints.len()
    }
}

impl Decisions {
    /// Routes a request as [`Strategy::route_traced`] does, and keeps the decision.
    ///
    /// # Errors
    /// The refusal of the strategy.
    // Out of line: the way of all other requests is not to grow by it.
    #[cold]
    #[inline(never)]
    pub fn route(
        &self,
        strategy: &Strategy,
        request: &Request,
        view: &View,
        subset: Option<&[Address]>,
        prepared: Prepared,
        cx: &mut Cx,
    ) -> Result<Flight, Refusal> {
        let (began, mut trace) = (Instant::now(), Explain::default());
        let routed = strategy.route_traced(request, view, subset, prepared, cx, &mut trace);
        let took = began.elapsed();
        let outcome = match &routed {
            Ok(flight) => {
                let key = flight.endpoint().key;
                Ok(view.endpoints.iter().position(|endpoint| endpoint.key == key).unwrap_or_default())
            }
            Err(refusal) => Err(refusal.kind.row().name),
        };
        self.keep(Kept {
            at: SystemTime::now(),
            took,
            request_id: request.headers.text("x-request-id").map(shortened),
            model: request.model().map(shortened),
            revision: strategy.revision.clone(),
            outcome,
            steps: trace.0,
            endpoints: view.endpoints.clone(),
        });
        routed
    }

    fn keep(&self, decision: Kept) {
        let bytes = decision.bytes();
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.bytes += bytes;
        ring.kept.push_back(Arc::new(decision));
        // One that is too large by itself stays until the next: what is asked for is shown.
        while ring.bytes > MAX_BYTES && ring.kept.len() > 1 {
            let oldest = ring.kept.pop_front().map_or(0, |oldest| oldest.bytes());
            ring.bytes -= oldest;
        }
    }

    /// What is kept, the newest first.
    pub fn kept(&self) -> Vec<Arc<Kept>> {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.kept.iter().rev().cloned().collect()
    }
}

/// The beginning of `text`.
fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_NAME)].to_owned()
}
