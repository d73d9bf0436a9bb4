//! How long a request waits for its body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::metrics::{Waiter, Waiting};

/// The clock of one request, which runs only while something is waited for. One timer serves the whole request: what
/// comes in puts the end off, and the timer finds that out when it goes off.
pub(super) struct Patience<'a, 't> {
    waiting: &'a Waiting,
    waiter: Option<Waiter<'a>>,
    timer: Pin<&'t mut Option<Sleep>>,
}

impl<'a, 't> Patience<'a, 't> {
    /// A clock that has not begun, with a place for its timer.
    pub(super) fn new(waiting: &'a Waiting, timer: Pin<&'t mut Option<Sleep>>) -> Self {
        Self { waiting, waiter: None, timer }
    }

    /// Ready when `due` has come. `tell` is called once in between, when the request has waited long and the log should
    /// say so.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, due: Instant, tell: impl Fn(Instant)) -> Poll<()> {
        let waiter = self.waiter.get_or_insert_with(|| self.waiting.begin());
        loop {
            if self.timer.is_none() {
                let at = waiter.long_at().map_or(due, |long| long.min(due));
                self.timer.set(Some(sleep_until(at)));
            }
            if let Some(timer) = self.timer.as_mut().as_pin_mut() {
                ready!(timer.poll(cx));
            }
            self.timer.set(None);
            let now = Instant::now();
            if waiter.long_at().is_some_and(|at| at <= now) && waiter.waits_long() {
                tell(now);
            }
            if due <= now {
                return Poll::Ready(());
            }
        }
    }
}
