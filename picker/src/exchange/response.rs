//! The response to a routed request: its head, its pieces, its end.

use std::net::SocketAddr;
use std::time::Instant;

use picker_core::Edits;
use picker_core::Flight;
use picker_core::health::Verdict;
use picker_core::outcome::{ResponseHead, Usage};

use super::usage::CountedAnswer;
use crate::metrics::{Model, Tokens};

/// A routed request whose response has not ended.
#[derive(Debug)]
pub struct Response {
    flight: Flight,
    /// Counts its status and its tokens.
    counted: CountedAnswer,
}

impl Response {
    pub(super) fn new(flight: Flight, model: Model) -> Self {
        Self { flight, counted: CountedAnswer::new(model) }
    }

    /// The request that it answers.
    pub fn flight(&self) -> &Flight {
        &self.flight
    }

    /// The gateway can't be told headers, so that no server but the destination does a part of the request.
    pub fn without_headers(&mut self) {
        self.flight.without_headers();
    }

    /// The head has come; `encoded` says whether the body is compressed. Edits of it come back.
    pub fn head(&mut self, head: &ResponseHead<'_>, encoded: bool) -> Edits {
        self.counted.head(head.status, encoded);
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

    /// A piece of the body has come.
    pub fn chunk(&mut self, piece: &[u8]) {
        self.counted.see(piece);
        self.flight.chunk(piece, Instant::now);
    }

    /// It has ended. What the gateway is told comes back.
    pub fn ended(self) -> Edits {
        let Self { flight, counted } = self;
        let tokens = counted.tokens();
        drop(counted);
        let usage = tokens.map(|Tokens { prompt, cached, completion }| Usage {
            prompt: prompt.into(),
            cached: cached.into(),
            completion: completion.into(),
        });
        flight.ended(usage, Instant::now())
    }
}
