//! Roles of the exchange around a decision: before it, at its launch, and in its response.

use std::pin::Pin;
use std::time::{Duration, Instant};

use crate::ask::{Ask, Decision};
use crate::booking::Launch;
use crate::cx::Cx;
use crate::edits::Edits;
use crate::fact::Finding;
use crate::http::HttpClient;
use crate::outcome::{Outcome, ResponseHead};
use crate::refusal::Refusal;
use crate::view::{Candidates, View};

/// Finds out something that takes waiting: from a tokenizer, an index, another service. The only role that may wait.
pub trait Preparer: Send + Sync {
    /// What to wait for, or `None` where there is nothing to find out, which costs nothing. `ask.facts` are empty. What it asks
    /// of others, and waits for, it has from `outside`. What it finds out must not name endpoints by their positions in `ask.view`: a decision that
    /// waited is about a newer view.
    fn prepare(&self, ask: &Ask<'_>, outside: &Outside<'_>) -> Option<Preparation>;

    /// How long is waited for what it finds out about this request. The request goes on without what comes later.
    fn deadline(&self, ask: &Ask<'_>) -> Duration;

    /// Something was not found out by its deadline, `now`, and is not waited for any more.
    fn late(&self, now: Instant) {
        let _ = now;
    }
}

/// Work of a [`Preparer`] under way: what it finds out, or in a word why it finds out nothing. It owns what it needs of the
/// request. What takes the processor longer than about 100 µs belongs on a thread of its own: all exchanges of a connection
/// share one task.
pub type Preparation = Pin<Box<dyn Future<Output = Result<Finding, &'static str>> + Send>>;

/// Whatever a preparer needs that is not in the request or the view.
#[derive(Clone, Copy)]
pub struct Outside<'a> {
    /// Sends requests to others.
    pub http: &'a dyn HttpClient,
    /// Tells time.
    pub timer: &'a Timer<'a>,
}

/// Is ready after some time.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Makes what is ready after some time, by the clock of whoever lets preparers work.
pub type Timer<'a> = dyn Fn(Duration) -> Sleep + 'a;

/// Turns requests away before an endpoint is chosen.
pub trait Admitter: Send + Sync {
    /// Whether the request may go on. `candidates` are those that screeners left.
    ///
    /// # Errors
    /// The refusal that the client gets.
    fn admit(&self, ask: &Ask<'_>, candidates: &Candidates, cx: &mut Cx) -> Result<(), Refusal>;
}

/// Acts on a decision before the request is sent: learns from it, books load, edits the request.
pub trait PreRequest: Send + Sync {
    /// The request goes where `decision` says.
    fn pre_request(&self, ask: &Ask<'_>, decision: &Decision, launch: &mut Launch<'_>);

    /// The edits that [`PreRequest::pre_request`] would make, for a dry run: it learns and books nothing.
    fn dry_run(&self, ask: &Ask<'_>, decision: &Decision, edits: &mut Edits) {
        let _ = (ask, decision, edits);
    }
}

/// Watches responses.
pub trait Observer: Send + Sync {
    /// A watch for the response of this request, or `None` when it is of no interest, which costs nothing.
    fn watch(&self, ask: &Ask<'_>, decision: &Decision) -> Option<Box<dyn ResponseWatch>>;
}

/// Watches the response of one request.
pub trait ResponseWatch: Send + Sync {
    /// The head has come. `edits` may set and remove its headers.
    fn head(&mut self, head: &ResponseHead<'_>, edits: &mut Edits) {
        let _ = (head, edits);
    }

    /// A piece of the body has come; pieces end anywhere.
    fn chunk(&mut self, piece: &[u8]) {
        let _ = piece;
    }

    /// It is over. Called once, whatever happened; `edits` may tell the gateway metadata, which has no effect when the
    /// response was cut.
    fn ended(&mut self, outcome: &Outcome, edits: &mut Edits) {
        let _ = (outcome, edits);
    }
}

/// Work at intervals, outside of requests: what has expired is let go.
pub trait Upkeep: Send + Sync {
    /// The interval.
    fn every(&self) -> Duration;

    /// Does it. Must not take longer than a request may wait (a millisecond); what does is spread over several ticks.
    fn tick(&self, now: Instant, view: &View);
}
