//! `latency-ewma-scorer`: the sooner an endpoint has answered lately, the better.
//!
//! It needs no metrics of model servers: what a client waits for is measured where it passes, with the queue, the prompt and
//! the network in it. It follows what has happened, so that it is best beside a scorer of what is under way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;
use smallvec::SmallVec;

use crate::ask::{Ask, Decision};
use crate::edits::Edits;
use crate::endpoint::Endpoint;
use crate::inputs::Inputs;
use crate::outcome::{Ending, Outcome, ResponseHead};
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::role::{Observer, ResponseWatch, Scorer};
use crate::store::Shape;
use crate::view::Candidates;

use latencies::{Latencies, Latency};

mod latencies;
#[cfg(test)]
mod tests;

/// The media type of a stream of events.
const STREAM: &[u8] = b"text/event-stream";

/// The longest half-life, a day.
const MAX_HALF_LIFE: f64 = 86_400.0;

/// Parameters of `latency-ewma-scorer`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// After how many seconds an answer counts half as much as one of now, 0.1 to 86400. An endpoint of which no answer came for
    /// ten times as long counts as unknown, so that one that was slow is tried again.
    #[schemars(range(min = 0.1, max = 86_400.0))]
    half_life_seconds: f64,
    /// Weight of the time to the first byte of an answer, at least 0.
    #[schemars(range(min = 0.0))]
    ttft_weight: f64,
    /// Weight of the time for each further token, at least 0. It is known of answers that are a stream of events. Not both
    /// weights can be 0.
    #[schemars(range(min = 0.0))]
    tpot_weight: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { half_life_seconds: 10.0, ttft_weight: 0.8, tpot_weight: 0.2 }
    }
}

/// Measures answers, and scores endpoints by them.
#[derive(Debug)]
pub struct LatencyEwmaScorer {
    weights: [f64; 2],
    half_life: f64,
    latencies: Arc<Latencies>,
}

impl Plugin for LatencyEwmaScorer {
    const TYPE: &'static str = "latency-ewma-scorer";
    const TASK: Task = Task::Load;
    const ORIGIN: Origin = Origin::Waypost;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Prefers endpoints whose answers through this picker came sooner: a mean of the times to the first byte and for each \
         further token, in which older answers count less and less. Only answers with a status 2xx count. An endpoint of which nothing is known lately \
         gets the mean score of the others, and 1 when none is known. Answers that are no streams have their first byte when all of them is \
         computed; where only some are, they blur what is known.";
    const FORMULA: &'static str = "(most − latency) / (most − least) over the candidates, 1 when all are equal, with the latency ttftWeight · ttft + \
         tpotWeight · tpot, of which each is (value − least) / (most − least) over the candidates.";
    const ROLES: &'static [Role] = &[Role::Scorer, Role::Observer];
    const SAMPLE: &'static str = "\
plugins:
- type: latency-ewma-scorer
  parameters: {halfLifeSeconds: 20}
- type: active-request-scorer
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: latency-ewma-scorer, weight: 1}
  - {pluginRef: active-request-scorer, weight: 2}
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let Params { half_life_seconds: half_life, ttft_weight, tpot_weight } = params;
        if !(0.1..=MAX_HALF_LIFE).contains(&half_life) {
            return Err(BuildError::invalid("halfLifeSeconds", "must lie between 0.1 and 86400"));
        }
        for (field, weight) in [("ttftWeight", ttft_weight), ("tpotWeight", tpot_weight)] {
            if !(weight.is_finite() && weight >= 0.0) {
                return Err(BuildError::invalid(field, "must be at least 0"));
            }
        }
        if ttft_weight + tpot_weight == 0.0 {
            return Err(BuildError::invalid("ttftWeight", "must be more than 0 where tpotWeight is 0"));
        }
        // Only their ratio counts, and the sum of large ones is finite then.
        let most = ttft_weight.max(tpot_weight);
        let plugin = Arc::new(Self {
            weights: [ttft_weight / most, tpot_weight / most],
            half_life,
            // What was measured does not depend on how it is weighted, and hardly on how it fades.
            latencies: cx.state(Shape(String::new()), Latencies::default),
        });
        Ok(Roles { scorer: Some(plugin.clone()), observer: Some(plugin), ..Roles::default() })
    }
}

/// Least and most of `values` that are no NaN; infinite where there is none.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    // Comparisons with NaN are false.
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
        (if value < least { value } else { least }, if value > most { value } else { most })
    })
}

