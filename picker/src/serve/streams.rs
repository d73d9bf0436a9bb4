//! A connection and its streams as one task.
//!
//! As tasks of their own, streams wake the connection one by one, and each answer goes out in a write of its own.
//! Polled together, all that has come in is answered before anything is written. A connection is served by one thread
//! at a time either way, since its frames are in one order.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use hyper::rt::Executor;
use tokio::task::coop::{has_budget_remaining, unconstrained};

use super::turn::Turn;

/// How often a connection and its streams may wake each other before other tasks have their turn.
const ROUNDS: usize = 32;

/// After how many polls of streams other tasks have their turn.
const ENOUGH: usize = 2048;

/// A stream, and how often those of its connection were polled.
struct Task {
    stream: Pin<Box<dyn Future<Output = ()> + Send>>,
    polls: Arc<AtomicUsize>,
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.stream.as_mut().poll(cx)
    }
}

/// Where hyper leaves the streams of a connection. One task leaves and takes, so the lock is never waited for.
#[derive(Clone, Default)]
pub(super) struct Inbox {
    tasks: Arc<Mutex<Vec<Task>>>,
    polls: Arc<AtomicUsize>,
}

impl Inbox {
    fn tasks(&self) -> MutexGuard<'_, Vec<Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn polls(&self) -> usize {
        self.polls.load(Ordering::Relaxed)
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Inbox {
    fn execute(&self, stream: F) {
        // One that panics, which the log tells, takes no other with it.
        let stream = Box::pin(AssertUnwindSafe(stream).catch_unwind().map(drop));
        self.tasks().push(Task { stream, polls: self.polls.clone() });
    }
}

/// What lies below a connection.
pub(super) trait Pipe: Unpin {
    /// Lets the connection read as much as it may before its streams have their turn.
    fn begin(&self);
    /// Sends what the connection has written.
    fn send(&self, cx: &mut Context<'_>);
}

/// A connection with the streams that it leaves in `inbox`. Ends with the connection; streams that are still there
/// then have nobody to answer to, and are dropped. What they have written is sent when nothing more can be done.
pub(super) struct Together<C, P> {
    connection: C,
    inbox: Inbox,
    streams: FuturesUnordered<Task>,
    pipe: P,
    turn: Arc<Turn>,
    waker: Waker,
}

impl<C, P> Together<C, P> {
    pub(super) fn new(connection: C, inbox: Inbox, pipe: P) -> Self {
        let turn = Arc::<Turn>::default();
        let waker = turn.clone().into();
        let streams = FuturesUnordered::new();
        Self { connection, inbox, streams, pipe, turn, waker }
    }

    pub(super) fn connection(&mut self) -> &mut C {
        &mut self.connection
    }

    /// Polls every stream for which something has come.
    ///
    /// Once is not enough: [`FuturesUnordered`] stops at the second stream that wakes itself, and every stream that
    /// sends does, as `h2` tells it of the capacity that it has just asked for.
    fn answer(&mut self, cx: &mut Context<'_>) {
        let begin = self.inbox.polls();
        // Once for what has come, and once for having woken itself. The connection is not kept from its turn by
        // streams that do so for ever.
        let enough = 2 * self.streams.len();
        loop {
            let before = self.inbox.polls();
            match self.streams.poll_next_unpin(cx) {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) => return,
                Poll::Pending => {
                    let now = self.inbox.polls();
                    if now == before || now - begin >= enough {
                        return;
                    }
                }
            }
        }
    }
}

impl<C: Future + Unpin, P: Pipe> Future for Together<C, P> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let this = &mut *self;
        this.turn.of(cx.waker());
        let waker = this.waker.clone();
        let mut inner = Context::from_waker(&waker);
        let begun = this.inbox.polls();
        for _ in 0..ROUNDS {
            this.turn.begin();
            this.pipe.begin();
            // Writes what there is to write, reads of what has come, and finds new streams.
            if let Poll::Ready(ended) = Pin::new(&mut this.connection).poll(&mut inner) {
                return Poll::Ready(ended);
            }
            this.streams.extend(this.inbox.tasks().drain(..));
            this.answer(&mut inner);
            // Without a budget everything says that it has to wait, and wakes.
            if !this.turn.woken() || !has_budget_remaining() || this.inbox.polls() - begun > ENOUGH {
                break;
            }
        }
        // Nor could anything be sent without one.
        let send = poll_fn(|cx| {
            this.pipe.send(cx);
            Poll::Ready(())
        });
        let _ = pin!(unconstrained(send)).poll(&mut inner);
        if this.turn.end() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests;
