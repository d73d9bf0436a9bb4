//! The tasks that scrape the endpoints, one for each, as long as the strategy needs their metrics.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use picker_core::Endpoint;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::connection::{Connection, Failure};
use super::job::Job;
use super::scan::Scanner;
use super::table::Hint;
use crate::metrics::Scraping;
use crate::watch::endpoint_set::Target;

/// The longest pause before an endpoint that can't be scraped is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The time that each of many endpoints that come at once adds until they are scraped again: the first
/// readings of all are worth more than the second ones of some, and a start waits for them.
const SHARE: Duration = Duration::from_micros(500);

/// The least time between two lines about one endpoint: there are servers that fail every other time.
const QUIET: Duration = Duration::from_secs(60);

/// The key of a task, which is of no use any more when it changes: endpoint, address and engines.
type Key = (u64, SocketAddr, Hint);

/// The scraping of all endpoints, as their tasks share it.
#[derive(Clone, Debug)]
pub struct Poll {
    /// What is scraped; nothing while it holds `None`.
    pub jobs: watch::Receiver<Option<Arc<Job>>>,
    /// The longest that a scrape may take.
    pub deadline: Duration,
    /// What is counted.
    pub scraping: Scraping,
    /// Rung after each scrape.
    pub scraped: Arc<Notify>,
}

impl Poll {
    /// Scrapes `targets` as the job says. Ends when either sender is gone.
    pub async fn run(mut self, mut targets: watch::Receiver<Arc<[Target]>>) {
        let mut tasks: HashMap<Key, AbortOnDropHandle<()>> = HashMap::new();
        loop {
            let job = self.jobs.borrow_and_update().clone();
            let mut kept = HashMap::new();
            if let Some(job) = job {
                let now = targets.borrow_and_update().clone();
                let key = |Target { endpoint, .. }: &Target| -> Key {
                    (endpoint.key, endpoint.address, job.table.hint(&endpoint.labels))
                };
                let new = now.iter().filter(|target| !tasks.contains_key(&key(target))).count();
                let round = round(new, job.interval);
                kept.reserve(now.len());
                for target in now.iter() {
                    let key = key(target);
                    let task = tasks.remove(&key).unwrap_or_else(|| {
                        let second = spread(target.endpoint.key, round);
                        let follow = self.clone().follow(target.clone(), job.clone(), key.2.clone(), second);
                        AbortOnDropHandle::new(tokio::spawn(follow))
                    });
                    kept.insert(key, task);
                }
            }
            // Whose endpoint is gone ends here.
            tasks = kept;
            let changed = tokio::select! {
                changed = targets.changed() => changed,
                changed = self.jobs.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Scrapes `target`, the second time `second` after the first. Another job takes effect at the next scrape.
    async fn follow(mut self, target: Target, mut job: Arc<Job>, hint: Hint, second: Duration) {
        let mut connection = Connection::new(target.endpoint.address, job.place.clone());
        let mut scanner = Scanner::new(job.table.clone());
        let (mut pause, mut second) = (job.interval, Some(second));
        let (mut failing, mut told) = (false, Told::default());
        loop {
            let started = Instant::now();
            let done = timeout(self.deadline, connection.scrape(&mut scanner, &hint)).await;
            let done = done.unwrap_or(Err(Failure::Timeout));
            note(&target.endpoint, &job, done.as_ref().err());
            match done {
                Ok(signals) => {
                    let ended = Instant::now();
                    self.scraping.duration.observe(ended - started);
                    target.readout.record(signals, ended.into_std());
                    if std::mem::take(&mut failing) {
                        pause = job.interval;
                    }
                    if told.is_news(failing, ended) {
                        tracing::info!(endpoint = target.endpoint.name, "metrics are read again");
                    }
                }
                Err(failure) => {
                    scanner.reset();
                    let reason = crate::metrics::Failure { reason: failure.name() };
                    self.scraping.errors.get_or_create(&reason).inc();
                    failing = true;
                    if told.is_news(failing, Instant::now()) {
                        let address = target.endpoint.destination.as_str();
                        tracing::info!(endpoint = target.endpoint.name, address, %failure, "metrics can't be read");
                    }
                    target.readout.failed();
                }
            }
            self.scraped.notify_one();
            self.rest(started + second.take().unwrap_or(pause), &job, target.endpoint.key).await;
            let new = self.jobs.borrow().clone().filter(|new| !Arc::ptr_eq(new, &job));
            if let Some(new) = new {
                if new.place != job.place {
                    connection = Connection::new(target.endpoint.address, new.place.clone());
                }
                scanner.want(new.table.clone());
                (pause, job) = (new.interval, new);
            }
            let interval = job.interval;
            pause = if failing { (pause * 2).clamp(interval, LONGEST_PAUSE.max(interval)) } else { interval };
        }
    }

    /// Waits for `until`, or less when another job has a shorter interval than `job`.
    async fn rest(&mut self, mut until: Instant, job: &Job, key: u64) {
        loop {
            tokio::select! {
                () = sleep_until(until) => return,
                // Without a sender, whoever runs this ends soon.
                Ok(()) = self.jobs.changed() => {
                    let interval = self.jobs.borrow_and_update().as_ref().map(|job| job.interval);
                    if let Some(interval) = interval.filter(|interval| *interval < job.interval) {
                        until = until.min(Instant::now() + spread(key, interval));
                    }
                }
            }
        }
    }
}

/// Notes for the health of `endpoint` that a scrape of it went well, or its `failure`. A server of metrics of its own says
/// nothing of the one that serves requests.
fn note(endpoint: &Endpoint, job: &Job, failure: Option<&Failure>) {
    let settings = &job.table.plan().health;
    if !settings.enabled || !job.place.is_served_at(endpoint.address) {
        return;
    }
    match failure {
        None => endpoint.health().connected(Instant::now().into_std()),
        Some(failure) if failure.is_refusal() => {
            endpoint.health().refused(Instant::now().into_std(), settings);
        }
        Some(_) => {}
    }
}

/// The last line about an endpoint in the log.
#[derive(Debug, Default)]
struct Told {
    failing: bool,
    at: Option<Instant>,
}

impl Told {
    /// Whether the log should say that it fails, or that it no longer does.
    fn is_news(&mut self, failing: bool, now: Instant) -> bool {
        let news = failing != self.failing && self.at.is_none_or(|at| now.duration_since(at) >= QUIET);
        if news {
            *self = Self { failing, at: Some(now) };
        }
        news
    }
}

/// The time over which the second scrapes of `new` endpoints are spread.
fn round(new: usize, interval: Duration) -> Duration {
    let shares = SHARE.saturating_mul(u32::try_from(new).unwrap_or(u32::MAX));
    shares.min(LONGEST_PAUSE).max(interval)
}

/// A pause of a half to a whole round after the first scrape, different for each endpoint, so that
/// they are not all scraped at the same moment.
fn spread(key: u64, round: Duration) -> Duration {
    // Fibonacci hashing: neighbouring keys land far apart.
    let fraction = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as f64 / f64::from(1u32 << 24);
    round.mul_f64(0.5 + fraction / 2.0)
}

#[cfg(test)]
mod tests;
