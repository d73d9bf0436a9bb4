//! The response to a routed request: its head, its pieces, its end.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use picker_core::Edits;
use picker_core::Flight;
use picker_core::health::Verdict;
use picker_core::outcome::{ResponseHead, Usage};
use picker_core::rewrite::Rewrite;

use super::client_name::ClientName;
use super::counted_answer::{CountedAnswer, Form};
use crate::metrics::Tokens;

/// A routed request whose response has not ended.
#[derive(Debug)]
pub struct Response {
    flight: Flight,
    /// Counts its status, its times and its tokens.
    counted: CountedAnswer,
    /// Puts the client's name of the model in place of the server's; `None` where they are one.
    name: Option<Box<ClientName>>,
}

impl Response {
    pub(super) fn new(flight: Flight, counted: CountedAnswer) -> Self {
        Self { flight, counted, name: None }
    }

    /// The response to a request that went on under another model.
    pub(super) fn of_rewritten(flight: Flight, counted: CountedAnswer, rewrite: &Rewrite) -> Self {
        let name = rewrite.client.as_deref().map(|client| Box::new(ClientName::new(&rewrite.target, client)));
        Self { name, ..Self::new(flight, counted) }
    }

    /// The request that it answers.
    pub fn flight(&self) -> &Flight {
        &self.flight
    }

    /// The gateway can't be told headers, so that no server but the destination does a part of the request.
    pub fn without_headers(&mut self) {
        self.flight.without_headers();
    }

    /// The content type of the body, and whether it is compressed, are these. Whether pieces of it may be replaced.
    pub fn may_rename(&mut self, content_type: impl FnOnce() -> Option<String>, encoded: bool) -> bool {
        let name = self.name.as_mut();
        name.is_some_and(|name| name.head(content_type().as_deref().unwrap_or_default(), encoded))
    }

    /// The head has come. Edits of it come back.
    pub fn head(&mut self, head: &ResponseHead<'_>, form: Form) -> Edits {
        self.counted.head(head.status, form);
        self.flight.head(head)
    }

    /// The response says this about the endpoints that the request was sent to.
    pub fn judge(&mut self, verdict: Verdict) {
        self.flight.judge(verdict, Instant::now);
    }

    /// The gateway got the response from `served` after it had failed elsewhere.
    pub fn judge_passed_over(&mut self, served: SocketAddr) {
        self.flight.judge_passed_over(served, Instant::now());
    }

    /// Whether an error of the server would be a fast one now.
    pub fn is_fast(&self) -> bool {
        self.flight.is_fast(Instant::now())
    }

    /// A piece of the body has come, the last one if `last`; `waited` says whether it was not there yet when it was looked for.
    /// What takes its place comes back, if anything does.
    pub fn chunk(&mut self, piece: &[u8], last: bool, waited: bool) -> Option<Bytes> {
        let now = self.counted.see(piece, waited);
        self.flight.chunk(piece, || now.unwrap_or_else(Instant::now));
        self.name.as_mut().and_then(|name| name.pass(piece, last))
    }

    /// What of the body was held back, when it ends without a last piece.
    pub fn rest(&mut self) -> Option<Bytes> {
        self.name.as_mut().and_then(|name| name.rest())
    }

    /// It has ended. What the gateway is told comes back.
    pub fn ended(self) -> Edits {
        let Self { flight, counted, .. } = self;
        let now = Instant::now();
        let usage = counted.ended(now).map(|Tokens { prompt, cached, completion, reasoning }| Usage {
            prompt: prompt.into(),
            cached: cached.into(),
            completion: completion.into(),
            reasoning: reasoning.into(),
        });
        flight.ended(usage, now)
    }
}
