//! The renders under way at one server, and whether it is asked at all: one that fails is left alone for a while, so that
//! requests don't wait for it one after the other.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::http::PostError;
use crate::store::State;

#[cfg(test)]
mod tests;

/// The most requests that wait for a server at the same time.
const MOST_WAITING: usize = 256;

/// After so many failures in a row a server is left alone.
const FAILURES: u64 = 3;

/// For how long at first, and at most.
const REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(30);

/// For how long one is not asked for what it does not have: another release may take its place.
const MISSING: Duration = Duration::from_secs(60);

/// The reasons why a server is not asked, as the label of metrics carries them.
pub(in crate::plugins) const BUSY: &str = "busy";
pub(in crate::plugins) const RESTING: &str = "resting";

/// What is known of one server. Times are nanoseconds since `start`.
#[derive(Debug, Default)]
pub(in crate::plugins) struct Renders {
    start: OnceLock<Instant>,
    waiting: AtomicUsize,
    /// Failures in a row.
    failures: AtomicU64,
    /// Until when it is left alone.
    rests: AtomicU64,
    /// How many answers in a row said that it has no such path.
    misses: [AtomicU64; PATHS],
    /// Until when it is not asked at each of its paths.
    missing: [AtomicU64; PATHS],
}

/// The number of paths at which servers are asked.
pub(in crate::plugins) const PATHS: usize = 4;

impl Renders {
    fn nanos(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(*self.start.get_or_init(|| at));
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Lets a request ask at `path` from `now` on.
    ///
    /// # Errors
    /// When it must not: the reason.
    pub fn begin(self: &Arc<Self>, path: usize, now: Instant) -> Result<Render, &'static str> {
        let nanos = self.nanos(now);
        let rests = self.rests.load(Ordering::Relaxed);
        if nanos < rests || nanos < self.missing[path].load(Ordering::Relaxed) {
            return Err(RESTING);
        }
        if self.failures.load(Ordering::Relaxed) >= FAILURES {
            // One alone tries whether it is well again.
            let next = nanos.saturating_add(REST.as_nanos() as u64);
            if self.rests.compare_exchange(rests, next, Ordering::Relaxed, Ordering::Relaxed).is_err() {
                return Err(RESTING);
            }
        }
        let more = |waiting: usize| (waiting < MOST_WAITING).then_some(waiting + 1);
        if self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            return Err(BUSY);
        }
        Ok(Render { renders: self.clone(), path, began: now })
    }

    /// A request gave up waiting at `now`, or had no answer. Whether it is left alone from now on, and was not before.
    pub fn failed(&self, now: Instant) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures < FAILURES {
            return false;
        }
        let doubled = REST.saturating_mul(1 << (failures - FAILURES).min(10));
        let until = self.nanos(now).saturating_add(doubled.min(LONGEST_REST).as_nanos() as u64);
        self.rests.fetch_max(until, Ordering::Relaxed);
        failures == FAILURES
    }

    fn is_well(&self) {
        if self.failures.swap(0, Ordering::Relaxed) > 0 {
            self.rests.store(0, Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

impl State for Renders {
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn max_bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// A render under way. It is counted until it is dropped.
#[derive(Debug)]
pub(in crate::plugins) struct Render {
    renders: Arc<Renders>,
    path: usize,
    began: Instant,
}

impl Render {
    /// It has ended so. Whether the server is left alone from now on.
    pub fn ended(self, error: Option<PostError>) -> bool {
        let renders = &self.renders;
        match error {
            None => {
                renders.is_well();
                renders.misses[self.path].store(0, Ordering::Relaxed);
            }
            // It has no such path, or no such model; or not what this request names.
            Some(PostError::Status(404 | 405 | 501)) => {
                renders.is_well();
                if renders.misses[self.path].fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES {
                    let until = renders.nanos(self.began).saturating_add(MISSING.as_nanos() as u64);
                    renders.missing[self.path].store(until, Ordering::Relaxed);
                }
            }
            Some(PostError::Status(408 | 429)) => return renders.failed(self.began),
            // It does not take this request, or gave an answer that there was no place for.
            Some(PostError::Status(400..=499) | PostError::NoRoom | PostError::TooLong) => renders.is_well(),
            Some(_) => return renders.failed(self.began),
        }
        false
    }
}

impl Drop for Render {
    fn drop(&mut self) {
        self.renders.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
