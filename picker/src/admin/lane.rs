//! Texts that are made for each who asks, one at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::timeout;

/// After a text that took some time to make there is a pause of so many times as long: making them takes a fifth of one
/// core at most, however many ask.
const PAUSE: u32 = 4;

/// The longest that somebody waits for their turn.
const WAIT: Duration = Duration::from_secs(5);

/// The most texts that are not read yet.
const UNREAD: usize = 4;

/// Makes texts one after the other. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    turn: Arc<Semaphore>,
    unread: Arc<Semaphore>,
}

impl Default for Lane {
    fn default() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), unread: Arc::new(Semaphore::new(UNREAD)) }
    }
}

impl Lane {
    /// The text that `make` makes, on another thread, with the permit to be kept until it is read; `None` when too many ask,
    /// or do not read.
    pub(super) async fn make(
        &self,
        make: impl FnOnce() -> String + Send + 'static,
    ) -> Option<(String, OwnedSemaphorePermit)> {
        // They are never closed.
        let permits = async {
            let unread = self.unread.clone().acquire_owned().await.ok()?;
            Some((unread, self.turn.clone().acquire_owned().await.ok()?))
        };
        let (unread, permit) = timeout(WAIT, permits).await.ok()??;
        let (done, text) = oneshot::channel();
        // It ends by itself, whoever has gone meanwhile.
        drop(tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let text = make();
            let took = began.elapsed();
            let _ = done.send(text);
            std::thread::sleep(took * PAUSE);
            drop(permit);
        }));
        Some((text.await.ok()?, unread))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn one_text_is_made_at_a_time_whoever_goes_meanwhile() {
        let lane = Lane::default();
        let (go, may) = mpsc::channel::<()>();
        let mut first = Box::pin(lane.make(move || {
            may.recv().unwrap();
            "first".to_owned()
        }));
        assert!(futures::poll!(&mut first).is_pending());
        // Who asked has gone, and the text is being made all the same.
        drop(first);
        let mut second = Box::pin(lane.make(|| "second".to_owned()));
        assert!(futures::poll!(&mut second).is_pending());
        go.send(()).unwrap();
        assert_eq!(second.await.map(|(text, _)| text).as_deref(), Some("second"));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_long() {
        let lane = Lane::default();
        let _permit = lane.turn.clone().acquire_owned().await.unwrap();
        assert!(lane.make(String::new).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn texts_that_nobody_reads_are_few() {
        let lane = Lane::default();
        let _unread = lane.unread.clone().acquire_many_owned(UNREAD as u32).await.unwrap();
        assert!(lane.make(String::new).await.is_none());
    }
}