impl Scorer for LatencyEwmaScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let known = self.latencies.read(ask.now, self.half_life);
        let latencies: SmallVec<[Latency; 64]> =
            candidates.iter().map(|i| known.of(ask.view.places[i])).collect();
        let (ttft, tpot) = (range(latencies.iter().map(|l| l.ttft)), range(latencies.iter().map(|l| l.tpot)));
        let part = |value: f64, (least, most): (f64, f64)| {
            if most > least { (value - least) / (most - least) } else { 0.0 }
        };
        // An endpoint that had no stream lately has the mean of those that had.
        let (sum, count) = latencies
            .iter()
            .filter(|l| !l.tpot.is_nan())
            .fold((0.0, 0_u32), |(sum, count), l| (sum + part(l.tpot, tpot), count + 1));
        let mean = if count > 0 { sum / f64::from(count) } else { 0.0 };
        let total = |l: &Latency| {
            let of_tpot = if l.tpot.is_nan() { mean } else { part(l.tpot, tpot) };
            self.weights[0] * part(l.ttft, ttft) + self.weights[1] * of_tpot
        };
        let is_known = |l: &&Latency| !l.ttft.is_nan();
        let totals = range(latencies.iter().filter(is_known).map(total));
        let score = |l: &Latency| 1.0 - part(total(l), totals);
        let (sum, count) = latencies
            .iter()
            .filter(is_known)
            .fold((0.0, 0_u32), |(sum, count), l| (sum + score(l), count + 1));
        let mean = if count > 0 { sum / f64::from(count) } else { 1.0 };
        for (place, latency) in out.iter_mut().zip(&latencies) {
            *place = if latency.ttft.is_nan() { mean } else { score(latency) } as f32;
        }
    }

    fn inputs(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        let known = self.latencies.read(ask.now, self.half_life);
        inputs.number("ttftSeconds", |i| known.of(ask.view.places[i]).ttft as f32);
        inputs.number("tpotSeconds", |i| known.of(ask.view.places[i]).tpot as f32);
    }
}

impl Observer for LatencyEwmaScorer {
    /// Of the endpoints of a request the destination alone is judged: it is the one that answers.
    fn watch(&self, ask: &Ask<'_>, decision: &Decision) -> Option<Box<dyn ResponseWatch>> {
        let chosen = decision.destination()?[0] as usize;
        Some(Box::new(Watch {
            latencies: self.latencies.clone(),
            half_life: self.half_life,
            endpoints: ask.view.endpoints.clone(),
            chosen,
            at: ask.now,
            streams: false,
            pieces: 0,
        }))
    }
}

/// Measures one answer.
struct Watch {
    latencies: Arc<Latencies>,
    half_life: f64,
    /// The endpoints at the time of the decision.
    endpoints: Arc<[Arc<Endpoint>]>,
    /// Position in `endpoints`.
    chosen: usize,
    /// When the decision was made.
    at: Instant,
    /// Whether the answer is a stream of events.
    streams: bool,
    /// Pieces of the body so far.
    pieces: u64,
}

impl Watch {
    /// Who served; `None` when it is nobody that was known.
    fn endpoint(&self, served: Option<SocketAddr>) -> Option<&Arc<Endpoint>> {
        let chosen = self.endpoints.get(self.chosen);
        match served {
            Some(served) if chosen.is_none_or(|e| e.address != served) => {
                self.endpoints.iter().find(|e| e.address == served)
            }
            _ => chosen,
        }
    }

    /// Seconds for each token after the first one, as the server counts tokens, or else as they come.
    fn tpot(&self, outcome: &Outcome, first_byte: Duration) -> Option<f64> {
        let duration = outcome.duration.filter(|_| self.streams && outcome.ending == Ending::Complete)?;
        let tokens = outcome.usage.map_or(self.pieces, |usage| usage.completion);
        (tokens > 1).then(|| duration.saturating_sub(first_byte).as_secs_f64() / (tokens - 1) as f64)
    }
}

impl ResponseWatch for Watch {
    fn head(&mut self, head: &ResponseHead<'_>, _: &mut Edits) {
        let kind = head.headers.get("content-type").and_then(|kind| kind.get(..STREAM.len()));
        self.streams = kind.is_some_and(|kind| kind.eq_ignore_ascii_case(STREAM));
    }

    fn chunk(&mut self, _: &[u8]) {
        self.pieces += 1;
    }

    fn ended(&mut self, outcome: &Outcome, _: &mut Edits) {
        let succeeded = outcome.status.is_some_and(|status| (200..300).contains(&status));
        let Some(first_byte) = outcome.first_byte.filter(|_| succeeded) else { return };
        let Some(endpoint) = self.endpoint(outcome.served) else { return };
        let tpot = self.tpot(outcome, first_byte).unwrap_or(f64::NAN);
        let latency = Latency { ttft: first_byte.as_secs_f64(), tpot };
        let now = self.at + outcome.duration.unwrap_or(first_byte);
        self.latencies.note((endpoint.slot, endpoint.key), latency, now, self.half_life);
    }
}
