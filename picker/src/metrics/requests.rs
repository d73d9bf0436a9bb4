//! The counts of requests by model, by how they ended, and by the status of their answers.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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

use super::statuses::Statuses;
use super::tokens::{Sums, Tokens};

/// Models with a row of their own; further ones are counted as `other`, because clients choose the names. So
/// are those for which no request was ever routed.
const MODELS: usize = 1000;
/// How many of them may be models for which no request was ever answered with a status of 2xx: names that the pool
/// doesn't have take no row from those that it has.
const UNSERVED: usize = 100;
/// When all rows are taken, those without a request for this long are given to others: clients that invent names
/// would otherwise leave nothing but `other` of models to come.
const IDLE: Duration = Duration::from_secs(600);
/// The row of those without one, and so of a model of that name.
const OTHER: &str = "other";
/// The row of requests whose model is not known: they named none, or were not read. It is that of a model of that name
/// too.
const UNKNOWN: &str = "unknown";
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

    /// The HTTP status that the client sees, where the picker decides it; `None` where the answer comes from elsewhere.
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Routed | Self::Nothing => None,
            Self::ClientClosed => Some(499),
            Self::Protocol => Some(500),
            Self::Refused(kind) => Some(kind.row().status),
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

/// Of reasons for which the picker decides the status.
type Counts = [AtomicU64; REASONS];

/// A model's row.
#[derive(Debug, Default)]
struct Row {
    counts: Counts,
    /// Routed requests by the status of their answers.
    routed: Statuses,
    tokens: Sums,
    /// Whether a request was answered with a status of 2xx.
    served: AtomicBool,
    /// The sum of the counts when it was last seen to have changed, and the seconds from the picker's start to
    /// then. Looked at when somebody reads the metrics, so that a request has no clock to read.
    seen: AtomicU64,
    at: AtomicU64,
}

impl Row {
    /// Whether nothing was counted for long, `now` seconds after the picker's start.
    fn is_idle(&self, now: u64) -> bool {
        let refused: u64 = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        let sum = refused + self.routed.sum();
        if self.seen.swap(sum, Ordering::Relaxed) != sum {
            self.at.store(now, Ordering::Relaxed);
        }
        now.saturating_sub(self.at.load(Ordering::Relaxed)) >= IDLE.as_secs()
    }

    fn is_served(&self) -> bool {
        self.served.load(Ordering::Relaxed)
    }
}

/// The model of a routed request, kept while that is under way: what the answer is and took is known later. When it is
/// dropped, the request is counted, if it was not yet.
#[derive(Debug)]
pub struct Model {
    row: ModelRow,
    counted: bool,
}

/// The row of a model, or what makes it.
#[derive(Debug)]
enum ModelRow {
    Row(Arc<Row>),
    /// It has none yet: that depends on the answer.
    New(Box<(Requests, Box<str>)>),
}

impl Model {
    /// The head of the answer has come, with this status. Only the first one counts.
    pub fn answered(&mut self, status: Option<u16>) {
        if std::mem::replace(&mut self.counted, true) {
            return;
        }
        let served = status.is_some_and(|status| (200..300).contains(&status));
        let row = self.row(served);
        row.routed.count(status);
        if served && !row.is_served() {
            row.served.store(true, Ordering::Relaxed);
        }
    }

    /// Counts the tokens of an answer.
    pub fn took(&mut self, tokens: Tokens) {
        self.row(false).tokens.add(tokens);
    }

    fn row(&mut self, served: bool) -> &Row {
        if let ModelRow::New(new) = &self.row {
            let (requests, name) = &**new;
            self.row = ModelRow::Row(requests.new_row(name, served));
        }
        match &self.row {
            ModelRow::Row(row) => row,
            ModelRow::New(new) => &new.0.0.other,
        }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.answered(None);
    }
}

type Rows = FxHashMap<Box<str>, Arc<Row>>;

/// Requests by model, status and [`Reason`], and the tokens of their answers by model. A model that was seen before costs
/// one lookup and one addition.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    models: ArcSwap<Rows>,
    /// One new model at a time.
    adding: Mutex<()>,
    unknown: Arc<Row>,
    other: Arc<Row>,
    /// Exchanges with nothing to route, by the status of their answers.
    nothing: Statuses,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            models: ArcSwap::default(),
            adding: Mutex::default(),
            unknown: Arc::default(),
            other: Arc::default(),
            nothing: Statuses::default(),
        }
    }
}

