//! `slow-start`: a new endpoint gets its share little by little.
//!
//! A model server that has just become ready has empty queues and an empty cache, and every scorer of load finds it the best:
//! all requests of the next seconds would go there, while it still compiles and warms up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::Ask;
use crate::inputs::Inputs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::role::{Scorer, Upkeep};
use crate::store::Shape;
use crate::view::{Candidates, View};

use first_seen::FirstSeen;

mod first_seen;
#[cfg(test)]
mod tests;

/// How often new endpoints are looked for when no request does.
const EVERY: Duration = Duration::from_secs(1);

/// The longest window, a day.
const MAX_WINDOW: u64 = 86_400;

/// Parameters of `slow-start`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// For how many seconds an endpoint counts as new, from when this picker first saw it, 1 to 86400.
    #[schemars(range(min = 1, max = 86_400))]
    window_seconds: u64,
    /// The score of an endpoint that was seen just now, 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    minimum: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { window_seconds: 60, minimum: 0.1 }
    }
}

/// Scores by age.
#[derive(Debug)]
pub struct SlowStart {
    window: Duration,
    minimum: f64,
    seen: Arc<FirstSeen>,
}

impl Plugin for SlowStart {
    const TYPE: &'static str = "slow-start";
    const TASK: Task = Task::Load;
    const ORIGIN: Origin = Origin::Waypost;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Lets a new endpoint have its share little by little: its score rises to 1 over a window. Endpoints that were there \
         when the picker began to look count as old, and so all of them do after its restart.";
    const FORMULA: &'static str = "minimum + (1 − minimum) · age / windowSeconds, with the age since this picker first saw the endpoint; 1 for older ones.";
    const ROLES: &'static [Role] = &[Role::Scorer, Role::Upkeep];
    const SAMPLE: &'static str = "\
plugins:
- type: queue-scorer
- type: slow-start
  parameters: {windowSeconds: 120}
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: queue-scorer, weight: 1}
  - {pluginRef: slow-start, weight: 2}
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let Params { window_seconds, minimum } = params;
        if !(1..=MAX_WINDOW).contains(&window_seconds) {
            return Err(BuildError::invalid("windowSeconds", "must lie between 1 and 86400"));
        }
        if !(0.0..=1.0).contains(&minimum) {
            return Err(BuildError::invalid("minimum", "must lie between 0 and 1"));
        }
        let plugin = Arc::new(Self {
            window: Duration::from_secs(window_seconds),
            minimum,
            // When an endpoint was seen does not depend on the parameters.
            seen: cx.state(Shape(String::new()), FirstSeen::default),
        });
        Ok(Roles { scorer: Some(plugin.clone()), upkeep: Some(plugin), ..Roles::default() })
    }
}

impl Scorer for SlowStart {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let seen = self.seen.knowing(ask.view, candidates, ask.now);
        for (place, i) in out.iter_mut().zip(candidates.iter()) {
            let age = seen.age(ask.view.places[i], ask.now);
            *place = if age >= self.window {
                1.0
            } else {
                (self.minimum + (1.0 - self.minimum) * age.as_secs_f64() / self.window.as_secs_f64()) as f32
            };
        }
    }

    fn inputs(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        let seen = self.seen.now();
        // Of one that was always there no age is known.
        let age = |i: usize| Some(seen.age(ask.view.places[i], ask.now)).filter(|age| *age < Duration::MAX);
        inputs.number("ageSeconds", |i| age(i).map_or(f32::NAN, |age| age.as_secs_f32()));
    }
}

impl Upkeep for SlowStart {
    fn every(&self) -> Duration {
        EVERY
    }

    /// So that the time of an endpoint begins, and ends, without a request.
    fn tick(&self, now: Instant, view: &View) {
        self.seen.look(view, now);
    }
}
