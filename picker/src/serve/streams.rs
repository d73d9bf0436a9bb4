//! A connection and its streams as one task.
//!
//! As tasks of their own, streams wake the connection one by one, and each answer goes out in a write of its own.
//! Polled together, all that has come in is answered before anything is written. A connection is served by one thread
//! at a time either way, since its frames are in one order.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use hyper::rt::Executor;

use super::turn::Turn;

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

/// A connection with the streams that it leaves in `inbox`. Ends with the connection; streams that are still there
/// then have nobody to answer to, and are dropped.
pub(super) struct Together<C> {
    connection: C,
    inbox: Inbox,
    turn: Turn,
    streams: FuturesUnordered<Task>,
}

impl<C> Together<C> {
    /// A connection that reads as much at once as `turn` lets it.
    pub(super) fn new(connection: C, inbox: Inbox, turn: Turn) -> Self {
        Self { connection, inbox, turn, streams: FuturesUnordered::new() }
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

impl<C: Future + Unpin> Future for Together<C> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let this = &mut *self;
        let mut answered = false;
        loop {
            // Writes what there is to write, reads of what has come, and finds new streams.
            this.turn.begin();
            if let Poll::Ready(ended) = Pin::new(&mut this.connection).poll(cx) {
                return Poll::Ready(ended);
            }
            let known = this.streams.len();
            this.streams.extend(this.inbox.tasks().drain(..));
            // A connection on which more comes than is read has its end too: after so many reads the runtime asks
            // for its thread back.
            if answered && this.streams.len() == known && !this.turn.cut_short() {
                return Poll::Pending;
            }
            this.answer(cx);
            answered = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready as at_once};
    use std::task::ready;

    use futures::poll;
    use tokio::io::{AsyncRead, ReadBuf};

    use super::super::turn::{Paced, READS};
    use super::*;

    #[tokio::test]
    async fn streams_are_polled_as_soon_as_they_are_found() {
        let (inbox, polled) = (Inbox::default(), Arc::new(AtomicUsize::new(0)));
        let found = inbox.clone();
        let (mut polls, counted) = (0, polled.clone());
        // Finds a stream while it writes the answers of the one before, three times in all.
        let connection = poll_fn(move |_| {
            polls += 1;
            assert_eq!(counted.load(Ordering::Relaxed), polls - 1, "each answers before the next write");
            if polls <= 3 {
                let counted = counted.clone();
                found.execute(async move {
                    counted.fetch_add(1, Ordering::Relaxed);
                    pending::<()>().await;
                });
            }
            Poll::<()>::Pending
        });
        let mut together = Together::new(connection, inbox, Turn::default());
        assert!(poll!(&mut together).is_pending());
        assert_eq!((polled.load(Ordering::Relaxed), together.streams.len()), (3, 3));
    }

    #[tokio::test]
    async fn all_answer_before_the_next_write_though_they_wake_themselves() {
        let (inbox, polled) = (Inbox::default(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..10 {
            let counted = polled.clone();
            let mut woken = false;
            inbox.execute(poll_fn(move |cx| {
                // As a stream does that sends.
                if !std::mem::replace(&mut woken, true) {
                    counted.fetch_add(1, Ordering::Relaxed);
                    cx.waker().wake_by_ref();
                }
                Poll::<()>::Pending
            }));
        }
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (at_each, counted) = (seen.clone(), polled.clone());
        let connection = poll_fn(move |_| {
            at_each.lock().unwrap().push(counted.load(Ordering::Relaxed));
            Poll::<()>::Pending
        });
        let mut together = Together::new(connection, inbox, Turn::default());
        assert!(poll!(&mut together).is_pending());
        assert_eq!(*seen.lock().unwrap(), [0, 10]);
    }

    #[tokio::test]
    async fn a_stream_that_wakes_itself_for_ever_leaves_the_connection_its_turn() {
        let inbox = Inbox::default();
        for _ in 0..3 {
            inbox.execute(poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            }));
        }
        let mut together = Together::new(pending::<()>(), inbox, Turn::default());
        assert!(poll!(&mut together).is_pending());
        assert_eq!(together.inbox.polls(), 6);
    }

    #[tokio::test]
    async fn streams_have_their_turn_while_more_comes() {
        let (inbox, turn) = (Inbox::default(), Turn::default());
        let polled = Arc::new(AtomicUsize::new(0));
        let (counted, waker) = (polled.clone(), Arc::new(futures::task::AtomicWaker::new()));
        let registered = waker.clone();
        inbox.execute(poll_fn(move |cx| {
            registered.register(cx.waker());
            counted.fetch_add(1, Ordering::Relaxed);
            Poll::<()>::Pending
        }));
        // Is cut short three times.
        let mut left = 3 * READS + 1;
        let mut io = Paced::new(tokio::io::repeat(0), turn.clone());
        let connection = poll_fn(move |cx| {
            let mut buffer = [0];
            while left > 0 {
                ready!(Pin::new(&mut io).poll_read(cx, &mut ReadBuf::new(&mut buffer))).unwrap();
                left -= 1;
                waker.wake();
            }
            Poll::<()>::Pending
        });
        let mut together = Together::new(connection, inbox, turn);
        assert!(poll!(&mut together).is_pending());
        assert_eq!(polled.load(Ordering::Relaxed), 3, "after each part of what comes");
    }

    #[tokio::test]
    async fn a_stream_that_panics_takes_no_other_with_it() {
        let (inbox, ended) = (Inbox::default(), Arc::new(AtomicUsize::new(0)));
        let last = ended.clone();
        inbox.execute(async { panic!("on purpose") });
        inbox.execute(async move {
            last.fetch_add(1, Ordering::Relaxed);
        });
        let mut together = Together::new(pending::<()>(), inbox, Turn::default());
        assert!(poll!(&mut together).is_pending());
        assert_eq!((ended.load(Ordering::Relaxed), together.streams.len()), (1, 0));
    }

    #[tokio::test]
    async fn it_ends_with_the_connection() {
        let inbox = Inbox::default();
        let held = Arc::new(());
        let stream = held.clone();
        inbox.execute(async move {
            pending::<()>().await;
            drop(stream);
        });
        Together::new(at_once(()), inbox, Turn::default()).await;
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
