//! The counts of requests by model and by how they ended.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use picker_core::RefusalKind;
use picker_core::refusal;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::tokens::{Sums, Tokens};

/// Models with a row of their own; further ones are counted as `other`, because clients choose the names. So
/// are those for which no request was ever routed.
const MODELS: usize = 1000;
/// When all rows are taken, those without a request for this long are given to others: clients that invent names
/// would otherwise leave nothing but `other` of models to come.
const IDLE: Duration = Duration::from_secs(600);
/// The row of those without one, and so of a model of that name.
const OTHER: &str = "other";
/// Bytes of a model's name that the label keeps.
const NAME: usize = 128;

/// How the request of an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An endpoint was named.
    Routed,
    /// The gateway told the picker nothing to route (a response of its own, an empty stream).
    Nothing,
    /// The client went away before an endpoint was named.
    ClientClosed,
    /// The gateway broke the protocol.
    Protocol,
    /// It was refused.
    Refused(RefusalKind),
}

/// How many reasons there are.
const REASONS: usize = 4 + refusal::TABLE.len();

impl Reason {
    /// All of them, in the order of their rows.
    pub fn all() -> impl Iterator<Item = Self> {
        let refused = refusal::TABLE.iter().map(|row| Self::Refused(row.kind));
        [Self::Routed, Self::Nothing].into_iter().chain(refused).chain([Self::ClientClosed, Self::Protocol])
    }

    fn index(self) -> usize {
        match self {
            Self::Routed => 0,
            Self::Nothing => 1,
            Self::Refused(kind) => 2 + kind as usize,
            Self::ClientClosed => REASONS - 2,
            Self::Protocol => REASONS - 1,
        }
    }

    /// The HTTP status that the client sees, as far as it depends on the picker.
    pub fn status(self) -> u16 {
        match self {
            Self::Routed | Self::Nothing => 200,
            Self::ClientClosed => 499,
            Self::Protocol => 500,
            Self::Refused(kind) => kind.row().status,
        }
    }

    /// The reason in a word, as header and label carry it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Routed => "routed",
            Self::Nothing => "nothing-to-route",
            Self::ClientClosed => "client-closed",
            Self::Protocol => "protocol-error",
            Self::Refused(kind) => kind.row().name,
        }
    }
}

type Counts = [AtomicU64; REASONS];

/// A model's row.
#[derive(Debug, Default)]
struct Row {
    counts: Counts,
    tokens: Sums,
    /// The sum of the counts when it was last seen to have changed, and the seconds from the picker's start to
    /// then. Looked at when somebody reads the metrics, so that a request has no clock to read.
    seen: AtomicU64,
    at: AtomicU64,
}

impl Row {
    /// Whether nothing was counted for long, `now` seconds after the picker's start.
    fn is_idle(&self, now: u64) -> bool {
        let sum = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        if self.seen.swap(sum, Ordering::Relaxed) != sum {
            self.at.store(now, Ordering::Relaxed);
        }
        now.saturating_sub(self.at.load(Ordering::Relaxed)) >= IDLE.as_secs()
    }
}

/// The row of a model, kept while a request of it is under way: what the answer took is known at its end.
#[derive(Clone, Debug)]
pub struct Model(Arc<Row>);

impl Model {
    /// Counts the tokens of an answer.
    pub fn took(&self, tokens: Tokens) {
        self.0.tokens.add(tokens);
    }
}

type Rows = FxHashMap<Box<str>, Arc<Row>>;

/// Requests by model and [`Reason`], and the tokens of their answers by model. A model that was seen before costs
/// one lookup and one addition.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    models: ArcSwap<Rows>,
    /// One new model at a time.
    adding: Mutex<()>,
    unnamed: Arc<Row>,
    other: Arc<Row>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            models: ArcSwap::default(),
            adding: Mutex::default(),
            unnamed: Arc::default(),
            other: Arc::default(),
        }
    }
}

impl Requests {
    /// Counts a request for `model` (`None`: it named none, or was not read).
    pub fn count(&self, model: Option<&str>, reason: Reason) -> Model {
        let row = self.row(model, reason);
        row.counts[reason.index()].fetch_add(1, Ordering::Relaxed);
        Model(row)
    }

    fn row(&self, model: Option<&str>, reason: Reason) -> Arc<Row> {
        let Some(model) = model.filter(|m| !m.is_empty()) else {
            return self.0.unnamed.clone();
        };
        let model = &model[..model.floor_char_boundary(NAME)];
        if model == OTHER {
            return self.0.other.clone();
        }
        let models = self.0.models.load();
        match models.get(model) {
            Some(row) => row.clone(),
            None if reason != Reason::Routed || models.len() >= MODELS => self.0.other.clone(),
            None => self.new_row(model),
        }
    }

    fn new_row(&self, model: &str) -> Arc<Row> {
        let _adding = self.0.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let models = self.0.models.load();
        if let Some(row) = models.get(model) {
            return row.clone();
        }
        if models.len() >= MODELS {
            return self.0.other.clone();
        }
        let row = Arc::new(Row::default());
        let mut more = Rows::clone(&models);
        more.insert(model.into(), row.clone());
        self.0.models.store(Arc::new(more));
        row
    }

    /// Takes the rows that are idle, when there is no other: nothing was counted there for long, and no request of
    /// theirs is under way. One that is counted at this moment may go with its row.
    fn make_room(&self) {
        let now = self.0.started.elapsed().as_secs();
        let _adding = self.0.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let models = self.0.models.load();
        let idle: Vec<&str> = models
            .iter()
            .filter(|(_, row)| row.is_idle(now) && Arc::strong_count(row) == 1)
            .map(|(model, _)| &**model)
            .collect();
        if models.len() < MODELS || idle.is_empty() {
            return;
        }
        let mut rest = Rows::clone(&models);
        idle.iter().for_each(|model| drop(rest.remove(*model)));
        self.0.models.store(Arc::new(rest));
    }
}

impl Collector for Requests {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Requests by model, by HTTP status and by reason";
        let mut metric = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
        self.make_room();
        let models = self.0.models.load();
        let mut rows: Vec<(&str, &Row)> = models.iter().map(|(model, row)| (&**model, &**row)).collect();
        rows.sort_unstable_by_key(|(model, _)| *model);
        rows.extend([("", &*self.0.unnamed), (OTHER, &*self.0.other)]);
        for (model, row) in &rows {
            for reason in Reason::all() {
                let count = row.counts[reason.index()].load(Ordering::Relaxed);
                if count > 0 {
                    let labels = [
                        ("model", *model),
                        ("status", &*reason.status().to_string()),
                        ("reason", reason.name()),
                    ];
                    ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
                }
            }
        }
        rows.retain(|(_, row)| !row.tokens.is_zero());
        for (name, help, of) in Sums::KINDS {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (model, row) in &rows {
                let sum = of(&row.tokens).load(Ordering::Relaxed);
                ConstCounter::new(sum).encode(metric.encode_family(&[("model", *model)])?)?;
            }
        }
        Ok(())
    }
}
