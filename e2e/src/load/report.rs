//! The results of a load: requests, failures, latencies and cache hits.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;

use super::ask::Usage;

/// One request and how it ended.
#[derive(Clone, Debug)]
pub struct Sample {
    /// When it was sent.
    pub sent: Instant,
    /// How long it took to its end.
    pub took: Duration,
    /// How long until the body began; all of `took` when it never did.
    pub first_byte: Duration,
    /// Whether a streamed answer was asked for.
    pub streamed: bool,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A whole answer of a model server.
    Served {
        /// The pod that says it served.
        pod: Arc<str>,
        /// What it counted.
        usage: Usage,
    },
    /// An answer of another status than 200.
    Refused {
        /// The status.
        status: StatusCode,
        /// The beginning of its body.
        body: String,
    },
    /// No answer, or not the whole of it.
    Broken(String),
}

impl Sample {
    /// When it ended.
    pub fn ended(&self) -> Instant {
        self.sent + self.took
    }

    /// Whether it was served.
    pub fn served(&self) -> bool {
        matches!(self.outcome, Outcome::Served { .. })
    }
}

/// All requests of a load, in the order in which they ended.
#[derive(Clone, Debug)]
pub struct Report {
    /// When the load began.
    pub began: Instant,
    /// Every request.
    pub samples: Vec<Sample>,
}

impl Report {
    /// How many requests ended.
    pub fn total(&self) -> usize {
        self.samples.len()
    }

    /// The requests that were not served.
    pub fn failures(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|sample| !sample.served())
    }

    /// The requests sent in `from..to`.
    pub fn between(&self, from: Instant, to: Instant) -> Self {
        let samples =
            self.samples.iter().filter(|sample| (from..to).contains(&sample.sent)).cloned().collect();
        Self { began: self.began, samples }
    }

    /// How many each pod served.
    pub fn by_pod(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for sample in &self.samples {
            if let Outcome::Served { pod, .. } = &sample.outcome {
                *counts.entry(pod.to_string()).or_default() += 1;
            }
        }
        counts
    }

    /// How many ended how: `200`, another status, or `broken`.
    pub fn by_status(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for sample in &self.samples {
            let status = match &sample.outcome {
                Outcome::Served { .. } => "200".to_owned(),
                Outcome::Refused { status, .. } => status.as_u16().to_string(),
                Outcome::Broken(_) => "broken".to_owned(),
            };
            *counts.entry(status).or_default() += 1;
        }
        counts
    }

    /// The share of the prompts' tokens that were found in a prefix cache, 0 to 1.
    pub fn hit_ratio(&self) -> f64 {
        let usages = self.samples.iter().filter_map(|sample| match &sample.outcome {
            Outcome::Served { usage, .. } => Some(usage),
            _ => None,
        });
        let (cached, prompt) =
            usages.fold((0, 0), |(cached, prompt), u| (cached + u.cached, prompt + u.prompt));
        if prompt == 0 { 0.0 } else { cached as f64 / prompt as f64 }
    }

    /// The time within which the share `quantile` (0 to 1) of the served requests were at their end.
    pub fn took(&self, quantile: f64) -> Duration {
        quantile_of(self.samples.iter().filter(|sample| sample.served()).map(|sample| sample.took), quantile)
    }

    /// The time within which the share `quantile` (0 to 1) of the served requests had their first byte.
    pub fn first_byte(&self, quantile: f64) -> Duration {
        quantile_of(
            self.samples.iter().filter(|sample| sample.served()).map(|sample| sample.first_byte),
            quantile,
        )
    }
}

fn quantile_of(times: impl Iterator<Item = Duration>, quantile: f64) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort();
    let rank = (times.len() as f64 * quantile).ceil() as usize;
    times.get(rank.max(1) - 1).copied().unwrap_or_default()
}

/// Counts, times, and the first failures with when and what.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let failed = self.failures().count();
        write!(
            f,
            "{} requests, {failed} failed, {:?}, hit ratio {:.3}",
            self.total(),
            self.by_status(),
            self.hit_ratio()
        )?;
        write!(f, ", p50 {:.1} ms, p99 {:.1} ms", ms(self.took(0.5)), ms(self.took(0.99)))?;
        for failure in self.failures().take(10) {
            let at = failure.sent.saturating_duration_since(self.began).as_secs_f64();
            let streamed = if failure.streamed { "streamed" } else { "whole" };
            let took = ms(failure.took);
            match &failure.outcome {
                Outcome::Refused { status, body } => {
                    write!(f, "\n  at {at:.3} s, {streamed}, {took:.0} ms: {status}: {body}")?
                }
                Outcome::Broken(what) => write!(f, "\n  at {at:.3} s, {streamed}, {took:.0} ms: {what}")?,
                Outcome::Served { .. } => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
