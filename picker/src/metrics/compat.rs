//! The metrics of llm-d's and GIE's pickers, under their names and labels, from what is counted anyway: nothing is counted
//! for them, and only reading them costs. Names and labels: llm-d router 0.10 (`docs/metrics.md`) and GIE 1.5
//! (`pkg/epp/metrics/metrics.go`). The buckets are those of the metrics here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::Ordering;

use clap::ValueEnum;
use picker_core::column::Column;
use picker_core::{RefusalKind, View};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};

use super::distribution::Counts;
use super::histogram::Histogram;
use super::reason::Reason;
use super::requests::Requests;
use super::series::{KINDS, Series};
use crate::view::SharedView;

mod names;

use names::{By, GIE, LLM_D, Names};

/// Whose names metrics have, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// Those of llm-d's router.
    LlmD,
    /// Those of the Gateway API Inference Extension.
    Gie,
}

/// The collector of the metrics of one dialect.
#[derive(Debug)]
pub(super) struct Compat {
    pub dialect: Dialect,
    /// Name of the pool.
    pub pool: String,
    pub requests: Requests,
    pub view: SharedView,
    pub pick: Histogram,
    pub streams: Gauge,
}

/// The name under which a rewritten request goes on. No request is rewritten, so that it is the model's own.
fn target<'a>(model: &'a str, _: &Series) -> &'a str {
    model
}

/// What tells the series of a metric apart. Two of ours that differ in their objective alone are one of theirs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    model: &'a str,
    target: &'a str,
    priority: Option<i32>,
}

impl Key<'_> {
    /// Its labels, as far as the metric has them.
    fn labels(&self, by: By) -> Vec<(&'static str, String)> {
        let mut labels = vec![("model_name", self.model.to_owned())];
        if by != By::Model {
            labels.push(("target_model_name", self.target.to_owned()));
        }
        labels.extend(self.priority.map(|priority| ("priority", priority.to_string())));
        labels
    }
}

/// What `add` gathers of all series with the same labels.
fn gathered<'a, T: Default>(
    all: &[(&'a str, &Series)],
    by: By,
    mut add: impl FnMut(&mut T, &Series),
) -> BTreeMap<Key<'a>, T> {
    let mut gathered = BTreeMap::new();
    for (model, series) in all {
        let target = if by == By::Model { "" } else { target(model, series) };
        let priority = (by == By::Priority).then_some(series.priority);
        add(gathered.entry(Key { model, target, priority }).or_default(), series);
    }
    gathered
}

/// An error code as both have it.
fn error_code(reason: Reason, names: &Names) -> &'static str {
    match reason.status() {
        None => "ModelServerError",
        Some(404) => "NotFound",
        Some(412) => "PreconditionFailed",
        Some(429) => names.exhausted,
        Some(503) => "ServiceUnavailable",
        // The client went away.
        Some(499) => "Unknown",
        Some(400..500) => "BadRequest",
        Some(_) => "Internal",
    }
}

impl Compat {
    fn requests(&self, encoder: &mut DescriptorEncoder<'_>, names: &Names) -> Result<(), fmt::Error> {
        self.requests.all_series(|all| {
            let mut metric =
                encoder.encode_descriptor(names.requests, "Requests", None, MetricType::Counter)?;
            // Those that were refused too: a series has both.
            let requests = gathered(all, By::Priority, |sum: &mut u64, series| {
                let refused = Reason::all().filter(|reason| reason.status().is_some());
                let refused: u64 =
                    refused.map(|reason| series.errors[reason.index()].load(Ordering::Relaxed)).sum();
                *sum += refused + series.routed.load(Ordering::Relaxed);
            });
            for (key, sum) in requests {
                ConstCounter::new(sum).encode(metric.encode_family(&key.labels(By::Priority))?)?;
            }
            let mut metric =
                encoder.encode_descriptor(names.errors, "Requests that failed", None, MetricType::Counter)?;
            let errors = gathered(all, By::Priority, |sums: &mut BTreeMap<&str, u64>, series| {
                for reason in Reason::all() {
                    let count = series.errors[reason.index()].load(Ordering::Relaxed);
                    if count > 0 {
                        *sums.entry(error_code(reason, names)).or_default() += count;
                    }
                }
            });
            for (key, sums) in errors {
                for (code, sum) in sums {
                    let mut labels = key.labels(By::Priority);
                    labels.push(("error_code", code.to_owned()));
                    ConstCounter::new(sum).encode(metric.encode_family(&labels)?)?;
                }
            }
            let (name, by) = names.running;
            let mut metric =
                encoder.encode_descriptor(name, "Requests that have not ended", None, MetricType::Gauge)?;
            let running = gathered(all, by, |sum: &mut i64, series| {
                *sum += series.running.load(Ordering::Relaxed);
            });
            for (key, sum) in running {
                ConstGauge::new(sum).encode(metric.encode_family(&key.labels(by))?)?;
            }
            names.distributions.iter().try_for_each(|one| distribution(encoder, one, all))?;
            let help = "Attempts to find an endpoint";
            let mut metric = encoder.encode_descriptor(names.attempts, help, None, MetricType::Counter)?;
            let attempts = gathered(all, By::Target, |[found, failed]: &mut [u64; 2], series| {
                *found += series.routed.load(Ordering::Relaxed);
                for kind in [RefusalKind::NoEndpoints, RefusalKind::AllFiltered] {
                    *failed += series.errors[Reason::Refused(kind).index()].load(Ordering::Relaxed);
                }
            });
            for (key, sums) in attempts {
                for (status, sum) in ["success", "failure"].into_iter().zip(sums) {
                    let labels = [("status", status), ("target_model_name", key.target)];
                    if sum > 0 {
                        ConstCounter::new(sum).encode(metric.encode_family(&labels)?)?;
                    }
                }
            }
            Ok(())
        })
    }

