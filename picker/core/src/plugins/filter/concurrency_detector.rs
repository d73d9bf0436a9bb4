//! `concurrency-detector` as a filter: takes out the endpoints to which this picker has sent as much as they may have.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::utilization_detector::headroom;
use crate::ask::Ask;
use crate::cx::Cx;
use crate::endpoint::Endpoint;
use crate::fact::RequestLoad;
use crate::inputs::Inputs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::in_flight;
use crate::role::Filter;
use crate::view::Candidates;

#[cfg(test)]
mod tests;

/// Parameters of `concurrency-detector`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// Requests under way at which an endpoint is full. 0 counts as the default.
    max_concurrency: u32,
    /// How much more than full an endpoint may be before it goes, as a part of the limits: 0.2 is a fifth more.
    headroom: f64,
    /// What is counted: `requests` (the default), `tokens`, or `hybrid`, for both.
    concurrency_mode: Mode,
    /// Tokens under way at which an endpoint is full. 0 counts as the default.
    max_token_concurrency: u64,
    /// Name of the plugin that counts the tokens. Without it, the only one of type `inflight-load-producer`, which is made
    /// with default parameters if there is none.
    in_flight_load_producer_name: Option<String>,
}

const MAX_CONCURRENCY: u32 = 100;
const MAX_TOKEN_CONCURRENCY: u64 = 1_000_000;

impl Default for Params {
    fn default() -> Self {
        Self {
            max_concurrency: MAX_CONCURRENCY,
            headroom: 0.0,
            concurrency_mode: Mode::default(),
            max_token_concurrency: MAX_TOKEN_CONCURRENCY,
            in_flight_load_producer_name: None,
        }
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// Requests.
    #[default]
    Requests,
    /// Their tokens.
    Tokens,
    /// Both: an endpoint that is full by either is full.
    Hybrid,
}

/// Takes out the endpoints at a limit.
#[derive(Debug)]
pub struct ConcurrencyDetector {
    /// `None` for what is not counted.
    requests: Option<f64>,
    tokens: Option<f64>,
}

impl Plugin for ConcurrencyDetector {
    const TYPE: &'static str = "concurrency-detector";
    const TASK: Task = Task::Load;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "Takes out the endpoints at which this picker has as many requests or tokens under way as they may have; a request \
         for which none is left is refused. It works in the profiles that name it; as the detector of flow control, which \
         this release does not have, it has no effect.";
    const FORMULA: &'static str = "Kept where requests < maxConcurrency · (1 + headroom), or tokens < maxTokenConcurrency · (1 + headroom), or both.";
    const ROLES: &'static [Role] = &[Role::Filter];
    const SAMPLE: &'static str = "\
plugins:
- type: concurrency-detector
  parameters: {maxConcurrency: 64}
- type: queue-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let factor = f64::from(headroom(params.headroom as f32)?);
        let requests = cx.or_default("maxConcurrency", params.max_concurrency, MAX_CONCURRENCY);
        let tokens =
            cx.or_default("maxTokenConcurrency", params.max_token_concurrency, MAX_TOKEN_CONCURRENCY);
        let (by_requests, by_tokens) = match params.concurrency_mode {
            Mode::Requests => (true, false),
            Mode::Tokens => (false, true),
            Mode::Hybrid => (true, true),
        };
        if by_tokens {
            cx.reads::<RequestLoad>(
                "inFlightLoadProducerName",
                params.in_flight_load_producer_name.as_deref(),
            )?;
        }
        let detector = Self {
            requests: by_requests.then_some(f64::from(requests) * factor),
            tokens: by_tokens.then_some(tokens as f64 * factor),
        };
        Ok(Roles { filter: Some(Arc::new(detector)), ..Roles::default() })
    }
}

impl ConcurrencyDetector {
    fn has_room(&self, endpoint: &Endpoint) -> bool {
        let live = endpoint.live();
        self.requests.is_none_or(|most| f64::from(live.in_flight()) < most)
            && self.tokens.is_none_or(|most| (live.tokens() as f64) < most)
    }
}

impl Filter for ConcurrencyDetector {
    fn filter(&self, ask: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        keep.retain(|i| self.has_room(&ask.view.endpoints[i]));
    }

    /// The counters may have changed since.
    fn why(&self, ask: &Ask<'_>, endpoint: usize) -> Option<String> {
        let live = ask.view.endpoints[endpoint].live();
        Some(match (self.requests, self.tokens) {
            (Some(most), _) if f64::from(live.in_flight()) >= most => {
                format!("inFlight is {} ≥ {most}", live.in_flight())
            }
            (_, Some(most)) => format!("inFlightTokens is {}, of {most}", live.tokens()),
            _ => "was at its limit".to_owned(),
        })
    }

    fn inputs(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        if self.requests.is_some() {
            in_flight::requests(ask, inputs);
        }
        if self.tokens.is_some() {
            in_flight::tokens(ask, inputs);
        }
    }
}
