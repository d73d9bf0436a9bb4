//! One exchange, from a request to the outcome of its response, whatever protocol shows it:
//!
//! ```text
//! begin ─► strategy ─► request body ─► decide ─► response head ─► chunks ─► ended
//!            └───────────┴── refused ──┘
//! ```
//!
//! What a gateway is told, and in which order, is its protocol's ([`crate::extproc`]).

use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use picker_core::parse::Formats;
use picker_core::prepare::Prepared;
use picker_core::request::{Headers, ModelPlace, Request};
use picker_core::rewrite::{self, Rewrite};
use picker_core::trace::NoTrace;
use picker_core::view::Address;
use picker_core::{Cx, Refusal, RefusalKind, Strategy, View};

use crate::metrics::Asked;
use crate::pool::Pool;

mod account;
mod awaited;
mod body_budget;
mod body_buffer;
mod client_name;
mod counted_answer;
pub mod decode;
mod explained;
mod request_body;
mod response;
mod untrusted;
mod usage;
mod verdict;

pub use account::Account;
pub use awaited::{Enough, is_awaited};
pub use body_budget::{BodyBudget, BodyShare};
pub use counted_answer::Form;
pub use explained::{EXPLAIN_HEADER, EXPLAIN_NAMESPACE};
pub use request_body::{Cut, RequestBody};
pub use response::Response;
pub use untrusted::{SERVED, SUBSET, untrusted};
pub use verdict::{ANSWERED_BY_GATEWAY, Overload, verdict};

use counted_answer::CountedAnswer;

/// An exchange that has begun. If it is dropped before its request was routed or refused, its client has gone.
#[derive(Debug)]
pub struct Exchange<'a> {
    pool: &'a Pool,
    /// Counts what becomes of it.
    pub account: Account<'a>,
}

/// A request, read as far as its strategy needs it.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// The headers.
    pub headers: Headers,
    /// The body, or what was read of it; where it came in another form than plugins read, its text ([`decode`]).
    pub body: bytes::Bytes,
    /// Whether it is such a text. It may be empty, when there is none.
    pub decoded: bool,
    /// Whether a part of the body was not read. What its beginning says counts; it may be broken off anywhere.
    pub partial: bool,
    /// Whether the gateway takes another body in its place, so that a model can be written.
    pub replaceable: bool,
    /// The endpoints that may be chosen, if the gateway restricts them.
    pub subset: Option<&'a [Address]>,
}

impl<'a> Exchange<'a> {
    /// An exchange of `pool`.
    pub fn begin(pool: &'a Pool) -> Self {
        Self { pool, account: Account::open(&pool.traffic) }
    }

    /// The strategy that the whole exchange uses.
    ///
    /// # Errors
    /// When there is none yet.
    pub fn strategy(&self) -> Result<Arc<Strategy>, Refusal> {
        self.pool.hot.current().ok_or_else(|| RefusalKind::NoStrategy.into())
    }

    /// Decides where a request goes, and counts it. Its headers come back with the response to come, for who tells the
    /// gateway. The strategy is let go: answers may take long, and one that was replaced goes with its last decision.
    ///
    /// # Errors
    /// The refusal, which is counted too.
    pub fn decide(
        &mut self,
        strategy: Arc<Strategy>,
        incoming: Incoming<'_>,
    ) -> Result<(Response, Headers), Refusal> {
        let asked = Instant::now();
        let (mut request, subset) = self.read(strategy.formats, incoming)?;
        let view = self.pool.view.load_full();
        let rewrite = self.apply_policies(&strategy, &mut request, &view)?;
        self.route(&strategy, request, subset, &view, Prepared::default(), rewrite, asked)
    }

