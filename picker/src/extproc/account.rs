//! Counting one exchange, whatever becomes of it.

use std::time::Instant;

use picker_core::RefusalKind;

use super::abort::Abort;
use crate::metrics::{Model, Reason, Traffic};

/// An exchange that is open. If it ends before its request was counted, the client has gone.
#[derive(Debug)]
pub(super) struct Account<'a> {
    traffic: &'a Traffic,
    counted: bool,
}

impl<'a> Account<'a> {
    pub(super) fn open(traffic: &'a Traffic) -> Self {
        traffic.streams.inc();
        Self { traffic, counted: false }
    }

    /// There was nothing to decide.
    pub(super) fn nothing(&mut self) {
        self.count(None, Reason::Nothing);
    }

    /// A request for `model` goes to an endpoint: all of it was there at `asked`, and the decision began at
    /// `began`. Its answer is counted in the row that comes back.
    pub(super) fn routed(&mut self, model: Option<&str>, asked: Instant, began: Instant) -> Model {
        let now = Instant::now();
        self.traffic.pick.observe(now.duration_since(began));
        self.traffic.overhead.observe(now.duration_since(asked));
        self.counted = true;
        self.traffic.requests.count(model, Reason::Routed)
    }

    pub(super) fn refused(&mut self, model: Option<&str>, abort: &Abort) {
        if abort.0.kind == RefusalKind::AllFiltered {
            self.traffic.sheds.inc();
        }
        self.count(model, Reason::Refused(abort.0.kind));
    }

    /// The gateway broke the protocol.
    pub(super) fn broken(&mut self) {
        self.count(None, Reason::Protocol);
    }

    /// The response came from elsewhere.
    pub(super) fn served_elsewhere(&self) {
        self.traffic.served_mismatches.inc();
    }

    fn count(&mut self, model: Option<&str>, reason: Reason) {
        if !std::mem::replace(&mut self.counted, true) {
            self.traffic.requests.count(model, reason);
        }
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        self.traffic.streams.dec();
        self.count(None, Reason::ClientClosed);
    }
}
