//! A connection and its streams as one task.
//!
//! As tasks of their own, streams wake the connection one by one, and each answer goes out in a write of its own.
//! Polled together, all that has come in is answered before anything is written. A connection is served by one thread
//! at a time either way, since its frames are in one order.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use hyper::rt::Executor;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where hyper leaves the streams of a connection. One task leaves and takes, so the lock is never waited for.
#[derive(Clone, Default)]
pub(super) struct Inbox(Arc<Mutex<Vec<Task>>>);

impl Inbox {
    fn tasks(&self) -> MutexGuard<'_, Vec<Task>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Inbox {
    fn execute(&self, stream: F) {
        // One that panics, which the log tells, takes no other with it.
        self.tasks().push(Box::pin(AssertUnwindSafe(stream).catch_unwind().map(drop)));
    }
}

/// A connection with the streams that it leaves in `inbox`. Ends with the connection; streams that are still there
/// then have nobody to answer to, and are dropped.
pub(super) struct Together<C> {
    connection: C,
    inbox: Inbox,
    streams: FuturesUnordered<Task>,
}

impl<C> Together<C> {
    pub(super) fn new(connection: C, inbox: Inbox) -> Self {
        Self { connection, inbox, streams: FuturesUnordered::new() }
    }

    pub(super) fn connection(&mut self) -> &mut C {
        &mut self.connection
    }
}

impl<C: Future + Unpin> Future for Together<C> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let this = &mut *self;
        let mut answered = false;
        loop {
            // Writes what there is to write, reads what has come, and finds new streams.
            if let Poll::Ready(ended) = Pin::new(&mut this.connection).poll(cx) {
                return Poll::Ready(ended);
            }
            let known = this.streams.len();
            this.streams.extend(this.inbox.tasks().drain(..));
            if answered && this.streams.len() == known {
                return Poll::Pending;
            }
            while let Poll::Ready(Some(())) = this.streams.poll_next_unpin(cx) {}
            answered = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::poll;

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
        let mut together = Together::new(connection, inbox);
        assert!(poll!(&mut together).is_pending());
        assert_eq!((polled.load(Ordering::Relaxed), together.streams.len()), (3, 3));
    }

    #[tokio::test]
    async fn a_stream_that_panics_takes_no_other_with_it() {
        let (inbox, ended) = (Inbox::default(), Arc::new(AtomicUsize::new(0)));
        let last = ended.clone();
        inbox.execute(async { panic!("on purpose") });
        inbox.execute(async move {
            last.fetch_add(1, Ordering::Relaxed);
        });
        let mut together = Together::new(pending::<()>(), inbox);
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
        Together::new(ready(()), inbox).await;
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
