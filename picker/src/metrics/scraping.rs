//! The metrics of scraping model servers and of watching Kubernetes.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

use super::Histogram;

/// The label of what is watched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Watch {
    /// `pool`, `pods`, `strategy` or another.
    pub watch: &'static str,
}

/// The labels of a scrape that failed: of what, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Failure {
    /// The plugin type of the source.
    pub source: &'static str,
    /// `connect`, `tls`, `timeout`, `status`, `redirect`, `encoding`, `broken`, `format`, `no-address` or `too-large`.
    pub reason: &'static str,
}

/// The metrics of scraping and watching.
#[derive(Clone, Debug)]
pub struct Scraping {
    /// Time of a successful scrape.
    pub duration: Histogram,
    /// Scrapes that failed.
    pub errors: Family<Failure, Counter>,
    /// Age of the oldest reading in use, in seconds; 0 without any.
    pub oldest: Gauge<f64, AtomicU64>,
    /// Endpoints without a fresh reading, while the strategy needs readings.
    pub unknown: Gauge,
    /// Replicas of the picker that share what scraping costs, this one among them.
    pub replicas: Gauge,
    /// Failures of Kubernetes watches.
    pub watch_errors: Family<Watch, Counter>,
    /// Whether a watch works (1) or is being tried again (0).
    pub watch_up: Family<Watch, Gauge>,
    /// Failed attempts to write this replica's entry into the strategy's status.
    pub report_errors: Counter,
}

impl Default for Scraping {
    fn default() -> Self {
        let replicas = Gauge::default();
        replicas.set(1);
        Self {
            duration: Histogram::new(&[5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1, 2e-1, 5e-1, 1.0]),
            errors: Family::default(),
            oldest: Gauge::default(),
            unknown: Gauge::default(),
            replicas,
            watch_errors: Family::default(),
            watch_up: Family::default(),
            report_errors: Counter::default(),
        }
    }
}

impl Scraping {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("scrape_duration_seconds", "Time of a successful scrape", self.duration.clone());
        registry.register("scrape_errors", "Scrapes that failed", self.errors.clone());
        registry.register("scrape_age_seconds", "Age of the oldest reading in use", self.oldest.clone());
        registry.register("scrape_unknown", "Endpoints without a fresh reading", self.unknown.clone());
        registry.register(
            "replicas",
            "Replicas that share what scraping costs, this one among them",
            self.replicas.clone(),
        );
        self.register_watches(registry);
        registry.register(
            "report_errors",
            "Failed attempts to write this replica's entry into the strategy's status",
            self.report_errors.clone(),
        );
    }

    /// Registers those of watching Kubernetes alone.
    pub(super) fn register_watches(&self, registry: &mut Registry) {
        registry.register("watch_errors", "Failures of Kubernetes watches", self.watch_errors.clone());
        registry.register("watch_up", "Whether a Kubernetes watch works", self.watch_up.clone());
    }
}
