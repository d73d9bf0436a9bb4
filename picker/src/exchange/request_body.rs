//! A request's body that is held for a decision: how much of it is read, what memory it may take, and how slow it may come.

use std::time::Duration;

use bytes::Bytes;
use picker_core::{Refusal, RefusalKind};
use tokio::time::Instant;

use super::body_budget::BodyShare;
use super::body_buffer::{BodyBuffer, Room};
use crate::pool::Limits;

/// A body that is held has to bring this many more bytes within each [`Limits::body_timeout`]. Chunks would
/// not do as a measure: a byte now and then would hold 16 MiB for ever.
const PACE: usize = 16 << 10;

/// How long a body that comes as one is waited for at the most, however long it is announced to be, unless
/// [`Limits::body_timeout`] is longer: nothing shows meanwhile whether anything of it comes.
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);

/// A body that is being read.
#[derive(Debug)]
pub struct RequestBody<'a> {
    limits: &'a Limits,
    buffer: BodyBuffer,
    share: BodyShare<'a>,
    announced: Option<usize>,
    /// The length at which there is time again.
    pace: usize,
    due: Option<Instant>,
}

/// Why a body is not read to its end. What was read of it is its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It is longer than [`Limits::max_body`].
    TooLong,
    /// The bodies of all requests together take what they may.
    NoRoom,
    /// The rest of it does not come in time.
    TooSlow,
}

impl Cut {
    /// The reason in a word, as the label of metrics carries it.
    pub fn name(self) -> &'static str {
        match self {
            Self::TooLong => "too-long",
            Self::NoRoom => "no-room",
            Self::TooSlow => "too-slow",
        }
    }

    /// The refusal of a request that is not decided by the beginning of its body.
    pub fn refusal(self, limits: &Limits) -> Refusal {
        match self {
            Self::TooLong => {
                let limit = limits.max_body;
                let message = format!("the request body is longer than {limit} bytes; send a shorter one");
                Refusal::with(RefusalKind::TooLarge, message)
            }
            Self::NoRoom => RefusalKind::Overloaded.into(),
            Self::TooSlow => RefusalKind::TooSlow.into(),
        }
    }
}

impl<'a> RequestBody<'a> {
    /// A body after headers of about `headers` bytes, with its announced length.
    ///
    /// # Errors
    /// When there is no room even for the headers.
    pub fn expect(limits: &'a Limits, headers: usize, announced: Option<usize>) -> Result<Self, Cut> {
        let mut share = limits.budget.share();
        if !share.take_head(headers) {
            return Err(Cut::NoRoom);
        }
        let buffer = BodyBuffer::expecting(announced, limits.max_body);
        Ok(Self { limits, buffer, share, announced, pace: 1, due: None })
    }

    /// The length that the client announced.
    pub fn announced(&self) -> Option<usize> {
        self.announced
    }

    /// When more of it has to be here, if it is waited for from now on: what is there at once needs no clock.
    pub fn due(&mut self) -> Instant {
        *self.due.get_or_insert_with(|| Instant::now() + self.limits.body_timeout)
    }

    /// When all of it has to be here, if it is waited for from now on and comes as one: as long as it may take in chunks, and
    /// [`LONGEST_WAIT`] at the most.
    pub fn due_as_one(&mut self) -> Instant {
        let (pieces, patience) =
            (self.announced.unwrap_or(self.limits.max_body) / PACE + 1, self.limits.body_timeout);
        let longest = patience.saturating_mul(u32::try_from(pieces).unwrap_or(u32::MAX));
        let longest = longest.min(LONGEST_WAIT.max(patience));
        *self.due.get_or_insert_with(|| Instant::now() + longest)
    }

    /// Takes a chunk, or as much of it as is read.
    ///
    /// # Errors
    /// When it becomes too long, or there is no room for the chunk. What was not taken is left in it.
    pub fn push(&mut self, chunk: &mut Bytes) -> Result<(), Cut> {
        let most = self.limits.max_body.saturating_sub(self.buffer.len());
        if chunk.len() > most {
            let whole = chunk.clone();
            let mut taken = chunk.split_to(most);
            self.hold(&mut taken).inspect_err(|_| *chunk = whole)?;
            return Err(Cut::TooLong);
        }
        self.hold(chunk)
    }

    fn hold(&mut self, chunk: &mut Bytes) -> Result<(), Cut> {
        let share = &mut self.share;
        let take = |room| match room {
            Room::Needed(bytes) => share.take(bytes),
            Room::Ahead(bytes) => share.take_ahead(bytes),
        };
        if !self.buffer.push(chunk, take) {
            return Err(Cut::NoRoom);
        }
        if self.buffer.len() >= self.pace {
            self.pace = self.buffer.len() + PACE;
            self.due = None;
        }
        Ok(())
    }

    /// Takes a place in the budget for so many more bytes, which go on unread; returns false when there is none.
    pub fn charge(&mut self, bytes: usize) -> bool {
        self.share.take(bytes)
    }

    /// Its length so far.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing of it has come.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its bytes so far.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.bytes()
    }

    /// Its bytes, and their place in the budget, to be kept until they have gone on.
    pub fn finish(self) -> (Bytes, BodyShare<'a>) {
        (self.buffer.finish(), self.share)
    }
}
