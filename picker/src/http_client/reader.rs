//! Reading the body of an answer, within the budget of bodies.

use picker_core::fact::Finding;
use picker_core::http::{Answer, PostError};

use crate::pool::Limits;

/// The most bytes of an answer that are kept. What is left out of it as it comes does not count.
pub(super) const MOST_HELD: usize = 8 << 20;

/// The most bytes of an answer on the wire.
const MOST_READ: usize = 512 << 20;

/// What takes more bytes is read on a thread of its own.
const LONG: usize = 64 << 10;

/// Reads the body of an answer, whose bytes have a place in the budget until it is dropped.
pub(super) struct Reader<'a> {
    limits: &'a Limits,
    answer: Box<dyn Answer>,
    read: usize,
    held: usize,
}

impl<'a> Reader<'a> {
    /// Lets `answer` read, within `limits`.
    pub(super) fn new(limits: &'a Limits, answer: Box<dyn Answer>) -> Self {
        Self { limits, answer, read: 0, held: 0 }
    }

    /// Whether nothing was read yet.
    pub(super) fn is_new(&self) -> bool {
        self.read == 0
    }

    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<(), PostError> {
        self.read += piece.len();
        if self.read > MOST_READ {
            return Err(PostError::TooLong);
        }
        self.answer.feed(piece);
        let held = self.answer.held();
        if held > MOST_HELD {
            return Err(PostError::TooLong);
        }
        let more = held.saturating_sub(self.held);
        if more > 0 && !self.limits.budget.take_other(more) {
            return Err(PostError::NoRoom);
        }
        self.held += more;
        Ok(())
    }

    /// What the answer says.
    pub(super) async fn finish(mut self) -> Result<Finding, PostError> {
        let answer = std::mem::replace(&mut self.answer, Box::new(Nothing));
        let found = if self.held > LONG {
            // It goes on when nobody waits for it any more, and ends by itself.
            tokio::task::spawn_blocking(|| answer.finish()).await.ok().flatten()
        } else {
            answer.finish()
        };
        found.ok_or(PostError::Unreadable)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.limits.budget.give_other(self.held);
    }
}

/// Reads nothing.
struct Nothing;

impl Answer for Nothing {
    fn feed(&mut self, _: &[u8]) {}

    fn held(&self) -> usize {
        0
    }

    fn finish(self: Box<Self>) -> Option<Finding> {
        None
    }
}
