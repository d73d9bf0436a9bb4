//! What is counted of the requests for one model under one objective and priority.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::distribution::{Batch, Distribution, Scale};
use super::reason::{REASONS, Reason};
use super::tokens::Tokens;

/// What a request asks for, as metrics tell requests apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The model that the server is asked for, which may be another than the client named; `None` where it is not known.
    pub model: Option<&'a str>,
    /// The InferenceObjective that it names, if the pool has that one; empty otherwise.
    pub objective: &'a str,
    /// Its priority.
    pub priority: i32,
}

impl<'a> From<Option<&'a str>> for Asked<'a> {
    fn from(model: Option<&'a str>) -> Self {
        Self { model, ..Self::default() }
    }
}

/// The counts of a model under an objective and a priority.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub objective: Box<str>,
    pub priority: i32,
    /// Requests that were routed.
    pub routed: AtomicU64,
    /// Those of them that have not ended.
    pub running: AtomicI64,
    /// Requests that failed, by reason: refused, or routed and answered with a status of 400 or more.
    pub errors: [AtomicU64; REASONS],
    pub duration: Distribution,
    /// From the request to the first byte of an answer that is no stream.
    pub whole: Distribution,
    /// The same of streams.
    pub first: Distribution,
    pub per_token: Distribution,
    pub between_tokens: Distribution,
    pub normalized: Distribution,
    pub request_bytes: Distribution,
    pub response_bytes: Distribution,
    pub input: Distribution,
    pub cached: Distribution,
    pub output: Distribution,
    pub reasoning: Distribution,
}

/// A distribution of every series: its name as a metric, its help text, its scale, and where it is.
pub(super) struct Kind {
    pub name: &'static str,
    help: &'static str,
    pub scale: &'static Scale,
    pub of: fn(&Series) -> &Distribution,
    /// The value of the label `streaming`, where the metric has one. Kinds of one metric follow each other.
    pub streaming: Option<&'static str>,
}

const fn kind(
    name: &'static str,
    help: &'static str,
    scale: &'static Scale,
    of: fn(&Series) -> &Distribution,
) -> Kind {
    Kind { name, help, scale, of, streaming: None }
}

const FIRST: &str =
    "Time from when a request was complete to the first byte of its answer, with a status of 2xx";

/// All distributions.
pub(super) static KINDS: [Kind; 12] = [
    kind(
        "request_duration_seconds",
        "Time from when a request was complete to the last byte of its answer, with a status of 2xx",
        &Scale::REQUEST,
        |series| &series.duration,
    ),
    Kind {
        streaming: Some("true"),
        ..kind("time_to_first_token_seconds", FIRST, &Scale::FIRST, |series| &series.first)
    },
    Kind {
        streaming: Some("false"),
        ..kind("time_to_first_token_seconds", FIRST, &Scale::FIRST, |series| &series.whole)
    },
    kind(
        "time_per_output_token_seconds",
        "Time from the first byte of a stream to its last piece, for each token after the first",
        &Scale::TOKEN,
        |series| &series.per_token,
    ),
    kind(
        "inter_token_latency_seconds",
        "Time from one arrival of pieces of a stream to the next",
        &Scale::TOKEN,
        |series| &series.between_tokens,
    ),
    kind(
        "normalized_time_per_output_token_seconds",
        "Time from when a request was complete to the last byte of its answer, for each token of it",
        &Scale::TOKEN,
        |series| &series.normalized,
    ),
    kind("request_size_bytes", "Bytes of the bodies of routed requests", &Scale::BYTES, |series| {
        &series.request_bytes
    }),
    kind(
        "response_size_bytes",
        "Bytes of the bodies of answers, with a status of 2xx",
        &Scale::BYTES,
        |series| &series.response_bytes,
    ),
    kind(
        "request_input_tokens",
        "Tokens of a prompt, as its model server counts them",
        &Scale::TOKENS,
        |series| &series.input,
    ),
    kind(
        "request_cached_tokens",
        "Tokens of a prompt that its model server had in the prefix cache",
        &Scale::TOKENS,
        |series| &series.cached,
    ),
    kind(
        "request_output_tokens",
        "Tokens of an answer, as its model server counts them",
        &Scale::TOKENS,
        |series| &series.output,
    ),
    kind(
        "request_reasoning_tokens",
        "Tokens of an answer that are reasoning, as its model server counts them",
        &Scale::TOKENS,
        |series| &series.reasoning,
    ),
];

/// Nanoseconds of a duration.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The times of an answer with a status of 2xx that has ended with its last byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// From when the request was complete.
    pub duration: Duration,
    /// Of a stream, from its first byte to its last piece.
    pub stream: Option<Duration>,
}

