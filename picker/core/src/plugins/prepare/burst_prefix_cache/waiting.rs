//! A request that waits in the window that is open when it comes.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use super::placement::Rule;
use super::window::{self, Place, Placed, Window, lock};
use crate::ask::Ask;
use crate::role::Sleep;
use crate::store::State;

/// The window that is open, if one is.
#[derive(Debug, Default)]
pub(super) struct Windows(Mutex<Option<Arc<Window>>>);

impl State for Windows {
    /// Those of requests that wait in the window that is open.
    fn bytes(&self) -> usize {
        lock(&self.0).as_ref().map_or(0, |window| window.bytes())
    }

    fn max_bytes(&self) -> usize {
        window::MAX_BYTES
    }
}

/// Limits of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How long it is.
    pub duration: Duration,
    /// The most requests.
    pub requests: usize,
}

/// A request that waits. It gives up its place when it is dropped.
pub(super) struct Waiting {
    windows: Arc<Windows>,
    window: Arc<Window>,
    /// Its number in the window.
    n: usize,
    /// The end of the window by the clock; `None` for the request with which it is full.
    sleep: Option<Sleep>,
    is_done: bool,
}

impl Windows {
    /// Lets a request with the prompt `hashes` wait in the window that is open now, or opens one.
    pub fn join(
        self: &Arc<Self>,
        ask: &Ask<'_>,
        hashes: Vec<u64>,
        rule: Rule,
        limits: Limits,
        sleep: impl FnOnce(Duration) -> Sleep,
    ) -> Waiting {
        // Made before the lock is taken again, so that nobody waits for it.
        let is_open = lock(&self.0).is_some();
        let new = (!is_open).then(|| Window::open(ask, rule, limits.duration));
        let mut open = lock(&self.0);
        // The one that was open may have ended meanwhile.
        let new = || Arc::new(new.unwrap_or_else(|| Window::open(ask, rule, limits.duration)));
        let window = open.get_or_insert_with(new).clone();
        let Place { n, is_last } = window.join(hashes, limits.requests);
        if is_last {
            *open = None;
        }
        drop(open);
        let left = window.left(ask.now).min(limits.duration);
        let sleep = (!is_last).then(|| sleep(left));
        Waiting { windows: self.clone(), window, n, sleep, is_done: false }
    }

    /// Nobody joins `window` any more, if it is as `when` says.
    fn close(&self, window: &Arc<Window>, when: impl FnOnce(&Window) -> bool) {
        lock(&self.0).take_if(|open| Arc::ptr_eq(open, window) && when(open));
    }
}

impl Future for Waiting {
    type Output = Placed;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Placed> {
        let is_over = self.sleep.as_mut().is_none_or(|sleep| sleep.as_mut().poll(cx).is_ready());
        if is_over {
            self.windows.close(&self.window, |_| true);
            self.window.place();
            // It is not asked again.
            self.sleep = None;
        }
        match self.window.result(self.n, cx.waker()) {
            Some(placed) => {
                self.is_done = true;
                Poll::Ready(placed)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.is_done {
            self.window.leave(self.n);
            // Nobody would see the end of one in which nobody waits.
            self.windows.close(&self.window, Window::is_empty);
        }
    }
}
