//! How long one plugin takes of a decision.

use std::sync::Arc;
use std::time::{Duration, Instant};

use picker_core::ask::{Ask, Picked, Scored};
use picker_core::plugin::Role;
use picker_core::role::{Filter, Picker, Scorer};
use picker_core::strategy::Named;
use picker_core::trace::Trace;
use picker_core::view::Candidates;

/// A trace that measures the steps of one plugin in one of its roles.
pub struct Stopwatch {
    plugin: &'static str,
    role: Role,
    last: Instant,
    times: Vec<Duration>,
}

impl Stopwatch {
    /// For the plugin called `plugin`.
    pub fn of(plugin: &'static str, role: Role) -> Self {
        Self { plugin, role, last: Instant::now(), times: Vec::new() }
    }

    fn step(&mut self, plugin: &str, role: Role) {
        if self.plugin == plugin && self.role == role {
            self.times.push(self.last.elapsed());
        }
        self.last = Instant::now();
    }

    /// The median without the first `warm`, and without what reading the clock takes.
    pub fn time(mut self, warm: usize) -> Option<Duration> {
        let times = self.times.get_mut(warm..).filter(|times| !times.is_empty())?;
        Some(median(times).saturating_sub(clock()))
    }
}

impl Trace for Stopwatch {
    fn profile(&mut self, _: &Arc<str>) {
        self.last = Instant::now();
    }

    fn filtered(&mut self, _: &Ask<'_>, filter: &Named<dyn Filter>, _: &Candidates) {
        self.step(&filter.name, Role::Filter);
    }

    fn scored(&mut self, _: &Ask<'_>, scorer: &Named<dyn Scorer>, _: f32, _: &Candidates, _: &[f32]) {
        self.step(&scorer.name, Role::Scorer);
    }

    fn picked(&mut self, picker: &Named<dyn Picker>, _: Scored<'_>, _: &Picked) {
        self.step(&picker.name, Role::Picker);
    }
}

/// The median of `times`, of which there is one at least.
pub fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// What one reading of the clock takes.
fn clock() -> Duration {
    let mut times: Vec<_> = (0..1000).map(|_| Instant::now()).map(|began| began.elapsed()).collect();
    median(&mut times)
}
