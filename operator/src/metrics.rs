//! The Prometheus metrics of the operator.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::cache::{Cache, Edits};

mod strategies;

use strategies::Strategies;

/// Labels of a write.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WriteLabels {
    /// `apply`, `patch` or `delete`.
    pub verb: &'static str,
    /// Kind of the object written.
    pub kind: String,
    /// `ok`, `conflict` or `error`.
    pub result: &'static str,
}

/// Labels of a strategy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StrategyLabels {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The metrics of the operator.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Seconds that one reconcile took.
    pub reconcile_seconds: Histogram,
    /// Reconciles that failed and will be tried again.
    pub reconcile_errors: Counter,
    /// Writes to the API server.
    pub writes: Family<WriteLabels, Counter>,
    /// How many generations the status of a strategy is behind its spec.
    pub generation_lag: Family<StrategyLabels, Gauge>,
    /// The strategies that have a series in `generation_lag`.
    lagging: Mutex<HashSet<StrategyLabels>>,
    /// 1 while this process leads.
    pub leader: Gauge,
    /// Seconds from an edit of a strategy's routing until every ready picker serves it.
    pub edit_to_live: Family<StrategyLabels, Histogram, fn() -> Histogram>,
    edits: Arc<Edits>,
}

/// A histogram of seconds for edits: most take less than one.
fn edit_seconds() -> Histogram {
    Histogram::new([0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0])
}

impl Default for Metrics {
    fn default() -> Self {
        let buckets = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        let metrics = Self {
            registry: Registry::default(),
            reconcile_seconds: Histogram::new(buckets),
            reconcile_errors: Counter::default(),
            writes: Family::default(),
            generation_lag: Family::default(),
            lagging: Mutex::default(),
            leader: Gauge::default(),
            edit_to_live: Family::new_with_constructor(edit_seconds),
            edits: Arc::default(),
        };
        metrics.registered()
    }
}

impl Metrics {
    fn registered(mut self) -> Self {
        let r = self.registry.sub_registry_with_prefix("waypost_operator");
        r.register("reconcile_seconds", "Time that one reconcile took", self.reconcile_seconds.clone());
        r.register(
            "reconcile_errors",
            "Reconciles that failed and are tried again",
            self.reconcile_errors.clone(),
        );
        r.register("writes", "Writes to the API server", self.writes.clone());
        r.register(
            "generation_lag",
            "Generations that the status of a strategy is behind its spec",
            self.generation_lag.clone(),
        );
        r.register("leader", "1 while this process leads", self.leader.clone());
        self.registry.register(
            "waypost_strategy_edit_to_live_seconds",
            "Time from an edit of a strategy's routing until every ready picker serves it",
            self.edit_to_live.clone(),
        );
        self
    }

    /// The metrics of a process with `cache`, those of its strategies among them.
    pub fn of(cache: &Cache) -> Self {
        let mut metrics = Self { edits: cache.edits.clone(), ..Self::default() };
        metrics.registry.register_collector(Box::new(Strategies(cache.strategies.clone())));
        metrics
    }

    /// Counts the edits that became live.
    fn edited(&self) {
        for (namespace, name, took) in self.edits.take() {
            self.edit_to_live.get_or_create(&StrategyLabels { namespace, name }).observe(took.as_secs_f64());
        }
    }

    /// Counts a write.
    pub fn wrote(&self, verb: &'static str, kind: &str, result: &'static str) {
        self.writes.get_or_create(&WriteLabels { verb, kind: kind.to_owned(), result }).inc();
    }

    /// Notes how far the status of each strategy is behind: namespace, name, generations.
    pub fn lags(&self, all: impl IntoIterator<Item = (String, String, i64)>) {
        let now: HashMap<_, _> = all
            .into_iter()
            .map(|(namespace, name, generations)| (StrategyLabels { namespace, name }, generations))
            .collect();
        for (labels, generations) in &now {
            self.generation_lag.get_or_create(labels).set(*generations);
        }
        // Only what is gone is taken out: whoever reads in between finds every strategy.
        let mut known = self.lagging.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in known.iter().filter(|labels| !now.contains_key(*labels)) {
            self.generation_lag.remove(gone);
            self.edit_to_live.remove(gone);
        }
        *known = now.into_keys().collect();
    }

    /// Notes the time that a reconcile took.
    pub fn reconciled(&self, took: Duration) {
        self.reconcile_seconds.observe(took.as_secs_f64());
    }

    /// The exposition in the OpenMetrics text format.
    pub fn text(&self) -> String {
        self.edited();
        let mut out = String::new();
        // Writing to a String can't fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

#[cfg(test)]
mod tests;
