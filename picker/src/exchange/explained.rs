//! Decisions that somebody wants to be explained: kept for the pages, told to gateways, told to clients that ask.

use std::time::Instant;

use bytes::Bytes;
use picker_core::edits::Edits;
use picker_core::flight::Flight;
use picker_core::outcome::ResponseHead;
use picker_core::prepare::Prepared;
use picker_core::request::Request;
use picker_core::role::ResponseWatch;
use picker_core::trace::{Explain, NoTrace, Totals};
use picker_core::view::Address;
use picker_core::{Cx, Refusal, Strategy, View};

use crate::decisions::{Kept, brief};
use crate::pool::Pool;

/// The header by which a client asks for an explanation, and that of the response which has it.
pub const EXPLAIN_HEADER: &str = "x-waypost-explain";

/// Metadata namespace of what Waypost tells about a decision.
pub const EXPLAIN_NAMESPACE: &str = "waypost.dev";

/// Key of the explanation in it.
const EXPLAIN_KEY: &str = "explain";

/// Metadata namespace, and key in it, of the totals, as llm-d's picker calls them.
const SCORES: (&str, &str) = ("envoy.lb", "x-gateway-destination-endpoint-scores");

/// Routes a request as [`Strategy::route_traced`] does, and tells of the decision what the strategy says.
///
/// # Errors
/// The refusal of the strategy.
// Out of line: the way of all other requests is not to grow by it.
#[cold]
#[inline(never)]
pub(super) fn route(
    pool: &Pool,
    strategy: &Strategy,
    request: &Request,
    view: &View,
    subset: Option<&[Address]>,
    prepared: Prepared,
    cx: &mut Cx,
) -> Result<Flight, Refusal> {
    let wanted = strategy.explain;
    let kept = wanted.kept > 0.0 && cx.unit() < wanted.kept;
    let header = wanted.response_header && request.headers.get(EXPLAIN_HEADER).is_some();
    let scores = wanted.endpoint_scores.unwrap_or(pool.limits.endpoint_scores);
    if kept || header || wanted.metadata {
        let (began, mut explain) = (Instant::now(), Explain::timed(Instant::now));
        let mut routed = strategy.route_traced(request, view, subset, prepared, cx, &mut explain);
        let took = began.elapsed();
        if let Ok(flight) = &mut routed {
            if scores {
                tell_scores(flight.edits_mut(), view, explain.totals());
            }
            if header || wanted.metadata {
                let text = Bytes::from(brief(&explain, &strategy.revision, view));
                if wanted.metadata {
                    flight.edits_mut().text(EXPLAIN_NAMESPACE, EXPLAIN_KEY, text.clone());
                }
                if header {
                    flight.watch(Box::new(TellsClient(text)));
                }
            }
        }
        if kept {
            let outcome = match &routed {
                Ok(flight) => {
                    let key = flight.endpoint().key;
                    Ok(view.endpoints.iter().position(|e| e.key == key).unwrap_or_default() as u32)
                }
                Err(refusal) => Err(refusal.kind.row().name),
            };
            let revision = strategy.revision.clone();
            pool.decisions.keep(view, |places| Kept::of(request, revision, outcome, took, explain, places));
        }
        return routed;
    }
    if !scores {
        return strategy.route_traced(request, view, subset, prepared, cx, &mut NoTrace);
    }
    let mut totals = Totals::default();
    let mut routed = strategy.route_traced(request, view, subset, prepared, cx, &mut totals);
    if let Ok(flight) = &mut routed {
        tell_scores(flight.edits_mut(), view, totals.of_destination());
    }
    routed
}

/// Tells the gateway the totals, by address. There are none where no profile scored the destination.
fn tell_scores(edits: &mut Edits, view: &View, totals: &[(u32, f32)]) {
    if !totals.is_empty() {
        let address = |i: u32| Bytes::copy_from_slice(view.endpoints[i as usize].destination.as_bytes());
        let numbers = totals.iter().map(|&(i, total)| (address(i), f64::from(total)));
        edits.numbers(SCORES.0, SCORES.1, numbers);
    }
}

/// Writes the explanation into the head of the response.
struct TellsClient(Bytes);

impl ResponseWatch for TellsClient {
    fn head(&mut self, _: &ResponseHead<'_>, edits: &mut Edits) {
        edits.set_header(EXPLAIN_HEADER, self.0.clone());
    }
}
