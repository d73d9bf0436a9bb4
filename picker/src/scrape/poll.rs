//! The tasks that scrape the endpoints, one for each of each source, as long as the strategy needs what they tell.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use picker_core::scrape::SourceId;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::connection::Connection;
use super::job::{Job, SourceJob};
use super::outcome::{Failure, Page};
use super::pace::{Limits, Pace};
use super::reader::{PageReader, Reader};
use super::table::Hint;
use crate::metrics::Scraping;
use crate::watch::endpoint_set::Target;

/// The longest pause before an endpoint that can't be scraped is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The time that each of many endpoints that come at once adds until they are scraped again: the first
/// readings of all are worth more than the second ones of some, and a start waits for them.
const SHARE: Duration = Duration::from_micros(500);

/// The time between two moments at which endpoints at rest are scraped: together, because each time that an idle process
/// wakes costs more than a scrape does.
const TOGETHER: Duration = Duration::from_millis(500);

/// How much later than its moment a scrape may begin and yet be followed by one a whole number of moments later.
const LATE: Duration = Duration::from_millis(20);

/// The label of pages that are longer than what is read of them.
const TOO_LARGE: &str = "too-large";

/// The least time between two lines about one endpoint: there are servers that fail every other time.
const QUIET: Duration = Duration::from_secs(60);

/// The key of a task, which is of no use any more when it changes.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    endpoint: u64,
    source: SourceId,
    /// Where the page is, and what its host is called.
    at: (SocketAddr, Option<Arc<str>>),
    /// Engines.
    hint: Hint,
}

