//! A routed request from its decision to the end of its response.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use crate::booking::{Bookings, Until};
use crate::edits::Edits;
use crate::endpoint::Endpoint;
use crate::health::{Settings, Trial, Verdict};
use crate::outcome::{Ending, Outcome, ResponseHead, Usage};
use crate::role::ResponseWatch;

/// A routed request: booked on its endpoints when it is made, and given back exactly once, when it ends or is dropped,
/// whatever happened to the stream.
pub struct Flight {
    /// Revision of the strategy that decided.
    revision: Arc<str>,
    targets: SmallVec<[Arc<Endpoint>; 1]>,
    bookings: Bookings,
    edits: Edits,
    /// Whether a byte of the response's body has come.
    begun: bool,
    /// An error of the server within so many milliseconds of the decision is a fast one; `None` when nothing is said of
    /// the health of endpoints.
    fast: Option<NonZeroU32>,
    launched: Instant,
    /// The trial that it is, for an endpoint that failed.
    trial: Option<Box<Trial>>,
    /// What observers are told; `None` without any, so that requests that nobody watches stay small.
    watched: Option<Box<Watched>>,
}

/// A response that observers watch.
struct Watched {
    watches: Vec<Box<dyn ResponseWatch>>,
    first_byte: Option<Instant>,
    status: Option<u16>,
    served: Option<SocketAddr>,
}

impl Watched {
    fn finish(
        &mut self,
        launched: Instant,
        ending: Ending,
        usage: Option<Usage>,
        now: Option<Instant>,
    ) -> Edits {
        let since = |at: Instant| at.saturating_duration_since(launched);
        let outcome = Outcome {
            ending,
            status: self.status,
            first_byte: self.first_byte.map(since),
            duration: now.map(since),
            usage,
            served: self.served,
        };
        let mut edits = Edits::default();
        self.watches.iter_mut().for_each(|watch| watch.ended(&outcome, &mut edits));
        edits
    }
}

impl Flight {
    #[inline]
    pub(crate) fn new(
        revision: Arc<str>,
        targets: SmallVec<[Arc<Endpoint>; 1]>,
        bookings: Bookings,
        edits: Edits,
        watches: Vec<Box<dyn ResponseWatch>>,
        launched: Instant,
        health: &Settings,
    ) -> Self {
        let (first_byte, status, served) = (None, None, None);
        let watched =
            (!watches.is_empty()).then(|| Box::new(Watched { watches, first_byte, status, served }));
        let fast = health.fast_millis();
        Self { revision, targets, bookings, edits, begun: false, fast, launched, trial: None, watched }
    }

    /// Makes it a trial.
    pub(crate) fn try_with(&mut self, trial: Trial) {
        self.trial = Some(Box::new(trial));
    }