impl Requests {
    /// Counts a request for `model` (`None`: it named none, or was not read) that the picker itself answers, or that
    /// ends without an answer. One with another reason is not counted here.
    pub fn count(&self, model: Option<&str>, reason: Reason) {
        if reason.status().is_some() {
            let row = self.known_row(model).unwrap_or_else(|_| self.0.other.clone());
            row.counts[reason.index()].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an exchange with nothing to route, whose answer has this status, if it is known.
    pub fn count_nothing(&self, status: Option<u16>) {
        self.0.nothing.count(status);
    }

    /// A request for `model` was routed. It is counted with its answer's status.
    pub fn routed(&self, model: Option<&str>) -> Model {
        let row = match self.known_row(model) {
            Ok(row) => ModelRow::Row(row),
            Err(_) if self.0.models.load().len() >= MODELS => ModelRow::Row(self.0.other.clone()),
            Err(name) => ModelRow::New(Box::new((self.clone(), name.into()))),
        };
        Model { row, counted: false }
    }

    /// The row of `model`, or its name as a label has it when there is none.
    fn known_row<'m>(&self, model: Option<&'m str>) -> Result<Arc<Row>, &'m str> {
        let Some(model) = model.filter(|model| !model.is_empty() && *model != UNKNOWN) else {
            return Ok(self.0.unknown.clone());
        };
        let model = &model[..model.floor_char_boundary(NAME)];
        if model == OTHER {
            return Ok(self.0.other.clone());
        }
        self.0.models.load().get(model).cloned().ok_or(model)
    }

    /// The row of `model`, which is made if there is room; `served` says whether the pool is known to have the model.
    fn new_row(&self, model: &str, served: bool) -> Arc<Row> {
        let _adding = self.0.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let models = self.0.models.load();
        if let Some(row) = models.get(model) {
            return row.clone();
        }
        if models.len() >= MODELS || !served && unserved(&models) >= UNSERVED {
            return self.0.other.clone();
        }
        let row = Arc::new(Row::default());
        row.served.store(served, Ordering::Relaxed);
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
        let full = models.len() >= MODELS;
        let idle: Vec<&str> = models
            .iter()
            .filter(|(_, row)| row.is_idle(now) && Arc::strong_count(row) == 1 && (full || !row.is_served()))
            .map(|(model, _)| &**model)
            .collect();
        if !full && unserved(&models) < UNSERVED || idle.is_empty() {
            return;
        }
        let mut rest = Rows::clone(&models);
        idle.iter().for_each(|model| drop(rest.remove(*model)));
        self.0.models.store(Arc::new(rest));
    }
}

/// How many models there are for which no request was ever answered with a status of 2xx.
fn unserved(models: &Rows) -> usize {
    models.values().filter(|row| !row.is_served()).count()
}

impl Collector for Requests {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Requests by model, by HTTP status and by reason";
        let mut metric = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
        self.make_room();
        let models = self.0.models.load();
        let mut rows: Vec<(&str, &Row)> = models.iter().map(|(model, row)| (&**model, &**row)).collect();
        rows.sort_unstable_by_key(|(model, _)| *model);
        rows.extend([(UNKNOWN, &*self.0.unknown), (OTHER, &*self.0.other)]);
        let mut encode = |model: &str, status: &str, reason: Reason, count: u64| {
            let labels = [("model", model), ("status", status), ("reason", reason.name())];
            ConstCounter::new(count).encode(metric.encode_family(&labels)?)
        };
        for &(model, row) in &rows {
            row.routed.each(|status, count| encode(model, status, Reason::Routed, count))?;
            for reason in Reason::all() {
                let count = row.counts[reason.index()].load(Ordering::Relaxed);
                if let Some(status) = reason.status().filter(|_| count > 0) {
                    encode(model, &status.to_string(), reason, count)?;
                }
            }
        }
        self.0.nothing.each(|status, count| encode(UNKNOWN, status, Reason::Nothing, count))?;
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