/// The scraping of all endpoints, as their tasks share it.
#[derive(Clone, Debug)]
pub struct Poll {
    /// What is scraped; nothing while it holds `None`.
    pub jobs: watch::Receiver<Option<Arc<Job>>>,
    /// Whether no requests flow, so that endpoints are scraped less often.
    pub resting: watch::Receiver<bool>,
    /// The number of replicas of the picker, which share what scraping costs the servers.
    pub replicas: watch::Receiver<u32>,
    /// The longest that a scrape may take.
    pub deadline: Duration,
    /// The moment that those at which endpoints at rest are scraped are counted from.
    pub origin: Instant,
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
                let at = Instant::now().into_std();
                now.iter().for_each(|target| target.readout.follow(job.sources.iter().map(|s| s.id), at));
                for source in &job.sources {
                    self.start(source, &now, &mut tasks, &mut kept);
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

    /// Moves the tasks that scrape `targets` as `source` says from `tasks` to `kept`, and begins those that are not there.
    fn start(
        &self,
        source: &Arc<SourceJob>,
        targets: &[Target],
        tasks: &mut HashMap<Key, AbortOnDropHandle<()>>,
        kept: &mut HashMap<Key, AbortOnDropHandle<()>>,
    ) {
        let key = |target: &Target| {
            let (Target { endpoint, pages, .. }, place) = (target, &source.place);
            let at = (place.address(endpoint.address, pages)?, place.name(pages));
            let hint = source.table.hint(&endpoint.labels);
            Some(Key { endpoint: endpoint.key, source: source.id, at, hint })
        };
        let keys: Vec<Option<Key>> = targets.iter().map(key).collect();
        let new = keys.iter().flatten().filter(|key| !tasks.contains_key(key)).count();
        let round = round(new, source.limits.interval);
        for (target, key) in targets.iter().zip(keys) {
            let Some(key) = key else {
                let now = Instant::now();
                self.note(
                    target,
                    source.id,
                    Err(Failure::NoAddress),
                    (now, now),
                    Duration::ZERO,
                    &mut Told::default(),
                );
                continue;
            };
            let task = tasks.remove(&key).unwrap_or_else(|| {
                let second = spread(target.endpoint.key, round);
                let connection = Connection::new(key.at.0, source.place.clone()).called(key.at.1.clone());
                let follow =
                    self.clone().follow(target.clone(), source.clone(), connection, key.hint.clone(), second);
                AbortOnDropHandle::new(tokio::spawn(follow))
            });
            kept.insert(key, task);
        }
    }

    /// Scrapes `target`, the second time `second` after the first. Another job takes effect at the next scrape.
    async fn follow(
        mut self,
        target: Target,
        mut job: Arc<SourceJob>,
        mut connection: Connection,
        hint: Hint,
        second: Duration,
    ) {
        let mut reader = Reader::new(&job.table, &target.endpoint);
        let (mut pace, mut second) = (Pace::default(), Some(second));
        let (mut backoff, mut told) = (Duration::ZERO, Told::default());
        loop {
            let started = Instant::now();
            let narrow = connection.is_narrow();
            let outcome = timeout(self.deadline, connection.scrape(&mut reader, &hint)).await;
            let outcome = outcome.unwrap_or(Err(Failure::Timeout));
            let ended = Instant::now();
            if connection.is_narrow() != narrow {
                pace.forget();
            }
            if outcome.is_ok() {
                pace.took(ended - started);
                backoff = Duration::ZERO;
            } else {
                reader.reset();
                let longest = LONGEST_PAUSE.max(job.limits.interval);
                backoff = (backoff.max(job.limits.interval / 2) * 2).min(longest);
            }
            let limits = self.limits(&job);
            let resting = *self.resting.borrow_and_update();
            let pause = pace.interval(&limits, resting).max(backoff);
            let next = match second.take() {
                Some(second) => started + second.max(pace.interval(&limits, false)),
                None if resting => together(self.origin, started + pause),
                None => started + pause,
            };
            // Until the next one may be over.
            let good_for = next.saturating_duration_since(ended) + self.deadline;
            note_health(&target, &job, outcome.as_ref().err());
            self.note(&target, job.id, outcome, (started, ended), good_for, &mut told);
            self.rest(started, next, &job, &pace, backoff, target.endpoint.key).await;
            let new = self.jobs.borrow().as_ref().and_then(|new| new.of(job.id).cloned());
            if let Some(new) = new.filter(|new| !Arc::ptr_eq(new, &job)) {
                if new.place != job.place {
                    let place = &new.place;
                    // Where it is not known any more, or somewhere else, another task takes over.
                    let Some(at) = place.address(target.endpoint.address, &target.pages) else { return };
                    connection = Connection::new(at, place.clone()).called(place.name(&target.pages));
                    pace.forget();
                }
                connection.want_others();
                reader.want(&new.table);
                job = new;
            }
        }
    }

    /// How often `job` lets this one of the replicas scrape.
    fn limits(&mut self, job: &SourceJob) -> Limits {
        job.limits.of_one_of(*self.replicas.borrow_and_update())
    }

    /// Notes the outcome of a scrape of `target` for `source`, of which began and end are given: the one place that learns of all.
    fn note(
        &self,
        target: &Target,
        id: SourceId,
        outcome: Result<Page, Failure>,
        (started, ended): (Instant, Instant),
        good_for: Duration,
        told: &mut Told,
    ) {
        let source = id.kind.source_type();
        let failed =
            |reason| self.scraping.errors.get_or_create(&crate::metrics::Failure { source, reason }).inc();
        let endpoint = target.endpoint.name.as_str();
        match outcome {
            Ok(page) => {
                self.scraping.duration.observe(ended - started);
                if told.is_news(false, ended) {
                    tracing::info!(endpoint, source, "pages are read again");
                }
                if page.cut {
                    failed(TOO_LARGE);
                }
                target.readout.record(id, Ok(page), ended.into_std(), good_for);
            }
            Err(failure) => {
                failed(failure.name());
                if told.is_news(true, ended) {
                    let address = target.endpoint.destination.as_str();
                    tracing::info!(endpoint, address, source, %failure, "pages can't be read");
                }
                target.readout.record(id, Err(&failure), ended.into_std(), good_for);
            }
        }
        self.scraped.notify_one();
    }

    /// Waits from a scrape that `started` until the `next` one, or less when another job has a shorter interval than `job`, when
    /// requests flow again, or when there are fewer replicas.
    async fn rest(
        &mut self,
        started: Instant,
        mut next: Instant,
        job: &SourceJob,
        pace: &Pace,
        backoff: Duration,
        key: u64,
    ) {
        loop {
            tokio::select! {
                () = sleep_until(next) => return,
                // Without a sender, whoever runs this ends soon.
                Ok(()) = self.jobs.changed() => {
                    let new = self.jobs.borrow_and_update();
                    let new = new.as_ref().and_then(|new| new.of(job.id));
                    let interval = new.map(|new| new.limits.interval);
                    if let Some(interval) = interval.filter(|interval| *interval < job.limits.interval) {
                        next = next.min(Instant::now() + spread(key, interval));
                    }
                    continue;
                }
                Ok(()) = self.resting.changed() => {}
                Ok(()) = self.replicas.changed() => {}
            }
            let (limits, resting) = (self.limits(job), *self.resting.borrow_and_update());
            let soon = Instant::now() + spread(key, job.limits.interval);
            let affordable = started + pace.interval(&limits, resting).max(backoff);
            // Never later than was said: until then what was read last counts.
            next = next.min(soon.max(affordable));
        }
    }
}

/// Notes for the health of `target` that a scrape of it went well, or its `failure`. A server of pages of its own says
/// nothing of the one that serves requests.
fn note_health(target: &Target, job: &SourceJob, failure: Option<&Failure>) {
    let (settings, endpoint) = (&job.health, &target.endpoint);
    if !settings.enabled || !job.place.is_served_at(endpoint.address, &target.pages) {
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

/// The first moment at which endpoints at rest are scraped, counted from `origin`, that is not before `due`, or hardly.
fn together(origin: Instant, due: Instant) -> Instant {
    let since = due.saturating_duration_since(origin).saturating_sub(LATE);
    let moments = since.as_nanos().div_ceil(TOGETHER.as_nanos());
    origin + TOGETHER * u32::try_from(moments).unwrap_or(u32::MAX)
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
