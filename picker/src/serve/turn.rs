//! Whose turn it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Wake, Waker};

use futures::task::AtomicWaker;

/// States of a [`Turn`]: nobody is polled; somebody is; and something was woken since that began.
const IDLE: u8 = 0;
const POLLED: u8 = 1;
const WOKEN: u8 = 2;

/// The waker of a connection and its streams. They wake each other while they are polled; their task is woken only at
/// other times.
#[derive(Debug, Default)]
pub(super) struct Turn {
    state: AtomicU8,
    task: AtomicWaker,
}

impl Turn {
    /// The task to wake.
    pub(super) fn of(&self, task: &Waker) {
        self.task.register(task);
    }

    pub(super) fn begin(&self) {
        self.state.store(POLLED, Ordering::SeqCst);
    }

    /// Whether anything was woken since it began.
    pub(super) fn woken(&self) -> bool {
        self.state.load(Ordering::SeqCst) == WOKEN
    }

    /// The same, at its end.
    pub(super) fn end(&self) -> bool {
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
