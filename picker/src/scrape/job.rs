//! The scrape job of the strategy that serves: which series are read, where and how often.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use picker_core::health::Settings;
use picker_core::scrape::{MetricsSource, ScrapePlan, SourceId, SourceKind, SourcePlan, Tls};
use tokio::sync::watch;

use super::pace::Limits;
use super::place::{Place, Wire};
use super::table::Table;
use super::tls::Files;

/// The time from one look at the certificate files to the next.
const CERTIFICATES: Duration = Duration::from_secs(10);

/// The scrape job of a strategy, source by source.
#[derive(Debug)]
pub struct Job {
    /// The plan that it was made of.
    pub plan: Arc<ScrapePlan>,
    /// The sources, in the order in which they count.
    pub sources: Vec<Arc<SourceJob>>,
}

/// What is scraped of one source: which series are read, where and how often.
#[derive(Debug)]
pub struct SourceJob {
    /// Tells it from others, and from those of other jobs.
    pub id: SourceId,
    /// The wanted series.
    pub table: Arc<Table>,
    /// Where they are.
    pub place: Place,
    /// How often they are read.
    pub limits: Limits,
    /// Whether a scrape that is refused counts against an endpoint, and how much.
    pub health: Settings,
}

impl Job {
    /// What is scraped of the source `id`.
    pub fn of(&self, id: SourceId) -> Option<&Arc<SourceJob>> {
        self.sources.iter().find(|source| source.id == id)
    }
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
    /// What is known of the TLS files of each source that has any.
    seen: HashMap<SourceId, Seen>,
}

/// What is known of the TLS files of a source.
#[derive(Debug, Default)]
struct Seen {
    /// The files, as they were last read.
    files: Option<Files>,
    /// What the log has of files that are no good.
    told: String,
}

impl Jobs {
    /// No job yet.
    pub fn new(defaults: Defaults) -> Self {
        Self { defaults, tls: None, current: watch::Sender::default(), seen: HashMap::new() }
    }

    /// The same, with TLS to model servers where the strategy says nothing of it.
    #[must_use]
    pub fn with_tls(self, tls: Option<Tls>) -> Self {
        Self { tls, ..self }
    }

    /// TLS to `source`; `None` is plain HTTP.
    fn tls(&self, source: &MetricsSource) -> Option<Tls> {
        source.tls.clone().or_else(|| match source.kind {
            SourceKind::Metrics | SourceKind::Models => self.tls.clone().filter(|_| !source.plain),
            // Others than the model servers that the flag is about.
            SourceKind::Multicluster | SourceKind::Dcgm => None,
        })
    }

    /// Follows the job: `None` while nothing is scraped.
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<Job>>> {
        self.current.subscribe()
    }

    /// The strategy that serves wants `plan`. One that equals the present one changes nothing, and of another one, sources
    /// that are equal go on as they do.
    pub fn install(&mut self, plan: Option<&Arc<ScrapePlan>>) {
        let current = self.current.borrow().clone();
        let Some(plan) = plan else {
            self.seen.clear();
            self.current.send_if_modified(|job| job.take().is_some());
            return;
        };
        if current.as_ref().is_some_and(|job| job.plan == *plan) {
            return;
        }
        let mut before = std::mem::take(&mut self.seen);
        let mut sources = Vec::with_capacity(plan.sources.len());
        for (id, source) in plan.by_id() {
            let known = current.as_ref().and_then(|job| job.of(id));
            let same = known.filter(|known| known.table.plan() == source && known.health == plan.health);
            if let Some(same) = same {
                self.seen.extend(before.remove_entry(&id));
                sources.push(same.clone());
            } else {
                sources.push(Arc::new(self.source_job(id, source, plan.health)));
            }
        }
        self.current.send_replace(Some(Arc::new(Job { plan: plan.clone(), sources })));
    }

    fn source_job(&mut self, id: SourceId, plan: &SourcePlan, health: Settings) -> SourceJob {
        let source = &plan.source;
        let limits = self.limits(source);
        let interval = limits.interval;
        if interval > self.defaults.stale_after && source.kind == SourceKind::Metrics {
            tracing::warn!(
                ?interval,
                stale_after = ?self.defaults.stale_after,
                "metrics are scraped so seldom that they are unknown in between; see --metrics-staleness-threshold"
            );
        }
        let wire = match self.tls(source) {
            None => Wire::Plain,
            Some(tls) => self.wire(id, &tls).unwrap_or(Wire::Broken),
        };
        let place = self.defaults.place.with(source, wire);
        SourceJob { id, table: Arc::new(Table::new(plan.clone())), place, limits, health }
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
        let mut changed = false;
        let mut sources = Vec::with_capacity(job.sources.len());
        for job in &job.sources {
            let source = &job.table.plan().source;
            let wire = self.tls(source).and_then(|tls| self.wire(job.id, &tls));
            let Some(wire) = wire else {
                sources.push(job.clone());
                continue;
            };
            changed = true;
            let place = job.place.with(source, wire);
            let SourceJob { id, limits, health, .. } = **job;
            sources.push(Arc::new(SourceJob { id, table: job.table.clone(), place, limits, health }));
        }
        if changed {
            self.current.send_replace(Some(Arc::new(Job { plan: job.plan.clone(), sources })));
        }
    }

    /// How connections to the source `id` are made with the files of `tls`; `None` when they are as they were, or no good.
    fn wire(&mut self, id: SourceId, tls: &Tls) -> Option<Wire> {
        let seen = self.seen.entry(id).or_default();
        let made = Files::read(tls).and_then(|files| {
            let same = seen.files.as_ref() == Some(&files);
            Ok(if same { None } else { Some((files.config(tls)?, files)) })
        });
        match made {
            Ok(None) => None,
            Ok(Some((config, files))) => {
                *seen = Seen { files: Some(files), told: String::new() };
                Some(Wire::Tls(config))
            }
            Err(error) => {
                let (error, source) = (error.to_string(), id.kind.source_type());
                if seen.told != error {
                    tracing::warn!(error, source, "the TLS files for scraping can't be used");
                    seen.told = error;
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
