//! An executor that runs each stream of a connection as a task of its own, as hyper does by itself.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hyper::rt::Executor;
use tokio::task::JoinSet;

/// The tasks of a connection's streams. Those that are left when it is dropped are aborted.
#[derive(Debug, Default)]
pub(crate) struct SpawnedStreams(Arc<Mutex<JoinSet<()>>>);

/// The executor for hyper: it spawns for as long as its [`SpawnedStreams`] are there. Streams may hold it, so it does
/// not hold them.
#[derive(Clone, Debug)]
pub(crate) struct Spawner(Weak<Mutex<JoinSet<()>>>);

impl SpawnedStreams {
    /// The executor whose tasks these are.
    pub(crate) fn spawner(&self) -> Spawner {
        Spawner(Arc::downgrade(&self.0))
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, stream: F) {
        let Some(streams) = self.0.upgrade() else { return };
        let mut streams = lock(&streams);
        // Those that have ended leave; of one that panicked the log tells.
        while streams.try_join_next().is_some() {}
        streams.spawn(stream);
    }
}

fn lock(streams: &Mutex<JoinSet<()>>) -> MutexGuard<'_, JoinSet<()>> {
    streams.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn streams_that_ended_leave_and_the_others_end_with_the_connection() {
        let (streams, held) = (SpawnedStreams::default(), Arc::new(()));
        let spawner = streams.spawner();
        for _ in 0..3 {
            spawner.execute(async {});
            tokio::task::yield_now().await;
        }
        assert_eq!(lock(&streams.0).len(), 1);
        let stream = held.clone();
        spawner.execute(async move {
            pending::<()>().await;
            drop(stream);
        });
        tokio::task::yield_now().await;
        drop(streams);
        while Arc::strong_count(&held) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
