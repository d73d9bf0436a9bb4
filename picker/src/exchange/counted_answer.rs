//! The answer to a routed request, as metrics see it: its status, its times, its bytes, and what it says of its tokens.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use super::usage::UsageReader;
use crate::metrics::{Arrivals, Model, Times, Tokens};

/// Counts the answer to a request for a model: its status, its times, and when this is dropped what it says of its tokens.
#[derive(Debug)]
pub(super) struct CountedAnswer {
    model: Model,
    /// `None` for an answer that can't be read, or is not believed.
    usage: Option<UsageReader>,
    /// When the whole request was there.
    asked: Instant,
    /// Nanoseconds from then to the first byte of the answer, and to the last arrival that was waited for.
    first: Option<NonZeroU64>,
    last: u64,
    bytes: u64,
    /// Whether its pieces are tokens, more or less.
    streaming: bool,
    /// Whether it is an answer that the times of answers are about: one with a status of 2xx, as far as is known.
    good: bool,
    /// Made when they are counted, so that answers that did not begin yet take no memory for them.
    arrivals: Option<Box<Arrivals>>,
}

/// What the head of an answer says of its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// It is compressed.
    pub encoded: bool,
    /// It is a stream of events.
    pub events: bool,
}

impl CountedAnswer {
    /// Nothing was seen yet of the answer to a request of `path`, which was complete at `asked`; `streaming` says whether
    /// it asks for a stream of events.
    pub fn new(model: Model, path: &str, streaming: bool, asked: Instant) -> Self {
        let usage = UsageReader::of(path);
        let streaming = streaming || usage.streams();
        let (usage, arrivals) = (Some(usage), None);
        Self { model, usage, asked, first: None, last: 0, bytes: 0, streaming, good: true, arrivals }
    }

    /// The head has come.
    pub fn head(&mut self, status: Option<u16>, form: Form) {
        self.model.answered(status);
        self.streaming = form.events || self.usage.as_ref().is_some_and(UsageReader::streams);
        self.good = status.is_none_or(|status| (200..300).contains(&status));
        // What comes with another status may be what the client sent.
        if form.encoded || !self.good {
            self.usage = None;
        }
    }

    /// Looks at the next piece of the answer; `waited` says whether it was not there yet when it was looked for. The time
    /// comes back, if it had to be known.
    pub fn see(&mut self, piece: &[u8], waited: bool) -> Option<Instant> {
        if piece.is_empty() {
            return None;
        }
        self.bytes += piece.len() as u64;
        let now = self.arrived(waited);
        if let Some(usage) = &mut self.usage {
            usage.see(piece);
        }
        now
    }

    /// Takes note of the time of a piece. Pieces that lie ready come at the same time, so that no clock is read for them.
    fn arrived(&mut self, waited: bool) -> Option<Instant> {
        if self.first.is_some() && !(waited && self.streaming) {
            return None;
        }
        let now = Instant::now();
        let after = now.saturating_duration_since(self.asked);
        let nanos = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX).max(1);
        let last = std::mem::replace(&mut self.last, nanos);
        if self.first.is_some() {
            let arrivals = self.arrivals.get_or_insert_default();
            if arrivals.next(Duration::from_nanos(nanos.saturating_sub(last))) {
                self.count_arrivals();
            }
        } else {
            self.first = NonZeroU64::new(nanos);
            if self.good {
                self.model.began(after, self.streaming);
            }
        }
        Some(now)
    }

    fn count_arrivals(&mut self) {
        if let Some(arrivals) = self.arrivals.as_mut().filter(|_| self.good) {
            self.model.arrived(arrivals);
        }
    }

    /// What was found, if anything.
    pub fn tokens(&self) -> Option<Tokens> {
        self.usage.as_ref()?.tokens()
    }

    /// It has ended with its last byte at `now`. What it says of its tokens comes back.
    pub fn ended(mut self, now: Instant) -> Option<Tokens> {
        let tokens = self.tokens();
        if self.good {
            let streamed = |first: NonZeroU64| Duration::from_nanos(self.last.saturating_sub(first.get()));
            let times = Times {
                duration: now.saturating_duration_since(self.asked),
                stream: self.first.filter(|_| self.streaming).map(streamed),
            };
            self.model.ended(times, self.bytes, tokens);
        }
        tokens
    }
}

impl Drop for CountedAnswer {
    fn drop(&mut self) {
        self.count_arrivals();
        if let Some(tokens) = self.tokens() {
            self.model.took(tokens);
        }
    }
}

#[cfg(test)]
mod tests;
