//! An observer that watches every response: what the role itself costs a decision.

use std::hint::black_box;
use std::sync::Arc;

use picker_core::outcome::Outcome;
use picker_core::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use picker_core::plugins::NoParameters;
use picker_core::role::{Observer, ResponseWatch};
use picker_core::{Ask, Decision, Edits};

/// Watches every response.
pub struct WatchAll;

impl Plugin for WatchAll {
    const TYPE: &'static str = "watch-all";
    const TASK: Task = Task::Data;
    const ORIGIN: Origin = Origin::Waypost;
    const SUMMARY: &'static str = "For benchmarks: watches every response.";
    const ROLES: &'static [Role] = &[Role::Observer];
    const SAMPLE: &'static str = "plugins: [{type: watch-all}, {type: queue-scorer}]";
    type Params = NoParameters;

    fn build(_: NoParameters, _: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        Ok(Roles { observer: Some(Arc::new(Self)), ..Roles::default() })
    }
}

impl Observer for WatchAll {
    fn watch(&self, _: &Ask<'_>, decision: &Decision) -> Option<Box<dyn ResponseWatch>> {
        Some(Box::new(Watch { profiles: decision.results.len() }))
    }
}

/// What it keeps of a request.
struct Watch {
    profiles: usize,
}

impl ResponseWatch for Watch {
    fn ended(&mut self, outcome: &Outcome, _: &mut Edits) {
        black_box((self.profiles, outcome.ending));
    }
}
