use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

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

/// How the request of an exchange ended: its HTTP status, and the reason in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An endpoint was named.
    Routed,
    /// The gateway told the picker nothing to route (a response of its own, an empty stream).
    Nothing,
    /// There is no ready endpoint, or none that the gateway allows.
    NoEndpoints,
    /// The filters removed every endpoint.
    AllFiltered,
    /// The body is not what path and content type claim.
    BadBody,
    /// The body is longer than the cap.
    TooLarge,
    /// The rest of a body that is held doesn't come.
    TooSlow,
    /// The bodies that are held leave no room for another one.
    Overloaded,
    /// No strategy has been compiled yet.
    NoStrategy,
    /// The client went away before an endpoint was named.
    ClientClosed,
    /// The gateway broke the protocol.
    Protocol,
}

impl Reason {
    /// All of them, in the order of their rows.
    pub const ALL: [Self; 11] = [
        Self::Routed,
        Self::Nothing,
        Self::NoEndpoints,
        Self::AllFiltered,
        Self::BadBody,
        Self::TooLarge,
        Self::TooSlow,
        Self::Overloaded,
        Self::NoStrategy,
        Self::ClientClosed,
        Self::Protocol,
    ];

    /// The HTTP status that the client sees, as far as it depends on the picker.
    pub fn status(self) -> u16 {
        match self {
            Self::Routed | Self::Nothing => 200,
            Self::BadBody => 400,
            Self::TooSlow => 408,
            Self::TooLarge => 413,
            Self::AllFiltered => 429,
            Self::ClientClosed => 499,
            Self::Protocol => 500,
            Self::NoEndpoints | Self::Overloaded | Self::NoStrategy => 503,
        }
    }

    /// The reason in a word, as header and label carry it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Routed => "routed",
            Self::Nothing => "nothing-to-route",
            Self::NoEndpoints => "no-endpoints",
            Self::AllFiltered => "all-filtered",
            Self::BadBody => "bad-body",
            Self::TooLarge => "body-too-large",
            Self::TooSlow => "body-too-slow",
            Self::Overloaded => "overloaded",
            Self::NoStrategy => "no-strategy",
            Self::ClientClosed => "client-closed",
            Self::Protocol => "protocol-error",
        }
    }
}

type Counts = [AtomicU64; Reason::ALL.len()];

/// A model's row.
#[derive(Debug, Default)]
struct Row {
    counts: Counts,
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

type Rows = FxHashMap<Box<str>, Arc<Row>>;

/// Requests by model and [`Reason`]. A model that was seen before costs one lookup and one addition.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started: Instant,
    models: ArcSwap<Rows>,
    /// One new model at a time.
    adding: Mutex<()>,
    unnamed: Counts,
    other: Counts,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            models: ArcSwap::default(),
            adding: Mutex::default(),
            unnamed: Counts::default(),
            other: Counts::default(),
        }
    }
}

impl Requests {
    /// Counts a request for `model` (`None`: it named none, or was not read).
    pub fn count(&self, model: Option<&str>, reason: Reason) {
        let Some(model) = model.filter(|m| !m.is_empty()) else {
            return add(&self.0.unnamed, reason);
        };
        let model = &model[..model.floor_char_boundary(NAME)];
        if model == OTHER {
            return add(&self.0.other, reason);
        }
        if let Some(row) = self.0.models.load().get(model) {
            return add(&row.counts, reason);
        }
        if reason != Reason::Routed || self.0.models.load().len() >= MODELS {
            return add(&self.0.other, reason);
        }
        self.count_new(model, reason);
    }

    fn count_new(&self, model: &str, reason: Reason) {
        let _adding = self.0.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let models = self.0.models.load();
        if let Some(row) = models.get(model) {
            return add(&row.counts, reason);
        }
        if models.len() >= MODELS {
            return add(&self.0.other, reason);
        }
        let row = Arc::new(Row::default());
        add(&row.counts, reason);
        let mut more = Rows::clone(&models);
        more.insert(model.into(), row);
        self.0.models.store(Arc::new(more));
    }

    /// Takes the rows that are idle, when there is no other. A request that is counted at this moment may go with
    /// its row.
    fn make_room(&self) {
        let now = self.0.started.elapsed().as_secs();
        let _adding = self.0.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let models = self.0.models.load();
        let idle: Vec<&str> =
            models.iter().filter(|(_, row)| row.is_idle(now)).map(|(model, _)| &**model).collect();
        if models.len() < MODELS || idle.is_empty() {
            return;
        }
        let mut rest = Rows::clone(&models);
        idle.iter().for_each(|model| drop(rest.remove(*model)));
        self.0.models.store(Arc::new(rest));
    }
}

fn add(counts: &Counts, reason: Reason) {
    counts[reason as usize].fetch_add(1, Ordering::Relaxed);
}

impl Collector for Requests {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Requests by model, by HTTP status and by reason";
        let mut metric = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
        self.make_room();
        let models = self.0.models.load();
        let mut rows: Vec<(&str, &Counts)> =
            models.iter().map(|(model, row)| (&**model, &row.counts)).collect();
        rows.sort_unstable_by_key(|(model, _)| *model);
        rows.extend([("", &self.0.unnamed), (OTHER, &self.0.other)]);
        for (model, counts) in rows {
            for reason in Reason::ALL {
                let count = counts[reason as usize].load(Ordering::Relaxed);
                if count > 0 {
                    let labels = [("model", model), ("status", status(reason)), ("reason", reason.name())];
                    ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}

/// [`Reason::status`] as a label.
pub(super) fn status(reason: Reason) -> &'static str {
    match reason.status() {
        200 => "200",
        400 => "400",
        408 => "408",
        413 => "413",
        429 => "429",
        499 => "499",
        503 => "503",
        _ => "500",
    }
}
