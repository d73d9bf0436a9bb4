//! The health of the endpoints of a pool, in sum.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use super::state::{Reason, Tick};
use super::strays::Strays;

/// The health of the endpoints of a pool, in sum.
#[derive(Debug, Default)]
pub struct PoolHealth {
    /// Endpoints that are not healthy, those too that flights alone still hold.
    failing: AtomicU32,
    /// From which ticks count.
    epoch: OnceLock<Instant>,
    /// Ejections by [`Reason`].
    ejections: [AtomicU64; Reason::ALL.len()],
    /// Errors of all endpoints that turned out to be the fault of requests.
    pub(super) strays: Strays,
}

impl PoolHealth {
    /// Whether an endpoint may be failing.
    #[inline]
    pub fn any(&self) -> bool {
        self.failing.load(Ordering::Relaxed) > 0
    }

    /// How often endpoints were ejected for `reason`.
    pub fn ejections(&self, reason: Reason) -> u64 {
        self.ejections[reason as usize].load(Ordering::Relaxed)
    }

    /// One more endpoint fails.
    pub(super) fn add(&self) {
        self.failing.fetch_add(1, Ordering::Relaxed);
    }

    /// One fails no more. This may come before its addition, when two threads change one endpoint; the counter wraps then
    /// for a moment.
    pub(super) fn take_back(&self) {
        self.failing.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self, reason: Reason) {
        self.ejections[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The tick of `at`, at least 1. What was before the first one asked about counts as that.
    pub(super) fn tick(&self, at: Instant) -> Tick {
        let epoch = *self.epoch.get_or_init(|| at);
        u64::try_from(at.saturating_duration_since(epoch).as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }
}
