//! The requests that wait for their bodies: how many there are, and for how long the oldest of them has waited.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::time::Instant;

/// How long a request waits before it counts as one that waits long.
pub const LONG: Duration = Duration::from_secs(5);

/// Seconds in which requests that don't wait long yet may have begun to wait, and some more.
const SECONDS: usize = 16;

/// The requests that wait for their bodies. One that begins to wait or ends costs an addition; those that wait long
/// take a lock.
#[derive(Clone, Debug)]
pub struct Waiting(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    /// How many began to wait in each second since `started`, modulo the number of rows.
    recent: [AtomicUsize; SECONDS],
    long: Mutex<Long>,
    /// The second in which a request that waits long was last told about.
    told: AtomicU64,
}

/// Requests that wait long, by when they began and a number of their own.
#[derive(Debug, Default)]
struct Long {
    waiting: BTreeSet<(Instant, u64)>,
    next: u64,
}

impl Default for Waiting {
    fn default() -> Self {
        Self(Arc::new(Inner {
            started: Instant::now(),
            recent: Default::default(),
            long: Mutex::default(),
            told: AtomicU64::new(u64::MAX),
        }))
    }
}

impl Waiting {
    /// A request that waits from now on.
    pub fn begin(&self) -> Waiter<'_> {
        let since = Instant::now();
        let row = self.0.second(since) as usize % SECONDS;
        self.0.recent[row].fetch_add(1, Ordering::Relaxed);
        Waiter { waiting: &self.0, since, place: Place::Recent(row) }
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        let recent: usize = self.0.recent.iter().map(|row| row.load(Ordering::Relaxed)).sum();
        recent + self.0.long().waiting.len()
    }

    /// How long the oldest has waited; whole seconds below [`LONG`].
    pub fn age(&self) -> Duration {
        let now = Instant::now();
        if let Some((since, _)) = self.0.long().waiting.first() {
            return now.duration_since(*since);
        }
        let second = self.0.second(now);
        let began = |age: &u64| {
            let row = second.checked_sub(*age).map(|second| second as usize % SECONDS);
            row.is_some_and(|row| self.0.recent[row].load(Ordering::Relaxed) > 0)
        };
        Duration::from_secs((0..SECONDS as u64).rev().find(began).unwrap_or_default())
    }
}

impl Inner {
    fn second(&self, at: Instant) -> u64 {
        at.duration_since(self.started).as_secs()
    }

    fn long(&self) -> MutexGuard<'_, Long> {
        self.long.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request that waits. It is counted until it is dropped.
#[derive(Debug)]
pub struct Waiter<'a> {
    waiting: &'a Inner,
    since: Instant,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// In this row.
    Recent(usize),
    /// Under this number.
    Long(u64),
}

impl Waiter<'_> {
    /// When it will have waited long; `None` once [`Waiter::waits_long`] was called.
    pub fn long_at(&self) -> Option<Instant> {
        matches!(self.place, Place::Recent(_)).then(|| self.since + LONG)
    }

    /// Counts it as one that waits long. Whether the log should tell: of many at once one in a second is told about.
    pub fn waits_long(&mut self) -> bool {
        self.leave();
        let mut long = self.waiting.long();
        let number = long.next;
        long.next += 1;
        long.waiting.insert((self.since, number));
        self.place = Place::Long(number);
        let second = self.waiting.second(Instant::now());
        self.waiting.told.swap(second, Ordering::Relaxed) != second
    }

    fn leave(&self) {
        match self.place {
            Place::Recent(row) => {
                self.waiting.recent[row].fetch_sub(1, Ordering::Relaxed);
            }
            Place::Long(number) => {
                self.waiting.long().waiting.remove(&(self.since, number));
            }
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Collector for Waiting {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: f64| {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)
        };
        gauge("body_waits", "Requests that wait for their bodies", self.count() as f64)?;
        let help =
            "For how long the oldest of the requests that wait for their bodies has waited; 0 without any";
        gauge("body_wait_age_seconds", help, self.age().as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn seen(waiting: &Waiting) -> (usize, f64) {
        (waiting.count(), waiting.age().as_secs_f64())
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_is_known_at_any_age() {
        let waiting = Waiting::default();
        assert_eq!(seen(&waiting), (0, 0.0));
        advance(Duration::from_secs(1000)).await;
        let mut first = waiting.begin();
        advance(Duration::from_secs(3)).await;
        let second = waiting.begin();
        assert_eq!(seen(&waiting), (2, 3.0));
        advance(Duration::from_millis(2500)).await;
        assert_eq!(first.long_at(), Some(first.since + LONG));
        assert!(first.waits_long());
        assert_eq!((first.long_at(), seen(&waiting)), (None, (2, 5.5)));
        advance(Duration::from_secs(100)).await;
        assert_eq!(seen(&waiting), (2, 105.5));
        drop(first);
        assert_eq!(waiting.count(), 1);
        drop(second);
        assert_eq!(seen(&waiting), (0, 0.0));
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_one_in_a_second_is_told_about() {
        let waiting = Waiting::default();
        let mut told = Vec::new();
        for _ in 0..3 {
            let mut waiters = [(); 10].map(|()| waiting.begin());
            told.push(waiters.iter_mut().filter_map(|waiter| waiter.waits_long().then_some(())).count());
            assert_eq!(waiting.count(), 10);
            advance(Duration::from_secs(1)).await;
        }
        assert_eq!((told, waiting.count()), (vec![1, 1, 1], 0));
    }
}
