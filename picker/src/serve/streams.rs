//! A connection and its streams as one task.
//!
//! As tasks of their own, streams wake the connection one by one, and each answer goes out in a write of its own.
//! Polled together, all that has come in is answered before anything is written. A connection is served by one thread
//! at a time either way, since its frames are in one order.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use futures::task::AtomicWaker;
use hyper::rt::Executor;
use tokio::task::coop::has_budget_remaining;

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
/// then have nobody to answer to, and are dropped. `rest` is called whenever nothing more can be done for now.
pub(super) struct Together<C, F> {
    connection: C,
    inbox: Inbox,
    streams: FuturesUnordered<Task>,
    rest: F,
    turn: Arc<Turn>,
    waker: Waker,
}

impl<C, F> Together<C, F> {
    pub(super) fn new(connection: C, inbox: Inbox, rest: F) -> Self {
        let turn = Arc::<Turn>::default();
        let waker = turn.clone().into();
        Self { connection, inbox, streams: FuturesUnordered::new(), rest, turn, waker }
    }

    pub(super) fn connection(&mut self) -> &mut C {
        &mut self.connection
    }
}

impl<C: Future + Unpin, F: FnMut(&mut Context<'_>) + Unpin> Together<C, F> {
    /// Polls what there is to poll, once.
    fn round(&mut self, cx: &mut Context<'_>) -> Poll<C::Output> {
        let mut answered = false;
        loop {
            // Writes what there is to write, reads what has come, and finds new streams.
            if let Poll::Ready(ended) = Pin::new(&mut self.connection).poll(cx) {
                return Poll::Ready(ended);
            }
            let known = self.streams.len();
            self.streams.extend(self.inbox.tasks().drain(..));
            if answered && self.streams.len() == known {
                return Poll::Pending;
            }
            while let Poll::Ready(Some(())) = self.streams.poll_next_unpin(cx) {}
            answered = true;
        }
    }
}

impl<C: Future + Unpin, F: FnMut(&mut Context<'_>) + Unpin> Future for Together<C, F> {
    type Output = C::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        let this = &mut *self;
        this.turn.task.register(cx.waker());
        let waker = this.waker.clone();
        let mut inner = Context::from_waker(&waker);
        for _ in 0..ROUNDS {
            this.turn.begin();
            if let Poll::Ready(ended) = this.round(&mut inner) {
                return Poll::Ready(ended);
            }
            // Without a budget everything says that it has to wait, and wakes.
            if !this.turn.woken() || !has_budget_remaining() {
                break;
            }
        }
        (this.rest)(&mut inner);
        if this.turn.end() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// How often a connection and its streams may wake each other before other tasks have their turn.
const ROUNDS: usize = 32;

/// The connection and its streams wake each other while they are polled; the task is woken only at other times.
#[derive(Debug, Default)]
struct Turn {
    state: AtomicU8,
    task: AtomicWaker,
}

/// States of a [`Turn`]: nobody polls; somebody does; and something was woken since that began.
const IDLE: u8 = 0;
const POLLED: u8 = 1;
const WOKEN: u8 = 2;

impl Turn {
    fn begin(&self) {
        self.state.store(POLLED, Ordering::SeqCst);
    }

    fn woken(&self) -> bool {
        self.state.load(Ordering::SeqCst) == WOKEN
    }

    /// Whether it was woken since it began.
    fn end(&self) -> bool {
        self.state.swap(IDLE, Ordering::SeqCst) == WOKEN
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, Ordering::SeqCst) == IDLE {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};
    use std::sync::atomic::AtomicUsize;

    use futures::poll;

    use super::*;

    fn idle(_: &mut Context<'_>) {}

    #[tokio::test]
    async fn streams_are_polled_as_soon_as_they_are_found() {
        let (inbox, polled) = (Inbox::default(), Arc::new(AtomicUsize::new(0)));
        let found = inbox.clone();
        let (mut polls, counted) = (0, polled.clone());
        // Finds a stream while it writes the answers of the one before, three times in all.
        let connection = poll_fn(move |_| {
            polls += 1;
            let answered = counted.load(Ordering::Relaxed);
            assert_eq!(answered, 3.min(polls - 1), "each answers before the next write");
            if polls <= 3 {
                let counted = counted.clone();
                found.execute(async move {
                    counted.fetch_add(1, Ordering::Relaxed);
                    pending::<()>().await;
                });
            }
            Poll::<()>::Pending
        });
        let mut together = Together::new(connection, inbox, idle);
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
        let mut together = Together::new(pending::<()>(), inbox, idle);
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
        Together::new(ready(()), inbox, idle).await;
        assert_eq!(Arc::strong_count(&held), 1);
    }

    /// A stream that wakes itself so many times, and then waits.
    fn restless(times: usize) -> impl Future<Output = ()> {
        let mut left = times;
        poll_fn(move |cx| {
            if left > 0 {
                left -= 1;
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        })
    }

    /// How often a connection with such a stream rested, and whether its task was woken, at the first poll.
    fn rested(times: usize) -> (usize, bool) {
        let (inbox, rests) = (Inbox::default(), Arc::new(AtomicUsize::new(0)));
        inbox.execute(restless(times));
        let counted = rests.clone();
        let rest = move |_: &mut Context<'_>| {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        let (waker, woken) = wakes();
        let mut together = Together::new(pending::<()>(), inbox, rest);
        assert!(Pin::new(&mut together).poll(&mut Context::from_waker(&waker)).is_pending());
        (rests.load(Ordering::Relaxed), woken.0.load(Ordering::Relaxed) > 0)
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn wakes() -> (Waker, Arc<Wakes>) {
        let wakes = Arc::<Wakes>::default();
        (wakes.clone().into(), wakes)
    }

    #[test]
    fn rests_once_and_only_when_nothing_more_can_be_done() {
        assert_eq!(rested(0), (1, false));
        assert_eq!(rested(ROUNDS / 2), (1, false));
        // Others have their turn too, and this one again after them.
        assert_eq!(rested(usize::MAX), (1, true));
    }

    #[test]
    fn is_woken_between_its_turns() {
        let inbox = Inbox::default();
        let (ask, answer) = futures::channel::oneshot::channel::<()>();
        inbox.execute(answer.map(drop));
        let (waker, woken) = wakes();
        let mut together = Together::new(pending::<()>(), inbox, idle);
        assert!(Pin::new(&mut together).poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        ask.send(()).unwrap();
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    }
}
