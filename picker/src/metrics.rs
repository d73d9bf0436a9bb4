//! The metrics of the picker, as `GET /metrics` shows them.
//!
//! Handles are resolved when the picker starts: a request touches atomics, and looks up the row of its model. Only the
//! first request of a new model name takes a lock.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use picker_core::Hot;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

mod by_body;
mod compat;
mod distribution;
mod endpoints;
mod histogram;
mod model;
mod reason;
mod requests;
mod scraping;
mod series;
mod statuses;
mod strategy;
mod tables;
#[cfg(test)]
mod tests;
mod tokens;
mod waiting;

pub use by_body::{Outcome, RequestsByBody};
pub use compat::Dialect;
pub use histogram::Histogram;
pub use model::Model;
pub use reason::Reason;
pub use requests::Requests;
pub use scraping::{Failure, Scraping, Watch};
pub use series::{Arrivals, Asked, Times};
pub use strategy::StrategyMetrics;
pub use tokens::Tokens;
pub use waiting::{Waiter, Waiting};

use crate::view::SharedView;

/// Content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of a pool.
pub struct Metrics {
    /// Metrics of requests.
    pub traffic: Traffic,
    /// Metrics of scraping and watching.
    pub scraping: Scraping,
    /// Metrics of the strategy that serves.
    pub strategy: StrategyMetrics,
    registry: Registry,
}

/// The metrics of requests.
#[derive(Clone, Debug)]
pub struct Traffic {
    /// Time of a decision: from a parsed request to a named endpoint.
    pub pick: Histogram,
    /// Time that the picker adds to an exchange: from the last part of a request that a decision needs
    /// to the answer that carries it.
    pub overhead: Histogram,
    /// Exchanges by model and by how their request ended, and the tokens of their answers.
    pub requests: Requests,
    /// `ext_proc` streams that are open.
    pub streams: Gauge,
    /// Responses from another endpoint than the one that was named.
    pub served_mismatches: Counter,
    /// Requests refused because the filters left no endpoint, or because they were shed.
    pub sheds: Counter,
    /// Requests that wait for their bodies.
    pub waiting: Waiting,
    /// Requests that were decided without the whole of a body that would have been read.
    pub cut_bodies: Family<CutBody, Counter>,
    /// What was found out about requests before they were decided, and what was not.
    pub preparations: Family<Preparation, Counter>,
    /// Requests that went on under another model, by the rule that said so.
    pub model_rewrites: Family<Rewritten, Counter>,
    /// Rules of the cluster for models that an older one has.
    pub model_rule_conflicts: Gauge,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            pick: Histogram::new(&[
                2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 1e-1, 1.0,
            ]),
            overhead: Histogram::new(&[
                1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1, 1.0,
            ]),
            requests: Requests::default(),
            streams: Gauge::default(),
            served_mismatches: Counter::default(),
            sheds: Counter::default(),
            waiting: Waiting::default(),
            cut_bodies: Family::default(),
            preparations: Family::default(),
            model_rewrites: Family::default(),
            model_rule_conflicts: Gauge::default(),
        }
    }
}

impl Traffic {
    /// Registers what there is of streams and bodies, whatever is done with them.
    fn register_streams(&self, registry: &mut Registry) {
        registry.register("streams", "ext_proc streams that are open", self.streams.clone());
        registry.register_collector(Box::new(self.waiting.clone()));
        registry.register(
            "cut_bodies",
            "Requests decided without the whole of a body that would have been read, by reason",
            self.cut_bodies.clone(),
        );
    }
}

/// The label of what became of finding something out about a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Preparation {
    /// `found`, or the reason why it was not.
    pub outcome: &'static str,
}

/// The labels of a request that went on under another model.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Rewritten {
    /// Name of the rule.
    pub rule: String,
    /// The model that it named.
    pub target_model: String,
}

/// The label of why a body was not read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CutBody {
    /// `too-long`, `no-room` or `too-slow`.
    pub reason: &'static str,
}

impl Metrics {
    /// Metrics of a pool without a name, whose endpoints are those of `view`.
    pub fn new(view: SharedView) -> Self {
        Self::of_pool(None, view)
    }

