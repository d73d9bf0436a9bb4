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
use picker_core::prepare::Prepared;
use picker_core::request::{Headers, Request};
use picker_core::trace::NoTrace;
use picker_core::view::Address;
use picker_core::{Cx, Refusal, RefusalKind, Strategy, View, parse};

use crate::pool::Pool;

mod account;
mod awaited;
mod body_budget;
mod body_buffer;
pub mod decode;
mod explained;
mod request_body;
mod response;
mod untrusted;
mod usage;
mod verdict;

pub use account::Account;
pub use awaited::is_awaited;
pub use body_budget::{BodyBudget, BodyShare};
pub use explained::{EXPLAIN_HEADER, EXPLAIN_NAMESPACE};
pub use request_body::{Cut, RequestBody};
pub use response::Response;
pub use untrusted::{SERVED, SUBSET, untrusted};
pub use verdict::{ANSWERED_BY_GATEWAY, Overload, verdict};

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
        let (request, subset) = self.read(incoming)?;
        let view = self.pool.view.load_full();
        self.route(&strategy, request, subset, &view, Prepared::default(), asked)
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
            let (request, subset) = self.read(incoming)?;
            let before = self.pool.view.load_full();
            let http = &*self.pool.http;
            let prepared = strategy.prepare(&request, &before, asked, http, tokio::time::sleep).await;
            self.account.prepared(&prepared);
            // Endpoints may have gone while it waited.
            let view = self.pool.view.load_full();
            self.route(&strategy, request, subset, &view, prepared, asked)
        })
    }

    /// What a request says, and the endpoints that may be chosen for it.
    fn read<'s>(&mut self, incoming: Incoming<'s>) -> Result<(Request, Option<&'s [Address]>), Refusal> {
        let Incoming { headers, body, decoded, partial, subset } = incoming;
        let parsed = match (decoded, partial) {
            (false, false) => parse::parse(&headers, &body),
            (false, true) => Ok(parse::parse_beginning(&headers, &body)),
            (true, false) => Ok(parse::parse_text(&headers, &body)),
            (true, true) => Ok(parse::parse_beginning_of_text(&headers, &body)),
        };
        let content = parsed.map_err(|bad| {
            let refusal = Refusal::with(RefusalKind::BadBody, bad.to_string());
            self.account.refused(None, &refusal);
            refusal
        })?;
        self.pool.activity.request();
        let priority = self.pool.priorities.load().of(&headers);
        let request = Request { headers, body, content, priority, partial };
        Ok((request, subset.filter(|_| self.pool.limits.subset_filter)))
    }

    /// Routes a request that was complete at `asked`.
    fn route(
        &mut self,
        strategy: &Strategy,
        request: Request,
        subset: Option<&[Address]>,
        view: &View,
        prepared: Prepared,
        asked: Instant,
    ) -> Result<(Response, Headers), Refusal> {
        let began = Instant::now();
        let mut cx = Cx::live();
        let routed = if strategy.explain.any(self.pool.limits.endpoint_scores) {
            explained::route(self.pool, strategy, &request, view, subset, prepared, &mut cx)
        } else {
            strategy.route_traced(&request, view, subset, prepared, &mut cx, &mut NoTrace)
        };
        match routed {
            Ok(flight) => {
                let model = self.account.routed(request.model(), asked, began);
                Ok((Response::new(flight, model), request.headers))
            }
            Err(refusal) => {
                self.account.refused(request.model(), &refusal);
                Err(refusal)
            }
        }
    }
}
