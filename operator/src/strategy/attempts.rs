//! Running reconciles, for the liveness probe, and failed ones in a row, for the wait before the next.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Running and failed reconciles.
#[derive(Debug, Default)]
pub struct Attempts {
    /// How often in a row work on a strategy failed, by its UID.
    failures: Mutex<HashMap<String, u32>>,
    /// Since when a strategy is worked on, by its name.
    running: Mutex<HashMap<String, Instant>>,
}

/// A reconcile that runs; ends when dropped.
#[derive(Debug)]
pub struct Running<'a> {
    attempts: &'a Attempts,
    name: String,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        lock(&self.attempts.running).remove(&self.name);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Attempts {
    /// Notes that a reconcile runs.
    pub fn running(&self, name: String) -> Running<'_> {
        lock(&self.running).insert(name.clone(), Instant::now());
        Running { attempts: self, name }
    }

    /// How long the oldest of the reconciles that run has been running.
    pub fn oldest_run(&self, now: Instant) -> Duration {
        lock(&self.running).values().map(|since| now.duration_since(*since)).max().unwrap_or_default()
    }

    /// Notes that work on a strategy failed, and tells how often it had before, in a row.
    pub fn failed(&self, strategy: &str) -> u32 {
        let mut failures = lock(&self.failures);
        let count = failures.entry(strategy.to_owned()).or_default();
        let before = *count;
        *count = count.saturating_add(1);
        before
    }

    /// Notes that work on a strategy succeeded.
    pub fn succeeded(&self, strategy: &str) {
        lock(&self.failures).remove(strategy);
    }

    /// Forgets the strategies that are not there any more.
    pub fn prune(&self, is_there: impl Fn(&str) -> bool) {
        lock(&self.failures).retain(|uid, _| is_there(uid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_until_something_succeeds() {
        let attempts = Attempts::default();
        assert_eq!([attempts.failed("a"), attempts.failed("a"), attempts.failed("b")], [0, 1, 0]);
        attempts.succeeded("a");
        assert_eq!([attempts.failed("a"), attempts.failed("b")], [0, 1]);
    }
}
