//! The task that owns the set of endpoints and publishes the view.

use std::sync::Arc;
use std::time::Duration;

use picker_core::View;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::doubt::Doubts;
use super::endpoint_set::{EndpointSet, Target};
use super::wanted::Wanted;
use crate::metrics::Scraping;
use crate::view::SharedView;

#[cfg(test)]
mod tests;

/// The shortest time between two views that differ only in readings.
const SPACING: Duration = Duration::from_millis(10);

/// The same while no requests flow, and the longest time between two views then.
const REST: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(10));

/// The settings of views.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Readings that are older count as unknown.
    pub stale_after: Duration,
    /// The longest time between two views while endpoints are scraped.
    pub tick: Duration,
}

/// The progress towards a first view, for readiness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Whether it is known which endpoints there are.
    pub listed: bool,
    /// How many there are.
    pub endpoints: usize,
    /// How many of them were scraped at least once, well or not.
    pub attempted: usize,
}

/// The task, with what it reads and writes.
#[derive(Debug)]
pub struct Publisher {
    /// The endpoints that there should be.
    pub wanted: watch::Receiver<Wanted>,
    /// Whether endpoints are scraped.
    pub scrape: watch::Receiver<bool>,
    /// Notified after each scrape.
    pub scraped: Arc<Notify>,
    /// After which time figures that do not move are doubted; zero is never.
    pub doubt_after: watch::Receiver<Duration>,
    /// Whether no requests flow.
    pub resting: watch::Receiver<bool>,
    /// The view that it publishes.
    pub view: SharedView,
    /// The endpoints to scrape.
    pub targets: watch::Sender<Arc<[Target]>>,
    /// The progress that it tells.
    pub progress: watch::Sender<Progress>,
    /// Figures of the readings in use.
    pub scraping: Scraping,
    /// The settings of views.
    pub settings: Settings,
}

impl Publisher {
    /// Publishes until a sender is gone.
    pub async fn run(mut self) {
        let mut endpoints = EndpointSet::default();
        let mut doubts = Doubts::default();
        let mut listed = false;
        let mut scrape = *self.scrape.borrow_and_update();
        // A value may be there already.
        self.wanted.mark_changed();
        let mut last = Instant::now();
        let mut due: Option<Instant> = None;
        loop {
            let timer = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = self.wanted.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let wanted = self.wanted.borrow_and_update().clone();
                    let Some(wanted) = wanted else { continue };
                    let changed = endpoints.apply(wanted.iter().cloned());
                    if changed {
                        self.targets.send_replace(endpoints.targets().cloned().collect());
                        tracing::info!(endpoints = endpoints.targets().len(), "the endpoints changed");
                    }
                    if listed && !changed {
                        continue;
                    }
                    listed = true;
                }
                changed = self.scrape.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    scrape = *self.scrape.borrow_and_update();
                }
                () = self.scraped.notified() => {
                    let soon = last + if *self.resting.borrow() { REST.0 } else { SPACING };
                    if due.is_none_or(|due| soon < due) {
                        due = Some(soon);
                    }
                    continue;
                }
                () = timer => {}
            }
            last = Instant::now();
            let tick =
                if *self.resting.borrow() { self.settings.tick.max(REST.1) } else { self.settings.tick };
            due = scrape.then(|| last + tick);
            self.publish(&endpoints, &mut doubts, listed, scrape, last);
        }
    }

    fn publish(
        &self,
        endpoints: &EndpointSet,
        doubts: &mut Doubts,
        listed: bool,
        scrape: bool,
        now: Instant,
    ) {
        let now = now.into_std();
        let stale_after = self.settings.stale_after;
        let (mut known, mut oldest) = (0, Duration::ZERO);
        let mut rows = Vec::with_capacity(endpoints.targets().len());
        for target in endpoints.targets() {
            let (reading, age) = target.readout.reading_for(stale_after, now);
            known += usize::from(age.is_some());
            oldest = oldest.max(age.unwrap_or_default());
            rows.push((target.endpoint.clone(), reading));
        }
        let after = *self.doubt_after.borrow();
        for (target, (endpoint, reading)) in endpoints.targets().zip(&mut rows) {
            doubts.look(endpoint, &mut reading.signals, now, after);
            target.readout.doubt(doubts.doubts(endpoint.key), now);
        }
        doubts.sweep();
        self.scraping.oldest.set(oldest.as_secs_f64());
        self.scraping.unknown.set(if scrape { (rows.len() - known) as i64 } else { 0 });

        let view = View::build(rows, now, stale_after).sharing_endpoints(&self.view.load());
        self.view.store(Arc::new(view));
        let progress = Progress {
            listed,
            endpoints: endpoints.targets().len(),
            attempted: endpoints.targets().filter(|t| t.readout.attempted()).count(),
        };
        self.progress.send_if_modified(|old| std::mem::replace(old, progress) != progress);
    }
}
