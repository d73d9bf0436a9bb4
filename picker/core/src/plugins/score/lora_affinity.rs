//! `lora-affinity-scorer`: prefers servers that have the request's LoRA adapter loaded, then those that have room for it.

use std::sync::Arc;

use crate::ask::Ask;
use crate::column::Column;
use crate::inputs::Inputs;
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::plugins::NoParameters;
use crate::role::Scorer;
use crate::view::{Candidates, LoraState};

const LOADED: f32 = 1.0;
const ROOM: f32 = 0.8;
const REQUESTED: f32 = 0.6;
const FULL: f32 = 0.0;

/// Scores servers by what must happen before they can use an adapter.
#[derive(Debug)]
pub struct LoraAffinityScorer;

impl Plugin for LoraAffinityScorer {
    const TYPE: &'static str = "lora-affinity-scorer";
    const TASK: Task = Task::Requests;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "Prefers servers that have the requested LoRA adapter loaded (1), then those with room for it (0.8), then those \
         where it waits to be loaded (0.6), then full ones (0). A server whose adapters are unknown gets the mean \
         score of the others, and 0 when none is known.";
    const ROLES: &'static [Role] = &[Role::Scorer];
    const SAMPLE: &'static str = "\
plugins:
- type: lora-affinity-scorer
- type: queue-scorer
";
    type Params = NoParameters;

    fn build(_: NoParameters, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        cx.reads_column(Column::LORA);
        Ok(Roles { scorer: Some(Arc::new(Self)), needs: Needs::BODY, ..Roles::default() })
    }
}

impl Scorer for LoraAffinityScorer {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let Some(model) = ask.request.model() else { return };
        let (mut sum, mut known) = (0.0, 0_usize);
        for (place, i) in out.iter_mut().zip(candidates.iter()) {
            if let Some(state) = &ask.view.lora[i] {
                *place = affinity(state, model);
                sum += *place;
                known += 1;
            }
        }
        if known > 0 && known < out.len() {
            let mean = sum / known as f32;
            for (place, i) in out.iter_mut().zip(candidates.iter()) {
                if ask.view.lora[i].is_none() {
                    *place = mean;
                }
            }
        }
    }

    fn inputs(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        let of = |i: usize, count: fn(&LoraState) -> usize| {
            ask.view.lora[i].as_ref().map_or(f32::NAN, |state| count(state) as f32)
        };
        inputs.number("adaptersRunning", |i| of(i, |state| state.running.len()));
        inputs.number("adaptersWaiting", |i| of(i, |state| state.waiting.len()));
        inputs.number("adaptersMost", |i| of(i, |state| state.max as usize));
    }
}

fn affinity(state: &LoraState, model: &str) -> f32 {
    let among = |adapters: &[Box<str>]| adapters.iter().any(|a| **a == *model);
    if among(&state.running) {
        LOADED
    } else if state.running.len() + state.waiting.len() < state.max as usize {
        ROOM
    } else if among(&state.waiting) {
        REQUESTED
    } else {
        FULL
    }
}

#[cfg(test)]
mod tests;
