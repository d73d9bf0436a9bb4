//! Whether requests flow through a pool: while none do, its servers are scraped less often.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// The time between two looks at whether there were requests.
const LOOK: Duration = Duration::from_secs(1);

/// The looks in a row without any request after which the pool is at rest.
const QUIET: u32 = 5;

/// The activity of a pool. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Activity(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Whether there was a request since the last look.
    seen: AtomicBool,
    rung: Notify,
    resting: watch::Sender<bool>,
}

impl Activity {
    /// A request has come. Costs a look at an atomic, but for the first request after each look.
    #[inline]
    pub fn request(&self) {
        if !self.0.seen.load(Ordering::Relaxed) {
            self.0.seen.store(true, Ordering::Relaxed);
            self.0.rung.notify_one();
        }
    }

    /// Follows whether the pool is at rest: no request came for some seconds, and none is being answered. At first it isn't.
    pub fn resting(&self) -> watch::Receiver<bool> {
        self.0.resting.subscribe()
    }

    /// Watches for requests, as long as it is polled; `busy` says whether a request is being answered.
    pub async fn watch(&self, busy: impl Fn() -> bool) -> Infallible {
        let Shared { seen, rung, resting } = &*self.0;
        loop {
            let mut quiet = 0;
            while quiet < QUIET {
                tokio::time::sleep(LOOK).await;
                let flows = seen.swap(false, Ordering::Relaxed) || busy();
                quiet = if flows { 0 } else { quiet + 1 };
            }
            resting.send_replace(true);
            while !seen.swap(false, Ordering::Relaxed) {
                rung.notified().await;
            }
            resting.send_replace(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_pool_rests_when_no_request_comes_or_is_answered_and_the_first_one_wakes_it() {
        let activity = Activity::default();
        let busy = AtomicBool::new(true);
        let mut resting = activity.resting();
        let after = async |time: Duration| {
            let watched = timeout(time, activity.watch(|| busy.load(Ordering::Relaxed))).await;
            assert!(watched.is_err());
        };
        assert!(!*resting.borrow());
        // One request takes its time.
        after(LOOK * 100).await;
        assert!(!*resting.borrow());

        busy.store(false, Ordering::Relaxed);
        let task = tokio::spawn({
            let activity = activity.clone();
            async move { activity.watch(|| false).await }
        });
        let start = tokio::time::Instant::now();
        resting.changed().await.unwrap();
        assert_eq!((start.elapsed(), *resting.borrow_and_update()), (LOOK * QUIET, true));

        advance(Duration::from_secs(3600)).await;
        let start = tokio::time::Instant::now();
        activity.request();
        resting.changed().await.unwrap();
        assert_eq!((start.elapsed(), *resting.borrow_and_update()), (Duration::ZERO, false));
        // One every few seconds is enough.
        for _ in 0..10 {
            tokio::time::sleep(LOOK * (QUIET - 1)).await;
            activity.request();
        }
        assert!(!resting.has_changed().unwrap());
        task.abort();
    }
}