    /// What model servers said last, and how many there are.
    fn pool(&self, encoder: &mut DescriptorEncoder<'_>, names: &Names) -> Result<(), fmt::Error> {
        let view = self.view.load();
        let labels = [("name", self.pool.as_str())];
        let mut gauge = |name: &str, help: &str, value: f64| {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)
        };
        gauge(names.ready, "Endpoints that may be named", view.len() as f64)?;
        for (column, average, deviation) in names.columns {
            if let Some((mean, spread)) = mean_and_deviation(&view, column) {
                gauge(average, "Mean over the endpoints that say it", mean)?;
                if let Some(name) = deviation {
                    gauge(name, "Standard deviation over the endpoints that say it", spread)?;
                }
            }
        }
        let (name, label) = names.queue;
        let help = "Requests waiting at the endpoint";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (endpoint, waiting) in view.endpoints.iter().zip(view.column(Column::WAITING)) {
            if !waiting.is_nan() {
                let labels = [("name", self.pool.as_str()), (label, endpoint.name.as_str())];
                ConstGauge::new(f64::from(*waiting)).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

/// Mean and standard deviation over the endpoints whose figure is known, if there is one.
fn mean_and_deviation(view: &View, column: Column) -> Option<(f64, f64)> {
    let known: Vec<f64> = view
        .column(column)
        .iter()
        .filter(|figure| !figure.is_nan())
        .map(|figure| f64::from(*figure))
        .collect();
    if known.is_empty() {
        return None;
    }
    let mean =
        |of: &dyn Fn(f64) -> f64| known.iter().map(|figure| of(*figure)).sum::<f64>() / known.len() as f64;
    let middle = mean(&|figure| figure);
    Some((middle, mean(&|figure| (figure - middle).powi(2)).sqrt()))
}

/// Writes the distribution of ours that `one` names under its other name.
fn distribution(
    encoder: &mut DescriptorEncoder<'_>,
    one: &names::Renamed,
    all: &[(&str, &Series)],
) -> Result<(), fmt::Error> {
    let help = "The same as waypost_picker_".to_owned() + one.ours;
    let mut metric = encoder.encode_descriptor(one.theirs, &help, None, MetricType::Histogram)?;
    let kinds: Vec<_> = KINDS.iter().filter(|kind| kind.name == one.ours).collect();
    let apart = one.streaming;
    let mut write = |counts: BTreeMap<Key<'_>, Counts>, at: usize| {
        for (key, counts) in counts.iter().filter(|(_, counts)| counts.count() > 0) {
            let mut labels = key.labels(one.by);
            labels.extend(kinds[at].streaming.filter(|_| apart).map(|value| ("streaming", value.to_owned())));
            counts.encode(kinds[at].scale, metric.encode_family(&labels)?)?;
        }
        Ok(())
    };
    if apart {
        for (at, kind) in kinds.iter().enumerate() {
            write(
                gathered(all, one.by, |sum: &mut Counts, series| sum.add(&(kind.of)(series).counts())),
                at,
            )?;
        }
        return Ok(());
    }
    let add = |sum: &mut Counts, series: &Series| {
        kinds.iter().for_each(|kind| sum.add(&(kind.of)(series).counts()));
    };
    write(gathered(all, one.by, add), 0)
}

impl Collector for Compat {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let names = match self.dialect {
            Dialect::LlmD => &LLM_D,
            Dialect::Gie => &GIE,
        };
        self.requests(&mut encoder, names)?;
        self.pool(&mut encoder, names)?;
        let help = "The same as waypost_picker_pick_duration_seconds";
        self.pick.encode(encoder.encode_descriptor(names.scheduler, help, None, MetricType::Histogram)?)?;
        if let Some(name) = names.streams {
            let help = "The same as waypost_picker_streams";
            self.streams.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let mut metric =
            encoder.encode_descriptor(names.info, "The version of the picker", None, MetricType::Gauge)?;
        let labels = [("commit", ""), ("build_ref", env!("CARGO_PKG_VERSION"))];
        ConstGauge::new(1_i64).encode(metric.encode_family(&labels)?)
    }
}

#[cfg(test)]
mod tests;
