//! The turns in which messages are decoded that take long.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

/// The turns of all streams: one message at a time. Sixteen thousand headers take milliseconds, and with a hundred such
/// messages at once every other exchange would wait for all of them.
#[derive(Clone, Debug)]
pub(super) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Turns {
    /// A place for `message` behind those that came before it.
    pub(super) fn queue(&self, message: Bytes) -> Queued {
        Queued { message, turn: PollSemaphore::new(self.0.clone()) }
    }
}

/// A message that waits for its turn; dropped, it gives up its place.
#[derive(Debug)]
pub(super) struct Queued {
    message: Bytes,
    turn: PollSemaphore,
}

impl Queued {
    /// The message when its turn has come. The turn ends when the permit is dropped.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<(Bytes, Option<OwnedSemaphorePermit>)> {
        // Nobody closes the semaphore.
        self.turn.poll_acquire(cx).map(|turn| (std::mem::take(&mut self.message), turn))
    }
}
