//! The tasks that scrape the endpoints, one for each, as long as the strategy needs their metrics.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::connection::{Connection, Failure, Place};
use super::engine::Engine;
use super::scan::Scanner;
use crate::metrics::Scraping;
use crate::watch::endpoint_set::Target;

/// The longest pause before an endpoint that can't be scraped is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The time that each of many endpoints that come at once adds until they are scraped again: the first
/// readings of all are worth more than the second ones of some, and a start waits for them.
const SHARE: Duration = Duration::from_micros(500);

/// The least time between two lines about one endpoint: there are servers that fail every other time.
const QUIET: Duration = Duration::from_secs(60);

/// The settings of scraping.
#[derive(Clone, Debug)]
pub struct Settings {
    /// From the start of one scrape to the start of the next.
    pub interval: Duration,
    /// The longest that one may take.
    pub deadline: Duration,
    /// Where their metrics are.
    pub place: Place,
}

/// The key of a task, which is of no use any more when it changes: endpoint, address and engine.
type Key = (u64, SocketAddr, Option<u8>);

/// Scrapes `targets` while `wanted` holds true. Ends when either sender is gone.
pub async fn run(
    mut targets: watch::Receiver<Arc<[Target]>>,
    mut wanted: watch::Receiver<bool>,
    settings: Settings,
    scraping: Scraping,
    scraped: Arc<Notify>,
) {
    let mut tasks: HashMap<Key, AbortOnDropHandle<()>> = HashMap::new();
    loop {
        let now =
            if *wanted.borrow_and_update() { targets.borrow_and_update().clone() } else { Arc::default() };
        let key = |target: &Target| {
            let hint = Engine::of(&target.endpoint.labels);
            ((target.endpoint.key, target.endpoint.address, hint.map(|h| h as u8)), hint)
        };
        let new = now.iter().filter(|target| !tasks.contains_key(&key(target).0)).count();
        let round = round(new, settings.interval);
        let mut kept = HashMap::with_capacity(now.len());
        for target in now.iter() {
            let (key, hint) = key(target);
            let task = tasks.remove(&key).unwrap_or_else(|| {
                let second = spread(target.endpoint.key, round);
                let (target, settings) = (target.clone(), settings.clone());
                let follow = follow(target, hint, second, settings, scraping.clone(), scraped.clone());
                AbortOnDropHandle::new(tokio::spawn(follow))
            });
            kept.insert(key, task);
        }
        // Whose endpoint is gone ends here.
        tasks = kept;
        let changed = tokio::select! {
            changed = targets.changed() => changed,
            changed = wanted.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Scrapes `target`, the second time `second` after the first.
async fn follow(
    target: Target,
    hint: Option<Engine>,
    second: Duration,
    settings: Settings,
    scraping: Scraping,
    scraped: Arc<Notify>,
) {
    let Settings { interval, deadline, place } = settings;
    let mut connection = Connection::new(target.endpoint.address, place);
    let mut scanner = Scanner::default();
    let (mut pause, mut second) = (interval, Some(second));
    let (mut failing, mut told) = (false, Told::default());
    loop {
        let started = Instant::now();
        let done = timeout(deadline, connection.scrape(&mut scanner, hint)).await;
        match done.unwrap_or(Err(Failure::Timeout)) {
            Ok(signals) => {
                let ended = Instant::now();
                scraping.duration.observe(ended - started);
                target.readout.record(signals, ended.into_std());
                if std::mem::take(&mut failing) {
                    pause = interval;
                }
                if told.is_news(failing, ended) {
                    tracing::info!(endpoint = target.endpoint.name, "metrics are read again");
                }
            }
            Err(failure) => {
                scanner.reset();
                scraping.errors.get_or_create(&crate::metrics::Failure { reason: failure.name() }).inc();
                failing = true;
                if told.is_news(failing, Instant::now()) {
                    let address = target.endpoint.destination.as_str();
                    tracing::info!(endpoint = target.endpoint.name, address, %failure, "metrics can't be read");
                }
                target.readout.failed();
            }
        }
        scraped.notify_one();
        sleep_until(started + second.take().unwrap_or(pause)).await;
        pause = if failing { (pause * 2).clamp(interval, LONGEST_PAUSE.max(interval)) } else { interval };
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
