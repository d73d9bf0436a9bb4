//! The counts of requests by model, by how they ended, and by the status of their answers.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::reason::{REASONS, Reason};
use super::series::{self, Asked, Series};
use super::statuses::Statuses;
use super::tokens::Sums;

/// Models with a row of their own; further ones are counted as `other`, because clients choose the names. So
/// are those for which no request was ever routed.
const MODELS: usize = 1000;
/// How many of them may be models for which no request was ever answered with a status of 2xx: names that the pool
/// doesn't have take no row from those that it has.
const UNSERVED: usize = 100;
/// Series of all models but those of [`OTHER`] and [`UNKNOWN`]: each has some two kilobytes, and more than a hundred lines
/// of the page. Further ones are counted as of [`OTHER`].
const SERIES: usize = 256;
/// Series of one model. Objectives are bounded by who may make them.
const SERIES_OF_ONE: usize = 64;
/// When all rows are taken, those without a request for this long are given to others: clients that invent names
/// would otherwise leave nothing but `other` of models to come.
const IDLE: Duration = Duration::from_secs(600);
/// The row of those without one, and so of a model of that name.
const OTHER: &str = "other";
/// The row of requests whose model is not known: they named none, or were not read. It is that of a model of that name
/// too.
const UNKNOWN: &str = "unknown";
/// Bytes of a model's name that the label keeps.
pub(super) const NAME: usize = 128;

/// Of reasons for which the picker decides the status.
type Counts = [AtomicU64; REASONS];

/// A model's row.
#[derive(Debug, Default)]
pub(super) struct Row {
    counts: Counts,
    /// Routed requests by the status of their answers.
    pub routed: Statuses,
    pub tokens: Sums,
    /// Its requests by objective and priority, in the order in which these came up.
    series: ArcSwap<Vec<Arc<Series>>>,
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

    /// A request was answered with a status of 2xx.
    pub fn was_served(&self) {
        if !self.is_served() {
            self.served.store(true, Ordering::Relaxed);
        }
    }

    /// Its series of `asked`, if there is one.
    pub fn find(&self, asked: Asked<'_>) -> Option<Arc<Series>> {
        self.series.load().iter().find(|series| series.is_of(asked)).cloned()
    }

    fn push(&self, series: Arc<Series>) {
        let mut more = Vec::clone(&self.series.load());
        more.push(series);
        self.series.store(Arc::new(more));
    }
}

type Rows = FxHashMap<Box<str>, Arc<Row>>;

/// Requests by model, status and [`Reason`], and what their answers took, by model and by objective. A model that was seen
/// before costs one lookup and some additions.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    models: ArcSwap<Rows>,
    /// One new model at a time.
    adding: Mutex<()>,
    /// How many series there are of all models but `unknown` and `other`.
    series: AtomicUsize,
    unknown: Arc<Row>,
    other: Arc<Row>,
    /// The series of `other` without an objective.
    rest: Arc<Series>,
    /// Exchanges with nothing to route, by the status of their answers.
    nothing: Statuses,
}

impl Default for Inner {
    fn default() -> Self {
        let (other, rest) = (Arc::<Row>::default(), Arc::<Series>::default());
        other.push(rest.clone());
        Self {
            started: Instant::now(),
            models: ArcSwap::default(),
            adding: Mutex::default(),
            series: AtomicUsize::new(0),
            unknown: Arc::default(),
            other,
            rest,
            nothing: Statuses::default(),
        }
    }
}