impl Series {
    pub fn new(objective: &str, priority: i32) -> Self {
        Self { objective: objective.into(), priority, ..Self::default() }
    }

    /// Whether it is that of `asked`, whatever its model.
    pub fn is_of(&self, asked: Asked<'_>) -> bool {
        self.priority == asked.priority && *self.objective == *asked.objective
    }

    pub fn failed(&self, reason: Reason) {
        self.errors[reason.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the first byte of an answer that came `after` its request was complete.
    pub fn began(&self, after: Duration, streaming: bool) {
        let distribution = if streaming { &self.first } else { &self.whole };
        distribution.observe(&Scale::FIRST, nanos(after));
    }

    pub fn took(&self, tokens: Tokens) {
        let Tokens { prompt, cached, completion, reasoning } = tokens;
        for (distribution, count) in [
            (&self.input, prompt),
            (&self.cached, cached),
            (&self.output, completion),
            (&self.reasoning, reasoning),
        ] {
            distribution.observe(&Scale::TOKENS, count.into());
        }
    }

    /// Counts an answer that has ended, of so many bytes; `tokens` where it says how many it has.
    pub fn ended(&self, times: Times, bytes: u64, tokens: Option<Tokens>) {
        self.duration.observe(&Scale::REQUEST, nanos(times.duration));
        self.response_bytes.observe(&Scale::BYTES, bytes);
        let Some(made) = tokens.map(|tokens| tokens.completion).filter(|made| *made > 0) else { return };
        self.normalized.observe(&Scale::TOKEN, nanos(times.duration) / u64::from(made));
        if let Some(stream) = times.stream.filter(|_| made > 1) {
            self.per_token.observe(&Scale::TOKEN, nanos(stream) / u64::from(made - 1));
        }
    }

    /// Whether nothing was counted yet.
    pub fn is_empty(&self) -> bool {
        self.routed.load(Ordering::Relaxed) == 0
            && self.errors.iter().all(|count| count.load(Ordering::Relaxed) == 0)
    }
}

/// Times between the arrivals of one stream, which go to its series many at a time.
#[derive(Debug, Default)]
pub struct Arrivals(Batch);

impl Arrivals {
    /// The next one came so long after the one before. Whether it is time to count them.
    pub fn next(&mut self, after: Duration) -> bool {
        self.0.observe(&Scale::TOKEN, nanos(after))
    }

    pub(super) fn count(&mut self, series: &Series) {
        self.0.empty_into(&series.between_tokens);
    }
}

/// Writes the metrics of all `series`, each with the label of its model.
pub(super) fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    series: &[(&str, &Series)],
) -> Result<(), fmt::Error> {
    let priorities: Vec<String> = series.iter().map(|(_, series)| series.priority.to_string()).collect();
    let labels = |at: usize| {
        let (model, series) = &series[at];
        [("model", *model), ("objective", &*series.objective), ("priority", priorities[at].as_str())]
    };
    let help = "Requests that an endpoint was named for, by model, objective and priority";
    let mut metric = encoder.encode_descriptor("routed_requests", help, None, MetricType::Counter)?;
    for (at, (_, series)) in series.iter().enumerate() {
        let count = ConstCounter::new(series.routed.load(Ordering::Relaxed));
        count.encode(metric.encode_family(&labels(at))?)?;
    }
    let help = "Requests that were refused, or answered with a status of 400 or more";
    let mut metric = encoder.encode_descriptor("request_errors", help, None, MetricType::Counter)?;
    for (at, (_, series)) in series.iter().enumerate() {
        for reason in Reason::all() {
            let count = series.errors[reason.index()].load(Ordering::Relaxed);
            if count > 0 {
                let [model, objective, priority] = labels(at);
                let labels = [model, objective, priority, ("reason", reason.name())];
                ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
            }
        }
    }
    let help = "Requests that were routed and have not ended, by model, objective and priority";
    let mut metric = encoder.encode_descriptor("running_requests", help, None, MetricType::Gauge)?;
    for (at, (_, series)) in series.iter().enumerate() {
        let count = ConstGauge::new(series.running.load(Ordering::Relaxed));
        count.encode(metric.encode_family(&labels(at))?)?;
    }
    for kinds in KINDS.chunk_by(|one, next| one.name == next.name) {
        let Kind { name, help, .. } = kinds[0];
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for kind in kinds {
            for (at, (_, series)) in series.iter().enumerate() {
                let counts = (kind.of)(series).counts();
                if counts.count() > 0 {
                    let mut labels = labels(at).to_vec();
                    labels.extend(kind.streaming.map(|value| ("streaming", value)));
                    counts.encode(kind.scale, metric.encode_family(&labels)?)?;
                }
            }
        }
    }
    Ok(())
}
