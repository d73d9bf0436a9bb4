//! The scrape job of the strategy that serves: which series are read, where and how often.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use picker_core::scrape::{MetricsSource, ScrapePlan, Tls};
use tokio::sync::watch;

use super::pace::Limits;
use super::place::{Place, Wire};
use super::table::Table;
use super::tls::Files;

/// The time from one look at the certificate files to the next.
const CERTIFICATES: Duration = Duration::from_secs(10);

/// A scrape job: which series are read, where and how often.
#[derive(Debug)]
pub struct Job {
    /// The wanted series.
    pub table: Arc<Table>,
    /// Where they are.
    pub place: Place,
    /// How often they are read.
    pub limits: Limits,
}

/// The settings that the picker is started with, from which a strategy may depart.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Where metrics are.
    pub place: Place,
    /// How often metrics are read; intervals of strategies are multiples of its interval.
    pub limits: Limits,
    /// Age at which readings count as unknown.
    pub stale_after: Duration,
}

/// The keeper of the [`Job`] of the strategy that serves.
#[derive(Debug)]
pub struct Jobs {
    defaults: Defaults,
    /// TLS where the strategy says nothing of it; `None` is plain HTTP.
    tls: Option<Tls>,
    current: watch::Sender<Option<Arc<Job>>>,
    /// The TLS files of the plan, as they were last read.
    files: Option<Files>,
    /// What the log has of files that are no good.
    told: String,
}

impl Jobs {
    /// No job yet.
    pub fn new(defaults: Defaults) -> Self {
        Self { defaults, tls: None, current: watch::Sender::default(), files: None, told: String::new() }
    }

    /// The same, with TLS to model servers where the strategy says nothing of it.
    #[must_use]
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// TLS to `source`; `None` is plain HTTP.
    fn tls(&self, source: &MetricsSource) -> Option<Tls> {
        source.tls.clone().or_else(|| self.tls.clone().filter(|_| !source.plain))
    }

    /// Follows the job: `None` while nothing is scraped.
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<Job>>> {
        self.current.subscribe()
    }

    /// The strategy that serves wants `plan`. One that equals the present one changes nothing.
    pub fn install(&mut self, plan: Option<&Arc<ScrapePlan>>) {
        let current = self.current.borrow().clone();
        let Some(plan) = plan else {
            self.files = None;
            self.current.send_if_modified(|job| job.take().is_some());
            return;
        };
        if current.as_ref().is_some_and(|job| job.table.plan() == plan) {
            return;
        }
        let limits = self.limits(&plan.source);
        let interval = limits.interval;
        if interval > self.defaults.stale_after {
            tracing::warn!(
                ?interval,
                stale_after = ?self.defaults.stale_after,
                "metrics are scraped so seldom that they are unknown in between; see --metrics-staleness-threshold"
            );
        }
        self.files = None;
        let wire = match self.tls(&plan.source) {
            None => Wire::Plain,
            Some(tls) => self.wire(&tls).unwrap_or(Wire::Broken),
        };
        let place = self.defaults.place.with(&plan.source, wire);
        let table = Arc::new(Table::new(plan.clone()));
        self.current.send_replace(Some(Arc::new(Job { table, place, limits })));
    }

    /// Looks at the certificate files again after a while, if the job has any, for as long as it is polled.
    pub async fn look_after_certificates(&mut self) -> Infallible {
        loop {
            tokio::time::sleep(CERTIFICATES).await;
            self.look();
        }
    }

    fn look(&mut self) {
        let Some(job) = self.current.borrow().clone() else { return };
        let Some(tls) = self.tls(&job.table.plan().source) else { return };
        if let Some(wire) = self.wire(&tls) {
            let place = job.place.with(&job.table.plan().source, wire);
            let new = Job { table: job.table.clone(), place, limits: job.limits };
            self.current.send_replace(Some(Arc::new(new)));
        }
    }

    /// How connections are made with the files of `tls`; `None` when they are as they were, or no good.
    fn wire(&mut self, tls: &Tls) -> Option<Wire> {
        let made = Files::read(tls).and_then(|files| {
            let same = self.files.as_ref() == Some(&files);
            Ok(if same { None } else { Some((files.config(tls)?, files)) })
        });
        match made {
            Ok(None) => None,
            Ok(Some((config, files))) => {
                self.files = Some(files);
                self.told.clear();
                Some(Wire::Tls(config))
            }
            Err(error) => {
                let error = error.to_string();
                if self.told != error {
                    tracing::warn!(error, "the TLS files for the metrics of model servers can't be used");
                    self.told = error;
                }
                None
            }
        }
    }

    /// How often pages of `source` are read: the interval is the multiple of the picker's that is nearest to the wanted one,
    /// once at least.
    fn limits(&self, source: &MetricsSource) -> Limits {
        let own = self.defaults.limits;
        let times = |wanted: Duration| (wanted.as_secs_f64() / own.interval.as_secs_f64()).round().max(1.0);
        let interval = source.interval.map_or(own.interval, |wanted| own.interval.mul_f64(times(wanted)));
        let share = source.server_share.map_or(own.share, |share| share.get());
        Limits { interval, rest: source.rest_interval.unwrap_or(own.rest), share }
    }
}

#[cfg(test)]
mod tests;
