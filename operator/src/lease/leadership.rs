//! The leadership of a process, which ends by itself when it is not renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio::time::Instant;

/// The leadership of this process, shared by everything that writes.
#[derive(Clone, Debug)]
pub struct Leadership(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    epoch: Instant,
    /// Milliseconds after the epoch until which the Lease is held.
    until: AtomicU64,
    gained: Notify,
}

impl Default for Leadership {
    fn default() -> Self {
        Self(Arc::new(Shared { epoch: Instant::now(), until: AtomicU64::new(0), gained: Notify::new() }))
    }
}

impl Leadership {
    /// The leadership of a process that is alone.
    pub fn alone() -> Self {
        let leadership = Self::default();
        leadership.0.until.store(u64::MAX, Ordering::Release);
        leadership.0.gained.notify_one();
        leadership
    }

    /// Whether this process leads now.
    pub fn holds(&self) -> bool {
        let now = self.0.epoch.elapsed().as_millis();
        now < u128::from(self.0.until.load(Ordering::Acquire))
    }

    /// Returns when leadership has been gained anew.
    pub async fn gained(&self) {
        self.0.gained.notified().await;
    }

    pub(super) fn extend(&self, until: Instant) {
        let led = self.holds();
        let until = until.saturating_duration_since(self.0.epoch).as_millis();
        self.0.until.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Release);
        if !led && self.holds() {
            self.0.gained.notify_one();
        }
    }

    pub(super) fn end(&self) {
        self.0.until.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn leadership_ends_by_itself() {
        let leadership = Leadership::default();
        assert!(!leadership.holds());
        leadership.extend(Instant::now() + Duration::from_secs(10));
        leadership.gained().await;
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert!(leadership.holds());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!leadership.holds());
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_is_no_gain() {
        let leadership = Leadership::default();
        leadership.extend(Instant::now() + Duration::from_secs(10));
        leadership.gained().await;
        leadership.extend(Instant::now() + Duration::from_secs(20));
        assert!(tokio::time::timeout(Duration::from_secs(1), leadership.gained()).await.is_err());
    }
}