impl Requests {
    /// Counts a request that the picker itself answers, or that ends without an answer. One with another reason is not
    /// counted here.
    pub fn count<'a>(&self, asked: impl Into<Asked<'a>>, reason: Reason) {
        if reason.status().is_some() {
            let asked = asked.into();
            let row = self.known_row(asked.model).unwrap_or_else(|_| self.0.other.clone());
            row.counts[reason.index()].fetch_add(1, Ordering::Relaxed);
            self.series(&row, asked, row.is_served()).failed(reason);
        }
    }

    /// Counts an exchange with nothing to route, whose answer has this status, if it is known.
    pub fn count_nothing(&self, status: Option<u16>) {
        self.0.nothing.count(status);
    }

    /// The row of a routed request, or the name of its model as a label has it when there is none and room for one.
    pub(super) fn row_of<'a>(&self, asked: Asked<'a>) -> Result<Arc<Row>, &'a str> {
        match self.known_row(asked.model) {
            Err(_) if self.0.models.load().len() >= MODELS => Ok(self.0.other.clone()),
            row => row,
        }
    }

    /// The series of `row` that `asked` is counted in. It is made if there is none, if there is room, and if the pool is known
    /// to have the model, which is what `served` says.
    pub(super) fn series(&self, row: &Arc<Row>, asked: Asked<'_>, served: bool) -> Arc<Series> {
        if let Some(series) = row.find(asked) {
            return series;
        }
        let is_other = Arc::ptr_eq(row, &self.0.other);
        let counts = !is_other && !Arc::ptr_eq(row, &self.0.unknown);
        if !counts || served && self.0.series.load(Ordering::Relaxed) < SERIES {
            let _adding = self.0.adding.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(series) = row.find(asked) {
                return series;
            }
            if row.series.load().len() < SERIES_OF_ONE {
                let series = Arc::new(Series::new(asked.objective, asked.priority));
                row.push(series.clone());
                self.0.series.fetch_add(usize::from(counts), Ordering::Relaxed);
                return series;
            }
        }
        if is_other { self.0.rest.clone() } else { self.series(&self.0.other, asked, false) }
    }

    /// Where what has no other place is counted.
    pub(super) fn rest(&self) -> (&Row, &Series) {
        (&self.0.other, &self.0.rest)
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
    pub(super) fn new_row(&self, model: &str, served: bool) -> Arc<Row> {
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
        let full = models.len() >= MODELS || self.0.series.load(Ordering::Relaxed) >= SERIES;
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
        self.0.series.store(rest.values().map(|row| row.series.load().len()).sum(), Ordering::Relaxed);
        self.0.models.store(Arc::new(rest));
    }
}

/// How many models there are for which no request was ever answered with a status of 2xx.
fn unserved(models: &Rows) -> usize {
    models.values().filter(|row| !row.is_served()).count()
}

impl Requests {
    /// All rows, in the order of their names; that of `unknown` and that of `other` come last.
    fn rows<T>(&self, each: impl FnOnce(Vec<(&str, &Row)>) -> T) -> T {
        let models = self.0.models.load();
        let mut rows: Vec<(&str, &Row)> = models.iter().map(|(model, row)| (&**model, &**row)).collect();
        rows.sort_unstable_by_key(|(model, _)| *model);
        rows.extend([(UNKNOWN, &*self.0.unknown), (OTHER, &*self.0.other)]);
        each(rows)
    }

    /// Every series that counted something, with the label of its model, in order.
    pub(super) fn all_series<T>(&self, each: impl FnOnce(&[(&str, &Series)]) -> T) -> T {
        self.rows(|rows| {
            let all: Vec<_> = rows.into_iter().map(|(model, row)| (model, row.series.load_full())).collect();
            let series = all.iter().flat_map(|(model, series)| {
                let mut series: Vec<&Series> = series.iter().map(|series| &**series).collect();
                series.sort_unstable_by_key(|series| (&*series.objective, series.priority));
                series.into_iter().filter(|series| !series.is_empty()).map(|series| (*model, series))
            });
            let series: Vec<(&str, &Series)> = series.collect();
            each(&series)
        })
    }
}

impl Collector for Requests {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        self.make_room();
        self.rows(|mut rows| {
            let help = "Requests by model, by HTTP status and by reason";
            let mut metric = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
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
        })?;
        self.all_series(|all| series::encode(&mut encoder, all))
    }
}
