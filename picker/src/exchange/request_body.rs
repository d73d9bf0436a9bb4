//! A request's body that is held for a decision: how long it may be, what memory it may take, and how slow it may come.

use bytes::Bytes;
use picker_core::{Refusal, RefusalKind};
use tokio::time::Instant;

use super::body_budget::BodyShare;
use super::body_buffer::BodyBuffer;
use crate::pool::Limits;

/// A body that is held has to bring this many more bytes within each [`Limits::body_timeout`]. Chunks would
/// not do as a measure: a byte now and then would hold 16 MiB for ever.
const PACE: usize = 16 << 10;

/// A body that is being read.
#[derive(Debug)]
pub struct RequestBody<'a> {
    limits: &'a Limits,
    buffer: BodyBuffer,
    share: BodyShare<'a>,
    /// The length at which the clock is set again.
    pace: usize,
    due: Option<Instant>,
    /// Whether it may be as long as it likes, because only its beginning is read.
    beginning: bool,
}

/// Why a body is not read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMuch {
    /// It is longer than the limit.
    TooLarge,
    /// The bodies of all requests together take what they may.
    Overloaded,
}

impl TooMuch {
    /// The refusal of its request.
    pub fn refusal(self, limits: &Limits) -> Refusal {
        match self {
            Self::TooLarge => {
                let limit = limits.max_body;
                let message = format!("the request body is longer than {limit} bytes; send a shorter one");
                Refusal::with(RefusalKind::TooLarge, message)
            }
            Self::Overloaded => RefusalKind::Overloaded.into(),
        }
    }
}

impl<'a> RequestBody<'a> {
    /// A body after headers of about `headers` bytes, with its announced length. Of one whose `beginning` is read no
    /// more is wanted than what is pushed.
    ///
    /// # Errors
    /// When it is announced to be too long, or there is no room even for the headers.
    pub fn expect(
        limits: &'a Limits,
        headers: usize,
        announced: Option<usize>,
        beginning: bool,
    ) -> Result<Self, TooMuch> {
        if !beginning && announced.is_some_and(|length| length > limits.max_body) {
            return Err(TooMuch::TooLarge);
        }
        let mut share = limits.budget.share();
        if !share.take(headers) {
            return Err(TooMuch::Overloaded);
        }
        let buffer = BodyBuffer::expecting(announced, limits.max_body);
        // Nothing is held yet, so there is no hurry; and a body of a single chunk needs no clock.
        Ok(Self { limits, buffer, share, pace: 1, due: None, beginning })
    }

    /// When the next chunk has to be here; `None` while there is no hurry.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Adds a chunk.
    ///
    /// # Errors
    /// When it becomes too long, or there is no room for it.
    pub fn push(&mut self, chunk: Bytes) -> Result<(), TooMuch> {
        if !self.beginning && self.buffer.len() + chunk.len() > self.limits.max_body {
            return Err(TooMuch::TooLarge);
        }
        let share = &mut self.share;
        if !self.buffer.push(chunk, |bytes| share.take(bytes)) {
            return Err(TooMuch::Overloaded);
        }
        if self.buffer.len() >= self.pace {
            self.pace = self.buffer.len() + PACE;
            self.due = Some(Instant::now() + self.limits.body_timeout);
        }
        Ok(())
    }

    /// Its length so far.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing of it has come.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes, and their place in the budget, to be kept until they have gone on.
    pub fn finish(self) -> (Bytes, BodyShare<'a>) {
        (self.buffer.finish(), self.share)
    }
}
