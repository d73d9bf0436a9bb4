//! A waker shared by a connection and its streams; drops wake-ups while the task is being polled.

use std::sync::Arc;
use std::task::{Poll, Wake, Waker};

use crate::sync::{AtomicU8, AtomicWaker, Ordering};

/// Nothing is polled: a wake-up wakes the task.
const IDLE: u8 = 0;
/// A round goes on, and nothing was woken since it began.
const POLLED: u8 = 1;
/// Something was woken since the last round began, or since the task was last polled.
const WOKEN: u8 = 2;

/// The waker of a connection and its streams. They wake each other while they are polled; their task is woken only at
/// other times.
#[derive(Debug)]
pub(crate) struct CoalescingWaker {
    state: AtomicU8,
    task: AtomicWaker,
}

/// The outcome of a round, in which everything was polled that was woken before it.
#[derive(Debug)]
pub(crate) enum Round<T> {
    /// The whole has ended.
    Ended(T),
    /// All of it waits, but for what was woken since the round began.
    Waiting,
    /// Other tasks are to be polled before another round.
    Yield,
}

impl CoalescingWaker {
    /// A waker that has no task yet.
    pub(crate) fn new() -> Self {
        Self { state: AtomicU8::new(IDLE), task: AtomicWaker::new() }
    }

    /// Polls on behalf of `task`: in rounds, for as long as something is woken in them, and then `last`. Whatever is
    /// woken after that wakes `task`.
    pub(crate) fn poll<T>(
        &self,
        task: &Waker,
        mut round: impl FnMut() -> Round<T>,
        last: impl FnOnce(),
    ) -> Poll<T> {
        self.task.register(task);
        loop {
            // A swap takes the place of a wake-up, and with it sees what was done before that: a store would not.
            self.state.swap(POLLED, Ordering::AcqRel);
            match round() {
                Round::Ended(value) => return Poll::Ready(value),
                Round::Waiting if self.state.load(Ordering::Relaxed) == WOKEN => {}
                Round::Waiting | Round::Yield => break,
            }
        }
        last();
        if self.state.swap(IDLE, Ordering::AcqRel) == WOKEN {
            task.wake_by_ref();
        }
        Poll::Pending
    }
}

impl Wake for CoalescingWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, Ordering::AcqRel) == IDLE {
            self.task.wake();
        }
    }
}