    /// Metrics of the pool called `name`, which is their label `pool`.
    pub fn of_pool(name: Option<&str>, view: SharedView) -> Self {
        let label = name.map(|name| (Cow::from("pool"), Cow::from(name.to_owned())));
        let mut registry = Registry::with_labels(label.into_iter());
        let traffic = Traffic::default();
        let scraping = Scraping::default();
        let strategy = StrategyMetrics::default();
        registry.register_collector(Box::new(strategy.clone()));
        let picker = registry.sub_registry_with_prefix("waypost_picker");
        picker.register("pick_duration_seconds", "Time to decide where a request goes", traffic.pick.clone());
        picker.register(
            "overhead_seconds",
            "Time from the last part of a request that a decision needs to the answer",
            traffic.overhead.clone(),
        );
        picker.register_collector(Box::new(traffic.requests.clone()));
        traffic.register_streams(picker);
        picker.register(
            "served_mismatches",
            "Responses from another endpoint than the one that was named",
            traffic.served_mismatches.clone(),
        );
        picker.register(
            "sheds",
            "Requests refused because every endpoint was filtered out, or shed",
            traffic.sheds.clone(),
        );
        picker.register(
            "preparations",
            "What was to be found out about requests before they were decided, by outcome",
            traffic.preparations.clone(),
        );
        picker.register(
            "model_rewrites",
            "Requests that went on under another model than their client asked for, by rule and model",
            traffic.model_rewrites.clone(),
        );
        picker.register(
            "model_rule_conflicts",
            "Rules of InferenceModelRewrites and InferenceModels that are not used for a model, because an older one is for it",
            traffic.model_rule_conflicts.clone(),
        );
        scraping.register(picker);
        picker.register_collector(Box::new(endpoints::Endpoints::new(view)));
        Self { traffic, scraping, strategy, registry }
    }

    /// The same, with the memory of the tables that the plugins of the strategy in `hot` keep.
    #[must_use]
    pub fn with_tables(mut self, hot: Arc<Hot>) -> Self {
        let picker = self.registry.sub_registry_with_prefix("waypost_picker");
        picker.register_collector(Box::new(tables::Tables::new(hot)));
        self
    }

    /// The same, under the names of `dialects` too.
    #[must_use]
    pub fn with_names_of(mut self, dialects: &[Dialect], pool: Option<&str>, view: &SharedView) -> Self {
        for dialect in [Dialect::LlmD, Dialect::Gie].into_iter().filter(|one| dialects.contains(one)) {
            self.registry.register_collector(Box::new(compat::Compat {
                dialect,
                pool: pool.unwrap_or_default().to_owned(),
                requests: self.traffic.requests.clone(),
                view: view.clone(),
                pick: self.traffic.pick.clone(),
                streams: self.traffic.streams.clone(),
            }));
        }
        self
    }

    /// All metrics as OpenMetrics text.
    ///
    /// # Errors
    /// Never in practice: writing to a string doesn't fail.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut out = String::with_capacity(16 * 1024);
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

/// The metrics of several pools as one OpenMetrics text: each family once, with the samples of all pools.
///
/// # Errors
/// As [`Metrics::text`].
pub fn page<'a>(pools: impl IntoIterator<Item = &'a Metrics>) -> Result<String, fmt::Error> {
    let mut families: Vec<(String, String)> = Vec::new();
    for pool in pools {
        let text = pool.text()?;
        let mut family = 0;
        for line in text.lines().filter(|line| *line != EOF) {
            if let Some(name) = line.strip_prefix("# HELP ").and_then(|rest| rest.split(' ').next()) {
                let known = families.iter().position(|(known, _)| known == name);
                family = known.unwrap_or(families.len());
                if known.is_none() {
                    families.push((name.to_owned(), String::new()));
                }
            }
            let (_, text) = &mut families[family];
            if !line.starts_with('#') || !text.contains(line) {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    let mut page: String = families.into_iter().map(|(_, text)| text).collect();
    page.push_str(EOF);
    page.push('\n');
    Ok(page)
}

/// The last line of an OpenMetrics text.
const EOF: &str = "# EOF";

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
