//! Connections to endpoints that nobody scrapes: whether somebody listens there.
//!
//! Scrapes say so by the way. A strategy that reads no metrics would learn it from requests that fail: so a connection is
//! made to each endpoint when it comes, and from time to time while it fails. Nothing is sent.

use std::collections::HashSet;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use picker_core::Hot;
use picker_core::health::{Phase, Settings};
use picker_core::scrape::SourceKind;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::job::{Job, SourceJob};
use super::outcome::Failure;
use crate::watch::endpoint_set::Target;

/// The time from one connection to an endpoint that fails to the next.
const AGAIN: Duration = Duration::from_millis(500);
/// How long a connection may take.
const DEADLINE: Duration = Duration::from_secs(1);
/// The longest time from one page of others than metrics to the next by which an endpoint counts as scraped: a list of models
/// that is read seldom would tell late that it listens again.
const OFTEN: Duration = Duration::from_secs(1);
/// Connections at a time.
const AT_ONCE: usize = 32;

/// The task that makes the connections.
#[derive(Debug)]
pub struct Reach {
    /// What is scraped.
    pub jobs: watch::Receiver<Option<Arc<Job>>>,
    /// The endpoints.
    pub targets: watch::Receiver<Arc<[Target]>>,
    /// The strategy that serves, which says whether their health matters.
    pub hot: Arc<Hot>,
}

impl Reach {
    /// Makes them until a sender is gone.
    pub async fn run(mut self) {
        let mut known: HashSet<(u64, SocketAddr)> = HashSet::new();
        loop {
            let targets = self.targets.borrow_and_update().clone();
            let job = self.jobs.borrow_and_update().clone();
            let settings = self.hot.current().map(|strategy| strategy.health);
            let key = |target: &Target| (target.endpoint.key, target.endpoint.address);
            if let Some(settings) = settings.filter(|settings| settings.enabled) {
                let now = Instant::now().into_std();
                let unknown = |target: &&Target| {
                    let healthy = target.endpoint.health().status(now).phase == Phase::Healthy;
                    !(is_scraped(job.as_deref(), target) || healthy && known.contains(&key(target)))
                };
                let looks = targets.iter().filter(unknown).map(|target| look(target, &settings));
                futures::stream::iter(looks).for_each_concurrent(AT_ONCE, |look| look).await;
                known = targets.iter().map(key).collect();
            }
            let all_scraped = targets.iter().all(|target| is_scraped(job.as_deref(), target));
            let again = async {
                // An idle process that wakes for nothing costs more than its scrapes do.
                if all_scraped { pending().await } else { sleep(AGAIN).await }
            };
            let changed = tokio::select! {
                changed = self.targets.changed() => changed,
                changed = self.jobs.changed() => changed,
                () = again => Ok(()),
            };
            if changed.is_err() {
                return;
            }
        }
    }
}

/// Whether scrapes of `target` as `job` says tell if somebody listens there.
fn is_scraped(job: Option<&Job>, target: &Target) -> bool {
    let of = |source: &Arc<SourceJob>| {
        let often = source.id.kind == SourceKind::Metrics || source.limits.interval <= OFTEN;
        often && source.place.is_served_at(target.endpoint.address, &target.pages)
    };
    job.is_some_and(|job| job.sources.iter().any(of))
}

/// Makes a connection to `target`, and notes what came of it.
async fn look(target: &Target, settings: &Settings) {
    let made = timeout(DEADLINE, TcpStream::connect(target.endpoint.address)).await;
    let (health, now) = (target.endpoint.health(), Instant::now().into_std());
    match made {
        Ok(Ok(_)) => health.connected(now),
        Ok(Err(error)) => {
            if Failure::Connect(error).is_refusal() {
                health.refused(now, settings);
            }
        }
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests;