    /// The same for a strategy that [prepares](Strategy::prepares): waits for its preparers first. Boxed, so that the
    /// exchanges of other strategies take no memory for it.
    ///
    /// # Errors
    /// As [`Exchange::decide`].
    pub fn decide_prepared<'e>(
        &'e mut self,
        strategy: Arc<Strategy>,
        incoming: Incoming<'e>,
    ) -> BoxFuture<'e, Result<(Response, Headers), Refusal>> {
        Box::pin(async move {
            let asked = Instant::now();
            let (mut request, subset) = self.read(strategy.formats, incoming)?;
            let before = self.pool.view.load_full();
            let rewrite = self.apply_policies(&strategy, &mut request, &before)?;
            let http = &*self.pool.http;
            let prepared = strategy.prepare(&request, &before, asked, http, tokio::time::sleep).await;
            self.account.prepared(&prepared);
            // Endpoints may have gone while it waited.
            let view = self.pool.view.load_full();
            self.route(&strategy, request, subset, &view, prepared, rewrite, asked)
        })
    }

    /// What a request says in one of `formats`, and the endpoints that may be chosen for it.
    fn read<'s>(
        &mut self,
        formats: Formats,
        incoming: Incoming<'s>,
    ) -> Result<(Request, Option<&'s [Address]>), Refusal> {
        let Incoming { headers, body, decoded, partial, replaceable, subset } = incoming;
        let parsed = match (decoded, partial) {
            (false, false) => formats.parse(&headers, &body),
            (false, true) => Ok(formats.parse_beginning(&headers, &body)),
            (true, false) => Ok(formats.parse_text(&headers, &body)),
            (true, true) => Ok(formats.parse_beginning_of_text(&headers, &body)),
        };
        let content = parsed.map_err(|bad| {
            let refusal = Refusal::with(RefusalKind::BadBody, bad.to_string());
            self.account.refused(Asked::default(), &refusal);
            refusal.told_to(&headers)
        })?;
        self.pool.activity.request();
        let mut content = content;
        if !replaceable {
            content.model_place = ModelPlace::Fixed;
        }
        let request = Request { headers, body, content, partial, ..Request::default() };
        Ok((request, subset.filter(|_| self.pool.limits.subset_filter)))
    }

    /// Gives `request` its priority and its model.
    #[inline]
    fn apply_policies(
        &mut self,
        strategy: &Strategy,
        request: &mut Request,
        view: &View,
    ) -> Result<Option<Rewrite>, Refusal> {
        self.pool.policies.apply(strategy, request, view).map_err(|refusal| {
            self.account.refused(Asked { model: request.client_model(), ..Asked::default() }, &refusal);
            refusal.told_to(&request.headers)
        })
    }

    /// Routes a request that was complete at `asked`.
    #[allow(clippy::too_many_arguments, reason = "the parts of a decision")]
    fn route(
        &mut self,
        strategy: &Strategy,
        request: Request,
        subset: Option<&[Address]>,
        view: &View,
        prepared: Prepared,
        rewrite: Option<Rewrite>,
        asked: Instant,
    ) -> Result<(Response, Headers), Refusal> {
        let began = Instant::now();
        let mut cx = Cx::live();
        let routed = if strategy.explain.any(self.pool.limits.endpoint_scores) {
            explained::route(self.pool, strategy, &request, view, subset, prepared, &mut cx)
        } else {
            strategy.route_traced(&request, view, subset, prepared, &mut cx, &mut NoTrace)
        };
        let priorities = self.pool.policies.priorities.load();
        let objective = if request.trust.objective { priorities.objective(&request.headers) } else { None };
        let objective = objective.unwrap_or_default();
        let labels = Asked { model: request.model(), objective, priority: request.priority };
        match routed {
            Ok(mut flight) => {
                let mut model = self.account.routed(labels, asked, began);
                if let Some(bytes) = body_bytes(&request) {
                    model.sent(bytes);
                }
                let (path, stream) = (request.headers.path(), request.content.stream);
                let counted = CountedAnswer::new(model, path, stream, asked);
                let Some(written) = rewrite else {
                    return Ok((Response::new(flight, counted), request.headers));
                };
                rewrite::write(&request, flight.edits_mut());
                self.account.rewritten(&written);
                Ok((Response::of_rewritten(flight, counted, &written), request.headers))
            }
            Err(refusal) => {
                self.account.refused(labels, &refusal);
                Err(refusal.told_to(&request.headers))
            }
        }
    }
}

/// The bytes of the body that the client sends, if they are known.
fn body_bytes(request: &Request) -> Option<u64> {
    let announced = request.headers.text("content-length").and_then(|length| length.parse().ok());
    announced.or_else(|| (!request.partial && !request.body.is_empty()).then_some(request.body.len() as u64))
}