    /// The first destination.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.targets[0]
    }

    /// The destinations, best first; at least one.
    pub fn targets(&self) -> &[Arc<Endpoint>] {
        &self.targets
    }

    /// Revision of the strategy that decided.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Edits of the request.
    pub fn edits(&self) -> &Edits {
        &self.edits
    }

    /// Edits of the request, to add to while the gateway has not been told.
    pub fn edits_mut(&mut self) -> &mut Edits {
        &mut self.edits
    }

    /// Lets `watch` watch the response, too.
    pub fn watch(&mut self, watch: Box<dyn ResponseWatch>) {
        let (first_byte, status, served) = (None, None, None);
        let none = || Box::new(Watched { watches: Vec::new(), first_byte, status, served });
        self.watched.get_or_insert_with(none).watches.push(watch);
    }

    /// The head of the response has come. Edits of it come back.
    pub fn head(&mut self, head: &ResponseHead<'_>) -> Edits {
        if self.targets.len() > 1
            && let Some(served) = head.served
            && served != self.targets[0].address
        {
            self.move_to(served);
        }
        let mut edits = Edits::default();
        if let Some(watched) = &mut self.watched {
            watched.status = head.status.or(watched.status);
            watched.served = head.served.or(watched.served);
            watched.watches.iter_mut().for_each(|watch| watch.head(head, &mut edits));
        }
        edits
    }

    /// What the gateway says of who served, `told`, as an address of an endpoint: where a plugin sent the request to another
    /// port, which passes it on, that port stands for the destination.
    pub fn served(&self, told: SocketAddr) -> SocketAddr {
        let sent_to = |addresses: &[u8]| {
            let mut addresses = addresses.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            addresses
                .any(|one| std::str::from_utf8(one).is_ok_and(|one| one.parse::<SocketAddr>() == Ok(told)))
        };
        match self.edits.destination() {
            Some(addresses) if sent_to(addresses) => self.targets[0].address,
            _ => told,
        }
    }

    /// The gateway sent the request to another of its targets than the first, as after a failed connection: what is booked
    /// on the first one is booked there.
    #[cold]
    fn move_to(&mut self, served: SocketAddr) {
        let (first, others) = (&self.targets[0], &self.targets[1..]);
        if let Some(other) = others.iter().find(|target| target.address == served) {
            self.bookings.iter_mut().filter(|booking| booking.is_on(first)).for_each(|b| b.move_to(other));
        }
    }

    /// The gateway could not be told headers, so that no other server than the destination does a part: their bookings, and
    /// a trial of one of them, are given back.
    pub fn without_headers(&mut self) {
        let first = &self.targets[0];
        self.bookings.retain(|booking| booking.is_on(first));
        self.trial.take_if(|trial| !trial.is_of(first.health()));
    }

    /// Whether an error of the server is a fast one at `now`.
    pub fn is_fast(&self, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.launched).as_millis();
        self.fast.is_some_and(|fast| age < u128::from(fast.get()))
    }

    /// The response says this about the destination. Of the endpoints that do another part (prefill, encode) an error says
    /// nothing: the destination answers for them, and which of them it is about can't be told. Only where one of them was
    /// asked as a trial, it is the likely cause, and the destination is not blamed. `now` is asked for where it matters.
    pub fn judge(&mut self, verdict: Verdict, now: impl FnOnce() -> Instant) {
        if self.fast.is_none() {
            return;
        }
        let clean = self.trial.is_none() && self.targets[0].health().is_clean();
        if clean && matches!(verdict, Verdict::Succeeded | Verdict::Answered | Verdict::Nothing) {
            return;
        }
        let now = now();
        let fast = self.is_fast(now);
        match self.trial.take() {
            Some(trial) if trial.is_of(self.targets[0].health()) => trial.end(verdict, fast, now),
            Some(trial) => {
                trial.end(verdict, fast, now);
                if verdict == Verdict::Succeeded {
                    self.report(0, verdict, fast, now);
                }
            }
            None => self.report(0, verdict, fast, now),
        }
    }

    /// Says of a target what it came to there, which was no trial.
    fn report(&self, target: usize, verdict: Verdict, fast: bool, now: Instant) {
        let endpoint = &self.targets[target];
        endpoint.health().report(verdict, self.launched, fast, endpoint.live().in_flight(), now);
    }

    /// The gateway sent the request to another target than the first, after it had failed at those before. Why it did, it
    /// doesn't say: they may have answered an error to a request that is to blame itself.
    pub fn judge_passed_over(&mut self, served: SocketAddr, now: Instant) {
        let Some(position) = self.targets.iter().position(|target| target.address == served) else { return };
        if self.fast.is_none() {
            return;
        }
        let fast = self.is_fast(now);
        for target in 0..position {
            let health = self.targets[target].health();
            match self.trial.take_if(|trial| trial.is_of(health)) {
                Some(trial) => trial.end(Verdict::PassedOver, fast, now),
                None => self.report(target, Verdict::PassedOver, fast, now),
            }
        }
    }

    /// Whether an observer watches the response.
    pub fn is_watched(&self) -> bool {
        self.watched.is_some()
    }

    /// A piece of the response's body has come, at `now` if it is the first that isn't empty.
    pub fn chunk(&mut self, piece: &[u8], now: impl FnOnce() -> Instant) {
        if piece.is_empty() {
            return;
        }
        if !std::mem::replace(&mut self.begun, true) {
            self.bookings.retain(|booking| booking.until() != Until::FirstByte);
        }
        if let Some(watched) = &mut self.watched {
            watched.first_byte.get_or_insert_with(now);
            watched.watches.iter_mut().for_each(|watch| watch.chunk(piece));
        }
    }

    /// The response has ended at `now`, and reported `usage`. All bookings are given back; metadata for the gateway
    /// comes back.
    pub fn ended(mut self, usage: Option<Usage>, now: Instant) -> Edits {
        self.bookings.clear();
        let watched = self.watched.take();
        watched.map_or_else(Edits::default, |mut watched| {
            watched.finish(self.launched, Ending::Complete, usage, Some(now))
        })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(watched) = &mut self.watched {
            watched.finish(self.launched, Ending::Cut, None, None);
        }
    }
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let targets: Vec<_> = self.targets.iter().map(|t| &t.name).collect();
        f.debug_struct("Flight").field("revision", &self.revision).field("targets", &targets).finish()
    }
}
