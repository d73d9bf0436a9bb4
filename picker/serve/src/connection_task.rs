//! The task of a connection and all of its streams.
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
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use hyper::rt::Executor;
use tokio::task::coop::{has_budget_remaining, unconstrained};

use crate::coalescing_waker::{CoalescingWaker, Round};

/// How often a connection and its streams may wake each other before other tasks are polled.
const ROUNDS: usize = 32;

/// After how many polls of streams other tasks are polled.
const POLLS: usize = 2048;

/// After this time other tasks are polled, whatever was done in it.
const TURN: Duration = Duration::from_millis(1);

/// A stream with the counter of polls of all streams of its connection.
struct Stream {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    polls: Arc<AtomicUsize>,
}

impl Future for Stream {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        self.future.as_mut().poll(cx)
    }
}

/// The executor that hyper hands the new streams of a connection to, which keeps them for its task. That task alone
/// adds and takes, so the lock is never waited for.
#[derive(Clone, Default)]
pub(crate) struct NewStreams {
    streams: Arc<Mutex<Vec<Stream>>>,
    polls: Arc<AtomicUsize>,
}

impl NewStreams {
    fn streams(&self) -> MutexGuard<'_, Vec<Stream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn polls(&self) -> usize {
        self.polls.load(Ordering::Relaxed)
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for NewStreams {
    fn execute(&self, stream: F) {
        // One that panics, which the log tells, takes no other with it.
        let future = Box::pin(AssertUnwindSafe(stream).catch_unwind().map(drop));
        self.streams().push(Stream { future, polls: self.polls.clone() });
    }
}

/// The I/O below a connection, as its task sees it.
pub(crate) trait Transport: Unpin {
    /// Lets the connection read as much as it may before its streams are polled.
    fn begin_round(&self);
    /// Sends what the connection has written.
    fn flush(&self, cx: &mut Context<'_>);
}

/// A connection with its streams, as one future. Ends with the connection; streams that are still there
/// then have nobody to answer to, and are dropped. What they have written is sent when nothing more can be done.
pub(crate) struct ConnectionTask<C, T> {
    connection: C,
    new_streams: NewStreams,
    streams: FuturesUnordered<Stream>,
    transport: T,
    coalescing: Arc<CoalescingWaker>,
    waker: Waker,
}

impl<C, T> ConnectionTask<C, T> {
    /// The task of `connection`, which hands its streams to `new_streams` and writes to `transport`.
    pub(crate) fn new(connection: C, new_streams: NewStreams, transport: T) -> Self {
        let coalescing = Arc::new(CoalescingWaker::new());
        let waker = coalescing.clone().into();
        let streams = FuturesUnordered::new();
        Self { connection, new_streams, streams, transport, coalescing, waker }
    }

    /// The connection itself.
    pub(crate) fn connection(&mut self) -> &mut C {
        &mut self.connection
    }
}

impl<C: Future + Unpin, T: Transport> Future for ConnectionTask<C, T> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let Self { connection, new_streams, streams, transport, coalescing, waker } = &mut *self;
        let begun = new_streams.polls();
        let (mut rounds, mut second_began) = (0, None);
        let round = || {
            let cx = &mut Context::from_waker(waker);
            transport.begin_round();
            // Writes what there is to write, reads of what has come, and finds new streams.
            if let Poll::Ready(ended) = Pin::new(&mut *connection).poll(cx) {
                return Round::Ended(ended);
            }
            streams.extend(new_streams.streams().drain(..));
            poll_streams(streams, new_streams, cx);
            rounds += 1;
            // Most of the time there is no third round, and no need of a clock.
            let late = rounds > 1 && second_began.get_or_insert_with(Instant::now).elapsed() > TURN;
            // Without a budget everything says that it has to wait, and wakes.
            if late || rounds == ROUNDS || !has_budget_remaining() || new_streams.polls() - begun > POLLS {
                return Round::Yield;
            }
            Round::Waiting
        };
        // Nor could anything be sent without one.
        let flush = || {
            let flush = poll_fn(|cx| {
                transport.flush(cx);
                Poll::Ready(())
            });
            let _ = pin!(unconstrained(flush)).poll(&mut Context::from_waker(waker));
        };
        coalescing.poll(cx.waker(), round, flush)
    }
}

/// Polls every stream for which something has come.
///
/// Once is not enough: [`FuturesUnordered`] stops at the second stream that wakes itself, and every stream that
/// sends does, as `h2` tells it of the capacity that it has just asked for.
fn poll_streams(streams: &mut FuturesUnordered<Stream>, counter: &NewStreams, cx: &mut Context<'_>) {
    let begin = counter.polls();
    // Once for what has come, and once for having woken itself. Streams that do so for ever do not keep the
    // connection from being polled.
    let enough = 2 * streams.len();
    loop {
        let before = counter.polls();
        match streams.poll_next_unpin(cx) {
            Poll::Ready(Some(())) => {}
            Poll::Ready(None) => return,
            Poll::Pending => {
                let now = counter.polls();
                if now == before || now - begin >= enough {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
