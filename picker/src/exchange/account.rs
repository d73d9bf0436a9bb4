//! Counting one exchange, whatever becomes of it.

use std::time::Instant;

use picker_core::prepare::Prepared;
use picker_core::rewrite::{self, Rewrite};
use picker_core::{Refusal, RefusalKind};

use super::request_body::Cut;
use crate::metrics::{Asked, CutBody, Model, Preparation, Reason, Rewritten, Traffic};

/// The outcome of what a preparer found out.
const FOUND: &str = "found";

/// An exchange that is open. If it ends before its request was counted, the client has gone.
#[derive(Debug)]
pub struct Account<'a> {
    traffic: &'a Traffic,
    counted: bool,
    /// There was nothing to decide, and the status of the answer is not known yet.
    nothing: bool,
}

impl<'a> Account<'a> {
    /// An exchange that has just begun.
    pub fn open(traffic: &'a Traffic) -> Self {
        traffic.streams.inc();
        Self { traffic, counted: false, nothing: false }
    }

    /// There was nothing to decide.
    pub fn nothing(&mut self) {
        self.nothing = !std::mem::replace(&mut self.counted, true);
    }

    /// The head of an answer to what was not routed has come.
    pub fn answered(&mut self, status: Option<u16>) {
        if std::mem::take(&mut self.nothing) {
            self.traffic.requests.count_nothing(status);
        }
    }

    /// A request goes to an endpoint: all of it was there at `asked`, and the decision began at
    /// `began`. It is counted with its answer, in what comes back.
    pub fn routed(&mut self, labels: Asked<'_>, asked: Instant, began: Instant) -> Model {
        let now = Instant::now();
        self.traffic.pick.observe(now.duration_since(began));
        self.traffic.overhead.observe(now.duration_since(asked));
        self.counted = true;
        self.traffic.requests.routed(labels)
    }

    /// The request goes on under another model.
    pub fn rewritten(&self, rewrite: &Rewrite) {
        let Rewrite { rule, target, .. } = rewrite;
        // What a header names, clients choose.
        let target = if **rule == *rewrite::HEADER { "" } else { target };
        let label = Rewritten { rule: rule.to_string(), target_model: target.to_owned() };
        self.traffic.model_rewrites.get_or_create(&label).inc();
    }

    /// The request is decided without the whole of its body.
    pub fn cut(&self, why: Cut) {
        self.traffic.cut_bodies.get_or_create(&CutBody { reason: why.name() }).inc();
    }

    /// Preparers have found this out about the request.
    pub fn prepared(&self, prepared: &Prepared) {
        let count = |outcome| {
            self.traffic.preparations.get_or_create(&Preparation { outcome }).inc();
        };
        (0..prepared.found()).for_each(|_| count(FOUND));
        prepared.failed.iter().for_each(|reason| count(reason));
    }

    /// A request is refused.
    pub fn refused(&mut self, labels: Asked<'_>, refusal: &Refusal) {
        if matches!(refusal.kind, RefusalKind::AllFiltered | RefusalKind::Shed) {
            self.traffic.sheds.inc();
        }
        self.count(labels, Reason::Refused(refusal.kind));
    }

    /// The gateway broke the protocol.
    pub fn broken(&mut self) {
        self.count(Asked::default(), Reason::Protocol);
    }

    /// The response came from elsewhere.
    pub fn served_elsewhere(&self) {
        self.traffic.served_mismatches.inc();
    }

    fn count(&mut self, labels: Asked<'_>, reason: Reason) {
        if std::mem::take(&mut self.nothing) || !std::mem::replace(&mut self.counted, true) {
            self.traffic.requests.count(labels, reason);
        }
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        self.traffic.streams.dec();
        self.answered(None);
        self.count(Asked::default(), Reason::ClientClosed);
    }
}
