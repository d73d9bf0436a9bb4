//! The metrics of the strategy that serves.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// The revision that serves and since when, with counts of swaps. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct StrategyMetrics(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    serving: ArcSwapOption<Serving>,
    /// Whether what was offered last compiles: 0 or 1.
    valid: AtomicU64,
    swaps: AtomicU64,
    refusals: AtomicU64,
}

#[derive(Debug)]
struct Serving {
    revision: String,
    since: f64,
}

impl StrategyMetrics {
    /// `revision` serves since `at`.
    pub fn swapped(&self, revision: &str, at: SystemTime) {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        self.0.serving.store(Some(Arc::new(Serving { revision: revision.to_owned(), since })));
        self.0.swaps.fetch_add(1, Ordering::Relaxed);
        self.0.valid.store(1, Ordering::Relaxed);
    }

    /// What was offered is what serves already.
    pub fn unchanged(&self) {
        self.0.valid.store(1, Ordering::Relaxed);
    }

    /// What was offered doesn't compile.
    pub fn refused(&self) {
        self.0.refusals.fetch_add(1, Ordering::Relaxed);
        self.0.valid.store(0, Ordering::Relaxed);
    }
}

impl Collector for StrategyMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Inner { serving, valid, swaps, refusals } = &*self.0;
        if let Some(serving) = serving.load_full() {
            let labels = [("revision", serving.revision.as_str())];
            let mut metric = encoder.encode_descriptor(
                "waypost_strategy_info",
                "The revision that serves",
                None,
                MetricType::Gauge,
            )?;
            ConstGauge::new(1i64).encode(metric.encode_family(&labels)?)?;
            let mut metric = encoder.encode_descriptor(
                "waypost_strategy_swapped_timestamp_seconds",
                "Unix time at which the revision began to serve",
                None,
                MetricType::Gauge,
            )?;
            ConstGauge::new(serving.since).encode(metric.encode_family(&labels)?)?;
        }
        let valid = ConstGauge::new(valid.load(Ordering::Relaxed) as i64);
        valid.encode(encoder.encode_descriptor(
            "waypost_strategy_valid",
            "Whether what was offered last compiles",
            None,
            MetricType::Gauge,
        )?)?;
        let swaps = ConstCounter::new(swaps.load(Ordering::Relaxed));
        swaps.encode(encoder.encode_descriptor(
            "waypost_strategy_swaps",
            "Times that a revision began to serve",
            None,
            MetricType::Counter,
        )?)?;
        let refusals = ConstCounter::new(refusals.load(Ordering::Relaxed));
        refusals.encode(encoder.encode_descriptor(
            "waypost_strategy_refusals",
            "Times that what was offered didn't compile",
            None,
            MetricType::Counter,
        )?)
    }
}
